//! Lists the layers of a network.

use oneiro_net::analysis::{self, Layer};

use super::LoadedModel;
use crate::error::Result;

/// The layers of a network, for the default sizes of its inputs and a batch of one.
#[derive(Debug)]
pub struct Layers {
    /// Shapes of the network's inputs, with channels first.
    pub inputs: Vec<Vec<usize>>,
    /// The layers, in the graph's order.
    pub layers: Vec<Layer>,
    /// Errors of nodes that cannot be run.
    pub skipped: Vec<oneiro_net::Error>,
    /// A tensor after the nodes that cannot be run, at which the network could begin.
    pub begin_at: Option<String>,
}

impl LoadedModel {
    /// Returns the layers: names, shapes, axes, receptive fields, parameters, operations.
    ///
    /// # Errors
    /// If the shapes of the inputs are not known.
    pub fn layers(&self) -> Result<Layers> {
        let model = &self.model;
        let inputs = model.input_shapes(1, None)?;
        let layered = model.all_layered(&inputs)?;
        let mut found = analysis::layers(&model.graph, &model.names(), &inputs, layered.followed())?;
        let replaced = model.replaced_inputs();
        found.layers.retain(|layer| !replaced.contains(&layer.value));
        let begin_at = (!found.skipped.is_empty()).then(|| model.beginning(&[], None)).flatten();
        Ok(Layers { inputs, layers: found.layers, skipped: found.skipped, begin_at })
    }
}
