//! Sizes as people write them: `N` or `HxW`.

use oneiro_jobs::job::render::limits::MAX_SIDE;

/// A size of pictures.
pub fn parse_size(text: &str) -> Result<[usize; 2], String> {
    parse_size_within(text, MAX_SIDE)
}

/// A size of sides that are no longer than `most`.
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
