//! Presets of our own.

use super::{LUCID_RATE, VIDEO_RATE};
use crate::card::InputKind;
use crate::gradients::Gradients;
use crate::optimizer::{OptimizerSpec, Schedule};
use crate::param::{FourierOptions, MovedOptions, SharedOptions};
use crate::preset::{InputSettings, Outside, ParamSpec, Preset};
use crate::regularizer::Regularizer;
use crate::transform::{Chain, Length, Transform, Values};

/// Steps, views in each step, rate and decay of the default preset. They were chosen by trials; see
/// docs/presets.md. Three views average the noise of the transforms, which a large rate would turn into
/// grain. The decay keeps colours in larger patches.
const DEFAULT_STEPS: usize = 128;
const DEFAULT_VIEWS: usize = 3;
const DEFAULT_RATE: f32 = 0.09;
const DEFAULT_DECAY: f32 = 1.1;
/// Settings of pictures that are larger than what the network sees: side, views, rate, decay. Their rate is
/// lower and their decay larger than the default's, as the network does not see their finest detail.
const ENLARGED_SIDE: usize = 128;
const ENLARGED_VIEWS: usize = 6;
const ENLARGED_RATE: f32 = 0.05;
const ENLARGED_DECAY: f32 = 1.3;
/// Settings of the recipe for clips and flow, from a study of our own: steps, views for each step, γ, size
/// of the objective's gradient, rate of images, and largest shifts.
const OWN_VIDEO_STEPS: usize = 160;
const OWN_VIDEO_VIEWS: usize = 2;
const OWN_VIDEO_GAMMA: f64 = 3.0;
const OWN_FORCE: f64 = 6.5;
const OWN_CLIP_FORCE: f64 = 2.0;
const OWN_IMAGE_RATE: f32 = 2.5;
const OWN_SHIFT: f64 = 12.5;
const OWN_FLOW_SHIFT: f64 = 37.5;
const OWN_CLIP_JITTER: usize = 4;
/// Settings of a cell of an activation grid: side, steps, rate, shared factors and their weight. The values
/// are our own; the article's notebooks use 60 to 80 pixels and 256 to 512 steps. With a larger weight, all
/// cells drift to one colour.
const GRID_SIDE: usize = 104;
const GRID_STEPS: usize = 128;
const GRID_RATE: f32 = 0.03;
const GRID_FACTORS: [usize; 2] = [16, 32];
const GRID_WEIGHT: f32 = 0.1;

impl Preset {
    /// The default preset: Lucid's Fourier space with a quarter of its steps. The rate falls to zero. The
    /// transforms are wider, add noise, and mirror the picture beyond its border; textures are rolled.
    pub fn oneiro() -> Self {
        let adam = OptimizerSpec::adam(DEFAULT_RATE);
        Self {
            param: ParamSpec::Fourier(FourierOptions { decay: DEFAULT_DECAY, ..FourierOptions::default() }),
            steps: DEFAULT_STEPS,
            views: DEFAULT_VIEWS,
            optimizer: OptimizerSpec { schedule: Schedule::Cosine(0.0), ..adam },
            transform: Chain::oneiro(),
            ..Self::based_on_lucid("oneiro")
        }
    }

    /// Pictures for networks that see few pixels: larger than the network's input, which sees large parts of
    /// the picture scaled down. The objective's value is that of the whole picture, scaled down.
    pub fn enlarged() -> Self {
        let adam = OptimizerSpec::adam(ENLARGED_RATE);
        Self {
            name: "enlarged".into(),
            param: ParamSpec::Fourier(FourierOptions { decay: ENLARGED_DECAY, ..FourierOptions::default() }),
            size: None,
            picture: Some([ENLARGED_SIDE; 2]),
            views: ENLARGED_VIEWS,
            optimizer: OptimizerSpec { schedule: Schedule::Cosine(0.0), ..adam },
            transform: Chain::enlarged(),
            ..Self::oneiro()
        }
    }

    /// The default recipe for clips and flow, from a study of our own (docs/video.md). Images are optimised
    /// in Lucid's Fourier space, clips as a moving still, and flow in pixels with the penalties of
    /// [`Preset::feichtenhofer20`]. The objective's gradient is scaled, so that neither a unit's scale nor
    /// its largest activation has to be known.
    pub fn video() -> Self {
        let paper = Self::feichtenhofer20();
        let regularizer = paper.regularizer.map(|r| Regularizer { gamma: OWN_VIDEO_GAMMA, bound: 0.0, ..r });
        let motion = paper.inputs[InputKind::Flow.name()].regularizer;
        let motion = motion.map(|r| Regularizer { gamma: OWN_VIDEO_GAMMA, ..r });
        let chain = |transforms: &[Transform]| Some(Chain::new(transforms.to_vec()));
        let [scale, rotate] =
            [Transform::Scale(Values::Uniform(0.9, 1.1)), Transform::Rotate(Values::Uniform(-5.0, 5.0))];
        let shift = Transform::Jitter(Length::Percent(OWN_SHIFT));
        let image = InputSettings { rate: Some(OWN_IMAGE_RATE), ..InputSettings::default() };
        let clip = InputSettings {
            param: Some(ParamSpec::Moved(MovedOptions::default())),
            transform: chain(&[
                shift.clone(),
                Transform::FrameJitter(OWN_CLIP_JITTER),
                scale.clone(),
                rotate.clone(),
            ]),
            regularizer,
            unit_weight: Some(OWN_CLIP_FORCE),
            ..InputSettings::default()
        };
        let flow = InputSettings {
            param: Some(paper.param),
            transform: chain(&[Transform::Jitter(Length::Percent(OWN_FLOW_SHIFT))]),
            regularizer: motion,
            rate: Some(VIDEO_RATE / LUCID_RATE),
            ..InputSettings::default()
        };
        Self {
            size: None,
            steps: OWN_VIDEO_STEPS,
            views: OWN_VIDEO_VIEWS,
            optimizer: OptimizerSpec { schedule: Schedule::Cosine(0.0), ..OptimizerSpec::adam(LUCID_RATE) },
            transform: Chain::new(vec![shift, scale, rotate]),
            outside: Outside::Mean,
            gradients: Gradients::default(),
            unit_weight: Some(OWN_FORCE),
            relative: true,
            inputs: [(InputKind::Image, image), (InputKind::Clip, clip), (InputKind::Flow, flow)]
                .map(|(kind, settings)| (kind.name().into(), settings))
                .into(),
            ..Self::based_on_lucid("video")
        }
    }

    /// Cells of activation grids (Olah et al., "The Building Blocks of Interpretability", Distill 2018):
    /// small pictures whose coarsest resolutions are those of all, so that neighbours agree in brightness and
    /// colour. Nothing is padded with grey, which would be much of a small picture.
    pub fn activation_grid() -> Self {
        let param =
            SharedOptions { factors: GRID_FACTORS.into(), weight: GRID_WEIGHT, ..SharedOptions::default() };
        Self {
            param: ParamSpec::Shared(param),
            size: Some([GRID_SIDE; 2]),
            steps: GRID_STEPS,
            optimizer: OptimizerSpec::adam(GRID_RATE),
            transform: Chain::activation_grid(),
            ..Self::based_on_lucid("activation-grid")
        }
    }
}
