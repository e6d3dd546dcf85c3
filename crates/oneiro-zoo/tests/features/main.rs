//! Compares the feature networks with plain loops in f64 and with VLFeat's values, and their gradients with
//! finite differences.

#![allow(clippy::unwrap_used)]

mod pictures;
mod reference;

use std::sync::Arc;

use oneiro_net::{CpuSession, Plan, Request, Rules, Session};
use oneiro_zoo::features::{Feature, dsift, hog};
use pictures::{Image, Random};
use reference::Arc2;
use safetensors::SafeTensors;

/// A feature network compiled for pictures of one size.
struct Network {
    session: CpuSession,
    shape: Vec<usize>,
}

impl Network {
    fn new(feature: Feature, height: usize, width: usize) -> Self {
        let graph = feature.graph().unwrap();
        let mut request = Request::new(&graph, 1, &graph.outputs).unwrap();
        request.shapes[0] = vec![1, 3, height, width];
        let plan = Arc::new(Plan::compile(&graph, &request).unwrap());
        let shape = plan.targets[0].shape.clone();
        Self { session: CpuSession::new(plan).unwrap(), shape }
    }

    fn features(&mut self, image: &Image) -> Vec<f64> {
        for (to, from) in self.session.input_mut(0).iter_mut().zip(&image.data) {
            *to = *from as f32;
        }
        self.session.forward();
        self.session.activation(0).iter().map(|&x| f64::from(x)).collect()
    }

    /// Returns the gradient of ⟨features, seed⟩ at the last picture.
    fn gradient(&mut self, seed: &[f64]) -> Vec<f64> {
        for (to, from) in self.session.seed(0).1.iter_mut().zip(seed) {
            *to = *from as f32;
        }
        self.session.backward(&Rules::default());
        self.session.input_gradient(0).iter().map(|&x| f64::from(x)).collect()
    }
}

fn expected(feature: Feature, image: &Image) -> (Vec<usize>, Vec<f64>) {
    match feature {
        Feature::Hog => reference::hog(image, false),
        Feature::HogB => reference::hog(image, true),
        Feature::Dsift => reference::dsift(image, Arc2::Exact),
    }
}

/// Returns the largest difference, relative to the largest expected value.
fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-12, |m: f64, x| m.max(x.abs()));
    found.iter().zip(expected).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs())) / largest
}

#[test]
fn features_are_those_of_plain_loops() {
    for (name, image) in pictures::all() {
        for feature in Feature::ALL {
            let mut network = Network::new(feature, image.height, image.width);
            let found = network.features(&image);
            let (shape, expected) = expected(feature, &image);
            assert_eq!(network.shape[1..], shape[..], "{feature:?} of {name}");
            let error = error(&found, &expected);
            assert!(error < 1e-4, "{feature:?} of {name}: {error:.1e}");
        }
    }
}

#[test]
fn features_are_those_of_vlfeat() {
    let bytes = include_bytes!("../data/vlfeat.safetensors");
    let stored = SafeTensors::deserialize(bytes).unwrap();
    let floats = |name: &str| -> Vec<f64> {
        let data = stored.tensor(name).unwrap().data().to_vec();
        data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
    };
    let pixels = stored.tensor("image").unwrap();
    let image = Image {
        height: pixels.shape()[1],
        width: pixels.shape()[2],
        data: pixels.data().iter().map(|&x| f64::from(x) / 255.0).collect(),
    };
    // `vl_hog` computes arc cosines in f32, which are inaccurate near 0.
    for (feature, allowed) in [(Feature::Hog, 1e-5), (Feature::HogB, 1e-4)] {
        let found = Network::new(feature, image.height, image.width).features(&image);
        let error = error(&found, &floats(feature.name()));
        assert!(error < allowed, "{feature:?}: {error:.1e}");
    }
    // `vl_dsift` approximates the arc tangent with an error of about 0.01. With that approximation the loops
    // agree with VLFeat; with the exact one they agree with the network.
    let found = Network::new(Feature::Dsift, image.height, image.width).features(&image);
    let theirs = floats("dsift");
    let (_, approximate) = reference::dsift(&image, Arc2::Fast);
    let (loops, network) = (error(&approximate, &theirs), error(&found, &theirs));
    assert!(loops < 1e-4, "with VLFeat's arc tangent: {loops:.1e}");
    assert!(network < 1e-2, "with the exact arc tangent: {network:.1e}");
}

