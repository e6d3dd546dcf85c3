//! Parametrizations that presets choose by name.

use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

use crate::color::Decorrelate;
use crate::error::Result;
use crate::param::{
    Cppn, CppnOptions, Dense, DenseOptions, Fourier, Fourier3d, Fourier3dOptions, FourierOptions, Laplacian,
    LaplacianOptions, Maco, MacoOptions, Moved, MovedOptions, Param, ParamSources, Pixel, PixelOptions,
    Shared, SharedOptions, Squash, WithAlpha,
};
use crate::range::Range;

/// Names of all kinds on the command line.
pub const PARAMS: [&str; 10] =
    ["fourier", "pixel", "laplacian", "shared", "cppn", "dense", "maco", "fourier3d", "steady", "moved"];

/// Allowed decay of a spectrum. Beyond it, the scales exceed the range of f32.
const DECAY_RANGE: Range = Range::Within(-8.0, 8.0);

/// The name of a parametrization, with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ParamSpec {
    /// The pixels of the image themselves.
    Pixel(PixelOptions),
    /// The image's spectrum, with decorrelated colours.
    Fourier(FourierOptions),
    /// A pyramid of resolutions, with decorrelated colours.
    Laplacian(LaplacianOptions),
    /// Low resolutions that the pictures of a batch share, and detail of each picture.
    Shared(SharedOptions),
    /// The weights of a network over (x, y).
    Cppn(CppnOptions),
    /// The weights of a dense layer with one constant input.
    Dense(DenseOptions),
    /// The phases of the spectrum, with the magnitudes of photographs.
    Maco(MacoOptions),
    /// The spectrum of a clip in space and time.
    Fourier3d(Fourier3dOptions),
    /// The spectrum of a clip, with an appearance that all frames share and with motion as its detail.
    Steady(Fourier3dOptions),
    /// A still picture that a flow moves.
    Moved(MovedOptions),
}

impl ParamSpec {
    /// Creates the parametrization for images of this extent.
    ///
    /// # Errors
    ///
    /// If an option is out of its range, or statistics are missing or have other channels.
    pub fn build(&self, extent: impl Into<Extent>, sources: &ParamSources) -> Result<Box<dyn Param>> {
        let extent = extent.into();
        Ok(match self {
            Self::Pixel(options) => Box::new(Pixel::new(extent, *options, sources)?),
            Self::Fourier(options) => Box::new(Fourier::new(extent, *options, sources)?),
            Self::Laplacian(options) => Box::new(Laplacian::new(extent, *options, sources)?),
            Self::Shared(options) => Box::new(Shared::new(extent, options.clone(), sources)?),
            Self::Cppn(options) => Box::new(Cppn::new(extent, *options)?),
            Self::Dense(options) => Box::new(Dense::new(extent, *options)),
            Self::Maco(options) => Box::new(Maco::new(extent, *options, sources)?),
            Self::Fourier3d(options) | Self::Steady(options) => {
                Box::new(Fourier3d::new(extent, *options, sources)?)
            }
            Self::Moved(options) => Box::new(Moved::new(extent, *options, sources)?),
        })
    }

    /// Returns the options that are numbers, with names and allowed ranges.
    pub(super) fn numbers(&self) -> Vec<(&'static str, f64, Range)> {
        let std = |std: f32| ("init_std", f64::from(std), Range::NotNegative);
        match self {
            Self::Pixel(options) => vec![
                ("init_mean", options.init_mean.into(), Range::Any),
                ("levels", options.levels.into(), Range::Positive),
                std(options.init_std),
            ],
            Self::Fourier(options) => vec![
                ("decay", options.decay.into(), DECAY_RANGE),
                ("divisor", options.divisor.into(), Range::Positive),
                std(options.init_std),
            ],
            Self::Laplacian(options) => vec![std(options.init_std)],
            Self::Shared(options) => {
                vec![("weight", options.weight.into(), Range::Any), std(options.init_std)]
            }
            Self::Cppn(_) => vec![],
            Self::Dense(options) => options.init_std.map(std).into_iter().collect(),
            Self::Maco(options) => {
                vec![("contrast", options.contrast.into(), Range::Positive), std(options.init_std)]
            }
            Self::Fourier3d(options) | Self::Steady(options) => vec![
                ("decay", options.decay.into(), DECAY_RANGE),
                ("time_decay", options.time_decay.into(), DECAY_RANGE),
                ("still", options.still.into(), Range::Positive),
                ("divisor", options.divisor.into(), Range::Positive),
                std(options.init_std),
            ],
            Self::Moved(options) => vec![
                ("decay", options.decay.into(), DECAY_RANGE),
                ("speed", options.speed.into(), Range::Positive),
                std(options.init_std),
            ],
        }
    }

