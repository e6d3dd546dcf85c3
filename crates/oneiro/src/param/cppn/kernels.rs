//! The network at a block of pixels, and its gradients: products of small matrices with rows of pixels.
//!
//! Values are `[unit][BLOCK]`, so that the innermost loops run over pixels.

use super::Layer;

/// Number of pixels that go through the network together.
pub const BLOCK: usize = 256;
/// Number of pixels that an inner loop keeps in registers.
const LANES: usize = 8;
/// Number of rows of a product that are computed in one pass over its operand.
const ROWS: usize = 4;

/// Divisor of u in a layer's output (Lucid, `optvis/param/cppn.py`): about the standard deviation of u for
/// normal arguments.
const LINEAR: f32 = 0.67;
/// Divisor of u² in a layer's output, as [`LINEAR`] is that of u.
const SQUARE: f32 = 0.6;

/// The working memory of one task.
pub struct Scratch {
    /// The inputs of each layer, `[inputs][BLOCK]`.
    pub inputs: Vec<Vec<f32>>,
    /// Each hidden layer's values before the activation, `[hidden][BLOCK]`.
    before: Vec<Vec<f32>>,
    /// The values of the image's pixels, `[C][BLOCK]`.
    pub output: Vec<f32>,
    /// The gradient with respect to the current layer's output.
    pub gradient: Vec<f32>,
    /// The gradient with respect to the current layer's input.
    below: Vec<f32>,
}

impl Scratch {
    pub fn new(layers: &[Layer]) -> Scratch {
        let hidden = &layers[..layers.len() - 1];
        let widest = layers.iter().map(|l| l.inputs.max(l.outputs)).max().unwrap_or(0);
        Scratch {
            inputs: layers.iter().map(|l| vec![0.0; l.inputs * BLOCK]).collect(),
            before: hidden.iter().map(|l| vec![0.0; l.outputs * BLOCK]).collect(),
            output: vec![0.0; layers[layers.len() - 1].outputs * BLOCK],
            gradient: vec![0.0; widest * BLOCK],
            below: vec![0.0; widest * BLOCK],
        }
    }
}

/// Runs the network forward: computes `output` from `inputs[0]`.
pub fn forward(layers: &[Layer], params: &[f32], scratch: &mut Scratch) {
    for (at, layer) in layers.iter().enumerate() {
        let weights = &params[layer.weights..layer.biases];
        let biases = &params[layer.biases..][..layer.outputs];
        let entry = |row: usize, column: usize| weights[row * layer.inputs + column];
        let Some(before) = scratch.before.get_mut(at) else {
            product(layer.outputs, layer.inputs, entry, biases, &scratch.inputs[at], &mut scratch.output);
            scratch.output.iter_mut().for_each(|t| *t = 1.0 / (1.0 + (-*t).exp()));
            return;
        };
        let (below, above) = scratch.inputs.split_at_mut(at + 1);
        product(layer.outputs, layer.inputs, entry, biases, &below[at], before);
        let (linear, square) = above[0].split_at_mut(before.len());
        for ((a, linear), square) in before.iter().zip(linear).zip(square) {
            let u = arc_tangent(*a);
            (*linear, *square) = (u / LINEAR, u * u / SQUARE);
        }
    }
}

/// Computes the gradients of weights and biases from the gradient of the image's values in `gradient`, and
/// adds them to `sum`. The scratch memory must be as [`forward`] left it.
pub fn backward(layers: &[Layer], params: &[f32], scratch: &mut Scratch, sum: &mut [f32]) {
    scratch.gradient.iter_mut().zip(&scratch.output).for_each(|(g, s)| *g *= s * (1.0 - s));
    for (at, layer) in layers.iter().enumerate().rev() {
        let (weights, biases) =
            sum[layer.weights..layer.biases + layer.outputs].split_at_mut(layer.inputs * layer.outputs);
        for (row, gradient) in scratch.gradient.chunks_exact(BLOCK).take(layer.outputs).enumerate() {
            biases[row] += gradient.iter().sum::<f32>();
            let weights = &mut weights[row * layer.inputs..][..layer.inputs];
            add_products(gradient, &scratch.inputs[at], weights);
        }
        let Some(below) = at.checked_sub(1) else { return };
        let weights = &params[layer.weights..layer.biases];
        let entry = |row: usize, column: usize| weights[column * layer.inputs + row];
        product(layer.inputs, layer.outputs, entry, &[], &scratch.gradient, &mut scratch.below);
        let before = &scratch.before[below];
        let (linear, square) = scratch.below.split_at(before.len());
        let handed_on = &scratch.inputs[at];
        for (k, gradient) in scratch.gradient[..before.len()].iter_mut().enumerate() {
            let u = handed_on[k] * LINEAR;
            let on_angle = linear[k] / LINEAR + square[k] * (2.0 / SQUARE) * u;
            *gradient = on_angle / (1.0 + before[k] * before[k]);
        }
    }
}

