//! The network embedded in the binary, so that every command has something to run on.
//!
//! SqueezeNet 1.1 (Iandola et al. 2016) with 1000 ImageNet classes. Weights are stored as float16, each
//! followed by a `Cast` to float32. `scripts/embed_squeezenet.py` made the file; `NOTICE` names its origin
//! and licence. A build without the feature `embedded` lacks the network; only its name is defined.

/// The name by which users ask for the embedded network.
pub const NAME: &str = "squeezenet1_1";

/// Returns the embedded network as the bytes of an ONNX file.
#[cfg(feature = "embedded")]
pub fn model() -> &'static [u8] {
    include_bytes!("../assets/squeezenet1_1.onnx")
}

/// Returns the embedded network's model card as TOML.
#[cfg(feature = "embedded")]
pub fn card() -> &'static str {
    include_str!("../assets/squeezenet1_1.toml")
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_network_is_an_onnx_file_of_the_expected_size() {
        // The first byte of the exporter's ONNX files: protobuf field 1 (ir_version), a varint.
        assert_eq!(model()[0], 0x08);
        assert!((2_400_000..2_600_000).contains(&model().len()), "{} bytes", model().len());
    }

    #[test]
    fn the_card_carries_the_name_and_a_built_in_label_list() {
        assert!(card().contains(&format!("name = \"{NAME}\"")));
        assert!(card().contains("labels = \"imagenet1k\""));
        assert!(crate::labels::builtin("imagenet1k").is_some());
    }
}
