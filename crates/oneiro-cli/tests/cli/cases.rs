//! Inputs of kinds that brought tools to grief, with right values of PyTorch or ONNX Runtime beside them.

use std::path::{Path, PathBuf};

use crate::place::{Place, Report, check};

/// The folder of a kind.
pub fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(kind)
}

/// The goldens of a folder, each with its model: `NAME.golden.safetensors` belongs to `NAME.onnx`, and so
/// does `NAME.TAG.golden.safetensors` where no model has that longer name.
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

#[test]
fn values_and_gradients_are_those_of_other_frameworks() {
    let mut report = Report::default();
    let mut kinds: Vec<PathBuf> = std::fs::read_dir(folder("")).unwrap().map(|e| e.unwrap().path()).collect();
    kinds.sort();
    let mut seen = 0;
    for (model, golden) in kinds.iter().filter(|kind| kind.is_dir()).flat_map(|kind| goldens(kind)) {
        seen += 1;
        let [model, golden] = [&model, &golden].map(|path| path.to_str().unwrap());
        let outcome = Place::new().run(&["-q", "check", model, golden]);
        report
            .case(model, check(outcome.code == Some(0), || format!("{}{}", outcome.stdout, outcome.stderr)));
    }
    assert!(seen >= 32, "only {seen} goldens");
    report.finish();
}
