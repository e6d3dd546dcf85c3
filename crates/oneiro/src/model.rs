//! A network with its card: names of layers, and the meaning of its inputs.

use std::sync::Arc;

use oneiro_net::axes::Axes;
use oneiro_net::beginning::fed_channels_first;
use oneiro_net::graph::Dim;
use oneiro_net::names::Names;
use oneiro_net::plan::Compilation;
use oneiro_net::{Graph, Plan, Request, Threads, ValueId};

use crate::card::{Axis, Card, ChannelOrder, InputCard, InputKind, TensorLayout};
use crate::error::{Error, Result};
use crate::objective::{Objective, Reads, Term};
use crate::preprocess::FLOW_COMPONENTS;

mod axes;
mod begin;
mod fed;
#[cfg(feature = "files")]
pub mod files;
pub mod head;
pub(crate) mod input_error;
mod layer_name;
mod picture_axes;
#[cfg(test)]
mod tests;
pub mod unit_layers;
pub mod unit_weights;

pub use axes::{Layered, Target, View};
pub use begin::{Begun, Declared, begin_at};
pub use fed::Fed;
pub use head::{Activation, Head, OutputError};
pub use input_error::{AxesProblem, InputError};
pub use layer_name::resolve_layer;
pub use picture_axes::{PictureAxes, picture_axes};

/// Default side of a picture, if caller, card and model state none: that of most ImageNet networks.
pub const DEFAULT_SIDE: usize = 224;

/// The files that hold a model's weights.
pub trait WeightFiles: std::fmt::Debug + Send + Sync {
    /// Releases the memory of these bytes, if they lie in one of the files. The operating system reloads them
    /// when they are read.
    fn give_back(&self, bytes: &[u8]);
}

/// A graph and the card that describes its inputs.
#[derive(Debug, Clone)]
pub struct Model {
    /// The network's graph.
    pub graph: Graph,
    /// The meaning of its inputs: one entry for each input of the graph, in the graph's order.
    pub card: Card,
    /// Whether channels-last inputs were replaced by channels-first inputs.
    turned: bool,
    /// The values of the inputs that were replaced.
    replaced: Vec<ValueId>,
    /// Axes of values for which the graph does not determine them.
    stated_axes: Vec<(ValueId, Axes)>,
    /// Whether a picture input has no batch axis in the file.
    unbatched: bool,
    /// The cards of inputs that were replaced by constants ([`Model::fed`]).
    constant: Vec<InputCard>,
    /// The file's declarations of tensors inside the graph.
    declared: Arc<Declared>,
    /// The class output, once it has been determined.
    known: head::Known,
    /// The files that hold the weights, if their memory can be released.
    weight_files: Option<Arc<dyn WeightFiles>>,
    /// Threads on which the model's plans run.
    threads: Threads,
}

