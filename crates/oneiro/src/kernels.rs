//! Kernels of a network's first layer, in the picture's own colours.
//!
//! A channel that is linear in the picture is one dot product at each position. So the gradient of the
//! channel at one position is its kernel. It includes everything before the layer: preprocessing, batch
//! normalisation, order of channels. The kernels of a patch embedding are found in the same way as those of a
//! convolution.

pub(crate) mod error;

use oneiro_net::{Rules, ValueId, analysis};

use crate::error::Result;
use crate::input::PictureInput;
use crate::model::Model;
use crate::objective::{Direction, Objective, Position, Term, TermKind, Toward};
use crate::objective_session::ObjectiveSession;
use crate::rng::Stream;

pub use error::KernelError;

/// Number of channels that are differentiated together.
const AT_ONCE: usize = 16;
/// Value of the grey picture at which kernels are computed.
const GREY: f32 = 0.5;
/// Largest relative difference between a kernel at two pictures that counts as rounding.
const SAME: f64 = 1e-3;
/// Range of the noise that activates channels which are otherwise zero. It lies so far beyond white and black
/// that no bias is as large.
const FAR: f32 = 1e3;

/// Kernels of channels, all of the same height and width.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernels {
    /// Number of channels of the kernels: the picture's channels, or 1 if the network sees grey only.
    pub channels: usize,
    /// Height and width of the receptive field of all channels of the layer, even if only some are requested.
    pub size: [usize; 2],
    /// The channels to draw as red, green and blue.
    pub shown: [usize; 3],
    /// One kernel for each requested channel, as (channels, height, width): the change of the channel's value
    /// per display unit of the picture. If the network sees grey only, all colours change together. The
    /// kernel is zero if no picture changes the channel.
    pub kernels: Vec<Vec<f32>>,
}

/// Operators that are linear in their operand, whatever their attributes.
const LINEAR: [&str; 17] = [
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Concat",
    "Flatten",
    "GlobalAveragePool",
    "Identity",
    "Neg",
    "Pad",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Slice",
    "Squeeze",
    "Sum",
    "Transpose",
    "Unsqueeze",
];
/// Operators that are linear if only one operand depends on the input.
const LINEAR_IN_ONE: [&str; 6] = ["Conv", "ConvTranspose", "Div", "Gemm", "MatMul", "Mul"];
/// Operators with weights of their own among [`LINEAR`] and [`LINEAR_IN_ONE`].
const WITH_WEIGHTS: [&str; 4] = ["BatchNormalization", "Conv", "Gemm", "MatMul"];
/// Operators whose results depend on the shape of their operand alone.
const SHAPES: [&str; 2] = ["Shape", "Size"];
/// Operators that add or subtract operands.
const SUMS: [&str; 2] = ["Add", "Sub"];

/// Whether a value is an affine function of the inputs, by the operators on the way. Values computed by other
/// operators count as not affine.
pub fn is_affine(model: &Model, value: ValueId) -> bool {
    let graph = &model.graph;
    let needed = analysis::ancestors(graph, &[value]);
    let nodes = || graph.nodes.iter().zip(&needed).filter(|(_, needed)| **needed).map(|(node, _)| node);
    // Whether each value depends on an input. Nodes are in the order in which they run.
    let mut flows = vec![false; graph.values.len()];
    graph.inputs.iter().for_each(|input| flows[input.value.index()] = true);
    for node in nodes() {
        let op = node.op.op_type();
        // A shape does not depend on what a picture shows.
        if SHAPES.contains(&op) {
            continue;
        }
        let flowing = node.inputs.iter().flatten().filter(|v| flows[v.index()]).count();
        let divides = op == "Div" && node.inputs.get(1).copied().flatten().is_some_and(|v| flows[v.index()]);
        let is_linear = flowing == 0
            || LINEAR.contains(&op)
            || SUMS.contains(&op)
            || LINEAR_IN_ONE.contains(&op) && flowing == 1 && !divides;
        if !is_linear {
            return false;
        }
        node.outputs.iter().flatten().for_each(|v| flows[v.index()] = flowing > 0);
    }
    flows[value.index()]
}

/// Computes the kernels of some channels of a layer.
///
/// # Errors
/// [`KernelError`] if a channel is not linear in the picture, or no channel of the layer depends on it. Also
/// errors of compiling the network.
pub fn kernels(model: &Model, layer: &str, channels: &[usize]) -> Result<Kernels> {
    model.threads().run(|| gather(model, layer, channels))
}

