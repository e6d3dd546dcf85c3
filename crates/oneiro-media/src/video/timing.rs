//! Reads from an animated picture's headers how many frames it has and how long they are shown.

use std::io::{self, Read, Seek, SeekFrom};

/// Number and duration of an animated picture's frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// The name of the picture's format, such as "GIF".
    pub format: &'static str,
    /// How many frames the file announces, or contains up to its end.
    pub frames: usize,
    /// Total duration of all frames in seconds.
    pub seconds: f64,
    /// Whether the file is cut off before the animation's end.
    pub is_cut: bool,
}

/// Reads the timing of an animation; `None` for a still picture unless it is a GIF. In a file that is cut
/// off, the frames up to its end are counted.
pub fn read(file: &mut (impl Read + Seek)) -> io::Result<Option<Timing>> {
    let head: [u8; 12] = match take(file) {
        Ok(head) => head,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut timing = Timing { format: "", frames: 0, seconds: 0.0, is_cut: false };
    let walked = if head.starts_with(b"GIF8") {
        timing.format = "GIF";
        gif(file, &mut timing)
    } else if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        timing.format = "PNG";
        png(file, &mut timing)
    } else if head.starts_with(b"RIFF") && head.ends_with(b"WEBP") {
        timing.format = "WebP";
        webp(file, &mut timing)
    } else {
        return Ok(None);
    };
    match walked {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => timing.is_cut = true,
        walked => walked?,
    }
    Ok((timing.frames > 0 || timing.format == "GIF").then_some(timing))
}

fn take<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(file: &mut impl Seek, length: i64) -> io::Result<()> {
    file.seek(SeekFrom::Current(length)).map(|_| ())
}

/// Walks the blocks of a GIF up to its trailer (GIF89a, 17 to 27); delays are in hundredths of a second (23).
fn gif(file: &mut (impl Read + Seek), timing: &mut Timing) -> io::Result<()> {
    const GRAPHIC_CONTROL: u8 = 0xf9;
    let color_table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    file.seek(SeekFrom::Start(10))?;
    let [flags, _, _] = take(file)?;
    skip(file, color_table(flags))?;
    let mut delay = 0;
    loop {
        let [block] = take(file)?;
        let mut has_delay = false;
        match block {
            0x21 => {
                let [label] = take(file)?;
                has_delay = label == GRAPHIC_CONTROL;
            }
            0x2c => {
                let descriptor: [u8; 9] = take(file)?;
                // Skip the image's colour table and its LZW code size.
                skip(file, color_table(descriptor[8]) + 1)?;
                timing.frames += 1;
                timing.seconds += f64::from(std::mem::take(&mut delay)) / 100.0;
            }
            _ => return Ok(()),
        }
        loop {
            let [length] = take(file)?;
            if length == 0 {
                break;
            }
            if std::mem::take(&mut has_delay) && length == 4 {
                let control: [u8; 4] = take(file)?;
                delay = u16::from_le_bytes([control[1], control[2]]);
            } else {
                skip(file, length.into())?;
            }
        }
    }
}

/// Walks the chunks of a PNG: `acTL` has the number of frames, `fcTL` their delays (PNG 3rd edition, 11.3.6).
fn png(file: &mut (impl Read + Seek), timing: &mut Timing) -> io::Result<()> {
    file.seek(SeekFrom::Start(8))?;
    loop {
        let head: [u8; 8] = take(file)?;
        let length = i64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        let rest = match &head[4..] {
            b"acTL" => {
                timing.frames = u32::from_be_bytes(take(file)?) as usize;
                length - 4
            }
            b"fcTL" => {
                let control: [u8; 24] = take(file)?;
                let number = |at: usize| f64::from(u16::from_be_bytes([control[at], control[at + 1]]));
                // A denominator of 0 in a frame's delay stands for 100.
                timing.seconds += number(20) / if number(22) > 0.0 { number(22) } else { 100.0 };
                length - 24
            }
            // Pixels without an `acTL` chunk before them mean a still picture.
            b"IDAT" if timing.frames == 0 => return Ok(()),
            b"IEND" => return Ok(()),
            _ => length,
        };
        skip(file, rest.max(0) + 4)?;
    }
}

/// Walks the `ANMF` chunks of a WebP, whose delays are in milliseconds (RFC 9649, 2.7.1.1), up to the
/// announced end.
fn webp(file: &mut (impl Read + Seek), timing: &mut Timing) -> io::Result<()> {
    file.seek(SeekFrom::Start(4))?;
    let end = 8 + u64::from(u32::from_le_bytes(take(file)?));
    timing.is_cut = file.seek(SeekFrom::End(0))? < end;
    let mut at = 12;
    while at + 8 <= end {
        file.seek(SeekFrom::Start(at))?;
        let head: [u8; 8] = take(file)?;
        let length = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        if head.starts_with(b"ANMF") {
            let frame: [u8; 16] = take(file)?;
            timing.frames += 1;
            timing.seconds += f64::from(u32::from_le_bytes([frame[12], frame[13], frame[14], 0])) / 1000.0;
        }
        at += 8 + length + length % 2;
    }
    Ok(())
}
