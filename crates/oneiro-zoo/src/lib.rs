//! Built-in networks, and lists of class labels.
//!
//! One small network trained on ImageNet is part of the binary ([`embedded`], with the feature of that name),
//! so that everything has something to run on. [`features`] are hand-made descriptors as networks, HOG and
//! dense SIFT: pictures rendered for them show what they preserve. [`labels`] find classes by name.
//!
//! ```
//! use oneiro_zoo::labels::{self, Labels};
//!
//! let labels = Labels::parse(labels::builtin("imagenet1k").ok_or("not built in")?)?;
//! assert_eq!((labels.len(), labels.find("goldfish")?), (1000, 1));
//!
//! # #[cfg(feature = "embedded")] {
//! use oneiro::{Model, card::Card};
//! use oneiro_zoo::embedded;
//!
//! let graph = oneiro_net::format::onnx::read(embedded::model().into())?;
//! let model = Model::new(graph, Card::parse(embedded::card())?)?;
//! assert_eq!(model.input_shapes(1, None)?, [[1, 3, 227, 227]]);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod embedded;
pub mod features;
pub mod labels;
