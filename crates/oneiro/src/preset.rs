//! Recipes under a name: every setting of a rendering in one value that can be stored and read back.

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

/// Colour of the pixels outside the picture that a transform reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outside {
    /// The fill of the chain of transforms.
    Chain,
    /// The mean colour of the model card: zeros after the means are subtracted.
    Mean,
}

/// All settings of a rendering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// Parameters → image.
    pub param: ParamSpec,
    /// Height and width that the network sees; the card's if absent. A file may also have the side of a
    /// square, or "HxW".
    #[serde(default, deserialize_with = "size::optional", skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Height and width of the picture, where the network sees another size: transforms make its views.
    #[serde(default, deserialize_with = "size::optional", skip_serializing_if = "Option::is_none")]
    pub picture: Option<[usize; 2]>,
    /// Largest number of steps, without the steps of [`Preset::settle`].
    pub steps: usize,
    /// Steps after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Settle>,
    /// Stop earlier, once the objective's mean over [`CONVERGENCE_WINDOW`] steps changes by less than this
    /// fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The optimiser.
    pub optimizer: OptimizerSpec,
    /// Whether the learning rate is for a picture of 224×224 and grows with its area, as the regularizers'
    /// gradient of one pixel falls with it (Mahendran & Vedaldi 2016: lr = H·W·.05·80²/α).
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate_by_area: bool,
    /// Random transforms before the network.
    pub transform: Chain,
    /// Colour of the pixels outside the picture in these transforms.
    pub outside: Outside,
    /// A shift before the transforms.
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter: Jitter,
    /// Views of the picture in a step, each with its own random transforms.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub views: usize,
    /// How gradients pass ReLUs and max-pooling.
    pub gradients: Gradients,
    /// What holds for an input alone, by its name or its kind: "image", "clip" or "flow".
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputSettings>,
    /// What the objective counts beside regularizers.
    #[serde(default = "unity", skip_serializing_if = "is_unity")]
    pub weight: f64,
    /// What an objective that compares with no picture counts instead, divided by ρ² · â: ρ² the area of the
    /// layer's receptive field (Mahendran & Vedaldi 2016; Feichtenhofer et al. 2020).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_weight: Option<f64>,
    /// Whether such an objective counts as the sum over the layer's positions, not as their mean
    /// (Feichtenhofer et al. 2020, §3.1).
    #[serde(default, skip_serializing_if = "is_default")]
    pub sum_positions: bool,
    /// Whether an objective with such a weight counts relative to what it has reached: the gradient is that of
    /// `unit_weight` · ln a, whatever the unit's scale. ρ and â are not looked at.
    #[serde(default, skip_serializing_if = "is_default")]
    pub relative: bool,
    /// â: the unit's largest activation over a data set, 1 if unknown.
    #[serde(default = "unity", skip_serializing_if = "is_unity")]
    pub max_activation: f64,
    /// Penalties and bounds of the picture's norm and roughness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regularizer: Option<Regularizer>,
    /// What is done to the pixels after steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upkeep: Option<Upkeep>,
    /// Whether the picture has one more channel, its opacity, before ever new backgrounds.
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

/// Steps over which convergence is judged: the transforms make single steps too noisy.
pub const CONVERGENCE_WINDOW: usize = 32;

/// The area that rates are for where they go by it.
const RATE_AREA: f32 = 224.0 * 224.0;

/// Views that a step may have: each is an image of a batch.
pub const MAX_VIEWS: usize = 256;

/// Learning rate of Adam and its kin for a CPPN: at ten times as much every pixel ends at black or white
/// (seen with the recipe `lucid`).
const CPPN_RATE: f32 = 0.005;
/// Steps that a CPPN takes at least where no number is given: after 128 it is still nearly one colour.
pub const CPPN_STEPS: usize = 512;

impl Preset {
    /// The name, with "(changed)" if it is that of a recipe whose other settings are not these: `size` and
    /// `steps`, which are said beside it, may differ.
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

    /// The learning rate of a step, counted from 0.
    pub fn rate_at(&self, step: usize) -> f32 {
        match self.settle {
            Some(settle) if step >= self.steps => self.optimizer.learning_rate * settle.rate,
            _ => self.optimizer.rate_at(step, self.steps),
        }
    }

    /// What the learning rate is multiplied by for a picture of this size.
    pub fn rate_factor(&self, [height, width]: [usize; 2]) -> f32 {
        if self.rate_by_area { (height * width) as f32 / RATE_AREA } else { 1.0 }
    }

    /// Whether every step maximises the same function: nothing about it is drawn at random.
    pub fn is_fixed(&self) -> bool {
        let fixed = |preset: &Self| preset.transform.transforms.is_empty() && preset.jitter == Jitter::None;
        fixed(self) && !self.alpha && self.of_inputs().all(|(_, own)| fixed(&own))
    }

    /// Replaces the optimiser but keeps the rate and the settings only where they mean the same.
    pub fn set_optimizer(&mut self, kind: OptimizerKind, rate: Option<f32>) {
        if self.optimizer.kind != kind {
            let schedule = self.optimizer.schedule.clone();
            self.optimizer = OptimizerSpec { schedule, ..OptimizerSpec::new(kind, self.usual_rate(kind)) };
            if kind == OptimizerKind::Lbfgs {
                // Its rate is in quasi-Newton steps, to which the picture's size and the end of the jitter
                // mean nothing.
                self.rate_by_area = false;
                if let Some(settle) = &mut self.settle {
                    settle.rate = 1.0;
                }
            }
        }
        self.optimizer.learning_rate = rate.unwrap_or(self.optimizer.learning_rate);
    }

    /// Replaces the parametrization unless it is of this kind already. A CPPN also gets a learning rate of
    /// its own, which does not fall, and at least [`CPPN_STEPS`] steps. `None` if there is no such kind.
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

    /// The rate that an optimizer has with this parametrization where none is given.
    fn usual_rate(&self, kind: OptimizerKind) -> f32 {
        match self.param {
            ParamSpec::Cppn(_) if kind.is_adaptive() => CPPN_RATE,
            _ => kind.default_rate(),
        }
    }
}
