//! The health of a class, in numbers and words.

use serde::Serialize;
use serde_json::{Map, Value};

/// Suspicion from which a class clearly follows a cue.
pub(in super::super) const CLEAR: f64 = 0.5;
/// Number of a class's images below which it is said.
const FEW_IMAGES: u64 = 20;
/// Suspicion from which it is strong.
const STRONG: f64 = 0.7;
/// The evidence of a class that could not be judged.
pub(super) const NOT_JUDGED: &str = "not_judged";

/// How much a class is suspected to follow a cue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassHealth {
    /// The class.
    pub name: String,
    /// How much it is suspected, from 0 to 1.
    pub suspicion: f64,
    /// The cue in words, and what it does.
    pub evidence: Map<String, Value>,
}

impl ClassHealth {
    /// Whether there was enough to judge the class by.
    pub fn is_judged(&self) -> bool {
        !self.evidence.contains_key(NOT_JUDGED)
    }

    /// The suspicion with a word: strong from .7, clear from .5, else weak; and whether half of it is a
    /// guess.
    pub fn strength(&self) -> String {
        let word = match self.suspicion {
            strong if strong >= STRONG => "strong",
            clear if clear >= CLEAR => "clear",
            _ => "weak",
        };
        let guess = match self.evidence.contains_key("synthetic_pictures_named_so_with_cue") {
            true => "; whether it needs the cue is a guess",
            false => "",
        };
        // A few images may all be named otherwise by chance.
        let images = self.evidence.get("own_images").and_then(Value::as_u64);
        let few = match images {
            Some(few) if few < FEW_IMAGES => format!("; by {few} images of it only"),
            _ => String::new(),
        };
        format!("suspicion {:.2}, {word}{guess}{few}", shown(self.suspicion))
    }

    /// The cue in words.
    pub fn cue(&self) -> &str {
        self.evidence.get("cue").and_then(Value::as_str).unwrap_or("none")
    }

    /// What the cue does, in a sentence.
    pub fn effect(&self) -> String {
        let share = |name: &str| {
            self.evidence.get(name).and_then(Value::as_f64).map(|share| format!("{:.0} %", 100.0 * share))
        };
        let said = |before: &str, after: &str| Some((share(before)?, share(after)?));
        if let Some((before, after)) = said("others_named_so", "others_named_so_with_cue") {
            let others = format!("{before} of the other classes' images are named so, with the cue {after}");
            let own_images = self.evidence.get("own_images").and_then(Value::as_u64).unwrap_or(0);
            let own_images = format!("{own_images} of its own images");
            let own = ["own_right", "own_right_with_cue", "own_right_with_cue_taken_out"].map(share);
            return match own {
                // Of none that were right, none can be lost.
                [Some(right), Some(with), _] if right == "0 %" => {
                    format!("{others}. Of {own_images} none are named rightly, with the cue {with}.")
                }
                [Some(right), Some(with), Some(without)] => format!(
                    "{others}. Of {own_images} {right} are named rightly, with the cue {with}, with it taken out {without}."
                ),
                _ => others,
            };
        }
        match said("synthetic_pictures_named_so", "synthetic_pictures_named_so_with_cue") {
            Some((before, after)) => {
                format!("{before} of synthetic pictures are named so, with the cue {after}.")
            }
            None => String::new(),
        }
    }
}

/// The suspicion to two digits, rounded so that it reaches no bound which it does not reach.
fn shown(suspicion: f64) -> f64 {
    let near = (100.0 * suspicion).round() / 100.0;
    let crossed = [CLEAR, STRONG].into_iter().any(|bound| suspicion < bound && near >= bound);
    if crossed { (100.0 * suspicion).floor() / 100.0 } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_not_reached_by_rounding() {
        assert_eq!([0.498, 0.5, 0.6999, 0.989, 0.294].map(shown), [0.49, 0.5, 0.69, 0.99, 0.29]);
    }
}
