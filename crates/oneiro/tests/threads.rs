//! The number of threads changes no bit of a rendering, a dream image or an attribution.

#![allow(clippy::unwrap_used)]

use oneiro::attribution::{AttributionTarget, Method, Settings, attribute};
use oneiro::card::Card;
use oneiro::dream::{Dream, DreamGoal, DreamPreset, Start};
use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro::render::Render;
use oneiro::{Image, Model};
use oneiro_net::{Threads, format::onnx};
use oneiro_zoo::embedded;

const SIDE: usize = 48;

fn model(threads: usize) -> Model {
    let graph = onnx::read(embedded::model().into()).unwrap();
    let card = Card::parse(embedded::card()).unwrap();
    Model::new(graph, card).unwrap().on(Threads::new(threads).unwrap())
}

/// Returns the bits of the results with this number of threads.
fn on(threads: usize, what: impl Fn(&Model) -> Vec<f32>) -> Vec<u32> {
    what(&model(threads)).into_iter().map(f32::to_bits).collect()
}

fn assert_same(what: impl Fn(&Model) -> Vec<f32>) {
    let one = on(1, &what);
    for threads in [2, 3] {
        assert!(on(threads, &what) == one, "{threads} threads");
    }
}

#[test]
fn a_rendering() {
    let preset = Preset { steps: 3, size: Some([SIDE; 2]), ..Preset::named("lucid").unwrap() };
    let objectives = [Objective::logit(1), Objective::channel("fire3", 4)];
    assert_same(|model| {
        let mut render = Render::new(model, &preset, &objectives, 0).unwrap();
        while !render.finished() {
            render.step().unwrap();
        }
        render.pictures().into_iter().flatten().flat_map(|picture| picture.image.data).collect()
    });
}

#[test]
fn a_dream() {
    let preset = DreamPreset {
        octaves: 2,
        steps: 2,
        tile: 64,
        overlap: 16,
        ..DreamPreset::named("deepdream").unwrap()
    };
    let image = Image::new([3, 80, 70], (0..3 * 80 * 70).map(|i| (i % 97) as f32 / 97.0).collect()).unwrap();
    let goal = DreamGoal::Objective("layer(fire3)".parse().unwrap());
    assert_same(|model| {
        let mut dream = Dream::new(model, &preset, &goal, Start::Image(image.clone()), None, 0).unwrap();
        while !dream.finished() {
            dream.step().unwrap();
        }
        dream.raw().data
    });
}

#[test]
fn an_attribution() {
    let image: Vec<f32> = (0..3 * SIDE * SIDE).map(|i| (i % 89) as f32 / 89.0).collect();
    let settings = Settings { steps: 6, ..Settings::default() };
    assert_same(|model| {
        let mut target = AttributionTarget::new(model, &Objective::logit(1), Some([SIDE; 2])).unwrap();
        let methods = [Method::IntegratedGradients, Method::GradCam];
        let of = |method| attribute(&mut target, &image, method, &settings, &mut |_, _| true).unwrap().values;
        methods.map(of).concat()
    });
}
