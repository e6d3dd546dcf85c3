//! The program as a person or a script meets it: bytes, messages, exit codes, files.
//!
//! Every test runs the built program in an empty folder of its own. Networks are tiny: fixtures of
//! `oneiro-net`, a few that [`onnx`] writes on the spot, and the embedded one on small pictures.

// What goes wrong in a helper is a test that fails.
#![allow(clippy::unwrap_used)]

mod again;
mod answers;
mod attribute;
mod axes;
mod bad_input;
mod bands;
mod belief;
mod broken_models;
mod bytes;
mod class_folders;
mod clips;
mod collisions;
mod config;
mod contracts;
mod display;
mod dream;
mod features;
mod files;
mod film;
mod flow;
mod formats;
mod from_pictures;
mod gray;
mod grid;
mod heads;
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
mod stills;
mod units;
mod video;
mod wishes;
