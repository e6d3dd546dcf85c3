//! Compares whole renderings with PyTorch's. With the same preset, start and random transforms, the objective
//! in every step and the final picture must agree. `scripts/reference_curves.py` computed the reference in
//! float64.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use oneiro::Image;
use oneiro::Model;
use oneiro::card::Card;
use oneiro::objective::{Objective, Reference, Term, TermKind};
use oneiro::optimizer::OptimizerSpec;
use oneiro::preset::{Jitter, Preset};
use oneiro::render::{Materials, Render};
use oneiro::rng::Stream;
use oneiro::transform::{Chain, Length, Transform, Values};
use oneiro_zoo::embedded;
use safetensors::{Dtype, SafeTensors};

/// Side of the pictures in pixels, and number of steps, the same as in the script.
const SIZE: usize = 48;
const STEPS: usize = 20;

/// Largest relative difference of the objective in a step from PyTorch's; the requirement is 1 %.
const CURVE: f64 = 1e-4;
/// Largest difference of a pixel after all steps, in display units; the requirement is 1e-3.
const PIXEL: f64 = 1e-4;

/// The stored reference arrays of a case, by name.
struct Stored(BTreeMap<String, Vec<f64>>);

impl Stored {
    fn of(case: &str) -> Self {
        let file = SafeTensors::deserialize(include_bytes!("data/reference_curves.safetensors")).unwrap();
        let numbers = |dtype: Dtype, data: &[u8]| -> Vec<f64> {
            match dtype {
                Dtype::U8 => data.iter().map(|level| f64::from(*level)).collect(),
                Dtype::F32 => {
                    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
                }
                Dtype::F64 => {
                    data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
                }
                other => panic!("numbers of type {other:?}"),
            }
        };
        let of_case = |name: &str| name.strip_prefix(case)?.strip_prefix('/').map(str::to_owned);
        Self(
            file.iter()
                .filter_map(|(name, t)| Some((of_case(name)?, numbers(t.dtype(), t.data()))))
                .collect(),
        )
    }

    fn seed(&self) -> u64 {
        self.0["seed"][0] as u64
    }

    /// Returns a stored array as a picture; values are divided by 255.
    fn picture(&self, name: &str) -> Reference {
        let data: Arc<[f32]> = self.0[name].iter().map(|level| *level as f32 / 255.0).collect();
        Reference::new(name, Image::new([3, SIZE, SIZE], data.to_vec()).unwrap())
    }
}

fn model() -> Model {
    let graph = oneiro_net::format::onnx::read(embedded::model().into()).unwrap();
    Model::new(graph, Card::parse(embedded::card()).unwrap()).unwrap()
}

/// Renders from the stored start picture and compares with the stored results.
fn assert_as_pytorch(case: &str, preset: Preset, objective: Objective) {
    let stored = Stored::of(case);
    let preset = Preset { size: Some([SIZE; 2]), steps: STEPS, settle: None, ..preset };
    let materials = Materials { starts: vec![Some(stored.picture("start"))], ..Materials::default() };
    let mut render =
        Render::with_materials(&model(), &preset, &[objective], stored.seed(), &materials).unwrap();
    let curve = &stored.0["curve"];
    assert_eq!(curve.len(), STEPS);
    for (step, expected) in curve.iter().enumerate() {
        let value = render.step().unwrap()[0];
        let error = (value - expected).abs() / expected.abs();
        assert!(error < CURVE, "{case}, step {step}: {value}, in PyTorch {expected}");
    }
    let image = &render.pictures()[0][0].image.data;
    let expected = &stored.0["image"];
    assert_eq!(image.len(), expected.len());
    let largest = image.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(largest < PIXEL, "{case}: a pixel differs by {largest}");
}

/// Draws the random numbers of every step for a chain of Lucid's or Conveiro's transforms, and compares them
/// with the recorded ones.
fn assert_draws(case: &str, chain: &Chain, objective: &Objective) {
    let stored = Stored::of(case);
    // The stream's ID is the 64-bit FNV-1a hash of the objective's text and the stream's purpose.
    let text = format!("{objective}\0transforms");
    let id =
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = Stream::new(stored.seed(), id);
    let mut drawn: Vec<f64> = Vec::new();
    for _ in 0..STEPS {
        for transform in &chain.transforms {
            match transform {
                Transform::Pad(..) => {}
                Transform::Jitter(Length::Pixels(n)) => {
                    drawn.extend([0; 2].map(|_| rng.choice(n + 1) as f64))
                }
                Transform::Roll(n) => {
                    drawn.extend([0; 2].map(|_| f64::from(rng.range_i32(-(*n as i32), *n as i32))));
                }
                Transform::Scale(Values::List(list)) | Transform::Rotate(Values::List(list)) => {
                    drawn.push(list[rng.choice(list.len())]);
                }
                other => panic!("{other:?} is in neither chain"),
            }
        }
    }
    assert_eq!(drawn, stored.0["draws"], "{case}: other random transforms than were recorded");
}

fn channel() -> Objective {
    Objective::channel("fire4.expand3x3", 5)
}

fn other_channel() -> Objective {
    Objective::channel("fire5.expand1x1", 7)
}

#[test]
fn lucids_fourier_space_with_adam_goes_the_way_of_pytorch() {
    let preset = Preset { transform: Chain::none(), ..Preset::lucid() };
    assert_as_pytorch("lucid", preset, channel());
}

#[test]
fn pixels_with_momentum_go_the_way_of_pytorch() {
    let optimizer = OptimizerSpec { momentum: Some(0.9), ..OptimizerSpec::sgd(0.02) };
    let mut preset = Preset { transform: Chain::none(), optimizer, ..Preset::conveiro() };
    preset.set_param("pixel").unwrap();
    assert_as_pytorch("pixel", preset, other_channel());
}

#[test]
fn lucids_random_transforms_go_the_way_of_pytorch() {
    let preset = Preset::lucid();
    assert_draws("lucid-transforms", &preset.transform, &channel());
    assert_as_pytorch("lucid-transforms", preset, channel());
}

#[test]
fn conveiros_random_transforms_go_the_way_of_pytorch() {
    let preset = Preset::conveiro();
    assert_draws("conveiro", &preset.transform, &other_channel());
    assert_as_pytorch("conveiro", preset, other_channel());
}

#[test]
fn natural_pre_images_go_the_way_of_pytorch() {
    let preset = Preset { jitter: Jitter::None, ..Preset::mahendran16() };
    let target = Stored::of("mahendran16").picture("target");
    let objective = Objective::from(Term::new("fire3", TermKind::Inversion(target)));
    assert_as_pytorch("mahendran16", preset, objective);
}
