//! Why a layer has no kernels to be shown.

/// Why a layer has no kernels to be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The layer is not linear in the picture.
    #[error(
        "layer \"{layer}\" is not linear in the picture, so it has no kernels to be shown; name the first convolution itself, \
         in front of its activation function"
    )]
    NotLinear {
        /// The layer.
        layer: String,
    },
    /// Channels that do not depend on the picture.
    #[error("layer \"{layer}\" does not depend on the picture")]
    Constant {
        /// The layer.
        layer: String,
    },
}