#[test]
fn gradients_agree_with_differences_of_the_plain_loops() {
    // Finite differences are taken of the loops in f64, because the network's f32 rounding would disturb
    // them.
    const STEP: f64 = 1e-6;
    let (height, width) = (40, 43);
    let mut random = Random::new(5);
    let image = pictures::noise(height, width, 11);
    for feature in Feature::ALL {
        let mut network = Network::new(feature, height, width);
        let n = network.features(&image).len();
        let seed: Vec<f64> = (0..n).map(|_| f64::from(random.normal() as f32)).collect();
        let gradient = network.gradient(&seed);
        let value =
            |image: &Image| -> f64 { expected(feature, image).1.iter().zip(&seed).map(|(a, b)| a * b).sum() };
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        for probe in 0..12 {
            // Random directions first, then single values of single pixels.
            let direction: Vec<f64> = match probe {
                0..6 => (0..image.data.len()).map(|_| random.normal()).collect(),
                _ => {
                    let pixel = random.below(image.data.len());
                    (0..image.data.len()).map(|i| f64::from(u8::from(i == pixel))).collect()
                }
            };
            let moved = |by: f64| {
                let data = image.data.iter().zip(&direction).map(|(x, d)| x + by * d).collect();
                value(&Image { data, ..image })
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let found: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            // The error is relative to the derivative, or to that of a typical pixel if it is larger.
            let scale = difference.abs().max(norm / (gradient.len() as f64).sqrt());
            let error = (found - difference).abs() / scale;
            assert!(error < 2e-3, "{feature:?}, probe {probe}: {found} is not {difference} ({error:.1e})");
        }
    }
}

#[test]
fn gradients_of_flat_and_of_faint_pictures_are_finite() {
    let mut faint = pictures::noise(48, 48, 3);
    faint.data.iter_mut().for_each(|x| *x = 0.5 + 1e-7 * *x);
    let flat = |value: f64| Image { height: 48, width: 48, data: vec![value; 3 * 48 * 48] };
    for image in [flat(0.0), flat(0.5), flat(1.0), faint] {
        for feature in Feature::ALL {
            let mut network = Network::new(feature, image.height, image.width);
            let features = network.features(&image);
            assert!(features.iter().all(|x| x.is_finite()), "{feature:?}");
            let gradient = network.gradient(&vec![1.0; features.len()]);
            assert!(gradient.iter().all(|x| x.is_finite()), "{feature:?}");
        }
    }
    // A uniform picture must give features of zero.
    for feature in Feature::ALL {
        assert!(Network::new(feature, 48, 48).features(&flat(0.25)).iter().all(|&x| x == 0.0), "{feature:?}");
    }
}

#[test]
fn every_entry_of_a_batch_has_its_own_features_and_names_are_layers() {
    for feature in Feature::ALL {
        let graph = feature.graph().unwrap();
        let layers = ["luminance", "gradient", "orientation", "cells", "blocks", feature.name()];
        let targets: Vec<_> = layers.iter().map(|l| graph.find_value(l).unwrap()).collect();
        let mut request = Request::new(&graph, 2, &targets).unwrap();
        request.shapes[0] = vec![2, 3, 32, 40];
        let plan = Plan::compile(&graph, &request).unwrap();
        let channels: Vec<usize> = plan.targets.iter().map(|t| t.shape[1]).collect();
        let expected = match feature {
            Feature::Dsift => [1, 2, 8, 8, 128, dsift::CHANNELS],
            _ => [1, 2, 18, 18, 108, hog::CHANNELS],
        };
        assert_eq!(channels, expected, "{feature:?}");
        let mut session = CpuSession::new(Arc::new(plan)).unwrap();
        let pictures = [pictures::noise(32, 40, 1), pictures::noise(32, 40, 2)];
        for (to, from) in session.input_mut(0).iter_mut().zip(pictures.iter().flat_map(|p| &p.data)) {
            *to = *from as f32;
        }
        session.forward();
        let both: Vec<f64> = session.activation(5).iter().map(|&x| f64::from(x)).collect();
        let alone: Vec<f64> =
            pictures.iter().flat_map(|p| Network::new(feature, 32, 40).features(p)).collect();
        assert!(error(&both, &alone) < 1e-6, "{feature:?}");
    }
}

#[test]
fn pictures_that_are_too_small_are_an_error() {
    for (feature, size) in [(Feature::Hog, 2), (Feature::Dsift, 24)] {
        let graph = feature.graph().unwrap();
        let mut request = Request::new(&graph, 1, &graph.outputs).unwrap();
        request.shapes[0] = vec![1, 3, size, size];
        assert!(Plan::compile(&graph, &request).is_err(), "{feature:?}");
    }
}

#[test]
fn names_cards_and_descriptions_belong_together() {
    for feature in Feature::ALL {
        assert_eq!(Feature::named(feature.name()), Some(feature));
        let card = oneiro::card::Card::parse(&feature.card()).unwrap();
        assert_eq!((card.name.as_str(), card.input[0].size), (feature.name(), Some([224, 224])));
        assert!(feature.description().contains(feature.name()));
    }
    assert_eq!(Feature::named("sift"), None);
}
