//! What presets add to the render loop: views, jitter, regularizers, start pictures, masks, transparency,
//! coupled batches.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use oneiro::Image;
use oneiro::Model;
use oneiro::card::Card;
use oneiro::objective::{LookupError, NameLookup, Objective, Reference, TermError};
use oneiro::optimizer::{OptimizerKind, OptimizerSpec};
use oneiro::preset::{Jitter, ParamSpec, Preset, Settle};
use oneiro::regularizer::Regularizer;
use oneiro::render::{Materials, Render, Rendered, render};
use oneiro::rng::Stream;
use oneiro::transform::Chain;
use oneiro_zoo::embedded;

fn model() -> Model {
    let graph = oneiro_net::format::onnx::read(embedded::model().into()).unwrap();
    Model::new(graph, Card::parse(embedded::card()).unwrap()).unwrap()
}

/// Returns a picture of soft coloured blobs with a little noise, which excites many features.
fn photo(side: usize, seed: u64) -> Reference {
    let mut rng = Stream::new(seed, 0);
    let waves: Vec<[f64; 4]> = (0..12)
        .map(|_| [rng.uniform_in(0.02, 0.4), rng.uniform_in(0.02, 0.4), rng.uniform(), rng.normal()])
        .collect();
    let mut data = Vec::with_capacity(3 * side * side);
    for c in 0..3 {
        for y in 0..side {
            for x in 0..side {
                let wave = |w: &[f64; 4]| {
                    0.12 * w[3] * (w[0] * x as f64 + w[1] * y as f64 + 6.0 * w[2] + f64::from(c)).sin()
                };
                let value: f64 = 0.5 + waves.iter().map(wave).sum::<f64>() + 0.02 * rng.normal();
                data.push(value.clamp(0.05, 0.95) as f32);
            }
        }
    }
    Reference::new(format!("photo{seed}.png"), Image::new([3, side, side], data).unwrap())
}

/// A lookup that knows two pictures, a mask and a direction, of this size in pixels.
struct Known(usize);

impl NameLookup for Known {
    fn class(&self, name: &str) -> Result<usize, LookupError> {
        Err(LookupError::NoClasses { name: name.to_owned() })
    }

    fn picture(&self, name: &str) -> Result<Reference, LookupError> {
        let seed = name
            .trim_start_matches("photo")
            .trim_end_matches(".png")
            .parse()
            .map_err(|_| LookupError::File { name: name.to_owned(), why: "no such picture".into() })?;
        Ok(photo(self.0, seed))
    }

    fn vector(&self, _name: &str) -> Result<Arc<[f32]>, LookupError> {
        Ok((0..256).map(|i| if i % 7 == 0 { 1.0 } else { 0.0 }).collect())
    }
}

fn plain(size: usize, steps: usize) -> Preset {
    Preset { size: Some([size; 2]), steps, transform: Chain::none(), ..Preset::lucid() }
}

fn run(preset: &Preset, objectives: &[Objective], materials: &Materials) -> Vec<Rendered> {
    let mut render = Render::with_materials(&model(), preset, objectives, 3, materials).unwrap();
    while !render.finished() {
        render.step().unwrap();
    }
    render.finish().unwrap()
}