impl Model {
    /// Combines a graph with its card. Every input of the graph needs an entry in the card. Sets the number
    /// of bands.
    pub fn new(graph: Graph, mut card: Card) -> Result<Self> {
        let names: Vec<String> = graph.inputs.iter().map(|i| graph.name(i.value).to_owned()).collect();
        if names.is_empty() {
            return Err(InputError::NoInput.into());
        }
        if let Some(extra) = card.input.iter().find(|i| !names.contains(&i.name)) {
            return Err(InputError::NotInNetwork { input: extra.name.clone(), known: names }.into());
        }
        let inputs = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let read = is_read(&graph, i);
                match card.input(name) {
                    Some(input) => {
                        let mut input = input.clone();
                        let channels = channels(&graph, i, card.layout);
                        input.fit_bands(channels)?;
                        input.fit_flow(channels)?;
                        Ok(input)
                    }
                    // Inputs that no node reads, which exporters leave in files, need no entry.
                    None if !read => Ok(InputCard::tensor(name)),
                    None => {
                        let described = card.input.iter().map(|i| i.name.clone()).collect();
                        Err(InputError::NotInCard { input: name.clone(), described }.into())
                    }
                }
            })
            .collect::<Result<Vec<InputCard>>>()?;
        card.input = inputs;
        let (turned, replaced, unbatched, constant) = (false, Vec::new(), false, Vec::new());
        let stated_axes = Vec::new();
        let (declared, known) = (Arc::default(), head::Known::default());
        let mut model = Self {
            graph,
            card,
            turned,
            replaced,
            stated_axes,
            unbatched,
            constant,
            declared,
            known,
            weight_files: None,
            threads: Threads::default(),
        };
        model.give_all_axes()?;
        Ok(model)
    }

    /// Sets the files that hold the weights. The memory of packed weights is then released.
    pub fn with_weight_files(mut self, files: Arc<dyn WeightFiles>) -> Self {
        self.weight_files = Some(files);
        self
    }

    /// Sets the threads for everything that is compiled from this model.
    pub fn on(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// Threads on which the model's sessions run.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Compiles this network's graph, or one derived from it, for the network's threads. Releases the memory
    /// of weights as soon as they are packed.
    pub(crate) fn compile(&self, graph: &Graph, request: &Request) -> oneiro_net::Result<Plan> {
        let request = Request { threads: self.threads.clone(), ..request.clone() };
        let mut compilation = Compilation::new(graph, &request)?;
        while let Some(packed) = compilation.step()? {
            if let Some(files) = &self.weight_files {
                packed.iter().for_each(|bytes| files.give_back(bytes));
            }
        }
        compilation.finish()
    }

    /// Number of batch entries in inputs of these shapes: axis 0 of the first picture. Without a picture,
    /// axis 0 of the first other input that a node reads and that has more than one axis.
    pub fn batch(&self, shapes: &[Vec<usize>]) -> usize {
        let picture = |i: usize| self.card.input.get(i).is_some_and(|card| card.kind != InputKind::Tensor);
        let rank = |i: usize| shapes[i].len();
        let candidates = [
            (0..shapes.len()).find(|&i| picture(i) && self.is_read(i) && rank(i) > 0),
            (0..shapes.len()).find(|&i| picture(i) && rank(i) > 0),
            (0..shapes.len()).find(|&i| self.is_read(i) && rank(i) > 1),
            (0..shapes.len()).find(|&i| self.is_read(i) && rank(i) > 0),
        ];
        candidates.into_iter().flatten().next().map_or(1, |i| shapes[i][0])
    }

    /// Whether the network takes one picture at a time because its input has no batch axis.
    pub fn is_unbatched(&self) -> bool {
        self.unbatched
    }

    /// Whether any node of the graph reads this input.
    pub fn is_read(&self, input: usize) -> bool {
        is_read(&self.graph, input)
    }

    /// Whether the network takes clips or optical flow.
    pub fn takes_clips(&self) -> bool {
        let inputs = self.card.input.iter().enumerate();
        let of_clips = |kind: InputKind| matches!(kind, InputKind::Clip | InputKind::Flow);
        inputs.filter(|(_, input)| of_clips(input.kind)).any(|(index, _)| self.is_read(index))
    }

    /// Replaces channels-last inputs by channels-first inputs. Code that prepares pictures needs this form.
    /// Raw tensors are fed to the network in its original form.
    pub fn for_pictures(self) -> Self {
        if self.card.layout == TensorLayout::Nchw {
            return self;
        }
        let pictures: Vec<bool> = self.card.input.iter().map(|i| i.kind != InputKind::Tensor).collect();
        let (graph, turned) = fed_channels_first(&self.graph, &pictures);
        let replaced = self.replaced.iter().copied().chain(turned).collect();
        Self { graph, turned: true, replaced, ..self }
    }

    /// Whether picture inputs are channels last. This is so for a channels-last file before
    /// [`Model::for_pictures`].
    pub(crate) fn reads_channels_last(&self) -> bool {
        self.card.layout == TensorLayout::Nhwc && !self.turned
    }

    /// Height and width in inputs of these shapes: those of the first picture, else of the first other input
    /// that has both.
    pub fn plane(&self, shapes: &[Vec<usize>]) -> Option<[usize; 2]> {
        let inputs = self.card.input.iter().zip(shapes).filter(|(_, shape)| shape.len() >= 4);
        let is_picture = |card: &InputCard| card.kind != InputKind::Tensor;
        let mut pictures = inputs.clone().filter(|(card, _)| is_picture(card));
        let (card, shape) = pictures.next().or_else(|| inputs.clone().next())?;
        let behind = usize::from(is_picture(card) && self.reads_channels_last());
        Some([shape[shape.len() - 2 - behind], shape[shape.len() - 1 - behind]])
    }

    /// Replaces picture inputs without batch or channels, or with flattened axes, by inputs with all four
    /// axes.
    fn give_all_axes(&mut self) -> Result<()> {
        for input in 0..self.graph.inputs.len() {
            let Some(found) =
                picture_axes::axes_of(&self.graph, input, &self.card.input[input], self.card.layout)?
            else {
                continue;
            };
            let old = picture_axes::with_all_axes(&mut self.graph, input, &found, self.card.layout)?;
            self.replaced.push(old);
            self.unbatched |= !found.axes.has(Axis::N);
            // A card that records the size and axes needs no guess the next time.
            self.card.input[input].size = found.size.or(self.card.input[input].size);
            self.card.input[input].axes = Some(found.axes);
        }
        Ok(())
    }

    /// The values of the original inputs that [`Model::for_pictures`] replaced. They are no layers of the
    /// network.
    pub fn replaced_inputs(&self) -> &[ValueId] {
        &self.replaced
    }

    /// States the axes of a value for which the graph does not determine them, such as an input at which a
    /// network was cut.
    pub fn state_axes(&mut self, value: ValueId, axes: Axes) {
        self.stated_axes.retain(|(known, _)| *known != value);
        self.stated_axes.push((value, axes));
    }

    /// Checks that an input of this shape, (N, C, H, W) or (N, C, T, H, W), can be fed with pictures, clips
    /// or flow as its card says.
    pub fn check_picture(&self, input: usize, shape: &[usize]) -> Result<()> {
        let card = &self.card.input[input];
        let name = &card.name;
        let (channels, width) = match (card.kind, shape) {
            (InputKind::Clip, &[_, channels, _, _, width]) => (channels, width),
            (InputKind::Clip, _) => {
                return Err(InputError::NotFiveAxes { input: name.clone(), shape: shape.to_vec() }.into());
            }
            (_, &[_, channels, _, width]) => (channels, width),
            _ => return Err(InputError::NotFourAxes { input: name.clone(), shape: shape.to_vec() }.into()),
        };
        let wanted = match card.kind {
            InputKind::Flow => FLOW_COMPONENTS * card.frames.unwrap_or(1),
            _ => card.channels(),
        };
        if channels == wanted {
            return Ok(());
        }
        let maybe_last = width == wanted && self.card.layout == TensorLayout::Nchw;
        Err(InputError::Channels { input: name.clone(), channels, prepared: wanted, maybe_last }.into())
    }

    /// Returns the index of the only input for single images.
    ///
    /// # Errors
    /// If there is none, or several inputs take pictures.
    pub fn image_input(&self) -> Result<usize> {
        let inputs = self.card.input.iter().enumerate();
        let pictures: Vec<(usize, &InputCard)> =
            inputs.filter(|(_, i)| i.kind != InputKind::Tensor).collect();
        let quoted = |name: &String| format!("\"{name}\"");
        let why = match pictures[..] {
            [(at, card)] if card.kind == InputKind::Image => return Ok(at),
            [(_, card)] => {
                let what = if card.kind == InputKind::Clip { "clips" } else { "optical flow" };
                format!("its input {} takes {what}", quoted(&card.name))
            }
            [] => {
                let names: Vec<String> = self.card.input.iter().map(|i| quoted(&i.name)).collect();
                format!("nothing says that {} is a picture", names.join(" or "))
            }
            _ => {
                let names: Vec<String> = pictures.iter().map(|(_, card)| quoted(&card.name)).collect();
                format!("it takes several pictures at once, {}", names.join(" and "))
            }
        };
        Err(InputError::NotSingleImages { why }.into())
    }

    /// Returns an error if an input takes bands, for techniques that work on photographs only.
    pub fn check_colors(&self, input: usize) -> Result<()> {
        let card = &self.card.input[input];
        if card.order != ChannelOrder::Bands {
            return Ok(());
        }
        Err(InputError::Bands { input: card.name.clone(), bands: card.channels() }.into())
    }

    /// Returns the names of layers, including the card's short names.
    pub fn names(&self) -> Names<'_> {
        let short: Vec<(&str, &str)> =
            self.card.layers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        Names::new(&self.graph, &short)
    }

    /// Returns the value of a layer by its name.
    ///
    /// # Errors
    /// [`Error::Layer`] with the most similar names.
    pub fn resolve(&self, layer: &str) -> Result<ValueId> {
        resolve_layer(&self.graph, &self.card, layer)
    }

    /// Returns the value that a term reads. A term that reads the picture is an error.
    pub fn value_of(&self, term: &Term) -> Result<ValueId> {
        match term.reads() {
            Reads::Output => self.logits(),
            Reads::Layer | Reads::Batch => self.resolve(&term.layer),
            Reads::Input => Err(Error::Unit(format!("{term} reads the picture, not a layer"))),
        }
    }

    /// Returns the indices of the network inputs that an objective depends on, in ascending order.
    ///
    /// # Errors
    /// If a term reads a layer that the network does not have.
    pub fn inputs_of(&self, objective: &Objective) -> Result<Vec<usize>> {
        let terms = objective.terms().into_iter().filter(|term| term.reads() != Reads::Input);
        Ok(self.inputs_behind(&terms.map(|term| self.value_of(term)).collect::<Result<Vec<ValueId>>>()?))
    }

    /// Returns the inputs that values depend on, by their places, in their order.
    pub(crate) fn inputs_behind(&self, values: &[ValueId]) -> Vec<usize> {
        let mut open = values.to_vec();
        let mut seen = vec![false; self.graph.values.len()];
        while let Some(value) = open.pop() {
            if std::mem::replace(&mut seen[value.index()], true) {
                continue;
            }
            let makers = self.graph.nodes.iter().filter(|node| node.outputs.contains(&Some(value)));
            open.extend(makers.flat_map(|node| node.inputs.iter().flatten().copied()));
        }
        let inputs = self.graph.inputs.iter().enumerate();
        inputs.filter(|(_, input)| seen[input.value.index()]).map(|(index, _)| index).collect()
    }

    /// Returns the values that an objective's terms read, in their order. A term that reads the picture is an
    /// error.
    pub fn values_of(&self, objective: &Objective) -> Result<Vec<ValueId>> {
        objective.terms().into_iter().map(|term| self.value_of(term)).collect()
    }

    /// Returns the shapes of all inputs for a batch. `size` replaces height and width of image inputs.
    ///
    /// Height and width come from the first of these that exists: `size`, the card, the exported shape,
    /// [`DEFAULT_SIDE`].
    pub fn input_shapes(&self, batch: usize, size: Option<[usize; 2]>) -> Result<Vec<Vec<usize>>> {
        (0..self.graph.inputs.len())
            .map(|i| {
                let card = &self.card.input[i];
                let name = &card.name;
                let exported = self.graph.inputs[i].dims.as_ref().map(Vec::len);
                let rank = exported.unwrap_or(4);
                let mut shape = self.graph.default_shape(i).unwrap_or_else(|| vec![1; rank]);
                if card.kind == InputKind::Tensor {
                    self.fit_tensor(i, &mut shape, batch, size);
                    return Ok(shape);
                }
                if rank < 3 {
                    return Err(InputError::FewAxes { input: name.clone(), shape }.into());
                }
                if self.unbatched && batch > 1 {
                    return Err(InputError::Unbatched { input: name.clone(), batch }.into());
                }
                shape[0] = batch;
                // If channels are last, they come after frames, height and width.
                let last = self.reads_channels_last();
                let [frames_axis, y, x] =
                    if last { [1, rank - 3, rank - 2] } else { [2, rank - 2, rank - 1] };
                match size.or(card.size) {
                    // With fewer than two spatial axes, height and width have no meaning.
                    _ if rank < 4 => {}
                    Some([h, w]) => (shape[y], shape[x]) = (h, w),
                    None => {
                        let dims = self.graph.inputs[i].dims.as_deref().unwrap_or_default();
                        for axis in [y, x] {
                            if !matches!(dims.get(axis), Some(Dim::Fixed(_))) {
                                shape[axis] = DEFAULT_SIDE;
                            }
                        }
                    }
                }
                if let (5, Some(frames)) = (rank, card.frames) {
                    shape[frames_axis] = frames;
                }
                let channels = if last { rank - 1 } else { 1 };
                let dims = self.graph.inputs[i].dims.as_deref().unwrap_or_default();
                if card.kind != InputKind::Flow && !matches!(dims.get(channels), Some(Dim::Fixed(_))) {
                    shape[channels] = card.channels();
                }
                Ok(shape)
            })
            .collect()
    }
}

