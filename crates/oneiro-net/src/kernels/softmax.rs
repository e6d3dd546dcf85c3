//! Softmax and its logarithm over distributions of `n` elements that are `step` apart.
//!
//! Each distribution is summed in f64, in a fixed order.

use super::functions::exp;
use super::isa::{Isa, multiversion};
use super::scratch::Disjoint;
use rayon::prelude::*;

/// Number of neighbouring distributions that one task computes.
const STRIP: usize = 64;
/// Fewest elements of a task if the elements of a distribution are contiguous. A task has whole
/// distributions.
const TOGETHER: usize = 4096;

/// Computes `y = softmax(x)`, or its logarithm.
///
/// # Panics
/// If the lengths differ.
pub fn softmax(isa: Isa, log: bool, n: usize, step: usize, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "softmax between slices of different lengths");
    if y.is_empty() {
        return;
    }
    if step == 1 {
        let rows = n * TOGETHER.div_ceil(n);
        y.par_chunks_mut(rows).zip(x.par_chunks(rows)).for_each(|(y, x)| {
            y.chunks_mut(n).zip(x.chunks(n)).for_each(|(y, x)| row(isa, log, x, y));
        });
        return;
    }
    let y = Disjoint::new(y);
    each_strip(x.len(), n, step, |start, width| {
        let line = |k: usize| start + k * step;
        let mut max = [f32::NEG_INFINITY; STRIP];
        for k in 0..n {
            max.iter_mut().zip(&x[line(k)..][..width]).for_each(|(m, x)| *m = m.max(*x));
        }
        let mut sums = [0f64; STRIP];
        for k in 0..n {
            // SAFETY: a strip's elements belong to one task.
            let y = unsafe { y.part(line(k), width) };
            exponentials(isa, &x[line(k)..][..width], &max[..width], y);
            sums.iter_mut().zip(&*y).for_each(|(s, y)| *s += f64::from(*y));
        }
        for k in 0..n {
            // SAFETY: a strip's elements belong to one task.
            let y = unsafe { y.part(line(k), width) };
            for (j, y) in y.iter_mut().enumerate() {
                *y = if log {
                    f64::from(x[line(k) + j] - max[j]) - sums[j].ln()
                } else {
                    f64::from(*y) / sums[j]
                } as f32;
            }
        }
    });
}

/// Computes the gradient `dx = y·(dy − Σ y·dy)`, or `dx = dy − eʸ·Σ dy` for the logarithm.
///
/// # Panics
/// If the lengths differ.
pub fn softmax_backward(
    isa: Isa,
    log: bool,
    n: usize,
    step: usize,
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
) {
    assert_eq!((y.len(), dy.len()), (dx.len(), dx.len()), "softmax between slices of different lengths");
    if dx.is_empty() {
        return;
    }
    if step == 1 {
        let rows = n * TOGETHER.div_ceil(n);
        let parts = y.par_chunks(rows).zip(dy.par_chunks(rows));
        dx.par_chunks_mut(rows).zip(parts).for_each(|(dx, (y, dy))| {
            for ((dx, y), dy) in dx.chunks_mut(n).zip(y.chunks(n)).zip(dy.chunks(n)) {
                let product = |(y, dy): (&f32, &f32)| f64::from(*dy) * if log { 1.0 } else { f64::from(*y) };
                let dot = y.iter().zip(dy).map(product).sum::<f64>() as f32;
                row_back(isa, log, y, dy, dot, dx, accumulate);
            }
        });
        return;
    }
    let dx = Disjoint::new(dx);
    each_strip(y.len(), n, step, |start, width| {
        let mut dots = [0f64; STRIP];
        for k in 0..n {
            let line = start + k * step;
            let terms = y[line..][..width].iter().zip(&dy[line..][..width]);
            for (dot, (y, dy)) in dots.iter_mut().zip(terms) {
                *dot += f64::from(*dy) * if log { 1.0 } else { f64::from(*y) };
            }
        }
        for k in 0..n {
            let line = start + k * step;
            // SAFETY: a strip's elements belong to one task.
            let dx = unsafe { dx.part(line, width) };
            for (j, dx) in dx.iter_mut().enumerate() {
                let (y, dy, dot) = (y[line + j], dy[line + j], dots[j] as f32);
                let d = if log { dy - exp(y) * dot } else { y * (dy - dot) };
                *dx = if accumulate { *dx + d } else { d };
            }
        }
    });
}

