//! What the fuzz targets do with their bytes. Tests on stable include these files by their paths to replay
//! the corpus.

pub mod expression;
pub mod graph;
pub mod load;
pub mod protobuf;
pub mod step;
