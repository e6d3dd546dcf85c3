//! Jobs on raw tensors: gradients of expressions, and comparison with reference values of other frameworks.

#![allow(clippy::unwrap_used)]

mod cases;
#[path = "../../../oneiro-cli/tests/cli/files.rs"]
#[allow(dead_code)] // some of it is for the command line
mod files;
mod objectives;
#[path = "../../../oneiro-cli/tests/cli/onnx.rs"]
#[allow(dead_code)]
mod onnx;

use oneiro_jobs::{Context, Silent};

/// Returns a context with as many threads as the machine has, and no output.
fn context() -> Context {
    Context::new(None, Silent).unwrap()
}
