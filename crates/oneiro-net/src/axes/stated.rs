//! Axes as a person states them: `N,C,H,W`, `N,tokens,C`.

use super::{Axes, Axis, Kind, Part, Tokens, extent};
use std::sync::Arc;

/// The axes that a person states for a value of this shape: one word an axis, `N`, `C`, `T`, `H`, `W`, `L` (a
/// signal's positions), `tokens` or `?`. Of tokens, `patches` are known by their grid; of the others `prefix`
/// stand in front of them (all others, if it is not given).
///
/// # Errors
/// A word that is none of these, one twice, or another number of axes than the shape has.
pub fn parse(
    text: &str,
    shape: &[usize],
    patches: Option<&Axis>,
    prefix: Option<usize>,
) -> Result<Axes, String> {
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    if words.len() != shape.len() {
        return Err(format!("\"{text}\" names {} axes, the shape is {shape:?}", words.len()));
    }
    let mut axes = Vec::with_capacity(words.len());
    for (i, (&word, &n)) in words.iter().zip(shape).enumerate() {
        if word != "?" && words[..i].contains(&word) {
            return Err(format!("\"{text}\" has {word} twice"));
        }
        let kind = match word {
            "N" => Kind::Batch,
            "C" => Kind::Channel,
            "T" => Kind::Time,
            "H" => Kind::Height,
            "W" => Kind::Width,
            "L" => Kind::Length,
            "?" => Kind::Other,
            "tokens" => {
                axes.push(tokens(n, patches, prefix)?);
                continue;
            }
            _ => {
                return Err(format!(
                    "\"{text}\": {word} is no axis; there are N, C, T, H, W, L, tokens and ? (not known)"
                ));
            }
        };
        axes.push(vec![Part::new(kind, n)]);
    }
    if !words.contains(&"C") {
        return Err(format!("\"{text}\" does not say where the channels are: one axis should be C"));
    }
    Ok(Axes(axes))
}

fn tokens(n: usize, patches: Option<&Axis>, prefix: Option<usize>) -> Result<Axis, String> {
    let too_many = |prefix: usize| format!("{prefix} prefix tokens do not fit {n} tokens");
    let grid = match patches {
        Some(patches) if extent(patches) + prefix.unwrap_or(0) <= n => patches.clone(),
        _ => {
            let count = n.checked_sub(prefix.unwrap_or(0)).filter(|&n| n > 0);
            vec![Part::new(Kind::Length, count.ok_or_else(|| too_many(prefix.unwrap_or(0)))?)]
        }
    };
    let others = n - extent(&grid);
    let before = prefix.unwrap_or(others);
    let after = others.checked_sub(before).ok_or_else(|| too_many(before))?;
    if others == 0 {
        return Ok(grid);
    }
    Ok(vec![Part::new(Kind::Tokens(Arc::new(Tokens { before, grid, after })), n)])
}

/// An axis of patch tokens with others, of which this many stand in front. Where they do not fit, the axis is
/// not known any more.
pub(super) fn with_prefix(axis: &mut Axis, prefix: usize) {
    let [Part { kind: Kind::Tokens(tokens), extent: n, .. }] = &axis[..] else { return };
    let (n, grid) = (*n, tokens.grid.clone());
    let others = n.saturating_sub(extent(&grid));
    *axis = match others.checked_sub(prefix) {
        Some(after) => {
            vec![Part::new(Kind::Tokens(Arc::new(Tokens { before: prefix, grid, after })), n)]
        }
        None => vec![Part::new(Kind::Mixed, n)],
    };
}