/// Calls `work(start, width)` for strips of neighbouring distributions.
fn each_strip(len: usize, n: usize, step: usize, work: impl Fn(usize, usize) + Sync) {
    let strips = step.div_ceil(STRIP);
    (0..len / (n * step) * strips).into_par_iter().for_each(|task| {
        let (block, first) = (task / strips, task % strips * STRIP);
        work(block * n * step + first, STRIP.min(step - first));
    });
}

multiversion! {
    fn exponentials(x: &[f32], max: &[f32], y: &mut [f32]) {
        for ((y, x), max) in y.iter_mut().zip(x).zip(max) {
            *y = exp(x - max);
        }
    }
}

multiversion! {
    fn row(log: bool, x: &[f32], y: &mut [f32]) {
        let max = x.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
        for (y, x) in y.iter_mut().zip(x) {
            *y = exp(x - max);
        }
        let sum: f64 = y.iter().map(|y| f64::from(*y)).sum();
        if log {
            let shift = sum.ln();
            y.iter_mut().zip(x).for_each(|(y, x)| *y = (f64::from(x - max) - shift) as f32);
        } else {
            y.iter_mut().for_each(|y| *y = (f64::from(*y) / sum) as f32);
        }
    }
}

multiversion! {
    fn row_back(log: bool, y: &[f32], dy: &[f32], dot: f32, dx: &mut [f32], accumulate: bool) {
        for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
            let d = if log { dy - exp(*y) * dot } else { y * (dy - dot) };
            *dx = if accumulate { *dx + d } else { d };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, in_pool, numbers};

    #[test]
    fn distributions_equal_the_definition_whatever_the_threads() {
        let mut failures = Vec::new();
        for (outer, n, step) in [(1, 1, 1), (3, 5, 1), (70, 197, 1), (2, 21, 3), (1, 4, 200)] {
            let len = outer * n * step;
            let (x, dy) = (numbers(len, 1), numbers(len, 2));
            for log in [false, true] {
                let (mut expected, mut slopes) = (vec![0f64; len], vec![0f64; len]);
                for s in 0..outer * step {
                    let at = |k: usize| (s / step * n + k) * step + s % step;
                    let sum: f64 = (0..n).map(|k| f64::from(x[at(k)]).exp()).sum();
                    let p = |k: usize| f64::from(x[at(k)]).exp() / sum;
                    let weight = |k: usize| if log { 1.0 } else { p(k) };
                    let dot: f64 = (0..n).map(|k| f64::from(dy[at(k)]) * weight(k)).sum();
                    for k in 0..n {
                        let g = f64::from(dy[at(k)]);
                        expected[at(k)] = if log { p(k).ln() } else { p(k) };
                        slopes[at(k)] = if log { g - p(k) * dot } else { p(k) * (g - dot) };
                    }
                }
                for isa in Isa::available() {
                    let run = |threads| {
                        let (mut y, mut dx) = (vec![0.0; len], vec![1.0; len]);
                        in_pool(threads, || {
                            softmax(isa, log, n, step, &x, &mut y);
                            softmax_backward(isa, log, n, step, &y, &dy, &mut dx, true);
                        });
                        dx.iter_mut().for_each(|dx| *dx -= 1.0);
                        (y, dx)
                    };
                    let (y, dx) = run(1);
                    let name = format!("{outer} x {n} x {step}, log {log}, {isa:?}");
                    assert_close(&mut failures, &name, &y, &expected);
                    assert_close(&mut failures, &format!("{name}, backward"), &dx, &slopes);
                    if run(3) != (y, dx) {
                        failures.push(format!("{name}: threads"));
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
