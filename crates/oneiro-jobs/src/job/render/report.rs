//! The report on a rendered unit.

use oneiro::regularizer::Shares;
use serde::{Deserialize, Serialize};

use super::display::Display;
use crate::job::belief::Belief;
use crate::numbers::{is_zero, short};

/// The report on one optimisation, in `--json` and in the metadata of `--raw`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitReport {
    /// Name of the rendered unit.
    pub unit: String,
    /// The objective that was maximised, as an expression.
    pub objective: String,
    /// The start picture, if it is not noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The index among pictures of the same objective.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: usize,
    /// Name of the preset with which the unit was rendered.
    pub preset: String,
    /// Index of the unit's setting among those of the sheet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub setting: usize,
    /// Random seed of the rendering.
    pub seed: u64,
    /// Number of optimisation steps taken.
    pub steps: usize,
    /// The reason why the optimisation ended.
    pub stop: String,
    /// The objective's value for the unclipped picture, without random transforms.
    pub value: f64,
    /// The objective's value before the first step.
    pub value_at_start: f64,
    /// The objective's value for the 8-bit picture, in which black is 0 and white is 1 however the picture is
    /// displayed. All bands are included, even those that are not drawn.
    pub value_saved: f64,
    /// κ of the total variation, for clips and flow with a regularizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kappa: Option<f64>,
    /// γ of the total variation, for clips and flow with a regularizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// How much objective and regularizer contributed for each input in the last step, if there is a
    /// regularizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<(String, Shares)>,
    /// The objective's values after disturbances of the picture, if they were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robustness: Option<Robustness>,
    /// Of a class of a video network: what the network names the optimised inputs, rounded to 8 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// How pixel values are displayed as colours.
    #[serde(default, skip_serializing_if = "Display::is_clip")]
    pub display: Display,
    /// The values that are shown as black and white, if they are not 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_range: Option<[f32; 2]>,
    /// Whether the picture may be believed, if that was asked.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub belief: Option<Belief>,
}

impl UnitReport {
    /// Whether the optimisation did not change the value.
    pub fn is_stuck(&self) -> bool {
        /// Relative change below which the value counts as unchanged.
        const NOTHING: f64 = 1e-6;
        let change = (self.value - self.value_at_start).abs();
        self.steps > 0 && change <= NOTHING * self.value.abs().max(self.value_at_start.abs())
    }

    /// Returns a text that replaces the value, if the optimisation did not change it.
    pub fn failure(&self) -> Option<&'static str> {
        match (self.is_stuck(), self.value == 0.0) {
            (false, _) => None,
            (true, true) => Some("never fired"),
            (true, false) => Some("did not change"),
        }
    }

    /// Describes the unit's value before and after the optimisation.
    pub fn line(&self) -> String {
        format!("{}: {} -> {}", self.unit, short(self.value_at_start), short(self.value))
    }
}

/// The objective's values after disturbances of the picture that real features survive.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Robustness {
    /// The value after saving as JPEG of quality 90.
    pub jpeg90: f64,
    /// The value after a shift by 4 pixels right and down.
    pub shift4: f64,
    /// The value after a rotation by 5 degrees.
    pub turn5: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_optimisation_did_not_move_says_so() {
        let unit = |value_at_start: f64, value: f64| {
            let report = serde_json::json!({
                "unit": "a:0", "objective": "channel(a,0)", "preset": "lucid", "seed": 0, "steps": 9,
                "stop": "all steps done", "value": value, "value_at_start": value_at_start, "value_saved": value
            });
            serde_json::from_value::<UnitReport>(report).unwrap().failure()
        };
        assert_eq!([unit(0.0, 0.0), unit(1.5, 1.5)], [Some("never fired"), Some("did not change")]);
        assert_eq!([unit(0.0, 0.1), unit(1.5, 1.0), unit(-3.0, 0.0)], [None; 3]);
    }
}
