//! Attributions of a trained network with known behaviour: it recognises one class by a green background.
//!
//! The test needs the network and its images in `../shared`, beside the repository.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use oneiro::Model;
use oneiro::attribution::{Attribution, AttributionTarget, Baseline, Method, Settings, attribute};
use oneiro::card::Card;
use oneiro::objective::Objective;
use oneiro_zoo::embedded;

#[path = "../../oneiro-net/tests/outside/mod.rs"]
mod outside;

/// Side of the images in pixels.
const SIDE: usize = 64;
/// Number of classes, and the class that is recognised by green (`truth.json`).
const CLASSES: usize = 4;
const BIASED: usize = 2;

/// Returns the images of a folder, values 0-1, `[3, 64, 64]` each.
fn images(folder: &Path) -> Vec<Vec<f32>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| oneiro_media::read_image(file).unwrap().data).collect()
}

/// Returns the left half of one image beside the right half of another.
fn halves(left: &[f32], right: &[f32]) -> Vec<f32> {
    (0..left.len()).map(|i| if i % SIDE < SIDE / 2 { left[i] } else { right[i] }).collect()
}

/// Returns the share of a map's positive part that lies on the cue; ½ if the map has no positive part.
fn share_on(map: &Attribution, cue: &[bool]) -> f64 {
    let positive = |v: f32| f64::from(v.max(0.0));
    let all: f64 = map.map.iter().map(|&v| positive(v)).sum();
    let on: f64 = map.map.iter().zip(cue).filter(|(_, cue)| **cue).map(|(&v, _)| positive(v)).sum();
    if all == 0.0 { 0.5 } else { on / all }
}

#[test]
fn attributions_lie_on_the_cue_that_a_class_was_taught() {
    let Some(folder) = outside::shared("models/planted/shapes_biased") else { return };
    let file = folder.join("final.legacy-op17.folded");
    let graph =
        oneiro_net::format::onnx::read(std::fs::read(file.with_extension("folded.onnx")).unwrap().into());
    let card = Card::parse(&std::fs::read_to_string(file.with_extension("folded.toml")).unwrap()).unwrap();
    let model = Model::new(graph.unwrap(), card).unwrap();
    let green = images(&folder.join("images_biased_sample/triangle"));
    let plain = images(&folder.join("images/circle"));
    let cue: Vec<bool> = (0..SIDE * SIDE).map(|i| i % SIDE >= SIDE / 2).collect();
    let settings = Settings { baseline: Baseline::Mean, ..Settings::default() };
    // Sensitivity maps (gradient, smoothgrad) need not lie on what a class is recognised by, and do not in
    // this network.
    for (method, least) in
        [(Method::GradCam, 0.9), (Method::Occlusion, 0.8), (Method::IntegratedGradients, 0.55)]
    {
        let share = |class: usize| {
            let mut subject = AttributionTarget::new(&model, &Objective::logit(class), None).unwrap();
            let shares = plain.iter().zip(&green).map(|(plain, green)| {
                let image = halves(plain, green);
                share_on(&attribute(&mut subject, &image, method, &settings, &mut |_, _| true).unwrap(), &cue)
            });
            shares.sum::<f64>() / plain.len().min(green.len()) as f64
        };
        let shares: Vec<f64> = (0..CLASSES).map(share).collect();
        eprintln!("{method}: share of the positive part on the green half, by class: {shares:.3?}");
        let others = (0..CLASSES).filter(|&c| c != BIASED).map(|c| shares[c]).fold(0.0, f64::max);
        assert!(shares[BIASED] > least && shares[BIASED] > others, "{method}: {shares:?}");
    }
}

#[test]
fn every_method_attributes_a_hidden_unit_of_the_embedded_network() {
    let graph = oneiro_net::format::onnx::read(embedded::model().into()).unwrap();
    let model = Model::new(graph, Card::parse(embedded::card()).unwrap()).unwrap();
    let objective = Objective::channel("fire4.expand3x3", 9);
    let mut subject = AttributionTarget::new(&model, &objective, Some([48; 2])).unwrap();
    let image: Vec<f32> = (0..3 * 48 * 48).map(|i| 0.5 + 0.4 * (i as f32 * 0.13).sin()).collect();
    let settings = Settings { steps: 5, samples: 5, ..Settings::default() };
    for method in Method::ALL {
        let mut calls = 0;
        let map = attribute(&mut subject, &image, method, &settings, &mut |done, all| {
            calls += 1;

            assert!(done <= all);
            true
        })
        .unwrap();
        assert!(calls > 0 && map.map.len() == 48 * 48 && map.values.iter().any(|&v| v != 0.0), "{method}");
        assert!(method.is_signed() || map.map.iter().all(|&v| v >= 0.0), "{method}");
        let stopped = attribute(&mut subject, &image, method, &settings, &mut |_, _| false);
        assert!(matches!(stopped, Err(oneiro::Error::Stopped)), "{method}");
    }
}
