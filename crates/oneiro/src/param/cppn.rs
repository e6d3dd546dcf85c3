//! A compositional pattern-producing network (Stanley 2007; Mordvintsev et al., "Differentiable Image
//! Parameterizations", Distill 2018): a small network from the position of a pixel to its colour.
//!
//! The parameters are the layers one after another, each with its weights `[outputs, inputs]` and its biases.
//! The first layer reads (x, y), with (0, 0) at the centre. They run from −√3 to √3 along the longer side of
//! the image, so that they have variance 1, and with equal spacing along the other side. A hidden layer
//! computes u = atan(W·h + b), and passes on u/0.67 and u²/0.6. The last layer's values pass a sigmoid.
//!
//! The network is independent of resolution: [`Cppn::with_size`] shows the same weights at another size.

use super::{Param, Work, check_still, normal_numbers};
use crate::error::{Error, Result};
use crate::parallel;
use crate::rng::Stream;
use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

mod kernels;

use kernels::{BLOCK, Scratch, backward, forward};

/// Hidden layers in Lucid's notebook on CPPNs (`optvis/param/cppn.py`, `num_layers`).
const LUCID_LAYERS: usize = 8;
/// Units of a hidden layer in Lucid's notebook (`optvis/param/cppn.py`, `num_hidden_channels`).
const LUCID_HIDDEN: usize = 24;
/// Most hidden layers, and most units of each: 60 million multiplications a pixel.
const MAX_LAYERS: usize = 64;
const MAX_HIDDEN: usize = 1024;
/// Number of tasks into which pixels are divided. Each task sums its gradients separately, so the result
/// depends on this number.
const TASKS: usize = 32;

/// Settings of [`Cppn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CppnOptions {
    /// Number of hidden layers of the network.
    pub layers: usize,
    /// Number of units in each hidden layer.
    pub hidden: usize,
}

impl Default for CppnOptions {
    /// The default is the settings of Lucid.
    fn default() -> CppnOptions {
        CppnOptions { layers: LUCID_LAYERS, hidden: LUCID_HIDDEN }
    }
}

/// Sizes of a network layer, and the places of its weights and biases among the parameters.
#[derive(Debug, Clone, Copy)]
struct Layer {
    inputs: usize,
    outputs: usize,
    weights: usize,
    biases: usize,
}

/// The weights of a network over (x, y).
#[derive(Debug, Clone)]
pub struct Cppn {
    extent: Extent,
    options: CppnOptions,
    layers: Vec<Layer>,
    len: usize,
}

impl Cppn {
    /// Creates a network that draws still images.
    ///
    /// # Errors
    ///
    /// If there are not 1 to 64 hidden layers of 1 to 1024 units.
    pub fn new(extent: impl Into<Extent>, options: CppnOptions) -> Result<Cppn> {
        let extent = extent.into();
        check_still("cppn", extent)?;
        if !(1..=MAX_LAYERS).contains(&options.layers) || !(1..=MAX_HIDDEN).contains(&options.hidden) {
            return Err(Error::out_of_range(
                "the size of the CPPN",
                format!("{} hidden layers of {} units", options.layers, options.hidden),
                format!("1 to {MAX_LAYERS} of 1 to {MAX_HIDDEN}"),
            ));
        }
        assert!(!extent.is_empty(), "an image of {extent} has no pixels");
        let (mut layers, mut len) = (Vec::new(), 0);
        for at in 0..=options.layers {
            let inputs = if at == 0 { 2 } else { 2 * options.hidden };
            let outputs = if at == options.layers { extent.channels } else { options.hidden };
            let biases = len + inputs * outputs;
            layers.push(Layer { inputs, outputs, weights: len, biases });
            len = biases + outputs;
        }
        Ok(Cppn { extent, options, layers, len })
    }

    /// Returns the network at another height and width, with the same parameters.
    pub fn with_size(&self, size: [usize; 2]) -> Cppn {
        let extent = self.extent.with_size(size);
        assert!(!extent.is_empty(), "an image of {extent} has no pixels");
        Cppn { extent, ..self.clone() }
    }

