//! Renders images with eight bands for a network with a known answer: it detects a stripe in band 7, with the
//! opposite sign in band 2.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use oneiro::attribution::AttributionTarget;
use oneiro::card::Card;
use oneiro::color::Decorrelate;
use oneiro::dream::{Dream, DreamGoal, DreamPreset, Start};
use oneiro::model::InputError;
use oneiro::objective::{Objective, Reference};
use oneiro::objective_session::ObjectiveSession;
use oneiro::param::{
    CppnOptions, DenseOptions, FourierOptions, LaplacianOptions, MacoOptions, PixelOptions, SharedOptions,
};
use oneiro::preset::{ParamSpec, Preset};
use oneiro::regularizer::Regularizer;
use oneiro::render::{Materials, Picture, Render, render};
use oneiro::rng::Stream;
use oneiro::spatial_activations::SpatialActivations;
use oneiro::statistics::{ColorAccumulator, Statistics};
use oneiro::transform::Chain;
use oneiro::{Error, Image, Model};
use oneiro_net::graph::{Builder, Dim};
use oneiro_net::tensor::Tensor;

const BANDS: usize = 8;
const SIDE: usize = 32;
/// The band that the filter reads, and the band that it reads with the opposite sign.
const PLUS: usize = 7;
const MINUS: usize = 2;

const CARD: &str = "[[input]]\nname = \"x\"\nsize = [32, 32]\norder = \"bands\"\nrange = 10.0\nshow = [7, 2, 0]\n\
    mean = [1, 2, 3, 4, 5, 6, 7, 5]\nstd = [2]\n";

/// Builds the network. Channel 0 detects a bright column between dark ones in band 7, with the opposite sign
/// in band 2. Channel 1 reads band 4 only.
fn model(card: &str) -> Model {
    let mut weights = vec![0.0; 2 * BANDS * 9];
    for (x, value) in [-0.5, 1.0, -0.5].into_iter().enumerate() {
        for y in 0..3 {
            weights[(PLUS * 3 + y) * 3 + x] = value;
            weights[(MINUS * 3 + y) * 3 + x] = -value;
        }
    }
    weights[(BANDS + 4) * 9 + 4] = 1.0;
    let mut net = Builder::new();
    let free = |name: &str| Dim::Free(name.into());
    let x = net.input("x", &[free("N"), Dim::Fixed(BANDS), free("H"), free("W")]).unwrap();
    let weight = net.constant("weight", Tensor::floats(&[2, BANDS, 3, 3], weights)).unwrap();
    let sum = net.node("Conv", "stripe", &[x, weight], vec![]).unwrap();
    let active = net.node("Relu", "active", &[sum], vec![]).unwrap();
    Model::new(net.finish(&[active]), Card::parse(card).unwrap()).unwrap()
}

fn preset() -> Preset {
    Preset { size: None, steps: 48, ..Preset::lucid() }
}

/// Returns for each band how much it changes along x: the mean absolute second difference.
fn changes(picture: &Picture) -> Vec<f32> {
    let (h, w) = (picture.image.height, picture.image.width);
    let of = |plane: &[f32]| {
        let rows = plane.chunks_exact(w);
        rows.flat_map(|row| row.windows(3)).map(|r| (r[0] - 2.0 * r[1] + r[2]).abs()).sum::<f32>()
            / (h * w) as f32
    };
    picture.colors().chunks_exact(h * w).map(of).collect()
}

#[test]
fn a_picture_shows_its_stripes_in_the_bands_that_the_unit_looks_at() {
    let model = model(CARD);
    let params = [
        ParamSpec::Fourier(FourierOptions::default()),
        ParamSpec::Laplacian(LaplacianOptions::default()),
        ParamSpec::Pixel(PixelOptions::default()),
        ParamSpec::Shared(SharedOptions::default()),
    ];
    for param in params {
        let preset = Preset { param, ..preset() };
        let rendered = render(&model, &preset, &[Objective::channel("active", 0)], 0, |_| true).unwrap();
        let picture = &rendered[0].images[0];
        assert_eq!(picture.image.shape(), [BANDS, SIDE, SIDE]);
        assert_eq!(picture.shown, [PLUS, MINUS, 0]);
        assert!(rendered[0].value > rendered[0].value_at_start);
        let changes = changes(picture);
        let (mut others, [low, high]) = (changes.clone(), [MINUS, PLUS].map(|band| changes[band]));
        others.retain(|c| *c != low && *c != high);
        let most = others.into_iter().fold(0.0, f32::max);
        assert!(low > 2.0 * most && high > 2.0 * most, "{}: {changes:?}", preset.param.name());
        // The two bands must be negatively correlated.
        let plane = |band: usize| &picture.image.data[band * SIDE * SIDE..(band + 1) * SIDE * SIDE];
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        let (a, b) = (plane(PLUS), plane(MINUS));
        let covariance = a.iter().zip(b).map(|(x, y)| (x - mean(a)) * (y - mean(b))).sum::<f32>();
        assert!(covariance < 0.0, "{}: {covariance}", preset.param.name());
        assert_eq!(picture.rgb()[..SIDE * SIDE], *a);
    }
}

