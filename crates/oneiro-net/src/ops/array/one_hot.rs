//! `OneHot`: a new axis that holds `values[1]` at the index and `values[0]` elsewhere.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Kind, Part, Sources};
use crate::error::OpError;
use crate::ops::array::constant::check_volume;
use crate::ops::array::lookup::index;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis};
use crate::tensor::{DType, Tensor, volume};

/// ONNX `OneHot`. Inputs: indices, depth, and the two values (off, on).
#[derive(Debug, Clone)]
struct OneHot {
    axis: i64,
}

/// Reads the attributes of an ONNX `OneHot` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(OneHot { axis: a.int_or("axis", -1)? }))
}

impl OneHot {
    /// Returns the shape, the extent of the new axis, and the number of elements after it.
    fn layout(&self, inputs: Facts<'_>) -> Result<(Vec<usize>, Marks), OpError> {
        let depth = inputs.need_constant(1)?.operand()?;
        let depth = depth.first().filter(|d| **d >= 0.0 && depth.len() == 1).ok_or("depth is no size")?;
        let mut shape = inputs.shape(0)?.to_vec();
        let at = axis(self.axis, shape.len() + 1)?;
        shape.insert(at, *depth as usize);
        check_volume(&shape)?;
        if inputs.need(2)?.len() != 2 {
            return Err("the values should be two: off and on".into());
        }
        let marks = Marks { depth: shape[at], inner: volume(&shape[at + 1..]) };
        Ok((shape, marks))
    }
}

impl Operator for OneHot {
    fn op_type(&self) -> &str {
        "OneHot"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact { dtype: inputs.need(2)?.dtype, shape: self.layout(inputs)?.0, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let values = inputs.need_constant(2)?;
        if values.dtype() != DType::Int {
            return Ok(None);
        }
        let (shape, marks) = self.layout(inputs)?;
        let indices = inputs.need_constant(0)?.operand()?;
        let value = |i: usize| values.as_ints().map(|v| v[usize::from(marks.on(i, &indices))]);
        let out = (0..volume(&shape)).map(value).collect::<Result<_, _>>()?;
        Ok(Some(vec![Tensor::ints(&shape, out)]))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::over(self.layout(site.inputs)?.1, vec![0, 2]))
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Regroup
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        let from = sources.get(0)?;
        // The new axis of classes lies between the axes of the indices.
        let at = (0..output.shape.len()).find(|&i| {
            let mut rest = output.shape.clone();
            rest.remove(i);
            axis(self.axis, output.shape.len()) == Ok(i) && rest == sources.shape(0)
        })?;
        let mut axes = from.clone();
        axes.0.insert(at, vec![Part::new(Kind::Channel, output.shape[at])]);
        Some(axes)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Marks {
    depth: usize,
    inner: usize,
}

impl Marks {
    /// Whether element `i` of the output is marked. An index outside the axis marks nothing.
    fn on(&self, i: usize, indices: &[f32]) -> bool {
        let (outer, k) = (i / self.inner / self.depth, i / self.inner % self.depth);
        index(indices[outer * self.inner + i % self.inner], self.depth) == Some(k)
    }
}

impl Kernel for Marks {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn differentiable(&self, operand: usize) -> bool {
        operand == 1
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (indices, values, y) = io.io2(0, 1);
        y.par_iter_mut().with_min_len(1 << 12).enumerate().for_each(|(i, y)| {
            *y = values[usize::from(self.on(i, indices))];
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (indices, dy, dx) = io.io_input(0);
        if !accumulate {
            dx.fill(0.0);
        }
        let mut sums = [0f64; 2];
        for (i, dy) in dy.iter().enumerate() {
            sums[usize::from(self.on(i, indices))] += f64::from(*dy);
        }
        dx.iter_mut().zip(sums).for_each(|(dx, sum)| *dx += sum as f32);
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, flowing, ints};

    #[test]
    fn gradients_agree_with_differences() {
        for axis in [-1, 0, 1] {
            Case::new("OneHot", vec![flowing(&[2, 2], vec![0, -1, 3, 9]), ints(&[4]), data(&[2])])
                .attribute("axis", Attribute::Int(axis))
                .check();
        }
    }
}
