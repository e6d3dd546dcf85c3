//! The notation in which users state axes: `N,C,H,W`, `N,tokens,C`, `N,tokens(1+14x14),C`.

use super::{Axes, Axis, Kind, Part, Tokens, extent, spatial_kinds};
use std::sync::Arc;

/// Parses the axes that a user states for a value of this shape. There is one word for each axis: `N`, `C`,
/// `T`, `H`, `W`, `L` (positions of a signal), `tokens` or `?`. The grid of an axis `tokens` is `patches`;
/// `prefix` of the other tokens come before them (by default all others). `tokens(1+14x14+4)` states all
/// three: tokens before the patches, their grid (rows by columns, or frames by rows by columns), and tokens
/// after them.
///
/// # Errors
/// If a word is none of these or occurs twice, if numbers do not fit the shape, or if there are more or fewer
/// words than axes.
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
            _ if word.starts_with("tokens(") => {
                axes.push(counted(word, n)?);
                continue;
            }
            _ => {
                return Err(format!(
                    "\"{text}\": {word} is no axis; there are N, C, T, H, W, L, tokens, tokens(1+14x14) and ? (not known)"
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

/// Parses `tokens(BEFORE+GRID+AFTER)` for an axis of `n` tokens. BEFORE and AFTER are optional.
fn counted(word: &str, n: usize) -> Result<Axis, String> {
    let form = || {
        format!("{word}: write tokens(14x14), tokens(1+14x14) or tokens(1+14x14+4), in front + grid + behind")
    };
    let inside = word.strip_prefix("tokens(").and_then(|w| w.strip_suffix(')')).ok_or_else(form)?;
    let terms: Vec<&str> = inside.split('+').map(str::trim).collect();
    let at = terms.iter().position(|t| t.contains('x')).ok_or_else(form)?;
    let numbers =
        |text: &str| text.split('x').map(|t| t.trim().parse::<usize>().ok()).collect::<Option<Vec<_>>>();
    let [before, after] = [&terms[..at], &terms[at + 1..]].map(|terms| match terms {
        [] => Some(0),
        [one] => one.parse::<usize>().ok(),
        _ => None,
    });
    let (Some(before), Some(after), Some(sides)) = (before, after, numbers(terms[at])) else {
        return Err(form());
    };
    if !(2..=3).contains(&sides.len()) {
        return Err(form());
    }
    let kinds = spatial_kinds(sides.len() + 2);
    let grid: Axis = kinds.into_iter().zip(sides).map(|(kind, side)| Part::new(kind, side)).collect();
    let patches = extent(&grid);
    if patches == 0 || before.checked_add(patches).and_then(|all| all.checked_add(after)) != Some(n) {
        return Err(format!("{word} does not add up to the {n} tokens that there are"));
    }
    if before + after == 0 {
        return Ok(grid);
    }
    Ok(vec![Part::new(Kind::Tokens(Arc::new(Tokens { before, grid, after })), n)])
}

/// Writes a grid of patches in reading order, in the notation of [`counted`].
fn grid_statement(grid: &[Part]) -> Option<String> {
    let kinds = spatial_kinds(grid.len() + 2);
    let in_order =
        (2..=3).contains(&grid.len()) && grid.iter().zip(&kinds).all(|(p, k)| p.kind == *k && p.step == 1);
    in_order.then(|| grid.iter().map(|p| p.extent.to_string()).collect::<Vec<_>>().join("x"))
}

impl Axes {
    /// Writes the axes in the notation of [`parse`], for any number of pictures. Returns `None` if the
    /// notation cannot express them, or no single axis holds the channels.
    pub fn statement(&self) -> Option<String> {
        let channel = self.channel()?;
        let words = self.0.iter().enumerate().map(|(i, axis)| {
            if let Some(grid) = grid_statement(axis) {
                return Some(format!("tokens({grid})"));
            }
            let [part @ Part { step: 1, .. }] = &axis[..] else {
                return axis.is_empty().then(|| if i == channel { "C" } else { "?" }.to_owned());
            };
            Some(match &part.kind {
                Kind::Channel if i == channel => "C".to_owned(),
                Kind::Batch => "N".to_owned(),
                Kind::Time => "T".to_owned(),
                Kind::Height => "H".to_owned(),
                Kind::Width => "W".to_owned(),
                Kind::Length => "L".to_owned(),
                Kind::Other if i == channel => "C".to_owned(),
                Kind::Other => "?".to_owned(),
                Kind::Tokens(tokens) => {
                    let before =
                        if tokens.before > 0 { format!("{}+", tokens.before) } else { String::new() };
                    let after = if tokens.after > 0 { format!("+{}", tokens.after) } else { String::new() };
                    format!("tokens({before}{}{after})", grid_statement(&tokens.grid)?)
                }
                Kind::Channel | Kind::Mixed => return None,
            })
        });
        Some(words.collect::<Option<Vec<_>>>()?.join(","))
    }
}

/// Sets how many other tokens come before the patches of an axis. If the number does not fit, the axis
/// becomes unknown.
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
