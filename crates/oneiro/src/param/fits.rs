//! Targets that each parametrization must be able to fit: photographs, or corners of opposite colours.

use super::*;
use crate::optimizer::{Optimizer, OptimizerSpec};

/// Side in pixels of the photographs that are fitted.
const SIDE: usize = 112;
/// Most optimisation steps that a fit may take.
const STEPS: usize = 1000;
/// The mean absolute error that a fit must reach.
const ERROR: f64 = 0.01;

fn step(optimizer: &mut dyn Optimizer, params: &mut [f32], gradient: &[f32]) {
    optimizer.step(params, 0.0, gradient);
}

/// Noise with the spectrum and colours of photographs, with a bright disc and a dark bar that have sharp
/// edges.
fn photograph() -> Vec<f32> {
    let options = FourierOptions { init_std: 0.6, ..FourierOptions::default() };
    let clouds = Fourier::new([3, SIDE, SIDE], options, &ParamSources::default()).unwrap();
    let mut image = checks::image_of(&clouds, &checks::start_of(&clouds, 21));
    for (at, value) in image.iter_mut().enumerate() {
        let (channel, y, x) = (at / (SIDE * SIDE), at / SIDE % SIDE, at % SIDE);
        let from_centre = (y as f32 - 40.0).hypot(x as f32 - 65.0);
        if from_centre < 22.0 {
            *value = 0.3 * *value + [0.68, 0.6, 0.25][channel];
        }
        if (70..76).contains(&y) && (10..90).contains(&x) {
            *value *= 0.1;
        }
    }
    image
}

/// Returns the target. The environment variable `ONEIRO_FIT` may name a photograph (raw float32,
/// `[3, 112, 112]`) to measure on.
fn target() -> Vec<f32> {
    let Ok(path) = std::env::var("ONEIRO_FIT") else { return photograph() };
    let bytes = std::fs::read(path).unwrap();
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Maximises −½ Σ (image − target)². Returns the first step with a small enough mean absolute error, and the
/// last error.
fn fit(param: &dyn Param, target: &[f32], spec: OptimizerSpec) -> (Option<usize>, f64) {
    let mut params = checks::start_of(param, 1);
    let (mut work, mut gradient) = (param.work(), vec![0.0; param.len()]);
    let mut optimizer = spec.build(param.len(), true);
    let (mut image, mut error) = (vec![0.0; target.len()], f64::NAN);
    for at in 0..=STEPS {
        param.image(&params, &mut work, &mut image);
        let missing: Vec<f32> = target.iter().zip(&image).map(|(t, v)| t - v).collect();
        error = missing.iter().map(|m| f64::from(m.abs())).sum::<f64>() / missing.len() as f64;
        if error < ERROR {
            return (Some(at), error);
        }
        param.adjoint(&params, &mut work, &missing, &mut gradient);
        step(&mut *optimizer, &mut params, &gradient);
    }
    (None, error)
}

fn assert_fits(name: &str, param: &dyn Param, spec: OptimizerSpec) {
    let (reached, error) = fit(param, &target(), spec);
    assert!(reached.is_some(), "{name}: {error} after {STEPS} steps");
}

/// The optimizer Adam with Lucid's learning rate.
fn adam() -> OptimizerSpec {
    OptimizerSpec::adam(0.05)
}

const SHAPE: [usize; 3] = [3, SIDE, SIDE];

#[test]
fn pixels_fit_a_photograph() {
    for squash in [Squash::Identity, Squash::Sigmoid] {
        let param =
            Pixel::new(SHAPE, PixelOptions { squash, ..PixelOptions::default() }, &ParamSources::default())
                .unwrap();
        assert_fits("pixel", &param, adam());
    }
}

#[test]
fn a_spectrum_fits_a_photograph() {
    let param = Fourier::new(SHAPE, FourierOptions::default(), &ParamSources::default()).unwrap();
    assert_fits("fourier", &param, adam());
}

#[test]
fn a_pyramid_fits_a_photograph() {
    let param = Laplacian::new(SHAPE, LaplacianOptions::default(), &ParamSources::default()).unwrap();
    assert_fits("laplacian", &param, adam());
}

#[test]
fn shared_low_resolutions_with_detail_fit_a_photograph() {
    for detail in [Detail::Fourier, Detail::Pixel] {
        let options = SharedOptions { detail, ..SharedOptions::default() };
        let param = Shared::new(SHAPE, options, &ParamSources::default()).unwrap();
        assert_fits("shared", &param, adam());
    }
}

#[test]
fn a_dense_layer_fits_a_photograph_by_plain_gradient_descent() {
    // The curvature along weight plus bias is at most 2/16 of a value's, so rates below 16 are stable.
    assert_fits("dense", &Dense::new(SHAPE, DenseOptions::default()), OptimizerSpec::sgd(8.0));
}

#[test]
fn a_cppn_learns_corners_of_opposite_colours() {
    // Two opposite corners are white and the others black; no other pixel counts.
    const N: usize = 32;
    let param = Cppn::new([3, N, N], CppnOptions::default()).unwrap();
    let corners = [(0, 1.0), (N - 1, 0.0), (N * (N - 1), 0.0), (N * N - 1, 1.0)];
    for seed in 0..4 {
        let mut params = checks::start_of(&param, seed);
        let (mut work, mut image) = (param.work(), vec![0.0; 3 * N * N]);
        let (mut gradient, mut on_image) = (vec![0.0; param.len()], vec![0.0; 3 * N * N]);
        let mut adam = OptimizerSpec::adam(0.005).build(param.len(), true);
        for _ in 0..200 {
            param.image(&params, &mut work, &mut image);
            for channel in 0..3 {
                for (at, wanted) in corners {
                    let at = channel * N * N + at;
                    on_image[at] = wanted - image[at];
                }
            }
            param.adjoint(&params, &mut work, &on_image, &mut gradient);
            step(&mut *adam, &mut params, &gradient);
        }
        param.image(&params, &mut work, &mut image);
        for channel in 0..3 {
            for (at, wanted) in corners {
                let value = image[channel * N * N + at];
                assert!((value - wanted).abs() < 0.01, "seed {seed}: {value} for {wanted}");
            }
        }
    }
}