fn gather(model: &Model, layer: &str, channels: &[usize]) -> Result<Kernels> {
    let mut gradients: Vec<Vec<f32>> = Vec::new();
    let constant = || KernelError::Constant { layer: layer.to_owned() };
    let mut of_layer = None;
    for chunk in channels.chunks(at_once(model, layer, channels.len())) {
        let objectives: Vec<Objective> =
            chunk.iter().map(|&c| Objective::neuron(layer, c, Position::Center)).collect();
        let mut compiled = Compiled::new(model, &objectives)?;
        let found = compiled.checked_kernels(chunk).map_err(|channel| KernelError::NotLinear {
            layer: layer.to_owned(),
            channel,
            linear: linear_before(model, layer),
        })?;
        gradients.extend(found);
        if of_layer.is_none() {
            let all = compiled.session.plan().targets[0].shape.get(1).copied().unwrap_or(1);
            of_layer = Some((whole_layer(model, layer, all, chunk.len())?, compiled.input));
        }
    }
    let (whole, input) = of_layer.ok_or_else(constant)?;
    let [height, width] = input.extent.size();
    let read = gradients.iter().chain(std::iter::once(&whole));
    let [rows, columns] = support(read, [height, width]).ok_or_else(constant)?;
    let cut = |gradient: Vec<f32>| {
        let lines = gradient.chunks_exact(width).enumerate();
        let kept = lines.filter(|(line, _)| rows.contains(&(line % height)));
        kept.flat_map(|(_, line)| line[columns.clone()].to_vec()).collect()
    };
    let mut kernels: Vec<Vec<f32>> = gradients.into_iter().map(cut).collect();
    let mut found = (input.extent.channels, input.preprocess.shown());
    if input.preprocess.sees_gray() {
        let plane = rows.len() * columns.len();
        kernels.iter_mut().for_each(|kernel| *kernel = summed(kernel, plane));
        found = (1, [0; 3]);
    }
    let (channels, shown) = found;
    Ok(Kernels { channels, size: [rows.len(), columns.len()], shown, kernels })
}

/// A network with one channel of the layer in each batch entry.
struct Compiled {
    session: ObjectiveSession,
    input: PictureInput,
    batch: usize,
}

impl Compiled {
    fn new(model: &Model, objectives: &[Objective]) -> Result<Self> {
        let batch = objectives.len();
        let shapes = model.input_shapes(batch, None)?;
        let input = PictureInput::only(model, &shapes)?;
        let session = ObjectiveSession::new(model, objectives, &[], shapes, true)?;
        Ok(Self { session, input, batch })
    }

    /// Computes values and gradients of all batch entries, each at its own picture.
    fn gradients(&mut self, pictures: &[Vec<f32>]) -> (Vec<f64>, Vec<Vec<f32>>) {
        let Self { session, input, batch } = self;
        input.feed(session, *batch, |entry| &pictures[entry]);
        session.forward();
        let values = (0..*batch).map(|entry| session.value(entry)).collect();
        (0..*batch).for_each(|entry| session.seed(entry, 1.0));
        session.backward(&Rules::default());
        let gradient = |(entry, picture): (usize, &Vec<f32>)| {
            let mut gradient = vec![0.0; picture.len()];
            input.gradient(session, [entry, *batch], picture, &mut gradient);
            gradient
        };
        (values, pictures.iter().enumerate().map(gradient).collect())
    }

    /// Returns the gradients of these channels, after checking that they are equal for every picture. The
    /// error is the first channel for which they are not.
    ///
    /// A linear channel takes its extremes at two pictures that follow from its gradient. If the gradients
    /// there equal those at grey and at noise, no threshold lies between these pictures. A gradient of zero
    /// determines no such pictures. Instead, noise far beyond white and black, in both signs, would change
    /// the value of an inactive or saturated channel.
    fn checked_kernels(&mut self, channels: &[usize]) -> Result<Vec<Vec<f32>>, usize> {
        let n = self.input.extent.values();
        let mut stream = Stream::new(0, 0);
        let noise: Vec<f32> = (0..n).map(|_| stream.range_i32(0, 255) as f32 / 255.0).collect();
        let (values, at_grey) = self.gradients(&vec![vec![GREY; n]; self.batch]);
        let extreme = |sign: f32| {
            let of_entry = |gradient: &Vec<f32>| {
                if gradient.iter().all(|g| *g == 0.0) {
                    return noise.iter().map(|x| sign * FAR * (x - GREY)).collect();
                }
                let pixel = |g: &f32| if *g == 0.0 { GREY } else { f32::from(u8::from(sign * g > 0.0)) };
                gradient.iter().map(pixel).collect::<Vec<f32>>()
            };
            at_grey.iter().map(of_entry).collect::<Vec<_>>()
        };
        for pictures in [vec![noise.clone(); self.batch], extreme(1.0), extreme(-1.0)] {
            let (values_there, there) = self.gradients(&pictures);
            let is_linear = |entry: usize| {
                let is_zero = at_grey[entry].iter().all(|g| *g == 0.0);
                are_same(&at_grey[entry], &there[entry]) && (!is_zero || values_there[entry] == values[entry])
            };
            if let Some(entry) = (0..self.batch).find(|&entry| !is_linear(entry)) {
                return Err(channels[entry]);
            }
        }
        Ok(at_grey)
    }
}

