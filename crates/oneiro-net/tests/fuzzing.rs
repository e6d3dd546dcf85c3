//! Replays the corpus of the fuzz targets, including inputs that once failed, on the stable toolchain. No
//! input may panic or hang.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::{Path, PathBuf};

#[path = "../../../fuzz/src/graph.rs"]
mod graph;
#[path = "../../../fuzz/src/load.rs"]
mod load;
#[path = "../../../fuzz/src/protobuf.rs"]
mod protobuf;
#[path = "../../../fuzz/src/step.rs"]
mod step;

/// Calls `f` with the content of every file in a fuzz target's corpus.
fn replay(target: &str, f: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus in {}", folder.display());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        if let Err(panic) = std::panic::catch_unwind(|| f(&bytes)) {
            panic!("{} panics: {panic:?}", file.display());
        }
    }
}

#[test]
fn the_corpus_loads_or_is_refused() {
    replay("load", load::load);
}

#[test]
fn the_corpus_takes_a_step_or_is_refused() {
    replay("step", step::step);
}

#[test]
fn the_corpus_of_made_graphs_takes_a_step_or_is_refused() {
    replay("graph", |bytes| step::step(&graph::onnx(bytes)));
}
