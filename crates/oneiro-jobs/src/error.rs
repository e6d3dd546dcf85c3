//! Errors of requests, with a variant for each kind.
//!
//! Each area has its own enum: [`ModelError`], [`SourceError`], [`FolderError`], [`JobError`],
//! [`CompareError`], [`FlowError`], [`ProvenanceError`], [`FileError`], [`TensorError`]. [`Error`] contains
//! these and the errors of the libraries on which this one depends. No message names a command-line flag:
//! the program adds such hints for each variant.
//!
//! ```
//! use oneiro_jobs::{Context, Error, Job, Kept, ModelSpec, RenderJob, Run, Setting, Silent};
//!
//! # fn main() -> oneiro_jobs::Result<()> {
//! let context = Context::new(Some(1), Silent)?;
//! let model = ModelSpec::named("hog").load(&context)?;
//! let job = RenderJob::new(&["orientatoin:3"], Setting::named("oneiro", 0)?);
//! match job.run(&Run::new(&model, &context), &mut Kept::all()) {
//!     Err(Error::Visualization(oneiro::Error::Layer { nearest, .. })) => {
//!         println!("did you mean {nearest:?}?");
//!     }
//!     other => panic!("{:?}", other.map(|_| ())),
//! }
//! # Ok(())
//! # }
//! ```

use std::fmt;

use oneiro::card::CardError;
use oneiro::objective::ExpressionError;
use oneiro::transform::TransformError;
use oneiro_media::MediaError;
use oneiro_zoo::labels::LabelError;

