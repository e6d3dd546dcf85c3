//! What is compared, as data.

use std::path::Path;

use oneiro::objective::{Objective, Term, TermKind, Unit, UnitTarget};
use serde::{Deserialize, Serialize};

use super::error::CompareError;
use crate::error::{During as _, Result, Step};
use crate::job::Run;
use crate::job::render::work::UnitRequest;
use crate::model::{LoadedModel, ModelSpec};
use crate::provenance::ProvenanceError;

/// What is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Compared {
    /// Two units of one network.
    Units {
        /// The first unit.
        a: ComparedUnit,
        /// The second unit.
        b: ComparedUnit,
    },
    /// Two layers of one network.
    Layers {
        /// The first layer.
        a: String,
        /// The second layer.
        b: String,
    },
    /// One unit in several networks.
    Unit {
        /// The unit.
        unit: ComparedUnit,
    },
    /// All channels of layers in several networks.
    Filters {
        /// The layers; none for all that the networks have in common.
        #[serde(default)]
        layers: Vec<String>,
        /// What the channels are ordered by. By default answers if there is data, else weights.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<ChangeBy>,
    },
}

/// By which change the filters of several networks are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeBy {
    /// The correlation of their activations.
    Answers,
    /// The cosine of their weights; the correlation where weights are not known.
    Weights,
}

impl Compared {
    /// The units as requests of rendering, as far as they are known without a network.
    pub(super) fn requests(&self) -> Vec<UnitRequest> {
        let units: Vec<&ComparedUnit> = match self {
            Self::Units { a, b } => vec![a, b],
            Self::Unit { unit } => vec![unit],
            Self::Layers { .. } | Self::Filters { .. } => Vec::new(),
        };
        let request = |unit: &ComparedUnit| UnitRequest {
            objective: unit.objectives.first().cloned(),
            ..UnitRequest::new(unit.unit.clone())
        };
        units.into_iter().map(request).collect()
    }
}

/// A unit that is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparedUnit {
    /// The unit: a channel, a neuron, a direction or a class.
    pub unit: String,
    /// Its objective in each network, once it is known. Classes are then given by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<String>,
    /// For a class, the classes of the images that it stands for, once they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
}

impl ComparedUnit {
    /// Creates a unit from its text.
    pub fn new(unit: impl Into<String>) -> Self {
        Self { unit: unit.into(), objectives: Vec::new(), folders: Vec::new() }
    }

    /// Returns the unit's objective in one of the networks.
    ///
    /// # Errors
    /// If it is no unit of this network.
    pub(super) fn objective(&self, model: &LoadedModel, index: usize) -> Result<Objective> {
        match self.objectives.get(index) {
            Some(text) => model.expression(text, None),
            None => model.objective(&self.unit.parse::<Unit>()?),
        }
        .during(|| Step::Use { model: model.source.clone() })
        .and_then(|objective| match self.unit.parse::<Unit>()?.target {
            UnitTarget::Layer(_) => Err(CompareError::NotCompared { unit: self.unit.clone() }.into()),
            _ => Ok(objective),
        })
    }

    /// Returns the unit with its objectives.
    pub(super) fn with_objectives(&self, objectives: &[&Objective]) -> Self {
        let objectives = objectives.iter().map(ToString::to_string).collect();
        Self { objectives, ..self.clone() }
    }
}

/// The only term of a unit's objective.
pub(super) fn term_of<'o>(unit: &str, objective: &'o Objective) -> Result<&'o Term> {
    match objective {
        Objective::Term(term) => Ok(term),
        _ => Err(CompareError::NotCompared { unit: unit.to_owned() }.into()),
    }
}

/// The class of a unit, by its index.
pub(super) fn class_of(objective: &Objective) -> Option<usize> {
    match objective {
        Objective::Term(term) => match term.kind {
            TermKind::Logit(class) => Some(class),
            _ => None,
        },
        _ => None,
    }
}

/// A network beside that of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherModel {
    /// The network with its preprocessing.
    pub model: ModelSpec,
    /// SHA-256 of its file in hexadecimal, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether it is a file, not a built-in network.
    pub is_file: bool,
}

impl OtherModel {
    /// Creates a network from its specification.
    pub fn new(model: ModelSpec) -> Self {
        let is_file = Path::new(&model.model).is_file();
        Self { model, sha256: None, is_file }
    }

    /// Returns the network's file, if it has one.
    pub(super) fn file(&self) -> Option<String> {
        self.is_file.then(|| self.model.model.clone())
    }

    /// Loads the network. Also returns it with all that a result has to say of it.
    ///
    /// # Errors
    /// If it cannot be read, or if its file is another one than that with which a result was made.
    pub(super) fn load(&self, run: &Run<'_>) -> Result<(LoadedModel, Self)> {
        let places = run.places();
        let name = self.model.model.clone();
        let model = match self.is_file {
            true => places.of(&name).to_string_lossy().into_owned(),
            false => name.clone(),
        };
        let mut loaded = ModelSpec { model, places, ..self.model.clone() }.load(run.context)?;
        if let Some(original) = self.sha256.as_ref().filter(|sha256| **sha256 != loaded.hash) {
            let (sha256, original) = (loaded.hash, original.clone());
            return Err(ProvenanceError::OtherModel { model: loaded.source, sha256, original }.into());
        }
        loaded.source = name.clone();
        // Its card may name the output that holds the classes only once they are looked for.
        let _ = loaded.model.head();
        let spec = ModelSpec { model: name, prepared: Some(loaded.recorded_card()), ..ModelSpec::default() };
        let known = Self { model: spec, sha256: Some(loaded.hash.clone()), is_file: self.is_file };
        Ok((loaded, known))
    }
}
