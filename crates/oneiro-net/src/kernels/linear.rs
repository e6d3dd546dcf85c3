//! Fully connected layers: `y = x Wᵀ + b` and its adjoint `dx = dy W`.
//!
//! With few images, reading the weights takes longer than multiplying by them. So each weight is read once
//! for the whole batch. The work is divided along the outputs (along the inputs in the backward pass), so
//! that threads read disjoint weights.

use super::isa::{Isa, multiversion};
use super::scratch::Disjoint;
use super::team;

/// Number of partial sums of an inner product: four registers of AVX-512, enough to hide the latency of an
/// addition.
const LANES: usize = 64;
/// Number of outputs in a task of the forward pass.
const OUTPUT_BLOCK: usize = 16;
/// Fewest and most inputs of a task of the backward pass. The task reads a long enough stretch of each weight
/// row, and its gradients stay in a first-level cache.
const INPUT_BLOCKS: (usize, usize) = (512, 4096);

/// `y[b, o] = Σ_k x[b, k] · weight[o, k] + bias[o]`.
///
/// Shapes: `weight` `[outputs, inputs]`, `bias` `[outputs]`, `x` `[batch, inputs]`, `y` `[batch, outputs]`.
/// Each inner product has 64 partial sums, over k modulo 64. At the end the upper half is added to the lower
/// half, repeatedly.
///
/// # Panics
/// If a slice has the wrong length.
pub fn linear(
    isa: Isa,
    batch: usize,
    inputs: usize,
    outputs: usize,
    weight: &[f32],
    bias: Option<&[f32]>,
    x: &[f32],
    y: &mut [f32],
) {
    assert_eq!(weight.len(), outputs * inputs, "weights of a linear layer {inputs} -> {outputs}");
    assert_eq!(bias.map_or(outputs, <[f32]>::len), outputs, "bias of a linear layer {inputs} -> {outputs}");
    assert_eq!(x.len(), batch * inputs, "input of a linear layer {inputs} -> {outputs}, batch {batch}");
    assert_eq!(y.len(), batch * outputs, "output of a linear layer {inputs} -> {outputs}, batch {batch}");
    let y = Disjoint::new(y);
    team::each(outputs.div_ceil(OUTPUT_BLOCK), 1, |block| {
        for output in block * OUTPUT_BLOCK..outputs.min((block + 1) * OUTPUT_BLOCK) {
            let row = &weight[output * inputs..(output + 1) * inputs];
            let start = bias.map_or(0.0, |bias| bias[output]);
            for image in 0..batch {
                // SAFETY: every pair (image, output) belongs to one task.
                let [y] = (unsafe { y.part(image * outputs + output, 1) }) else { continue };
                inner_product(isa, row, &x[image * inputs..(image + 1) * inputs], y);
                *y += start;
            }
        }
    });
}

/// Computes `dx[b, k] = Σ_o dy[b, o] · weight[o, k]`, or adds it to `dx` if `accumulate` is set. The shapes
/// are those of [`linear`].
///
/// Each element is one sum in the order of o. Outputs with gradient 0 are skipped: with a one-hot target, or
/// after the mask of a ReLU, most weight rows are never read. So an infinite weight under a zero gradient
/// gives 0, not NaN.
///
/// # Panics
/// If a slice has the wrong length.
pub fn linear_backward(
    isa: Isa,
    batch: usize,
    inputs: usize,
    outputs: usize,
    weight: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(weight.len(), outputs * inputs, "weights of a linear layer {inputs} -> {outputs}");
    assert_eq!(dx.len(), batch * inputs, "input of a linear layer {inputs} -> {outputs}, batch {batch}");
    assert_eq!(dy.len(), batch * outputs, "output of a linear layer {inputs} -> {outputs}, batch {batch}");
    let dx = Disjoint::new(dx);
    // Every input has its own sum, so the division into blocks changes no bit.
    let wanted = inputs.div_ceil(2 * team::threads());
    let block_len = wanted.next_multiple_of(64).clamp(INPUT_BLOCKS.0, INPUT_BLOCKS.1);
    team::each(inputs.div_ceil(block_len), 1, |block| {
        let begin = block * block_len;
        let len = block_len.min(inputs - begin);
        // SAFETY: every pair (image, block of inputs) belongs to one task.
        let part = |image: usize| unsafe { dx.part(image * inputs + begin, len) };
        if !accumulate {
            (0..batch).for_each(|image| part(image).fill(0.0));
        }
        for output in 0..outputs {
            let row = &weight[output * inputs + begin..][..len];
            for image in 0..batch {
                let scale = dy[image * outputs + output];
                if scale != 0.0 {
                    add_scaled(isa, scale, row, part(image));
                }
            }
        }
    });
}

