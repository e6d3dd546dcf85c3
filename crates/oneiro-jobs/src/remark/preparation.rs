//! Remarks on how a model is read and its inputs are preprocessed.

use std::fmt;

/// A remark on how a model is read and its inputs are preprocessed.
///
/// `numbers` describes the values of a preprocessing: `RGB in 0-1, mean .485 .456 .406, std .229 .224 .225`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PreparationRemark {
    /// A remark on the graph, from the reader of its file.
    Graph(String),
    /// The preprocessing of images is not given, or only partly.
    Guessed {
        /// Whether a mean or a standard deviation is given.
        in_part: bool,
        /// The preprocessing that is used, input by input.
        ways: Vec<String>,
    },
    /// The preprocessing of bands is not given anywhere.
    GuessedBands {
        /// Name of the input.
        input: String,
    },
    /// The preprocessing of bands is partly given by the request.
    Bands {
        /// Name of the input.
        input: String,
        /// The means and deviations that are used.
        numbers: String,
    },
    /// The model file describes the preprocessing of images.
    ByModelFile {
        /// The part of the file: "the metadata".
        source: String,
    },
    /// Pictures are converted to grey.
    Gray,
    /// The values of three colours were averaged for a network that takes grey pictures.
    Averaged {
        /// The name of the preprocessing with these values, if they are not the card's.
        preprocess: Option<String>,
        /// The averages that are used.
        numbers: String,
    },
    /// Values of a preprocessing were put into another order of channels.
    Reordered {
        /// Name of the preprocessing.
        preprocess: String,
        /// The values in the new order.
        numbers: String,
    },
    /// The mean of a channel is larger than the value of white.
    LargeMean {
        /// The mean of the first channel.
        mean: f32,
    },
    /// The channels of an input are assumed to be on the last axis.
    ChannelsLast {
        /// Name of the input.
        input: String,
    },
    /// The axes of an input were guessed.
    AxesGuessed {
        /// Name of the input.
        input: String,
        /// Number of axes of the input.
        count: usize,
        /// The axes that were guessed.
        axes: String,
    },
    /// The given axes of a layer contradict the graph.
    AxesContradicted {
        /// Name of the layer.
        layer: String,
        /// The axes that were given.
        stated: String,
        /// The axes that follow from the graph.
        found: String,
    },
    /// An input that is no picture is set to zeros.
    Zeros {
        /// Name of the input.
        input: String,
        /// Whether the input has as many axes as a picture without batch or channels.
        maybe_picture: bool,
    },
    /// A value is given for an input that no node reads.
    Unread {
        /// Name of the input.
        input: String,
    },
    /// A picture input takes integers.
    Integers {
        /// Name of the input.
        input: String,
        /// The numbers that the input takes for black and white.
        ends: [f32; 2],
        /// Whether these values are too close together for a picture of integers.
        doubtful: bool,
    },
}

impl fmt::Display for PreparationRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph(text) => f.write_str(text),
            Self::Guessed { in_part, ways } => {
                let done = match in_part {
                    false => "nothing says how images are prepared, so it",
                    true => "nothing says all of how images are prepared, so the rest",
                };
                write!(
                    f,
                    "{done} is done as for torchvision's ImageNet networks ({}); if that is wrong, so are the results",
                    ways.join("; ")
                )
            }
            Self::GuessedBands { input } => write!(
                f,
                "nothing says how the bands of \"{input}\" are prepared, so they are given as they are, 0-1; if that is wrong, \
                 so are the results"
            ),
            Self::Bands { input, numbers } => {
                write!(f, "the bands of \"{input}\" are prepared as {numbers}")
            }
            Self::ByModelFile { source } => {
                write!(f, "images are prepared as {source} in the model file say")
            }
            Self::Gray => f.write_str("the network reads one channel: pictures are turned to grey for it"),
            Self::Averaged { preprocess, numbers } => {
                let source = preprocess
                    .as_ref()
                    .map_or("the card".to_owned(), |name| format!("the preprocessing {name}"));
                write!(
                    f,
                    "{source} has numbers for three colours; a grey network gets their means: {numbers}"
                )
            }
            Self::Reordered { preprocess, numbers } => {
                write!(f, "the preprocessing {preprocess} in another order: {numbers}")
            }
            Self::LargeMean { mean } => {
                write!(f, "a mean of {mean} is subtracted from pixels of 0-1")
            }
            Self::ChannelsLast { input } => write!(
                f,
                "input \"{input}\" has its channels on the last axis, so the network is taken for one with channels last"
            ),
            Self::AxesGuessed { input, count, axes } => write!(
                f,
                "input \"{input}\" has {count} axes, which are taken for {axes} (kind = \"tensor\" in the card if it is no \
                 picture)"
            ),
            Self::AxesContradicted { layer, stated, found } => write!(
                f,
                "the axes of \"{layer}\" are stated as {stated}, by the graph they are {found}: what is stated counts"
            ),
            Self::Zeros { input, .. } => {
                write!(f, "input \"{input}\" is no picture: it is fed with zeros")
            }
            Self::Unread { input } => {
                write!(f, "no node reads input \"{input}\": its value changes nothing")
            }
            Self::Integers { input, ends: [low, high], doubtful } => {
                let doubt = if *doubtful { "; pictures of integers mostly hold 0 to 255" } else { "" };
                write!(
                    f,
                    "input \"{input}\" takes integers in the file: it is fed with the real numbers that they stand for, not \
                     rounded, black as {low} and white as {high}{doubt}"
                )
            }
        }
    }
}
