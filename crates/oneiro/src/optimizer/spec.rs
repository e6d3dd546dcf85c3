//! Optimizers that are chosen by name, with their settings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::*;
use crate::error::{Error, Result};
use crate::range::Range;

/// The kind of optimizer, by its name in presets, metadata and on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum OptimizerKind {
    /// The optimizer [`Adam`].
    Adam,
    /// The optimizer [`AdamW`].
    AdamW,
    /// The optimizer [`NAdam`].
    NAdam,
    /// Gradient ascent, [`Sgd`].
    Sgd,
    /// The optimizer [`AccumulatedSquares`].
    AccumulatedSquares,
    /// The optimizer [`Normalized`].
    Normalized,
    /// The optimizer [`Lbfgs`].
    Lbfgs,
}

/// The names of all optimizers.
pub const OPTIMIZERS: [&str; 7] =
    ["adam", "adamw", "nadam", "sgd", "accumulated-squares", "normalized", "lbfgs"];

/// Lucid's learning rate for Adam (`lucid/optvis/render.py`).
const LUCID_RATE: f32 = 0.05;
/// Conveiro's published learning rate for gradient descent.
const CONVEIRO_RATE: f32 = 0.01;
/// DeepDream's step of 1.5 (`dream.ipynb`, for pixels in 0–255), for a picture in 0–1.
const DEEPDREAM_RATE: f32 = 1.5 / 255.0;
/// H·W·.05·80²/α (Mahendran & Vedaldi 2016, §4, for pixels in 0–255) with α = 6 and a canvas of 224×224.
const PREIMAGE_RATE: f32 = 224.0 * 224.0 * 0.05 * 80.0 * 80.0 / 6.0;
/// The first trial of a quasi-Newton step (Nocedal & Wright 2006, §7.2).
const QUASI_NEWTON_RATE: f32 = 1.0;
/// Most pairs of L-BFGS, more than any reported use. Each pair takes twice the memory of the parameters.
const MAX_HISTORY: usize = 1000;

impl OptimizerKind {
    /// All kinds of optimizer, in the order of [`OPTIMIZERS`].
    pub const ALL: [OptimizerKind; OPTIMIZERS.len()] = [
        Self::Adam,
        Self::AdamW,
        Self::NAdam,
        Self::Sgd,
        Self::AccumulatedSquares,
        Self::Normalized,
        Self::Lbfgs,
    ];

    /// The name of the optimizer.
    pub fn name(self) -> &'static str {
        OPTIMIZERS[self as usize]
    }

    /// Whether step lengths are about the learning rate, whatever the gradient's magnitude. This is so for
    /// Adam and related optimizers.
    pub fn is_adaptive(self) -> bool {
        matches!(self, Self::Adam | Self::AdamW | Self::NAdam)
    }

    /// Whether the step of each parameter depends on that parameter's gradients alone, not on other gradients
    /// or on the value.
    pub fn is_elementwise(self) -> bool {
        match self {
            Self::Adam | Self::AdamW | Self::NAdam | Self::Sgd | Self::AccumulatedSquares => true,
            Self::Normalized | Self::Lbfgs => false,
        }
    }

    /// The default learning rate of the optimizer.
    ///
    /// | optimizer | rate | source |
    /// |---|---|---|
    /// | `adam`; also `adamw` and `nadam`, whose steps are as large as Adam's | .05 | Lucid, `optvis/render.py` |
    /// | `sgd` | .01 | Conveiro's text |
    /// | `normalized` | 1.5/255 | DeepDream's `dream.ipynb`, with pixels in 0–1 instead of 0–255 |
    /// | `accumulated-squares` | 224²·.05·80²/6 | Mahendran & Vedaldi 2016, §4; for pixels in 0–255 |
    /// | `lbfgs` | 1 | Nocedal & Wright 2006, §7.2 |
    pub fn default_rate(self) -> f32 {
        match self {
            Self::Adam | Self::AdamW | Self::NAdam => LUCID_RATE,
            Self::Sgd => CONVEIRO_RATE,
            Self::AccumulatedSquares => PREIMAGE_RATE,
            Self::Normalized => DEEPDREAM_RATE,
            Self::Lbfgs => QUASI_NEWTON_RATE,
        }
    }

    /// Names of the optimizer's settings besides learning rate and schedule.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Adam => &["beta1", "beta2", "epsilon"],
            Self::AdamW => &["beta1", "beta2", "epsilon", "weight_decay"],
            Self::NAdam => &["beta1", "beta2", "epsilon", "momentum_decay"],
            Self::Sgd => &["momentum", "decay"],
            Self::AccumulatedSquares => &["momentum"],
            Self::Normalized => &["norm", "epsilon"],
            Self::Lbfgs => &["history"],
        }
    }
}

