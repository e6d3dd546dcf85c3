//! Why an input of a network cannot be fed as it is asked.

use crate::card::InputAxes;

/// Why an input of a network cannot be fed as it is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The network has no input at all.
    #[error("the network has no input")]
    NoInput,
    /// The card describes an input that is not there.
    #[error("the card describes input \"{input}\", which the network does not have; it has {}", known.join(", "))]
    NotInNetwork {
        /// The input's name in the card.
        input: String,
        /// The network's inputs.
        known: Vec<String>,
    },
    /// The card leaves an input out.
    #[error(
        "the card does not describe input \"{input}\" of the network (only {}); add an [[input]] for it, with kind = \
         \"tensor\" if it is no picture",
        described.join(", ")
    )]
    NotInCard {
        /// The network's input.
        input: String,
        /// The inputs that the card describes.
        described: Vec<String>,
    },
    /// A value for an input that is not there.
    #[error("the network has no input \"{input}\" to feed; it has {}", known.join(", "))]
    NoSuchInput {
        /// The name given.
        input: String,
        /// The network's inputs.
        known: Vec<String>,
    },
    /// A value for the picture.
    #[error(
        "input \"{input}\" is a picture, which is what is sought; only inputs that are none are fed with a value (kind = \
         \"tensor\" in the card says that it is none)"
    )]
    IsPicture {
        /// The input.
        input: String,
    },
    /// A value for the network's only input.
    #[error(
        "input \"{input}\" is the only one of the network: fed with a value, there is nothing left to seek"
    )]
    OnlyInput {
        /// The input.
        input: String,
    },
    /// An image, clip or flow of too few axes.
    #[error(
        "input \"{input}\" has shape {shape:?}; images, clips and flow have at least 3 axes, so its card should say kind = \
         \"tensor\""
    )]
    FewAxes {
        /// The input.
        input: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Several pictures for an input without a batch.
    #[error("input \"{input}\" has no batch axis, so the network takes one picture at a time, not {batch}")]
    Unbatched {
        /// The input.
        input: String,
        /// Number of pictures.
        batch: usize,
    },
    /// A picture input whose shape has another number of axes than four.
    #[error(
        "input \"{input}\" has shape {shape:?}; pictures need four axes: batch, channels, height, width (export the network \
         for a batch)"
    )]
    NotFourAxes {
        /// The input.
        input: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A clip input whose shape has another number of axes than five.
    #[error(
        "input \"{input}\" has shape {shape:?}; clips need five axes: batch, channels, time, height, width"
    )]
    NotFiveAxes {
        /// The input.
        input: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A picture input of another number of channels than its card prepares.
    #[error("input \"{input}\" takes {channels} channel{}, pictures are prepared with {prepared}{}",
            if *channels == 1 { "" } else { "s" }, last_axis(*maybe_last))]
    Channels {
        /// The input.
        input: String,
        /// Channels that the network takes.
        channels: usize,
        /// Channels that the card prepares.
        prepared: usize,
        /// Whether the last axis has as many as are prepared: the channels may be there.
        maybe_last: bool,
    },
    /// Axes of a picture input that are not known, or not possible.
    #[error("input \"{input}\" has {rank} axes, {problem}")]
    Axes {
        /// The input.
        input: String,
        /// Number of its axes.
        rank: usize,
        /// Why.
        problem: AxesProblem,
    },
    /// A network that takes no single images.
    #[error("the network does not take single images: {why}")]
    NotSingleImages {
        /// Its inputs take something else, several take pictures, or nothing says that one does.
        why: String,
    },
    /// Bands, where photographs are needed.
    #[error(
        "input \"{input}\" takes pictures of {bands} bands, and this works on photographs (order = \"rgb\", \"bgr\" or \
         \"gray\"); `render`, `sheet`, `invert`, `caricature`, `accentuate` and `grid` take bands"
    )]
    Bands {
        /// The input.
        input: String,
        /// Number of bands.
        bands: usize,
    },
    /// An input that a rendering cannot change: a clip or optical flow.
    #[error(
        "input \"{input}\" is not an image; only image inputs can be rendered so far, and this unit depends on it"
    )]
    NotAnImage {
        /// The input.
        input: String,
    },
    /// A fill of transforms with another number of values than the pictures have channels.
    #[error(
        "the transforms fill with {values} values, but pictures of input \"{input}\" have {channels} channels; use \
         fill(VALUE), or a value for each"
    )]
    Fill {
        /// The input.
        input: String,
        /// Values of the fill.
        values: usize,
        /// Channels of the input's pictures.
        channels: usize,
    },
    /// An objective, or a penalty in it, that depends on no picture, only on tensors.
    #[error("{objective} depends on no picture: its inputs are of kind \"tensor\" in the model card")]
    NoPicture {
        /// The objective.
        objective: String,
        /// An input that may be a picture of bands, with the extent of axis 1.
        maybe_bands: Option<(String, usize)>,
    },
}

/// A fault of the axes of a picture input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AxesProblem {
    /// The axes cannot be inferred.
    #[error(
        "and nothing tells which are batch, channels, height and width: give them (axes = \"C,H,W\" in the card's [[input]]), \
         or kind = \"tensor\" if it is no picture"
    )]
    Unknown,
    /// The card states another number of axes.
    #[error("and the axes {axes} are {}", axes.groups().len())]
    Count {
        /// As the card states them.
        axes: InputAxes,
    },
    /// The axes have their channels where the layout has none.
    #[error("and the axes {axes}, which need layout = \"{layout}\"")]
    Layout {
        /// As the card states them.
        axes: InputAxes,
        /// The layout that they need: "nchw" or "nhwc".
        layout: &'static str,
    },
    /// Joined axes of an open extent.
    #[error("and the file leaves open how long {axes} is")]
    Open {
        /// As the card states them.
        axes: InputAxes,
    },
    /// Joined axes of an extent that is no picture's.
    #[error(
        "of which {extent} numbers are to be {channels} channels of {}x{}; give size = [H, W] in the card's [[input]]",
        size[0], size[1]
    )]
    Extent {
        /// Numbers in the file's axis.
        extent: usize,
        /// Channels of the picture.
        channels: usize,
        /// Height and width, as the card says or by the extent.
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
