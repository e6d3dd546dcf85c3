//! A tap: a copy of a value in plain order. A plan keeps the gradient of the copy, and so that of the value.
//!
//! A tap is no ONNX operator. A plan inserts one where a request asks for an inner gradient
//! ([`crate::Request::inner_gradients`]).

use std::any::Any;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::nn::activation::Copy;
use crate::ops::{Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site, batch_independence};

/// The operator that copies a value, its only input.
#[derive(Debug, Clone)]
pub(crate) struct Tap;

impl Operator for Tap {
    fn op_type(&self) -> &str {
        "Identity"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![inputs.need(0)?.clone()])
    }

    fn kernel(&self, _site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::new(Copy, 1))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An operator that copies its input but passes no gradient ([`crate::summary::detach`]).
#[derive(Debug, Clone)]
pub(crate) struct Given;

impl Operator for Given {
    fn op_type(&self) -> &str {
        "Identity"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![inputs.need(0)?.clone()])
    }

    fn kernel(&self, _site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::new(WithoutGradient, 1))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs)
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.broadcast(&output.shape)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The kernel of a copy whose gradient is zero.
#[derive(Debug)]
struct WithoutGradient;

impl Kernel for WithoutGradient {
    fn differentiable(&self, _operand: usize) -> bool {
        false
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        y.copy_from_slice(x);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        if !io.accumulate {
            io.gradient.fill(0.0);
        }
    }
}
