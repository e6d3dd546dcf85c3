//! Escapes text and file names for HTML.

use std::fmt::Write;

/// Text escaped for use inside an HTML element or a quoted attribute.
pub(super) struct Escaped<'a>(pub &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // HTML allows no other control characters, not even as character references.
                c if c.is_control() && !c.is_ascii_whitespace() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The name of a unit, such as "conv1:3" or "class:hen", with line breaks allowed after a dot or a colon
/// only, and before a colon in front of a number, so that ":3" stays together.
pub(super) struct Name<'a>(pub &'a str);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find([':', '.']) {
            let (before, mark) = (&rest[..at], &rest[at..=at]);
            let is_before_number = mark == ":" && rest[at + 1..].starts_with(|c: char| c.is_ascii_digit());
            let (before_mark, behind) = if is_before_number { ("<wbr>", "") } else { ("", "<wbr>") };
            write!(f, "{}{before_mark}{mark}{behind}", Escaped(before))?;
            rest = &rest[at + 1..];
        }
        write!(f, "{}", Escaped(rest))
    }
}

/// A relative file name as a URL. Everything but RFC 3986's unreserved characters and `/` is percent-encoded,
/// so that no name can be taken for a scheme, a query or a fragment.
pub(super) struct Url<'a>(pub &'a str);

impl std::fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    f.write_char(char::from(byte))?;
                }
                byte => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}
