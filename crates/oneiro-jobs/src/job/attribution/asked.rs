//! What an attribution explains: a unit, an expression, or the class that the network predicts.

use oneiro::objective::{Objective, Unit};

use crate::error::{During as _, Result, Step};
use crate::model::LoadedModel;

/// Reason why an objective may not refer to files.
const OF_THE_NETWORK: &str = "an attribution is of what the network does with the image alone";

/// The target of an attribution: an objective with its name, or the class that the network predicts.
#[derive(Clone)]
pub(super) enum Asked {
    Unit { unit: String, objective: Objective },
    TopClass,
}

impl Asked {
    /// Reads the name of a unit, or an expression with its name. Without both, it is the predicted class.
    pub(super) fn read(model: &LoadedModel, unit: Option<&str>, objective: Option<&str>) -> Result<Self> {
        Ok(match (unit, objective) {
            (None, None) => Self::TopClass,
            (Some(unit), None) => {
                let objective = model.objective(&unit.parse::<Unit>()?)?;
                Self::Unit { unit: unit.to_owned(), objective }
            }
            (unit, Some(text)) => {
                let objective = model
                    .expression_of_classes(text, OF_THE_NETWORK)
                    .during(|| Step::Objective { of: text.to_owned() })?;
                objective.require_network_alone("an attribution")?;
                let unit = unit.map_or_else(|| model.named(&objective), str::to_owned);
                Self::Unit { unit, objective }
            }
        })
    }
}

/// A unit to explain.
pub(super) struct Explained {
    pub unit: String,
    pub objective: Objective,
    /// The class, if it is the predicted one.
    class: Option<usize>,
}

impl Explained {
    /// Returns what is asked for. `predicted` computes the class that the network predicts.
    pub(super) fn new(
        model: &LoadedModel,
        asked: &Asked,
        predicted: impl FnOnce() -> Result<usize>,
    ) -> Result<Self> {
        let explained = match asked {
            Asked::Unit { unit, objective } => {
                Self { unit: unit.clone(), objective: objective.clone(), class: None }
            }
            Asked::TopClass => {
                let class = predicted()?;
                let name = model.class_name(class);
                let unique = model.labels.as_ref().is_some_and(|l| l.find(&name).is_ok());
                let unit = if unique { format!("class:{name}") } else { format!("class:{class}") };
                Self { unit, objective: Objective::logit(class), class: Some(class) }
            }
        };
        model.check_labels_of(&explained.objective)?;
        Ok(explained)
    }

    /// Returns the name in captions: for the predicted class, with the network's answer.
    pub(super) fn label(&self, model: &LoadedModel, value: f64) -> Result<String> {
        self.class.map_or_else(|| Ok(self.unit.clone()), |class| answer(model, class, value))
    }
}

/// Describes the target of an attribution to the network's answer: the predicted class, or yes or no. For a
/// network with a single output, the map always explains "yes", whatever the network answers.
fn answer(model: &LoadedModel, class: usize, logit: f64) -> Result<String> {
    let name = model.class_name(class);
    if model.model.class_count() != Some(1) {
        return Ok(format!("{name} (top class)"));
    }
    let yes = model.model.head()?.activation.probabilities(&[logit as f32])[0] >= 0.5;
    Ok(format!("{name} (its yes; the network says {})", if yes { "yes" } else { "no" }))
}
