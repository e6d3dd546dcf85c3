//! Reads NumPy's `.npz`: a ZIP archive of `.npy` files, stored or deflated.
//!
//! Format: PKWARE, "APPNOTE.TXT – .ZIP File Format Specification", 6.3.10. Archives with ZIP64 records are
//! read as NumPy writes them, with sizes in the central directory that fit 32 bits.

/// The first bytes of every ZIP archive.
pub(super) const MAGIC: &[u8] = b"PK";
/// Signatures of the ZIP records: local file, central directory, end of directory (sections 4.3.7, 4.3.12,
/// 4.3.16).
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
/// Bytes of the end-of-directory record without its comment.
const END_LENGTH: usize = 22;
/// Bytes of a central directory record, and of a local file record, without their names.
const CENTRAL_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;
/// The largest array that is unpacked, in bytes: a limit against decompression bombs.
const MAX_UNPACKED: usize = 1 << 30;
/// Name of the array that is read if the archive has several.
const NAME: &str = "flow";

/// One file of the ZIP archive.
#[derive(Debug)]
struct Entry {
    name: String,
    /// Compression method: 0 is stored, 8 is deflated.
    method: u16,
    encrypted: bool,
    crc: u32,
    packed: usize,
    unpacked: usize,
    /// Offset of the file's local record in the archive, in bytes.
    start: usize,
}

/// Returns the bytes of the archive's array `flow`, or of its only array.
pub(super) fn array(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let entries = directory(bytes)?;
    let stem = |entry: &Entry| entry.name.strip_suffix(".npy").unwrap_or(&entry.name).to_owned();
    let entry = match &entries[..] {
        [] => return Err("the archive is empty".into()),
        [only] => only,
        several => several.iter().find(|entry| stem(entry) == NAME).ok_or_else(|| {
            let names: Vec<String> = several.iter().map(stem).collect();
            format!("none of its arrays is called `{NAME}`: it holds {}; rename one", names.join(", "))
        })?,
    };
    unpack(bytes, entry).map_err(|reason| format!("`{}` in it {reason}; copy the file again", entry.name))
}

fn directory(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let cut = || "the archive is cut off; copy it again".to_owned();
    let last = bytes.len().checked_sub(END_LENGTH).ok_or_else(cut)?;
    // A comment of at most 65535 bytes may follow the end-of-directory record.
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last).rev().find(|&at| bytes[at..].starts_with(END)).ok_or_else(cut)?;
    let count = u16_at(bytes, end + 10).ok_or_else(cut)?;
    let mut at = u32_at(bytes, end + 16).ok_or_else(cut)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let record = bytes.get(at..).filter(|record| record.starts_with(CENTRAL)).ok_or_else(cut)?;
        let short = |offset| u16_at(record, offset).ok_or_else(cut);
        let long = |offset| u32_at(record, offset).ok_or_else(cut);
        let (name, extra, comment) = (short(28)?, short(30)?, short(32)?);
        let name = record.get(CENTRAL_LENGTH..CENTRAL_LENGTH + usize::from(name)).ok_or_else(cut)?;
        entries.push(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            method: short(10)?,
            encrypted: short(8)? & 1 == 1,
            crc: long(16)? as u32,
            packed: long(20)?,
            unpacked: long(24)?,
            start: long(42)?,
        });
        at += CENTRAL_LENGTH + name.len() + usize::from(extra) + usize::from(comment);
    }
    Ok(entries)
}

fn unpack(bytes: &[u8], entry: &Entry) -> Result<Vec<u8>, String> {
    if entry.encrypted {
        return Err("is encrypted".into());
    }
    if entry.unpacked > MAX_UNPACKED {
        return Err(format!("has more than {} MiB", MAX_UNPACKED >> 20));
    }
    let local = bytes.get(entry.start..).filter(|record| record.starts_with(LOCAL)).ok_or("is missing")?;
    let skip = [26, 28].iter().try_fold(LOCAL_LENGTH, |sum, &at| Some(sum + usize::from(u16_at(local, at)?)));
    let packed =
        skip.and_then(|skip| local.get(skip..skip.checked_add(entry.packed)?)).ok_or("is cut off")?;
    let unpacked = match entry.method {
        0 => packed.to_vec(),
        8 => miniz_oxide::inflate::decompress_to_vec_with_limit(packed, entry.unpacked)
            .map_err(|error| format!("cannot be unpacked ({error})"))?,
        other => return Err(format!("is packed by method {other}, not by deflate")),
    };
    if unpacked.len() != entry.unpacked || crc32fast::hash(&unpacked) != entry.crc {
        return Err("is damaged: its checksum differs".into());
    }
    Ok(unpacked)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk) as usize)
}