impl fmt::Display for OptimizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a text that names no optimizer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("there is no optimizer \"{0}\"; there are {list}", list = OPTIMIZERS.join(", "))]
pub struct UnknownOptimizer(String);

impl FromStr for OptimizerKind {
    type Err = UnknownOptimizer;

    fn from_str(text: &str) -> Result<Self, UnknownOptimizer> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| UnknownOptimizer(text.to_owned()))
    }
}

impl TryFrom<String> for OptimizerKind {
    type Error = UnknownOptimizer;

    fn try_from(text: String) -> Result<Self, UnknownOptimizer> {
        text.parse()
    }
}

impl From<OptimizerKind> for String {
    fn from(kind: OptimizerKind) -> String {
        kind.name().to_owned()
    }
}

/// An optimizer with its settings, as in presets and metadata. Missing settings have defaults. A setting that
/// the optimizer does not have is an error of [`OptimizerSpec::validate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSpec {
    /// The kind of optimizer.
    pub kind: OptimizerKind,
    /// Learning rate, in units of the parameters.
    pub learning_rate: f32,
    /// How the learning rate changes over the steps.
    #[serde(default, skip_serializing_if = "is_constant")]
    pub schedule: Schedule,
    /// Momentum of [`Sgd`] (0) and [`AccumulatedSquares`] ([`ACCUMULATED_MOMENTUM`]), from 0 to less than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f32>,
    /// Share of the parameters that each step of [`Sgd`] removes, whatever the rate (default 0); from 0 to
    /// less than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<f32>,
    /// λ of [`AdamW`] (default [`ADAMW_WEIGHT_DECAY`]), which is multiplied by the rate; 0 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f32>,
    /// β₁ of [`Adam`] and its relatives ([`ADAM_BETA1`]), from 0 to less than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// β₂ of [`Adam`] and its relatives ([`ADAM_BETA2`]), from 0 to less than 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// ε of [`Adam`] and its relatives ([`ADAM_EPSILON`]) and of [`Normalized`] ([`NORM_EPSILON`]), more than
    /// 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// ψ of [`NAdam`] ([`NADAM_MOMENTUM_DECAY`]), 0 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum_decay: Option<f64>,
    /// The norm by which [`Normalized`] divides ([`Norm::MeanAbs`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// Pairs that [`Lbfgs`] remembers ([`LBFGS_HISTORY`]), at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<usize>,
}

fn is_constant(schedule: &Schedule) -> bool {
    *schedule == Schedule::Constant
}

impl OptimizerSpec {
    /// Creates the settings of an optimizer with this learning rate, and defaults otherwise.
    pub fn new(kind: OptimizerKind, learning_rate: f32) -> OptimizerSpec {
        OptimizerSpec {
            kind,
            learning_rate,
            schedule: Schedule::Constant,
            momentum: None,
            decay: None,
            weight_decay: None,
            beta1: None,
            beta2: None,
            epsilon: None,
            momentum_decay: None,
            norm: None,
            history: None,
        }
    }

    /// Creates Adam with this learning rate.
    pub fn adam(learning_rate: f32) -> OptimizerSpec {
        OptimizerSpec::new(OptimizerKind::Adam, learning_rate)
    }

    /// Creates plain gradient ascent with this learning rate.
    pub fn sgd(learning_rate: f32) -> OptimizerSpec {
        OptimizerSpec::new(OptimizerKind::Sgd, learning_rate)
    }

    /// Returns the learning rate of `step`, counted from 0, of `steps`.
    pub fn rate_at(&self, step: usize, steps: usize) -> f32 {
        (f64::from(self.learning_rate) * self.schedule.factor(step, steps)) as f32
    }

