//! `If`: the graph contains both branches, and a constant condition chooses between their results.
//!
//! Exporters write `If` where the shape of a value decides what to compute. The condition then folds to a
//! constant. The branch that is not taken may not even fit the shapes.

use std::any::Any;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::nn::activation::Copy;
use crate::ops::{Built, Fact, Facts, Operator, Site};
use crate::tensor::DType;

/// The operator; inputs: the condition, the results of the branch for true, and the results of the branch for
/// false.
#[derive(Debug, Clone)]
pub struct Choose {
    /// Number of results of each branch of an `If`.
    pub results: usize,
}

impl Choose {
    /// Returns the indices of the inputs that are chosen.
    pub fn chosen(&self, inputs: Facts<'_>) -> Result<std::ops::Range<usize>, OpError> {
        if inputs.need(0)?.value.is_none() {
            let why = "its condition depends on the data, which is not supported";
            return Err(OpError::Data(why.to_owned()));
        }
        let condition = inputs.need_constant(0)?;
        if condition.dtype() != DType::Bool || condition.len() != 1 {
            return Err("the condition should be one truth value".into());
        }
        let first = if condition.as_bools()?[0] { 1 } else { 1 + self.results };
        Ok(first..first + self.results)
    }
}

impl Operator for Choose {
    fn op_type(&self) -> &str {
        "If"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        self.chosen(inputs)?.map(|i| inputs.need(i).cloned()).collect()
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let chosen = self.chosen(site.inputs)?;
        Ok(Built::over(Copy, vec![chosen.start + site.output_index]))
    }

    fn may_ignore_inputs(&self) -> bool {
        true
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn axes(&self, sources: &Sources<'_>, _output: &Fact, index: usize) -> Option<Axes> {
        let chosen = self.chosen(sources.facts).ok()?;
        sources.get(chosen.start + index).cloned()
    }

    fn chosen_inputs(&self, inputs: Facts<'_>) -> Result<Option<std::ops::Range<usize>>, OpError> {
        self.chosen(inputs).map(Some)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
