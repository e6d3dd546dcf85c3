//! The published presets under their names, with the constants of their sources, and a list of all presets.

mod own;

use crate::card::InputKind;
use crate::gradients::{Gradients, ReluGradient};
use crate::optimizer::{OptimizerKind, OptimizerSpec, Schedule};
use crate::param::{DenseOptions, FourierOptions, MacoOptions, PixelOptions};
use crate::preset::{InputSettings, Jitter, Outside, ParamSpec, Preset, Settle, Upkeep};
use crate::regularizer::{BOUND, Regularizer};
use crate::transform::{Chain, Transform};

/// Side of Lucid's default canvas (`lucid/optvis/render.py`).
const LUCID_SIZE: usize = 128;
/// Number of steps of Lucid's default run.
const LUCID_STEPS: usize = 512;
/// Lucid's default learning rate for Adam.
const LUCID_RATE: f32 = 0.05;
/// Side in pixels of the canvas in Conveiro's method CDFS.
const CONVEIRO_SIZE: usize = 224;
/// Number of steps in Conveiro's method CDFS.
const CONVEIRO_STEPS: usize = 512;
/// Conveiro's published learning rate for gradient descent.
const CONVEIRO_RATE: f32 = 0.01;
/// Steps of a pre-image, and its final steps without jitter (Mahendran & Vedaldi 2016, their code).
const PREIMAGE_STEPS: usize = 300;
const SETTLE_STEPS: usize = 50;
const SETTLE_RATE: f32 = 0.1;
/// C of an inversion: one of 1, 20, 100, 300 (Mahendran & Vedaldi 2016, their code).
const PREIMAGE_WEIGHT: f64 = 100.0;
/// The weight of a unit, before it is divided by ρ² and the unit's largest activation (Mahendran & Vedaldi
/// 2016, their code).
const UNIT_WEIGHT: f64 = 1e4;
/// Momentum in the first version of pre-images (Mahendran & Vedaldi 2015, §4).
const FIRST_MOMENTUM: f32 = 0.9;
/// Weight of the first version's total variation relative to the second version's: the middle of 1, 10 and
/// 100.
const FIRST_TV_FACTOR: f64 = 10.0;
/// Learning rate of the first version in the units of the second. The value is our own: three times as much
/// diverges on deep layers of SqueezeNet.
const FIRST_RATE: f32 = 4000.0;
/// α of the norm, γ, and the factor of total variation for motion (Feichtenhofer et al. 2020, §3.2 and §4).
const VIDEO_ALPHA: f64 = 3.0;
const VIDEO_GAMMA: f64 = 1.0;
const MOTION_TV_FACTOR: f64 = 10.0;
/// Learning rate, in levels of 255, and number of steps for clips and flow. The values are our own.
const VIDEO_RATE: f32 = 4.0;
const VIDEO_STEPS: usize = 300;
/// Largest shift of a clip in time, in frames. The value is our own.
const CLIP_JITTER: usize = 2;
/// Learning rate and steps of the dense generator. The values are our own; more would saturate the picture.
const DENSE_RATE: f32 = 0.2;
const DENSE_STEPS: usize = 256;
/// Side of MACO's pictures and the number of its steps and crops: Xplique's and Horama's.
const XPLIQUE: (usize, usize, usize) = (512, 256, 32);
const HORAMA: (usize, usize, usize) = (1000, 1000, 6);
/// MACO's learning rate for NAdam (Fel et al. 2023, their code).
const MACO_RATE: f32 = 1.0;
/// Steps, rate, decay and blur of the Deep Visualization Toolbox (Yosinski et al. 2015, table 1, third row).
const YOSINSKI_STEPS: usize = 1000;
const YOSINSKI_RATE: f32 = 100.0;
const YOSINSKI_DECAY: f32 = 1e-4;
const YOSINSKI_UPKEEP: Upkeep =
    Upkeep { blur: 1.0, blur_every: 4, small_values: 0.0, small_contributions: 0.0, clip: true };
/// Steps and views of feature accentuation (Hamblin et al. 2024).
const ACCENTUATION_STEPS: usize = 100;
const ACCENTUATION_VIEWS: usize = 16;
impl Preset {
    /// Returns Lucid's settings under another name, to be modified.
    fn based_on_lucid(name: &str) -> Self {
        Self {
            name: name.into(),
            param: ParamSpec::Fourier(FourierOptions::default()),
            size: Some([LUCID_SIZE; 2]),
            picture: None,
            steps: LUCID_STEPS,
            settle: None,
            tolerance: None,
            optimizer: OptimizerSpec::adam(LUCID_RATE),
            rate_by_area: false,
            transform: Chain::lucid(),
            outside: Outside::Chain,
            jitter: Jitter::None,
            views: 1,
            gradients: Gradients::relu(ReluGradient::Redirected),
            weight: 1.0,
            inputs: Default::default(),
            unit_weight: None,
            sum_positions: false,
            relative: false,
            max_activation: 1.0,
            regularizer: None,
            upkeep: None,
            alpha: false,
        }
    }

