//! Tests of the render loop on the embedded network.

#![allow(clippy::unwrap_used)]

use oneiro::Model;
use oneiro::card::Card;
use oneiro::gradients::{Gradients, MaxPoolGradient, ReluGradient};
use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro::optimizer::{OptimizerKind, OptimizerSpec};
use oneiro::preset::{CONVERGENCE_WINDOW, Jitter, Preset, Settle};
use oneiro::render::{Render, Rendered, Stop, render};
use oneiro::transform::Chain;
use oneiro_net::Rules;
use oneiro_zoo::embedded;

fn model() -> Model {
    let graph = oneiro_net::format::onnx::read(embedded::model().into()).unwrap();
    Model::new(graph, Card::parse(embedded::card()).unwrap()).unwrap()
}

fn small(steps: usize) -> Preset {
    Preset { size: Some([48; 2]), steps, ..Preset::lucid() }
}

fn run(preset: &Preset, objectives: &[Objective]) -> Vec<Rendered> {
    render(&model(), preset, objectives, 3, |_| true).unwrap()
}

#[test]
fn every_recipe_raises_every_objective() {
    let objectives = [
        Objective::channel("fire4.expand3x3", 5),
        Objective::neuron("fire4.expand3x3", 9, oneiro::objective::Position::Center),
        Objective::layer("fire4.expand3x3"),
        Objective::channel("fire4.expand3x3", 5) - 0.5 * Objective::channel("fire4.expand3x3", 9),
    ];
    let mut failures = Vec::new();
    for param in ["fourier", "pixel"] {
        // The default learning rate of accumulated squares is for pixels in 0–255, so this test sets a
        // smaller one.
        let kinds = OptimizerKind::ALL.into_iter().filter(|kind| *kind != OptimizerKind::AccumulatedSquares);
        let rates = kinds.map(|kind| (kind, None)).chain([(OptimizerKind::AccumulatedSquares, Some(0.01))]);
        for (kind, rate) in rates {
            let mut preset = small(12);
            preset.set_param(param).unwrap();
            preset.set_optimizer(kind, rate);
            for r in run(&preset, &objectives) {
                if r.value.partial_cmp(&r.value_at_start) != Some(std::cmp::Ordering::Greater) {
                    failures.push(format!(
                        "{param} {kind:?} {}: {} -> {}",
                        r.objective, r.value_at_start, r.value
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_picture_is_the_same_alone_in_a_batch_and_with_any_number_of_threads() {
    let unit = |c: usize| Objective::channel("fire5.expand1x1", c);
    let alone = run(&small(6), &[unit(7)]);
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let batch = pool.install(|| run(&small(6), &[unit(3), unit(7), unit(11)]));
        assert_eq!(alone[0].images, batch[1].images, "{threads} threads");
        assert_eq!(alone[0].value.to_bits(), batch[1].value.to_bits(), "{threads} threads");
        assert_ne!(batch[0].images, batch[1].images);
    }
}

#[test]
fn a_line_search_renders_the_same_in_any_company_and_never_ends_on_a_trial() {
    let unit = |c: usize| Objective::channel("fire5.expand1x1", c);
    for transform in [Chain::none(), Chain::lucid()] {
        let mut values = Vec::new();
        for steps in [2, 3, 5, 8, 13, 21] {
            let mut preset = Preset { transform: transform.clone(), ..small(steps) };
            preset.set_optimizer(OptimizerKind::Lbfgs, None);
            let alone = run(&preset, &[unit(7)]);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            let batch = pool.install(|| run(&preset, &[unit(3), unit(7), unit(11)]));
            assert_eq!(alone[0].images, batch[1].images, "{transform}");
            values.push(alone[0].value);
        }
        // Without transforms, a line search accepts only steps that raise the objective.
        assert!(!transform.transforms.is_empty() || values.is_sorted(), "{values:?}");
        assert!(values[5] > values[0], "{values:?}");
    }
}

#[test]
fn pictures_on_the_way_are_what_a_line_search_accepted_not_its_trials() {
    let mut preset = Preset { transform: Chain::none(), ..small(20) };
    preset.set_optimizer(OptimizerKind::Lbfgs, None);
    let unit = Objective::channel("fire5.expand1x1", 7);
    let mut render = Render::new(&model(), &preset, &[unit], 3).unwrap();
    let mut values = Vec::new();
    while !render.finished() {
        render.step().unwrap();
        let pictures = render.pictures().into_iter().map(|p| p.into_iter().map(|p| p.image.data).collect());
        let pictures: Vec<Vec<Vec<f32>>> = pictures.collect();
        values.push(render.evaluate(Some(&pictures)).unwrap()[0]);
    }
    assert!(values.is_sorted(), "{values:?}");
    assert!(values.last() > values.first(), "{values:?}");
}

#[test]
fn pictures_that_share_parameters_are_not_torn_apart_by_their_optimizer() {
    let units = [3, 7].map(|c| Objective::channel("fire5.expand1x1", c));
    let model = model();
    for (kind, fits) in [
        (OptimizerKind::Lbfgs, false),
        (OptimizerKind::Normalized, false),
        (OptimizerKind::Sgd, true),
        (OptimizerKind::AccumulatedSquares, true),
    ] {
        let mut preset = small(2);
        preset.set_param("shared").unwrap();
        preset.set_optimizer(kind, None);
        match Render::new(&model, &preset, &units, 0) {
            Ok(_) => assert!(fits, "{kind}"),
            Err(e) => assert!(!fits && e.to_string().contains("share"), "{kind}: {e}"),
        }
        assert!(Render::new(&model, &preset, &units[..1], 0).is_ok(), "{kind}");
    }
}

#[test]
fn the_rate_of_every_step_is_that_of_the_schedule() {
    let preset = |schedule: &str, learning_rate: f32, steps: usize| {
        let schedule = schedule.parse().unwrap();
        Preset { optimizer: OptimizerSpec { schedule, ..OptimizerSpec::adam(learning_rate) }, ..small(steps) }
    };
    let of = |preset: &Preset| run(preset, &[Objective::channel("fire5.expand1x1", 7)]).remove(0).images;
    // A factor from the start on equals a smaller learning rate; a factor from the middle on equals neither.
    assert_eq!(of(&preset("steps(0.5@0)", 0.05, 6)), of(&preset("constant", 0.025, 6)));
    let turned = of(&preset("steps(0.5@0.5)", 0.05, 6));
    assert!(turned != of(&preset("constant", 0.05, 6)) && turned != of(&preset("constant", 0.025, 6)));
    // The last step of a linear schedule to 0 changes nothing.
    let mut render =
        Render::new(&model(), &preset("linear(0)", 0.05, 4), &[Objective::channel("conv1", 4)], 3).unwrap();
    let mut seen = Vec::new();
    while !render.finished() {
        render.step().unwrap();
        seen.push(render.pictures());
    }
    assert!(seen[1] != seen[2] && seen[2] == seen[3]);
}

#[test]
fn redirected_gradients_rescue_a_unit_that_starts_dead() {
    // A ReLU unit that is zero for the start image has no gradient.
    let model = model();
    let preset = |rule| Preset { gradients: Gradients::relu(rule), transform: Chain::none(), ..small(16) };
    let silent =
        (0..256).map(|c| Objective::neuron("fire7", c, oneiro::objective::Position::Center)).find(|o| {
            let exact =
                render(&model, &preset(ReluGradient::Exact), std::slice::from_ref(o), 3, |_| true).unwrap();
            exact[0].value_at_start == 0.0 && exact[0].value == 0.0
        });
    let silent = silent.expect("a unit of fire7 that is silent on noise");
    let redirected =
        render(&model, &preset(ReluGradient::Redirected), std::slice::from_ref(&silent), 3, |_| true)
            .unwrap();
    assert!(redirected[0].value > 0.0, "{silent} stayed dead");
    // A line search finds a plateau there, and must nevertheless go on.
    let mut searched = preset(ReluGradient::Redirected);
    searched.set_optimizer(OptimizerKind::Lbfgs, None);
    let searched = render(&model, &searched, std::slice::from_ref(&silent), 3, |_| true).unwrap();
    assert!(searched[0].value > 0.0, "{silent} stayed dead in a line search");
}

#[test]
fn every_gradient_rule_makes_a_picture_of_its_own_and_raises_its_objective() {
    let mut seen = Vec::new();
    for text in ["exact", "redirected", "leaky", "leaky(0.3)", "guided", "deconv"] {
        for max_pool in [MaxPoolGradient::Exact, MaxPoolGradient::Smoothed] {
            let relu: ReluGradient = text.parse().unwrap();
            let preset = Preset { gradients: Gradients { max_pool, ..Gradients::relu(relu) }, ..small(12) };
            let read: Preset = toml::from_str(&toml::to_string(&preset).unwrap()).unwrap();
            assert_eq!(read, preset);
            let r = run(&preset, &[Objective::channel("fire5.expand1x1", 7)]).remove(0);
            assert!(r.value > r.value_at_start, "{text}, {max_pool:?}: {} to {}", r.value_at_start, r.value);
            // The redirected rule differs from the exact one only if no gradient passes, which does not
            // happen here.
            let as_exact = text == "redirected" && seen.contains(&r.images);
            assert!(as_exact || !seen.contains(&r.images), "{text}, {max_pool:?}: as another rule");
            seen.push(r.images);
        }
    }
}

#[test]
fn a_rule_for_the_first_steps_gives_way_to_the_derivative() {
    let of = |relu: ReluGradient, relu_steps: Option<usize>| {
        let gradients = Gradients { relu_steps, ..Gradients::relu(relu) };
        run(&Preset { gradients, ..small(8) }, &[Objective::channel("fire5.expand1x1", 7)]).remove(0).images
    };
    assert_eq!(of(ReluGradient::Guided, Some(0)), of(ReluGradient::Exact, None));
    assert_eq!(of(ReluGradient::Guided, Some(8)), of(ReluGradient::Guided, None));
    let some = of(ReluGradient::Guided, Some(4));
    assert!(some != of(ReluGradient::Exact, None) && some != of(ReluGradient::Guided, None));
}

#[test]
fn a_rendering_that_no_longer_rises_stops_and_says_so() {
    for (kind, rate, tolerance) in [(OptimizerKind::Adam, 0.2, 0.9), (OptimizerKind::Lbfgs, 1.0, 0.1)] {
        let preset = Preset {
            tolerance: Some(tolerance),
            transform: Chain::none(),
            optimizer: OptimizerSpec::new(kind, rate),
            ..small(400)
        };
        let r = &run(&preset, &[Objective::channel("conv1", 4)])[0];
        assert_eq!(r.stop, Stop::Converged, "{kind}");
        assert!(r.steps < 400 && r.steps.is_multiple_of(CONVERGENCE_WINDOW), "{kind}: {} steps", r.steps);
        assert!(r.value > 20.0, "{kind}: {}", r.value);
    }
}

#[test]
fn the_caller_may_stop_and_gets_what_there_is() {
    let r = render(&model(), &small(50), &[Objective::logit(2)], 0, |p| p.step < 3).unwrap();
    assert_eq!((r[0].steps, r[0].stop), (3, Stop::Asked));
}

#[test]
fn requests_that_do_not_fit_are_errors_that_name_the_thing() {
    let model = model();
    let cases = [
        (small(1), Objective::channel("fire99", 1), "fire99"),
        (small(1), Objective::channel("conv1", 64), "0 to 63"),
        (small(1), Objective::logit(1000), "0 to 999"),
        (
            Preset {
                optimizer: OptimizerSpec { momentum: Some(0.9), ..OptimizerSpec::adam(0.05) },
                ..small(1)
            },
            Objective::logit(0),
            "adam has no momentum",
        ),
        (Preset { size: Some([4, 4]), ..small(1) }, Objective::logit(0), "too small"),
        (small(1), "2 + 3".parse().unwrap(), "asks for nothing"),
        (small(1), Objective::neuron("conv1", 0, oneiro::objective::Position::At(vec![99, 0])), "[99, 0]"),
    ];
    let mut failures = Vec::new();
    for (preset, objective, word) in cases {
        match Render::new(&model, &preset, &[objective], 0) {
            Ok(_) => failures.push(format!("{word}: accepted")),
            Err(e) if !e.to_string().contains(word) => failures.push(format!("{word}: {e}")),
            Err(_) => {}
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_gradient_of_ones_own_runs_back_from_a_captured_layer() {
    let model = model();
    let layer = model.resolve("fire4.expand3x3").unwrap();
    let shapes = || model.input_shapes(1, Some([32; 2])).unwrap();
    let image: Vec<f32> = (0..3 * 32 * 32).map(|i| 60.0 * (i as f32 * 0.37).sin()).collect();
    // The mean of a channel, computed by hand, must equal the built-in objective.
    let objective = Objective::channel("fire4.expand3x3", 9);
    let mut known = ObjectiveSession::new(&model, &[objective], &[], shapes(), true).unwrap();
    known.input_mut(0).copy_from_slice(&image);
    known.forward();
    known.seed(0, 1.0);
    known.backward(&Rules::default());
    let mut session = ObjectiveSession::new(&model, &[], &[layer], shapes(), true).unwrap();
    // The session runs twice, because an earlier seed must not remain.
    for _ in 0..2 {
        session.input_mut(0).copy_from_slice(&image);
        session.forward();
        let positions = session.captured(0).0[2..].iter().product::<usize>();
        let (_, gradient) = session.seed_captured(0).unwrap();
        let of_channel = &mut gradient[9 * positions..10 * positions];
        of_channel.iter_mut().for_each(|g| *g += 1.0 / positions as f32);
        session.backward(&Rules::default());
        let pairs = || known.input_gradient(0).iter().zip(session.input_gradient(0));
        let error: f32 = pairs().map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        let size = known.input_gradient(0).iter().map(|a| a * a).sum::<f32>().sqrt();
        assert!(size > 0.0 && error < 1e-5 * size, "{error} of {size}");
    }
    // The mean square of all activations, compared with central differences along its own gradient.
    let value = |session: &mut ObjectiveSession, image: &[f32]| -> f64 {
        session.input_mut(0).copy_from_slice(image);
        session.forward();
        session.captured(0).1.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>()
    };
    value(&mut session, &image);
    let (activations, gradient) = session.seed_captured(0).unwrap();
    gradient.iter_mut().zip(activations).for_each(|(g, a)| *g += 2.0 * a);
    session.backward(&Rules::default());
    let gradient = session.input_gradient(0).to_vec();
    let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    const REACH: f64 = 0.05;
    let [up, down] = [REACH, -REACH].map(|t| {
        let moved: Vec<f32> = image.iter().zip(&gradient).map(|(x, g)| x + (t / length) as f32 * g).collect();
        value(&mut session, &moved)
    });
    let slope = (up - down) / (2.0 * REACH);
    assert!((slope - length).abs() < 1e-2 * length, "{slope} {length}");
    let error = session.seed_captured(1).unwrap_err().to_string();
    assert!(error.contains("no captured value 1"), "{error}");
    let mut forward_only = ObjectiveSession::new(&model, &[], &[layer], shapes(), false).unwrap();
    let error = forward_only.seed_captured(0).unwrap_err().to_string();
    assert!(error.contains("without gradients"), "{error}");
}

#[test]
fn a_unit_has_one_picture_under_all_its_names() {
    let preset = small(2);
    let of = |objective: Objective| run(&preset, &[objective])[0].images[0].image.data.clone();
    let names = model().names().of(model().resolve("fire4.expand3x3").unwrap());
    assert!(names.len() > 1, "{names:?}");
    let pictures: Vec<_> = names.iter().map(|name| of(Objective::channel(name, 5))).collect();
    assert!(pictures.iter().all(|p| *p == pictures[0]), "{names:?}");
    // Two names of one layer in a batch give two different pictures, as the same name twice does.
    let twice = run(&preset, &[Objective::channel(&names[0], 5), Objective::channel(&names[1], 5)]);
    assert_eq!(twice[0].images[0].image.data, pictures[0]);
    assert_ne!(twice[1].images[0].image.data, pictures[0]);
}

#[test]
fn the_folder_of_a_file_is_no_part_of_a_picture() {
    use oneiro::objective::{Direction, Term, TermKind, Toward};
    let preset = small(2);
    let of = |name: &str| {
        let vector: Vec<f32> = (0..128).map(|i| (i % 3) as f32).collect();
        let toward = Toward::Vector(name.to_owned(), vector.into());
        let direction = Direction { toward, minus: None, power: 0.0, at: None };
        run(&preset, &[Term::new("fire4.expand3x3", TermKind::Direction(direction)).into()])[0].images[0]
            .image
            .data
            .clone()
    };
    assert_eq!(of("v.npy"), of("folder/v.npy"));
    assert_ne!(of("v.npy"), of("w.npy"));
}

/// Returns a preset whose picture is larger than the crops that the network sees.
fn boxes(picture: usize, size: [usize; 2]) -> Preset {
    let transform = Chain::parse("crop(0.4..0.6)").unwrap();
    Preset { picture: Some([picture; 2]), size: Some(size), transform, ..small(2) }
}

#[test]
fn values_are_of_the_pictures_that_are_stored() {
    let objectives = ["channel(fire4.expand3x3,5)", "channel(fire4.expand3x3,5) - 2*tv + l1"];
    let objectives = objectives.map(|text| text.parse::<Objective>().unwrap());
    let jitter = Jitter::Pixels(8);
    let cases = [
        ("plain", small(2)),
        ("jitter", Preset { jitter, ..small(2) }),
        ("unclipped", Preset { jitter, size: Some([48; 2]), ..Preset::mahendran16() }),
        ("picture", boxes(64, [48; 2])),
        ("picture and jitter", Preset { jitter, ..boxes(64, [48; 2]) }),
        ("transparent", Preset { alpha: true, jitter, ..small(2) }),
    ];
    for (name, preset) in cases {
        let preset = Preset { steps: 2, settle: None, ..preset };
        let mut render = Render::new(&model(), &preset, &objectives, 3).unwrap();
        (0..2).for_each(|_| drop(render.step().unwrap().to_vec()));
        let rendered = render.finish().unwrap();
        let stored = |r: &Rendered| vec![r.images[0].image.data.clone()];
        let pictures: Vec<Vec<Vec<f32>>> = rendered.iter().map(stored).collect();
        let again = render.evaluate(Some(&pictures)).unwrap();
        for (r, again) in rendered.iter().zip(again) {
            assert_eq!(r.value, again, "{name}: {}", r.objective);
        }
        // For a uniform picture the penalty is known exactly.
        let even = vec![vec![vec![0.25; pictures[0][0].len()]]; 2];
        let [alone, with] = render.evaluate(Some(&even)).unwrap()[..] else { panic!("{name}") };
        assert!((with - alone - 0.25).abs() < 1e-6, "{name}: {alone} {with}");
        let error = render.evaluate(Some(&[vec![vec![0.5; 7]], even[1].clone()])).unwrap_err();
        assert!(error.to_string().contains("7 values"), "{name}: {error}");
    }
}

#[test]
fn a_network_that_is_no_square_is_shown_the_middle_of_a_picture() {
    let unit = Objective::layer("fire2");
    let mut render = Render::new(&model(), &boxes(96, [32, 64]), &[unit], 3).unwrap();
    let picture = render.pictures().remove(0).remove(0).image.data;
    let mut value = |rows: std::ops::Range<usize>| {
        let mut changed = picture.clone();
        let rows = |i: &usize| rows.contains(&(i / 96 % 96));
        (0..changed.len()).filter(rows).for_each(|i| changed[i] = 1.0 - changed[i]);
        render.evaluate(Some(&[vec![changed]])).unwrap()[0]
    };
    // Only rows 24 to 71 are visible to the network.
    let as_it_is = value(0..0);
    assert_eq!([value(0..20), value(76..96)], [as_it_is; 2]);
    assert!([value(26..30), value(66..70)].iter().all(|value| *value != as_it_is));
}

#[test]
fn a_picture_that_converged_still_settles() {
    let preset = Preset {
        tolerance: Some(0.9),
        settle: Some(Settle { steps: 5, rate: 0.1 }),
        optimizer: OptimizerSpec::adam(0.2),
        ..small(500)
    };
    let r = &run(&preset, &[Objective::channel("fire4.expand3x3", 5)])[0];
    assert_eq!(r.stop, Stop::Converged);
    let first = r.steps - 5;
    assert!(first < 500 && first.is_multiple_of(CONVERGENCE_WINDOW), "{}", r.steps);
}

#[test]
fn a_line_search_is_of_one_picture() {
    let mut preset = small(2);
    preset.set_optimizer(OptimizerKind::Lbfgs, None);
    let objective = "channel(fire2,1) - diversity(fire2)".parse::<Objective>().unwrap();
    let error = Render::new(&model(), &preset, &[objective.clone(), objective], 0).err().unwrap().to_string();
    assert!(
        error.contains("diversity(fire2)") && error.contains("lbfgs") && error.contains("adam"),
        "{error}"
    );
}
