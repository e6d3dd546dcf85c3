//! Presets: all settings of a rendering under a name, as one value that can be stored and read back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gradients::Gradients;
use crate::optimizer::{OptimizerKind, OptimizerSpec, Schedule};
use crate::regularizer::Regularizer;
use crate::transform::Chain;

mod check;
mod inputs;
mod named;
mod params;
mod size;
mod stages;

pub use inputs::InputSettings;
pub use params::{PARAMS, ParamSpec};
pub use stages::{Jitter, Settle, UnknownJitter, Upkeep};

/// The colour of pixels outside the picture that a transform reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outside {
    /// The fill colour of the chain of transforms.
    Chain,
    /// The mean colour of the model card, which is zero after the means are subtracted.
    Mean,
}

/// All settings of a rendering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Name of the preset.
    pub name: String,
    /// The parametrization: from parameters to image.
    pub param: ParamSpec,
    /// Height and width of the network's input; by default the card's. A preset file may also give the side
    /// of a square, or "HxW".
    #[serde(default, deserialize_with = "size::optional", skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Height and width of the picture, if it differs from the network's input. Transforms then create the
    /// network's views.
    #[serde(default, deserialize_with = "size::optional", skip_serializing_if = "Option::is_none")]
    pub picture: Option<[usize; 2]>,
    /// Largest number of steps, without the steps of [`Preset::settle`].
    pub steps: usize,
    /// Final steps without random transforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Settle>,
    /// Stops earlier, once the objective's mean over [`CONVERGENCE_WINDOW`] steps changes by less than this
    /// fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The optimizer of the parameters, with its settings.
    pub optimizer: OptimizerSpec,
    /// Whether the learning rate is meant for a picture of 224×224 and grows with the area. The regularizers'
    /// gradient of a single pixel falls with the area (Mahendran & Vedaldi 2016: lr = H·W·.05·80²/α).
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate_by_area: bool,
    /// Random transforms before the network.
    pub transform: Chain,
    /// The colour of pixels outside the picture in these transforms.
    pub outside: Outside,
    /// A random shift before the transforms.
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter: Jitter,
    /// Number of views of the picture in a step, each with its own random transforms.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub views: usize,
    /// Rules for the gradients of ReLUs and max-pooling.
    pub gradients: Gradients,
    /// Settings that hold for some inputs alone, by the input's name or its kind: "image", "clip" or "flow".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputSettings>,
    /// The factor by which the objective counts beside regularizers.
    #[serde(default = "unity", skip_serializing_if = "is_unity")]
    pub weight: f64,
    /// Weight of an objective that compares with no picture. It replaces `weight` and is divided by ρ² · â,
    /// where ρ² is the area of the layer's receptive field (Mahendran & Vedaldi 2016; Feichtenhofer et al.
    /// 2020).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_weight: Option<f64>,
    /// Whether such an objective counts as the sum over the layer's positions, not as their mean
    /// (Feichtenhofer et al. 2020, §3.1).
    #[serde(default, skip_serializing_if = "is_default")]
    pub sum_positions: bool,
    /// Whether the gradient of such an objective is scaled, so that the unit's own scale does not matter. In
    /// each step, the root mean square of the gradient, times the picture's number of positions, then equals
    /// `unit_weight` in the units of the regularizers. ρ and â are not used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub relative: bool,
    /// â: the unit's largest activation over a data set, 1 if unknown.
    #[serde(default = "unity", skip_serializing_if = "is_unity")]
    pub max_activation: f64,
    /// Penalties and bounds of the picture's norm and roughness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regularizer: Option<Regularizer>,
    /// Changes of the pixels after steps, such as a blur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upkeep: Option<Upkeep>,
    /// Whether the picture has opacity as an additional channel. It is then shown over a new random
    /// background in each step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub alpha: bool,
}

fn one() -> usize {
    1
}

