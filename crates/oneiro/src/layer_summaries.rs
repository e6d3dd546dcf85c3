//! Summaries of many layers' channels for images, without storing the feature maps.
//!
//! Interface: a [`SummarySession`] is compiled for layers and a batch of images. Each run takes the images
//! and a random seed for each. It computes a summary of each channel ([`ChannelSummary`]), and the logits.

use std::sync::Arc;

use oneiro_net::graph::{Dim, Input, Value};
use oneiro_net::summary::ChannelSummary;
use oneiro_net::tensor::DType;
use oneiro_net::{CpuSession, Graph, Request, Session, ValueId, summary};

use crate::error::{Error, Result};
use crate::input::{PictureInput, feed_all};
use crate::model::unit_layers::{UnitLayer, UnitPart};
use crate::model::{Model, Target, View};

/// A layer whose channels are summarized.
#[derive(Debug, Clone, PartialEq)]
pub struct SummarizedLayer {
    /// Number of channels of the layer.
    pub channels: usize,
    /// Extents of its feature map: height and width, or as many axes as it has; none for a vector.
    pub map: Vec<usize>,
    /// The parts of the layer, concatenated along the channels.
    parts: Vec<Part>,
}

/// Some consecutive channels of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    /// Index of the plan's target that holds the summaries of these channels.
    target: usize,
    channels: usize,
    clip: [f32; 2],
}

impl SummarizedLayer {
    /// Number of positions in the feature map.
    pub fn positions(&self) -> usize {
        self.map.iter().product()
    }
}

/// The summaries of some channels of a layer, and the bounds to which the layer clips them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summaries<'a> {
    /// The numbers of all summaries, one channel after another.
    pub numbers: &'a [f32],
    /// Number of channels that are summarized.
    pub channels: usize,
    /// The bounds to which the layer's activation function clips.
    pub clip: [f32; 2],
}

impl<'a> Summaries<'a> {
    /// Returns the summary of one channel.
    pub fn of(&self, channel: usize) -> ChannelSummary<'a> {
        let len = self.numbers.len() / self.channels.max(1);
        ChannelSummary::new(&self.numbers[channel * len..][..len])
    }
}

/// A compiled network that summarizes the channels of layers.
#[allow(missing_debug_implementations)]
pub struct SummarySession {
    session: CpuSession,
    layers: Vec<SummarizedLayer>,
    /// Index of the plan's target that holds the logits.
    logits: Option<usize>,
    inputs: Vec<PictureInput>,
    seeds: usize,
    batch: usize,
    samples: usize,
}

impl SummarySession {
    /// Compiles a model for a batch of images in inputs of these shapes. With `logits`, the logits of the
    /// classes are computed as well. `samples` is the number of positions sampled from each channel and
    /// image.
    ///
    /// # Errors
    /// If a layer's channel axis is unknown, or the network does not accept the batch or takes no
    /// photographs.
    pub fn new(
        model: &Model,
        layers: &[UnitLayer],
        logits: bool,
        shapes: &[Vec<usize>],
        samples: usize,
    ) -> Result<Self> {
        let input = PictureInput::of_photographs(model, shapes)?;
        Self::compile(model, layers, logits, shapes, samples, Some(input))
    }

    /// Compiles like [`SummarySession::new`], for a network of clips or optical flow. All its inputs that the
    /// layers depend on are fed ([`SummarySession::inputs`]).
    ///
    /// # Errors
    /// The errors of [`SummarySession::new`], and an error if an input takes bands.
    pub fn of_clips(
        model: &Model,
        layers: &[UnitLayer],
        logits: bool,
        shapes: &[Vec<usize>],
        samples: usize,
    ) -> Result<Self> {
        Self::compile(model, layers, logits, shapes, samples, None)
    }