#[test]
fn opacity_is_that_of_the_plane_of_transparency_alone() {
    let model = model(CARD);
    let units = ["channel(active,0) - 0.1*opacity".parse::<Objective>().unwrap()];
    let clear = Preset { alpha: true, steps: 1, ..preset() };
    assert!(Render::new(&model, &clear, &units, 0).is_ok());
    let error = Render::new(&model, &preset(), &units, 0).err().unwrap().to_string();
    assert!(error.contains("transparency"), "{error}");
}

#[test]
fn what_rendering_offers_works_on_bands_too() {
    let model = model(CARD);
    let units = ["channel(active,0) - 0.1*tv".parse::<Objective>().unwrap(), Objective::channel("active", 1)];
    let start = Reference::new("start", Image::new([BANDS, 32, 32], vec![0.4; BANDS * 1024]).unwrap());
    let mask = Reference::new("mask", Image::new([1, 32, 32], vec![1.0; 1024]).unwrap());
    let short = |preset: Preset| Preset { steps: 3, ..preset };
    let masked = Materials {
        starts: vec![Some(start.clone()), Some(start)],
        mask: Some(mask),
        ..Materials::default()
    };
    let cases = [
        ("plain", preset(), Materials::default()),
        ("alpha", Preset { alpha: true, ..preset() }, Materials::default()),
        ("cppn", Preset { param: ParamSpec::Cppn(CppnOptions::default()), ..preset() }, Materials::default()),
        (
            "dense",
            Preset { param: ParamSpec::Dense(DenseOptions::default()), ..preset() },
            Materials::default(),
        ),
        ("views", Preset { views: 2, ..preset() }, Materials::default()),
        (
            "regularizer",
            Preset { regularizer: Some(Regularizer::default()), ..Preset::mahendran16() },
            Materials::default(),
        ),
        ("upkeep", Preset::yosinski(), Materials::default()),
        ("mask", preset(), masked),
    ];
    for (name, preset, materials) in cases {
        let alpha = preset.alpha;
        let preset = short(Preset { size: None, ..preset });
        let mut render = Render::with_materials(&model, &preset, &units, 0, &materials).unwrap();
        (0..3).for_each(|_| drop(render.step().unwrap().to_vec()));
        let rendered = render.finish().unwrap();
        for r in &rendered {
            let picture = &r.images[0];
            assert_eq!(picture.image.shape()[0], BANDS + usize::from(alpha), "{name}");
            assert!(r.value.is_finite() && picture.image.data.iter().all(|x| x.is_finite()), "{name}");
        }
        let bands: Vec<Vec<Vec<f32>>> =
            rendered.iter().map(|r| vec![r.images[0].colors().to_vec()]).collect();
        let again = render.evaluate(Some(&bands)).unwrap();
        assert!(alpha || (again[1] - rendered[1].value).abs() < 1e-5, "{name}: {again:?}");
    }
}

