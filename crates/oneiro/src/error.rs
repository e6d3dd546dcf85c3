//! Errors that can arise between a request and the finished picture.
//!
//! Errors to which a caller may react have a variant with fields. [`Error::Settings`] says in words which
//! settings contradict each other. No message names a flag; a command line adds its hints by the variant.

use crate::card::CardError;
use crate::kernels::error::KernelError;
use crate::model::head::error::OutputError;
use crate::model::input_error::InputError;
use crate::objective::{ExpressionError, TermError};
use crate::statistics::error::StatisticsError;
use crate::transform::TransformError;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be visualized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network could not be read, compiled or run.
    #[error(transparent)]
    Network(#[from] oneiro_net::Error),
    /// A part of the network cannot be run, but the network can begin after that part.
    #[error("{error}; the network can begin behind it, at \"{begin_at}\"")]
    Blocked {
        /// The error of the part that cannot be run.
        error: Box<oneiro_net::Error>,
        /// Name of the tensor at which the network can begin.
        begin_at: String,
    },
    /// The file fixes the network's batch to another number of entries than needed.
    #[error(
        "{error}; the file fixes its batch to {fixed} and this needs {needed}: export it with a batch of 1 or a free one"
    )]
    Batch {
        /// Why the network could not be compiled.
        error: Box<oneiro_net::Error>,
        /// Number of batch entries that the file fixes.
        fixed: usize,
        /// Number of batch entries that the request needs.
        needed: usize,
    },
    /// A name that matches no layer, or several.
    #[error("{error}")]
    Layer {
        /// The name as it was given.
        name: String,
        /// The most similarly spelled names of layers, the nearest first.
        nearest: Vec<String>,
        /// Why the name matches no layer.
        error: Box<oneiro_net::Error>,
    },
    /// The channel axis of a layer is not known.
    #[error(
        "layer \"{layer}\" has shape {shape:?}{}, and which of its axes holds the channels is not known; choose a layer whose \
         axes `oneiro layers` knows",
        axes.as_ref().map_or(String::new(), |axes| format!(" (axes {axes})"))
    )]
    UnknownChannels {
        /// Name of the layer.
        layer: String,
        /// Shape of the layer, including the batch.
        shape: Vec<usize>,
        /// The axes of the layer, as far as they are known.
        axes: Option<String>,
        /// Whether axis 0 is known to be the batch.
        has_batch: bool,
    },
    /// A layer without height and width, although a map is needed.
    #[error(
        "layer \"{layer}\" has shape {shape:?} per image: it has no map of height and width; choose a convolution"
    )]
    NoMap {
        /// Name of the layer without a map.
        layer: String,
        /// Shape of the layer, without the batch.
        shape: Vec<usize>,
    },
    /// The shape of a tensor is unknown.
    #[error("nothing is known of the shape of \"{name}\"")]
    UnknownShape {
        /// Name of the tensor.
        name: String,
    },
    /// The card states axes that the layer cannot have.
    #[error("the axes of \"{layer}\": {why}")]
    StatedAxes {
        /// Name of the layer.
        layer: String,
        /// Why the layer cannot have these axes.
        why: String,
    },
    /// The network mixes the pictures of a batch, but several would go through it together.
    #[error(
        "the network mixes the pictures of a batch (it takes statistics over them, or may do so), and {pictures} pictures go \
         through it at once: render one at a time"
    )]
    MixesPictures {
        /// Number of pictures in the batch.
        pictures: usize,
    },
    /// A reference picture of an objective that does not fit the network.
    #[error("the picture {picture}: {why}")]
    Reference {
        /// Name of the reference picture.
        picture: String,
        /// Why the picture does not fit.
        why: String,
    },
    /// An image with another number of values than needed.
    #[error("{what} has {values} values, {needed} are needed")]
    Values {
        /// The kind of image: "the image", "the mask".
        what: String,
        /// Number of values that the image has.
        values: usize,
        /// What is needed: a shape, "3x224x224", or a number of values.
        needed: String,
    },
    /// A model file cannot be opened.
    #[cfg(feature = "files")]
    #[error(transparent)]
    Open(#[from] crate::model::files::OpenError),
    /// A picture cannot be written.
    #[cfg(feature = "files")]
    #[error(transparent)]
    Write(#[from] oneiro_media::MediaError),
    /// The model card cannot be used.
    #[error(transparent)]
    Card(#[from] CardError),
    /// An input cannot be fed with the given value.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A layer has no kernels to show.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// No output holds the scores of classes.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// An objective or a unit cannot be read.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// A chain of transforms cannot be read.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// A term of an objective does not fit the layer that it reads.
    #[error(transparent)]
    Term(#[from] TermError),
    /// Statistics of pictures that cannot be used or computed.
    #[error(transparent)]
    Statistics(#[from] StatisticsError),
    /// A value that is not allowed for a setting.
    #[error("{what} is {value}; {needed} is needed")]
    OutOfRange {
        /// The setting with the value: "noise", "preset lucid: weight".
        what: String,
        /// The value that is not allowed, as text.
        value: String,
        /// The allowed values: "a positive number", "a number from 1 to 16".
        needed: String,
    },
    /// A setting has a word that is not known.
    #[error("there is no {what} \"{name}\"; there are {}", known.join(", "))]
    UnknownName {
        /// The kind of word: "method", "baseline".
        what: &'static str,
        /// The unknown word.
        name: String,
        /// The words that are known.
        known: Vec<&'static str>,
    },
    /// Settings of a preset contradict each other.
    #[error("preset {preset}: {conflict}")]
    Preset {
        /// Name of the preset.
        preset: String,
        /// The contradicting settings, and which of them to omit.
        conflict: String,
    },
    /// Activations, an output or an attribution that are not finite.
    #[error("{what}; the network's weights may not be finite, either")]
    NotFiniteHere {
        /// What is not finite, and in which computation.
        what: String,
    },
    /// An objective for something that its layer does not have.
    #[error("{0}")]
    Unit(String),
    /// Settings that do not fit the model or each other.
    #[error("{0}")]
    Settings(String),
    /// The observer cancelled the work.
    #[error("stopped before the end")]
    Stopped,
    /// The objective or its gradient became infinite or NaN.
    #[error(
        "the objective {objective} is no longer a finite number at step {step}; \
         a smaller learning rate may help, or the network's weights are not finite"
    )]
    NotFinite {
        /// The objective, as an expression.
        objective: String,
        /// Number of the optimisation step.
        step: usize,
    },
}

impl Error {
    /// Creates an error for a value that is not allowed for a setting.
    pub(crate) fn out_of_range(
        what: impl Into<String>,
        value: impl std::fmt::Display,
        needed: impl Into<String>,
    ) -> Self {
        Self::OutOfRange { what: what.into(), value: value.to_string(), needed: needed.into() }
    }
}
