//! Replays the corpus of the fuzz target `expression` on the stable toolchain; nothing may panic.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../../fuzz/src/expression.rs"]
mod expression;

#[test]
fn the_corpus_is_read_or_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/expression");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        expression::expression(&std::fs::read(entry.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen > 0, "no corpus");
}
