//! An objective with the name that the user gives it.

use oneiro::objective::{Objective, Unit};
use serde::{Deserialize, Serialize};

use super::Run;
use crate::error::Result;
use crate::model::LoadedModel;

/// A unit, or an expression under a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedObjective {
    /// The name: a unit such as `class:goldfish`, if no objective is given.
    pub unit: String,
    /// An expression, instead of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
}

impl NamedObjective {
    /// A unit.
    pub fn unit(unit: impl Into<String>) -> Self {
        Self { unit: unit.into(), objective: None }
    }

    /// An expression, which is its own name.
    pub fn expression(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { unit: text.clone(), objective: Some(text) }
    }

    pub(crate) fn objective(&self, model: &LoadedModel, size: Option<[usize; 2]>) -> Result<Objective> {
        match &self.objective {
            Some(text) => model.expression(text, size),
            None => model.objective(&self.unit.parse::<Unit>()?),
        }
    }

    /// With its classes by number.
    pub(crate) fn completed(&self, run: &Run<'_>) -> Result<Self> {
        let objective = self.objective(run.model()?, None)?;
        Ok(Self { unit: self.unit.clone(), objective: Some(objective.to_string()) })
    }
}
