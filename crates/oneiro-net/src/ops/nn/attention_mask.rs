//! The mask of `Attention`, applied to the scores before the softmax. It adds numbers, or excludes keys.
//!
//! `MaskedScores` is no ONNX operator; `Attention` is rewritten into it and other operators.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site};
use crate::tensor::{DType, volume};

/// The operator. Inputs: scores (batch, heads, queries, keys), optional mask (booleans, or numbers to add),
/// optional number of keys before the first query, optional number of keys for each batch entry.
#[derive(Debug, Clone)]
struct MaskedScores {
    causal: bool,
}

/// Reads the attributes of a `MaskedScores` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(MaskedScores { causal: a.int_or("is_causal", 0)? != 0 }))
}

impl Operator for MaskedScores {
    fn op_type(&self) -> &str {
        "MaskedScores"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        self.masking(inputs)?;
        Ok(vec![Fact::float(inputs.shape(0)?)])
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let operands = if site.inputs.get(1).is_some() { 2 } else { 1 };
        Ok(Built::new(self.masking(site.inputs)?, operands))
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Point
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.broadcast(&output.shape)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl MaskedScores {
    fn masking(&self, inputs: Facts<'_>) -> Result<Masking, OpError> {
        let x = inputs.shape(0)?;
        let &[batch, _, queries, keys] = x else {
            return Err(OpError::Refused(format!("scores {x:?} do not have four axes")));
        };
        let before = inputs.ints(2)?.and_then(|v| v.first()).copied().unwrap_or(0);
        let before = usize::try_from(before).map_err(|_| OpError::from("a negative number of keys"))?;
        let lengths = match inputs.ints(3)? {
            None => vec![keys; batch],
            Some(v) if v.len() == batch => v.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect(),
            Some(v) => return Err(OpError::Refused(format!("{} lengths for a batch of {batch}", v.len()))),
        };
        let mask = match inputs.get(1) {
            None => None,
            Some(mask) => {
                let shape = &mask.shape;
                let misfit =
                    || OpError::Refused(format!("a mask of shape {shape:?} does not fit scores {x:?}"));
                let (&width, lead) = shape.split_last().ok_or_else(misfit)?;
                if lead.len() > 3 || width > keys || (width == 1 && keys != 1) || mask.dtype == DType::Int {
                    return Err(misfit());
                }
                let mut steps = [0; 3];
                for (i, (&n, step)) in lead.iter().zip(&mut steps[3 - lead.len()..]).enumerate() {
                    let axis = x[3 - lead.len() + i];
                    *step = match n {
                        n if n == axis => volume(&shape[i + 1..]),
                        1 => 0,
                        _ => return Err(misfit()),
                    };
                }
                Some(Mask { truth: mask.dtype == DType::Bool, width, steps })
            }
        };
        Ok(Masking { causal: self.causal, shape: [x[1], queries, keys], before, lengths, mask })
    }
}

/// The layout of the mask: which of its rows belongs to a row of scores.
#[derive(Debug)]
struct Mask {
    truth: bool,
    /// Number of keys in the mask. Later keys are excluded.
    width: usize,
    /// Distance in the mask between neighbouring batch entries, heads and queries.
    steps: [usize; 3],
}

#[derive(Debug)]
struct Masking {
    causal: bool,
    /// Numbers of heads, queries and keys.
    shape: [usize; 3],
    /// Number of keys before the first query.
    before: usize,
    /// Number of keys for each batch entry.
    lengths: Vec<usize>,
    mask: Option<Mask>,
}

impl Masking {
    /// Number of keys that a row of scores may attend to, before the mask is applied.
    fn visible(&self, row: usize) -> usize {
        let [heads, queries, keys] = self.shape;
        let mut n = keys.min(self.lengths[row / queries / heads]);
        if self.causal {
            n = n.min(self.before + row % queries + 1);
        }
        self.mask.as_ref().map_or(n, |mask| n.min(mask.width))
    }

    /// Offset of the mask's row for a row of scores.
    fn start(&self, mask: &Mask, row: usize) -> usize {
        let [heads, queries, _] = self.shape;
        let at = [row / queries / heads, row / queries % heads, row % queries];
        at.iter().zip(mask.steps).map(|(i, step)| i * step).sum()
    }
}

impl Kernel for Masking {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn differentiable(&self, operand: usize) -> bool {
        operand == 0 || self.mask.as_ref().is_some_and(|mask| !mask.truth)
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, values, y) = io.io2(0, usize::from(self.mask.is_some()));
        let keys = self.shape[2].max(1);
        y.par_chunks_mut(keys).zip(x.par_chunks(keys)).enumerate().for_each(|(row, (y, x))| {
            let n = self.visible(row);
            y[..n].copy_from_slice(&x[..n]);
            y[n..].fill(f32::NEG_INFINITY);
            if let Some(mask) = &self.mask {
                let bias = &values[self.start(mask, row)..][..n];
                for (y, bias) in y.iter_mut().zip(bias) {
                    *y = match mask.truth {
                        true if *bias == 0.0 => f32::NEG_INFINITY,
                        true => *y,
                        false => *y + bias,
                    };
                }
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let keys = self.shape[2].max(1);
        let values = match &self.mask {
            Some(mask) if mask.truth => io.operands[1].data(&io.reader),
            _ => &[],
        };
        let dy = io.reader.read(io.output_gradient);
        let dx = &mut *io.gradient;
        if !accumulate {
            dx.fill(0.0);
        }
        if operand == 1 {
            let Some(mask) = &self.mask else { return };
            for (row, dy) in dy.chunks(keys).enumerate() {
                let start = self.start(mask, row);
                let n = self.visible(row);
                dx[start..start + n].iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy);
            }
            return;
        }
        dx.par_chunks_mut(keys).zip(dy.par_chunks(keys)).enumerate().for_each(|(row, (dx, dy))| {
            let n = self.visible(row);
            let start = self.mask.as_ref().map_or(0, |mask| self.start(mask, row));
            for (k, (dx, dy)) in dx[..n].iter_mut().zip(dy).enumerate() {
                if values.get(start + k) != Some(&0.0) {
                    *dx += dy;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for mask in [&[3, 4][..], &[2, 1, 3, 4], &[1, 2, 1, 4], &[4]] {
            Case::new("MaskedScores", vec![data(&[2, 2, 3, 4]), data(mask)]).check();
        }
    }
}
