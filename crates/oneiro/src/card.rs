//! Model cards: what a network's file does not say about its inputs.
//!
//! Shape of the concept: a [`Card`] is read from the text of `NAME.toml` by [`Card::parse`], which checks
//! every number, so that whoever holds a card can rely on it. [`InputCard::preset`] is for models without
//! one.
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

pub mod metadata;

/// Mean and standard deviation of ImageNet, RGB in 0–1 (torchvision's published constants).
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// See [`IMAGENET_MEAN`].
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Mean colour of the Caffe models of the VGG group, BGR in 0–255.
pub const CAFFE_MEAN: [f32; 3] = [103.939, 116.779, 123.68];
/// The value of white in an 8-bit picture.
const BYTE_WHITE: f32 = 255.0;

/// Most frames of a clip that a card may ask for: a bound against slips of the keyboard.
const MAX_FRAMES: usize = 4096;

/// Names that [`InputCard::preset`] knows.
pub const PREPROCESS_PRESETS: [&str; 5] = ["imagenet", "caffe", "tf", "unit", "none"];

/// Why a model card cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CardError {
    /// Not TOML, an unknown key or word, or a value of the wrong type. The text says where and what is
    /// allowed.
    #[error("the model card cannot be read: {0}")]
    Syntax(String),
    /// A value that does not fit.
    #[error("in the model card, input `{input}`: `{key}` {problem}")]
    Input {
        /// The input's name.
        input: String,
        /// The key with the bad value.
        key: &'static str,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// Two inputs of one name, or a layer without.
    #[error("in the model card: {0}")]
    Names(String),
    /// A name that no preprocessing has.
    #[error("`{0}` is no preprocessing; there are {names}", names = PREPROCESS_PRESETS.join(", "))]
    UnknownPreset(String),
}

/// The card of a model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What the model is called.
    #[serde(default)]
    pub name: String,
    /// A built-in list of class labels, or a text file beside the card, one label a line in class order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Where the channels of the graph's tensors are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub layout: Layout,
    /// The inputs, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<InputCard>,
    /// Short names for tensors or nodes of the graph.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, String>,
}

/// The order of a tensor's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channel, (time,) height, width.
    #[default]
    Nchw,
    /// Batch, (time,) height, width, channel: TensorFlow's exports.
    Nhwc,
}

/// What an input shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// One picture, (N, C, H, W).
    #[default]
    Image,
    /// Several pictures, (N, C, T, H, W).
    Clip,
    /// Optical flow between T + 1 pictures, (N, 2T, H, W): u0, v0, u1, v1, ….
    Flow,
    /// Anything else: fed with zeros where pictures are made, never optimised, not prepared.
    Tensor,
}

/// The channels of an image or clip, in the network's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel of luma.
    Gray,
}

impl ChannelOrder {
    /// How many channels there are.
    pub fn channels(self) -> usize {
        if self == ChannelOrder::Gray { 1 } else { 3 }
    }

    fn name(self) -> &'static str {
        match self {
            ChannelOrder::Rgb => "rgb",
            ChannelOrder::Bgr => "bgr",
            ChannelOrder::Gray => "gray",
        }
    }
}

/// One input of a network: how display units become what the network was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputCard {
    /// Name of the graph's input.
    pub name: String,
    /// What it shows.
    #[serde(default)]
    pub kind: InputKind,
    /// Height and width, if the graph leaves them open or a person should know them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// T of a clip or of flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Channels of an image or clip; of no meaning for flow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub order: ChannelOrder,
    /// The value of white before the mean is subtracted; for flow, pixels per frame at the clip limit.
    #[serde(default = "unit_range")]
    pub range: f32,
    /// Subtracted, one number for each channel in the network's order; for flow one, two (u, v) or
    /// 2·`frames`, in units of the range. Zeros if the card has none.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// Divided by afterwards, as `mean`. Ones if the card has none.
    #[serde(default)]
    pub std: Vec<f32>,
    /// Whether all that the network sees of colours is their luminance (Rec. 601), though it takes three channels: its
    /// pictures are shown grey, as their colours mean nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub luminance: bool,
}

