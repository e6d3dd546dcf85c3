//! Model cards: facts about a network's inputs that its file does not hold.
//!
//! Interface: a [`Card`] is read from the text of `NAME.toml` by [`Card::parse`], which checks
//! every number, so that every [`Card`] is valid. [`InputCard::preset`] is for models without a
//! card.
//!
//! ```
//! # use oneiro::card::Card;
//! let card = Card::parse(r#"
//!     name = "squeezenet1_1"
//!     labels = "imagenet1k"
//!     [[input]]
//!     name = "x"
//!     size = [227, 227]
//!     order = "bgr"
//!     range = 255.0
//!     mean = [103.939, 116.779, 123.68]
//! "#)?;
//! assert_eq!(card.input[0].std, [1.0; 3]);
//! # Ok::<(), oneiro::card::CardError>(())
//! ```

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

mod alike;
mod axes;
mod input;
pub mod metadata;
mod value;

pub use axes::{Axis, InputAxes};
pub use value::{FeedValue, HashedFile};

pub use alike::{Collapsed, is_alike, spread};
pub use input::{
    CAFFE_MEAN, ChannelOrder, IMAGENET_MEAN, IMAGENET_STD, InputCard, InputKind, PREPROCESS_PRESETS,
};

/// Why a model card cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CardError {
    /// Not TOML, an unknown key or word, or a value of the wrong type. The text says where and what is
    /// allowed.
    #[error("the model card cannot be read: {0}")]
    Syntax(String),
    /// The value of a key does not fit.
    #[error("in the model card, input `{input}`: `{key}` {problem}")]
    Input {
        /// Name of the input that the card describes.
        input: String,
        /// The key with the invalid value.
        key: &'static str,
        /// What is wrong with the value, and which values are allowed.
        problem: String,
    },
    /// Two inputs have the same name, or a layer has none.
    #[error("in the model card: {0}")]
    Names(String),
    /// A preprocessing for three colours was given for bands.
    #[error(
        "`{0}` prepares red, green and blue; bands need `mean` and `std`, one number for all or one a band, or tf, unit or none"
    )]
    ColorPreset(String),
    /// There is no preprocessing of this name.
    #[error("`{0}` is no preprocessing; there are {names}", names = PREPROCESS_PRESETS.join(", "))]
    UnknownPreset(String),
}

/// A model card: the meaning of a network's inputs, outputs and layers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The name of the model.
    #[serde(default)]
    pub name: String,
    /// Class labels: the name of a built-in list, or a text file beside the card with one label a line in
    /// class order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// The order of axes of the graph's tensors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub layout: TensorLayout,
    /// Number of tokens before the patches (class, registers), for layers whose axes the card states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_tokens: Option<usize>,
    /// The graph's output with the classes, if there are several outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The network's inputs, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<InputCard>,
    /// Short names for tensors or nodes of the graph.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, String>,
    /// Axes of layers, if they cannot be derived from the graph or are derived wrongly: `N,C,H,W`, `N,H,W,C`,
    /// `N,tokens,C` ([`oneiro_net::axes::parse`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub axes: BTreeMap<String, String>,
}

