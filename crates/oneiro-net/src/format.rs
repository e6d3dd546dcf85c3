//! Model files to graphs.

pub mod onnx;
