//! Where the network begins: `--from-layer`, and inputs of the card that are inner tensors.

use anyhow::{Context as _, Result, bail};
use oneiro::card::Card;
use oneiro::model::{Declared, begin_at};
use oneiro_net::names::Names;
use oneiro_net::{Graph, ValueId};

/// A graph that begins where it was asked to.
pub struct Beginning {
    pub graph: Graph,
    /// Inner tensors that are inputs now, with their axes as a card states them, where those are known.
    pub inside: Vec<(String, Option<String>)>,
}

/// The graph that begins where the flag or the card says, with the card's inputs called as in the graph.
pub fn begin(
    graph: Graph,
    card: &mut Card,
    from: Option<&str>,
    declared: &dyn Fn() -> Declared,
) -> Result<Beginning> {
    let mut graph = graph;
    let mut inside = Vec::new();
    let resolve = |graph: &Graph, card: &Card, name: &str| -> oneiro_net::Result<ValueId> {
        let short: Vec<(&str, &str)> = card.layers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        Names::new(graph, &short).resolve(name)
    };
    let is_input =
        |graph: &Graph, name: &str| graph.inputs.iter().any(|input| graph.name(input.value) == name);
    if let Some(name) = from {
        let at = resolve(&graph, card, name).with_context(|| format!("--from-layer {name}"))?;
        let tensor = graph.name(at).to_owned();
        // The card may describe the tensor by another of its names.
        let same =
            |input: &str| !is_input(&graph, input) && resolve(&graph, card, input).is_ok_and(|v| v == at);
        let described = card.input.iter().position(|i| same(&i.name));
        if let Some(described) = described {
            card.input[described].name.clone_from(&tensor);
        }
        let said = card.input.iter().find(|i| i.name == tensor).cloned();
        let cut = begin_at(&graph, at, &declared(), said.as_ref(), card.layout)
            .with_context(|| format!("--from-layer {name}"))?;
        // What the card says of inputs that are gone holds for them alone.
        card.input.retain(|i| is_input(&cut.graph, &i.name) || !is_input(&graph, &i.name));
        graph = cut.graph;
        inside.push((tensor, cut.axes));
    }
    for i in 0..card.input.len() {
        let name = card.input[i].name.clone();
        if is_input(&graph, &name) {
            continue;
        }
        // A name that stands for nothing is reported with the names of the inputs.
        let Ok(at) = resolve(&graph, card, &name) else { continue };
        let said = card.input[i].clone();
        let cut = begin_at(&graph, at, &declared(), Some(&said), card.layout)
            .with_context(|| format!("the model card's input \"{name}\""))?;
        let tensor = graph.name(at).to_owned();
        let gone = card.input.iter().enumerate().find(|(j, other)| {
            *j != i && is_input(&graph, &other.name) && !is_input(&cut.graph, &other.name)
        });
        if let Some((_, gone)) = gone {
            bail!(
                "the model card describes the input \"{}\" and the inner tensor \"{name}\", behind which nothing reads that \
                 input; leave one of them out",
                gone.name
            );
        }
        card.input[i].name.clone_from(&tensor);
        inside.push((tensor, cut.axes));
        graph = cut.graph;
    }
    Ok(Beginning { graph, inside })
}
