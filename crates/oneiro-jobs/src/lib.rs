//! Everything that a person can ask of oneiro, as data that runs.

#![deny(unsafe_code)]

pub mod context;
pub mod files;
pub mod job;
pub mod model;
pub mod numbers;
pub mod observer;
pub mod provenance;
pub mod source;
pub mod tensors;

pub use context::Context;
pub use observer::{Cancelled, Observer, Progress, Remark, Silent};
