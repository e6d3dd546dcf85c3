//! Dense layers, products of matrices, activation functions, attention.

pub mod activation;
pub mod attention_mask;
pub mod einsum;
pub mod gemm;
pub mod matmul;
pub mod softmax;
