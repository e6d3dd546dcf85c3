//! Kernels over blocks of channels against the definition, in f64.
