//! Schedules: how the learning rate changes over the steps.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The factor of the learning rate as a function of progress.
///
/// The progress p is 0 in the first step and 1 in the last. [`fmt::Display`] prints the text form, which is
/// also the serialized form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Schedule {
    /// `constant`: the factor is always 1.
    #[default]
    Constant,
    /// `linear(to)`: from 1 to `to` in a straight line.
    Linear(f64),
    /// `cosine(to)`: to + (1 − to)(1 + cos πp)/2 (Loshchilov & Hutter 2017, without restarts).
    Cosine(f64),
    /// `exponential(to)`: the factor is toᵖ.
    Exponential(f64),
    /// `inverse-time(k)`: 1/(1 + kp), the Robbins–Monro decay; the last step has 1/(1 + k).
    InverseTime(f64),
    /// `steps(factor@fraction,…)`: 1 at first, then each factor from its fraction of the steps on.
    /// `steps(0.1@0.75)` has a tenth of the rate in the last quarter of the steps.
    Steps(Vec<(f64, f64)>),
}

/// The reason why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "there is no schedule \"{0}\": {1}; there are constant, linear(TO), cosine(TO), exponential(TO), inverse-time(K) and \
     steps(FACTOR@FRACTION,…)"
)]
pub struct ScheduleError(String, &'static str);

impl Schedule {
    /// Returns the factor in `step`, counted from 0, of `steps`. Later steps have the factor of the last.
    pub fn factor(&self, step: usize, steps: usize) -> f64 {
        let last = steps.saturating_sub(1);
        let progress = if last == 0 { 0.0 } else { step.min(last) as f64 / last as f64 };
        match self {
            Self::Constant => 1.0,
            Self::Linear(to) => 1.0 + (to - 1.0) * progress,
            Self::Cosine(to) => to + (1.0 - to) * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0,
            Self::Exponential(to) => to.powf(progress),
            Self::InverseTime(k) => 1.0 / (1.0 + k * progress),
            Self::Steps(factors) => {
                let begun = |fraction: f64| step as f64 >= fraction * steps.max(1) as f64;
                factors.iter().rev().find(|(_, from)| begun(*from)).map_or(1.0, |(factor, _)| *factor)
            }
        }
    }

    /// Returns an error unless all numbers are allowed.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let not_negative = |v: f64| v.is_finite() && v >= 0.0;
        let problem = match self {
            Self::Linear(to) | Self::Cosine(to) if !not_negative(*to) => "TO is a factor of 0 or more",
            Self::Exponential(to) if !positive(*to) => "TO is a factor of more than 0",
            Self::InverseTime(k) if !not_negative(*k) => "K is 0 or more",
            Self::Steps(factors) if factors.is_empty() => "at least one FACTOR@FRACTION is needed",
            Self::Steps(factors) if !factors.iter().all(|(factor, _)| positive(*factor)) => {
                "a FACTOR is more than 0"
            }
            Self::Steps(factors) if !factors.iter().all(|(_, from)| (0.0..1.0).contains(from)) => {
                "a FRACTION is from 0 to less than 1"
            }
            Self::Steps(factors) if !factors.is_sorted_by(|a, b| a.1 < b.1) => "FRACTIONs have to rise",
            _ => return Ok(()),
        };
        Err(ScheduleError(self.to_string(), problem))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => write!(f, "constant"),
            Self::Linear(to) => write!(f, "linear({to})"),
            Self::Cosine(to) => write!(f, "cosine({to})"),
            Self::Exponential(to) => write!(f, "exponential({to})"),
            Self::InverseTime(k) => write!(f, "inverse-time({k})"),
            Self::Steps(factors) => {
                let parts: Vec<String> =
                    factors.iter().map(|(factor, from)| format!("{factor}@{from}")).collect();
                write!(f, "steps({})", parts.join(","))
            }
        }
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let error = |problem| ScheduleError(text.to_owned(), problem);
        let number = |t: &str| t.trim().parse::<f64>().map_err(|_| error("a number is missing or none"));
        let trimmed = text.trim();
        let (name, inner) = match trimmed.split_once('(') {
            None => (trimmed, None),
            Some((name, rest)) => {
                (name.trim_end(), Some(rest.strip_suffix(')').ok_or_else(|| error("a \")\" is missing"))?))
            }
        };
        let schedule = match (name, inner) {
            ("constant", None) => Self::Constant,
            ("linear", Some(to)) => Self::Linear(number(to)?),
            ("cosine", Some(to)) => Self::Cosine(number(to)?),
            ("exponential", Some(to)) => Self::Exponential(number(to)?),
            ("inverse-time", Some(k)) => Self::InverseTime(number(k)?),
            ("steps", Some(list)) => {
                let part = |part: &str| {
                    let (factor, from) = part.split_once('@').ok_or_else(|| error("an \"@\" is missing"))?;
                    Ok((number(factor)?, number(from)?))
                };
                Self::Steps(list.split(',').map(part).collect::<Result<_, _>>()?)
            }
            ("linear" | "cosine" | "exponential" | "inverse-time" | "steps", None) => {
                return Err(error("its numbers are missing"));
            }
            ("constant", Some(_)) => return Err(error("constant takes no number")),
            _ => return Err(error("the name is unknown")),
        };
        schedule.validate().map_err(|ScheduleError(_, problem)| error(problem))?;
        Ok(schedule)
    }
}

