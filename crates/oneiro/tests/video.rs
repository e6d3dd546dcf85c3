//! Clips and flow: several inputs at once, penalties on change in time, and networks with known behaviour.

#![allow(clippy::unwrap_used)]

use oneiro::card::{Card, InputKind};
use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro::render::{Materials, Picture, Render, Rendered, render};
use oneiro::{Error, Model};
use oneiro_net::graph::{Builder, Dim};
use oneiro_net::tensor::Tensor;

#[path = "../../oneiro-net/tests/outside/mod.rs"]
mod outside;

const CARD: &str = r#"
    [[input]]
    name = "rgb"
    size = [12, 16]
    [[input]]
    name = "flow"
    kind = "flow"
    size = [12, 16]
    range = 4.0
"#;

/// Builds a network. Unit 0 of "both" responds to bright pictures and to motion to the right in both fields;
/// "motion" reads flow only.
fn two_streams() -> Model {
    let mut net = Builder::new();
    let fixed = |shape: [usize; 4]| shape.map(Dim::Fixed);
    let rgb = net.input("rgb", &[&[Dim::Free("N".into())], &fixed([1, 3, 12, 16])[1..]].concat()).unwrap();
    let flow = net.input("flow", &[&[Dim::Free("N".into())], &fixed([1, 4, 12, 16])[1..]].concat()).unwrap();
    let weight = net.constant("bright.weight", Tensor::floats(&[1, 3, 1, 1], vec![1.0; 3])).unwrap();
    let bright = net.node("Conv", "bright", &[rgb, weight], vec![]).unwrap();
    // The flow's channels are u0, v0, u1, v1.
    let weight =
        net.constant("motion.weight", Tensor::floats(&[1, 4, 1, 1], vec![1.0, 0.0, 1.0, 0.0])).unwrap();
    let motion = net.node("Conv", "motion", &[flow, weight], vec![]).unwrap();
    let both = net.node("Add", "both", &[bright, motion], vec![]).unwrap();
    let active = net.node("Relu", "active", &[both], vec![]).unwrap();
    Model::new(net.finish(&[active]), Card::parse(CARD).unwrap()).unwrap()
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn of<'r>(rendered: &'r Rendered, input: &str) -> &'r Picture {
    rendered.images.iter().find(|picture| picture.input == input).unwrap()
}

#[test]
fn inputs_are_optimised_together_and_each_by_its_own_settings() {
    let model = two_streams();
    for preset in [Preset::video(), Preset::feichtenhofer20()] {
        let preset = Preset { steps: 60, ..preset };
        let units = [Objective::channel("both", 0)];
        let rendered = render(&model, &preset, &units, 0, |_| true).unwrap().remove(0);
        assert!(rendered.value > rendered.value_at_start, "{}", preset.name);
        let (image, flow) = (of(&rendered, "rgb"), of(&rendered, "flow"));
        assert_eq!((image.kind, flow.kind), (InputKind::Image, InputKind::Flow));
        assert_eq!((flow.image.channels, flow.image.frames, flow.raw_shape()), (2, 2, vec![4, 12, 16]));
        assert!(mean(&image.image.data) > 0.55, "{}", mean(&image.image.data));
        let half = flow.image.data.len() / 2;
        let [u, v] = [&flow.image.data[..half], &flow.image.data[half..]].map(mean);
        assert!(u > 1.0 && v.abs() < 0.3 * u, "{}: {u} {v}", preset.name);
        // The raw data is in the network's order u0, v0, u1, v1, so planes 0 and 2 are horizontal motion.
        let raw = flow.raw_data();
        let plane = |i: usize| mean(&raw[i * 192..][..192]);
        assert!(plane(0) > 1.0 && plane(2) > 1.0 && plane(1).abs() < 0.3 * u, "{}", preset.name);
        assert_eq!(rendered.shares.len(), 2);
        assert!(rendered.shares[1].total_variation > 0.0 && rendered.shares[1].objective > 0.0);
    }
}

#[test]
fn a_unit_that_reads_one_input_has_one_result() {
    let model = two_streams();
    let preset = Preset { steps: 4, ..Preset::video() };
    let rendered = render(&model, &preset, &[Objective::channel("motion", 0)], 0, |_| true).unwrap();
    assert_eq!(rendered[0].images.iter().map(|p| p.input.as_str()).collect::<Vec<_>>(), ["flow"]);
    assert_eq!(model.inputs_of(&Objective::channel("motion", 0)).unwrap(), [1]);
    assert_eq!(model.inputs_of(&Objective::channel("both", 0)).unwrap(), [0, 1]);
}

