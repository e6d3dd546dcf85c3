//! Reasons why an input of a network cannot be fed as requested.

use crate::card::InputAxes;

/// The reason why an input of a network cannot be fed as requested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The network has no input.
    #[error("the network has no input")]
    NoInput,
    /// The card describes an input that does not exist.
    #[error("the card describes input \"{input}\", which the network does not have; it has {}", known.join(", "))]
    NotInNetwork {
        /// Name of the input in the card.
        input: String,
        /// Names of the network's inputs.
        known: Vec<String>,
    },
    /// The card does not describe an input.
    #[error(
        "the card does not describe input \"{input}\" of the network (only {}); add an [[input]] for it, with kind = \
         \"tensor\" if it is no picture",
        described.join(", ")
    )]
    NotInCard {
        /// Name of the network's input.
        input: String,
        /// Names of the inputs that the card describes.
        described: Vec<String>,
    },
    /// A value is given for an input that does not exist.
    #[error("the network has no input \"{input}\" to feed; it has {}", known.join(", "))]
    NoSuchInput {
        /// The name that was given.
        input: String,
        /// Names of the network's inputs.
        known: Vec<String>,
    },
    /// A value is given for an input that takes pictures.
    #[error(
        "input \"{input}\" is a picture, which is what is sought; only inputs that are none are fed with a value (kind = \
         \"tensor\" in the card says that it is none)"
    )]
    IsPicture {
        /// Name of the input.
        input: String,
    },
    /// A value is given for the network's only input.
    #[error(
        "input \"{input}\" is the only one of the network: fed with a value, there is nothing left to seek"
    )]
    OnlyInput {
        /// Name of the input.
        input: String,
    },
    /// An image, clip or flow has too few axes.
    #[error(
        "input \"{input}\" has shape {shape:?}; images, clips and flow have at least 3 axes, so its card should say kind = \
         \"tensor\""
    )]
    FewAxes {
        /// Name of the input.
        input: String,
        /// Shape of the input.
        shape: Vec<usize>,
    },
    /// Several pictures are given for an input without a batch axis.
    #[error("input \"{input}\" has no batch axis, so the network takes one picture at a time, not {batch}")]
    Unbatched {
        /// Name of the input.
        input: String,
        /// Number of pictures that were given.
        batch: usize,
    },
    /// A picture input does not have four axes.
    #[error(
        "input \"{input}\" has shape {shape:?}; pictures need four axes: batch, channels, height, width (export the network \
         for a batch)"
    )]
    NotFourAxes {
        /// Name of the input.
        input: String,
        /// Shape of the input.
        shape: Vec<usize>,
    },
    /// A clip input does not have five axes.
    #[error(
        "input \"{input}\" has shape {shape:?}; clips need five axes: batch, channels, time, height, width"
    )]
    NotFiveAxes {
        /// Name of the input.
        input: String,
        /// Shape of the input.
        shape: Vec<usize>,
    },
    /// A picture input has another number of channels than its card describes.
    #[error("input \"{input}\" takes {channels} channel{}, pictures are prepared with {prepared}{}",
            if *channels == 1 { "" } else { "s" }, last_axis(*maybe_last))]
    Channels {
        /// Name of the input.
        input: String,
        /// Number of channels of the network's input.
        channels: usize,
        /// Number of channels that the card describes.
        prepared: usize,
        /// Whether the last axis has the card's number of channels, so that the input may be channels last.
        maybe_last: bool,
    },
    /// The axes of a picture input are unknown or impossible.
    #[error("input \"{input}\" has {rank} axes, {problem}")]
    Axes {
        /// Name of the input.
        input: String,
        /// Number of the input's axes.
        rank: usize,
        /// What is wrong with the axes.
        problem: AxesProblem,
    },
    /// The network takes no single images.
    #[error("the network does not take single images: {why}")]
    NotSingleImages {
        /// The reason: its inputs take something else, several take pictures, or no input is known to take
        /// pictures.
        why: String,
    },
    /// The pictures are bands, but photographs are needed.
    #[error(
        "input \"{input}\" takes pictures of {bands} bands, and this works on photographs (order = \"rgb\", \"bgr\" or \
         \"gray\"); `render`, `sheet`, `invert`, `caricature`, `accentuate` and `grid` take bands"
    )]
    Bands {
        /// Name of the input.
        input: String,
        /// Number of bands of the pictures.
        bands: usize,
    },
    /// An input that takes clips or optical flow, where still pictures are made.
    #[error("input \"{input}\" takes {what}, this makes still pictures, and the unit depends on it")]
    NotAnImage {
        /// Name of the input.
        input: String,
        /// What the input takes: "clips" or "optical flow".
        what: &'static str,
    },
    /// The fill of transforms has another number of values than the pictures have channels.
    #[error(
        "the transforms fill with {values} values, but pictures of input \"{input}\" have {channels} channels; use \
         fill(VALUE), or a value for each"
    )]
    Fill {
        /// Name of the input.
        input: String,
        /// Number of values of the fill colour.
        values: usize,
        /// Number of channels in the input's pictures.
        channels: usize,
    },
    /// An objective, or a penalty in it, depends on tensors only and on no picture.
    #[error("{objective} depends on no picture: its inputs are of kind \"tensor\" in the model card")]
    NoPicture {
        /// The objective, as an expression.
        objective: String,
        /// An input that may be a picture of bands, with the extent of its axis 1.
        maybe_bands: Option<(String, usize)>,
    },
}

/// What is wrong with the axes of a picture input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AxesProblem {
    /// The axes are not stated and cannot be inferred.
    #[error(
        "and nothing tells which are batch, channels, height and width: give them (axes = \"C,H,W\" in the card's [[input]]), \
         or kind = \"tensor\" if it is no picture"
    )]
    Unknown,
    /// The card states another number of axes than the input has.
    #[error("and the axes {axes} are {}", axes.groups().len())]
    Count {
        /// The axes that the card states.
        axes: InputAxes,
    },
    /// The position of the channels contradicts the card's layout.
    #[error("and the axes {axes}, which need layout = \"{layout}\"")]
    Layout {
        /// The axes that the card states.
        axes: InputAxes,
        /// The layout that these axes need: "nchw" or "nhwc".
        layout: &'static str,
    },
    /// A flattened axis has an open extent.
    #[error("and the file leaves open how long {axes} is")]
    Open {
        /// The axes that the card states.
        axes: InputAxes,
    },
    /// The extent of a flattened axis does not fit a picture.
    #[error(
        "of which {extent} numbers are to be {channels} channels of {}x{}; give size = [H, W] in the card's [[input]]",
        size[0], size[1]
    )]
    Extent {
        /// Extent of the axis in the file.
        extent: usize,
        /// Number of channels of the picture.
        channels: usize,
        /// Height and width, from the card or derived from the extent.
        size: [usize; 2],
    },
}

fn last_axis(maybe_last: bool) -> &'static str {
    match maybe_last {
        true => {
            "; its last axis has as many: if that is where the channels are, the card needs layout = \"nhwc\""
        }
        false => "",
    }
}