    /// Returns an error if a number is not allowed, or a setting is given that this optimizer does not have.
    pub fn validate(&self) -> Result<()> {
        let given = [
            ("momentum", self.momentum.map(f64::from), Range::BelowOne),
            ("decay", self.decay.map(f64::from), Range::BelowOne),
            ("weight_decay", self.weight_decay.map(f64::from), Range::NotNegative),
            ("beta1", self.beta1, Range::BelowOne),
            ("beta2", self.beta2, Range::BelowOne),
            ("epsilon", self.epsilon, Range::Positive),
            ("momentum_decay", self.momentum_decay, Range::NotNegative),
            ("norm", self.norm.map(|_| 0.0), Range::NotNegative),
            ("history", self.history.map(|n| n as f64), Range::Within(1.0, MAX_HISTORY as f64)),
        ];
        let rate = f64::from(self.learning_rate);
        if !Range::Positive.contains(rate) {
            return Err(Error::out_of_range("the learning rate", rate, Range::Positive.words()));
        }
        let has = self.kind.settings();
        for (name, value, range) in given.into_iter().filter_map(|(name, v, range)| Some((name, v?, range))) {
            if !has.contains(&name) {
                return Err(Error::Settings(format!(
                    "the optimizer {} has no {name}; its settings are {}",
                    self.kind,
                    has.join(", ")
                )));
            }
            if !range.contains(value) {
                let what = format!("{name} of the optimizer {}", self.kind);
                return Err(Error::out_of_range(what, value, range.words()));
            }
        }
        self.schedule.validate().map_err(|e| Error::Settings(e.to_string()))
    }

