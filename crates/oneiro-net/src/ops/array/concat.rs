//! `Concat`: tensors side by side along one axis.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::blocked::{BLOCK, blocks_of};
use crate::ops::blocked::plane_of;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis,
    batch_independence, put,
};
use crate::reads::Reads;
use crate::tensor::{DType, Tensor, volume};

/// ONNX `Concat`.
#[derive(Debug, Clone)]
pub struct Concat {
    axis: i64,
}

/// Reads the attributes of a `Concat` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(Concat { axis: a.int("axis")?.ok_or("attribute \"axis\" is missing")? }))
}

impl Operator for Concat {
    fn op_type(&self) -> &str {
        "Concat"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let first = inputs.need(0)?;
        let at = axis(self.axis, first.shape.len())?;
        let mut shape = first.shape.clone();
        for i in 1..inputs.0.len() {
            let other = inputs.shape(i)?;
            let fits =
                other.len() == shape.len() && (0..shape.len()).all(|k| k == at || shape[k] == other[k]);
            if !fits {
                return Err(OpError::Refused(format!(
                    "{other:?} does not continue {:?} along axis {at}",
                    first.shape
                )));
            }
            shape[at] += other[at];
        }
        Ok(vec![Fact { dtype: first.dtype, shape, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        if inputs.need(0)?.dtype != DType::Int {
            return Ok(None);
        }
        let at = axis(self.axis, inputs.shape(0)?.len())?;
        let outer = volume(&inputs.shape(0)?[..at]);
        let mut out = Vec::new();
        for row in 0..outer {
            for i in 0..inputs.0.len() {
                let t = inputs.need_constant(i)?;
                let inner = volume(&t.shape()[at..]);
                out.extend_from_slice(&t.as_ints()?[row * inner..(row + 1) * inner]);
            }
        }
        let shape = self.infer(inputs)?.remove(0).shape;
        Ok(Some(vec![Tensor::ints(&shape, out)]))
    }

    fn reach_of(&self, inputs: Facts<'_>, operand: usize, _index: usize) -> Reach {
        let Some(at) = inputs.shape(0).ok().and_then(|x| axis(self.axis, x.len()).ok()) else {
            return Reach::Whole;
        };
        let extents = (0..operand).filter_map(|i| inputs.shape(i).ok()?.get(at));
        Reach::Axes(vec![(at, Reads::moved(-(extents.sum::<usize>() as i64), 1))])
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::within(self.axis, site)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let at = axis(self.axis, site.output.shape.len())?;
        let row = volume(&site.output.shape[at..]);
        let mut parts = Vec::new();
        let mut offset = 0;
        for i in 0..site.inputs.0.len() {
            let len = volume(&site.inputs.shape(i)?[at..]);
            parts.push((offset, len));
            offset += len;
        }
        let n = parts.len();
        Ok(Built::new(SideBySide { row, single: site.output.len() == row, parts }, n))
    }

    /// Concatenation along the channels. All operands but the last must have whole blocks, so that blocks
    /// stay whole.
    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        let at = axis(self.axis, site.output.shape.len())?;
        let count = site.inputs.0.len();
        let mut parts = Vec::new();
        let mut offset = 0;
        for i in 0..count {
            let fact = site.inputs.need(i)?;
            let whole = i + 1 == count || fact.shape[at].is_multiple_of(BLOCK);
            if at != 1 || !whole || fact.value.is_some() {
                return Ok(None);
            }
            let len = blocks_of(fact.shape[1]) * fact.shape[0] * plane_of(fact) * BLOCK;
            parts.push((offset, len));
            offset += len;
        }
        Ok(Some(Built::new(SideBySide { row: offset, single: true, parts }, count)))
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.concatenated(axis(self.axis, output.shape.len()).ok()?, &output.shape)
    }

    fn concatenates(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The kernel: every row of the output contains one part from each operand.
#[derive(Debug)]
struct SideBySide {
    row: usize,
    /// Whether the concatenated tensor has a single row.
    single: bool,
    parts: Vec<(usize, usize)>,
}

impl Kernel for SideBySide {
    fn concat_parts(&self) -> Option<&[(usize, usize)]> {
        self.single.then_some(&self.parts)
    }

    fn joins_team(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let in_place = io.in_place;
        let copied = |i: usize| !in_place.get(i).copied().unwrap_or(false);
        for (i, &(offset, len)) in self.parts.iter().enumerate().filter(|(i, p)| p.1 > 0 && copied(*i)) {
            let (x, y) = io.io(i);
            for (y, x) in y.chunks_mut(self.row).zip(x.chunks(len)) {
                y[offset..offset + len].copy_from_slice(x);
            }
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (offset, len) = self.parts[io.operand];
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        if len > 0 {
            for (dy, dx) in dy.chunks(self.row).zip(dx.chunks_mut(len)) {
                put(&dy[offset..offset + len], dx, accumulate);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for (axis, shapes) in [
            (1, vec![&[2, 3, 4][..], &[2, 1, 4], &[2, 5, 4]]),
            (0, vec![&[2, 3], &[1, 3]]),
            (-1, vec![&[2, 3], &[2, 4]]),
        ] {
            Case::new("Concat", shapes.iter().map(|s| data(s)).collect())
                .attribute("axis", Attribute::Int(axis))
                .check();
        }
    }
}
