//! How many frames an animated picture has and how long they are shown, from its headers.

use std::io::{self, Read, Seek, SeekFrom};

/// Frames of an animation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// The format's name.
    pub format: &'static str,
    /// How many frames the file announces, or has up to its end.
    pub frames: usize,
    /// How long all frames are shown.
    pub seconds: f64,
    /// Whether the file ends before the animation does.
    pub is_cut: bool,
}

/// The frames of an animation; `None` for a still picture that is no GIF. A file that is cut off ends the
/// count.
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

/// Blocks up to the trailer (GIF89a, 17 to 27); delays in hundredths of a second (23).
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
                // The colour table, and the code size.
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

/// The number of frames in `acTL`, delays in `fcTL` (PNG 3rd edition, 11.3.6).
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
                // A denominator of 0 stands for 100.
                timing.seconds += number(20) / if number(22) > 0.0 { number(22) } else { 100.0 };
                length - 24
            }
            // No `acTL` before the pixels: a still picture.
            b"IDAT" if timing.frames == 0 => return Ok(()),
            b"IEND" => return Ok(()),
            _ => length,
        };
        skip(file, rest.max(0) + 4)?;
    }
}

/// Chunks `ANMF`, with delays in milliseconds (RFC 9649, 2.7.1.1), up to the end that the file announces.
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
