//! Reads from an MP4 file's metadata the comment that says how oneiro made the file.

use crate::PngText;
use crate::text::entries;

/// Names of the nested boxes (QuickTime File Format, "Metadata") that lead to the comment, the outermost
/// first.
const PATH: [&[u8; 4]; 6] = [b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data"];
/// Bytes of a `meta` box before the boxes inside it: version and flags.
const META_HEAD: usize = 4;
/// Bytes of a `data` box before its text: type and language.
const DATA_HEAD: usize = 8;

/// Whether the bytes begin as MP4 and QuickTime files do.
pub(crate) fn is_mp4(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ftyp")
}

/// Returns the entries of the comment that oneiro wrote; none in another program's file. An error says that
/// the text is damaged.
pub(crate) fn mp4_text(bytes: &[u8]) -> Result<PngText, String> {
    let mut content = Some(bytes);
    for name in PATH {
        content = content.and_then(|content| find(content, name));
        if name == b"meta" {
            content = content.and_then(|content| content.get(META_HEAD..));
        }
    }
    match content.and_then(|content| content.get(DATA_HEAD..)) {
        Some(comment) => Ok(entries(comment)?.unwrap_or_default()),
        None => Ok(PngText::default()),
    }
}

/// Returns the content of the first box with this name. A box is length, name and content (ISO/IEC 14496-12,
/// 4.2).
fn find<'a>(mut boxes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    loop {
        let head = boxes.get(..8)?;
        let (start, end) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            // Length 0: the box is the last one and reaches to the file's end.
            0 => (8, boxes.len()),
            // Length 1: the real length follows the name, in 64 bits.
            1 => (16, usize::try_from(u64::from_be_bytes(boxes.get(8..16)?.try_into().ok()?)).ok()?),
            length => (8, length as usize),
        };
        let content = boxes.get(start..end)?;
        if head[4..] == name[..] {
            return Some(content);
        }
        boxes = &boxes[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
    }

    #[test]
    fn the_comment_is_found_among_other_boxes_and_damage_never_panics() {
        let data = boxed(b"data", b"\0\0\0\x01\0\0\0\0oneiro:\nseed 1\n7\n");
        let list = [boxed(b"\xa9too", &boxed(b"data", b"12345678x")), boxed(b"\xa9cmt", &data)].concat();
        let meta = [&[0; 4][..], &boxed(b"hdlr", &[0; 25]), &boxed(b"ilst", &list)].concat();
        let movie = [boxed(b"mvhd", &[0; 100]), boxed(b"udta", &boxed(b"meta", &meta))].concat();
        let wide = [&1_u32.to_be_bytes()[..], b"mdat", &20_u64.to_be_bytes(), &[1; 4]].concat();
        let file = [boxed(b"ftyp", b"isom\0\0\x02\0"), wide, boxed(b"moov", &movie)].concat();
        assert!(is_mp4(&file));
        assert_eq!(mp4_text(&file).unwrap().get("seed"), Some("7"));
        for at in 0..file.len() {
            let _ = mp4_text(&file[..at]);
            let mut damaged = file.clone();
            damaged[at] ^= 0xff;
            let _ = mp4_text(&damaged);
        }
    }
}
