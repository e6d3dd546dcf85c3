//! See what a trained convolutional network has learned: for each unit, the picture that excites it most.
//!
#![doc = concat!(
    "![Four channels of SqueezeNet's layer fire5.expand3x3: bricks, dots, meshes, scales](data:image/jpeg;base64,",
    include_str!("../assets/front.base64"),
    ")"
)]
//!
//! ```no_run
//! use oneiro::{Model, objective::Objective, preset::Preset, render::render};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[cfg(feature = "files")] {
//! let model = Model::open("model.onnx")?; // with its card, model.toml, and weights beside it
//! let rendered = render(&model, &Preset::default(), &[Objective::channel("conv4_3", 5)], 0, |_| true)?;
//! rendered[0].images[0].save("channel.png")?;
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! One can also [dream](dream) on a photo, ask which pixels of it speak for a class ([attribution]), see a
//! photo through a layer ([objective]: inversion, caricatures, style), and write a loop of one's own
//! ([`render::Render`]). What has no files is made with [`Model::new`] from a graph and a [card].
//!
//! # How it works
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
//! | [`layer_summaries`] | images → a few numbers for each channel of many layers, without their maps |
//! | [`layer_relevance`] | image + class → how much each position of layers speaks for it |
//! | [`unit_statistics`] | these numbers, image after image → best images of each unit, moments, samples |
//! | [`spatial_activations`] | image + layer → a vector over the channels for each position |
//!
//! The folder `examples/` has this as a program (`quickstart`), and others for what is not in here: an
//! objective of one's own (`custom_objective`), a parametrization (`custom_parametrization`), a network
//! written in code (`network_in_code`), and a loop by hand (`own_loop`).
//!
//! Nothing here touches a file, a clock or the environment but [`Model::open`] and [`render::Picture::save`],
//! of the feature `files`. Seeds are arguments. Work runs on the model's threads ([`Model::on`]), by default
//! on the caller's pool; their number never changes a bit of the result.

#![deny(unsafe_code)]

pub mod attribution;
pub mod card;
pub mod color;
pub mod dream;
mod eigen;
mod error;
pub mod gradients;
pub mod input;
pub mod kernels;
pub mod layer_relevance;
pub mod layer_summaries;
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
pub mod unit_statistics;

pub use error::{Error, Result};
pub use model::Model;
pub use oneiro_image::{Extent, Image};