/// Returns the name of the batch normalization that alone reads a layer, if there is one. It scales the
/// layer's channels, so the network's kernels are those behind it.
pub fn normalization_behind(model: &Model, layer: &str) -> Option<String> {
    let own = model.resolve(layer).ok()?;
    let mut readers = model.graph.nodes.iter().filter(|node| node.inputs.contains(&Some(own)));
    let reader = readers.next().filter(|_| readers.next().is_none())?;
    let output = reader.outputs.first().copied().flatten();
    let output = output.filter(|_| reader.op.op_type() == "BatchNormalization")?;
    model.names().of(output).into_iter().next()
}

/// Returns the name of the last layer with weights of its own in front of a layer that is linear in the
/// picture. A batch normalization scales the kernels of the convolution before it.
fn linear_before(model: &Model, layer: &str) -> Option<String> {
    let own = model.resolve(layer).ok()?;
    let before = analysis::ancestors(&model.graph, &[own]);
    let nodes = model.graph.nodes.iter().zip(before).rev().filter(|(_, is_before)| *is_before);
    let with_weights = nodes.filter(|(node, _)| WITH_WEIGHTS.contains(&node.op.op_type()));
    let mut outputs = with_weights.filter_map(|(node, _)| node.outputs.first().copied().flatten());
    let found = outputs.find(|value| *value != own && is_affine(model, *value))?;
    model.names().of(found).into_iter().next()
}

/// Returns the gradient of all channels of a layer together, each with another weight. It is zero only at
/// pixels that no channel reads.
fn whole_layer(model: &Model, layer: &str, channels: usize, batch: usize) -> Result<Vec<f32>> {
    let mut stream = Stream::new(0, 1);
    let weights = (0..channels).map(|_| stream.range_i32(1, 255) as f32).collect();
    let direction =
        Direction { toward: Toward::Numbers(weights), minus: None, power: 0.0, at: Some(Position::Center) };
    let objective: Objective = Term::new(layer, TermKind::Direction(direction)).into();
    let mut compiled = Compiled::new(model, &vec![objective; batch])?;
    let n = compiled.input.extent.values();
    let (_, mut gradients) = compiled.gradients(&vec![vec![GREY; n]; batch]);
    Ok(gradients.swap_remove(0))
}

/// Number of channels that are computed together: 1 if the network does not accept the batch.
fn at_once(model: &Model, layer: &str, channels: usize) -> usize {
    let accepts = |batch: usize| {
        let shapes = model.input_shapes(batch, None)?;
        ObjectiveSession::accepts(model, &[Objective::neuron(layer, 0, Position::Center)], shapes)
    };
    let wanted = channels.clamp(1, AT_ONCE);
    if accepts(wanted).is_ok() { wanted } else { 1 }
}

/// Adds up the planes of a kernel, one for each channel of the picture.
fn summed(kernel: &[f32], plane: usize) -> Vec<f32> {
    (0..plane).map(|i| kernel[i..].iter().step_by(plane).sum()).collect()
}

fn are_same(a: &[f32], b: &[f32]) -> bool {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let difference = square(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    let norm = square(&mut a.iter().chain(b).map(|&x| f64::from(x)));
    difference <= SAME * SAME * norm
}

/// Returns the rows and columns in which any gradient is not zero.
fn support<'a>(
    gradients: impl Iterator<Item = &'a Vec<f32>>,
    [height, width]: [usize; 2],
) -> Option<[std::ops::Range<usize>; 2]> {
    let mut found: Option<[[usize; 2]; 2]> = None;
    for gradient in gradients {
        for (i, _) in gradient.iter().enumerate().filter(|(_, g)| **g != 0.0) {
            let at = [i / width % height, i % width];
            found = Some(match found {
                None => at.map(|x| [x, x]),
                Some(box_) => [0, 1].map(|axis| [box_[axis][0].min(at[axis]), box_[axis][1].max(at[axis])]),
            });
        }
    }
    Some(found?.map(|[first, last]| first..last + 1))
}
