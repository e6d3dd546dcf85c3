//! `MaxUnpool`: puts values back at the positions of the maxima that a `MaxPool` reported; other elements are
//! zero.
//!
//! Positions count elements of the tensor that was pooled. If a `MaxPool` of the graph computes the
//! positions, that tensor's shape is known. Otherwise it is inferred from the attributes, as in ONNX.
//! Positions that do not fit the inferred shape count elements of the output, as in ONNX Runtime and PyTorch.
//! An output of another shape has the pooled tensor in its first corner.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::array::constant::{check_volume, sizes};
use crate::ops::array::lookup::index;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, exact_positions,
};
use crate::reads::Reads;
use crate::tensor::{DType, Tensor, volume};

/// The operator; inputs: values, positions, optional shape of the output, and the pooled tensor if it is
/// known (`format/onnx/links.rs`). Only the shape of the pooled tensor is read.
#[derive(Debug, Clone)]
struct Unpool {
    kernel: Vec<i64>,
    strides: Option<Vec<i64>>,
    pads: Option<Vec<i64>>,
}

/// Reads the attributes of a `MaxUnpool` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let list = |name: &str| a.ints(name).map(|v| v.map(<[i64]>::to_vec));
    Ok(Arc::new(Unpool {
        kernel: list("kernel_shape")?.ok_or("kernel_shape is missing")?,
        strides: list("strides")?,
        pads: list("pads")?,
    }))
}

impl Unpool {
    /// Returns the shape of the pooled tensor that the attributes imply.
    fn inferred_from(&self, x: &[usize]) -> Result<Vec<usize>, OpError> {
        let rank = x.len().checked_sub(2).filter(|&r| r > 0 && r == self.kernel.len());
        let rank =
            rank.ok_or_else(|| OpError::Refused(format!("kernel_shape {:?} for input {x:?}", self.kernel)))?;
        let strides = self.strides.clone().unwrap_or_else(|| vec![1; rank]);
        let pads = self.pads.clone().unwrap_or_else(|| vec![0; 2 * rank]);
        if strides.len() != rank || pads.len() != 2 * rank {
            return Err("strides or pads do not match the rank".into());
        }
        let extent = |i: usize| {
            let n = (x[i + 2] as i64).checked_sub(1)?.checked_mul(strides[i])?.checked_add(self.kernel[i])?;
            n.checked_sub(pads[i])?.checked_sub(pads[rank + i])
        };
        let extents = (0..rank).map(extent).collect::<Option<Vec<_>>>().ok_or("the output is too large")?;
        Ok([&x[..2], &sizes(&extents)?].concat())
    }

    /// Returns the shapes of the pooled tensor and of the output.
    fn shapes(&self, inputs: Facts<'_>) -> Result<[Vec<usize>; 2], OpError> {
        let (x, indices) = (inputs.shape(0)?, inputs.need(1)?);
        if indices.shape != x || indices.dtype != DType::Int {
            return Err(OpError::Refused(format!("positions {:?} do not fit {x:?}", indices.shape)));
        }
        let inferred = self.inferred_from(x)?;
        let out = inputs.ints(2)?.map(sizes).transpose()?.unwrap_or_else(|| inferred.clone());
        if out.len() != x.len() || out[..2] != x[..2] {
            return Err(OpError::Refused(format!("an output of shape {out:?} for {x:?}")));
        }
        let fits = |t: &Tensor| {
            let end = volume(&inferred) as i64;
            t.as_ints().map(|at| at.iter().all(|at| *at < end))
        };
        let pooled = match (inputs.get(3), &indices.value) {
            (Some(source), _) if source.shape.len() == x.len() && source.shape[..2] == x[..2] => {
                source.shape.clone()
            }
            (None, Some(positions)) if !fits(positions)? => out.clone(),
            _ => inferred,
        };
        check_volume(&out)?;
        check_volume(&pooled)?;
        Ok([pooled, out])
    }
}

impl Operator for Unpool {
    fn op_type(&self) -> &str {
        "MaxUnpool"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let [_, out] = self.shapes(inputs)?;
        Ok(vec![Fact::float(out)])
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let [pooled, out] = self.shapes(site.inputs)?;
        exact_positions(pooled.iter().product())?;
        exact_positions(out.iter().product())?;
        Ok(Built::new(Back { pooled, out }, 2))
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        // The maximum of a window may have been anywhere in the window, so its value may be put anywhere
        // there.
        let size = |list: &Option<Vec<i64>>, i: usize, default: i64| {
            let n = list.as_ref().and_then(|list| list.get(i).copied()).unwrap_or(default);
            usize::try_from(n).unwrap_or(0)
        };
        let reads = |i: usize| {
            let kernel = usize::try_from(self.kernel[i]).unwrap_or(1);
            (i + 2, Reads::spread(kernel, size(&self.strides, i, 1), 1, size(&self.pads, i, 0)))
        };
        Reach::Axes((0..self.kernel.len()).map(reads).collect())
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        Some(sources.resized(&output.shape))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Back {
    pooled: Vec<usize>,
    out: Vec<usize>,
}

impl Back {
    /// Returns where a position of the pooled tensor lies in the output.
    fn place(&self, position: f32) -> Option<usize> {
        let mut rest = index(position, self.pooled.iter().product())?;
        let (mut at, mut step) = (0, 1);
        for (&n, &m) in self.pooled.iter().zip(&self.out).rev() {
            if rest % n >= m {
                return None;
            }
            at += rest % n * step;
            (rest, step) = (rest / n, step * m);
        }
        Some(at)
    }
}

impl Kernel for Back {
    /// For each output element, the index (from 1) of the value that was written last.
    fn saved_words(&self) -> usize {
        self.out.iter().product()
    }

    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn differentiable(&self, operand: usize) -> bool {
        operand == 0
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let saved = std::mem::take(&mut io.saved);
        saved.fill(0);
        let (x, positions, y) = io.io2(0, 1);
        y.fill(0.0);
        for (i, (x, position)) in x.iter().zip(positions).enumerate() {
            match self.place(*position) {
                Some(at) => {
                    y[at] = *x;
                    if let Some(writer) = saved.get_mut(at) {
                        *writer = i as u32 + 1;
                    }
                }
                // The position belongs to another tensor, so the result is undefined.
                None => y.fill(f32::NAN),
            }
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, saved) = (io.accumulate, io.saved);
        let (positions, dy, dx) = io.io_input(1);
        for (i, (dx, position)) in dx.iter_mut().zip(positions).enumerate() {
            let at = self.place(*position).filter(|&at| saved[at] == i as u32 + 1);
            let d = at.map_or(0.0, |at| dy[at]);
            *dx = if accumulate { *dx + d } else { d };
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, flowing, ints};

    #[test]
    fn gradients_agree_with_differences() {
        let case = |more: Vec<i64>| {
            let mut inputs = vec![data(&[1, 1, 2, 2]), flowing(&[1, 1, 2, 2], vec![5, 7, 13, 5])];
            if !more.is_empty() {
                inputs.push(ints(&more));
            }
            Case::new("MaxUnpool", inputs)
                .attribute("kernel_shape", Attribute::Ints(vec![2, 2]))
                .attribute("strides", Attribute::Ints(vec![2, 2]))
        };
        case(vec![]).check();
        case(vec![1, 1, 5, 5]).check();
    }
}
