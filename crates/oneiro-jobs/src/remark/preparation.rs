//! Remarks on how a model is read and its inputs are prepared.

use std::fmt;

/// A remark on how a model is read and its inputs are prepared.
///
/// `numbers` are those of a preparation, in words: `RGB in 0-1, mean .485 .456 .406, std .229 .224 .225`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PreparationRemark {
    /// On the graph, by the reader of its file.
    Graph(String),
    /// Nothing says how images are prepared, or only in part.
    Guessed {
        /// Whether a mean or a standard deviation is given.
        in_part: bool,
        /// How they are prepared, input by input.
        ways: Vec<String>,
    },
    /// Nothing says how bands are prepared.
    GuessedBands {
        /// The input.
        input: String,
    },
    /// Bands are prepared as the request says, in part.
    Bands {
        /// The input.
        input: String,
        /// How.
        numbers: String,
    },
    /// The model file itself says how images are prepared.
    ByModelFile {
        /// The part of the file: "the metadata".
        source: String,
    },
    /// Pictures are turned to grey.
    Gray,
    /// The numbers of three colours were averaged for a grey network.
    Averaged {
        /// The preprocessing that has them; the card if there is none.
        preprocess: Option<String>,
        /// The means.
        numbers: String,
    },
    /// The numbers of a preprocessing in another order of channels.
    Reordered {
        /// The preprocessing.
        preprocess: String,
        /// Its numbers, in that order.
        numbers: String,
    },
    /// A mean that is larger than white.
    LargeMean {
        /// The mean of the first channel.
        mean: f32,
    },
    /// The channels of an input are taken to be on the last axis.
    ChannelsLast {
        /// The input.
        input: String,
    },
    /// The axes of an input are guessed.
    AxesGuessed {
        /// The input.
        input: String,
        /// Number of its axes.
        count: usize,
        /// The axes that they are taken for.
        axes: String,
    },
    /// Axes of a layer that are stated other than the graph has them.
    AxesContradicted {
        /// The layer.
        layer: String,
        /// As they are stated.
        stated: String,
        /// As the graph has them.
        found: String,
    },
    /// An input that is no picture is fed with zeros.
    Zeros {
        /// The input.
        input: String,
        /// Whether it has as many axes as a picture may have that lacks a batch or channels.
        maybe_picture: bool,
    },
    /// A value for an input that no node reads.
    Unread {
        /// The input.
        input: String,
    },
    /// A picture input of integers.
    Integers {
        /// The input.
        input: String,
        /// Black and white, as it is fed with.
        ends: [f32; 2],
        /// Whether these are too near for a picture of integers.
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
