//! Values and gradients of expressions that compare with pictures or penalise the input.

use crate::bad_input::refuse_all;
use crate::files::{npy, picture, read_safetensors, wave};
use crate::onnx::Network;
use crate::place::Place;

/// Side of the embedded network's pictures.
const SIDE: usize = 48;

/// The value and the gradient of an expression at a tensor.
fn value_and_gradient(
    place: &Place,
    model: &[&str],
    shape: &[usize],
    x: &[f32],
    expression: &str,
) -> (f64, Vec<f32>) {
    place.write("x.npy", npy(shape, x));
    let args = ["--input", "x=x.npy", "--grad", expression, "--out", "g.safetensors", "-q"];
    place.succeed(&[&["run"], model, &args[..]].concat());
    let (mut tensors, _) = read_safetensors(&place.read("g.safetensors"));
    let (gradient_shape, gradient) = tensors.remove("grad/x").unwrap();
    assert_eq!(gradient_shape, shape);
    (f64::from(tensors["value"].1[0]), gradient)
}

/// Asserts that the derivative along a direction is the gradient's, but for the rounding of values to
/// float32. Without a direction it is that of the gradient, in which the value changes the most and kinks of
/// ReLUs matter the least.
#[track_caller]
fn agrees(
    place: &Place,
    model: &[&str],
    (shape, x): (&[usize], &[f32]),
    expression: &str,
    (along, step, tolerance): (Option<&[f32]>, f32, f64),
) {
    let (value, gradient) = value_and_gradient(place, model, shape, x, expression);
    let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    let steepest: Vec<f32> = gradient.iter().map(|g| g / norm).collect();
    let along = along.unwrap_or(&steepest);
    let moved = |by: f32| {
        let x: Vec<f32> = x.iter().zip(along).map(|(x, d)| x + by * d).collect();
        value_and_gradient(place, model, shape, &x, expression).0
    };
    let difference = (moved(step) - moved(-step)) / f64::from(2.0 * step);
    let exact: f64 = gradient.iter().zip(along).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
    let rounding = f64::from(f32::EPSILON / step) * value.abs();
    assert!(norm > 0.0, "{expression}: nothing changes");
    let off = (difference - exact).abs();
    assert!(off < tolerance * exact.abs() + rounding, "{expression}: {difference} is not {exact}");
}

#[test]
fn gradients_with_penalties_and_pictures_are_central_differences_of_the_value() {
    let place = Place::new();
    place.write("photo.png", picture(60, 50));
    let shape = [1, 3, SIDE, SIDE];
    let n = 3 * SIDE * SIDE;
    // The network reads 0-1 as it is, so that penalties weigh as much as channels.
    let model = ["squeezenet1_1", "--preprocess", "unit"];
    let x: Vec<f32> = wave(n).iter().map(|v| 0.5 + 0.4 * v).collect();
    for expression in [
        "channel(fire2,3) - 0.5*tv",
        "channel(fire2,3) - 0.5*l2",
        "inversion(fire2,photo.png)",
        "inversion(fire2,photo.png) - 0.1*tv - 0.2*l2",
        "caricature(fire2,photo.png,2) - 0.1*l1",
    ] {
        agrees(&place, &model, (&shape, &x), expression, (None, 0.004, 0.03));
    }
    // Single values where the penalty is nearly all: its neighbours' terms count, also at the border.
    for at in [0, 3 * SIDE + 5, SIDE * SIDE + 20 * SIDE + 20, n - 1] {
        let mut along = vec![0.0; n];
        along[at] = 1.0;
        agrees(&place, &model, (&shape, &x), "channel(fire2,3) - 500*tv", (Some(&along), 0.02, 0.01));
    }
}

#[test]
fn single_coordinates_agree_where_the_network_is_smooth() {
    let place = Place::new();
    place.write("net.onnx", Network { middle: "Sigmoid", ..Network::default() }.bytes());
    place.write("photo.png", picture(30, 30));
    let shape = [1, 3, 20, 20];
    let x: Vec<f32> = wave(3 * 400).iter().map(|v| 0.5 + 0.4 * v).collect();
    let x = (&shape[..], &x[..]);
    for expression in [
        "channel(left.conv,1) - 0.5*tv",
        "inversion(left.conv,photo.png) - 0.3*tv",
        "direction(left.conv,photo.png) - 2*l2",
    ] {
        for at in [0, 5 * 20 + 7, 400 + 10 * 20 + 10, 3 * 400 - 1] {
            let mut along = vec![0.0; 3 * 400];
            along[at] = 1.0;
            agrees(&place, &["net.onnx"], x, expression, (Some(&along), 0.02, 0.03));
        }
    }
}

#[test]
fn the_inversion_of_a_picture_by_itself_is_perfect() {
    let place = Place::new();
    let bytes = picture(SIDE, SIDE);
    let image = oneiro_media::decode_image(&bytes, "photo.png").unwrap();
    place.write("photo.png", bytes);
    let model = ["squeezenet1_1", "--preprocess", "unit"];
    let (value, gradient) =
        value_and_gradient(&place, &model, &[1, 3, SIDE, SIDE], &image.data, "inversion(fire2,photo.png)");
    assert!(value.abs() < 1e-9 && gradient.iter().all(|g| g.abs() < 1e-5), "{value}");
    let (value, _) =
        value_and_gradient(&place, &model, &[1, 3, SIDE, SIDE], &image.data, "caricature(fire2,photo.png)");
    assert!((value - 1.0).abs() < 1e-5, "{value}");
    // Root mean square and summed squared differences of a known picture.
    let (with, _) = value_and_gradient(
        &place,
        &model,
        &[1, 3, SIDE, SIDE],
        &image.data,
        "inversion(fire2,photo.png) - l2",
    );
    let square: f64 = image.data.iter().map(|v| f64::from(*v).powi(2)).sum();
    assert!((with + (square / image.data.len() as f64).sqrt()).abs() < 1e-4, "{with}");
}

#[test]
fn expressions_that_cannot_be_computed_are_one_message_that_names_them() {
    let place = Place::new();
    place.write("x.npy", npy(&[1, 3, SIDE, SIDE], &wave(3 * SIDE * SIDE)));
    place.write("short.npy", npy(&[7], &wave(7)));
    std::fs::create_dir(place.path("folder")).unwrap();
    let cases: &[(&str, &str, &[&str])] = &[
        ("no picture", "inversion(fire2,none.png)", &["none.png"]),
        ("a folder", "inversion(fire2,folder)", &["folder"]),
        ("no layer", "inversion(fire22,x.npy)", &["x.npy"]),
        ("unknown layer", "channel(fire22,3) - tv", &["fire22", "fire2"]),
        ("wrong length", "direction(fire2,short.npy)", &["short.npy", "7", "128"]),
        ("penalties alone", "tv", &["tv"]),
        ("unknown term", "channel(fire2,3) - tw", &["tw"]),
        ("cut off", "channel(fire2,3) -", &["channel(fire2,3) -"]),
    ];
    let commands: Vec<String> = cases
        .iter()
        .map(|(_, e, _)| format!("run squeezenet1_1 --input x=x.npy --out g.safetensors --grad '{e}'"))
        .collect();
    let cases: Vec<_> = cases
        .iter()
        .zip(&commands)
        .map(|((name, _, says), command)| (*name, command.as_str(), *says))
        .collect();
    refuse_all(&place, &cases);
}
