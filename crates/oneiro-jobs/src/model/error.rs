//! Why a model cannot be read, or not used as it is asked.

use std::io;
use std::path::PathBuf;

use oneiro::card::InputAxes;
use oneiro::model::files::OpenError;
use oneiro_zoo::labels;

/// Why a model cannot be read, or not used as it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Neither a file nor a built-in network.
    #[error(
        "there is no file {}, and no built-in network of that name (there are {})",
        path.display(), built_in.join(", ")
    )]
    NotFound {
        /// The file.
        path: PathBuf,
        /// Names of the built-in networks.
        built_in: Vec<&'static str>,
    },
    /// The built-in network, in a build that leaves it out.
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
    /// There is no such model card.
    #[error("the model card {}: there is no such file; check the path", path.display())]
    NoCard {
        /// The card's file.
        path: PathBuf,
    },
    /// The system refuses to read the model card.
    #[error("could not read the model card {}", path.display())]
    Card {
        /// The card's file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// The system refuses to read the labels.
    #[error(
        "could not read the labels {} (built-in lists are {})",
        path.display(), labels::BUILTIN.join(", ")
    )]
    Labels {
        /// Their file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A card in a model file that names labels in another file.
    #[error(
        "the card in the model file names the labels \"{labels}\"; a card there may only name a built-in list ({})",
        labels::BUILTIN.join(", ")
    )]
    LabelsElsewhere {
        /// The labels' name.
        labels: String,
    },
    /// A class by its name, of a model without labels.
    #[error("the model has no class labels, so \"{name}\" must be an index")]
    NoLabels {
        /// The class's name.
        name: String,
    },
    /// Labels of another number than the network has classes.
    #[error("{}", counted(*labels, *classes))]
    LabelCount {
        /// Number of labels.
        labels: usize,
        /// Number of classes.
        classes: usize,
        /// The network's outputs in words, where there are several.
        outputs: Option<String>,
    },
    /// A unit that is no layer, but a class is of this name.
    #[error("{error}; there is a class of this name: class:{name}")]
    IsClass {
        /// The name.
        name: String,
        /// Why it is no layer.
        error: Box<oneiro::Error>,
    },
    /// A network that takes no pictures.
    #[error(
        "{model} takes no pictures: its input \"{input}\" has shape [{}], and pictures have batch, channels, height and \
         width{}; `oneiro run` and `oneiro check` work on raw tensors",
        shape.join(", "),
        if shape.len() == 3 { ": signals and tokens cannot be visualized yet" } else { "" }
    )]
    NoPictures {
        /// The person's name of the model.
        model: String,
        /// Its first input that is read.
        input: String,
        /// Extents of that, "?" where they are open.
        shape: Vec<String>,
        /// A layer to begin at, behind a part that cannot be run.
        begin_at: Option<String>,
    },
    /// The card describes an input and an inner tensor behind it.
    #[error(
        "the model card describes the input \"{input}\" and the inner tensor \"{inner}\", behind which nothing reads that \
         input; leave one of them out"
    )]
    InputAndInner {
        /// The input.
        input: String,
        /// The inner tensor.
        inner: String,
    },
    /// A value for an input that it cannot be for.
    #[error("input \"{input}\": {problem}")]
    Feed {
        /// The input.
        input: String,
        /// Why.
        problem: FeedProblem,
    },
    /// Axes for the picture input that no input can have.
    #[error("the input axes {axes}: {problem}")]
    InputAxes {
        /// The axes.
        axes: InputAxes,
        /// Why.
        problem: InputAxesProblem,
    },
    /// Channels in another order, for which the card has not as many numbers.
    #[error("the order {order}: the card's numbers {numbers} are not those of {channels} channels")]
    Order {
        /// The order asked for.
        order: String,
        /// The card's numbers.
        numbers: String,
        /// Channels of that order.
        channels: usize,
    },
    /// Bands to be shown of a network that takes none.
    #[error("no input takes bands, so that none can be shown")]
    NoBands {
        /// The bands to be shown, from 0.
        show: Vec<usize>,
    },
    /// Units that depend on weights that are not finite.
    #[error(
        "weights of the network are not finite: {weights}; {} {} on them",
        units.join(", "),
        if units.len() == 1 { "depends" } else { "depend" }
    )]
    BrokenWeights {
        /// The weights, in words.
        weights: String,
        /// The units.
        units: Vec<String>,
    },
}

/// Why an input cannot be fed with a value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedProblem {
    /// It is given as a raw tensor, too.
    #[error("this input is given as a tensor already; leave one out")]
    IsGiven,
    /// Two values.
    #[error("its value is given twice")]
    Twice,
    /// There is no such input.
    #[error("the network has no such input; it has {}", known.join(", "))]
    NoSuchInput {
        /// The network's inputs.
        known: Vec<String>,
    },
    /// It is the picture.
    #[error("it is the network's picture, which is what is sought")]
    IsPicture,
    /// A number that is not finite.
    #[error("{} holds {value}, no finite number", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The number.
        value: f32,
    },
    /// A file whose content has changed.
    #[error("the content of {} is another than it was", path.display())]
    OtherContent {
        /// The file.
        path: PathBuf,
    },
}

/// Why no input can have the axes that are given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputAxesProblem {
    /// No input has as many axes.
    #[error("the file has another number of axes: {count} are given, {}",
            ranks.iter().map(|(input, rank)| format!("input \"{input}\" has {rank}")).collect::<Vec<_>>().join(", "))]
    Count {
        /// Number of axes given.
        count: usize,
        /// The inputs, with their numbers of axes.
        ranks: Vec<(String, usize)>,
    },
    /// Several inputs have as many axes.
    #[error(
        "{inputs} inputs of the network have {count} axes; describe them in a model card ([[input]] with axes)"
    )]
    Ambiguous {
        /// Number of such inputs.
        inputs: usize,
        /// Number of axes given.
        count: usize,
    },
    /// The card leaves the input out.
    #[error("the model card does not describe \"{input}\"")]
    NotInCard {
        /// The input.
        input: String,
    },
}

fn counted(labels: usize, classes: usize) -> String {
    match classes {
        1 => format!("{labels} class labels for a network with 1 output, which is a yes or no"),
        _ => format!("{labels} class labels for a network with {classes} classes"),
    }
}
