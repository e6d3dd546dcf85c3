//! The program as users and scripts see it: messages, exit codes, files and their bytes.
//!
//! Every test runs the built program in an empty folder of its own. Networks are tiny: test files of
//! `oneiro-net`, networks that [`onnx`] writes, and the embedded network on small pictures.

// An error in a helper function makes the test fail, so `unwrap` is allowed.
#![allow(clippy::unwrap_used)]

mod again;
mod answers;
mod attribute;
mod attribute_clips;
mod axes;
mod bad_input;
mod bands;
mod belief;
mod broken_models;
mod bytes;
mod class_folders;
mod clips;
mod collisions;
mod compare;
mod config;
mod contracts;
mod display;
mod dream;
mod dream_clips;
mod features;
mod files;
mod film;
mod flow;
mod formats;
mod from_pictures;
mod gray;
mod grid;
mod heads;
mod health;
mod input_axes;
mod inputs;
mod interpolate;
mod interruption;
mod listing;
mod masks;
mod objectives;
mod onnx;
#[path = "../../../oneiro-net/tests/outside/mod.rs"]
mod outside;
mod pages;
mod parts;
mod penalties;
mod place;
mod preimages;
mod preparation;
mod presets;
mod remarks;
mod rules;
mod scan;
mod scan_answers;
mod stills;
mod units;
mod video;
mod wishes;
