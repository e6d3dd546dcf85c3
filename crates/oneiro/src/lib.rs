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
//! One can also [dream](dream) on a photo, ask which of its pixels contribute to a class ([attribution]), and
//! show what a layer preserves of a photo ([objective]: inversion, caricatures, style). [`render::Render`] is
//! for optimisation loops of one's own. [`Model::new`] takes a network from a graph and a [card] instead of
//! files.
//!
//! # How it works
//!
//! A picture is found by optimisation: parameters → image → random transforms → network → objective, and the
//! gradient back through all of these. Each stage is a module with one interface, stated at its beginning:
//!
//! | module | interface |
//! |---|---|
//! | [`param`] | parameters → image, and adjoint |
//! | [`transform`] | image + random numbers → image, and adjoint |
//! | [`preprocess`] | image → what the network reads, and adjoint |
//! | [`input`] | pictures → a network's inputs, and adjoint |
//! | [`objective`] | activations → value, and gradients with respect to the activations |
//! | [`gradients`] | rules for gradients at ReLUs and max-pooling |
//! | [`optimizer`] | value and gradient → step |
//! | [`regularizer`] | image → penalties of brightness and roughness, and gradient |
//! | [`statistics`] | images → mean colour, covariance of colours, mean spectrum |
//! | [`preset`] | all settings of these stages under a name |
//! | [`render`] | the optimisation loop, step by step; [`render::render`] runs it in one call |
//! | [`dream`] | the loop of a dream on a given picture, octave by octave and tile by tile |
//! | [`attribution`] | image + objective → contribution of each pixel to the objective |
//! | [`belief`] | picture or examples of a unit + natural images → may the picture be believed |
//! | [`layer_summaries`] | images → a few statistics for each channel of many layers, without storing maps |
//! | [`layer_maps`] | images → whole maps of layers, position by position |
//! | [`layer_relevance`] | image + class → contribution of each position of layers to the class |
//! | [`unit_statistics`] | these statistics of many images → best images of each unit, moments, samples |
//! | [`similarity`] | vectors, samples of units, layers → cosine, correlations, CKA |
//! | [`spatial_activations`] | image + layer → a vector over the channels for each position |
//!
//! The folder `examples/` has this program (`quickstart`). Further programs define an objective
//! (`custom_objective`), a parametrization (`custom_parametrization`), a network in code (`network_in_code`),
//! and an optimisation loop (`own_loop`).
//!
//! Only [`Model::open`] and [`render::Picture::save`], of the feature `files`, access files. Nothing reads a
//! clock or the environment. Random seeds are arguments. Work runs on the model's threads ([`Model::on`]), by
//! default on the caller's pool; their number never changes a bit of the result.

#![deny(unsafe_code)]

pub mod attribution;
pub mod belief;
pub mod card;
pub mod color;
pub mod dream;
mod eigen;
mod error;
pub mod filters;
pub mod gradients;
pub mod input;
pub mod kernels;
pub mod layer_maps;
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
pub mod similarity;
pub mod spatial_activations;
mod spectrum;
pub mod statistics;
pub mod transform;
pub mod unit_statistics;

pub use error::{Error, Result};
pub use model::Model;
pub use oneiro_image::{Extent, Image};
