//! `Relu` and `Clip`: clamps whose gradients follow a rule of their own.
//!
//! They run as the epilogue of a step ([`crate::typed::TypedNode::epilogue`]). A pass fuses them with the
//! step that computes their input, unless the value between them is a target. The backward pass then needs
//! one bit (ReLU) or two (`Clip`) for each element. A clamp that is not fused is a copy with that epilogue.
//! The gradient rule (exact, redirected, …) is chosen for each run, see [`crate::Rules`].

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::blocked::{Map, Per};
use crate::kernels::{Bounds, EpilogueFunction};
use crate::ops::blocked::Maps;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site, batch_independence, put,
};
use crate::tensor::{DType, Tensor};

/// The clamps `Relu` and `Clip` of ONNX.
#[derive(Debug, Clone)]
pub enum Activation {
    /// `Relu`: max(x, 0).
    Relu,
    /// `Clip` with its bounds as attributes (operator sets before 11).
    Clip(Bounds),
    /// `Clip` with its bounds as inputs 1 and 2.
    ClipByInputs,
}

/// Reads the attributes of a `Relu` or `Clip` node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(match op_type {
        "Relu" => Activation::Relu,
        _ if a.opset < 11 => Activation::Clip(Bounds {
            low: a.float_or("min", f32::NEG_INFINITY)?,
            high: a.float_or("max", f32::INFINITY)?,
            saturates: false,
        }),
        _ => Activation::ClipByInputs,
    }))
}

impl Activation {
    /// Returns the bounds of the clamp, which must be constant.
    pub fn bounds(&self, inputs: Facts<'_>) -> Result<Bounds, OpError> {
        let Bounds { low, high, saturates } = match self {
            Activation::Relu => Bounds { low: 0.0, high: f32::INFINITY, saturates: false },
            Activation::Clip(bounds) => *bounds,
            Activation::ClipByInputs => Bounds {
                low: inputs.scalar(1)?.unwrap_or(f32::NEG_INFINITY),
                high: inputs.scalar(2)?.unwrap_or(f32::INFINITY),
                saturates: false,
            },
        };
        // If the lower bound exceeds the upper one, ONNX uses the upper bound.
        Ok(Bounds { low: low.min(high), high, saturates })
    }
}

impl Operator for Activation {
    fn op_type(&self) -> &str {
        if matches!(self, Activation::Relu) { "Relu" } else { "Clip" }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.need(0)?;
        Ok(vec![Fact { dtype: x.dtype, shape: x.shape.clone(), value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let x = inputs.need_constant(0)?;
        if x.dtype() == DType::Int {
            let bound = |i: usize| -> Result<Option<i64>, OpError> {
                Ok(inputs.ints(i)?.and_then(|v| v.first().copied()))
            };
            let (low, high) = match self {
                Activation::Relu => (Some(0), None),
                _ => (bound(1)?, bound(2)?),
            };
            let clamp = |&v: &i64| v.max(low.unwrap_or(i64::MIN)).min(high.unwrap_or(i64::MAX));
            return Ok(Some(vec![Tensor::ints(x.shape(), x.as_ints()?.iter().map(clamp).collect())]));
        }
        let Bounds { low, high, .. } = self.bounds(inputs)?;
        let clamp = |&v: &f32| {
            if v < low {
                low
            } else if v > high {
                high
            } else {
                v
            }
        };
        Ok(Some(vec![Tensor::floats(x.shape(), x.as_floats()?.iter().map(clamp).collect())]))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        self.bounds(site.inputs)?;
        Ok(Built::new(Copy, 1))
    }

    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        self.bounds(site.inputs)?;
        Ok(Some(Built::new(BlockedCopy(Maps::over(site.isa, site.output)), 1)))
    }

    fn axes(&self, sources: &Sources<'_>, _output: &Fact, _index: usize) -> Option<Axes> {
        sources.get(0).cloned()
    }

    fn epilogue(&self, inputs: Facts<'_>) -> Result<Option<EpilogueFunction>, OpError> {
        self.bounds(inputs).map(EpilogueFunction::clip).map(Some)
    }

    fn is_activation(&self) -> bool {
        true
    }

    fn obeys_relu_rule(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A kernel that copies its input in blocks of channels.
#[derive(Debug)]
struct BlockedCopy(Maps);

impl Kernel for BlockedCopy {
    fn joins_team(&self) -> bool {
        true
    }

    fn applies_clip(&self) -> bool {
        true
    }

    fn applies_activation_mask(&self, _operand: usize) -> bool {
        true
    }

    fn passes_gradient(&self, _operand: usize) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let mut epilogue = io.epilogue();
        let (x, y) = io.io(0);
        self.0.run(Map::Copy, [Per::Element(x), Per::None, Per::None], y, false, &mut epilogue);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, mut epilogue) = (io.accumulate, io.epilogue());
        let (dy, dx) = io.io();
        self.0.run(Map::Copy, [Per::Element(dy), Per::None, Per::None], dx, accumulate, &mut epilogue);
    }
}

/// A kernel that copies its input.
#[derive(Debug)]
pub struct Copy;

impl Kernel for Copy {
    fn joins_team(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        y.copy_from_slice(x);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        put(dy, dx, accumulate);
    }
}
