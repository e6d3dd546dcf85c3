//! Recipes under a name: every setting of a rendering in one value that can be stored and read back.

use serde::{Deserialize, Serialize};

use crate::gradients::{Gradients, ReluGradient};
use crate::optimizer::{OptimizerKind, OptimizerSpec};
use crate::param::{Fourier, FourierOptions, Param, Pixel, PixelOptions, Squash};
use crate::transform::Chain;

/// A parametrization with its options.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamSpec {
    /// The image itself.
    Pixel(PixelOptions),
    /// Its spectrum, colours decorrelated.
    Fourier(FourierOptions),
}

impl ParamSpec {
    /// The parametrization of an image of this shape (C, H, W).
    pub fn build(&self, shape: [usize; 3]) -> Box<dyn Param> {
        match *self {
            Self::Pixel(options) => Box::new(Pixel::new(shape, options)),
            Self::Fourier(options) => Box::new(Fourier::new(shape, options)),
        }
    }

    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pixel(_) => "pixel",
            Self::Fourier(_) => "fourier",
        }
    }
}

/// What stands outside the picture where a transform looks there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// Height and width of the picture and of what the network sees; the card's if absent.
    pub size: Option<[usize; 2]>,
    /// Steps at most.
    pub steps: usize,
    /// Stop earlier, once the objective's mean over [`CONVERGENCE_WINDOW`] steps changes by less than this fraction.
    pub tolerance: Option<f64>,
    /// The optimiser.
    pub optimizer: OptimizerSpec,
    /// Random transforms before the network.
    pub transform: Chain,
    /// What those transforms show outside the picture.
    pub outside: Outside,
    /// How gradients pass ReLUs and max-pooling.
    pub gradients: Gradients,
}

/// Steps over which convergence is judged: the transforms make single steps too noisy.
pub const CONVERGENCE_WINDOW: usize = 32;

/// Side of Lucid's default canvas (`lucid/optvis/render.py`).
const LUCID_SIZE: usize = 128;
/// Steps of Lucid's default run.
const LUCID_STEPS: usize = 512;
/// Lucid's default learning rate for Adam.
const LUCID_RATE: f32 = 0.05;
/// Side of the canvas of Conveiro's CDFS.
const CONVEIRO_SIZE: usize = 224;
/// Steps of Conveiro's CDFS.
const CONVEIRO_STEPS: usize = 512;
/// Learning rate that Conveiro's text gives for gradient descent.
const CONVEIRO_RATE: f32 = 0.01;

impl Preset {
    /// Colour-decorrelated Fourier visualization as in Lucid (Olah, Mordvintsev & Schubert, "Feature Visualization",
    /// Distill 2017).
    pub fn lucid() -> Self {
        Self {
            name: "lucid".into(),
            param: ParamSpec::Fourier(FourierOptions::default()),
            size: Some([LUCID_SIZE; 2]),
            steps: LUCID_STEPS,
            tolerance: None,
            optimizer: OptimizerSpec::adam(LUCID_RATE),
            transform: Chain::lucid(),
            outside: Outside::Chain,
            gradients: Gradients::relu(ReluGradient::Redirected),
        }
    }

    /// Conveiro's CDFS (Showmax, github.com/Showmax/conveiro): no divisor, gradient descent, wrap-around jitter.
    pub fn conveiro() -> Self {
        Self {
            name: "conveiro".into(),
            param: ParamSpec::Fourier(FourierOptions { divisor: 1.0, ..FourierOptions::default() }),
            size: Some([CONVEIRO_SIZE; 2]),
            steps: CONVEIRO_STEPS,
            tolerance: None,
            optimizer: OptimizerSpec::sgd(CONVEIRO_RATE),
            transform: Chain::conveiro(&[0.0]),
            outside: Outside::Mean,
            gradients: Gradients::default(),
        }
    }

    /// All presets that have a name.
    pub fn all() -> Vec<Self> {
        vec![Self::lucid(), Self::conveiro()]
    }

    /// The preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|p| p.name == name)
    }

    /// Replaces the optimiser. Another kind than before has its default rate and settings; the schedule stays.
    pub fn set_optimizer(&mut self, kind: OptimizerKind, rate: Option<f32>) {
        if self.optimizer.kind != kind {
            let schedule = self.optimizer.schedule.clone();
            self.optimizer = OptimizerSpec { schedule, ..OptimizerSpec::new(kind, kind.default_rate()) };
        }
        self.optimizer.learning_rate = rate.unwrap_or(self.optimizer.learning_rate);
    }

    /// Replaces the parametrization, keeping a squashed picture squashed.
    pub fn set_param(&mut self, name: &str) -> Option<()> {
        self.param = match (name, self.param) {
            ("fourier", ParamSpec::Fourier(options)) => ParamSpec::Fourier(options),
            ("fourier", ParamSpec::Pixel(_)) => ParamSpec::Fourier(FourierOptions::default()),
            ("pixel", ParamSpec::Pixel(options)) => ParamSpec::Pixel(options),
            ("pixel", ParamSpec::Fourier(_)) => {
                ParamSpec::Pixel(PixelOptions { squash: Squash::Sigmoid, ..PixelOptions::default() })
            }
            _ => return None,
        };
        Some(())
    }
}