    /// Whether colours or magnitudes come from the statistics that a rendering is given.
    pub fn reads_statistics(&self) -> bool {
        let of_data = |decorrelate| decorrelate == Decorrelate::Data;
        match self {
            Self::Fourier(options) => of_data(options.decorrelate),
            Self::Laplacian(options) => of_data(options.decorrelate),
            Self::Shared(options) => of_data(options.decorrelate),
            Self::Fourier3d(options) | Self::Steady(options) => of_data(options.decorrelate),
            Self::Moved(options) => of_data(options.decorrelate),
            Self::Maco(_) => true,
            Self::Pixel(_) | Self::Cppn(_) | Self::Dense(_) => false,
        }
    }

    /// Creates the parametrization as [`ParamSpec::build`] does, with a channel of transparency after the
    /// channels of `extent`.
    ///
    /// # Errors
    ///
    /// The errors of [`ParamSpec::build`].
    pub fn build_with_alpha(
        &self,
        extent: impl Into<Extent>,
        sources: &ParamSources,
    ) -> Result<Box<dyn Param>> {
        let extent = extent.into();
        let alpha = self.of_alpha().build(extent.with_channels(1), sources)?;
        Ok(Box::new(WithAlpha::new(self.build(extent, sources)?, alpha)?))
    }

    /// Returns the parametrization of the transparency plane: the same kind, squashed and without mixing. For
    /// kinds made for colours or batches it is a spectrum.
    fn of_alpha(&self) -> ParamSpec {
        let (decorrelate, squash) = (Decorrelate::None, Squash::Sigmoid);
        match self {
            // Transparency has no mean colour from which differences could be counted.
            Self::Pixel(options) if options.centred => {
                Self::Pixel(PixelOptions { squash, ..PixelOptions::default() })
            }
            Self::Pixel(options) => {
                Self::Pixel(PixelOptions { squash, init_mean: PixelOptions::default().init_mean, ..*options })
            }
            Self::Fourier(options) => Self::Fourier(FourierOptions { decorrelate, squash, ..*options }),
            Self::Laplacian(options) => Self::Laplacian(LaplacianOptions { decorrelate, squash, ..*options }),
            Self::Cppn(options) => Self::Cppn(*options),
            Self::Dense(options) => Self::Dense(DenseOptions { squash, ..*options }),
            Self::Fourier3d(options) | Self::Steady(options) => {
                Self::Fourier3d(Fourier3dOptions { decorrelate, squash, ..*options })
            }
            Self::Moved(_) | Self::Shared(_) | Self::Maco(_) => {
                Self::Fourier(FourierOptions { decorrelate, squash, ..FourierOptions::default() })
            }
        }
    }

    /// Replaces ImageNet's colour statistics by those of the data. Returns whether the parametrization used
    /// ImageNet's.
    pub fn decorrelate_by_data(&mut self) -> bool {
        let decorrelate = match self {
            Self::Fourier(options) => &mut options.decorrelate,
            Self::Laplacian(options) => &mut options.decorrelate,
            Self::Shared(options) => &mut options.decorrelate,
            Self::Fourier3d(options) | Self::Steady(options) => &mut options.decorrelate,
            Self::Moved(options) => &mut options.decorrelate,
            Self::Pixel(_) | Self::Cppn(_) | Self::Dense(_) | Self::Maco(_) => return false,
        };
        let changes = *decorrelate == Decorrelate::Imagenet;
        if changes {
            *decorrelate = Decorrelate::Data;
        }
        changes
    }

