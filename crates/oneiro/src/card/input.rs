//! A card's entry for one input: its kind, its channels, and the conversion of display units to the
//! network's.

use serde::{Deserialize, Serialize};

use super::{CardError, FeedValue, InputAxes, is_alike, is_default};

/// Mean and standard deviation of ImageNet, RGB in 0–1 (torchvision's published constants).
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet, see [`IMAGENET_MEAN`].
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Mean colour of the Caffe models of the VGG group, BGR in 0–255.
pub const CAFFE_MEAN: [f32; 3] = [103.939, 116.779, 123.68];
/// The value of white in an 8-bit picture.
const BYTE_WHITE: f32 = 255.0;

/// Most frames of a clip in a card: a limit that catches typing errors.
const MAX_FRAMES: usize = 4096;

/// Names of the preprocessings of [`InputCard::preset`].
pub const PREPROCESS_PRESETS: [&str; 5] = ["imagenet", "caffe", "tf", "unit", "none"];

/// What a network's input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InputKind {
    /// One picture, (N, C, H, W).
    #[default]
    Image,
    /// Several pictures, (N, C, T, H, W).
    Clip,
    /// Optical flow between T + 1 pictures, (N, 2T, H, W): u0, v0, u1, v1, ….
    Flow,
    /// Any other tensor. It is fed with [`InputCard::value`] or zeros; it is never optimised.
    Tensor,
}

impl InputKind {
    /// The kind's name in a model card.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Clip => "clip",
            Self::Flow => "flow",
            Self::Tensor => "tensor",
        }
    }
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
    /// One channel of brightness (luma).
    Gray,
    /// Any number of bands that are no colours, such as those of a satellite, or RGB with depth. Display
    /// images have the same bands.
    Bands,
}

impl ChannelOrder {
    fn name(self) -> &'static str {
        match self {
            ChannelOrder::Bands => "bands",
            ChannelOrder::Rgb => "rgb",
            ChannelOrder::Bgr => "bgr",
            ChannelOrder::Gray => "gray",
        }
    }
}

/// One input of a network, with the conversion from display units to the units of its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputCard {
    /// Name of the input in the model file.
    pub name: String,
    /// What the input takes.
    #[serde(default)]
    pub kind: InputKind,
    /// Height and width. They are needed if the graph leaves them open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Number of frames (T) of a clip or of flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Channels of an image or clip. Flow ignores it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub order: ChannelOrder,
    /// For bands: the bands that are drawn as red, green and blue, counted from 0. A single band is drawn
    /// grey. By default the first three bands, or the first if there are fewer than three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<usize>,
    /// The value of white before the mean is subtracted. For flow: the limit in pixels per frame to which
    /// displacements are clipped.
    #[serde(default = "unit_range")]
    pub range: f32,
    /// Means to subtract, in units of the range: one number for each channel in the network's order. For
    /// bands also one number for all; for flow one, two (u, v) or 2·`frames`. Default: zeros.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// Deviations by which values are then divided, in the form of `mean`. Default: ones.
    #[serde(default)]
    pub std: Vec<f32>,
    /// Whether the network uses only the luminance of colours (Rec. 601), although it has three channels. Its
    /// pictures are then shown in grey.
    #[serde(default, skip_serializing_if = "is_default")]
    pub luminance: bool,
    /// The axes of the input, if they differ from batch, channels, height and width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axes: Option<InputAxes>,
    /// The value with which an input is fed that is no picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<FeedValue>,
}

/// The default range, in which white is 1.
fn unit_range() -> f32 {
    1.0
}