impl Model {
    /// Sets the open extents of an input that is no picture. `size` applies to its last two axes if the model
    /// leaves them open, or if it is the only input.
    fn fit_tensor(&self, input: usize, shape: &mut [usize], batch: usize, size: Option<[usize; 2]>) {
        let rank = shape.len();
        let dims = self.graph.inputs[input].dims.as_deref().unwrap_or_default();
        // A list of fixed length holds settings, such as a height and a width. A constant number applies to
        // all batch entries.
        let is_list = rank == 1 && matches!(dims.first(), Some(Dim::Fixed(_)));
        if let (Some(n), false) = (shape.first_mut(), is_list) {
            *n = batch;
        }
        if rank < 4 {
            return;
        }
        for (axis, side) in [(rank - 2, 0), (rank - 1, 1)] {
            let fixed = matches!(dims.get(axis), Some(Dim::Fixed(_)));
            match size {
                Some(size) if !fixed || self.graph.inputs.len() == 1 => shape[axis] = size[side],
                None if !fixed => shape[axis] = DEFAULT_SIDE,
                _ => {}
            }
        }
    }
}

/// Extent of an input's channel axis, if the graph fixes it.
fn channels(graph: &Graph, input: usize, layout: TensorLayout) -> Option<usize> {
    let dims = graph.inputs[input].dims.as_ref()?;
    let axis = if layout == TensorLayout::Nhwc { dims.len().checked_sub(1)? } else { 1 };
    match dims.get(axis)? {
        Dim::Fixed(n) => Some(*n),
        Dim::Free(_) => None,
    }
}

fn is_read(graph: &Graph, input: usize) -> bool {
    let value = Some(graph.inputs[input].value);
    graph.nodes.iter().any(|n| n.inputs.contains(&value))
}
