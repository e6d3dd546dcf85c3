//! See what a trained convolutional network has learned.
//!
//! A picture is found by optimisation: parameters → image → random transforms → network → objective, and the
//! gradient all the way back. Each stage is a module with one function shape, stated at its head:
//!
//! | module | shape |
//! |---|---|
//! | [`param`] | parameters → image, and adjoint |
//! | [`transform`] | image + random numbers → image, and adjoint |
//! | [`preprocess`] | image → what the network reads, and adjoint |
//! | [`input`] | a network's inputs for pictures: chosen, checked, fed, and gradients brought back |
//! | [`objective`] | activations → value and seed gradients; an algebra |
//! | [`gradients`] | how gradients pass ReLUs and max-pooling |
//! | [`optimizer`] | value and gradient → step |
//! | [`regularizer`] | image → how bright and rough it is, and gradient |
//! | [`statistics`] | images → the colours and frequencies that they have |
//! | [`preset`] | all of these under a name |
//! | [`render`] | the loop, steppable; [`render::render`] is its easy door |
//! | [`dream`] | another loop: a given picture, octave by octave and tile by tile |
//! | [`attribution`] | image + objective → which of its pixels made it so |
//! | [`spatial_activations`] | image + layer → a vector over the channels for each position |
//!
//! ```no_run
//! use oneiro::{Model, objective::Objective, preset::Preset, render::{render, Progress}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let graph = oneiro_net::format::onnx::read(std::fs::read("model.onnx")?.into())?;
//! let model = Model::new(graph, oneiro::card::Card::parse(&std::fs::read_to_string("model.toml")?)?)?;
//! let pictures =
//!     render(&model, &Preset::default(), &[Objective::channel("conv4_3", 5)], 0, |_: &Progress<'_>| true)?;
//! println!("{} {:?}", pictures[0].value, pictures[0].images[0].image.shape());
//! # Ok(())
//! # }
//! ```
//!
//! The folder `examples/` has programs for custom extensions: an objective (`custom_objective`), a
//! parametrization (`custom_parametrization`), a network built in code (`network_in_code`), and an
//! optimisation loop (`own_loop`).
//!
//! This crate uses no file, clock or environment variable. Seeds are arguments. Work runs on the model's
//! threads ([`Model::on`]), by default on the caller's pool; their number never changes a bit of the result.

#![forbid(unsafe_code)]

pub mod attribution;
pub mod card;
pub mod color;
pub mod dream;
mod eigen;
mod error;
pub mod gradients;
pub mod input;
pub mod kernels;
pub mod model;
pub mod objective;
pub mod objective_session;
pub mod optimizer;
mod parallel;
pub mod param;
pub mod preprocess;
pub mod preset;
mod range;
pub mod regularizer;
pub mod render;
pub mod rng;
pub mod spatial_activations;
mod spectrum;
pub mod statistics;
pub mod transform;

pub use error::{Error, Result};
pub use model::Model;
pub use oneiro_image::{Extent, Image};
