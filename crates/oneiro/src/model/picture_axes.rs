//! Finds the axes of a picture input in the graph, and replaces the input by one with batch, channels, height
//! and width.

use oneiro_net::ValueId;
use oneiro_net::beginning::{View, viewed_input};
use oneiro_net::graph::{Dim, Graph, Node};
use oneiro_net::tensor::Tensor;

use super::{AxesProblem, InputError, Model};
use crate::card::{Axis, InputAxes, InputCard, InputKind, TensorLayout};
use crate::error::{Error, Result};

/// Numbers of channels that pictures have by default.
const USUAL_CHANNELS: [usize; 2] = [1, 3];
/// Smallest side of a picture whose axes are guessed. Shorter axes mostly are lists of measurements.
const LEAST_SIDE: usize = 8;
/// Most nodes, one after another, that are followed from an input.
const DEPTH: usize = 32;

/// The axes of a picture input, inferred from the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureAxes {
    /// The meaning of the input's axes.
    pub axes: InputAxes,
    /// Height and width, if axes are flattened.
    pub size: Option<[usize; 2]>,
    /// Number of channels; `None` if the file leaves it open.
    pub channels: Option<usize>,
}

/// What the readers of an input of rank 2 or 3 tell about its axes.
enum Evidence {
    /// Axes of extent 1 are added at these positions of the result.
    Unsqueezed(Vec<usize>),
    /// The input is reshaped to this shape, in the notation of `Reshape`.
    Reshaped(Vec<i64>),
    /// Each batch entry is flattened to a row.
    Flattened,
    /// The axes are permuted in this order.
    Moved(Vec<usize>),
    /// Operators on sequences or rows of features read the input.
    NoPicture,
}

