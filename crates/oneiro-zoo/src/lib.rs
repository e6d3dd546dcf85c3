//! Networks by name, and lists of class labels.
//!
//! One small ImageNet-trained network is part of the binary ([`embedded`], the feature of that name), so that
//! everything has something to run on. [`features`] are networks that are known in advance: HOG and dense
//! SIFT, whose pictures show what these descriptors keep. [`labels`] tell classes by name.
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
