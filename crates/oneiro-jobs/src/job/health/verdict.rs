//! The verdict on a filter, from what was measured of it.

use oneiro::filters::Behind;
use serde::{Deserialize, Serialize};

use super::duplicates::Copy;
use super::facts::{UnitFacts, deviation, has_threshold};

/// What is wrong with a filter, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It is never active.
    Dead,
    /// It is active at every position of every image: behind a ReLU it is a linear function.
    AlwaysOn,
    /// It answers pixel noise rather than pictures.
    Noise,
    /// It equals another filter of its layer up to a positive factor.
    Duplicate,
    /// None of these.
    Healthy,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 5] = [Self::Dead, Self::AlwaysOn, Self::Noise, Self::Duplicate, Self::Healthy];

    /// Its name, as files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::AlwaysOn => "always_on",
            Self::Noise => "noise",
            Self::Duplicate => "duplicate",
            Self::Healthy => "healthy",
        }
    }
}

/// What a scan knows of a unit behind its activation function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// Largest activation.
    pub maximum: f64,
    /// Share of positions above zero.
    pub active: f64,
    /// Number of positions.
    pub positions: u64,
    /// Number of images.
    pub images: usize,
    /// Largest value in front of a ReLU, if known.
    pub before: Option<f64>,
}

/// A layer's typical numbers, with which its units are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Typical {
    /// Median of the largest activations' magnitudes.
    pub maximum: f64,
    /// Median of the logarithm of the ratio of shuffled to real variance; NaN without.
    pub shuffled: f64,
    /// Median of the logarithm of the gain on noise.
    pub gain: f64,
}

/// An activation that is this small beside the layer's typical largest one counts as none.
const NOTHING: f64 = 1e-3;
/// Images with which a verdict of "never" or "always" is half certain.
const HALF_CERTAIN: f64 = 10.0;

/// Whether a unit is never active.
pub(super) fn is_dead(seen: &Seen, facts: &UnitFacts, behind: Behind, typical: &Typical) -> bool {
    match behind {
        Behind::Clamp(_) => seen.maximum <= 0.0,
        // A smooth function is never quite zero.
        Behind::Other => facts.pictures.maximum <= 0.0 && seen.maximum <= NOTHING * typical.maximum,
        Behind::Affine | Behind::Positive => deviation(&facts.pictures) <= 0.0,
    }
}

/// Whether a unit is active everywhere.
pub(super) fn is_always_on(seen: &Seen, behind: Behind) -> bool {
    has_threshold(behind) && seen.positions > 0 && seen.active >= 1.0
}

/// How sure it is that a unit is never, or always, active: by the number of images, and by the distance of
/// its values from zero in standard deviations.
pub(super) fn certainty(seen: &Seen, facts: &UnitFacts) -> f64 {
    let by_number = seen.images as f64 / (seen.images as f64 + HALF_CERTAIN);
    let spread = deviation(&facts.pictures);
    let distance = if spread > 0.0 { facts.pictures.mean.abs() / spread } else { f64::INFINITY };
    by_number * (1.0 - 0.5 * (-(distance - 1.0).max(0.0)).exp())
}

/// How likely it is that a unit chases noise; 0 if nothing can be said. A logistic function of four numbers,
/// fitted to planted filters (`docs/health.md`).
pub(super) fn noise_score(facts: &UnitFacts, typical: &Typical) -> f64 {
    let Some(kernel) = facts.kernel else { return 0.0 };
    let (shuffled, gain) = (facts.shuffled.ln(), facts.noise_gain().ln());
    if !shuffled.is_finite() || !gain.is_finite() {
        return 0.0;
    }
    let x = BIAS
        + SHUFFLED * (shuffled - typical.shuffled)
        + SHUFFLED_ITSELF * shuffled
        + GAIN * (gain - typical.gain)
        + SMOOTHNESS * kernel.smoothness
        + MEAN_SHARE * kernel.mean_share;
    1.0 / (1.0 + (-x).exp())
}

/// Coefficients of [`noise_score`].
const BIAS: f64 = -4.0;
const SHUFFLED: f64 = 2.0;
const SHUFFLED_ITSELF: f64 = 1.0;
const GAIN: f64 = 1.0;
const SMOOTHNESS: f64 = -6.0;
const MEAN_SHARE: f64 = -20.0;

/// How sure it is that a unit is a copy.
pub(super) fn certainty_of_copy(copy: &Copy) -> f64 {
    1.0 - 0.5 * ((1.0 - copy.correlation) / 5e-4).clamp(0.0, 1.0)
}
