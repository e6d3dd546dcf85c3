//! Networks by name, and lists of class labels.
//!
//! One small ImageNet-trained network is part of the binary, so that everything has something to run on.

#![forbid(unsafe_code)]

pub mod embedded;
pub mod features;
pub mod labels;
