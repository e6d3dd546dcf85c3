//! Parses sizes of pictures, written as `N` or `HxW`.

use oneiro_jobs::job::render::limits::MAX_SIDE;

/// Parses the size of a picture, `N` or `HxW`, as height and width.
pub fn parse_size(text: &str) -> Result<[usize; 2], String> {
    parse_size_within(text, MAX_SIDE)
}

/// Parses a size whose sides have at most `most` pixels.
pub fn parse_size_within(text: &str, most: usize) -> Result<[usize; 2], String> {
    let side = |t: &str| {
        t.trim()
            .parse::<usize>()
            .ok()
            .filter(|n| (1..=most).contains(n))
            .ok_or_else(|| format!("\"{t}\" should be a whole number from 1 to {most}"))
    };
    match text.split_once(['x', 'X']) {
        None => side(text).map(|n| [n, n]),
        Some((h, w)) => Ok([side(h)?, side(w)?]),
    }
}
