//! What images do to many layers at once, without their maps.
//!
//! Shape of the concept: a [`SummarySession`] is compiled for layers and a batch of images. A run takes the
//! images and a seed for each, and leaves a summary of each channel ([`ChannelSummary`]) and the logits.
//!
//! [`ChannelSummary`]: oneiro_net::summary::ChannelSummary

use std::sync::Arc;

use oneiro_net::graph::{Dim, Input, Value};
use oneiro_net::tensor::DType;
use oneiro_net::{CpuSession, Graph, Request, Session, ValueId, summary};

use crate::error::Result;
use crate::input::PictureInput;
use crate::model::unit_layers::UnitLayer;
use crate::model::{Model, Target, View};

/// A layer as it is summarized.
#[derive(Debug, Clone, PartialEq)]
pub struct SummarizedLayer {
    /// Number of channels.
    pub channels: usize,
    /// Extents of its map: height and width, or as many axes as it has; none for a vector.
    pub map: Vec<usize>,
    /// The bounds that the layer clips what is read to.
    pub clip: [f32; 2],
}

impl SummarizedLayer {
    /// Positions of a map.
    pub fn positions(&self) -> usize {
        self.map.iter().product()
    }
}

/// A network that summarizes layers.
#[allow(missing_debug_implementations)]
pub struct SummarySession {
    session: CpuSession,
    layers: Vec<SummarizedLayer>,
    /// Whether the last target holds logits.
    has_logits: bool,
    input: PictureInput,
    seeds: usize,
    batch: usize,
    samples: usize,
}

impl SummarySession {
    /// Compiles a model for images in a batch of inputs of these shapes. `logits`: whether those of its classes
    /// are wanted as well. `samples`: positions that are drawn of each channel and image.
    ///
    /// # Errors
    /// If a layer's channels are not known, or the network does not take the batch or no photographs.
    pub fn new(
        model: &Model,
        layers: &[UnitLayer],
        logits: bool,
        shapes: &[Vec<usize>],
        samples: usize,
    ) -> Result<Self> {
        let batch = model.batch(shapes);
        let input = PictureInput::of_photographs(model, shapes)?;
        let target = |layer: &UnitLayer| Target { value: layer.read, view: View::Map };
        let mut targets: Vec<Target> = layers.iter().map(target).collect();
        if logits {
            targets.push(Target { value: model.logits()?, view: View::Classes });
        }
        let (graph, mut values) = model.viewed(&targets, shapes)?;
        let mut graph = graph.into_owned();
        let logits_value = logits.then(|| values.pop()).flatten();
        let seeds = add_seeds(&mut graph);
        let summarize = |(layer, &value): (&UnitLayer, &ValueId)| {
            let request = summary::Request { clip: layer.clip, samples };
            summary::add(&mut graph, value, seeds, request)
        };
        let mut wanted: Vec<ValueId> = layers.iter().zip(&values).map(summarize).collect();
        wanted.extend(logits_value);
        let mut all_shapes = shapes.to_vec();
        all_shapes.push(vec![batch, 1, 1]);
        let request = Request { gradients: false, ..Request::of_shapes(all_shapes, wanted) };
        let plan = model.compile(&graph, &request)?;
        let seeds = plan.inputs.len() - 1;
        let maps = layers.iter().map(|layer| {
            let map = model.map_of(layer.read, shapes)?;
            let [_, channels, ref map @ ..] = *map.shape() else { return Ok(None) };
            Ok(Some(SummarizedLayer { channels, map: map.to_vec(), clip: layer.clip }))
        });
        let maps: Vec<SummarizedLayer> = maps.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let session = CpuSession::new(Arc::new(plan))?;
        Ok(Self { session, layers: maps, has_logits: logits, input, seeds, batch, samples })
    }

    /// The layers.
    pub fn layers(&self) -> &[SummarizedLayer] {
        &self.layers
    }

    /// Height and width of the images that are fed.
    pub fn size(&self) -> [usize; 2] {
        self.input.extent.size()
    }

    /// Entries of the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Runs the network on a batch: of each entry, its display image and the seed of its samples, at most
    /// [`summary::MAX_SEED`].
    ///
    /// # Panics
    /// If an image has another length than the display image.
    pub fn run<'a>(&mut self, seed: impl Fn(usize) -> u32, picture: impl Fn(usize) -> &'a [f32] + Sync) {
        self.input.feed(&mut self.session, self.batch, picture);
        let seeds = self.session.input_mut(self.seeds);
        seeds.iter_mut().enumerate().for_each(|(entry, to)| *to = seed(entry) as f32);
        self.session.forward();
    }

    /// The summaries of all channels of a layer for an entry, one after another.
    pub fn summaries(&self, layer: usize, entry: usize) -> &[f32] {
        let len = self.layers[layer].channels * summary::len(self.samples);
        &self.session.activation(layer)[entry * len..][..len]
    }

    /// The logits of an entry; `None` if they are not wanted.
    pub fn logits(&self, entry: usize) -> Option<&[f32]> {
        let all = self.has_logits.then(|| self.session.activation(self.layers.len()))?;
        let classes = all.len() / self.batch;
        Some(&all[entry * classes..][..classes])
    }
}

/// Adds an input for the seeds of the samples.
fn add_seeds(graph: &mut Graph) -> ValueId {
    let mut name = "seeds of samples".to_owned();
    while graph.find_value(&name).is_some() {
        name.push('\'');
    }
    graph.values.push(Value { name, constant: None });
    let value = ValueId(graph.values.len() as u32 - 1);
    let dims = vec![Dim::Free("N".into()), Dim::Fixed(1), Dim::Fixed(1)];
    graph.inputs.push(Input { value, dims: Some(dims), dtype: DType::Float });
    value
}