    /// Colour-decorrelated Fourier visualization as in Lucid (Olah, Mordvintsev & Schubert, "Feature
    /// Visualization", Distill 2017).
    pub fn lucid() -> Self {
        Self::based_on_lucid("lucid")
    }

    /// Conveiro's CDFS (Showmax, github.com/Showmax/conveiro): no divisor, gradient descent, wrap-around
    /// jitter.
    pub fn conveiro() -> Self {
        Self {
            param: ParamSpec::Fourier(FourierOptions { divisor: 1.0, ..FourierOptions::default() }),
            size: Some([CONVEIRO_SIZE; 2]),
            steps: CONVEIRO_STEPS,
            optimizer: OptimizerSpec::sgd(CONVEIRO_RATE),
            transform: Chain::conveiro(&[0.0]),
            outside: Outside::Mean,
            gradients: Gradients::default(),
            ..Self::based_on_lucid("conveiro")
        }
    }

    /// Natural pre-images (Mahendran & Vedaldi, IJCV 2016): pixels from 0 to 255 less the mean colour,
    /// bounded, jittered.
    pub fn mahendran16() -> Self {
        let kind = OptimizerKind::AccumulatedSquares;
        Self {
            param: ParamSpec::Pixel(PixelOptions::preimage()),
            size: None,
            steps: PREIMAGE_STEPS,
            settle: Some(Settle { steps: SETTLE_STEPS, rate: SETTLE_RATE }),
            optimizer: OptimizerSpec::new(kind, kind.default_rate()),
            rate_by_area: true,
            transform: Chain::none(),
            outside: Outside::Mean,
            jitter: Jitter::QuarterStride,
            gradients: Gradients::default(),
            weight: PREIMAGE_WEIGHT,
            unit_weight: Some(UNIT_WEIGHT),
            regularizer: Some(Regularizer::default()),
            ..Self::based_on_lucid("mahendran16")
        }
    }

    /// The first version (Mahendran & Vedaldi, CVPR 2015): plain momentum, no jitter, no bound. The paper's
    /// weights belong to other norms of picture and code. The weights here are our own, in the later paper's
    /// units: its total variation times 10, the middle of 1, 10 and 100 for shallow, middle and deep layers.
    pub fn mahendran15() -> Self {
        let regularizer = Regularizer::default();
        Self {
            name: "mahendran15".into(),
            settle: None,
            optimizer: OptimizerSpec { momentum: Some(FIRST_MOMENTUM), ..OptimizerSpec::sgd(FIRST_RATE) },
            jitter: Jitter::None,
            regularizer: Some(Regularizer {
                tv_weight: FIRST_TV_FACTOR * regularizer.tv_weight,
                bound: 0.0,
                ..regularizer
            }),
            ..Self::mahendran16()
        }
    }

    /// Spatiotemporal activation maximisation (Feichtenhofer, Pinz, Wildes & Zisserman, "Deep Insights into
    /// Convolutional Networks for Video Recognition", IJCV 2020). Pixels and flow vectors are bounded, with
    /// separate penalties on variation in space and in time. The paper gives neither steps nor learning rate;
    /// those here are from a study of convergence (docs/video.md). The paper sums over frames, this preset
    /// averages over them.
    pub fn feichtenhofer20() -> Self {
        let regularizer = Regularizer {
            alpha: VIDEO_ALPHA,
            alpha_weight: f64::from(BOUND).powf(-VIDEO_ALPHA),
            tv_weight: (f64::from(BOUND) / 6.5).powi(-2),
            gamma: VIDEO_GAMMA,
            ..Regularizer::default()
        };
        let motion = Regularizer { tv_weight: MOTION_TV_FACTOR * regularizer.tv_weight, ..regularizer };
        let adam = OptimizerSpec::adam(VIDEO_RATE);
        Self {
            param: ParamSpec::Pixel(PixelOptions::preimage()),
            size: None,
            steps: VIDEO_STEPS,
            optimizer: OptimizerSpec { schedule: Schedule::Cosine(0.0), ..adam },
            transform: Chain::none(),
            outside: Outside::Mean,
            jitter: Jitter::Stride,
            gradients: Gradients::default(),
            inputs: [
                (
                    InputKind::Flow.name().into(),
                    InputSettings { regularizer: Some(motion), ..Default::default() },
                ),
                (
                    InputKind::Clip.name().into(),
                    InputSettings {
                        transform: Some(Chain::new(vec![Transform::FrameJitter(CLIP_JITTER)])),
                        ..Default::default()
                    },
                ),
            ]
            .into(),
            unit_weight: Some(UNIT_WEIGHT),
            sum_positions: true,
            regularizer: Some(regularizer),
            ..Self::based_on_lucid("feichtenhofer20")
        }
    }

