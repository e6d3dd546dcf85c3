//! The record of how a picture was made, as keywords and texts, and its form in files other than PNG.

use crate::{MediaError, Result};

/// Prefix of oneiro's keywords in a PNG and of its comments in other files. It tells them from other
/// programs' texts.
pub(crate) const PREFIX: &str = "oneiro:";
/// The longest keyword that PNG allows, in bytes (PNG specification, 11.3.3).
const MAX_KEYWORD: usize = 79;

/// The record of how a picture was made: keywords and texts, stored in a PNG's text chunks.
///
/// Keywords are given here without the prefix `oneiro:` that they have in the file. A text in Latin-1 becomes
/// a `tEXt` chunk, any other an `iTXt` chunk in UTF-8. The `tEXt` chunks come first, and
/// [`read_text`](crate::read_text) returns them in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PngText(pub Vec<(String, String)>);

impl PngText {
    /// Returns the text of the first entry with this keyword.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == keyword).map(|(_, text)| text.as_str())
    }

    /// Adds an entry at the end of the record.
    pub fn push(&mut self, keyword: impl Into<String>, text: impl Into<String>) {
        self.0.push((keyword.into(), text.into()));
    }
}

pub(crate) fn text_error(keyword: &str, reason: impl Into<String>) -> MediaError {
    MediaError::Text { keyword: keyword.to_owned(), reason: reason.into() }
}

pub(crate) fn check_entry(keyword: &str, text: &str) -> Result<()> {
    let longest = MAX_KEYWORD - PREFIX.len();
    if keyword.is_empty() || keyword.len() > longest {
        return Err(text_error(keyword, format!("a keyword has 1 to {longest} letters; choose another")));
    }
    let printable = keyword.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !printable || keyword.ends_with(' ') || keyword.contains("  ") {
        return Err(text_error(
            keyword,
            "a keyword is printable ASCII with single spaces inside; choose another",
        ));
    }
    if text.contains('\0') {
        return Err(text_error(keyword, "its text has a NUL character; remove it"));
    }
    Ok(())
}

/// Returns the record as one comment. Each entry is its keyword, its length in bytes and its content, so that
/// the content may contain anything.
pub(crate) fn comment(text: &PngText) -> String {
    let entry = |(key, value): &(String, String)| format!("{key} {}\n{value}\n", value.len());
    std::iter::once(format!("{PREFIX}\n")).chain(text.0.iter().map(entry)).collect()
}

/// Returns the entries of a comment made by [`comment`]; `None` for another program's comment, an error for a
/// damaged one.
pub(crate) fn entries(comment: &[u8]) -> Result<Option<PngText>, String> {
    match comment.strip_prefix(PREFIX.as_bytes()) {
        Some(ours) => of_ours(ours).map(Some).ok_or_else(|| "its text is damaged or cut off".to_owned()),
        None => Ok(None),
    }
}

fn of_ours(comment: &[u8]) -> Option<PngText> {
    let mut rest = std::str::from_utf8(comment).ok()?.strip_prefix('\n')?;
    let mut text = PngText::default();
    while !rest.is_empty() {
        let (head, tail) = rest.split_once('\n')?;
        let (key, length) = head.rsplit_once(' ')?;
        let length: usize = length.parse().ok()?;
        text.push(key, tail.get(..length)?);
        rest = tail.get(length..)?.strip_prefix('\n')?;
    }
    Some(text)
}