    fn pixels(&self) -> usize {
        self.extent.plane()
    }

    /// Number of pixels in each task, a multiple of the block.
    fn share(&self) -> usize {
        self.pixels().div_ceil(BLOCK).div_ceil(TASKS) * BLOCK
    }

    /// Returns the ranges of pixels of a task, block by block.
    fn blocks(&self, task: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (from, pixels, share) = (task * self.share(), self.pixels(), self.share());
        let to = (from + share).min(pixels);
        (from..to).step_by(BLOCK).map(move |start| (start, BLOCK.min(to - start)))
    }

    fn tasks(&self) -> usize {
        self.pixels().div_ceil(self.share())
    }

    /// Computes x and y of the pixels from `start` on.
    fn coordinates(&self, start: usize, count: usize, scratch: &mut Scratch) {
        let [height, width] = self.extent.size();
        let longest = (height.max(width) - 1).max(1) as f64;
        let unit = 2.0 * 3.0f64.sqrt() / longest;
        let along = |at: usize, len: usize| (unit * (at as f64 - (len - 1) as f64 / 2.0)) as f32;
        let (xs, ys) = scratch.inputs[0].split_at_mut(BLOCK);
        for k in 0..count {
            (xs[k], ys[k]) = (along((start + k) % width, width), along((start + k) / width, height));
        }
    }
}