impl TryFrom<String> for Schedule {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> String {
        schedule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_those_of_the_formulas() {
        let mut failures = Vec::new();
        for (text, expected) in [
            ("constant", [1.0, 1.0, 1.0, 1.0, 1.0]),
            ("linear(0.2)", [1.0, 0.8, 0.6, 0.4, 0.2]),
            ("linear(2)", [1.0, 1.25, 1.5, 1.75, 2.0]),
            ("cosine(0)", [1.0, 0.853_553_390_593, 0.5, 0.146_446_609_407, 0.0]),
            ("cosine(0.1)", [1.0, 0.868_198_051_534, 0.55, 0.231_801_948_466, 0.1]),
            ("exponential(0.0625)", [1.0, 0.5, 0.25, 0.125, 0.0625]),
            ("inverse-time(4)", [1.0, 0.5, 1.0 / 3.0, 0.25, 0.2]),
            ("steps(0.1@0.6)", [1.0, 1.0, 1.0, 0.1, 0.1]),
            ("steps(0.5@0.2,0.25@0.8)", [1.0, 0.5, 0.5, 0.5, 0.25]),
        ] {
            let schedule: Schedule = text.parse().unwrap();
            for (step, expected) in expected.into_iter().enumerate() {
                let factor = schedule.factor(step, 5);
                if (factor - expected).abs() > 1e-11 {
                    failures.push(format!("{text}, step {step}: {factor}, not {expected}"));
                }
            }
            if schedule.factor(99, 5) != schedule.factor(4, 5) {
                failures.push(format!("{text}: not as the last after it"));
            }
            if (schedule.factor(0, 1), schedule.factor(0, 0)) != (1.0, 1.0) {
                failures.push(format!("{text}: a single step is not taken in full"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn the_last_50_of_350_steps_can_have_a_tenth_of_the_rate() {
        let schedule: Schedule = "steps(0.1@0.857142)".parse().unwrap();
        assert_eq!((schedule.factor(299, 350), schedule.factor(300, 350)), (1.0, 0.1));
    }

    #[test]
    fn schedules_read_and_print() {
        for text in [
            "constant",
            "linear(0.1)",
            "cosine(0)",
            "exponential(0.01)",
            "inverse-time(9)",
            "steps(0.5@0.25,2@0.5)",
        ] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        assert_eq!(
            " steps( 0.5 @ 0.25 , 1@0.5 ) ".parse(),
            Ok(Schedule::Steps(vec![(0.5, 0.25), (1.0, 0.5)]))
        );
    }

    #[test]
    fn what_is_no_schedule_is_an_error_that_says_why() {
        for (text, word) in [
            ("", "unknown"),
            ("Linear(1)", "unknown"),
            ("linear", "missing"),
            ("linear()", "number"),
            ("linear(0.1", "\")\""),
            ("linear(-1)", "0 or more"),
            ("cosine(inf)", "0 or more"),
            ("cosine(NaN)", "0 or more"),
            ("exponential(0)", "more than 0"),
            ("inverse-time(-1)", "K"),
            ("constant(1)", "no number"),
            ("steps()", "@"),
            ("steps(0.5)", "@"),
            ("steps(0@0.5)", "FACTOR"),
            ("steps(0.1@1)", "FRACTION"),
            ("steps(0.1@0.5,0.01@0.5)", "rise"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("inverse-time(K)"), "{text}: {error}");
        }
        assert!(Schedule::Steps(vec![]).validate().is_err());
    }
}