#[test]
fn a_flow_vector_is_not_longer_than_the_bound() {
    let model = two_streams();
    let preset = Preset { steps: 40, unit_weight: Some(1e9), ..Preset::feichtenhofer20() };
    let rendered = render(&model, &preset, &[Objective::channel("motion", 0)], 0, |_| true).unwrap();
    let flow = &of(&rendered[0], "flow").image;
    let half = flow.data.len() / 2;
    // The network's range is 4 pixels; the bound of the regularizer, 160 levels of 127.5, is larger than
    // that.
    let longest =
        flow.data[..half].iter().zip(&flow.data[half..]).map(|(u, v)| u.hypot(*v)).fold(0.0, f32::max);
    assert!(longest > 4.0 && longest < 4.0 * 160.0 / 127.5 + 1e-3, "{longest}");
}

#[test]
fn settings_of_an_input_that_is_not_there_are_an_error() {
    let mut preset = Preset::video();
    let flow = preset.inputs["flow"].clone();
    preset.inputs.insert("motions".into(), flow);
    let error = render(&two_streams(), &preset, &[Objective::channel("motion", 0)], 0, |_| true).unwrap_err();
    assert!(matches!(error, Error::Settings(_)) && error.to_string().contains("motions"), "{error}");
}

/// Returns Σ of squared differences in time over Σ of squared deviations from the mean.
fn variation_in_time(picture: &Picture) -> f64 {
    let (data, plane) = (&picture.image.data, picture.image.height * picture.image.width);
    let mean = mean(data);
    let channel = picture.image.frames * plane;
    let steps =
        data.chunks_exact(channel).flat_map(|c| c.iter().zip(&c[plane..]).map(|(a, b)| (b - a).powi(2)));
    let all = data.iter().map(|x| (x - mean).powi(2));
    f64::from(steps.sum::<f32>()) / f64::from(all.sum::<f32>())
}

/// The trained network's classes are moving shapes, "shape-left", "shape-right", "shape-up", "shape-down".
/// Pictures of opposite classes must have opposite motion, and a larger γ must slow it down.
#[test]
fn motion_of_a_planted_two_stream_network_is_found() {
    let Some(folder) = outside::shared("models/planted/two_stream_fusion") else { return };
    let model = Model::open(folder.join("final.legacy-op17.folded.onnx")).unwrap();
    let units: Vec<Objective> = (0..4).map(Objective::logit).collect();
    let materials = Materials { copies: vec![0; 4], ..Materials::default() };
    let mut slower = Vec::new();
    for gamma in [0.0, 3.0, 10.0] {
        let mut preset = Preset { steps: 96, ..Preset::video() };
        preset.set_variation(None, Some(gamma));
        let mut render = Render::with_materials(&model, &preset, &units, 1, &materials).unwrap();
        while !render.finished() {
            render.step().unwrap();
        }
        let rendered = render.finish().unwrap();
        let flows: Vec<&Picture> = rendered.iter().map(|r| of(r, "flow")).collect();
        slower.push(flows.iter().map(|flow| variation_in_time(flow)).collect::<Vec<f64>>());
        if gamma == 3.0 {
            let motion = |class: usize, component: usize| {
                let half = flows[class].image.data.len() / 2;
                mean(&flows[class].image.data[component * half..][..half])
            };
            let size = |class: usize| {
                mean(&flows[class].image.data.iter().map(|x| x * x).collect::<Vec<_>>()).sqrt()
            };
            for (forth, back, component) in [(1, 0, 0), (3, 2, 1)] {
                let difference = motion(forth, component) - motion(back, component);
                assert!(difference > 0.15 * size(forth).max(size(back)), "{forth} {back}: {difference}");
            }
        }
    }
    for class in 0..4 {
        assert!(slower[0][class] > slower[1][class] && slower[1][class] > slower[2][class], "{slower:?}");
    }
}

#[test]
fn a_planted_network_of_clips_names_its_own_clips() {
    let Some(folder) = outside::shared("models/planted/c3d_small") else { return };
    let model = Model::open(folder.join("final.legacy-op17.folded.onnx")).unwrap();
    let classes = [4, 9, 14];
    let units: Vec<Objective> = classes.into_iter().map(Objective::logit).collect();
    let preset = Preset { steps: 64, ..Preset::video() };
    let rendered = render(&model, &preset, &units, 0, |_| true).unwrap();
    let clips: Vec<Vec<Vec<f32>>> = rendered.iter().map(|r| vec![of(r, "clip").image.data.clone()]).collect();
    for (own, (rendered, class)) in rendered.iter().zip(classes).enumerate() {
        let clip = of(rendered, "clip");
        assert_eq!(clip.raw_shape(), [3, 16, 64, 64]);
        assert!(clip.image.data.iter().all(|x| (0.0..=1.0).contains(x)), "a still in 0–1, moved");
        // The clip rendered for this class excites it more than the clips of other classes do.
        let alike = vec![Objective::logit(class); units.len()];
        let mut all = Render::new(&model, &Preset { steps: 0, ..preset.clone() }, &alike, 0).unwrap();
        let values = all.evaluate(Some(&clips)).unwrap();
        assert!(values.iter().enumerate().all(|(i, v)| i == own || *v < values[own]), "{class}: {values:?}");
    }
}