#[test]
fn the_gradient_on_bands_agrees_with_differences() {
    let model = model(CARD);
    let objective = ["channel(active,0) + 0.3*channel(active,1) - 0.2*tv".parse::<Objective>().unwrap()];
    let shapes = model.input_shapes(1, None).unwrap();
    let mut session = ObjectiveSession::new(&model, &objective, &[], shapes, true).unwrap();
    let mut rng = Stream::new(3, 0);
    let x: Vec<f32> = (0..BANDS * SIDE * SIDE).map(|_| rng.normal() as f32).collect();
    let mut value = |x: &[f32]| {
        session.input_mut(0).copy_from_slice(x);
        session.show_inputs().unwrap();
        session.forward();
        session.value(0)
    };
    let direction: Vec<f32> = x.iter().map(|_| rng.normal() as f32).collect();
    let moved = |step: f32| -> Vec<f32> { x.iter().zip(&direction).map(|(x, d)| x + step * d).collect() };
    let numeric = (value(&moved(1e-3)) - value(&moved(-1e-3))) / 2e-3;
    value(&x);
    session.seed(0, 1.0);
    session.backward(&oneiro_net::Rules::default());
    let gradient = session.whole_input_gradient(0);
    let exact: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
    assert!((numeric - exact).abs() < 1e-2 * exact.abs().max(1e-2), "{numeric} {exact}");
}

/// Returns statistics of pictures whose bands are mixtures of independent noise by this matrix.
fn statistics(channels: usize, mixing: impl Fn(usize, usize) -> f32) -> Statistics {
    let mut rng = Stream::new(5, 0);
    let images: Vec<Vec<f32>> = (0..16)
        .map(|_| {
            let noise: Vec<f32> = (0..channels * 256).map(|_| rng.normal() as f32).collect();
            (0..channels * 256)
                .map(|i| {
                    0.5 + (0..channels).map(|k| mixing(i / 256, k) * noise[k * 256 + i % 256]).sum::<f32>()
                })
                .collect()
        })
        .collect();
    let mut colors = ColorAccumulator::new(channels);
    images.iter().for_each(|image| colors.add(image));
    let mut spectra = colors.finish([16, 16]).unwrap();
    images.iter().for_each(|image| spectra.add(image));
    spectra.finish().unwrap()
}

#[test]
fn bands_are_decorrelated_by_statistics_of_as_many() {
    let model = model(CARD);
    // Bands 7 and 2 are correlated; the others are independent.
    let together = |row: usize, column: usize| match (row, column) {
        (MINUS, PLUS) => 0.1,
        _ if row == column => 0.1,
        _ => 0.0,
    };
    let known = statistics(BANDS, together);
    let covariance = |i: usize, j: usize| known.covariance()[i * BANDS + j];
    assert!((covariance(PLUS, MINUS) - 0.01).abs() < 1e-3, "{}", covariance(PLUS, MINUS));
    assert!((covariance(MINUS, MINUS) - 0.02).abs() < 1e-3 && covariance(0, 1).abs() < 1e-3);
    let param = |decorrelate| ParamSpec::Fourier(FourierOptions { decorrelate, ..FourierOptions::default() });
    let render = |decorrelate, statistics: Option<Statistics>| {
        let preset = Preset { param: param(decorrelate), steps: 6, transform: Chain::none(), ..preset() };
        let materials = Materials { statistics: statistics.map(Arc::new), ..Materials::default() };
        let units = [Objective::channel("active", 0)];
        let mut render = Render::with_materials(&model, &preset, &units, 0, &materials)?;
        while !render.finished() {
            render.step()?;
        }
        Ok::<_, oneiro::Error>(render.finish()?[0].images[0].clone())
    };
    let plain = render(Decorrelate::None, None).unwrap();
    assert_eq!(
        render(Decorrelate::Imagenet, None).unwrap(),
        plain,
        "ImageNet's colours say nothing of bands"
    );
    let data = render(Decorrelate::Data, Some(known.clone())).unwrap();
    assert_ne!(data, plain);
    // In decorrelated space, a step changes bands 7 and 2 together, so that opposite stripes emerge more
    // slowly.
    let contrast = |p: &Picture| changes(p)[PLUS] + changes(p)[MINUS];
    assert!(contrast(&data) < contrast(&plain), "{} {}", contrast(&data), contrast(&plain));
    let message =
        render(Decorrelate::Data, Some(statistics(3, |i, j| f32::from(u8::from(i == j))))).unwrap_err();
    let message = message.to_string();
    assert!(message.contains("3 channels") && message.contains("has 8"), "{message}");
    let maco = Preset { param: ParamSpec::Maco(MacoOptions::default()), ..preset() };
    let units = [Objective::channel("active", 0)];
    assert!(Render::new(&model, &maco, &units, 0).is_err(), "the embedded statistics are of colours");
    let materials = Materials { statistics: Some(Arc::new(known)), ..Materials::default() };
    assert!(Render::with_materials(&model, &maco, &units, 0, &materials).is_ok());
}