/// Computes out[row] = biases[row] + Σ_column entry(row, column) · input[column] for every pixel of a block.
/// Empty biases count as 0.
fn product(
    rows: usize,
    columns: usize,
    entry: impl Fn(usize, usize) -> f32,
    biases: &[f32],
    input: &[f32],
    out: &mut [f32],
) {
    let mut packed = vec![[0.0; ROWS]; columns];
    for first in (0..rows).step_by(ROWS) {
        // Rows beyond the last repeat the last row, and their results are discarded.
        let row = |r: usize| (first + r).min(rows - 1);
        for (column, weights) in packed.iter_mut().enumerate() {
            *weights = std::array::from_fn(|r| entry(row(r), column));
        }
        let start: [f32; ROWS] = std::array::from_fn(|r| biases.get(row(r)).copied().unwrap_or(0.0));
        for at in (0..BLOCK).step_by(LANES) {
            let mut sums = start.map(|bias| [bias; LANES]);
            for (weights, x) in packed.iter().zip(input.as_chunks::<BLOCK>().0) {
                let x: [f32; LANES] = std::array::from_fn(|k| x[at + k]);
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    sum.iter_mut().zip(x).for_each(|(s, x)| *s += weight * x);
                }
            }
            for (sum, out) in sums.iter().zip(out[first * BLOCK..].chunks_exact_mut(BLOCK)) {
                out[at..at + LANES].copy_from_slice(sum);
            }
        }
    }
}

/// Adds <gradient, input[column]> over the pixels of a block to weights[column]. Each lane is summed first.
fn add_products(gradient: &[f32], input: &[f32], weights: &mut [f32]) {
    let gradient = gradient.as_chunks::<LANES>().0;
    for (input, weights) in input.chunks(ROWS * BLOCK).zip(weights.chunks_mut(ROWS)) {
        // Columns beyond the last repeat the first column, and their results are discarded.
        let columns: [&[[f32; LANES]]; ROWS] = std::array::from_fn(|r| {
            input.get(r * BLOCK..(r + 1) * BLOCK).unwrap_or(&input[..BLOCK]).as_chunks().0
        });
        let mut sums = [[0.0; LANES]; ROWS];
        for (at, gradient) in gradient.iter().enumerate() {
            for (sum, column) in sums.iter_mut().zip(&columns) {
                let x = column[at];
                sum.iter_mut().zip(gradient).zip(x).for_each(|((s, g), x)| *s += g * x);
            }
        }
        for (weight, sum) in weights.iter_mut().zip(&sums) {
            *weight += sum.iter().sum::<f32>();
        }
    }
}

/// Coefficients of arctan(x)/x in powers of x² for |x| ≤ 1, accurate to 2e-8 (Abramowitz & Stegun, 4.4.49).
const ARC_TANGENT: [f32; 9] = [
    1.0,
    -0.333_331_45,
    0.199_935_51,
    -0.142_089,
    0.106_562_64,
    -0.075_289_64,
    0.042_909_614,
    -0.016_165_737,
    0.002_866_225_7,
];

/// Computes the arc tangent without branches, so that loops vectorize, with the same result on every
/// platform.
fn arc_tangent(a: f32) -> f32 {
    let size = a.abs();
    let inverted = size > 1.0;
    let x = if inverted { 1.0 / size } else { size };
    let square = x * x;
    let series = ARC_TANGENT.iter().rev().fold(0.0, |sum, c| sum * square + c) * x;
    let angle = if inverted { std::f32::consts::FRAC_PI_2 - series } else { series };
    angle.copysign(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arc_tangent_is_right_to_a_ten_millionth() {
        for k in -40_000..=40_000 {
            let a = k as f32 / 1000.0;
            let error = f64::from(arc_tangent(a)) - f64::from(a).atan();
            assert!(error.abs() < 2e-7, "{a}: {error}");
        }
        assert_eq!(arc_tangent(f32::INFINITY), std::f32::consts::FRAC_PI_2);
        assert!(arc_tangent(f32::NAN).is_nan());
    }

    #[test]
    fn products_with_a_gradient_are_those_of_each_column() {
        for columns in [1, 2, 4, 7] {
            let gradient: Vec<f32> = (0..BLOCK).map(|k| (k % 5) as f32 - 1.0).collect();
            let input: Vec<f32> = (0..columns * BLOCK).map(|k| (k % 13) as f32).collect();
            let mut weights = vec![1.0; columns];
            add_products(&gradient, &input, &mut weights);
            for (weight, input) in weights.iter().zip(input.chunks_exact(BLOCK)) {
                let expected: f32 = gradient.iter().zip(input).map(|(g, x)| g * x).sum();
                assert_eq!(*weight, 1.0 + expected);
            }
        }
    }

    #[test]
    fn a_product_of_any_shape_is_the_sum_that_defines_it() {
        for (rows, columns) in [(1, 1), (3, 2), (4, 5), (6, 3)] {
            let entry = |r: usize, c: usize| (r * 7 + c * 3 % 5) as f32 - 4.0;
            let input: Vec<f32> = (0..columns * BLOCK).map(|k| (k % 13) as f32).collect();
            let mut out = vec![f32::NAN; rows * BLOCK];
            product(rows, columns, entry, &vec![0.5; rows], &input, &mut out);
            for (k, value) in out.iter().enumerate() {
                let (row, pixel) = (k / BLOCK, k % BLOCK);
                let expected: f32 = (0..columns).map(|c| entry(row, c) * input[c * BLOCK + pixel]).sum();
                assert_eq!(*value, 0.5 + expected);
            }
        }
    }
}
