//! Finds what tests use outside the repository: `../shared`, folders named by environment variables, and
//! programs.
//!
//! Test crates include this file by its path. A test is skipped if something is missing, unless
//! `ONEIRO_REQUIRE_DATA` or, for `ffmpeg`, `ONEIRO_REQUIRE_FFMPEG` is set.

#![allow(dead_code, clippy::print_stderr)] // not every test crate reads everything

use std::path::{Path, PathBuf};

/// The environment variable that makes tests fail if their data is missing. Empty and `0` mean that it is not
/// set.
const REQUIRE: &str = "ONEIRO_REQUIRE_DATA";
/// The environment variable that makes tests fail if the program `ffmpeg` is missing.
const REQUIRE_FFMPEG: &str = "ONEIRO_REQUIRE_FFMPEG";

/// Returns a file or folder in `../shared`, beside the repository; `None` to skip the test.
pub fn shared(path: &str) -> Option<PathBuf> {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    or_skip(&format!("../shared/{path}"), full.canonicalize().ok(), REQUIRE)
}

/// Returns the path of the program `ffmpeg` on the system's path; `None` to skip the test.
pub fn ffmpeg() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let program =
        std::env::split_paths(&folders).map(|folder| folder.join("ffmpeg")).find(|path| path.is_file());
    or_skip("the program ffmpeg", program, REQUIRE_FFMPEG)
}

/// Returns the path that an environment variable names; `None` to skip the test.
pub fn named_by(variable: &str) -> Option<PathBuf> {
    let what = format!("the environment variable {variable}");
    or_skip(&what, std::env::var_os(variable), REQUIRE).map(PathBuf::from)
}

/// Prints that a test is skipped if nothing was found, or fails if `variable` is set.
fn or_skip<T>(what: &str, found: Option<T>, variable: &str) -> Option<T> {
    if found.is_none() {
        let required = std::env::var_os(variable).is_some_and(|value| !value.is_empty() && value != "0");
        assert!(!required, "{what} is missing, and {variable} is set");
        eprintln!("skipped: {what} is missing");
    }
    found
}