multiversion! {
    /// Computes the inner product of two rows into `sum`.
    fn inner_product(a: &[f32], b: &[f32], sum: &mut f32) {
        let mut lanes = [0.0f32; LANES];
        let (a, a_rest) = a.as_chunks::<LANES>();
        let (b, b_rest) = b.as_chunks::<LANES>();
        for (a, b) in a.iter().zip(b) {
            for l in 0..LANES {
                lanes[l] += a[l] * b[l];
            }
        }
        for (l, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
            lanes[l] += a * b;
        }
        let mut half = LANES / 2;
        while half > 0 {
            for l in 0..half {
                lanes[l] += lanes[l + half];
            }
            half /= 2;
        }
        *sum = lanes[0];
    }
}

multiversion! {
    /// Adds `scale · from` to `to`.
    fn add_scaled(scale: f32, from: &[f32], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += scale * from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, dot, in_pool, numbers};

    /// Numbers of inputs and of outputs of the layers that the tests compute.
    const CASES: [(usize, usize); 7] = [(1, 1), (63, 5), (64, 16), (65, 17), (513, 3), (7, 300), (1030, 33)];

    #[test]
    fn both_directions_equal_the_definition_and_are_adjoint() {
        let mut failures = Vec::new();
        for (inputs, outputs) in CASES {
            for (batch, accumulate) in [(1, false), (3, true)] {
                let (w, bias) = (numbers(inputs * outputs, 1), numbers(outputs, 2));
                let (x, mut dy) = (numbers(batch * inputs, 3), numbers(batch * outputs, 4));
                dy[0] = 0.0;
                let held = numbers(batch * inputs, 5);
                let mut y_expected = vec![0.0f64; batch * outputs];
                let mut dx_expected: Vec<f64> =
                    held.iter().map(|&v| if accumulate { v.into() } else { 0.0 }).collect();
                for b in 0..batch {
                    for o in 0..outputs {
                        y_expected[b * outputs + o] = bias[o].into();
                        for k in 0..inputs {
                            let w = f64::from(w[o * inputs + k]);
                            y_expected[b * outputs + o] += f64::from(x[b * inputs + k]) * w;
                            dx_expected[b * inputs + k] += f64::from(dy[b * outputs + o]) * w;
                        }
                    }
                }
                for isa in Isa::available() {
                    let name = format!("{inputs} -> {outputs}, batch {batch}, {isa:?}");
                    let (mut y, mut dx) = (vec![0.0; batch * outputs], held.clone());
                    linear(isa, batch, inputs, outputs, &w, Some(&bias), &x, &mut y);
                    linear_backward(isa, batch, inputs, outputs, &w, &dy, &mut dx, accumulate);
                    assert_close(&mut failures, &name, &y, &y_expected);
                    assert_close(&mut failures, &format!("{name}, backward"), &dx, &dx_expected);
                    linear(isa, batch, inputs, outputs, &w, None, &x, &mut y);
                    linear_backward(isa, batch, inputs, outputs, &w, &dy, &mut dx, false);
                    let size = (dot(&y, &y) * dot(&dy, &dy)).sqrt();
                    if (dot(&y, &dy) - dot(&x, &dx)).abs() > 1e-5 * size + 1e-9 {
                        failures.push(format!("{name}: not adjoint"));
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn threads_and_batch_do_not_change_a_bit() {
        let mut failures = Vec::new();
        for (inputs, outputs) in CASES {
            let (w, bias) = (numbers(inputs * outputs, 1), numbers(outputs, 2));
            let (x, dy) = (numbers(3 * inputs, 3), numbers(3 * outputs, 4));
            for isa in Isa::available() {
                let run = |threads, batch, x: &[f32], dy: &[f32]| {
                    let (mut y, mut dx) = (vec![0.0; batch * outputs], vec![0.0; batch * inputs]);
                    in_pool(threads, || {
                        linear(isa, batch, inputs, outputs, &w, Some(&bias), x, &mut y);
                        linear_backward(isa, batch, inputs, outputs, &w, dy, &mut dx, false);
                    });
                    (y, dx)
                };
                let expected = run(1, 3, &x, &dy);
                let same_in_threads = run(2, 3, &x, &dy) == expected && run(3, 3, &x, &dy) == expected;
                let alone = run(2, 1, &x[inputs..2 * inputs], &dy[outputs..2 * outputs]);
                let same_alone =
                    alone.0 == expected.0[outputs..2 * outputs] && alone.1 == expected.1[inputs..2 * inputs];
                if !same_in_threads || !same_alone {
                    failures.push(format!("{inputs} -> {outputs}, {isa:?}"));
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
