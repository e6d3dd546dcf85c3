//! A network with its card: names of layers, what its inputs mean.

use oneiro_net::names::Names;
use oneiro_net::{Graph, ValueId};

use crate::card::{Card, InputCard, Layout};
use crate::error::{Error, Result};
use crate::objective::Term;

/// Side of a picture when neither a person nor the card nor the model says: what most ImageNet networks use.
pub const DEFAULT_SIDE: usize = 224;

/// A graph and the card that describes its inputs.
#[derive(Debug, Clone)]
pub struct Model {
    /// The network.
    pub graph: Graph,
    /// What its inputs mean; one entry an input of the graph, in the graph's order.
    pub card: Card,
}

impl Model {
    /// Pairs a graph with its card; every input of the graph needs an entry.
    pub fn new(graph: Graph, mut card: Card) -> Result<Self> {
        let names: Vec<String> = graph.inputs.iter().map(|i| graph.name(i.value).to_owned()).collect();
        let listed = || card.input.iter().map(|i| i.name.clone()).collect::<Vec<_>>().join(", ");
        if card.layout == Layout::Nhwc {
            return Err(Error::Settings(
                "the card says layout = \"nhwc\", which is not supported yet; export the network with channels first".into(),
            ));
        }
        if names.is_empty() {
            return Err(Error::Settings("the network has no input".into()));
        }
        if let Some(extra) = card.input.iter().find(|i| !names.contains(&i.name)) {
            return Err(Error::Settings(format!(
                "the card describes input \"{}\", which the network does not have; it has {}",
                extra.name,
                names.join(", ")
            )));
        }
        let inputs = names
            .iter()
            .map(|name| {
                card.input(name).cloned().ok_or_else(|| {
                    Error::Settings(format!(
                        "the card does not describe input \"{name}\" of the network (only {})",
                        listed()
                    ))
                })
            })
            .collect::<Result<Vec<InputCard>>>()?;
        card.input = inputs;
        Ok(Self { graph, card })
    }

    /// The names of layers, with the card's short names.
    pub fn names(&self) -> Names<'_> {
        let short: Vec<(&str, &str)> =
            self.card.layers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        Names::new(&self.graph, &short)
    }

    /// The value that a layer's name means.
    pub fn resolve(&self, layer: &str) -> Result<ValueId> {
        Ok(self.names().resolve(layer)?)
    }

    /// The first output before a final softmax: the logits of a classifier.
    pub fn logits(&self) -> Result<ValueId> {
        let output =
            *self.graph.outputs.first().ok_or_else(|| Error::Unit("the network has no output".into()))?;
        let softmax =
            self.graph.producer(output).map(|i| &self.graph.nodes[i]).filter(|n| n.op.op_type() == "Softmax");
        Ok(softmax.and_then(|n| n.inputs[0]).unwrap_or(output))
    }

    /// The value that a term reads.
    pub fn value_of(&self, term: &Term) -> Result<ValueId> {
        if term.at_output() { self.logits() } else { self.resolve(&term.layer) }
    }

    /// Shapes of all inputs for a batch, with the spatial size of image inputs replaced if one is given.
    ///
    /// The size is, in this order: the one given, the card's, the exported one, [`DEFAULT_SIDE`].
    pub fn input_shapes(&self, batch: usize, size: Option<[usize; 2]>) -> Result<Vec<Vec<usize>>> {
        (0..self.graph.inputs.len())
            .map(|i| {
                let card = &self.card.input[i];
                let name = &card.name;
                let exported = self.graph.inputs[i].dims.as_ref().map(Vec::len);
                let rank = exported.unwrap_or(4);
                let mut shape = self.graph.default_shape(i).unwrap_or_else(|| vec![1; rank]);
                if rank < 3 {
                    return Err(Error::Settings(format!(
                        "input \"{name}\" has shape {shape:?}; images, clips and flow have at least 3 axes"
                    )));
                }
                shape[0] = batch;
                match size.or(card.size) {
                    // One spatial axis or none: height and width mean nothing.
                    _ if rank < 4 => {}
                    Some([h, w]) => (shape[rank - 2], shape[rank - 1]) = (h, w),
                    None => {
                        let dims = self.graph.inputs[i].dims.as_deref().unwrap_or_default();
                        for axis in [rank - 2, rank - 1] {
                            if !matches!(dims.get(axis), Some(oneiro_net::graph::Dim::Fixed(_))) {
                                shape[axis] = DEFAULT_SIDE;
                            }
                        }
                    }
                }
                if let (5, Some(frames)) = (rank, card.frames) {
                    shape[2] = frames;
                }
                Ok(shape)
            })
            .collect()
    }
}