/// Infers the axes of a picture input without batch or channels, from its shape and its readers. Returns
/// `None` if it is no picture or its axes are ambiguous.
pub fn picture_axes(graph: &Graph, input: usize) -> Option<PictureAxes> {
    let dims = graph.inputs.get(input)?.dims.as_deref()?;
    let evidence = evidence(graph, graph.inputs[input].value, dims.len(), DEPTH);
    let fixed = |i: usize| if let Some(Dim::Fixed(n)) = dims.get(i) { Some(*n) } else { None };
    let usual = |n: Option<usize>| n.is_some_and(|n| USUAL_CHANNELS.contains(&n));
    let large = |i: usize| fixed(i).is_none_or(|n| n >= LEAST_SIDE);
    let of = |text: &str, size: Option<[usize; 2]>, channels: Option<usize>| {
        Some(PictureAxes { axes: text.parse().ok()?, size, channels })
    };
    let (first, last) = (fixed(0), fixed(dims.len().checked_sub(1)?));
    match (dims.len(), evidence) {
        (3, Some(Evidence::Unsqueezed(at))) => match at[..] {
            [0] if usual(last) && !usual(first) => of("H,W,C", None, last),
            [0] if usual(first) || first.is_none() => of("C,H,W", None, first),
            [1] | [3] if large(1) && large(2) => of("N,H,W", None, Some(1)),
            _ => None,
        },
        (3, Some(Evidence::Moved(order))) if order == [2, 0, 1] && usual(last) && large(0) && large(1) => {
            of("H,W,C", None, last)
        }
        (3, Some(Evidence::Reshaped(shape))) => match shape[..] {
            [_, 1, h, w] | [_, h, w, 1] if kept(h, fixed(1)) && kept(w, fixed(2)) => {
                of("N,H,W", None, Some(1))
            }
            [1, c, ..] if usual(first) && first == usize::try_from(c).ok() => of("C,H,W", None, first),
            [1, .., c] if usual(last) && last == usize::try_from(c).ok() => of("H,W,C", None, last),
            [_, _]
                if first != Some(3) && fixed(1).is_some() && fixed(2).is_some() && large(1) && large(2) =>
            {
                of("N,H,W", None, Some(1))
            }
            _ => None,
        },
        (3, Some(Evidence::Flattened)) => {
            let sides = fixed(1).is_some() && fixed(2).is_some() && large(1) && large(2);
            (sides && first != Some(3)).then(|| of("N,H,W", None, Some(1)))?
        }
        (3, None) if first == Some(3) && large(1) && large(2) => of("C,H,W", None, first),
        (2, Some(Evidence::Unsqueezed(at))) if at == [0, 1] && large(0) && large(1) => {
            of("H,W", None, Some(1))
        }
        (2, Some(Evidence::Reshaped(shape))) => {
            let size = |h: i64, w: i64| Some([usize::try_from(h).ok()?, usize::try_from(w).ok()?]);
            match shape[..] {
                [_, 1, h, w] | [_, h, w, 1]
                    if size(h, w).is_some_and(|[h, w]| dims == [Dim::Fixed(h), Dim::Fixed(w)]) =>
                {
                    of("H,W", None, Some(1))
                }
                [_, 1, h, w] | [_, h, w, 1] => {
                    let size = size(h, w).filter(|&[h, w]| h.checked_mul(w) == last)?;
                    of("N,H*W", Some(size), Some(1))
                }
                [_, 3, h, w] => {
                    let size = size(h, w)
                        .filter(|&[h, w]| 3usize.checked_mul(h).and_then(|n| n.checked_mul(w)) == last)?;
                    of("N,C*H*W", Some(size), Some(3))
                }
                [_, h, w, 3] => {
                    let size = size(h, w)
                        .filter(|&[h, w]| 3usize.checked_mul(h).and_then(|n| n.checked_mul(w)) == last)?;
                    of("N,H*W*C", Some(size), Some(3))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether an extent of a `Reshape` may keep the operand's extent: 0, −1 and an equal extent may.
fn kept(extent: i64, before: Option<usize>) -> bool {
    extent <= 0 || before.is_none_or(|n| i64::try_from(n) == Ok(extent))
}

/// Returns what the first reader tells that changes the rank of a value, or that shows that it is no picture.
fn evidence(graph: &Graph, value: ValueId, rank: usize, depth: usize) -> Option<Evidence> {
    let depth = depth.checked_sub(1)?;
    let readers = graph.nodes.iter().filter(|n| n.inputs.contains(&Some(value)));
    readers.into_iter().find_map(|node| by_reader(graph, node, value, rank, depth))
}

fn by_reader(graph: &Graph, node: &Node, value: ValueId, rank: usize, depth: usize) -> Option<Evidence> {
    if !matches!(node.op.op_type(), "Add" | "Sub" | "Mul" | "Div")
        && node.inputs.first() != Some(&Some(value))
    {
        return None;
    }
    let constant = |i: usize| -> Option<&Tensor> {
        graph.values[node.inputs.get(i).copied().flatten()?.index()].constant.as_ref()
    };
    let ints = |i: usize| constant(i)?.as_ints().ok().map(<[i64]>::to_vec);
    let next = || evidence(graph, node.outputs.first().copied().flatten()?, rank, depth);
    match node.op.op_type() {
        "Unsqueeze" => {
            let axes = match node.op.unsqueezed_axes()? {
                Some(axes) => axes.to_vec(),
                None => ints(1)?,
            };
            let result = (rank + axes.len()) as i64;
            let mut axes: Vec<usize> = axes
                .into_iter()
                .map(|a| usize::try_from(if a < 0 { a + result } else { a }).ok())
                .collect::<Option<_>>()?;
            axes.sort_unstable();
            // A second `Unsqueeze` may add the remaining axes.
            if rank + axes.len() < 4
                && let Some(Evidence::Unsqueezed(more)) =
                    evidence(graph, node.outputs.first().copied().flatten()?, rank + axes.len(), depth)
            {
                return Some(Evidence::Unsqueezed(composed(&axes, &more)));
            }
            Some(Evidence::Unsqueezed(axes))
        }
        "Reshape" => ints(1).map(Evidence::Reshaped),
        "Flatten" => Some(Evidence::Flattened),
        "Transpose" => node.op.permutation().map(|order| Evidence::Moved(order.to_vec())),
        "Conv" | "ConvTranspose" | "MatMul" | "Gemm" | "LSTM" | "GRU" | "RNN" | "MaxPool" | "AveragePool" => {
            Some(Evidence::NoPicture)
        }
        "Cast" | "CastLike" | "Identity" | "Add" | "Sub" | "Mul" | "Div" | "Clip" | "Relu" | "Neg"
        | "Resize" | "Pad" | "Dropout" => next(),
        _ => None,
    }
}

/// Returns the final positions of the axes of extent 1 if some are added at `first`, and then others at
/// positions `then` of the result.
fn composed(first: &[usize], then: &[usize]) -> Vec<usize> {
    let mut all = then.to_vec();
    for &axis in first {
        // The position of an earlier axis among those that the second step leaves free.
        let free = (0..).filter(|i| !then.contains(i)).nth(axis);
        all.extend(free);
    }
    all.sort_unstable();
    all
}

/// Returns the axes of a picture input that does not have batch, channels, height and width. Returns `None`
/// if it has them, or if its rank is not possible for a picture.
///
/// # Errors
/// If the axes or the size in the card do not fit.
pub(super) fn axes_of(
    graph: &Graph,
    input: usize,
    card: &InputCard,
    layout: TensorLayout,
) -> Result<Option<PictureAxes>> {
    let Some(dims) = graph.inputs[input].dims.as_deref() else { return Ok(None) };
    let fail = |problem| InputError::Axes { input: card.name.clone(), rank: dims.len(), problem }.into();
    if card.kind != InputKind::Image {
        return Ok(None);
    }
    let Some(axes) = &card.axes else {
        if !matches!(dims.len(), 2 | 3) {
            return Ok(None);
        }
        return match picture_axes(graph, input).or_else(|| by_card(dims, card, layout)) {
            Some(found) => Ok(Some(found)),
            None => Err(fail(AxesProblem::Unknown)),
        };
    };
    if axes.groups().len() != dims.len() {
        return Err(fail(AxesProblem::Count { axes: axes.clone() }));
    }
    let plain = if layout == TensorLayout::Nhwc { "N,H,W,C" } else { "N,C,H,W" };
    if axes.to_string() == plain {
        return Ok(None);
    }
    if axes.has(Axis::C) && axes.channels_last() != (layout == TensorLayout::Nhwc) {
        let layout = if axes.channels_last() { "nhwc" } else { "nchw" };
        return Err(fail(AxesProblem::Layout { axes: axes.clone(), layout }));
    }
    let extent = |axis: Axis| {
        let at = axes.groups().iter().position(|g| g == &[axis])?;
        if let Dim::Fixed(n) = dims[at] { Some(n) } else { None }
    };
    let Some(joined) = axes.groups().iter().position(|g| g.len() > 1) else {
        let channels = if axes.has(Axis::C) { extent(Axis::C) } else { Some(1) };
        return Ok(Some(PictureAxes { axes: axes.clone(), size: None, channels }));
    };
    let Dim::Fixed(all) = dims[joined] else {
        return Err(fail(AxesProblem::Open { axes: axes.clone() }));
    };
    let channels = match axes.groups()[joined].contains(&Axis::C) {
        true => Some(card.channels()),
        false if axes.has(Axis::C) => extent(Axis::C),
        false => Some(1),
    };
    let within = if axes.groups()[joined].contains(&Axis::C) { card.channels() } else { 1 };
    let square = (all / within.max(1)).isqrt();
    let [h, w] = card.size.unwrap_or([square, square]);
    if h.checked_mul(w).and_then(|n| n.checked_mul(within)) != Some(all) {
        return Err(fail(AxesProblem::Extent { extent: all, channels: within, size: [h, w] }));
    }
    Ok(Some(PictureAxes { axes: axes.clone(), size: Some([h, w]), channels }))
}

/// Returns the axes of a picture that the card describes, if the graph does not determine them.
fn by_card(dims: &[Dim], card: &InputCard, layout: TensorLayout) -> Option<PictureAxes> {
    let of = |text: &str, size, channels| Some(PictureAxes { axes: text.parse().ok()?, size, channels });
    let channels = card.channels();
    match (dims, layout) {
        ([c, _, _], TensorLayout::Nchw) if *c == Dim::Fixed(channels) && channels > 1 => {
            of("C,H,W", None, Some(channels))
        }
        ([_, _, c], TensorLayout::Nhwc) if *c == Dim::Fixed(channels) => of("H,W,C", None, Some(channels)),
        ([_, _, _], _) if channels == 1 => of("N,H,W", None, Some(1)),
        ([Dim::Fixed(h), Dim::Fixed(w)], _) if card.size == Some([*h, *w]) => of("H,W", None, Some(1)),
        ([_, Dim::Fixed(all)], _) => {
            let size @ [h, w] = card.size?;
            let text = match layout {
                _ if channels == 1 => "N,H*W",
                TensorLayout::Nchw => "N,C*H*W",
                TensorLayout::Nhwc => "N,H*W*C",
            };
            (h.checked_mul(w)?.checked_mul(channels)? == *all)
                .then(|| of(text, Some(size), Some(channels)))?
        }
        _ => None,
    }
}

/// Replaces an input by one with batch and channels. Returns the value of the original input.
pub(super) fn with_all_axes(
    graph: &mut Graph,
    input: usize,
    found: &PictureAxes,
    layout: TensorLayout,
) -> Result<ValueId> {
    let dims = graph.inputs[input].dims.clone().unwrap_or_default();
    let axes = &found.axes;
    let last = layout == TensorLayout::Nhwc;
    let order =
        if last { [Axis::N, Axis::H, Axis::W, Axis::C] } else { [Axis::N, Axis::C, Axis::H, Axis::W] };
    let own = |axis: Axis| axes.groups().iter().position(|g| g == &[axis]).map(|at| dims[at].clone());
    let dim = |axis: Axis| match (axis, own(axis), found.size) {
        (_, Some(dim), _) => dim,
        (Axis::H, None, Some([h, _])) => Dim::Fixed(h),
        (Axis::W, None, Some([_, w])) => Dim::Fixed(w),
        (Axis::C, None, _) => Dim::Fixed(found.channels.unwrap_or(1)),
        _ => Dim::Fixed(1),
    };
    let full: Vec<Dim> = order.iter().map(|&axis| dim(axis)).collect();
    let view = if axes.is_flat() {
        match (axes.has(Axis::N), axes.groups().len()) {
            (true, 2) => View::Flatten(1),
            (false, 1) => View::Reshape(vec![-1]),
            _ => {
                return Err(Error::Settings(format!(
                    "the axes {axes}: all but the batch can be joined, or none; export the network with one of these"
                )));
            }
        }
    } else {
        let missing = (0i64..).zip(order).filter(|(_, axis)| !axes.has(*axis));
        View::Squeeze(missing.map(|(at, _)| at).collect())
    };
    Ok(viewed_input(graph, input, full, &view))
}

impl Model {
    /// Returns the shapes in which tensors of the file's form are fed to the network: those of pictures with
    /// all four axes.
    ///
    /// # Errors
    /// If a shape has another number of axes than the file's input.
    pub fn with_all_axes(&self, shapes: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
        let last = self.card.layout == TensorLayout::Nhwc;
        let order =
            if last { [Axis::N, Axis::H, Axis::W, Axis::C] } else { [Axis::N, Axis::C, Axis::H, Axis::W] };
        let full = |(input, shape): (usize, &Vec<usize>)| {
            let Some(axes) = self.card.input.get(input).and_then(|card| card.axes.as_ref()) else {
                return Ok(shape.clone());
            };
            let groups = axes.groups();
            if groups.len() == 4 {
                return Ok(shape.clone());
            }
            let name = &self.card.input[input].name;
            if shape.len() != groups.len() {
                return Err(Error::Settings(format!(
                    "input \"{name}\" has the axes {axes}, and the tensor for it has shape {shape:?}"
                )));
            }
            let fixed = self.graph.default_shape(input).unwrap_or_default();
            let extent = |(at, axis): (usize, &Axis)| match groups.iter().position(|g| g == &[*axis]) {
                Some(own) => shape[own],
                None => fixed.get(at).copied().unwrap_or(1),
            };
            let full: Vec<usize> = order.iter().enumerate().map(extent).collect();
            if full.iter().product::<usize>() != shape.iter().product::<usize>() {
                return Err(Error::Settings(format!(
                    "input \"{name}\" has the axes {axes}, as {fixed:?}, and the tensor for it has shape {shape:?}"
                )));
            }
            Ok(full)
        };
        shapes.iter().enumerate().map(full).collect()
    }
}