fn unity() -> f64 {
    1.0
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

fn is_unity(x: &f64) -> bool {
    *x == 1.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Number of steps over which convergence is judged. Single steps are too noisy because of the transforms.
pub const CONVERGENCE_WINDOW: usize = 32;

/// The area for which rates are given if they grow with the area.
const RATE_AREA: f32 = 224.0 * 224.0;

/// Most views of a step. Each view is an image of a batch.
pub const MAX_VIEWS: usize = 256;

/// Learning rate of Adam and related optimizers for a CPPN. At ten times this rate every pixel ends at black
/// or white (observed with the preset `lucid`).
const CPPN_RATE: f32 = 0.005;
/// Default number of steps of a CPPN, at least. After 128 steps its picture still has nearly one colour.
pub const CPPN_STEPS: usize = 512;

impl Preset {
    /// Returns the name, followed by "(changed)" if settings differ from the named preset. `size` and `steps`
    /// may differ, because they are stated separately.
    pub fn title(&self) -> String {
        let known = Self::named(&self.name);
        let own =
            known.map(|known| Self { size: self.size, picture: self.picture, steps: self.steps, ..known });
        if own.is_some_and(|own| own != *self) {
            format!("{} (changed)", self.name)
        } else {
            self.name.clone()
        }
    }

    /// The number of all steps, including the last steps of [`Preset::settle`].
    pub fn total_steps(&self) -> usize {
        if self.steps == 0 { 0 } else { self.steps + self.settle.map_or(0, |s| s.steps) }
    }

    /// Returns the learning rate of a step, counted from 0.
    pub fn rate_at(&self, step: usize) -> f32 {
        match self.settle {
            Some(settle) if step >= self.steps => self.optimizer.learning_rate * settle.rate,
            _ => self.optimizer.rate_at(step, self.steps),
        }
    }

    /// Returns the factor of the learning rate for a picture of this size.
    pub fn rate_factor(&self, [height, width]: [usize; 2]) -> f32 {
        if self.rate_by_area { (height * width) as f32 / RATE_AREA } else { 1.0 }
    }

    /// Whether every step maximises the same function, because no setting draws random numbers.
    pub fn is_fixed(&self) -> bool {
        let fixed = |preset: &Self| preset.transform.transforms.is_empty() && preset.jitter == Jitter::None;
        fixed(self) && !self.alpha && self.of_inputs().all(|(_, own)| fixed(&own))
    }

    /// Replaces the optimizer. Rate and settings are kept only if they have the same meaning for the new one.
    pub fn set_optimizer(&mut self, kind: OptimizerKind, rate: Option<f32>) {
        if self.optimizer.kind != kind {
            let schedule = self.optimizer.schedule.clone();
            self.optimizer = OptimizerSpec { schedule, ..OptimizerSpec::new(kind, self.usual_rate(kind)) };
            if kind == OptimizerKind::Lbfgs {
                // The rate of L-BFGS is in quasi-Newton steps, so it does not depend on the picture's size or
                // on the final steps.
                self.rate_by_area = false;
                if let Some(settle) = &mut self.settle {
                    settle.rate = 1.0;
                }
            }
        }
        self.optimizer.learning_rate = rate.unwrap_or(self.optimizer.learning_rate);
    }

    /// Replaces the parametrization, unless it is of this kind already. A CPPN also gets a constant learning
    /// rate of its own, and at least [`CPPN_STEPS`] steps. Returns `None` if there is no such kind.
    pub fn set_param(&mut self, name: &str) -> Option<()> {
        let named = ParamSpec::named(name)?;
        if self.param.name() != name {
            let is_cppn = matches!(named, ParamSpec::Cppn(_));
            self.param = named;
            if is_cppn {
                if self.optimizer.kind.is_adaptive() {
                    self.optimizer.learning_rate = CPPN_RATE;
                }
                self.optimizer.schedule = Schedule::Constant;
                self.steps = self.steps.max(CPPN_STEPS);
            }
        }
        Some(())
    }

    /// Returns the default rate of an optimizer with this parametrization.
    fn usual_rate(&self, kind: OptimizerKind) -> f32 {
        match self.param {
            ParamSpec::Cppn(_) if kind.is_adaptive() => CPPN_RATE,
            _ => kind.default_rate(),
        }
    }
}
