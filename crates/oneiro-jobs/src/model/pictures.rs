//! Picture inputs of integers, and picture inputs with other axes than batch, channels, height and width.

use oneiro::card::{Card, InputCard, InputKind, TensorLayout};
use oneiro::model::{PictureAxes, picture_axes};
use oneiro_net::Graph;
use oneiro_net::graph::Input;
use oneiro_net::tensor::DType;

use super::ModelSpec;
use super::error::{InputAxesProblem, ModelError};
use super::inputs::{self, is_read};
use crate::error::Result;
use crate::remark::PreparationRemark;

/// Returns the inferred axes of an input with 2 or 3 axes, if it is a picture.
pub fn guess(graph: &Graph, input: &Input) -> Option<PictureAxes> {
    if !matches!(inputs::rank(input), 2 | 3) {
        return None;
    }
    picture_axes(graph, graph.inputs.iter().position(|i| i.value == input.value)?)
}

/// Returns the number of channels of a picture input, if the file fixes it.
pub fn channels(graph: &Graph, input: &Input, card: &InputCard, layout: TensorLayout) -> Option<usize> {
    let Some(axes) = &card.axes else {
        return match guess(graph, input) {
            Some(guess) => guess.channels,
            None => inputs::channels(input, layout),
        };
    };
    let at = axes.groups().iter().position(|g| g == &[oneiro::card::Axis::C]);
    match at {
        Some(at) => inputs::fixed(input, at),
        None if axes.has(oneiro::card::Axis::C) => None,
        None => Some(1),
    }
}

/// Sets the layout to channels last if an input without a batch axis cannot be anything else.
pub fn guess_layout(card: &mut Card, graph: &Graph, given: bool, notes: &mut Vec<PreparationRemark>) {
    if given || card.layout == TensorLayout::Nhwc {
        return;
    }
    let last = |i: &&Input| is_read(graph, i) && guess(graph, i).is_some_and(|g| g.axes.channels_last());
    if let Some(input) = graph.inputs.iter().find(last) {
        card.layout = TensorLayout::Nhwc;
        notes.push(PreparationRemark::ChannelsLast { input: graph.name(input.value).to_owned() });
    }
}

/// Sets the axes of the picture input to the given ones, and remarks on axes that are guessed. Returns
/// whether this turned a tensor into a picture whose preprocessing is not given.
pub fn apply_axes(
    card: &mut Card,
    args: &ModelSpec,
    graph: &Graph,
    notes: &mut Vec<PreparationRemark>,
) -> Result<bool> {
    if let Some(axes) = &args.input_axes {
        let fits = |i: &&Input| inputs::rank(i) == axes.groups().len() && is_read(graph, i);
        let fitting: Vec<&Input> = graph.inputs.iter().filter(fits).collect();
        let refuse = |problem| Err(ModelError::InputAxes { axes: axes.clone(), problem }.into());
        let [of_graph] = fitting[..] else {
            let count = axes.groups().len();
            if fitting.is_empty() {
                let read = graph.inputs.iter().filter(|i| is_read(graph, i));
                let ranks = read.map(|i| (graph.name(i.value).to_owned(), inputs::rank(i))).collect();
                return refuse(InputAxesProblem::Count { count, ranks });
            }
            return refuse(InputAxesProblem::Ambiguous { inputs: fitting.len(), count });
        };
        let (name, layout) = (graph.name(of_graph.value), card.layout);
        let input = card.input.iter_mut().find(|i| i.name == name);
        let Some(input) = input else {
            return refuse(InputAxesProblem::NotInCard { input: name.to_owned() });
        };
        let was_tensor = input.kind == InputKind::Tensor;
        if was_tensor {
            let preset = InputCard::preset(preset_for(of_graph, args), name)?;
            *input = InputCard { size: input.size, ..preset };
        }
        input.axes = Some(axes.clone());
        if was_tensor && channels(graph, of_graph, input, layout) == Some(1) {
            input.to_gray();
            notes.push(PreparationRemark::Gray);
        }
        return Ok(was_tensor);
    }
    for input in card.input.iter().filter(|i| i.kind == InputKind::Image && i.axes.is_none()) {
        let Some(of_graph) = graph.inputs.iter().find(|i| graph.name(i.value) == input.name) else {
            continue;
        };
        if let Some(PictureAxes { axes, .. }) = guess(graph, of_graph) {
            notes.push(PreparationRemark::AxesGuessed {
                input: input.name.clone(),
                count: axes.groups().len(),
                axes: axes.to_string(),
            });
        }
    }
    Ok(false)
}

/// Whether all picture inputs take integers, from which pixel values from 0 to 255 are concluded.
pub fn all_integers(graph: &Graph) -> bool {
    let mut pictures = graph.inputs.iter().filter(|i| is_read(graph, i) && inputs::rank(i) >= 2).peekable();
    pictures.peek().is_some() && pictures.all(|i| i.dtype == DType::Int)
}

/// Returns the preprocessing of a picture for which none is given. Integers are the pixel values of picture
/// files.
pub fn preset_for(input: &Input, args: &ModelSpec) -> &'static str {
    let unsaid = args.mean.is_none() && args.std.is_none() && args.range.is_none();
    if input.dtype == DType::Int && unsaid { "none" } else { "imagenet" }
}

/// Returns a remark on a picture input of integers.
pub fn note_on_integers(input: &Input, card: &InputCard) -> Option<PreparationRemark> {
    /// The smallest range of values with which a picture of integers is plausible.
    const FEW: f32 = 16.0;
    if input.dtype != DType::Int || card.kind == InputKind::Tensor {
        return None;
    }
    let ends = |white: f32| card.mean.iter().zip(&card.std).map(move |(m, s)| (white - m) / s);
    let low = ends(0.0).fold(f32::INFINITY, f32::min);
    let high = ends(card.range).fold(f32::NEG_INFINITY, f32::max);
    let (input, doubtful) = (card.name.clone(), high - low < FEW);
    Some(PreparationRemark::Integers { input, ends: [low, high], doubtful })
}
