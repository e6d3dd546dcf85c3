//! Pictures whose input is not of real numbers, or not of batch, channels, height and width.

use anyhow::{Result, bail};
use oneiro::card::{Card, InputAxes, InputCard, InputKind, TensorLayout};
use oneiro::model::{PictureAxes, picture_axes};
use oneiro_net::Graph;
use oneiro_net::graph::Input;
use oneiro_net::tensor::DType;

use super::ModelSpec;
use super::inputs::{self, is_read};

/// What the axes of an input of rank 2 or 3 are taken for, if it is taken for a picture.
pub fn guess(graph: &Graph, input: &Input) -> Option<PictureAxes> {
    if !matches!(inputs::rank(input), 2 | 3) {
        return None;
    }
    picture_axes(graph, graph.inputs.iter().position(|i| i.value == input.value)?)
}

/// Channels of a picture input, if the file fixes them.
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

/// Sets the layout to channels last where an input without a batch can mean nothing else.
pub fn guess_layout(card: &mut Card, graph: &Graph, given: bool, notes: &mut Vec<String>) {
    if given || card.layout == TensorLayout::Nhwc {
        return;
    }
    let last = |i: &&Input| is_read(graph, i) && guess(graph, i).is_some_and(|g| g.axes.channels_last());
    if let Some(input) = graph.inputs.iter().find(last) {
        card.layout = TensorLayout::Nhwc;
        notes.push(format!(
            "input \"{}\" has its channels on the last axis, so the network is taken for one with channels last (--layout \
             nchw if not)",
            graph.name(input.value)
        ));
    }
}

/// Gives the picture input the axes that the flag says, and tells of axes that are guessed.
pub fn apply_axes(
    card: &mut Card,
    axes: Option<&InputAxes>,
    graph: &Graph,
    notes: &mut Vec<String>,
) -> Result<()> {
    if let Some(axes) = axes {
        let fits = |i: &&Input| inputs::rank(i) == axes.groups().len() && is_read(graph, i);
        let names: Vec<&str> = graph.inputs.iter().filter(fits).map(|i| graph.name(i.value)).collect();
        let [name] = names[..] else {
            let wanted = axes.groups().len();
            if names.is_empty() {
                let read = graph.inputs.iter().filter(|i| is_read(graph, i));
                let inputs: Vec<String> =
                    read.map(|i| format!("\"{}\" has {}", graph.name(i.value), inputs::rank(i))).collect();
                bail!("--input-axes {axes} names {wanted} axes; input {}", inputs.join(", "));
            }
            bail!(
                "--input-axes {axes}: {} inputs of the network have {wanted} axes; describe them in a model card ([[input]] with axes)",
                names.len(),
            );
        };
        let input = card.input.iter_mut().find(|i| i.name == name);
        let Some(input) = input else {
            bail!("--input-axes {axes}: the model card does not describe \"{name}\"")
        };
        if input.kind == InputKind::Tensor {
            // Nothing said so far how it is prepared.
            *input = InputCard { size: input.size, ..InputCard::preset("imagenet", name)? };
            if !axes.has(oneiro::card::Axis::C) {
                input.order = oneiro::card::ChannelOrder::Gray;
                let mean = |list: &[f32]| vec![list.iter().sum::<f32>() / list.len() as f32];
                (input.mean, input.std) = (mean(&input.mean), mean(&input.std));
            }
        }
        input.axes = Some(axes.clone());
        return Ok(());
    }
    for input in card.input.iter().filter(|i| i.kind == InputKind::Image && i.axes.is_none()) {
        let Some(of_graph) = graph.inputs.iter().find(|i| graph.name(i.value) == input.name) else {
            continue;
        };
        if let Some(PictureAxes { axes, .. }) = guess(graph, of_graph) {
            notes.push(format!(
                "input \"{}\" has {} axes, which are taken for {axes} (--input-axes if they are others; kind = \"tensor\" in \
                 the card if it is no picture)",
                input.name,
                axes.groups().len()
            ));
        }
    }
    Ok(())
}

/// Whether all pictures come as integers, which says that they count from 0 to 255.
pub fn all_integers(graph: &Graph) -> bool {
    let mut pictures = graph.inputs.iter().filter(|i| is_read(graph, i) && inputs::rank(i) >= 2).peekable();
    pictures.peek().is_some() && pictures.all(|i| i.dtype == DType::Int)
}

/// The preparation of a picture that nothing is said of: integers are those of a picture's file.
pub fn preset_for(input: &Input, args: &ModelSpec) -> &'static str {
    let unsaid = args.mean.is_none() && args.std.is_none() && args.range.is_none();
    if input.dtype == DType::Int && unsaid { "none" } else { "imagenet" }
}

/// A word about a picture of integers.
pub fn note_on_integers(input: &Input, card: &InputCard) -> Option<String> {
    /// Fewer different integers than this make no picture.
    const FEW: f32 = 16.0;
    if input.dtype != DType::Int || card.kind == InputKind::Tensor {
        return None;
    }
    let ends = |white: f32| card.mean.iter().zip(&card.std).map(move |(m, s)| (white - m) / s);
    let low = ends(0.0).fold(f32::INFINITY, f32::min);
    let high = ends(card.range).fold(f32::NEG_INFINITY, f32::max);
    let doubt = if high - low < FEW {
        "; pictures of integers mostly hold 0 to 255, which --preprocess none gives"
    } else {
        ""
    };
    Some(format!(
        "input \"{}\" takes integers in the file: it is fed with the real numbers that they stand for, not rounded, black as \
         {low} and white as {high}{doubt}",
        card.name
    ))
}
