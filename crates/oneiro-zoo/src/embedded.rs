//! The network that travels inside the binary, so that there is always something to run on.
//!
//! SqueezeNet 1.1 (Iandola et al. 2016), 1000 ImageNet classes, weights stored as float16 with a `Cast` to
//! float32 behind each. `scripts/embed_squeezenet.py` made the file; `NOTICE` names its origin and licence.
//! A build without the feature `embedded` leaves it out: then the name alone is there.

/// The name under which the embedded network is asked for.
pub const NAME: &str = "squeezenet1_1";

/// The embedded network: the bytes of an ONNX file.
#[cfg(feature = "embedded")]
pub fn model() -> &'static [u8] {
    include_bytes!("../assets/squeezenet1_1.onnx")
}

/// The embedded network's model card, TOML.
#[cfg(feature = "embedded")]
pub fn card() -> &'static str {
    include_str!("../assets/squeezenet1_1.toml")
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_network_is_an_onnx_file_of_the_expected_size() {
        // Field 1 (ir_version), varint: how the exporter's files begin.
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