/// White is 1 where a card does not say.
fn unit_range() -> f32 {
    1.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Card {
    /// Reads and checks the text of a card, and fills in what it leaves out.
    pub fn parse(text: &str) -> Result<Card, CardError> {
        let mut card: Card =
            toml::from_str(text).map_err(|e| CardError::Syntax(e.to_string().trim_end().to_string()))?;
        // A range is required for flow, but a struct cannot tell an absent one from 1.
        let raw: toml::Table = toml::from_str(text).map_err(|e| CardError::Syntax(e.to_string()))?;
        for (index, input) in card.input.iter_mut().enumerate() {
            let has_range = raw["input"][index].get("range").is_some();
            if input.kind == InputKind::Flow && !has_range {
                return Err(input.error(
                    "range",
                    "is missing; for flow it is the pixels per frame at the clip limit, such as 20.0",
                ));
            }
            input.complete()?;
        }
        card.check_names()?;
        Ok(card)
    }

    /// The card as TOML. [`Card::parse`] reads it as the same card.
    pub fn to_toml(&self) -> Result<String, CardError> {
        toml::to_string(self).map_err(|e| CardError::Syntax(e.to_string()))
    }

    /// The input of this name.
    pub fn input(&self, name: &str) -> Option<&InputCard> {
        self.input.iter().find(|input| input.name == name)
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

impl InputCard {
    /// The preprocessing of an RGB or BGR image by name, for the graph input `input`:
    ///
    /// | name | network units |
    /// |---|---|
    /// | `imagenet` | RGB, (x − mean)/std with torchvision's constants |
    /// | `caffe` | BGR, 255·x − (103.939, 116.779, 123.68) |
    /// | `tf` | RGB, 2·x − 1 |
    /// | `unit` | RGB, 0–1 |
    /// | `none` | RGB, 0–255: the numbers of the picture's file |
    pub fn preset(name: &str, input: &str) -> Result<InputCard, CardError> {
        let (order, range, mean, std) = match name {
            "imagenet" => (ChannelOrder::Rgb, 1.0, IMAGENET_MEAN, IMAGENET_STD),
            "caffe" => (ChannelOrder::Bgr, BYTE_WHITE, CAFFE_MEAN, [1.0; 3]),
            "tf" => (ChannelOrder::Rgb, 1.0, [0.5; 3], [0.5; 3]),
            "unit" => (ChannelOrder::Rgb, 1.0, [0.0; 3], [1.0; 3]),
            "none" => (ChannelOrder::Rgb, BYTE_WHITE, [0.0; 3], [1.0; 3]),
            _ => return Err(CardError::UnknownPreset(name.to_string())),
        };
        Ok(InputCard {
            name: input.to_string(),
            kind: InputKind::Image,
            size: None,
            frames: None,
            order,
            range,
            mean: mean.to_vec(),
            std: std.to_vec(),
            luminance: false,
        })
    }

    /// The card of an input that is no picture.
    pub fn tensor(input: &str) -> InputCard {
        InputCard {
            name: input.to_string(),
            kind: InputKind::Tensor,
            size: None,
            frames: None,
            order: ChannelOrder::Rgb,
            range: 1.0,
            mean: vec![0.0],
            std: vec![1.0],
            luminance: false,
        }
    }

    /// Checks every number, and fills an empty mean or std with zeros or ones. Cards that were not read by
    /// [`Card::parse`], such as those made of flags, must pass here.
    pub fn complete(&mut self) -> Result<(), CardError> {
        if self.name.is_empty() {
            return Err(self.error("name", "is empty; it is the name of the graph's input"));
        }
        if !(self.range.is_finite() && self.range > 0.0) {
            return Err(self.error("range", format!("is {}; it must be above 0", self.range)));
        }
        if self.size.is_some_and(|size| size.contains(&0)) {
            return Err(self.error("size", "has a 0; it is [height, width]"));
        }
        match (self.kind, self.frames) {
            (_, Some(frames)) if !(1..=MAX_FRAMES).contains(&frames) => {
                return Err(self.error("frames", format!("is {frames}; it must be from 1 to {MAX_FRAMES}")));
            }
            (InputKind::Image | InputKind::Tensor, Some(_)) => {
                return Err(self.error("frames", "is for kind = \"clip\" and kind = \"flow\""));
            }
            _ => {}
        }
        if matches!(self.kind, InputKind::Flow | InputKind::Tensor) && self.order != ChannelOrder::Rgb {
            return Err(self.error("order", "is for kind = \"image\" and kind = \"clip\""));
        }
        if self.kind == InputKind::Tensor && self.size.is_some() {
            return Err(self.error("size", "is for pictures, not for kind = \"tensor\""));
        }
        let lengths = self.channel_counts();
        for (key, list, default) in [("mean", &self.mean, 0.0), ("std", &self.std, 1.0)] {
            if list.is_empty() {
                continue;
            }
            if !lengths.contains(&list.len()) {
                let wanted = lengths.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
                let reason = match self.kind {
                    InputKind::Flow => "kind = \"flow\"".to_string(),
                    InputKind::Tensor => "kind = \"tensor\"".to_string(),
                    _ => format!("order = \"{}\"", self.order.name()),
                };
                let problem = format!("has {} numbers, where {reason} needs {wanted}", list.len());
                return Err(self.error(key, problem));
            }
            let bad = |v: &&f32| !v.is_finite() || default == 1.0 && **v <= 0.0;
            if let Some(value) = list.iter().find(bad) {
                let rule = if key == "std" { "above 0" } else { "finite" };
                return Err(self.error(key, format!("holds {value}; every number must be {rule}")));
            }
        }
        let differ =
            [&self.mean, &self.std].iter().any(|list| list.windows(2).any(|pair| pair[0] != pair[1]));
        if self.kind == InputKind::Flow && self.frames.is_none() && differ {
            return Err(self.error(
                "frames",
                "is missing; means or deviations that differ between planes of flow need it",
            ));
        }
        let channels = lengths[0];
        if self.mean.is_empty() {
            self.mean = vec![0.0; channels];
        }
        if self.std.is_empty() {
            self.std = vec![1.0; channels];
        }
        Ok(())
    }

    /// How many means a card may have; the first is the count of those filled in.
    fn channel_counts(&self) -> Vec<usize> {
        match (self.kind, self.frames) {
            (InputKind::Image | InputKind::Clip, _) => vec![self.order.channels()],
            (InputKind::Tensor, _) => vec![1],
            (InputKind::Flow, None | Some(1)) => vec![2, 1],
            (InputKind::Flow, Some(frames)) => vec![2, 1, 2 * frames],
        }
    }

    fn error(&self, key: &'static str, problem: impl Into<String>) -> CardError {
        CardError::Input { input: self.name.clone(), key, problem: problem.into() }
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
        assert_eq!(card.layout, Layout::Nchw);
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
