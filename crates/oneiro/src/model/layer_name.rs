//! Resolves the name of a layer to its value, or suggests similar names.

use std::collections::BTreeSet;

use oneiro_net::names::Names;
use oneiro_net::{Graph, ValueId};

use crate::card::Card;
use crate::error::{Error, Result};

/// Most names that an error suggests.
const NEAREST: usize = 5;

/// Returns the value of a layer by a short name of the card or a name of the graph.
///
/// # Errors
/// [`Error::Layer`], which suggests the nearest names.
pub fn resolve_layer(graph: &Graph, card: &Card, name: &str) -> Result<ValueId> {
    let short: Vec<(&str, &str)> = card.layers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let unknown = |error| Error::Layer {
        name: name.to_owned(),
        nearest: nearest(graph, card, name),
        error: Box::new(error),
    };
    Names::new(graph, &short).resolve(name).map_err(unknown)
}

/// Returns short names of the card, modules and nodes of the graph. The nearest by Levenshtein distance comes
/// first; case is ignored.
fn nearest(graph: &Graph, card: &Card, name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    let mut found: BTreeSet<&str> = card.layers.keys().map(String::as_str).collect();
    for node in &graph.nodes {
        let path = node.module.as_deref().unwrap_or_default();
        let parents = path.match_indices('.').map(|(end, _)| &path[..end]);
        found.extend(parents.chain([path, node.name.as_str()]).filter(|name| !name.is_empty()));
    }
    let mut found: Vec<(usize, &str)> =
        found.into_iter().map(|other| (strsim::levenshtein(&name, &other.to_lowercase()), other)).collect();
    found.sort_by_key(|&(distance, other)| (distance, other.len(), other));
    found.into_iter().take(NEAREST).map(|(_, other)| other.to_owned()).collect()
}
