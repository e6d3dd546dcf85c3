//! Unusual model files that caused errors in tools, with reference values from PyTorch or ONNX Runtime.

use std::path::{Path, PathBuf};

use oneiro_jobs::job::tensors::GoldenJob;
use oneiro_jobs::{Job as _, Kept, ModelSpec, Run, model};

use crate::context;

/// Returns the files of reference values ("goldens") in a folder, each with its model.
/// `NAME.golden.safetensors` belongs to `NAME.onnx`; so does `NAME.TAG.golden.safetensors`, if no model has
/// that longer name.
fn goldens(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    const ENDING: &str = ".golden.safetensors";
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<(PathBuf, PathBuf)> = files
        .filter_map(|golden| {
            let name = golden.file_name()?.to_str()?.strip_suffix(ENDING)?;
            let model = |name: &str| folder.join(format!("{name}.onnx"));
            let whole = model(name);
            let found = match name.rsplit_once('.') {
                Some((first, _)) if !whole.is_file() => model(first),
                _ => whole,
            };
            Some((found, golden))
        })
        .collect();
    found.sort();
    found
}

/// Returns how a model's results differ from its reference values.
fn differences(model: &Path, golden: &Path) -> oneiro_jobs::Result<Vec<String>> {
    let context = context();
    let golden = golden.display().to_string();
    let job = GoldenJob { file: golden, tolerance: 1e-4, gradient_tolerance: 1e-3 };
    let inputs = job.inputs()?;
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let spec = ModelSpec::named(model.display().to_string());
    let model = model::load_for_tensors(&context, &spec, &inputs)?;
    let report = job.run(&Run::new(&model, &context), &mut Kept::all())?;
    assert!(!report.is_empty(), "{}: nothing is compared", job.file);
    Ok(report.iter().filter(|c| !c.agrees()).map(|c| format!("{c:?}")).collect())
}

#[test]
fn values_and_gradients_are_those_of_other_frameworks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../oneiro-cli/tests/cases");
    let mut kinds: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    kinds.sort();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (model, golden) in kinds.iter().filter(|kind| kind.is_dir()).flat_map(|kind| goldens(kind)) {
        seen += 1;
        let found = differences(&model, &golden).unwrap_or_else(|error| vec![error.to_string()]);
        wrong.extend(found.into_iter().map(|what| format!("{}: {what}", golden.display())));
    }
    assert!(seen >= 32, "only {seen} goldens");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
