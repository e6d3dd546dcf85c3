//! A network with its card: names of layers, what its inputs mean.

use std::borrow::Cow;

use oneiro_net::graph::Dim;
use oneiro_net::layout;
use oneiro_net::names::Names;
use oneiro_net::typed;
use oneiro_net::{Graph, ValueId};

use crate::card::{Card, ChannelOrder, InputCard, InputKind, Layout};
use crate::error::{Error, Result};
use crate::objective::{Reads, Term};

pub mod head;

pub use head::{Activation, Head};

/// Side of a picture when neither a person nor the card nor the model says: what most ImageNet networks use.
pub const DEFAULT_SIDE: usize = 224;

/// A graph and the card that describes its inputs.
#[derive(Debug, Clone)]
pub struct Model {
    /// The network.
    pub graph: Graph,
    /// What its inputs mean; one entry an input of the graph, in the graph's order.
    pub card: Card,
    /// Whether inputs with channels last were replaced by such with channels first.
    turned: bool,
    /// The values that those inputs were.
    replaced: Vec<ValueId>,
    /// What is known of the class output.
    known: head::Known,
}

impl Model {
    /// Pairs a graph with its card; every input of the graph needs an entry. Bands get their number.
    pub fn new(graph: Graph, mut card: Card) -> Result<Self> {
        let names: Vec<String> = graph.inputs.iter().map(|i| graph.name(i.value).to_owned()).collect();
        let listed = || card.input.iter().map(|i| i.name.clone()).collect::<Vec<_>>().join(", ");
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
            .enumerate()
            .map(|(i, name)| {
                let read = is_read(&graph, i);
                match card.input(name) {
                    Some(input) => {
                        let mut input = input.clone();
                        input.fit_bands(channels(&graph, i, card.layout))?;
                        Ok(input)
                    }
                    // Exporters leave inputs in the file that no node reads.
                    None if !read => Ok(InputCard::tensor(name)),
                    None => Err(Error::Settings(format!(
                        "the card does not describe input \"{name}\" of the network (only {}); add an [[input]] for it, with \
                         kind = \"tensor\" if it is no picture",
                        listed()
                    ))),
                }
            })
            .collect::<Result<Vec<InputCard>>>()?;
        card.input = inputs;
        Ok(Self { graph, card, turned: false, replaced: Vec::new(), known: head::Known::default() })
    }

    /// Whether any node reads an input.
    pub fn is_read(&self, input: usize) -> bool {
        is_read(&self.graph, input)
    }

    /// The same network, fed with channels first where the card says that they are last: what whoever prepares pictures
    /// needs. Raw tensors go into the network as it is.
    pub fn for_pictures(self) -> Self {
        if self.card.layout == Layout::Nchw {
            return self;
        }
        let pictures: Vec<bool> = self.card.input.iter().map(|i| i.kind != InputKind::Tensor).collect();
        let (graph, replaced) = layout::fed_channels_first(&self.graph, &pictures);
        Self { graph, card: self.card, turned: true, replaced, known: self.known }
    }

    /// The values behind inputs that [`Model::for_pictures`] replaced: no layers of the network.
    pub fn replaced_inputs(&self) -> &[ValueId] {
        &self.replaced
    }

    /// The graph, and the values in it that hold those asked for with channels on axis 1, for inputs of these shapes.
    pub fn channels_first(
        &self,
        values: &[ValueId],
        shapes: &[Vec<usize>],
    ) -> Result<(Cow<'_, Graph>, Vec<ValueId>)> {
        if self.card.layout == Layout::Nchw {
            return Ok((Cow::Borrowed(&self.graph), values.to_vec()));
        }
        let needed = typed::ancestors(&self.graph, values);
        let facts = typed::infer(&self.graph, shapes, &needed, |_, _| Ok(()))?;
        let last = |(i, input): (usize, &InputCard)| match (input.kind, self.turned) {
            (InputKind::Tensor, _) | (_, true) => 1,
            _ => shapes[i].len().saturating_sub(1).max(1),
        };
        let inputs: Vec<usize> = self.card.input.iter().enumerate().map(last).collect();
        let axes = layout::channel_axes(&self.graph, &facts, &inputs);
        let mut graph = self.graph.clone();
        let mut turn = |&value: &ValueId| {
            let rank = facts[value.index()].as_ref().map_or(0, |f| f.shape.len());
            match axes[value.index()] {
                axis if axis > 1 && axis < rank => layout::channels_first(&mut graph, value, axis, rank),
                _ => value,
            }
        };
        let turned = values.iter().map(&mut turn).collect();
        Ok((Cow::Owned(graph), turned))
    }