#[test]
fn a_fill_needs_one_value_or_one_a_band() {
    let model = model(CARD);
    let units = [Objective::channel("active", 0)];
    for (fill, fits) in [("fill(0.5)", true), ("fill(0,0,0,0,1,1,1,1)", true), ("fill(0.1,0.2,0.3)", false)] {
        let transform = Chain::parse(&format!("pad(2)|{fill}")).unwrap();
        let made = Render::new(&model, &Preset { transform, ..preset() }, &units, 0);
        match made {
            Ok(_) => assert!(fits, "{fill}"),
            Err(error) => assert!(!fits && error.to_string().contains("8 channels"), "{fill}: {error}"),
        }
    }
}

#[test]
fn the_network_says_how_many_bands_there_are() {
    let card = |lines: &str| Card::parse(&format!("[[input]]\nname = \"x\"\n{lines}")).unwrap();
    let of = |lines: &str| Model::new(model(CARD).graph, card(lines));
    let fitted = of("order = \"bands\"\nmean = [0.25]").unwrap();
    assert_eq!((fitted.card.input[0].channels(), &fitted.card.input[0].mean), (8, &vec![0.25; 8]));
    let message = of("order = \"bands\"\nmean = [1, 2, 3]").unwrap_err().to_string();
    assert!(message.contains("3 numbers") && message.contains("8 channels"), "{message}");
    let message = of("order = \"bands\"\nshow = [8]").unwrap_err().to_string();
    assert!(message.contains("band 8") && message.contains("0 to 7"), "{message}");
    // A card that declares no bands: the error says that the network takes eight.
    for lines in ["kind = \"tensor\"", "order = \"rgb\""] {
        let model = of(lines).unwrap();
        let error = Render::new(&model, &preset(), &[Objective::channel("active", 0)], 0).err().unwrap();
        let of_bands = match error {
            Error::Input(InputError::NoPicture { maybe_bands, .. }) => maybe_bands == Some(("x".into(), 8)),
            Error::Input(InputError::Channels { channels, .. }) => channels == 8,
            _ => false,
        };
        assert!(of_bands, "{lines}");
    }
}

#[test]
fn other_methods_take_bands_or_say_what_they_take() {
    let model = model(CARD);
    let picture = vec![0.5; BANDS * SIDE * SIDE];
    let cells = SpatialActivations::of(&model, "active", &picture, None).unwrap();
    assert_eq!(cells.shape(), [2, 30, 30]);
    let message = SpatialActivations::of(&model, "active", &picture[..3072], None).unwrap_err().to_string();
    assert!(message.contains("8x32x32"), "{message}");
    let message =
        AttributionTarget::new(&model, &Objective::channel("active", 0), None).err().unwrap().to_string();
    assert!(message.contains("8 bands") && message.contains("photographs"), "{message}");
    let goal = DreamGoal::Objective(Objective::channel("active", 0));

    let message = Dream::new(&model, &DreamPreset::deepdream(), &goal, Start::Noise, None, 0)
        .err()
        .unwrap()
        .to_string();
    assert!(message.contains("8 bands"), "{message}");
}

#[test]
fn a_grid_weighs_the_cells_of_bands_by_a_unit() {
    let model = model(CARD);
    let data: Vec<f32> = (0..BANDS * SIDE * SIDE).map(|i| (i % 97) as f32 / 97.0).collect();
    let plain = SpatialActivations::of(&model, "active", &data, None).unwrap();
    let objective = Objective::channel("active", 0);
    let weighed = SpatialActivations::toward(&model, "stripe", &objective, &data, None).unwrap();
    assert_eq!(weighed.shape(), plain.shape());
    let share: f64 = weighed.positions().filter_map(|at| weighed.share(at)).sum();
    let mean: f64 = plain.positions().map(|at| f64::from(plain.vector(at)[0])).sum::<f64>()
        / plain.positions().count() as f64;
    assert!(mean > 0.0 && (share - mean).abs() < 1e-4 * mean, "{share} {mean}");
    // Attribution maps are only computed for photographs.
    assert!(AttributionTarget::new(&model, &objective, None).is_err());
}
