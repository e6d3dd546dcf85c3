//! Reads from a WebM file's tags the comment that says how oneiro made the file.

use crate::PngText;
use crate::text::entries;

/// Identifiers of Matroska elements (RFC 9559, 5.1); `EBML` begins every file (RFC 8794, 11.2.1).
const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const TAGS: u32 = 0x1254_c367;
const TAG: u32 = 0x7373;
const SIMPLE_TAG: u32 = 0x67c8;
const TAG_NAME: u32 = 0x45a3;
const TAG_STRING: u32 = 0x4487;

/// Whether the bytes begin as every Matroska and WebM file does.
pub(crate) fn is_matroska(bytes: &[u8]) -> bool {
    bytes.starts_with(&EBML.to_be_bytes())
}

/// Returns the entries of the comment that oneiro wrote; none in another program's file. An error says that
/// the text is damaged.
pub(crate) fn matroska_text(bytes: &[u8]) -> Result<PngText, String> {
    let tags = inside(bytes, SEGMENT).flat_map(|segment| inside(segment, TAGS));
    let simple = tags.flat_map(|tags| inside(tags, TAG)).flat_map(|tag| inside(tag, SIMPLE_TAG));
    for tag in simple {
        let is_comment = inside(tag, TAG_NAME).any(|name| name.eq_ignore_ascii_case(b"COMMENT"));
        if let Some(comment) = inside(tag, TAG_STRING).next().filter(|_| is_comment)
            && let Some(text) = entries(comment)?
        {
            return Ok(text);
        }
    }
    Ok(PngText::default())
}

/// Iterates over the contents of all elements with an identifier, in order, up to a damaged element.
fn inside(bytes: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    elements(bytes).filter(move |(id, _)| *id == wanted).map(|(_, content)| content)
}

fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (id, rest) = identifier(bytes)?;
        let (length, rest) = length(rest)?;
        // An element of unknown length, as in live streams, reaches to the end of the file.
        let length = length.map_or(Some(rest.len()), |length| usize::try_from(length).ok())?;
        // An element that is cut off may still contain whole elements.
        let (content, rest) = rest.split_at(length.min(rest.len()));
        bytes = rest;
        Some((id, content))
    })
}

/// Splits off an element's identifier of 1 to 4 bytes, including the bits that mark its length (RFC 8794, 5).
fn identifier(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    if length > 4 {
        return None;
    }
    let (id, rest) = bytes.split_at_checked(length)?;
    Some((id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte)), rest))
}

/// Splits off an element's length of 1 to 8 bytes (RFC 8794, 4). The inner `None` is an unknown length, all
/// of whose bits are set.
fn length(bytes: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let size = bytes.first()?.leading_zeros() as usize + 1;
    let (length, rest) = bytes.split_at_checked(size)?;
    let value = length.iter().fold(0, |value: u64, &byte| value << 8 | u64::from(byte));
    let mask = (1_u64 << (7 * size)) - 1;
    Some(((value & mask != mask).then_some(value & mask), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: u32, content: &[u8]) -> Vec<u8> {
        let id = id.to_be_bytes();
        let start = id.iter().position(|&byte| byte != 0).unwrap();
        let length = (content.len() as u32 | 0x1000_0000).to_be_bytes();
        [&id[start..], &length, content].concat()
    }

    #[test]
    fn the_comment_is_found_among_other_tags_and_damage_never_panics() {
        let tag = |name: &[u8], text: &[u8]| {
            let parts = [element(TAG_NAME, name), element(TAG_STRING, text)].concat();
            element(TAG, &[element(0x63c0, &[]), element(SIMPLE_TAG, &parts)].concat())
        };
        let tags = [tag(b"ENCODER", b"x"), tag(b"COMMENT", b"oneiro:\nseed 1\n7\n")].concat();
        let segment = [element(0x1f43_b675, &[1; 40]), element(TAGS, &tags)].concat();
        let unknown =
            [&SEGMENT.to_be_bytes()[..], &[0x01, 255, 255, 255, 255, 255, 255, 255], &segment].concat();
        for segment in [element(SEGMENT, &segment), unknown] {
            let file = [element(EBML, &[0; 5]), segment].concat();
            assert!(is_matroska(&file));
            assert_eq!(matroska_text(&file).unwrap().get("seed"), Some("7"));
            for at in 0..file.len() {
                let _ = matroska_text(&file[..at]);
                let mut damaged = file.clone();
                damaged[at] ^= 0xff;
                let _ = matroska_text(&damaged);
            }
        }
    }
}
