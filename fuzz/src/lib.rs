//! The code of the fuzz targets. Tests on the stable toolchain include these files by their paths to replay
//! the corpus.

pub mod expression;
pub mod graph;
pub mod load;
pub mod protobuf;
pub mod step;
