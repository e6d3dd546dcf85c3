//! Kernels of a network's first layer, as pictures have them.
//!
//! A channel that is linear in the picture is one dot product at each position. The gradient of the channel
//! there is its kernel, whatever stands between picture and layer: preparation, batch normalisation, an order
//! of channels. So kernels are in the picture's own colours, and those of a patch embedding are found as
//! those of a convolution are.

pub(crate) mod error;

use oneiro_net::Rules;

use crate::error::Result;
use crate::input::PictureInput;
use crate::model::Model;
use crate::objective::{Objective, Position};
use crate::objective_session::ObjectiveSession;
use crate::rng::Stream;

pub use error::KernelError;

/// Channels that are differentiated at once.
const AT_ONCE: usize = 16;
/// Largest relative difference of a kernel at two pictures that rounding explains.
const SAME: f64 = 1e-3;

/// Kernels of channels, all of one extent.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernels {
    /// Channels of the picture.
    pub channels: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// One kernel for each channel asked for, as (channels, height, width): what the channel's value gains
    /// where the picture gains one display unit.
    pub kernels: Vec<Vec<f32>>,
}

/// The kernels of some channels of a layer.
///
/// # Errors
/// [`KernelError`] if the layer is not linear in the picture or does not depend on it; those of compiling.
pub fn kernels(model: &Model, layer: &str, channels: &[usize]) -> Result<Kernels> {
    model.threads().run(|| gather(model, layer, channels))
}

fn gather(model: &Model, layer: &str, channels: &[usize]) -> Result<Kernels> {
    let mut gradients: Vec<Vec<f32>> = Vec::new();
    let mut extent = None;
    for chunk in channels.chunks(at_once(model, layer, channels.len())) {
        let objectives: Vec<Objective> =
            chunk.iter().map(|&c| Objective::neuron(layer, c, Position::Center)).collect();
        let shapes = model.input_shapes(objectives.len(), None)?;
        let input = PictureInput::only(model, &shapes)?;
        let mut session = ObjectiveSession::new(model, &objectives, &[], shapes, true)?;
        let n = input.extent.values();
        let grey = vec![0.5; n];
        let mut noise = Stream::new(0, 0);
        let random: Vec<f32> = (0..n).map(|_| noise.range_i32(0, 255) as f32 / 255.0).collect();
        let mut of_picture = |picture: &[f32]| {
            input.feed(&mut session, chunk.len(), |_| picture);
            session.forward();
            (0..chunk.len()).for_each(|entry| session.seed(entry, 1.0));
            session.backward(&Rules::default());
            let gradient = |entry: usize| {
                let mut gradient = vec![0.0; n];
                input.gradient(&session, [entry, chunk.len()], picture, &mut gradient);
                gradient
            };
            (0..chunk.len()).map(gradient).collect::<Vec<_>>()
        };
        let at_grey = of_picture(&grey);
        if !at_grey.iter().zip(of_picture(&random)).all(|(a, b)| are_same(a, &b)) {
            return Err(KernelError::NotLinear { layer: layer.to_owned() }.into());
        }
        gradients.extend(at_grey);
        extent = Some(input.extent);
    }
    let constant = || KernelError::Constant { layer: layer.to_owned() };
    let extent = extent.ok_or_else(constant)?;
    let [height, width] = extent.size();
    let [rows, columns] = support(&gradients, [height, width]).ok_or_else(constant)?;
    let cut = |gradient: Vec<f32>| {
        let lines = gradient.chunks_exact(width).enumerate();
        let kept = lines.filter(|(line, _)| rows.contains(&(line % height)));
        kept.flat_map(|(_, line)| line[columns.clone()].to_vec()).collect()
    };
    Ok(Kernels {
        channels: extent.channels,
        size: [rows.len(), columns.len()],
        kernels: gradients.into_iter().map(cut).collect(),
    })
}

/// Channels at once: fewer where the file fixes the batch.
fn at_once(model: &Model, layer: &str, channels: usize) -> usize {
    let accepts = |batch: usize| {
        let shapes = model.input_shapes(batch, None)?;
        ObjectiveSession::accepts(model, &[Objective::neuron(layer, 0, Position::Center)], shapes)
    };
    let wanted = channels.clamp(1, AT_ONCE);
    if accepts(wanted).is_ok() { wanted } else { 1 }
}

fn are_same(a: &[f32], b: &[f32]) -> bool {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let difference = square(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    let norm = square(&mut a.iter().chain(b).map(|&x| f64::from(x)));
    difference <= SAME * SAME * norm
}

/// The rows and columns in which any gradient is not zero.
fn support(gradients: &[Vec<f32>], [height, width]: [usize; 2]) -> Option<[std::ops::Range<usize>; 2]> {
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
