//! Errors of requests, told apart by kind.
//!
//! Each area has an enum of its own: [`ModelError`], [`SourceError`], [`JobError`], [`ProvenanceError`],
//! [`FileError`], [`TensorError`]. [`Error`] holds these and the errors of the libraries below. No message
//! names a flag: a command line adds its hints by the variant.
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
pub use crate::job::error::{JobError, Unfinished};
pub use crate::job::tensors::FeedError;
pub use crate::model::error::ModelError;
pub use crate::model::unit_list::error::UnitListError;
use crate::observer::Cancelled;
pub use crate::provenance::error::ProvenanceError;
pub use crate::source::error::SourceError;
pub use crate::store::error::StoreError;
pub use crate::tensors::TensorError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request could not be met.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model that cannot be read or used as it is asked.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file that a job is made from.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A job that cannot be done.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A result that does not say how it was made.
    #[error(transparent)]
    Provenance(#[from] ProvenanceError),
    /// A file or folder that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of tensors.
    #[error(transparent)]
    Tensors(#[from] TensorError),
    /// Tensors that do not fit a network.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A text that names no units.
    #[error(transparent)]
    Units(#[from] UnitListError),
    /// A class that no label names, or several do.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The library of visualization.
    #[error(transparent)]
    Visualization(oneiro::Error),
    /// The network could not be read, compiled or run.
    #[error(transparent)]
    Network(#[from] oneiro_net::Error),
    /// A picture or film that cannot be read, written or put together.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The file of a scan.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The observer ended the work.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A shard made its parts, and others are missing.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// A size that the network does not accept, with one that it does.
    #[error("the network does not accept {}x{}, but {}x{}", wanted[0], wanted[1], accepted[0], accepted[1])]
    Size {
        /// Height and width asked for.
        wanted: [usize; 2],
        /// Height and width that the network accepts.
        accepted: [usize; 2],
        /// The network's error.
        source: Box<Error>,
    },
    /// Something failed while this was being done.
    #[error("{step}")]
    While {
        /// The step, with its object.
        step: Step,
        /// The failure.
        source: Box<Error>,
    },
    /// The system gives no threads.
    #[error("could not start the threads to compute with")]
    Threads(#[source] oneiro_net::Error),
    /// A result could not be written where it goes.
    #[error("could not write a result")]
    Write(#[from] std::io::Error),
    /// Metadata of a result could not be written as JSON.
    #[error("could not be written as JSON")]
    Json(#[from] serde_json::Error),
    /// Metadata of a result could not be written as TOML.
    #[error("could not be written as TOML")]
    Toml(#[from] toml::ser::Error),
    /// An error of a kind of job that is not this library's.
    #[error(transparent)]
    Custom(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error of a kind of job that is not this library's.
    pub fn custom(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Custom(error.into())
    }
}

/// The network's own errors are [`Error::Network`], and an ended attribution is [`Error::Cancelled`],
/// wherever they come from.
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

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A model file was read.
    Load {
        /// Its path, or the name of a built-in network.
        model: String,
    },
    /// A network was paired with its card and fed.
    Use {
        /// The person's name of it.
        model: String,
    },
    /// A model card was read.
    Card {
        /// Its path, or the model's name.
        card: String,
    },
    /// Labels were read.
    Labels {
        /// Their name or place.
        labels: String,
    },
    /// A network was cut, to begin at a layer.
    Begin {
        /// The layer.
        layer: String,
    },
    /// A network was cut, to begin at an inner tensor that the card describes as an input.
    CardInput {
        /// The card's name of it.
        input: String,
    },
    /// The card was changed by settings of a request.
    Overrides {
        /// Their names: "mean", "std", "range", "order", "show".
        settings: Vec<&'static str>,
    },
    /// An input's value was read.
    Feed {
        /// The input.
        input: String,
    },
    /// The statistics that a rendering is given were read.
    Statistics {
        /// Their file.
        path: String,
    },
    /// An objective was read.
    Objective {
        /// The unit that it is of, or its text.
        of: String,
    },
    /// A network's numbers were compared with others.
    Compare {
        /// Their file, or the tensor in it.
        what: String,
    },
    /// A photo was brought to another size.
    Scale {
        /// Its file.
        path: String,
    },
    /// The colours of a folder's pictures were measured.
    Measure {
        /// The folder.
        folder: String,
    },
    /// Pictures that had been read before were read again.
    ReadAgain,
    /// A photo was shown to a network, up to a layer.
    LookAt {
        /// Its file.
        image: String,
        /// The network.
        model: String,
    },
    /// A photo was attributed.
    Attribute {
        /// Its file.
        image: String,
        /// Weights in front of the unit that are not finite, in words.
        broken_weights: Option<String>,
    },
    /// The metadata of a result was read.
    Remake {
        /// The result's file.
        path: String,
    },
    /// The model that a result was made with was read.
    Original {
        /// Its path, as the result has it.
        model: String,
    },
    /// The settings that a result holds were checked.
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
            Self::Scale { path } => write!(f, "could not scale {path}"),
            Self::Measure { folder } => write!(f, "the pictures in {folder} have no statistics"),
            Self::ReadAgain => f.write_str("a picture changed while it was looked at"),
            Self::LookAt { image, model } => write!(f, "could not look at {image} through {model}"),
            Self::Attribute { image, broken_weights: None } => write!(f, "could not attribute {image}"),
            Self::Attribute { image, broken_weights: Some(weights) } => {
                write!(f, "could not attribute {image}; weights of the network are not finite: {weights}")
            }
            Self::Remake { path } => write!(f, "{path} does not carry what it takes to make it again"),
            Self::Original { model } => write!(f, "the picture was made with the model {model}"),
            Self::Settings => f.write_str("its settings cannot be used"),
        }
    }
}

/// Says what was being done when something failed.
pub(crate) trait During<T> {
    /// [`Error::While`] around an error.
    fn during(self, step: impl FnOnce() -> Step) -> Result<T>;
}

impl<T, E: Into<Error>> During<T> for Result<T, E> {
    fn during(self, step: impl FnOnce() -> Step) -> Result<T> {
        self.map_err(|error| Error::While { step: step(), source: Box::new(error.into()) })
    }
}

/// An error with all that led to it, parted by colons. A cause that the text before it has is not repeated.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
