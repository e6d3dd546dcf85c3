//! What tests read outside the repository: `../shared`, and folders that environment variables name.
//!
//! Test crates include this file by its path. What is missing skips a test, unless `ONEIRO_REQUIRE_DATA` is
//! set.

#![allow(dead_code, clippy::print_stderr)] // not every test crate reads everything

use std::path::{Path, PathBuf};

/// The variable that lets a test fail where its data is missing. Empty and `0` mean that it is not set.
const REQUIRE: &str = "ONEIRO_REQUIRE_DATA";

/// Returns a file or folder in `../shared`, beside the repository; `None` to skip the test.
pub fn shared(path: &str) -> Option<PathBuf> {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    or_skip(&format!("../shared/{path}"), full.canonicalize().ok())
}

/// Returns the path that an environment variable names; `None` to skip the test.
pub fn named_by(variable: &str) -> Option<PathBuf> {
    or_skip(&format!("the environment variable {variable}"), std::env::var_os(variable)).map(PathBuf::from)
}

/// Says on standard error that a test is skipped where nothing was found, or fails if data is required.
fn or_skip<T>(what: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let required = std::env::var_os(REQUIRE).is_some_and(|value| !value.is_empty() && value != "0");
        assert!(!required, "{what} is missing, and {REQUIRE} is set");
        eprintln!("skipped: {what} is missing");
    }
    found
}
