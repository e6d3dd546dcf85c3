//! The verdict on a filter, from what was measured of it.

use oneiro::filters::Behind;
use oneiro::filters::kernel_shapes::KernelShape;
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

    /// What a verdict means for the network, and what one does about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Dead => {
                "Dead filters are never active, so nothing behind them depends on them, and no gradient reaches them. Remove them, or \
                 start them anew. Many of them speak of a learning rate that was too large or of biases that fell too far."
            }
            Self::AlwaysOn => {
                "Filters that are always on never cross the threshold of their activation function, so they are linear functions of \
                 their input and select nothing. Start them anew, or lower their bias and train on."
            }
            Self::Noise => {
                "Filters that chase noise answer unordered pixels rather than the patterns of pictures. They carry little of the \
                 picture and make the network sensitive to noise. Start them anew; more data, augmentation or weight decay keep them away. Below some 70 % \
                 a verdict is a guess: look at the images that excite the filter before you give it up."
            }
            Self::Duplicate => {
                "Duplicates equal another filter of their layer up to a factor, so one of the two is wasted. Remove it and add its \
                 weights in the next layer, times the factor, to the other's; or start it anew. They are equal on these images: \
                 elsewhere they may differ."
            }
            Self::Healthy => "",
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

/// The middle and the width of a layer's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    /// The median; NaN without numbers.
    pub median: f64,
    /// The median distance from it, scaled to the standard deviation of a normal distribution.
    pub width: f64,
}

/// Widths below this make no number stand out.
const LEAST_WIDTH: f64 = 0.02;
/// From the median distance to the standard deviation of a normal distribution.
const NORMAL: f64 = 1.4826;

impl Spread {
    /// Of the finite numbers.
    pub(super) fn of(numbers: &[f64]) -> Self {
        let median = median(numbers.to_vec());
        let distances = numbers.iter().map(|number| (number - median).abs()).collect();
        Self { median, width: NORMAL * self::median(distances) }
    }

    /// The distance of a number from the median, in widths.
    pub(super) fn distance(self, number: f64) -> f64 {
        (number - self.median) / self.width.max(LEAST_WIDTH)
    }
}

/// The median of the finite numbers; NaN without.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.retain(|number| number.is_finite());
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        len => (numbers[(len - 1) / 2] + numbers[len / 2]) / 2.0,
    }
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
    /// Median of the logarithm of the answer to noise.
    pub answer: f64,
    /// Smoothness of the kernels.
    pub smoothness: Spread,
    /// Share of the mean in the kernels.
    pub mean_share: Spread,
}

/// An activation that is this small beside the layer's typical largest one counts as none.
const NOTHING: f64 = 1e-3;
/// Images with which a verdict of "never" or "always" is half certain.
const HALF_CERTAIN: f64 = 10.0;
/// How certain such a verdict is at most by synthetic pictures alone.
const WITHOUT_IMAGES: f64 = 0.4;

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
    let by_number = match seen.images {
        0 => WITHOUT_IMAGES,
        images => images as f64 / (images as f64 + HALF_CERTAIN),
    };
    let spread = deviation(&facts.pictures);
    let distance = if spread > 0.0 { facts.pictures.mean.abs() / spread } else { f64::INFINITY };
    by_number * (1.0 - 0.5 * (-(distance - 1.0).max(0.0)).exp())
}

/// How likely it is that a unit chases noise; 0 if nothing can be said. A logistic function of four numbers,
/// fitted to planted filters (`docs/health.md`).
pub(super) fn noise_score(facts: &UnitFacts, typical: &Typical) -> f64 {
    let Some(kernel) = facts.kernel.filter(KernelShape::is_flat) else { return 0.0 };
    let (shuffled, answer) = (facts.shuffled.ln(), facts.answer_to_noise().ln() - facts.noise_gain().ln());
    if !shuffled.is_finite() || answer.is_nan() {
        return 0.0;
    }
    let smoothness = typical.smoothness.distance(kernel.smoothness).max(-6.0);
    let mean_share = typical.mean_share.distance(kernel.mean_share).clamp(-4.0, 0.0);
    let x = BIAS
        + SHUFFLED * (shuffled - typical.shuffled)
        + ANSWER * answer.clamp(-1.0, 2.5)
        + SMOOTHNESS * smoothness
        + MEAN_SHARE * mean_share;
    1.0 / (1.0 + (-x).exp())
}