    /// Whether the pictures of a batch share parameters.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// The parametrization's name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pixel(_) => "pixel",
            Self::Fourier(_) => "fourier",
            Self::Laplacian(_) => "laplacian",
            Self::Shared(_) => "shared",
            Self::Cppn(_) => "cppn",
            Self::Dense(_) => "dense",
            Self::Maco(_) => "maco",
            Self::Fourier3d(_) => "fourier3d",
            Self::Steady(_) => "steady",
            Self::Moved(_) => "moved",
        }
    }

    /// Returns the parametrization of this name with default options; pictures are squashed.
    pub fn named(name: &str) -> Option<ParamSpec> {
        Some(match name {
            "pixel" => Self::Pixel(PixelOptions { squash: Squash::Sigmoid, ..PixelOptions::default() }),
            "fourier" => Self::Fourier(FourierOptions::default()),
            "laplacian" => Self::Laplacian(LaplacianOptions::default()),
            "shared" => Self::Shared(SharedOptions::default()),
            "cppn" => Self::Cppn(CppnOptions::default()),
            "dense" => Self::Dense(DenseOptions::default()),
            "maco" => Self::Maco(MacoOptions::default()),
            "fourier3d" => Self::Fourier3d(Fourier3dOptions::default()),
            "steady" => Self::Steady(Fourier3dOptions::steady()),
            "moved" => Self::Moved(MovedOptions::default()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::OptimizerKind;
    use crate::preset::{CPPN_STEPS, Preset};
    use crate::rng::Stream;

    #[test]
    fn every_kind_is_built_under_its_name_and_survives_toml() {
        for name in PARAMS {
            let mut preset = Preset::lucid();
            preset.set_param(name).unwrap();
            assert_eq!(preset.param.name(), name);
            let text = toml::to_string(&preset).unwrap();
            assert!(text.contains(&format!("[param.{name}")), "{text}");
            assert_eq!(toml::from_str::<Preset>(&text).unwrap(), preset);
            for (param, channels) in [
                (preset.param.build([3, 9, 6], &ParamSources::default()), 3),
                (preset.param.build_with_alpha([3, 9, 6], &ParamSources::default()), 4),
            ] {
                let param = param.unwrap();
                assert_eq!(param.extent(), [channels, 9, 6].into());
                let params = param.init(&mut Stream::new(0, 0), &mut Stream::new(0, 1));
                assert_eq!(params.len(), param.len());
                let mut image = vec![f32::NAN; channels * 54];
                param.image(&params, &mut param.work(), &mut image);
                assert!(image.iter().all(|v| (0.0..=1.0).contains(v)), "{name}: {image:?}");
                let alpha = image[3 * 54..].iter().all(|v| (v - 0.5).abs() < 0.2);
                assert!(alpha, "{name}: {image:?}");
            }
        }
        assert!(Preset::lucid().set_param("voxel").is_none());
    }

    #[test]
    fn a_cppn_has_its_rate_with_adam_and_its_kin_alone() {
        let rate = |param_first: bool, kind: OptimizerKind| {
            let mut preset = Preset::lucid();
            if param_first {
                preset.set_param("cppn").unwrap();
                preset.set_optimizer(kind, None);
            } else {
                preset.set_optimizer(kind, None);
                preset.set_param("cppn").unwrap();
            }
            preset.optimizer.learning_rate
        };
        for kind in OptimizerKind::ALL {
            let expected = if kind.is_adaptive() { 0.005 } else { kind.default_rate() };
            assert_eq!([true, false].map(|first| rate(first, kind)), [expected; 2], "{}", kind.name());
        }
    }

    #[test]
    fn a_cppn_has_the_steps_that_it_needs() {
        let mut preset = Preset::oneiro();
        preset.set_param("cppn").unwrap();
        assert_eq!((preset.steps, preset.rate_at(500)), (CPPN_STEPS, 0.005));
    }

    #[test]
    fn options_of_the_same_kind_are_kept() {
        let mut preset = Preset::conveiro();
        preset.set_param("fourier").unwrap();
        assert_eq!(preset, Preset::conveiro());
    }
}