impl Param for Cppn {
    fn len(&self) -> usize {
        self.len
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    /// Weights are normal with variance 1/inputs, and biases are 0. The last layer is 0, so that the first
    /// image is middle grey (Lucid).
    fn init(&self, rng: &mut Stream, _shared: &mut Stream) -> Vec<f32> {
        let mut params = vec![0.0; self.len];
        for layer in &self.layers[..self.options.layers] {
            let std = (1.0 / layer.inputs as f64).sqrt() as f32;
            let weights = normal_numbers(rng, layer.inputs * layer.outputs, 0.0, std);
            params[layer.weights..layer.biases].copy_from_slice(&weights);
        }
        params
    }

    /// There is no inverse: few images can be produced by a network of this size.
    fn from_image(&self, _image: &[f32]) -> Option<Vec<f32>> {
        None
    }

    fn work(&self) -> Work {
        Work::default()
    }

    fn image(&self, params: &[f32], _work: &mut Work, out: &mut [f32]) {
        assert_eq!(params.len(), self.len, "the weights of a network");
        let (channels, pixels, share) = (self.extent.channels, self.pixels(), self.share());
        // Each channel's plane, divided into the tasks' parts.
        let mut parts: Vec<Vec<&mut [f32]>> = (0..self.tasks()).map(|_| Vec::new()).collect();
        for plane in out.chunks_exact_mut(pixels) {
            plane.chunks_mut(share).zip(&mut parts).for_each(|(part, parts)| parts.push(part));
        }
        parallel::each(parts.into_iter(), |task, mut parts| {
            let mut scratch = Scratch::new(&self.layers);
            for (start, count) in self.blocks(task) {
                self.coordinates(start, count, &mut scratch);
                forward(&self.layers, params, &mut scratch);
                for channel in 0..channels {
                    let at = start - task * share;
                    parts[channel][at..at + count]
                        .copy_from_slice(&scratch.output[channel * BLOCK..][..count]);
                }
            }
        });
    }

    /// Runs the network again, block by block. Storing all activations of a picture would take more time than
    /// computing them.
    fn adjoint(&self, params: &[f32], _work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        let (channels, pixels) = (self.extent.channels, self.pixels());
        let mut sums: Vec<Vec<f32>> = (0..self.tasks()).map(|_| Vec::new()).collect();
        parallel::each(sums.iter_mut(), |task, sum| {
            let mut scratch = Scratch::new(&self.layers);
            sum.resize(self.len, 0.0);
            for (start, count) in self.blocks(task) {
                self.coordinates(start, count, &mut scratch);
                forward(&self.layers, params, &mut scratch);
                scratch.gradient[..channels * BLOCK].fill(0.0);
                for channel in 0..channels {
                    let gradient = &grad_image[channel * pixels + start..][..count];
                    scratch.gradient[channel * BLOCK..][..count].copy_from_slice(gradient);
                }
                backward(&self.layers, params, &mut scratch, sum);
            }
        });
        grad_params.fill(0.0);
        for sum in &sums {
            grad_params.iter_mut().zip(sum).for_each(|(g, s)| *g += s);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks;
    use super::*;

    #[test]
    fn gradient() {
        for shape in [[3, 5, 7], [1, 1, 1], [2, 40, 31]] {
            let param = Cppn::new(shape, CppnOptions { layers: 2, hidden: 5 }).unwrap();
            checks::assert_gradient(&param, 0.5, 1e-3, 5e-3);
        }
        assert!(Cppn::new([3, 2, 2], CppnOptions::default()).unwrap().from_image(&[0.5; 12]).is_none());
    }

    #[test]
    fn the_image_is_that_of_the_formula() {
        let param = Cppn::new([1, 2, 3], CppnOptions { layers: 1, hidden: 1 }).unwrap();
        let params = [0.5, -0.25, 0.1, 0.7, -0.3, 0.2];
        let image = checks::image_of(&param, &params);
        for (at, value) in image.iter().enumerate() {
            let root = 3.0f64.sqrt();
            let (x, y) = ([-root, 0.0, root][at % 3], [-root / 2.0, root / 2.0][at / 3]);
            let u = (0.5 * x - 0.25 * y + 0.1).atan();
            let last = 0.7 * u / 0.67 - 0.3 * u * u / 0.6 + 0.2;
            assert!((f64::from(*value) - 1.0 / (1.0 + (-last).exp())).abs() < 1e-6);
        }
    }

    #[test]
    fn the_first_image_is_middle_grey_at_any_size() {
        let param = Cppn::new([3, 4, 4], CppnOptions::default()).unwrap();
        let start = checks::start_of(&param, 0);
        assert_eq!(checks::image_of(&param, &start), [0.5; 48]);
        assert_eq!(checks::image_of(&param.with_size([1, 3]), &start), [0.5; 9]);
    }

    #[test]
    fn the_same_weights_show_the_same_picture_at_another_size() {
        let param = Cppn::new([2, 3, 5], CppnOptions { layers: 2, hidden: 6 }).unwrap();
        let params = normal_numbers(&mut Stream::new(2, 0), param.len(), 0.0, 0.7);
        let (small, large) = (param.with_size([5, 9]), param.with_size([9, 17]));
        let (a, b) = (checks::image_of(&small, &params), checks::image_of(&large, &params));
        for channel in 0..2 {
            for at in 0..45 {
                let (y, x) = (at / 9, at % 9);
                let difference = a[channel * 45 + at] - b[channel * 153 + 2 * y * 17 + 2 * x];
                assert!(difference.abs() < 1e-5, "{channel} {y} {x}: {difference}");
            }
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let param = Cppn::new([3, 90, 70], CppnOptions { layers: 2, hidden: 7 }).unwrap();
        let params = normal_numbers(&mut Stream::new(2, 0), param.len(), 0.0, 0.7);
        let y = normal_numbers(&mut Stream::new(3, 0), 3 * 6300, 0.0, 1.0);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut gradient = vec![0.0; param.len()];
                param.adjoint(&params, &mut param.work(), &y, &mut gradient);
                (checks::image_of(&param, &params), gradient)
            })
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn impossible_networks_are_refused() {
        for (layers, hidden) in [(0, 24), (8, 0), (65, 24), (8, 1025)] {
            assert!(Cppn::new([3, 8, 8], CppnOptions { layers, hidden }).is_err());
        }
    }
}