/// Coefficients of [`noise_score`].
const BIAS: f64 = -5.33;
const SHUFFLED: f64 = 0.395;
const ANSWER: f64 = 1.93;
const SMOOTHNESS: f64 = -0.63;
const MEAN_SHARE: f64 = -1.29;

/// How sure it is that a unit is a copy.
pub(super) fn certainty_of_copy(copy: &Copy) -> f64 {
    1.0 - 0.5 * ((1.0 - copy.correlation) / 5e-4).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use oneiro::unit_statistics::Moments;

    use super::*;

    fn moments(mean: f64, deviation: f64, maximum: f32) -> Moments {
        let count = 1000;
        let active = if maximum > 0.0 { 500 } else { 0 };
        Moments {
            count,
            active,
            maximum,
            mean,
            spread: deviation.powi(2) * count as f64,
            ..Moments::default()
        }
    }

    fn facts(kernel: KernelShape, shuffled: f64, positive: [f64; 2]) -> UnitFacts {
        let pictures = moments(0.0, 1.0, 3.0);
        UnitFacts {
            pictures,
            noise: moments(0.0, 2.0, 6.0),
            positive,
            shuffled,
            kernel: Some(kernel),
            samples: Vec::new(),
        }
    }

    fn typical() -> Typical {
        Typical {
            maximum: 3.0,
            shuffled: 0.5f64.ln(),
            gain: 0.0,
            answer: 0.0,
            smoothness: Spread::of(&[0.1, 0.2, 0.3, 0.2, 0.15]),
            mean_share: Spread::of(&[0.1, 0.2, 0.3, 0.2, 0.15]),
        }
    }

    #[test]
    fn a_checkerboard_chases_noise_and_a_smooth_kernel_does_not() {
        let checkerboard = KernelShape { mean_share: 0.0, smoothness: -1.0, taps: 9 };
        assert!(noise_score(&facts(checkerboard, 3.0, [0.1, 2.0]), &typical()) > 0.9);
        let smooth = KernelShape { mean_share: 0.2, smoothness: 0.25, taps: 9 };
        assert!(noise_score(&facts(smooth, 0.5, [0.4, 0.8]), &typical()) < 0.1);
        // Without several taps nothing is said.
        assert_eq!(
            noise_score(&UnitFacts { kernel: None, ..facts(smooth, f64::NAN, [1.0; 2]) }, &typical()),
            0.0
        );
    }

    #[test]
    fn dead_and_always_on_depend_on_the_activation_function() {
        let kernel = KernelShape { mean_share: 0.2, smoothness: 0.2, taps: 9 };
        let silent = UnitFacts { pictures: moments(-8.0, 1.0, -2.0), ..facts(kernel, 1.0, [0.0; 2]) };
        let seen = Seen { maximum: 0.0, active: 0.0, positions: 1000, images: 100, before: Some(-2.0) };
        let relu = Behind::Clamp([0.0, f32::INFINITY]);
        assert!(is_dead(&seen, &silent, relu, &typical()));
        assert!(is_dead(&Seen { maximum: -1e-9, ..seen }, &silent, Behind::Other, &typical()));
        assert!(!is_dead(&seen, &silent, Behind::Affine, &typical()));
        let on = Seen { maximum: 9.0, active: 1.0, ..seen };
        assert!(is_always_on(&on, relu) && !is_always_on(&on, Behind::Positive));
        assert!(
            certainty(&seen, &silent) > 0.9
                && certainty(&Seen { images: 0, ..seen }, &silent) <= WITHOUT_IMAGES
        );
    }

    #[test]
    fn the_spread_of_a_layer_is_robust() {
        let spread = Spread::of(&[1.0, 2.0, 3.0, 4.0, 1000.0, f64::NAN]);
        assert_eq!((spread.median, spread.width), (3.0, NORMAL));
        assert_eq!(spread.distance(3.0 - NORMAL), -1.0);
    }
}
