//! An objective with the name that the user gave it.

use oneiro::objective::{Objective, Unit};
use serde::{Deserialize, Serialize};

use super::Run;
use crate::error::Result;
use crate::model::LoadedModel;

/// A unit, or an expression with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedObjective {
    /// The name. Without an expression, the name is a unit such as `class:goldfish`.
    pub unit: String,
    /// An expression that is maximised instead of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
}

impl NamedObjective {
    /// Creates the objective that shows this unit.
    pub fn unit(unit: impl Into<String>) -> Self {
        Self { unit: unit.into(), objective: None }
    }

    /// Creates an objective from an expression, which is also its name.
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

    /// Returns the objective with its classes given by index.
    pub(crate) fn completed(&self, run: &Run<'_>) -> Result<Self> {
        let objective = self.objective(run.model()?, None)?;
        Ok(Self { unit: self.unit.clone(), objective: Some(objective.to_string()) })
    }
}
