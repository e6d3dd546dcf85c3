//! Allowed ranges of numeric settings.

/// A set of finite numbers, with a description.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Range {
    Any,
    Positive,
    NotNegative,
    BelowOne,
    /// A closed interval with these two ends.
    Within(f64, f64),
    /// An interval with these two ends, without the lower end itself.
    Above(f64, f64),
}

impl Range {
    /// Whether a number is in the range; NaN and infinity never are.
    pub fn contains(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Any => true,
                Self::Positive => value > 0.0,
                Self::NotNegative => value >= 0.0,
                Self::BelowOne => (0.0..1.0).contains(&value),
                Self::Within(low, high) => (low..=high).contains(&value),
                Self::Above(low, high) => value > low && value <= high,
            }
    }

    /// Describes the allowed range in words.
    pub fn words(self) -> String {
        match self {
            Self::Any => "a finite number".into(),
            Self::Positive => "a positive number".into(),
            Self::NotNegative => "a number of 0 or more".into(),
            Self::BelowOne => "a number from 0 to less than 1".into(),
            Self::Within(low, high) => format!("a number from {low} to {high}"),
            Self::Above(low, high) => format!("a number above {low} and at most {high}"),
        }
    }
}
