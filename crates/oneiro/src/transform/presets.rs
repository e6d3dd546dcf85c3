//! Published chains of transforms, and oneiro's own defaults.

use super::{Chain, Length, PadMode, Transform, Values};

/// Standard deviation of the Gaussian noise, and twice the amplitude of the uniform noise, in MACO. xplique
/// calls the value `noise_intensity` (`features_visualizations/maco.py`), Horama `noise_level`
/// (`horama/common.py`). Both apply it in the units of the network's input, whose range the caller chooses;
/// here it is in display units.
const MACO_XPLIQUE_NOISE: f64 = 0.08;
/// The noise in Horama's MACO; see [`MACO_XPLIQUE_NOISE`].
const MACO_HORAMA_NOISE: f64 = 0.05;

/// Mirrored border of an activation grid's cells, so that no view shows grey at its border. `GRID_JITTER` is
/// by how much they are shifted. Both are oneiro's choices.
const GRID_PAD: Length = Length::Pixels(12);
const GRID_JITTER: Length = Length::Pixels(6);

/// Mirrored border of the default preset, as wide as the first jitter. Rotated and reduced views show some
/// fill colour in their corners, as a rotated picture does: a wider border costs a twentieth of what the
/// picture keeps when it is turned. Jitter is in percent of the side. All are oneiro's choices.
const DEFAULT_PAD: Length = Length::Percent(6.0);
/// Standard deviation of the default preset's noise, in display units. It keeps grain out of the picture.
const DEFAULT_NOISE: f64 = 0.02;
const DEFAULT_JITTERS: [Length; 2] = [Length::Percent(6.0), Length::Percent(3.0)];
/// Scales and angles of the default preset. They include scale 1 and angle 0, as otherwise no step would see
/// pixels without interpolation blur.
const DEFAULT_SCALES: [f64; 10] = [0.88, 0.91, 0.94, 0.97, 1.0, 1.0, 1.03, 1.06, 1.09, 1.12];
const DEFAULT_DEGREES: [f64; 15] =
    [-14.0, -11.0, -9.0, -7.0, -5.0, -3.0, -1.0, 0.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 14.0];

impl Chain {
    /// Returns Lucid's standard transforms (`lucid/optvis/transform.py`, `standard_transforms`).
    pub fn lucid() -> Chain {
        let scales = (0..=10).map(|k| f64::from(90 + 2 * k) / 100.0).collect();
        let degrees = (-10..=10).map(f64::from).chain([0.0; 5]).collect();
        Chain::new(vec![
            Transform::Pad(12.into(), PadMode::Fill),
            Transform::Jitter(8.into()),
            Transform::Scale(Values::List(scales)),
            Transform::Rotate(Values::List(degrees)),
            Transform::Jitter(4.into()),
        ])
    }

    /// Returns the transforms of Conveiro's colour-decorrelated Fourier space (CDFS). `fill` is the model's
    /// mean colour in display units: padding with it equals padding with zeros after the mean is subtracted.
    pub fn conveiro(fill: &[f32]) -> Chain {
        let transforms = vec![
            Transform::Pad(16.into(), PadMode::Fill),
            Transform::Roll(16),
            Transform::Scale(Values::List(vec![1.0, 0.975, 1.025, 0.95, 1.05])),
            Transform::Rotate(Values::List((-5..=5).map(f64::from).collect())),
            Transform::Roll(8),
        ];
        Chain { transforms, fill: fill.to_vec() }
    }

    /// Returns the default preset's transforms: textures rolled by any amount, a mirrored border, jitter,
    /// scaling by up to 12 %, rotation by up to 14°, noise.
    pub fn oneiro() -> Chain {
        let [wide, narrow] = DEFAULT_JITTERS;
        Chain::new(vec![
            Transform::RollTextures,
            Transform::Pad(DEFAULT_PAD, PadMode::Reflect),
            Transform::Jitter(wide),
            Transform::Scale(Values::List(DEFAULT_SCALES.into())),
            Transform::Rotate(Values::List(DEFAULT_DEGREES.into())),
            Transform::Jitter(narrow),
            Transform::Noise(Values::List(vec![DEFAULT_NOISE])),
        ])
    }

    /// Returns transforms for pictures that are larger than what the network sees: a mirrored border, parts
    /// of 70 to 100 % of the side, rotation by up to 10°, noise.
    pub fn enlarged() -> Chain {
        Chain::new(vec![
            Transform::RollTextures,
            Transform::Pad(DEFAULT_PAD, PadMode::Reflect),
            Transform::Crop(Values::Uniform(0.7, 1.0)),
            Transform::Rotate(Values::Uniform(-10.0, 10.0)),
            Transform::Noise(Values::List(vec![0.05])),
        ])
    }

    /// Returns transforms for small pictures: a mirrored border, and jitter, scaling and rotation by a few
    /// pixels.
    pub fn activation_grid() -> Chain {
        Chain::new(vec![
            Transform::Pad(GRID_PAD, PadMode::Reflect),
            Transform::Jitter(GRID_JITTER),
            Transform::Scale(Values::Uniform(0.9, 1.1)),
            Transform::Rotate(Values::Uniform(-5.0, 5.0)),
            Transform::Jitter(2.into()),
        ])
    }

    /// Returns MACO's transforms as in xplique (`features_visualizations/maco.py`; Fel et al. 2023,
    /// "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization"). Boxes
    /// shrink from half to a twentieth of the side over the run. Gaussian noise follows, then uniform noise
    /// of half its size.
    ///
    /// In xplique, each of the 32 boxes of a step has its centre at 0.5 ± 0.15 (normal). Its side also
    /// varies, by 0.05 (normal), and it may extend beyond the image. In oneiro, boxes have exactly the
    /// scheduled side and a uniform position inside the image.
    pub fn maco_xplique() -> Chain {
        Chain::maco(Values::Schedule([0.5; 2], [0.05; 2]), MACO_XPLIQUE_NOISE)
    }

    /// Returns MACO's transforms as in Horama (`horama/common.py`): boxes of 20 to 25 % of the side, 6 in
    /// each step of Horama's program, and less noise than [`Chain::maco_xplique`]. Horama's code adds the
    /// spread to the upper bound, which makes 25 to 30 %; oneiro uses the stated range.
    pub fn maco_horama() -> Chain {
        Chain::maco(Values::Uniform(0.2, 0.25), MACO_HORAMA_NOISE)
    }

    fn maco(side: Values, noise: f64) -> Chain {
        Chain::new(vec![
            Transform::Crop(side),
            Transform::Noise(Values::List(vec![noise])),
            Transform::UniformNoise(Values::List(vec![0.5 * noise])),
        ])
    }
}