#[test]
fn every_objective_rises_within_three_steps() {
    let expressions = [
        "channel(fire4.expand3x3,5)",
        "channel(fire4.expand3x3,5,center=1)",
        "channel(fire4.expand3x3,5,mask=photo3.png)",
        "neuron(fire4.expand3x3,9)",
        "layer(fire4)",
        "layer(fire4,channels=0-9)",
        "direction(fire4,v.npy)",
        "direction(fire4,v.npy,p=2)",
        "direction(fire4,photo1.png,minus=photo2.png,p=1)",
        "direction(fire4,photo1.png,at=center)",
        "difference(fire4,photo1.png)",
        "inversion(fire4,photo1.png)",
        "inversion(fire4,photo1.png,center=1,channels=0-127)",
        "caricature(fire4,photo1.png)",
        "caricature(fire4,photo1.png,2)",
        "style(fire2,photo1.png)",
        "guide(fire4,photo1.png)",
        "logit(1)",
        "prob(1)",
        "channel(fire4,1)*channel(fire4,2) + 0.5*layer(fire2)",
        "layer(fire2) - 0.1*tv - 0.1*l2",
        "layer(fire2) - l1(fire4) - tv(1.5) - alpha_norm(3) - blur",
    ];
    let mut preset = plain(32, 3);
    preset.optimizer = OptimizerSpec::adam(0.1);
    let mut failures = Vec::new();
    for text in expressions {
        let objective = Objective::parse(text, &Known(32)).unwrap();
        let mut rose = Vec::new();
        for steps in 1..=3 {
            let preset = Preset { steps, ..preset.clone() };
            let r = &run(&preset, std::slice::from_ref(&objective), &Materials::default())[0];
            rose.push(r.value - r.value_at_start);
        }
        if !rose.iter().any(|r| *r > 0.0) {
            failures.push(format!("{text}: {rose:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_preset_raises_a_class() {
    for preset in Preset::all() {
        let preset = Preset {
            size: Some([64; 2]),
            picture: preset.picture.map(|_| [96; 2]),
            steps: 24,
            settle: preset.settle.map(|s| Settle { steps: 2, ..s }),
            // About the largest activation of a class of this network. With 1, the weight would be much too
            // strong for such a small picture.
            max_activation: 30.0,
            views: preset.views.min(2),
            ..preset
        };
        let r = &run(&preset, &[Objective::logit(1)], &Materials::default())[0];
        assert!(r.value > r.value_at_start, "{}: {} -> {}", preset.name, r.value_at_start, r.value);
        assert_eq!(r.steps, preset.total_steps());
        let side = preset.picture.map_or(64, |[h, _]| h);
        assert_eq!(r.images[0].image.shape(), [3, side, side]);
        let text = toml::to_string(&preset).unwrap();
        assert_eq!(toml::from_str::<Preset>(&text).unwrap(), preset, "{text}");
    }
}

#[test]
fn a_picture_is_its_own_inversion_and_a_start_is_where_it_starts() {
    let objective = Objective::parse("inversion(fire4,photo1.png)", &Known(48)).unwrap();
    let materials = Materials { starts: vec![Some(photo(48, 1))], ..Materials::default() };
    let mut preset = plain(48, 0);
    preset.set_param("pixel").unwrap();
    let r = &run(&preset, std::slice::from_ref(&objective), &materials)[0];
    assert!(r.value > -1e-3, "the sigmoid's margin is all that it lacks: {}", r.value);
    let from_other = Materials { starts: vec![Some(photo(48, 2))], ..Materials::default() };
    let r = &run(&Preset::mahendran16().small(48, 30), &[objective], &from_other)[0];
    assert!(r.value_at_start < -0.1 && r.value > 0.5 * r.value_at_start, "{} {}", r.value_at_start, r.value);
}

trait Small {
    fn small(self, size: usize, steps: usize) -> Self;
}

impl Small for Preset {
    fn small(self, size: usize, steps: usize) -> Self {
        Preset { size: Some([size; 2]), steps, ..self }
    }
}

#[test]
fn what_a_mask_covers_stays_as_it_was() {
    let start = photo(32, 1);
    let half: Vec<f32> = (0..3 * 1024).map(|i| if i % 32 < 16 { 0.0 } else { 1.0 }).collect();
    let mask = Reference::new("m", Image::new([3, 32, 32], half).unwrap());
    let materials = Materials { starts: vec![Some(start.clone())], mask: Some(mask), ..Materials::default() };
    let r = &run(&plain(32, 4), &[Objective::layer("fire2")], &materials)[0];
    let change = |i: usize| (r.images[0].image.data[i] - start.image.data[i]).abs();
    let (left, right): (Vec<usize>, Vec<usize>) = (0..3 * 1024).partition(|i| i % 32 < 16);
    assert!(left.into_iter().all(|i| change(i) < 1e-6));
    assert!(right.into_iter().any(|i| change(i) > 0.05));
    let alone = Materials { starts: Vec::new(), ..materials };
    let error = Render::with_materials(&model(), &plain(32, 4), &[Objective::layer("fire2")], 0, &alone);
    assert!(error.err().unwrap().to_string().contains("needs a picture to start from"));
}

#[test]
fn opacity_is_learnt_and_can_be_made_dear() {
    let preset = Preset { alpha: true, ..plain(48, 20) };
    let of = |text: &str| {
        let objective = Objective::parse(text, &Known(48)).unwrap();
        let r = run(&preset, &[objective], &Materials::default()).remove(0);
        assert_eq!(r.images[0].image.shape(), [4, 48, 48]);
        let alpha = &r.images[0].image.data[3 * 48 * 48..];
        assert!(alpha.iter().all(|a| (0.0..=1.0).contains(a)));
        alpha.iter().sum::<f32>() / alpha.len() as f32
    };
    let (free, dear) = (of("channel(fire4,5)"), of("channel(fire4,5) - 100*opacity"));
    assert!(dear < free - 0.05, "{dear} {free}");
    let opaque = Objective::parse("layer(fire2) - opacity", &Known(32)).unwrap();
    let error = Render::new(&model(), &plain(32, 1), &[opaque], 0).err().unwrap();
    assert!(matches!(error, oneiro::Error::Term(TermError::NoTransparency)), "{error}");
}

#[test]
fn a_jittered_picture_is_as_large_as_what_the_network_sees_and_settles_without_jitter() {
    let preset =
        Preset { jitter: Jitter::Pixels(5), settle: Some(Settle { steps: 3, rate: 0.1 }), ..plain(40, 4) };
    let r = &run(&preset, &[Objective::channel("fire4", 3)], &Materials::default())[0];
    assert_eq!((&r.images[0].image.shape()[..], r.steps), (&[3, 40, 40][..], 7));
    let by_stride = Preset { jitter: Jitter::Stride, ..preset };
    let other = &run(&by_stride, &[Objective::channel("fire4", 3)], &Materials::default())[0];
    assert_ne!(other.images[0].image.data, r.images[0].image.data, "fire4's stride is 8, not 5");
}

#[test]
fn a_bounded_picture_keeps_its_bound() {
    let mut preset = Preset::mahendran16().small(48, 6);
    preset.regularizer = Some(Regularizer { bound: 40.0, ..Regularizer::default() });
    let r = &run(&preset, &[Objective::logit(5)], &Materials::default())[0];
    // The mean colour of the network's card, in the order RGB.
    let mean = [123.68f32, 116.779, 103.939];
    let data = &r.images[0].image.data;
    let norm = |i: usize| (0..3).map(|c| (255.0 * data[c * 2304 + i] - mean[c]).powi(2)).sum::<f32>().sqrt();
    let largest = (0..2304).map(norm).fold(0.0, f32::max);
    assert!((39.9..40.1).contains(&largest), "{largest}");
    preset.param = Preset::lucid().param;
    let error = Render::new(&model(), &preset, &[Objective::logit(5)], 0).err().unwrap().to_string();
    assert!(error.contains("pixel, centred"), "{error}");
}

#[test]
fn diversity_makes_the_pictures_of_a_batch_differ_more() {
    let similarity = |weight: f64| {
        let text = format!("channel(fire4,5) - {weight}*diversity(fire2)");
        let objective = Objective::parse(&text, &Known(48)).unwrap();
        let preset = plain(48, 12);
        let mut render = Render::new(&model(), &preset, &[objective.clone(), objective], 3).unwrap();
        while !render.finished() {
            render.step().unwrap();
        }
        let pictures = render.finish().unwrap();
        assert_ne!(
            pictures[0].images[0].image.data, pictures[1].images[0].image.data,
            "each has noise of its own"
        );
        // The value is channel − weight · diversity, so the values for two weights give both terms.
        pictures[0].images[0].image.data.clone()
    };
    let (without, with) = (similarity(1e-9), similarity(50.0));
    assert_ne!(without, with);
}

#[test]
fn views_that_cannot_go_through_at_once_go_one_after_another() {
    // The diversity term has weight 0, but it couples the batch, so views are computed one after another.
    let render = |text: &str| {
        let objective = Objective::parse(text, &Known(48)).unwrap();
        let preset = Preset { views: 3, transform: "jitter(6)".parse().unwrap(), ..plain(48, 4) };
        let mut render = Render::new(&model(), &preset, &[objective], 3).unwrap();
        while !render.finished() {
            render.step().unwrap();
        }
        render.finish().unwrap().remove(0)
    };
    let (at_once, in_turn) = (render("channel(fire4,5)"), render("channel(fire4,5) + 0*diversity(fire2)"));
    assert!((at_once.value - in_turn.value).abs() < 0.3 * at_once.value.abs(), "{at_once:?} {in_turn:?}");
    assert!(in_turn.value > 2.0 * in_turn.value_at_start, "{in_turn:?}");
}

#[test]
fn the_pictures_of_a_batch_share_what_they_share() {
    let mut preset = plain(48, 6);
    preset.set_param("shared").unwrap();
    let objectives = [Objective::channel("fire4", 5), Objective::channel("fire4", 9)];
    let run_with = |preset: &Preset| run(preset, &objectives, &Materials::default());
    let correlation = |r: &[Rendered]| {
        let [a, b] = [0, 1].map(|i| &r[i].images[0].image.data);
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        let (ma, mb) = (mean(a), mean(b));
        let product: f32 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
        let norm = |v: &[f32], m: f32| v.iter().map(|x| (x - m).powi(2)).sum::<f32>().sqrt();
        product / (norm(a, ma) * norm(b, mb))
    };
    let shared = correlation(&run_with(&preset));
    let alone = correlation(&run_with(&plain(48, 6)));
    assert!(shared > alone + 0.1, "{shared} {alone}");
    assert!(matches!(preset.param, ParamSpec::Shared(_)));
}

#[test]
fn several_views_are_averaged() {
    let preset = Preset { views: 3, steps: 2, size: Some([48; 2]), ..Preset::lucid() };
    let objective = [Objective::channel("fire4", 5)];
    let mut averaged = Render::new(&model(), &preset, &objective, 3).unwrap();
    let first = averaged.step().unwrap()[0];
    // The same random stream gives the three views to three successive steps.
    let single = Preset { views: 1, optimizer: OptimizerSpec::sgd(f32::MIN_POSITIVE), ..preset.clone() };
    let mut one = Render::new(&model(), &Preset { steps: 3, ..single }, &objective, 3).unwrap();
    let values: Vec<f64> = (0..3).map(|_| one.step().unwrap()[0]).collect();
    let mean = values.iter().sum::<f64>() / 3.0;
    assert!((first - mean).abs() < 1e-5 * mean.abs(), "{first} {mean}");
    assert!(render(&model(), &preset, &objective, 3, |_| true).unwrap()[0].value.is_finite());
}

#[test]
fn jitter_costs_a_line_search_little_of_an_inversion() {
    let objective = Objective::parse("inversion(fire4,photo1.png)", &Known(64)).unwrap();
    let error = |jitter: Jitter, kind: OptimizerKind| {
        let mut preset =
            Preset { size: Some([64; 2]), steps: 150, jitter, ..Preset::named("mahendran16").unwrap() };
        preset.set_optimizer(kind, None);
        let searches = kind == OptimizerKind::Lbfgs;
        // Settings that fit the preset's own optimizer are dropped for an optimizer that finds its own step
        // lengths.
        assert_eq!(preset.rate_by_area, !searches);
        assert_eq!(preset.settle.unwrap().rate == 1.0, searches);
        let done = render(&model(), &preset, std::slice::from_ref(&objective), 0, |_| true).unwrap();
        (-done[0].value).sqrt()
    };
    let still = error(Jitter::None, OptimizerKind::Lbfgs);
    let moved = error(Jitter::QuarterStride, OptimizerKind::Lbfgs);
    let usual = error(Jitter::QuarterStride, OptimizerKind::AccumulatedSquares);
    assert!(moved < 1.25 * still && moved < 1.5 * usual, "{moved}, without jitter {still}, usually {usual}");
}
