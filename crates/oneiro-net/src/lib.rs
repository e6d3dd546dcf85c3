//! Runs trained networks: reads a model, runs it forward, and computes gradients with respect to its inputs.
//!
//! The crate reads ONNX files of any exporter ([`format`](mod@format)); [`graph::Builder`] creates networks
//! in code. It lists layers with their receptive fields ([`analysis`]) and returns the activations of any of
//! them. For any function of activations, it computes the gradients with respect to the inputs. It does not
//! train: weights are constants.
//!
//! ```text
//! model file ─ format ─► Graph ─ typed, passes ─► Typed ─ plan ─► Plan ─ session ─► activations, input gradients
//! ```
//!
//! Weights never change, only gradients with respect to the inputs are computed, and shapes and targets are
//! known in advance. [`Plan::compile`] therefore decides everything once: which nodes are needed, which
//! constants are folded, and where every tensor lies in one block of memory. A [`Session`] then runs the plan
//! without allocating.
//!
//! ```no_run
//! use std::sync::Arc;
//! use oneiro_net::{CpuSession, Plan, Request, Rules, Session, format::onnx};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let graph = onnx::read(std::fs::read("model.onnx")?.into())?;
//! let layer = oneiro_net::names::Names::new(&graph, &[]).resolve("features.3")?;
//! let plan = Plan::compile(&graph, &Request::new(&graph, 1, &[layer])?)?;
//! let mut session = CpuSession::new(Arc::new(plan))?;
//! session.input_mut(0).fill(0.5);
//! session.forward();
//! let (activations, seed) = session.seed(0);
//! seed.copy_from_slice(activations); // the gradient of half the sum of squares
//! session.backward(&Rules::default());
//! println!("{:?}", &session.input_gradient(0)[..3]);
//! # Ok(())
//! # }
//! ```
//!
//! A network created in code, with the gradient of the sum of its activations:
//!
//! ```
//! use std::sync::Arc;
//! use oneiro_net::graph::{Builder, Dim};
//! use oneiro_net::{CpuSession, Plan, Request, Session, tensor::Tensor};
//!
//! let mut net = Builder::new();
//! let free = |name: &str| Dim::Free(name.into());
//! let x = net.input("x", &[free("N"), Dim::Fixed(1), free("H"), free("W")])?;
//! let weight = net.constant("weight", Tensor::floats(&[1, 1, 2, 2], vec![0.25; 4]))?;
//! let mean = net.node("Conv", "mean", &[x, weight], vec![])?;
//! let graph = net.finish(&[mean]);
//!
//! let request = Request { shapes: vec![vec![1, 1, 2, 3]], ..Request::new(&graph, 1, &[mean])? };
//! let mut session = CpuSession::new(Arc::new(Plan::compile(&graph, &request)?))?;
//! session.input_mut(0).copy_from_slice(&[0.0, 1.0, 2.0, 4.0, 5.0, 6.0]);
//! session.forward();
//! assert_eq!(session.seed(0).0, [2.5, 3.5]);
//! # Ok::<(), oneiro_net::Error>(())
//! ```
//!
//! A model with an unsupported operator still loads. Only targets that depend on the operator are errors.

#![deny(unsafe_code)]

pub mod analysis;
mod attributes;
pub mod axes;
pub mod broken;
mod error;
pub mod format;
mod front;
pub mod graph;
#[cfg(feature = "internals")]
#[allow(unsafe_code)]
pub mod kernels;
#[cfg(not(feature = "internals"))]
#[allow(unsafe_code)]
mod kernels;
mod layout;
pub mod names;
mod ops;
mod passes;
pub mod plan;
mod reads;
mod session;
pub mod summary;
pub mod tensor;
mod threads;
mod typed;

/// Operations on graphs: where a network begins, and which axes its inputs have.
pub mod beginning {
    pub use crate::front::{
        Blocked, Cut, Declarations, View, cut_at, dims_from_readers, fixed_input, known_dims, viewed_input,
    };
    pub use crate::layout::fed_channels_first;
}

/// Parallel loops over slices, on the threads that a session keeps awake.
pub mod team {
    pub use crate::kernels::team::{chunks, run};
}

pub use error::{Error, OpError, Result};
pub use graph::{Graph, ValueId};
pub use kernels::{Isa, MaxPoolRule, ReluRule};
pub use plan::{Plan, Request};
pub use session::{CpuSession, Rules, Session};
pub use threads::Threads;