    /// Checks that an input of this shape, (N, C, H, W), can be fed with pictures as its card says.
    pub fn check_picture(&self, input: usize, shape: &[usize]) -> Result<()> {
        let card = &self.card.input[input];
        let (name, wanted) = (&card.name, card.channels());
        let &[_, channels, _, width] = shape else {
            return Err(Error::Settings(format!(
                "input \"{name}\" has shape {shape:?}; pictures need four axes: batch, channels, height, width (export the \
                 network for a batch)"
            )));
        };
        if channels == wanted {
            return Ok(());
        }
        let hint = if width == wanted && self.card.layout == Layout::Nchw {
            "; its last axis has as many: if that is where the channels are, the card needs layout = \"nhwc\" (or give \
             --layout nhwc)"
        } else {
            "; try --order rgb, bgr or gray, or bands for channels that are no colours"
        };
        Err(Error::Settings(format!(
            "input \"{name}\" has {channels} channels, its card says {wanted}{hint}"
        )))
    }

    /// An error if an input takes bands: for those who work on photographs alone.
    pub fn check_colors(&self, input: usize) -> Result<()> {
        let card = &self.card.input[input];
        if card.order != ChannelOrder::Bands {
            return Ok(());
        }
        Err(Error::Settings(format!(
            "input \"{}\" takes pictures of {} bands, and this works on photographs (order = \"rgb\", \"bgr\" or \"gray\"); \
             `render`, `sheet`, `invert`, `caricature`, `accentuate` and `grid` take bands",
            card.name,
            card.channels()
        )))
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

    /// The value that a term reads; an error for one that reads the picture.
    pub fn value_of(&self, term: &Term) -> Result<ValueId> {
        match term.reads() {
            Reads::Output => self.logits(),
            Reads::Layer | Reads::Batch => self.resolve(&term.layer),
            Reads::Input => Err(Error::Unit(format!("{term} reads the picture, not a layer"))),
        }
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
                if card.kind == InputKind::Tensor {
                    self.fit_tensor(i, &mut shape, batch, size);
                    return Ok(shape);
                }
                if rank < 3 {
                    return Err(Error::Settings(format!(
                        "input \"{name}\" has shape {shape:?}; images, clips and flow have at least 3 axes, so its card should \
                         say kind = \"tensor\""
                    )));
                }
                shape[0] = batch;
                // Height, width and frames stand before the channels where those are last.
                let last = self.card.layout == Layout::Nhwc && !self.turned;
                let [frames_axis, y, x] =
                    if last { [1, rank - 3, rank - 2] } else { [2, rank - 2, rank - 1] };
                match size.or(card.size) {
                    // One spatial axis or none: height and width mean nothing.
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
    /// The shape of an input that is no picture: a size means its last two axes where the model leaves them open, or
    /// where it is the only input.
    fn fit_tensor(&self, input: usize, shape: &mut [usize], batch: usize, size: Option<[usize; 2]>) {
        if let Some(n) = shape.first_mut() {
            *n = batch;
        }
        let rank = shape.len();
        if rank < 4 {
            return;
        }
        let dims = self.graph.inputs[input].dims.as_deref().unwrap_or_default();
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
fn channels(graph: &Graph, input: usize, layout: Layout) -> Option<usize> {
    let dims = graph.inputs[input].dims.as_ref()?;
    let axis = if layout == Layout::Nhwc { dims.len().checked_sub(1)? } else { 1 };
    match dims.get(axis)? {
        Dim::Fixed(n) => Some(*n),
        Dim::Free(_) => None,
    }
}

fn is_read(graph: &Graph, input: usize) -> bool {
    let value = Some(graph.inputs[input].value);
    graph.nodes.iter().any(|n| n.inputs.contains(&value))
}
