//! The report on a rendered unit.

use serde::{Deserialize, Serialize};

use super::display::Display;
use crate::numbers::{is_zero, short};

/// One result of an optimisation, as `--json` and the metadata of `--raw` give it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitReport {
    /// The unit's name.
    pub unit: String,
    /// The maximised objective as text.
    pub objective: String,
    /// The picture that it started from, if not from noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Its number among pictures of the same objective.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: usize,
    /// Name of the recipe.
    pub preset: String,
    /// Which of a sheet's settings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub setting: usize,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Steps taken.
    pub steps: usize,
    /// Why it ended.
    pub stop: String,
    /// The objective on the unclipped picture, transforms off.
    pub value: f64,
    /// The value before the first step.
    pub value_at_start: f64,
    /// The objective on the 8-bit picture whose black is 0 and whose white is 1, however it is shown; bands
    /// count whether they are drawn or not.
    pub value_saved: f64,
    /// The share of the value that is left after disturbances, if measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robustness: Option<Robustness>,
    /// How the picture is shown.
    #[serde(default, skip_serializing_if = "Display::is_clip")]
    pub display: Display,
    /// The values that are black and white in it, if not 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_range: Option<[f32; 2]>,
}

impl UnitReport {
    /// Whether the optimisation did not change the value.
    pub fn is_stuck(&self) -> bool {
        /// Share of the value below which it has not changed.
        const NOTHING: f64 = 1e-6;
        let change = (self.value - self.value_at_start).abs();
        self.steps > 0 && change <= NOTHING * self.value.abs().max(self.value_at_start.abs())
    }

    /// The text in place of the value of a unit that the optimisation did not change.
    pub fn failure(&self) -> Option<&'static str> {
        match (self.is_stuck(), self.value == 0.0) {
            (false, _) => None,
            (true, true) => Some("never fired"),
            (true, false) => Some("did not change"),
        }
    }

    /// A text of the value that the unit has reached.
    pub fn line(&self) -> String {
        format!("{}: {} -> {}", self.unit, short(self.value_at_start), short(self.value))
    }
}

/// The objective after disturbances that a real feature survives.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Robustness {
    /// After saving as JPEG of quality 90.
    pub jpeg90: f64,
    /// After a shift by 4 pixels right and down.
    pub shift4: f64,
    /// After a turn by 5 degrees.
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
