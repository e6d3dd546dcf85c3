//! Rules for the gradients of ReLUs and max-pooling, as settings of a rendering.
//!
//! Interface: [`Gradients`] is a part of a preset. The rule for ReLUs may hold for the first steps only; the
//! exact derivative follows. The rule for max-pooling holds throughout, since a plan is compiled for it.

use std::fmt;
use std::str::FromStr;

use oneiro_net::{MaxPoolRule, ReluRule};
use serde::{Deserialize, Serialize};

/// Default number of steps with redirected gradients. Lucid's `redirected_relu_grad` redirects while its step
/// count is at most 16. That makes 17 steps, because its count starts from 0; oneiro redirects in the first
/// 16.
pub const REDIRECTED_STEPS: usize = 16;

/// Default slope of the leaky rule, that of Darknet's leaky ReLUs.
pub const LEAKY_SLOPE: f32 = 0.1;

/// Rules by which a rendering computes gradients of ReLUs and max-pooling.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gradients {
    /// The rule for the gradients of ReLUs and other clips.
    pub relu: ReluGradient,
    /// Number of initial steps in which `relu` holds before the exact derivative takes over; by default all
    /// steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relu_steps: Option<usize>,
    /// The rule for the gradients of max-pooling.
    pub max_pool: MaxPoolGradient,
}

impl Gradients {
    /// Creates a rule for ReLUs with its usual number of steps: [`REDIRECTED_STEPS`] for the redirected rule,
    /// all steps for the others.
    pub fn relu(relu: ReluGradient) -> Self {
        let relu_steps = (relu == ReluGradient::Redirected).then_some(REDIRECTED_STEPS);
        Self { relu, relu_steps, max_pool: MaxPoolGradient::Exact }
    }

    /// Returns the rule for ReLUs in a step, counted from 0.
    pub fn relu_at(&self, step: usize) -> ReluRule {
        if self.relu_steps.is_some_and(|steps| step >= steps) { ReluRule::Exact } else { self.relu.rule() }
    }
}

/// A rule for the gradients of ReLUs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum ReluGradient {
    /// The exact derivative.
    #[default]
    Exact,
    /// The derivative. If it would be zero everywhere, all gradients pass that do not push further into the
    /// clip (Lucid).
    Redirected,
    /// The gradient at an inactive ReLU is multiplied by this slope, from 0 to 1.
    Leaky(f32),
    /// Only positive gradients pass, at active ReLUs (guided backpropagation: Springenberg et al. 2015).
    Guided,
    /// Only positive gradients pass, at active and inactive ReLUs (DeconvNet: Zeiler & Fergus 2014).
    Deconv,
}

impl ReluGradient {
    /// Returns the corresponding gradient rule of `oneiro_net`.
    pub fn rule(self) -> ReluRule {
        match self {
            Self::Exact => ReluRule::Exact,
            Self::Redirected => ReluRule::Redirected,
            Self::Leaky(slope) => ReluRule::Leaky(slope),
            Self::Guided => ReluRule::Guided,
            Self::Deconv => ReluRule::Deconv,
        }
    }
}

impl fmt::Display for ReluGradient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => write!(f, "exact"),
            Self::Redirected => write!(f, "redirected"),
            Self::Leaky(slope) => write!(f, "leaky({slope})"),
            Self::Guided => write!(f, "guided"),
            Self::Deconv => write!(f, "deconv"),
        }
    }
}

/// The error for a text that names no gradient rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "there is no rule \"{0}\"; there are exact, redirected, leaky, leaky(SLOPE) with a slope from 0 to 1, guided and deconv"
)]
pub struct UnknownRule(String);

impl FromStr for ReluGradient {
    type Err = UnknownRule;

    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        let slope = text.strip_prefix("leaky(").and_then(|t| t.strip_suffix(')'));
        Ok(match text {
            "exact" => Self::Exact,
            "redirected" => Self::Redirected,
            "leaky" => Self::Leaky(LEAKY_SLOPE),
            "guided" => Self::Guided,
            "deconv" => Self::Deconv,
            _ => {
                let slope = slope.and_then(|s| s.trim().parse().ok()).filter(|s| (0.0..=1.0).contains(s));
                Self::Leaky(slope.ok_or_else(|| UnknownRule(text.to_owned()))?)
            }
        })
    }
}

impl TryFrom<String> for ReluGradient {
    type Error = UnknownRule;

    fn try_from(text: String) -> Result<Self, UnknownRule> {
        text.parse()
    }
}

impl From<ReluGradient> for String {
    fn from(rule: ReluGradient) -> String {
        rule.to_string()
    }
}

/// A rule for the gradients of max-pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MaxPoolGradient {
    /// The derivative: the whole gradient goes to the first of the largest values.
    #[default]
    Exact,
    /// Gradients pass as through an L2 pool over the same window ([`MaxPoolRule::Smoothed`]).
    Smoothed,
}

impl MaxPoolGradient {
    /// Returns the corresponding gradient rule of `oneiro_net`.
    pub fn rule(self) -> MaxPoolRule {
        match self {
            Self::Exact => MaxPoolRule::Exact,
            Self::Smoothed => MaxPoolRule::Smoothed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_and_print() {
        for text in ["exact", "redirected", "leaky(0.25)", "guided", "deconv"] {
            assert_eq!(text.parse::<ReluGradient>().unwrap().to_string(), text);
        }
        assert_eq!("leaky".parse(), Ok(ReluGradient::Leaky(LEAKY_SLOPE)));
        for text in ["", "Exact", "leaky()", "leaky(2)", "leaky(NaN)", "leaky(0.1", "relu"] {
            let error = text.parse::<ReluGradient>().unwrap_err().to_string();
            assert!(error.contains("guided and deconv"), "{text}: {error}");
        }
    }

    #[test]
    fn redirection_ends_after_its_steps_and_other_rules_do_not() {
        let redirected = Gradients::relu(ReluGradient::Redirected);
        assert_eq!(redirected.relu_at(REDIRECTED_STEPS - 1), ReluRule::Redirected);
        assert_eq!(redirected.relu_at(REDIRECTED_STEPS), ReluRule::Exact);
        assert_eq!(Gradients::relu(ReluGradient::Guided).relu_at(9999), ReluRule::Guided);
    }
}