impl InputCard {
    /// Returns the preprocessing of an RGB or BGR image by name, for the graph input `input`:
    ///
    /// | name | network units |
    /// |---|---|
    /// | `imagenet` | RGB, (x − mean)/std with torchvision's constants |
    /// | `caffe` | BGR, 255·x − (103.939, 116.779, 123.68) |
    /// | `tf` | RGB, 2·x − 1 |
    /// | `unit` | RGB, 0–1 |
    /// | `none` | RGB, 0–255: the pixel values of picture files |
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
            show: Vec::new(),
            range,
            mean: mean.to_vec(),
            std: std.to_vec(),
            luminance: false,
            axes: None,
            value: None,
        })
    }

    /// Returns the card of an input that is no picture.
    pub fn tensor(input: &str) -> InputCard {
        InputCard {
            name: input.to_string(),
            kind: InputKind::Tensor,
            size: None,
            frames: None,
            order: ChannelOrder::Rgb,
            show: Vec::new(),
            range: 1.0,
            mean: vec![0.0],
            std: vec![1.0],
            luminance: false,
            axes: None,
            value: None,
        }
    }

    /// Returns the card of a picture of bands with values 0–1. `preset` may name a preprocessing that treats
    /// all channels alike (`tf`, `unit`, `none`).
    pub fn bands(preset: Option<&str>, input: &str) -> Result<InputCard, CardError> {
        let mut card = InputCard::preset(preset.unwrap_or("unit"), input)?;
        if !is_alike(&card.mean) || !is_alike(&card.std) {
            return Err(CardError::ColorPreset(preset.unwrap_or_default().to_owned()));
        }
        card.order = ChannelOrder::Bands;
        card.mean.truncate(1);
        card.std.truncate(1);
        Ok(card)
    }

    /// Number of channels of an image or clip in the network. For bands it is the length of the mean; a
    /// single mean stands for all bands until [`InputCard::fit_bands`] is called.
    pub fn channels(&self) -> usize {
        match self.order {
            ChannelOrder::Rgb | ChannelOrder::Bgr => 3,
            ChannelOrder::Gray => 1,
            ChannelOrder::Bands => self.mean.len().max(self.std.len()).max(1),
        }
    }

    /// Returns the planes of a display image that are drawn as red, green and blue.
    pub fn shown(&self) -> [usize; 3] {
        match self.show[..] {
            [gray] => [gray; 3],
            [red, green, blue] => [red, green, blue],
            _ if self.order == ChannelOrder::Bands && self.channels() < 3 => [0; 3],
            _ => [0, 1, 2],
        }
    }

    /// Sets the number of bands: that of the network's channels, or `None` if the file leaves it open. Lists
    /// of several numbers must agree with it, and a single number is repeated. Other channel orders stay
    /// unchanged.
    ///
    /// # Errors
    /// If the numbers disagree, if the number of bands is unknown, or if `show` names a band that does not
    /// exist.
    pub fn fit_bands(&mut self, channels: Option<usize>) -> Result<(), CardError> {
        if self.order != ChannelOrder::Bands {
            return Ok(());
        }
        match (self.channels(), channels) {
            (1, None) => {
                return Err(self.error(
                    "mean",
                    "is one number for all bands, and the network's file leaves their count open; give one a band, or \
                     layout = \"nhwc\" if its channels are last",
                ));
            }
            (1, Some(bands)) => [&mut self.mean, &mut self.std].iter_mut().for_each(|list| {
                list.resize(bands, list[0]);
            }),
            (listed, Some(bands)) if listed != bands => {
                return Err(self.error(
                    "mean",
                    format!("or `std` has {listed} numbers, and the network's input {bands} channels; give one a band, or one for all"),
                ));
            }
            _ => {}
        }
        self.check_shown(self.channels())
    }

    /// Gives flow its number of fields: half of the network's channels (`None` if its file leaves them open).
    /// Does nothing for other kinds.
    ///
    /// # Errors
    /// If the network has an odd number of channels, or another than the card's `frames` need.
    pub fn fit_flow(&mut self, channels: Option<usize>) -> Result<(), CardError> {
        let (InputKind::Flow, Some(channels)) = (self.kind, channels) else { return Ok(()) };
        let fields = self.frames.unwrap_or(channels / 2);
        if 2 * fields != channels || channels == 0 {
            let problem = match self.frames {
                Some(_) => format!(
                    "is {fields}, which is {} planes of flow, and the network's input has {channels} channels",
                    2 * fields
                ),
                None => format!("cannot be known: flow has 2 planes a field, the input {channels} channels"),
            };
            return Err(self.error("frames", problem));
        }
        self.frames = Some(fields);
        Ok(())
    }

    /// An error unless every band that is shown is below this count.
    fn check_shown(&self, bands: usize) -> Result<(), CardError> {
        match self.show.iter().find(|band| **band >= bands) {
            None => Ok(()),
            Some(band) => {
                let last = bands - 1;
                Err(self.error(
                    "show",
                    format!("names band {band}; the {bands} bands are counted from 0 to {last}"),
                ))
            }
        }
    }

    /// Checks every number, and fills a missing mean or std with zeros or ones. Cards that were not read by
    /// [`super::Card::parse`], such as those made from flags, must be checked here.
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
        if self.axes.is_some() && self.kind != InputKind::Image {
            return Err(self.error("axes", "is for kind = \"image\""));
        }
        if self.value.is_some() && self.kind != InputKind::Tensor {
            return Err(
                self.error("value", "is for kind = \"tensor\": what a picture holds is what is sought")
            );
        }
        if self.value.as_ref().and_then(FeedValue::number).is_some_and(|number| !number.is_finite()) {
            return Err(self.error("value", "is no finite number"));
        }
        if !self.show.is_empty() && self.order != ChannelOrder::Bands {
            return Err(self.error("show", "is for order = \"bands\""));
        }
        if self.luminance && self.order == ChannelOrder::Bands {
            return Err(self.error("luminance", "is for colours, not for order = \"bands\""));
        }
        if !matches!(self.show.len(), 0 | 1 | 3) {
            let problem = format!(
                "has {} numbers; it is three bands, drawn as red, green and blue, or one, drawn grey",
                self.show.len()
            );
            return Err(self.error("show", problem));
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
                    // For bands, a list of several numbers determines the number of bands.
                    _ if self.order == ChannelOrder::Bands => {
                        format!("order = \"bands\" with {} means or deviations", self.channels())
                    }
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
        let differ = ![&self.mean, &self.std].into_iter().all(|list| is_alike(list));
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
        if self.order == ChannelOrder::Bands {
            for list in [&mut self.mean, &mut self.std] {
                list.resize(channels, list[0]);
            }
            if channels > 1 {
                self.check_shown(channels)?;
            }
        }
        Ok(())
    }

    /// The allowed lengths of the mean. A missing mean gets the first of these lengths.
    fn channel_counts(&self) -> Vec<usize> {
        match (self.kind, self.frames) {
            (InputKind::Image | InputKind::Clip, _) if self.order == ChannelOrder::Bands => {
                vec![self.channels(), 1]
            }
            (InputKind::Image | InputKind::Clip, _) => vec![self.channels()],
            (InputKind::Tensor, _) => vec![1],
            (InputKind::Flow, None | Some(1)) => vec![2, 1],
            (InputKind::Flow, Some(frames)) => vec![2, 1, 2 * frames],
        }
    }

    pub(super) fn error(&self, key: &'static str, problem: impl Into<String>) -> CardError {
        CardError::Input { input: self.name.clone(), key, problem: problem.into() }
    }
}