/// The order of a tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorLayout {
    /// Batch, channel, (time,) height, width.
    #[default]
    Nchw,
    /// Batch, (time,) height, width, channel, as in TensorFlow's exports.
    Nhwc,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Card {
    /// Parses and checks the text of a card, and fills in defaults.
    pub fn parse(text: &str) -> Result<Card, CardError> {
        let mut card: Card =
            toml::from_str(text).map_err(|e| CardError::Syntax(e.to_string().trim_end().to_string()))?;
        // The card of a flow input must give a range. The table is parsed as well, because a struct cannot
        // distinguish a missing range from 1.
        let raw: toml::Table = toml::from_str(text).map_err(|e| CardError::Syntax(e.to_string()))?;
        for (index, input) in card.input.iter_mut().enumerate() {
            let has_range = raw["input"][index].get("range").is_some();
            if input.kind == InputKind::Flow && !has_range {
                return Err(input.error(
                    "range",
                    "is missing; for flow it is the pixels per frame at the clip limit, such as 20.0",
                ));
            }
            if input.value.is_some() && raw["input"][index].get("kind").is_none() {
                input.kind = InputKind::Tensor;
            }
            input.complete()?;
        }
        card.check_names()?;
        Ok(card)
    }

    /// Returns the card as TOML, from which [`Card::parse`] reads the same card.
    pub fn to_toml(&self) -> Result<String, CardError> {
        toml::to_string(self).map_err(|e| CardError::Syntax(e.to_string()))
    }

    /// Returns the input of this name.
    pub fn input(&self, name: &str) -> Option<&InputCard> {
        self.input.iter().find(|input| input.name == name)
    }

    /// Takes the inputs of another card, and every other field that is missing in this card.
    pub fn fill_from(&mut self, other: Card) {
        let keep = std::mem::take(self);
        *self = Card {
            name: if keep.name.is_empty() { other.name } else { keep.name },
            labels: keep.labels.or(other.labels),
            layout: if other.layout == TensorLayout::Nhwc { other.layout } else { keep.layout },
            prefix_tokens: keep.prefix_tokens.or(other.prefix_tokens),
            output: keep.output.or(other.output),
            input: other.input,
            layers: other.layers.into_iter().chain(keep.layers).collect(),
            axes: other.axes.into_iter().chain(keep.axes).collect(),
        };
    }

    fn check_names(&self) -> Result<(), CardError> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.input.iter().find(|input| !seen.insert(&input.name)) {
            return Err(CardError::Names(format!("there are two inputs named `{}`", twice.name)));
        }
        match self.layers.iter().find(|(short, name)| short.is_empty() || name.is_empty()) {
            Some((short, name)) => {
                Err(CardError::Names(format!("[layers] has an empty name: \"{short}\" = \"{name}\"")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUEEZENET: &str = r#"
name = "squeezenet1_1"
labels = "imagenet1k"
[[input]]
name = "x"
kind = "image"
size = [227, 227]
order = "bgr"
range = 255.0
mean = [103.939, 116.779, 123.68]
std = [1.0, 1.0, 1.0]
[layers]
"conv1" = "/conv1/Conv_output_0"
"#;

    #[test]
    fn the_documented_card_is_read() {
        let card = Card::parse(SQUEEZENET).unwrap();
        assert_eq!((card.name.as_str(), card.labels.as_deref()), ("squeezenet1_1", Some("imagenet1k")));
        assert_eq!(card.layers["conv1"], "/conv1/Conv_output_0");
        assert_eq!(card.layout, TensorLayout::Nchw);
        let input = card.input("x").unwrap();
        assert_eq!(
            (input.kind, input.order, input.size),
            (InputKind::Image, ChannelOrder::Bgr, Some([227, 227]))
        );
        assert_eq!((input.range, input.mean.as_slice()), (255.0, CAFFE_MEAN.as_slice()));
    }

    #[test]
    fn a_printed_card_is_read_as_the_same_card() {
        let flow =
            "layout = \"nhwc\"\n[[input]]\nname = \"flow\"\nkind = \"flow\"\nframes = 10\nrange = 20\n";
        for text in [SQUEEZENET, flow, "name = \"bare\""] {
            let card = Card::parse(text).unwrap();
            assert_eq!(Card::parse(&card.to_toml().unwrap()).unwrap(), card);
        }
    }

    #[test]
    fn what_a_card_leaves_out_is_filled_in() {
        for (line, channels) in
            [("order = \"gray\"", 1), ("kind = \"clip\"", 3), ("kind = \"flow\"\nrange = 20.0", 2)]
        {
            let card = Card::parse(&format!("[[input]]\nname = \"x\"\n{line}")).unwrap();
            assert_eq!(
                (&card.input[0].mean, &card.input[0].std),
                (&vec![0.0; channels], &vec![1.0; channels])
            );
        }
        let card = Card::parse("[[input]]\nname = \"x\"").unwrap();
        assert_eq!((card.input[0].kind, card.input[0].range), (InputKind::Image, 1.0));
    }

    #[test]
    fn bands_are_counted_by_their_means_or_by_the_network() {
        let bands = |lines: &str| {
            let card = Card::parse(&format!("[[input]]\nname = \"x\"\norder = \"bands\"\n{lines}")).unwrap();
            card.input[0].clone()
        };
        let mut input = bands("mean = [0.5]");
        input.fit_bands(Some(4)).unwrap();
        assert_eq!((input.channels(), &input.mean, &input.std), (4, &vec![0.5; 4], &vec![1.0; 4]));
        let mut input = bands("std = [1, 2, 3]\nmean = [0.5]\nshow = [2]");
        assert_eq!((input.channels(), &input.mean), (3, &vec![0.5; 3]));
        input.fit_bands(None).unwrap();
        assert_eq!(input.shown(), [2, 2, 2]);
        assert_eq!(bands("mean = [0, 0]").shown(), [0, 0, 0]);
        assert_eq!(bands("mean = [0, 0, 0, 0]").shown(), [0, 1, 2]);
        assert_eq!(bands("mean = [0, 0, 0, 0]\nshow = [3, 0, 1]").shown(), [3, 0, 1]);
        let fit = |lines: &str, channels| bands(lines).fit_bands(channels).unwrap_err().to_string();
        let cases = [
            ("mean = [0.5]", None, "one a band"),
            ("mean = [1, 2, 3]", Some(4), "3 numbers, and the network's input 4 channels"),
            ("show = [3, 2, 4]", Some(4), "`show` names band 4; the 4 bands are counted from 0 to 3"),
        ];
        for (lines, channels, problem) in cases {
            let message = fit(lines, channels);
            assert!(message.contains(problem), "{lines}: {message}");
        }
        let text = Card { input: vec![bands("mean = [1, 2, 3]\nshow = [2, 1, 0]")], ..Card::default() };
        assert_eq!(Card::parse(&text.to_toml().unwrap()).unwrap(), text);
    }

    #[test]
    fn a_preprocessing_of_three_colours_is_not_one_of_bands() {
        let card = InputCard::bands(Some("tf"), "x").unwrap();
        assert_eq!((card.order, card.mean, card.std), (ChannelOrder::Bands, vec![0.5], vec![0.5]));
        assert_eq!(InputCard::bands(None, "x").unwrap().range, 1.0);
        let message = InputCard::bands(Some("imagenet"), "x").unwrap_err().to_string();
        assert!(message.contains("`imagenet`") && message.contains("one a band"), "{message}");
    }

    #[test]
    fn errors_name_the_key_and_what_is_allowed() {
        let cases = [
            ("kind = \"movie\"", "movie", "`image`, `clip`, `flow`"),
            ("order = \"rgba\"", "rgba", "`rgb`, `bgr`, `gray`"),
            ("means = [1.0]", "means", "`mean`"),
            ("mean = [1.0, 2.0]", "`mean` has 2 numbers", "order = \"rgb\" needs 3"),
            ("order = \"gray\"\nstd = [1.0, 2.0, 3.0]", "`std` has 3 numbers", "needs 1"),
            (
                "kind = \"flow\"\nrange = 20.0\nframes = 5\nmean = [1.0, 2.0, 3.0]",
                "`mean` has 3",
                "2 or 1 or 10",
            ),
            ("kind = \"flow\"", "`range` is missing", "20.0"),
            ("kind = \"flow\"\nrange = 20.0\nmean = [0.1, 0.2]", "`frames` is missing", "differ"),
            ("std = [1.0, 0.0, 1.0]", "`std` holds 0", "above 0"),
            ("mean = [nan, 0.0, 1.0]", "`mean` holds NaN", "finite"),
            ("range = 0.0", "`range` is 0", "above 0"),
            ("order = \"bands\"\nmean = [1, 2, 3]\nstd = [1, 2]", "`std` has 2", "3 or 1"),
            ("order = \"bands\"\nshow = [1, 2]", "`show` has 2", "grey"),
            ("order = \"bands\"\nmean = [1, 2]\nshow = [2]", "`show` names band 2", "from 0 to 1"),
            ("show = [1]", "`show`", "bands"),
            ("order = \"bands\"\nluminance = true", "`luminance`", "colours"),
            ("kind = \"flow\"\nrange = 20.0\norder = \"bands\"", "`order`", "clip"),
            ("size = [0, 5]", "`size` has a 0", "[height, width]"),
            ("size = [5]", "size", ""),
            ("frames = 4", "`frames`", "clip"),
            ("frames = 0", "`frames` is 0", "from 1"),
            ("kind = \"clip\"\nframes = 1000000000000", "`frames` is 1000000000000", "4096"),
            ("range = \"big\"", "range", "big"),
            ("name = 3", "name", ""),
            ("[[input]]\nname = \"x\"", "two inputs named `x`", ""),
            ("[layers]\nconv1 = \"\"", "empty name", "conv1"),
        ];
        for (line, problem, hint) in cases {
            let message = Card::parse(&format!("[[input]]\nname = \"x\"\n{line}")).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains(hint), "{line}: {message}");
        }
        let message = Card::parse("labls = \"imagenet1k\"").unwrap_err().to_string();
        assert!(message.contains("labls") && message.contains("`labels`"), "{message}");
        let message = Card::parse("layout = \"nwhc\"").unwrap_err().to_string();
        assert!(message.contains("`nchw`"), "{message}");
    }

    #[test]
    fn presets_pass_the_checks_and_unknown_ones_are_refused() {
        for name in PREPROCESS_PRESETS {
            let mut card = InputCard::preset(name, "x").unwrap();
            card.complete().unwrap();
        }
        let message = InputCard::preset("torch", "x").unwrap_err().to_string();
        assert!(message.contains("`torch`") && message.contains("imagenet, caffe"), "{message}");
    }
}
