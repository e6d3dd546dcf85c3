//! The record of how a page was made, in `meta` elements of the page's head.

use std::fmt::Write;

use super::escape::Escaped;
use crate::PngText;
use crate::text::PREFIX;

/// First bytes of every page that [`super::Page::to_html`] writes.
const START: &[u8] = b"<!DOCTYPE html>";
/// The beginning of the `meta` element of one entry, up to the keyword.
const ENTRY: &str = "<meta name=\"";
/// The part of the `meta` element between keyword and text.
const CONTENT: &str = "\" content=\"";

/// Whether the bytes begin as an HTML page.
pub(crate) fn is_page(bytes: &[u8]) -> bool {
    bytes.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}

/// Writes the record's entries as `meta` elements, one for each.
pub(super) fn write(out: &mut String, text: &PngText) -> std::fmt::Result {
    for (key, text) in &text.0 {
        writeln!(out, "{ENTRY}{PREFIX}{}{CONTENT}{}\">", Escaped(key), Escaped(text))?;
    }
    Ok(())
}

/// Reads the record's entries from a page's `meta` elements; other elements are ignored.
///
/// # Errors
/// If the page is cut off.
pub(crate) fn page_text(bytes: &[u8]) -> Result<PngText, String> {
    let cut_off = || "the page is cut off".to_owned();
    let html = std::str::from_utf8(bytes).map_err(|_| "the page is no UTF-8 text".to_owned())?;
    if !html.trim_end().ends_with("</html>") {
        return Err(cut_off());
    }
    let head = html.split_once("<style>").map_or(html, |(head, _)| head);
    let mut text = PngText::default();
    for element in head.split(&format!("{ENTRY}{PREFIX}")).skip(1) {
        let (key, rest) = element.split_once(CONTENT).ok_or_else(cut_off)?;
        let (content, _) = rest.split_once('"').ok_or_else(cut_off)?;
        text.push(unescaped(key), unescaped(content));
    }
    Ok(text)
}

fn unescaped(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    named.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Page;

    #[test]
    fn text_is_read_back_as_it_was() {
        let entries = [("job", "{\"a\": [1, \"<b>&amp;\"]}"), ("preparation", "x = 'y'\nz = \"ü\"\n")];
        let text = PngText(entries.map(|(key, text)| (key.to_owned(), text.to_owned())).to_vec());
        let html = Page { title: "A".into(), text: text.clone(), ..Page::default() }.to_html();
        assert!(is_page(html.as_bytes()));
        assert_eq!(page_text(html.as_bytes()), Ok(text));
        assert!(page_text(&html.as_bytes()[..html.len() / 2]).unwrap_err().contains("cut off"));
    }

    #[test]
    fn a_page_of_another_program_says_nothing() {
        let html = "<!doctype html>\n<html><head><meta name=\"author\" content=\"me\"></head></html>";
        assert!(is_page(html.as_bytes()));
        assert_eq!(page_text(html.as_bytes()), Ok(PngText::default()));
    }
}
