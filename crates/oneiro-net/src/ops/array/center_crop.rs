//! `CenterCropPad`: crops axes, or pads them with zeros, around their middle.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::array::constant::{check_volume, sizes};
use crate::ops::array::index_map::Origin;
use crate::ops::{Attributes, Built, Fact, Facts, Operator, Reach, Site, axis};
use crate::tensor::Tensor;

/// ONNX `CenterCropPad`. Its inputs are the data and the requested extents.
#[derive(Debug, Clone)]
struct CenterCropPad {
    axes: Option<Vec<i64>>,
}

/// Reads the attributes of a `CenterCropPad` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(CenterCropPad { axes: a.ints("axes")?.map(<[i64]>::to_vec) }))
}

impl CenterCropPad {
    fn origin(&self, inputs: Facts<'_>) -> Result<Origin, OpError> {
        let x = inputs.shape(0)?;
        let wanted = sizes(inputs.ints(1)?.ok_or("the shape is missing")?)?;
        let axes = self.axes.clone().unwrap_or_else(|| (0..x.len() as i64).collect());
        if axes.len() != wanted.len() {
            return Err(OpError::Refused(format!("{} extents for {} axes", wanted.len(), axes.len())));
        }
        let mut shape = x.to_vec();
        for (at, n) in axes.iter().zip(wanted) {
            shape[axis(*at, x.len())?] = n;
        }
        check_volume(&shape)?;
        let mut origin = Origin::whole(x);
        for ((walked, &n), &wanted) in origin.axes.iter_mut().zip(x).zip(&shape) {
            // If the difference is odd, the additional element is cropped or padded at the end.
            let (cut, pad) = (n.saturating_sub(wanted) / 2, wanted.saturating_sub(n) / 2);
            let from = |k: usize| (k + cut).checked_sub(pad).filter(|&k| k < n);
            walked.positions = (0..wanted).map(from).collect();
        }
        Ok(origin)
    }
}

impl Operator for CenterCropPad {
    fn op_type(&self) -> &str {
        "CenterCropPad"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let dtype = inputs.need(0)?.dtype;
        Ok(vec![Fact { dtype, shape: self.origin(inputs)?.shape(), value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let origin = self.origin(inputs)?;
        Ok(Some(vec![inputs.need_constant(0)?.rearranged(&origin.shape(), |k| origin.of(k), 0.0)]))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::new(self.origin(site.inputs)?.kernel(site.gradients), 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        self.origin(inputs).map_or(Reach::Whole, |origin| origin.reach())
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn axes(&self, sources: &Sources<'_>, _output: &Fact, _index: usize) -> Option<Axes> {
        self.origin(sources.facts).ok()?.axes_of(sources.get(0)?)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, data, ints};

    #[test]
    fn gradients_agree_with_differences() {
        Case::new("CenterCropPad", vec![data(&[4, 5, 6]), ints(&[7, 2, 6])]).opset(18).check();
    }
}