    /// Creates the optimizer for `len` parameters. `fixed_function` promises that the objective does not
    /// change between steps, as without transforms. [`Lbfgs`] then needs half the evaluations.
    pub fn build(&self, len: usize, fixed_function: bool) -> Box<dyn Optimizer> {
        let rate = self.learning_rate;
        let moments = Moments {
            beta1: self.beta1.unwrap_or(ADAM_BETA1),
            beta2: self.beta2.unwrap_or(ADAM_BETA2),
            epsilon: self.epsilon.unwrap_or(ADAM_EPSILON),
        };
        match self.kind {
            OptimizerKind::Adam => Box::new(Adam::new(len, rate, moments)),
            OptimizerKind::AdamW => {
                Box::new(AdamW::new(len, rate, moments, self.weight_decay.unwrap_or(ADAMW_WEIGHT_DECAY)))
            }
            OptimizerKind::NAdam => {
                Box::new(NAdam::new(len, rate, moments, self.momentum_decay.unwrap_or(NADAM_MOMENTUM_DECAY)))
            }
            OptimizerKind::Sgd => {
                Box::new(Sgd::new(len, rate, self.momentum.unwrap_or(0.0), self.decay.unwrap_or(0.0)))
            }
            OptimizerKind::AccumulatedSquares => {
                let momentum = self.momentum.unwrap_or(ACCUMULATED_MOMENTUM);
                Box::new(AccumulatedSquares::new(len, rate, momentum))
            }
            OptimizerKind::Normalized => {
                let epsilon = self.epsilon.unwrap_or(NORM_EPSILON);
                Box::new(Normalized::new(len, rate, self.norm.unwrap_or_default(), epsilon))
            }
            OptimizerKind::Lbfgs => {
                Box::new(Lbfgs::new(len, rate, self.history.unwrap_or(LBFGS_HISTORY), fixed_function))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns settings for this kind of optimizer in which every setting is given.
    fn full(kind: OptimizerKind) -> OptimizerSpec {
        let has = |name: &str| kind.settings().contains(&name);
        OptimizerSpec {
            schedule: Schedule::InverseTime(9.0),
            momentum: has("momentum").then_some(0.5),
            decay: has("decay").then_some(1e-4),
            weight_decay: has("weight_decay").then_some(0.3),
            beta1: has("beta1").then_some(0.8),
            beta2: has("beta2").then_some(0.95),
            epsilon: has("epsilon").then_some(1e-2),
            momentum_decay: has("momentum_decay").then_some(0.1),
            norm: has("norm").then_some(Norm::Std),
            history: has("history").then_some(5),
            ..OptimizerSpec::new(kind, 0.25)
        }
    }

    #[test]
    fn specs_survive_toml_and_write_only_what_is_set() {
        for (kind, name) in OptimizerKind::ALL.into_iter().zip(OPTIMIZERS) {
            assert_eq!((kind.to_string(), name.parse()), (name.to_owned(), Ok(kind)));
            let plain = OptimizerSpec::new(kind, 0.25);
            let text = toml::to_string(&plain).unwrap();
            assert_eq!(text, format!("kind = \"{name}\"\nlearning_rate = 0.25\n"));
            assert_eq!(toml::from_str::<OptimizerSpec>(&text).unwrap(), plain);
            let text = toml::to_string(&full(kind)).unwrap();
            assert_eq!(text.lines().count(), 3 + kind.settings().len(), "{text}");
            assert_eq!(toml::from_str::<OptimizerSpec>(&text).unwrap(), full(kind));
            full(kind).validate().unwrap();
            OptimizerSpec::new(kind, kind.default_rate()).validate().unwrap();
        }
        let error = "adagrad".parse::<OptimizerKind>().unwrap_err().to_string();
        assert!(error.contains("adagrad") && error.contains("accumulated-squares"), "{error}");
    }

    #[test]
    fn a_setting_that_the_optimizer_does_not_have_is_an_error() {
        for kind in OptimizerKind::ALL {
            for other in OptimizerKind::ALL {
                let foreign = other.settings().iter().find(|s| !kind.settings().contains(s));
                let result = OptimizerSpec { kind, ..full(other) }.validate();
                match foreign {
                    None => result.unwrap(),
                    Some(name) => {
                        let error = result.unwrap_err().to_string();
                        assert!(error.contains(&format!("{kind} has no ")), "{kind} {name}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_errors_that_name_them() {
        let of = |kind| OptimizerSpec::new(kind, 1.0);
        let (adam, sgd) = (of(OptimizerKind::Adam), of(OptimizerKind::Sgd));
        for (spec, word) in [
            (OptimizerSpec::adam(f32::NAN), "learning rate NaN"),
            (OptimizerSpec::adam(0.0), "learning rate 0"),
            (OptimizerSpec { momentum: Some(1.0), ..sgd.clone() }, "momentum 1"),
            (OptimizerSpec { momentum: Some(-0.5), ..sgd.clone() }, "momentum -0.5"),
            (OptimizerSpec { decay: Some(2.0), ..sgd.clone() }, "decay 2"),
            (OptimizerSpec { beta1: Some(1.0), ..adam.clone() }, "beta1 1"),
            (OptimizerSpec { beta2: Some(f64::NAN), ..adam.clone() }, "beta2 NaN"),
            (OptimizerSpec { epsilon: Some(0.0), ..adam.clone() }, "epsilon 0"),
            (OptimizerSpec { weight_decay: Some(-1.0), ..of(OptimizerKind::AdamW) }, "weight_decay -1"),
            (OptimizerSpec { momentum_decay: Some(-1.0), ..of(OptimizerKind::NAdam) }, "momentum_decay -1"),
            (OptimizerSpec { history: Some(0), ..of(OptimizerKind::Lbfgs) }, "history 0"),
            (OptimizerSpec { schedule: Schedule::Steps(vec![]), ..adam }, "steps()"),
        ] {
            match spec.validate().unwrap_err() {
                Error::OutOfRange { what, value, .. } => {
                    let (name, wrong) = word.rsplit_once(' ').unwrap();
                    assert!(what.contains(name) && value == wrong, "{word}: {what} {value}");
                }
                error => assert!(error.to_string().contains(word), "{word}: {error}"),
            }
        }
        let text = "kind = \"adam\"\nlearning_rate = 1.0\nmomentun = 0.5\n";
        assert!(toml::from_str::<OptimizerSpec>(text).unwrap_err().to_string().contains("momentun"));
    }

    #[test]
    fn the_rate_follows_the_schedule() {
        let spec = OptimizerSpec { schedule: Schedule::Linear(0.5), ..OptimizerSpec::adam(0.5) };
        assert_eq!([0, 1, 2].map(|step| spec.rate_at(step, 3)), [0.5, 0.375, 0.25]);
        assert_eq!(OptimizerSpec::adam(0.05).rate_at(7, 9), 0.05);
    }
}
