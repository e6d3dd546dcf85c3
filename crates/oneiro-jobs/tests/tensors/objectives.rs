//! Values and gradients of expressions that compare with pictures or penalise the input.

use oneiro_jobs::job::tensors::{ActivationsJob, TensorInput};
use oneiro_jobs::model::load_for_tensors;
use oneiro_jobs::{Context, Job as _, Kept, LoadedModel, ModelSpec, Run};
use tempfile::TempDir;

use crate::context;
use crate::files::{npy, picture, read_safetensors, wave};
use crate::onnx::Network;

/// Side in pixels of the embedded network's pictures in these tests.
const SIDE: usize = 48;

/// A network, and a folder for the files that expressions refer to.
struct Setting {
    context: Context,
    model: LoadedModel,
    folder: TempDir,
}

impl Setting {
    /// Loads the embedded network with this preprocessing.
    fn embedded(preprocess: Option<&str>) -> Self {
        let preprocess = preprocess.map(str::to_owned);
        let spec = ModelSpec { preprocess, ..ModelSpec::named("squeezenet1_1") };
        Self::new(tempfile::tempdir().unwrap(), &spec)
    }

    fn of_file(model: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        std::fs::write(&path, model).unwrap();
        Self::new(folder, &ModelSpec::named(path.display().to_string()))
    }

    fn new(folder: TempDir, spec: &ModelSpec) -> Self {
        let context = context();
        let model = load_for_tensors(&context, spec, &["x"]).unwrap();
        Self { context, model, folder }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// Returns the value and the gradient of an expression at a tensor. A picture in the expression is a file
    /// in the folder.
    fn value_and_gradient(&self, shape: &[usize], x: &[f32], expression: &str) -> (f64, Vec<f32>) {
        self.write("x.npy", npy(shape, x));
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let job = ActivationsJob {
            inputs: vec![TensorInput { name: "x".into(), file: path("x.npy") }],
            layers: vec![],
            objective: Some(expression.replace("photo.png", &path("photo.png"))),
            relu: Default::default(),
            max_pool: Default::default(),
        };
        let mut kept = Kept::all();
        job.run(&Run::new(&self.model, &self.context), &mut kept).unwrap();
        let (mut tensors, _) = read_safetensors(&kept.outputs[0].bytes);
        let (gradient_shape, gradient) = tensors.remove("grad/x").unwrap();
        assert_eq!(gradient_shape, shape);
        (f64::from(tensors["value"].1[0]), gradient)
    }
}

/// Asserts that the numerical derivative along a direction agrees with the gradient, except for float32
/// rounding. Without a direction, it is taken along the gradient, where the value changes most and kinks of
/// ReLUs matter least.
#[track_caller]
fn agrees(
    setting: &Setting,
    (shape, x): (&[usize], &[f32]),
    expression: &str,
    (along, step, tolerance): (Option<&[f32]>, f32, f64),
) {
    let (value, gradient) = setting.value_and_gradient(shape, x, expression);
    let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    let steepest: Vec<f32> = gradient.iter().map(|g| g / norm).collect();
    let along = along.unwrap_or(&steepest);
    let moved = |by: f32| {
        let x: Vec<f32> = x.iter().zip(along).map(|(x, d)| x + by * d).collect();
        setting.value_and_gradient(shape, &x, expression).0
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
    let setting = Setting::embedded(Some("unit"));
    setting.write("photo.png", picture(60, 50));
    let shape = [1, 3, SIDE, SIDE];
    let n = 3 * SIDE * SIDE;
    // The network is fed with 0-1 directly, so that penalties and channels have similar weight.
    let x: Vec<f32> = wave(n).iter().map(|v| 0.5 + 0.4 * v).collect();
    for expression in [
        "channel(fire2,3) - 0.5*tv",
        "channel(fire2,3) - 0.5*l2",
        "inversion(fire2,photo.png)",
        "inversion(fire2,photo.png) - 0.1*tv - 0.2*l2",
        "caricature(fire2,photo.png,2) - 0.1*l1",
    ] {
        agrees(&setting, (&shape, &x), expression, (None, 0.004, 0.03));
    }
    // Checks single values where the penalty dominates. Terms of neighbouring pixels must be included, also
    // at the border.
    for at in [0, 3 * SIDE + 5, SIDE * SIDE + 20 * SIDE + 20, n - 1] {
        let mut along = vec![0.0; n];
        along[at] = 1.0;
        agrees(&setting, (&shape, &x), "channel(fire2,3) - 500*tv", (Some(&along), 0.02, 0.01));
    }
}

#[test]
fn single_coordinates_agree_where_the_network_is_smooth() {
    let smooth = Network { middle: "Sigmoid", ..Network::default() };
    let setting = Setting::of_file(&smooth.bytes());
    setting.write("photo.png", picture(30, 30));
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
            agrees(&setting, x, expression, (Some(&along), 0.02, 0.03));
        }
    }
}

#[test]
fn the_inversion_of_a_picture_by_itself_is_perfect() {
    let setting = Setting::embedded(Some("unit"));
    let bytes = picture(SIDE, SIDE);
    let image = oneiro_media::decode_image(&bytes, "photo.png").unwrap();
    setting.write("photo.png", bytes);
    let (value, gradient) =
        setting.value_and_gradient(&[1, 3, SIDE, SIDE], &image.data, "inversion(fire2,photo.png)");
    assert!(value.abs() < 1e-9 && gradient.iter().all(|g| g.abs() < 1e-5), "{value}");
    let (value, _) =
        setting.value_and_gradient(&[1, 3, SIDE, SIDE], &image.data, "caricature(fire2,photo.png)");
    assert!((value - 1.0).abs() < 1e-5, "{value}");
    // The values of both penalties for a known picture: root mean square, and summed squared differences.
    let (with, _) =
        setting.value_and_gradient(&[1, 3, SIDE, SIDE], &image.data, "inversion(fire2,photo.png) - l2");
    let square: f64 = image.data.iter().map(|v| f64::from(*v).powi(2)).sum();
    assert!((with + (square / image.data.len() as f64).sqrt()).abs() < 1e-4, "{with}");
}

#[test]
fn gradients_of_penalties_and_pictures_agree_with_differences_in_the_units_of_the_network() {
    let setting = Setting::embedded(None);
    setting.write("photo.png", picture(60, 50));
    let x: Vec<f32> = (0..3 * SIDE * SIDE).map(|i| 40.0 * (i as f32 * 0.37).sin()).collect();
    for expression in ["channel(fire2,3) - 3*tv - 2*l2", "inversion(fire2,photo.png)"] {
        agrees(&setting, (&[1, 3, SIDE, SIDE], &x), expression, (None, 0.5, 0.03));
    }
}
