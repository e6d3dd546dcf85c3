//! `Gather`, `GatherElements` and `GatherND` by indices that depend on the data, for instance on an `ArgMax`.
//!
//! Indices are whole numbers in f32. An index outside its axis is an error in ONNX that only a run can
//! detect. Here its elements become NaN.

use rayon::prelude::*;

use crate::error::OpError;
use crate::ops::{Backward, Fact, Forward, Kernel, exact_positions};
use crate::tensor::{DType, volume};

/// Number of elements in a task. It is fixed, so that the division of work never depends on the number of
/// threads.
const CHUNK: usize = 1 << 14;

/// Reads of elements at indices that depend on the data. The operands are the data and the indices.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// For each of `count` indices, a slice of `inner` elements on an axis of extent `n`.
    Slices { n: usize, inner: usize, count: usize },
    /// For every element an index along one axis. `axes` holds (extent of the output, extent and step of the
    /// data) for each axis.
    Elements { axes: Vec<(usize, usize, usize)>, along: usize },
    /// For every tuple of indices, a slice of `inner` elements. `axes` holds extent and step of the axes that
    /// the tuple names.
    Tuples { axes: Vec<(usize, usize)>, inner: usize, per_batch: usize, batch_step: usize },
}

/// Converts a number to a position on an axis of extent `n`. Negative numbers count from the end.
pub(crate) fn index(value: f32, n: usize) -> Option<usize> {
    let from = if value < 0.0 { n as f64 } else { 0.0 };
    let at = f64::from(value) + from;
    if at >= 0.0 && at < n as f64 && at.fract() == 0.0 { Some(at as usize) } else { None }
}

fn steps(shape: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    shape.iter().enumerate().map(|(i, &n)| (n, volume(&shape[i + 1..])))
}

fn check(indices: &Fact, x: &[usize]) -> Result<(), OpError> {
    if indices.dtype != DType::Int {
        return Err("the indices should be integers".into());
    }
    x.iter().try_for_each(|&n| exact_positions(n))
}

impl Lookup {
    /// `Gather` along axis `at`.
    pub(crate) fn slices(x: &[usize], at: usize, indices: &Fact) -> Result<Self, OpError> {
        check(indices, x)?;
        Ok(Self::Slices { n: x[at], inner: volume(&x[at + 1..]), count: indices.len() })
    }

    /// `GatherElements` along axis `along`; the output has the indices' shape.
    pub(crate) fn elements(x: &[usize], along: usize, indices: &Fact) -> Result<Self, OpError> {
        check(indices, x)?;
        let axes = indices.shape.iter().zip(steps(x)).map(|(&out, (n, step))| (out, n, step)).collect();
        Ok(Self::Elements { axes, along })
    }

    /// `GatherND` after `batch` axes.
    pub(crate) fn tuples(x: &[usize], batch: usize, indices: &Fact) -> Result<Self, OpError> {
        check(indices, x)?;
        let (&depth, lead) = indices.shape.split_last().ok_or("the indices are a scalar")?;
        let rest = x.get(batch..).filter(|rest| depth <= rest.len() && batch <= lead.len());
        let rest = rest.ok_or("the indices do not fit the data")?;
        Ok(Self::Tuples {
            axes: steps(rest).take(depth).collect(),
            inner: volume(&rest[depth..]),
            per_batch: volume(&lead[batch..]).max(1),
            batch_step: volume(rest),
        })
    }

    /// Returns the position in the data of output element `i`.
    fn source(&self, i: usize, indices: &[f32]) -> Option<usize> {
        match self {
            Self::Slices { n, inner, count } => {
                let (outer, k) = (i / inner / count, i / inner % count);
                Some((outer * n + index(indices[k], *n)?) * inner + i % inner)
            }
            Self::Elements { axes, along } => {
                let (mut rest, mut at) = (i, 0);
                for (a, &(out, n, step)) in axes.iter().enumerate().rev() {
                    let k = if a == *along { index(indices[i], n)? } else { rest % out };
                    at += k * step;
                    rest /= out;
                }
                Some(at)
            }
            Self::Tuples { axes, inner, per_batch, batch_step } => {
                let tuple = i / inner;
                let mut at = tuple / per_batch * batch_step + i % inner;
                for (d, &(n, step)) in axes.iter().enumerate() {
                    at += index(indices[tuple * axes.len() + d], n)? * step;
                }
                Some(at)
            }
        }
    }
}

impl Kernel for Lookup {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn differentiable(&self, operand: usize) -> bool {
        operand == 0
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, indices, y) = io.io2(0, 1);
        y.par_chunks_mut(CHUNK).enumerate().for_each(|(block, y)| {
            for (i, y) in y.iter_mut().enumerate() {
                *y = self.source(block * CHUNK + i, indices).map_or(f32::NAN, |at| x[at]);
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (indices, dy, dx) = io.io_input(1);
        if !accumulate {
            dx.fill(0.0);
        }
        for (i, dy) in dy.iter().enumerate() {
            if let Some(at) = self.source(i, indices) {
                dx[at] += dy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::index;
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, flowing};

    #[test]
    fn gradients_agree_with_differences() {
        let x = || data(&[2, 3, 4]);
        Case::new("Gather", vec![x(), flowing(&[2, 2], vec![2, 0, -1, 2])])
            .attribute("axis", Attribute::Int(1))
            .check();
        Case::new("GatherElements", vec![data(&[3, 4]), flowing(&[2, 4], vec![0, -1, 2, 2, 1, 1, 0, 2])])
            .check();
        Case::new("GatherND", vec![x(), flowing(&[2, 2], vec![0, 1, 1, -1])]).check();
        Case::new("GatherND", vec![x(), flowing(&[2, 1], vec![2, 0])])
            .attribute("batch_dims", Attribute::Int(1))
            .check();
    }

    #[test]
    fn only_whole_numbers_on_the_axis_name_a_position() {
        let all = [0.0, 2.0, -1.0, -3.0, 3.0, -4.0, 0.5, f32::NAN, f32::INFINITY].map(|v| index(v, 3));
        assert_eq!(all, [Some(0), Some(2), Some(2), Some(0), None, None, None, None, None]);
        assert_eq!(index(0.0, 0), None);
    }
}