    fn compile(
        model: &Model,
        layers: &[UnitLayer],
        logits: bool,
        shapes: &[Vec<usize>],
        samples: usize,
        input: Option<PictureInput>,
    ) -> Result<Self> {
        let batch = model.batch(shapes);
        // A part that several layers share is summarized once.
        let mut read: Vec<UnitPart> = Vec::new();
        for part in layers.iter().flat_map(|layer| &layer.parts) {
            if !read.contains(part) {
                read.push(part.clone());
            }
        }
        let mut targets: Vec<Target> =
            read.iter().map(|part| Target { value: part.read, view: View::Map }).collect();
        if logits {
            targets.push(Target { value: model.logits()?, view: View::Classes });
        }
        let (graph, mut values) = model.viewed(&targets, shapes)?;
        let mut graph = graph.into_owned();
        let classes = logits.then(|| values.pop()).flatten();
        let seeds = add_seeds(&mut graph);
        let mut wanted: Vec<ValueId> = Vec::new();
        for (part, &value) in read.iter().zip(&values) {
            let value = match &part.projection {
                None => value,
                Some(projection) => {
                    let map = model.map_of(part.read, shapes)?.shape().to_vec();
                    let (units, inputs) = (projection.bias.len(), projection.weights.len());
                    if inputs != units * map[1] {
                        let what = "a direction".to_owned();
                        let (values, needed) = (inputs / units.max(1), format!("{} channels", map[1]));
                        return Err(Error::Values { what, values, needed });
                    }
                    summary::project(&mut graph, value, map.len(), &projection.weights, &projection.bias)
                }
            };
            wanted.push(summary::add(
                &mut graph,
                value,
                seeds,
                summary::Request { clip: part.clip, samples },
            ));
        }
        wanted.extend(classes);
        let mut all_shapes = shapes.to_vec();
        all_shapes.push(vec![batch, 1, 1]);
        let request = Request { gradients: false, ..Request::of_shapes(all_shapes, wanted) };
        let plan = model.compile(&graph, &request)?;
        let seeds = plan.inputs.len() - 1;
        let summarized = |layer: &UnitLayer| -> Result<SummarizedLayer> {
            let (mut parts, mut map) = (Vec::new(), Vec::new());
            for part in &layer.parts {
                let shape = model.map_of(part.read, shapes)?.shape().to_vec();
                let target = read.iter().position(|known| known == part).unwrap_or(0);
                let channels = part.projection.as_ref().map_or(shape[1], |projection| projection.bias.len());
                parts.push(Part { target, channels, clip: part.clip });
                map = shape[2..].to_vec();
            }
            let channels = parts.iter().map(|part| part.channels).sum();
            Ok(SummarizedLayer { channels, map, parts })
        };
        let layers = layers.iter().map(summarized).collect::<Result<Vec<_>>>()?;
        let inputs = match input {
            Some(input) => vec![input],
            None => PictureInput::used(model, &plan.inputs[..seeds])?,
        };
        inputs.iter().try_for_each(|input| model.check_colors(input.index))?;
        let session = CpuSession::new(Arc::new(plan))?;
        let logits = logits.then_some(read.len());
        Ok(Self { session, layers, logits, inputs, seeds, batch, samples })
    }

    /// The layers that are summarized.
    pub fn layers(&self) -> &[SummarizedLayer] {
        &self.layers
    }

    /// The inputs that are fed: one for photographs, or several of clips.
    pub fn inputs(&self) -> &[PictureInput] {
        &self.inputs
    }

    /// Number of images in the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Runs the network on a batch. `picture` returns the display image of an entry for one of the inputs, by
    /// its index in [`SummarySession::inputs`]. `seed` returns the random seed of an entry's samples, at most
    /// [`summary::MAX_SEED`].
    ///
    /// # Panics
    /// If an image's length differs from the display image's.
    pub fn run<'a>(
        &mut self,
        seed: impl Fn(usize) -> u32,
        picture: impl Fn(usize, usize) -> &'a [f32] + Sync,
    ) {
        feed_all(&self.inputs, &mut self.session, self.batch, picture);
        let seeds = self.session.input_mut(self.seeds);
        seeds.iter_mut().enumerate().for_each(|(entry, to)| *to = seed(entry) as f32);
        self.session.forward();
    }

    /// Returns the summaries of all channels of a layer for a batch entry, part by part.
    pub fn summaries(&self, layer: usize, entry: usize) -> impl Iterator<Item = Summaries<'_>> + Clone {
        self.layers[layer].parts.iter().map(move |&Part { target, channels, clip }| {
            let len = channels * summary::len(self.samples);
            let numbers = &self.session.activation(target)[entry * len..][..len];
            Summaries { numbers, channels, clip }
        })
    }

    /// Returns the logits of a batch entry; `None` if they are not computed.
    pub fn logits(&self, entry: usize) -> Option<&[f32]> {
        let all = self.session.activation(self.logits?);
        let classes = all.len() / self.batch;
        Some(&all[entry * classes..][..classes])
    }
}

/// Adds an input for the random seeds of the samples.
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
