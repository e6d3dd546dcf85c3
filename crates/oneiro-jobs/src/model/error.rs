//! The error of a model that cannot be read, or not be used as requested.

use std::io;
use std::path::PathBuf;

use oneiro::card::InputAxes;
use oneiro::model::files::OpenError;
use oneiro_zoo::labels;

/// The reason why a model cannot be read, or not be used as requested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The name is neither a file nor a built-in network.
    #[error(
        "there is no file {}, and no built-in network of that name (there are {})",
        path.display(), built_in.join(", ")
    )]
    NotFound {
        /// Path of the missing file.
        path: PathBuf,
        /// Names of the built-in networks.
        built_in: Vec<&'static str>,
    },
    /// The built-in network is missing from this build.
    #[error(
        "this program was built without the network {name}; build it with the feature `embedded`, or name a model file"
    )]
    LeftOut {
        /// Name of the network.
        name: &'static str,
    },
    /// The model file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The model card that was given does not exist.
    #[error("the model card {}: there is no such file; check the path", path.display())]
    NoCard {
        /// Path of the card's file.
        path: PathBuf,
    },
    /// The operating system cannot read the model card.
    #[error("could not read the model card {}", path.display())]
    Card {
        /// Path of the card's file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The operating system cannot read the labels.
    #[error(
        "could not read the labels {} (built-in lists are {})",
        path.display(), labels::BUILTIN.join(", ")
    )]
    Labels {
        /// Path of the labels' file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A card inside a model file refers to labels in another file.
    #[error(
        "the card in the model file names the labels \"{labels}\"; a card there may only name a built-in list ({})",
        labels::BUILTIN.join(", ")
    )]
    LabelsElsewhere {
        /// Name of the list of labels.
        labels: String,
    },
    /// A class was requested by name, but the model has no labels.
    #[error("the model has no class labels, so \"{name}\" must be an index")]
    NoLabels {
        /// Name of the class.
        name: String,
    },
    /// The number of labels is not the number of classes.
    #[error("{}", counted(*labels, *classes))]
    LabelCount {
        /// Number of labels in the list.
        labels: usize,
        /// Number of classes of the network.
        classes: usize,
        /// A description of the network's outputs, if there are several.
        outputs: Option<String>,
    },
    /// A unit is no layer, but there is a class of this name.
    #[error("{error}; there is a class of this name: class:{name}")]
    IsClass {
        /// The name that was given for a layer.
        name: String,
        /// The error of reading the name as a layer.
        error: Box<oneiro::Error>,
    },
    /// The network takes no pictures, which the job needs.
    #[error(
        "{model} takes no pictures: its input \"{input}\" has shape [{}], and pictures have batch, channels, height and \
         width{}; `oneiro run` and `oneiro check` work on raw tensors",
        shape.join(", "),
        if shape.len() == 3 { ": signals and tokens cannot be visualized yet" } else { "" }
    )]
    NoPictures {
        /// The model's name as the user gave it.
        model: String,
        /// Name of the first input that a node reads.
        input: String,
        /// Extents of this input, "?" for open ones.
        shape: Vec<String>,
        /// A layer after a part that cannot be run, at which the network could begin.
        begin_at: Option<String>,
    },
    /// The card describes an input and an inner tensor, and no node after the inner tensor reads the input.
    #[error(
        "the model card describes the input \"{input}\" and the inner tensor \"{inner}\", behind which nothing reads that \
         input; leave one of them out"
    )]
    InputAndInner {
        /// Name of the input.
        input: String,
        /// Name of the inner tensor.
        inner: String,
    },
    /// A value is given for an input that cannot have it.
    #[error("input \"{input}\": {problem}")]
    Feed {
        /// Name of the input.
        input: String,
        /// Why the value cannot be used.
        problem: FeedProblem,
    },
    /// No input can have the given axes.
    #[error("the input axes {axes}: {problem}")]
    InputAxes {
        /// The axes that were given.
        axes: InputAxes,
        /// Why no input can have these axes.
        problem: InputAxesProblem,
    },
    /// The order of channels does not fit the number of the card's means or deviations.
    #[error("the order {order}: the card's numbers {numbers} are not those of {channels} channels")]
    Order {
        /// The order of channels that was requested.
        order: String,
        /// The values in the card.
        numbers: String,
        /// Number of channels in the requested order.
        channels: usize,
    },
    /// A number of frames is requested, but the network takes no clips.
    #[error(
        "{frames} frames are requested, but the network takes no clips (kind = \"clip\" in the model card)"
    )]
    NoClip {
        /// The number of frames that was requested.
        frames: usize,
    },
    /// Bands to be drawn are given, but the network takes no bands.
    #[error("no input takes bands, so that none can be shown")]
    NoBands {
        /// Indices, from 0, of the bands to be drawn.
        show: Vec<usize>,
    },
    /// Units depend on weights that are not finite.
    #[error(
        "weights of the network are not finite: {weights}; {} {} on them",
        units.join(", "),
        if units.len() == 1 { "depends" } else { "depend" }
    )]
    BrokenWeights {
        /// Description of the weights that are not finite.
        weights: String,
        /// Names of the units that depend on these weights.
        units: Vec<String>,
    },
}

/// The reason why an input cannot have a value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedProblem {
    /// The input is also given as a raw tensor.
    #[error("this input is given as a tensor already; leave one out")]
    IsGiven,
    /// Two values are given for the same input.
    #[error("its value is given twice")]
    Twice,
    /// The network has no input of this name.
    #[error("the network has no such input; it has {}", known.join(", "))]
    NoSuchInput {
        /// Names of the network's inputs.
        known: Vec<String>,
    },
    /// The input is the only picture input.
    #[error("it is the network's picture, which is what is sought")]
    IsPicture,
    /// A value in the file is not finite.
    #[error("{} holds {value}, no finite number", path.display())]
    NotFinite {
        /// Path of the file.
        path: PathBuf,
        /// The value that is not finite.
        value: f32,
    },
    /// The content of the file is no longer the recorded one.
    #[error("the content of {} is another than it was", path.display())]
    OtherContent {
        /// Path of the file.
        path: PathBuf,
    },
}

/// The reason why no input can have the given axes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputAxesProblem {
    /// No input has as many axes as were given.
    #[error("the file has another number of axes: {count} are given, {}",
            ranks.iter().map(|(input, rank)| format!("input \"{input}\" has {rank}")).collect::<Vec<_>>().join(", "))]
    Count {
        /// Number of axes that were given.
        count: usize,
        /// Names of the inputs, with their numbers of axes.
        ranks: Vec<(String, usize)>,
    },
    /// Several inputs have as many axes as were given.
    #[error(
        "{inputs} inputs of the network have {count} axes; describe them in a model card ([[input]] with axes)"
    )]
    Ambiguous {
        /// Number of inputs with as many axes.
        inputs: usize,
        /// Number of axes that were given.
        count: usize,
    },
    /// The card does not describe the input.
    #[error("the model card does not describe \"{input}\"")]
    NotInCard {
        /// Name of the input.
        input: String,
    },
}

fn counted(labels: usize, classes: usize) -> String {
    match classes {
        1 => format!("{labels} class labels for a network with 1 output, which is a yes or no"),
        _ => format!("{labels} class labels for a network with {classes} classes"),
    }
}
