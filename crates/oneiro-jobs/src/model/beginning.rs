//! Lets the network begin at a layer, or at inputs of the card that are inner tensors.

use oneiro::card::Card;
use oneiro::model::{Declared, begin_at, resolve_layer as resolve};
use oneiro_net::Graph;

use super::error::ModelError;
use crate::error::{During as _, Result, Step};

/// A graph that begins at the requested tensor.
pub struct Beginning {
    pub graph: Graph,
    /// Inner tensors that are now inputs, with their axes in the notation of a card if they are known.
    pub inside: Vec<(String, Option<String>)>,
}

/// Lets the graph begin where the flag or the card says. The names of the card's inputs become those of the
/// graph.
pub fn begin(
    graph: Graph,
    card: &mut Card,
    from: Option<&str>,
    declared: &dyn Fn() -> Declared,
) -> Result<Beginning> {
    let mut graph = graph;
    let mut inside = Vec::new();
    let is_input =
        |graph: &Graph, name: &str| graph.inputs.iter().any(|input| graph.name(input.value) == name);
    if let Some(name) = from {
        let beginning = || Step::Begin { layer: name.to_owned() };
        let at = resolve(&graph, card, name).during(beginning)?;
        let tensor = graph.name(at).to_owned();
        // The card may describe the tensor by another of its names.
        let same =
            |input: &str| !is_input(&graph, input) && resolve(&graph, card, input).is_ok_and(|v| v == at);
        let described = card.input.iter().position(|i| same(&i.name));
        if let Some(described) = described {
            card.input[described].name.clone_from(&tensor);
        }
        let said = card.input.iter().find(|i| i.name == tensor).cloned();
        let cut = begin_at(&graph, at, &declared(), said.as_ref(), card.layout).during(beginning)?;
        // The card's entries for removed inputs do not apply to the new input.
        card.input.retain(|i| is_input(&cut.graph, &i.name) || !is_input(&graph, &i.name));
        graph = cut.graph;
        inside.push((tensor, cut.axes));
    }
    for i in 0..card.input.len() {
        let name = card.input[i].name.clone();
        if is_input(&graph, &name) {
            continue;
        }
        // An unknown name is reported later, with the names of the inputs.
        let Ok(at) = resolve(&graph, card, &name) else { continue };
        let said = card.input[i].clone();
        let cut = begin_at(&graph, at, &declared(), Some(&said), card.layout)
            .during(|| Step::CardInput { input: name.clone() })?;
        let tensor = graph.name(at).to_owned();
        let gone = card.input.iter().enumerate().find(|(j, other)| {
            *j != i && is_input(&graph, &other.name) && !is_input(&cut.graph, &other.name)
        });
        if let Some((_, gone)) = gone {
            return Err(ModelError::InputAndInner { input: gone.name.clone(), inner: name }.into());
        }
        card.input[i].name.clone_from(&tensor);
        inside.push((tensor, cut.axes));
        graph = cut.graph;
    }
    Ok(Beginning { graph, inside })
}
