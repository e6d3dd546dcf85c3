//! A tap: a copy of a value in plain order, behind which a plan keeps the gradient with respect to that
//! value.
//!
//! It is no operator of ONNX. A plan puts it where a request asks for an inner gradient
//! ([`crate::Request::inner_gradients`]).

use std::any::Any;

use crate::error::OpError;
use crate::ops::nn::activation::Copy;
use crate::ops::{Built, Fact, Facts, Operator, Site, batch_independence};

/// The operator; input: the value.
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
