//! Readers that turn model files into graphs.

pub mod onnx;
