//! `oneiro run` and `oneiro check`: activations, gradients and reference values.

use crate::contracts::place;
use crate::files::{Tensors, npy, read_safetensors, safetensors, wave};
use crate::onnx::{CLASSES, LEFT};
use crate::place::{Place, Report, check, fixture};

#[test]
fn run_stores_activations_value_and_gradients() {
    let place = place();
    place.write("x.npy", npy(&[2, 3, 8, 9], &wave(2 * 3 * 72)));
    place.succeed(&[
        "run",
        "net.onnx",
        "--input",
        "x=x.npy",
        "--capture",
        "left.conv",
        "--capture",
        "output",
        "--capture",
        "left.conv",
        "--capture",
        "x",
        "--grad",
        "channel(left.conv,2)",
        "--out",
        "result.st",
    ]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    let shapes: Vec<(&str, &[usize])> = result.iter().map(|(k, (s, _))| (k.as_str(), s.as_slice())).collect();
    let expected: [(&str, &[usize]); 5] = [
        ("act/left.conv", &[2, LEFT, 8, 9]),
        ("act/output", &[2, CLASSES]),
        ("act/x", &[2, 3, 8, 9]),
        ("grad/x", &[2, 3, 8, 9]),
        ("value", &[1]),
    ];
    assert_eq!(shapes, expected);
    assert_eq!(result["act/x"].1, wave(2 * 3 * 72));
    // The value is the mean over the batch, and within each entry the mean over positions.
    let activations = &result["act/left.conv"].1;
    let entry = |n: usize| activations[(n * LEFT + 2) * 72..][..72].iter().sum::<f32>() / 72.0;
    let mean = (entry(0) + entry(1)) / 2.0;
    assert!((result["value"].1[0] - mean).abs() < 1e-5);
    // `--grad` and `--capture` may be given without each other.
    place.succeed(&["run", "net.onnx", "--input", "x=x.npy", "--grad", "logit(1)", "--out", "result.st"]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    assert_eq!(result.keys().collect::<Vec<_>>(), ["grad/x", "value"]);
    place.succeed(&[
        "run",
        "net.onnx",
        "--input",
        "x=x.npy",
        "--capture",
        "right.conv",
        "--out",
        "result.st",
    ]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    assert_eq!(result.keys().collect::<Vec<_>>(), ["act/right.conv"]);
}

#[test]
fn check_exits_with_0_where_all_agrees_and_with_1_where_anything_differs() {
    let mut report = Report::default();
    for network in ["plain2d", "clip3d", "two_stream", "tfsame", "signal1d"] {
        for exporter in ["legacy", "dynamo"] {
            let place = Place::new();
            let name = format!("{network}.{exporter}");
            place.borrow(&format!("{name}.onnx"), "net.onnx");
            place.borrow(&format!("{name}.golden.safetensors"), "golden.st");
            let run = |more: &[&str]| {
                place.run(
                    &[&["check", "net.onnx", "golden.st", "--preprocess", "unit", "--quiet"], more].concat(),
                )
            };
            let fine = run(&[]);
            report
                .case(&name, check(fine.code == Some(0) && fine.stderr.is_empty(), || format!("{fine:#?}")));
            let (tensors, metadata) =
                read_safetensors(&std::fs::read(fixture(&format!("{name}.golden.safetensors"))).unwrap());
            let compared = tensors.keys().filter(|k| !k.starts_with("input/")).count();
            let lines = fine.stdout.lines().filter(|l| l.contains("  ok")).count();
            report.case(&name, check(lines == compared, || format!("{lines} lines for {compared} tensors")));
            // A tolerance of 0, and each kind of value changed, must make the check fail.
            let strict = run(&["--rtol", "0", "--grad-rtol", "0"]);
            report.case(
                &name,
                check(strict.code == Some(1) && strict.stdout.contains("FAILED"), || format!("{strict:#?}")),
            );
            for kind in ["act/", "value/", "grad/"] {
                let mut wrong = tensors.clone();
                let (key, (_, data)) = wrong.iter_mut().find(|(k, _)| k.starts_with(kind)).unwrap();
                data.iter_mut().for_each(|x| *x = *x * 1.01 + 0.001);
                let key = key.clone();
                place.write("golden.st", safetensors(&wrong, &[("objectives", &metadata["objectives"])]));
                let outcome = run(&[]);
                let failed: Vec<&str> = outcome.stdout.lines().filter(|l| l.contains("FAILED")).collect();
                let right =
                    outcome.code == Some(1) && failed.len() == 1 && failed[0].starts_with(&format!("{key}:"));
                report.case(&name, check(right, || format!("{kind} off: {outcome:#?}")));
            }
        }
    }
    report.finish();
}

#[test]
fn check_fails_numbers_of_another_shape_and_numbers_that_are_none() {
    let place = place();
    place.write("x.npy", npy(&[1, 3, 8, 9], &wave(216)));
    place.succeed(&["run", "net.onnx", "--input", "x=x.npy", "--capture", "left.conv", "--out", "result.st"]);
    let (result, _) = read_safetensors(&place.read("result.st"));
    let (shape, data) = result["act/left.conv"].clone();
    let mut report = Report::default();
    for (name, shape, data, code) in [
        ("itself", shape.clone(), data.clone(), 0),
        ("axes of 1 more", vec![1, 1, LEFT, 8, 9, 1], data.clone(), 0),
        ("turned", vec![1, LEFT, 9, 8], data.clone(), 1),
        ("flattened", vec![data.len()], data.clone(), 1),
        ("shorter", vec![1, LEFT, 8, 8], data[..LEFT * 64].to_vec(), 1),
        ("not finite", shape.clone(), vec![f32::NAN; data.len()], 1),
    ] {
        let golden = Tensors::from([
            ("input/x".to_owned(), (vec![1, 3, 8, 9], wave(216))),
            ("act/left.conv".to_owned(), (shape, data)),
        ]);
        place.write("golden.st", safetensors(&golden, &[]));
        let outcome = place.run(&["check", "net.onnx", "golden.st"]);
        let right = outcome.code == Some(code) && outcome.stdout.contains("act/left.conv: ");
        report.case(name, check(right, || format!("{outcome:#?}")));
    }
    report.finish();
}
