//! Reasons why a layer has no kernels to show.

/// A reason why a layer has no kernels to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A channel is not linear in the picture.
    #[error(
        "channel {channel} of layer \"{layer}\" is not linear in the picture, so it has no kernel to be shown; {}",
        linear.as_ref().map_or_else(
            || "name the first convolution itself, in front of its activation function".to_owned(),
            |linear| format!("\"{linear}\" in front of it is")
        )
    )]
    NotLinear {
        /// Name of the layer.
        layer: String,
        /// Index of the channel.
        channel: usize,
        /// Name of the last layer in front of it that is linear in the picture.
        linear: Option<String>,
    },
    /// No channel of the layer depends on the picture.
    #[error("no channel of layer \"{layer}\" depends on the picture")]
    Constant {
        /// Name of the layer.
        layer: String,
    },
}