    /// A dense layer as generator ("Visualizing How CNNs See", Keras): one constant unit, a layer to every
    /// pixel, gradient descent. The source publishes no numbers; rate and steps are ours.
    pub fn keras_dense() -> Self {
        Self {
            param: ParamSpec::Dense(DenseOptions::default()),
            size: None,
            steps: DENSE_STEPS,
            optimizer: OptimizerSpec::sgd(DENSE_RATE),
            transform: Chain::none(),
            gradients: Gradients::default(),
            ..Self::based_on_lucid("keras-dense")
        }
    }

    /// MACO as in Xplique (Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude
    /// Constrained Optimization", NeurIPS 2023): only phases are optimised; boxes from half of the picture
    /// down to a twentieth.
    pub fn maco() -> Self {
        let (side, steps, views) = XPLIQUE;
        Self {
            param: ParamSpec::Maco(MacoOptions::default()),
            size: None,
            picture: Some([side; 2]),
            steps,
            views,
            optimizer: OptimizerSpec::new(OptimizerKind::NAdam, MACO_RATE),
            transform: Chain::maco_xplique(),
            gradients: Gradients::default(),
            ..Self::based_on_lucid("maco")
        }
    }

    /// MACO as in Horama (its authors' PyTorch version): larger, longer, six boxes a step of a fifth to a
    /// quarter.
    pub fn maco_horama() -> Self {
        let (side, steps, views) = HORAMA;
        Self {
            name: "maco-horama".into(),
            picture: Some([side; 2]),
            steps,
            views,
            transform: Chain::maco_horama(),
            ..Self::maco()
        }
    }

    /// The Deep Visualization Toolbox (Yosinski et al., "Understanding Neural Networks Through Deep
    /// Visualization", 2015): gradient ascent on pixels, decay, and a blur every few steps. The published
    /// rate is for the logits of CaffeNet; networks whose gradients are smaller need a larger one. The start
    /// is that of the other recipes on pixels; the Toolbox draws normal noise of deviation 10.
    pub fn yosinski() -> Self {
        Self {
            param: ParamSpec::Pixel(PixelOptions::preimage()),
            size: None,
            steps: YOSINSKI_STEPS,
            optimizer: OptimizerSpec { decay: Some(YOSINSKI_DECAY), ..OptimizerSpec::sgd(YOSINSKI_RATE) },
            transform: Chain::none(),
            outside: Outside::Mean,
            gradients: Gradients::default(),
            upkeep: Some(YOSINSKI_UPKEEP),
            ..Self::based_on_lucid("yosinski")
        }
    }

    /// Feature accentuation (Hamblin et al., "Feature Accentuation", 2024): from a picture's own spectrum,
    /// with many views a step; the views are Lucid's.
    pub fn accentuation() -> Self {
        Self {
            size: None,
            steps: ACCENTUATION_STEPS,
            views: ACCENTUATION_VIEWS,
            transform: Chain::lucid(),
            gradients: Gradients::default(),
            ..Self::based_on_lucid("accentuation")
        }
    }

    /// Returns all named presets.
    pub fn all() -> Vec<Self> {
        vec![
            Self::oneiro(),
            Self::lucid(),
            Self::conveiro(),
            Self::mahendran16(),
            Self::mahendran15(),
            Self::keras_dense(),
            Self::maco(),
            Self::maco_horama(),
            Self::yosinski(),
            Self::accentuation(),
            Self::activation_grid(),
            Self::enlarged(),
            Self::feichtenhofer20(),
            Self::video(),
        ]
    }

    /// Returns the preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|p| p.name == name)
    }
}

/// The default is the preset [`Preset::oneiro`].
impl Default for Preset {
    fn default() -> Self {
        Self::oneiro()
    }
}