use crate::files::FileError;
pub use crate::job::compare::error::CompareError;
pub use crate::job::error::{JobError, Unfinished};
pub use crate::job::flow::error::FlowError;
pub use crate::job::tensors::FeedError;
pub use crate::model::error::ModelError;
pub use crate::model::unit_list::error::UnitListError;
use crate::observer::Cancelled;
pub use crate::provenance::error::ProvenanceError;
pub use crate::source::FolderError;
pub use crate::source::error::SourceError;
pub use crate::store::error::StoreError;
pub use crate::tensors::TensorError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a user's request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model cannot be read, or not be used as requested.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file that a job is made from cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Files or folders of images cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A job cannot be done.
    #[error(transparent)]
    Job(#[from] JobError),
    /// Units, layers or networks cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// Optical flow cannot be computed, read or written.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// A result's metadata does not describe how it was made.
    #[error(transparent)]
    Provenance(#[from] ProvenanceError),
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of tensors cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorError),
    /// Tensors do not fit a network.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A text cannot be read as a list of units.
    #[error(transparent)]
    Units(#[from] UnitListError),
    /// A class name matches no label, or several.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// An error of the library `oneiro`.
    #[error(transparent)]
    Visualization(oneiro::Error),
    /// The network could not be read, compiled or run.
    #[error(transparent)]
    Network(#[from] oneiro_net::Error),
    /// A picture or film cannot be read, written or assembled.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The file of a scan cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The observer cancelled the work.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A shard made its parts, and those of other shards are missing.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// The network does not accept a size, but accepts another one.
    #[error("the network does not accept {}x{}, but {}x{}", wanted[0], wanted[1], accepted[0], accepted[1])]
    Size {
        /// The requested height and width.
        wanted: [usize; 2],
        /// A height and width that the network accepts.
        accepted: [usize; 2],
        /// The network's error for the requested size.
        source: Box<Error>,
    },
    /// Adds to an error the step in which it occurred.
    #[error("{step}")]
    While {
        /// The step, with the object of the work.
        step: Step,
        /// The error that occurred in the step.
        source: Box<Error>,
    },
    /// The operating system cannot start the threads.
    #[error("could not start the threads to compute with")]
    Threads(#[source] oneiro_net::Error),
    /// A result could not be written to its destination.
    #[error("could not write a result")]
    Write(#[from] std::io::Error),
    /// Metadata of a result could not be written as JSON.
    #[error("could not be written as JSON")]
    Json(#[from] serde_json::Error),
    /// Metadata of a result could not be written as TOML.
    #[error("could not be written as TOML")]
    Toml(#[from] toml::ser::Error),
    /// An error of a kind of job that another crate defines.
    #[error(transparent)]
    Custom(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of a kind of job that another crate defines.
    pub fn custom(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Custom(error.into())
    }
}

/// Network errors become [`Error::Network`] and cancelled attributions become [`Error::Cancelled`], wherever
/// they come from.
impl From<oneiro::Error> for Error {
    fn from(error: oneiro::Error) -> Self {
        match error {
            oneiro::Error::Network(error) => Self::Network(error),
            oneiro::Error::Stopped => Self::Cancelled(Cancelled),
            error => Self::Visualization(error),
        }
    }
}

impl From<ExpressionError> for Error {
    fn from(error: ExpressionError) -> Self {
        Self::Visualization(error.into())
    }
}

impl From<TransformError> for Error {
    fn from(error: TransformError) -> Self {
        Self::Visualization(error.into())
    }
}

impl From<CardError> for Error {
    fn from(error: CardError) -> Self {
        Self::Visualization(error.into())
    }
}

impl From<oneiro_image::ShapeError> for Error {
    fn from(error: oneiro_image::ShapeError) -> Self {
        Self::Media(error.into())
    }
}

/// A step of the work, named in errors that occur in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Reading a model file.
    Load {
        /// The path, or the name of a built-in network.
        model: String,
    },
    /// Matching a network with its card and preparing its inputs.
    Use {
        /// The model's name as the user gave it.
        model: String,
    },
    /// Reading the card of a model.
    Card {
        /// Path of the card, or the model's name.
        card: String,
    },
    /// Reading the class labels of a model.
    Labels {
        /// Name or path of the labels.
        labels: String,
    },
    /// Cutting a network so that it begins at a layer.
    Begin {
        /// Name of the layer.
        layer: String,
    },
    /// Cutting a network so that it begins at an inner tensor, which the card describes as an input.
    CardInput {
        /// Name of the input in the card.
        input: String,
    },
    /// Changing the card by settings of a request.
    Overrides {
        /// Names of the settings: "mean", "std", "range", "order", "show".
        settings: Vec<&'static str>,
    },
    /// Reading the value that is given for an input.
    Feed {
        /// Name of the input.
        input: String,
    },
    /// Reading the image statistics of a rendering.
    Statistics {
        /// Path of the statistics file.
        path: String,
    },
    /// Reading the objective of a rendering.
    Objective {
        /// The objective's unit, or its text.
        of: String,
    },
    /// Comparing a network's values with reference values.
    Compare {
        /// The file of reference values, or the tensor in the file.
        what: String,
    },
    /// Reading a video clip.
    ReadClip {
        /// Path of the clip's file or folder.
        path: String,
    },
    /// Resizing a photo.
    Scale {
        /// Path of the photo's file.
        path: String,
    },
    /// Computing the statistics of a folder's pictures.
    Measure {
        /// Path of the folder.
        folder: String,
    },
    /// Reading the pictures of statistics for the second time.
    ReadAgain,
    /// Running a photo through a network up to a layer.
    LookAt {
        /// Path of the photo's file.
        image: String,
        /// Name of the network.
        model: String,
    },
    /// Computing the attribution of a photo.
    Attribute {
        /// Path of the photo's file.
        image: String,
        /// The weights that are not finite and on which the unit depends, in words.
        broken_weights: Option<String>,
    },
    /// Reading the metadata of a result.
    Remake {
        /// Path of the result's file.
        path: String,
    },
    /// Reading the preset with which a result was made.
    Recipe {
        /// Path of the result's file.
        path: String,
    },
    /// Reading the model with which a result was made.
    Original {
        /// Path of the model in the result's metadata.
        model: String,
    },
    /// Checking the settings of the job in a result's metadata.
    Settings,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { model } => write!(f, "could not load {model}"),
            Self::Use { model } => write!(f, "could not use {model}"),
            Self::Card { card } => write!(f, "could not read the model card {card}"),
            Self::Labels { labels } => write!(f, "the labels {labels}"),
            Self::Begin { layer } => write!(f, "the network cannot begin at \"{layer}\""),
            Self::CardInput { input } => write!(f, "the model card's input \"{input}\""),
            Self::Overrides { settings } => write!(f, "with {} as given", settings.join(", ")),
            Self::Feed { input } => write!(f, "what input \"{input}\" is to be fed with"),
            Self::Statistics { path } => write!(f, "the statistics {path}"),
            Self::Objective { of } => write!(f, "the objective of {of} cannot be read"),
            Self::Compare { what } => f.write_str(what),
            Self::ReadClip { path } => write!(f, "could not read the clip {path}"),
            Self::Scale { path } => write!(f, "could not scale {path}"),
            Self::Measure { folder } => write!(f, "the pictures in {folder} have no statistics"),
            Self::ReadAgain => f.write_str("a picture changed while it was looked at"),
            Self::LookAt { image, model } => write!(f, "could not look at {image} through {model}"),
            Self::Attribute { image, broken_weights: None } => write!(f, "could not attribute {image}"),
            Self::Attribute { image, broken_weights: Some(weights) } => {
                write!(f, "could not attribute {image}; weights of the network are not finite: {weights}")
            }
            Self::Remake { path } => write!(f, "{path} does not carry what it takes to make it again"),
            Self::Recipe { path } => write!(f, "{path} has no recipe to take or to change"),
            Self::Original { model } => write!(f, "the picture was made with the model {model}"),
            Self::Settings => f.write_str("its settings cannot be used"),
        }
    }
}

/// Adds to an error the step in which it occurred.
pub(crate) trait During<T> {
    /// Wraps an error in [`Error::While`] with this step.
    fn during(self, step: impl FnOnce() -> Step) -> Result<T>;
}

impl<T, E: Into<Error>> During<T> for Result<T, E> {
    fn during(self, step: impl FnOnce() -> Step) -> Result<T> {
        self.map_err(|error| Error::While { step: step(), source: Box::new(error.into()) })
    }
}

/// Formats an error and its causes, separated by colons. A cause that the text before it already contains is
/// not repeated.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
