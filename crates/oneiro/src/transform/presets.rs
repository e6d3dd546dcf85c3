//! Chains that were published.

use super::{Chain, Length, PadMode, Transform, Values};

/// Standard deviation of the Gaussian noise and twice the amplitude of the uniform noise in MACO: xplique's
/// `noise_intensity` (`features_visualizations/maco.py`), Horama's `noise_level` (`horama/common.py`). There
/// they are in the units of the image before the network, whose range is the caller's; here in display units.
const MACO_XPLIQUE_NOISE: f64 = 0.08;
/// See [`MACO_XPLIQUE_NOISE`].
const MACO_HORAMA_NOISE: f64 = 0.05;

/// Pixels by which cells of activation grids are mirrored beyond their edge, so that no view shows grey at
/// its border, and by which they are shifted (ours).
const GRID_PAD: Length = Length::Pixels(12);
const GRID_JITTER: Length = Length::Pixels(6);

/// The default recipe's mirrored border, wider than shifts, sizes and turns together, so that nothing but
/// picture is seen, and its shifts, in percent of the side (ours).
const DEFAULT_PAD: Length = Length::Percent(25.0);
const DEFAULT_JITTERS: [Length; 2] = [Length::Percent(6.0), Length::Percent(3.0)];
/// Its sizes and turns. Whole sizes and no turn are among them: else no step would see unblurred pixels.
const DEFAULT_SCALES: [f64; 10] = [0.88, 0.91, 0.94, 0.97, 1.0, 1.0, 1.03, 1.06, 1.09, 1.12];
const DEFAULT_DEGREES: [f64; 15] =
    [-14.0, -11.0, -9.0, -7.0, -5.0, -3.0, -1.0, 0.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 14.0];

impl Chain {
    /// Lucid's standard transforms (`lucid/optvis/transform.py`, `standard_transforms`).
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

    /// The transforms of Conveiro's colour-decorrelated Fourier space (CDFS). `fill` is the model's mean
    /// colour in display units: padding with it is padding with zeros after the means have been subtracted.
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

    /// The default recipe's: textures rolled by any amount, the edge mirrored, shifts, sizes within 12 %,
    /// turns within 14°.
    pub fn oneiro() -> Chain {
        let [wide, narrow] = DEFAULT_JITTERS;
        Chain::new(vec![
            Transform::RollTextures,
            Transform::Pad(DEFAULT_PAD, PadMode::Reflect),
            Transform::Jitter(wide),
            Transform::Scale(Values::List(DEFAULT_SCALES.into())),
            Transform::Rotate(Values::List(DEFAULT_DEGREES.into())),
            Transform::Jitter(narrow),
        ])
    }

    /// For small pictures: shifts, sizes and turns of a few pixels, the edge mirrored.
    pub fn activation_grid() -> Chain {
        Chain::new(vec![
            Transform::Pad(GRID_PAD, PadMode::Reflect),
            Transform::Jitter(GRID_JITTER),
            Transform::Scale(Values::Uniform(0.9, 1.1)),
            Transform::Rotate(Values::Uniform(-5.0, 5.0)),
            Transform::Jitter(2.into()),
        ])
    }

    /// MACO's transforms as in xplique (`features_visualizations/maco.py`; Fel et al. 2023, "Unlocking
    /// Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization"): boxes that shrink
    /// from half to a twentieth of the side, then Gaussian noise and uniform noise of half its size.
    ///
    /// In Xplique, each of 32 boxes a step has its centre at 0.5 ± 0.15 (normal) and its side spread by 0.05
    /// (normal), and may reach outside. In oneiro, boxes have the scheduled side and a uniform place inside.
    pub fn maco_xplique() -> Chain {
        Chain::maco(Values::Schedule([0.5; 2], [0.05; 2]), MACO_XPLIQUE_NOISE)
    }

    /// MACO's transforms as in Horama (`horama/common.py`): boxes of 20 to 25 % of the side, 6 in each step
    /// of Horama's program, and less noise than [`Chain::maco_xplique`]. (Horama's code adds the spread to
    /// the upper bound, which makes 25 to 30 %; oneiro uses the stated range.)
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
