//! The error of a job that cannot be done.

use std::path::PathBuf;

use oneiro::objective::ExpressionError;
use oneiro_media::MAX_PIXELS;

/// The reason why a job cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A job that needs a network was run without one.
    #[error("this job needs a model")]
    NoModel,
    /// A job of this kind has no such result.
    #[error("a job of kind {kind} has no {result}")]
    NoResult {
        /// The kind of job.
        kind: &'static str,
        /// The requested result: "picture 3".
        result: String,
    },
    /// A setting has a value that is not allowed.
    #[error("{setting} is {value}; {needed} is needed")]
    Setting {
        /// The setting that is not allowed.
        setting: Setting,
        /// The value of the setting.
        value: usize,
        /// The allowed values: "a number from 1 to 8192".
        needed: String,
    },
    /// There is no preset of this name.
    #[error("there is no recipe \"{name}\"; there are {}", known.join(", "))]
    UnknownRecipe {
        /// The name that was requested.
        name: String,
        /// The names of all presets.
        known: Vec<String>,
    },
    /// The network has no output, and no layer was given up to which to run it.
    #[error("the network has no output; name a layer")]
    NoOutput,
    /// A network has no filters to judge.
    #[error("the network has no convolutions, and no dense layers in front of an activation function")]
    NoFilters,
    /// A folder has no models.
    #[error("{}: there are no .onnx files in this folder", folder.display())]
    NoModels {
        /// The folder.
        folder: PathBuf,
    },
    /// A layer has no filters.
    #[error(
        "the channels of {layer} are no filters: it is neither a convolution nor a dense layer in front of an activation function"
    )]
    NotFilters {
        /// The layer.
        layer: String,
    },
    /// The job has no units.
    #[error("there is nothing to render")]
    NoUnits,
    /// Pictures are to be compared with images, and there are none.
    #[error("whether pictures may be believed is told by images, and the job names no data")]
    BeliefWithoutData,
    /// The units' pictures are to be judged, and none are rendered.
    #[error("whether pictures may be believed was asked, and the job renders none")]
    BeliefWithoutPictures,
    /// The job has no settings.
    #[error("there are no settings to render by")]
    NoSettings,
    /// A unit refers to settings that the job does not have.
    #[error("{unit}: there are no settings number {setting}")]
    NoSuchSetting {
        /// Name of the unit.
        unit: String,
        /// The index that the unit refers to.
        setting: usize,
    },
    /// The layout has cells for another number of units.
    #[error("the layout is not one of {units} units")]
    Layout {
        /// The number of units of the job.
        units: usize,
    },
    /// Statistics are given, but the preset does not use them.
    #[error("nothing is taken from the statistics {path}, as {}", unused(param, *other_colors))]
    UnusedStatistics {
        /// Path of the statistics file.
        path: String,
        /// Name of the preset's parametrization.
        param: String,
        /// Whether this parametrization could use the statistics to decorrelate colours.
        other_colors: bool,
    },
    /// A result would exceed the size limit.
    #[error("{count} {things} of {}x{} are too much for {result}", size[0], size[1])]
    TooLarge {
        /// Number of frames, pictures or cells.
        count: usize,
        /// What is counted: "frames", "pictures", "cells".
        things: &'static str,
        /// Height and width of each frame, picture or cell.
        size: [usize; 2],
        /// The type of the result that would be too large.
        result: Large,
    },
    /// An objective depends on no picture input.
    #[error("the unit depends on no image input")]
    NoPicture,
    /// The largest activation was requested for a network that does not have exactly one picture input.
    #[error("the network needs one picture input, it has {inputs}")]
    NotOnePicture {
        /// Number of the network's picture inputs.
        inputs: usize,
    },
    /// An attribution was requested for a network without a picture input.
    #[error("{model} has no input for images; attributions are of single images")]
    NoImageInput {
        /// Name of the network.
        model: String,
    },
    /// A dream has neither an objective nor a guide image.
    #[error("there is nothing to dream of: neither an objective nor a guide")]
    NoDream,
    /// The objective of a dream compares with a picture.
    #[error(transparent)]
    PictureInDream(ExpressionError),
    /// All activations of a layer are zero or negative.
    #[error("layer \"{layer}\" is silent for {image}: no activation of it is above zero")]
    SilentLayer {
        /// Name of the layer.
        layer: String,
        /// Path of the photo.
        image: String,
    },
    /// All activations of a layer are zero at the requested positions.
    #[error("at none of these positions of {layer} does any channel speak; choose others")]
    SilentPositions {
        /// Name of the layer.
        layer: String,
    },
    /// A position lies outside a layer's map.
    #[error(
        "position {},{} is outside {layer}, whose map has {} rows and {} columns",
        position[0], position[1], map[0], map[1]
    )]
    Position {
        /// Row and column of the position.
        position: [usize; 2],
        /// Name of the layer.
        layer: String,
        /// Rows and columns of the layer's map.
        map: [usize; 2],
    },
    /// Video clips were given, but the network takes images.
    #[error("{model} takes images: its card has no input of kind clip or flow")]
    NoClipInput {
        /// The model's name as the user gave it.
        model: String,
    },
    /// The share of a centre crop is not allowed.
    #[error("the crop is {crop}; a fraction above 0 and at most 1 is needed")]
    Crop {
        /// The share of the photo that was to be kept.
        crop: f64,
    },
    /// The network's output is not finite.
    #[error(
        "{photo}: the network's output is not finite, {}",
        weights.as_ref().map_or("though its weights are".to_owned(), |w| format!("and neither are its weights {w}"))
    )]
    OutputNotFinite {
        /// The photo that the network read.
        photo: String,
        /// The weights that are not finite, in words.
        weights: Option<String>,
    },
    /// A picture has another size than when it was first read.
    #[error("a picture changed while it was looked at")]
    Changed,
    /// A result or part is missing although no error occurred.
    #[error("{what} was not made")]
    NotMade {
        /// The result or part that is missing.
        what: &'static str,
    },
    /// A film was requested for a job that stores its parts.
    #[error("films are not kept in parts")]
    FilmInParts,
    /// A scan has no examples for a unit.
    #[error("{unit}: images that excite it are known for units LAYER:CHANNEL and class:NAME only")]
    NoExamples {
        /// Name of the unit.
        unit: String,
    },
    /// A unit's layer has no map of rows and columns.
    #[error("{unit}: its layer has no map of rows and columns that could lie over an image")]
    NoMap {
        /// Name of the unit.
        unit: String,
    },
    /// An image of a scan that is not there any more.
    #[error("{file}: this image of the scan cannot be read any more")]
    SourceGone {
        /// Path of the image's file.
        file: String,
    },
    /// A layer has too many units for comparing all pairs.
    #[error("layer \"{layer}\" has {units} units; pairs of at most {most} are compared")]
    ManyUnits {
        /// Name of the layer.
        layer: String,
        /// Number of units of the layer.
        units: usize,
        /// The largest number of units that are compared.
        most: usize,
    },
    /// Classes were requested from a network without class names.
    #[error("the network names no classes, so nothing speaks for one")]
    NoClasses,
    /// Directions were requested in a scan that ranks images by relevance.
    #[error("{layer}: relevance is known for channels, not for directions")]
    RelevanceOfDirections {
        /// Name of the layer.
        layer: String,
    },
    /// The minimum correlation of groups is not allowed.
    #[error("the least correlation of groups is {correlation}; a number above 0 and below 1 is needed")]
    Correlation {
        /// The minimum correlation that was given.
        correlation: f64,
    },
    /// A scan does not tell the largest mean activation.
    #[error("this scan ranks by {by}, and does not tell the largest mean activation")]
    NotByActivation {
        /// What the scan ranks by.
        by: String,
    },
    /// A scan has a unit behind its activation function only.
    #[error(
        "the scan has {unit} behind its activation function only, as layer \"{layer}\"; scan its own layer as well"
    )]
    OnlyActivated {
        /// The unit.
        unit: String,
        /// The scanned layer.
        layer: String,
    },
    /// A unit's largest value over data is not a positive number.
    #[error("the largest value of {unit} over the data is {value}, which weighs nothing")]
    NoLargest {
        /// The unit.
        unit: String,
        /// The largest value.
        value: f64,
    },
    /// Statistics of optical flow were given for a network without.
    #[error("{path} holds statistics of optical flow, and the network takes none")]
    FlowStatistics {
        /// The statistics file.
        path: String,
    },
    /// A zoom of a video was requested.
    #[error("a zoom starts from a picture; a video, or a network of clips, has frames of its own")]
    ZoomOfVideo,
    /// A share of the frame before was requested that is not from 0 to below 1.
    #[error("the share of the frame before is {blend}; it must be from 0 to below 1")]
    Blend {
        /// The share.
        blend: f64,
    },
    /// A clip that is dreamt as a whole is too long.
    #[error(
        "a clip of {frames} frames of {width}x{height} is dreamt as a whole, which may have {most} million pixels at most"
    )]
    LongClip {
        /// Number of frames.
        frames: usize,
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Millions of pixels.
        most: u64,
    },
    /// An attribution of several clips was requested.
    #[error("one clip is attributed at a time, and there are {clips}")]
    OneClip {
        /// Number of clips.
        clips: usize,
    },
    /// A stored part is truncated.
    #[error("the part is cut off")]
    CutOff,
}

/// A numeric setting of a job, named in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// Number of optimisation steps of a rendering.
    Steps,
    /// Side of a rendered picture in pixels.
    Side,
    /// Side of the squares from which statistics are computed.
    Square,
    /// Side of a grid's cells in pixels.
    Cell,
    /// Number of central rows and columns that are inverted.
    Center,
    /// Number of images in each list of a unit.
    Examples,
    /// Number of frames or flow fields.
    Count,
    /// Step from each frame to the next one.
    Stride,
    /// Factor by which pixels are enlarged.
    Enlargement,
    /// Number of filters or pairs that are drawn.
    Drawn,
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Steps => "the number of steps",
            Self::Side => "a side of the size",
            Self::Square => "the side of the squares",
            Self::Cell => "the side of the cells",
            Self::Center => "the number of positions about the centre",
            Self::Examples => "the number of examples in a list",
            Self::Count => "the number of frames",
            Self::Stride => "the step between frames",
            Self::Enlargement => "the enlargement",
            Self::Drawn => "the number of filters or pairs that are drawn",
        })
    }
}

/// A kind of result whose size is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Large {
    /// A film, which consists of frames.
    Film,
    /// The film of a dream or of flow in GIF.
    Gif,
    /// An animated film in WebP.
    WebP,
    /// A contact sheet of pictures.
    Sheet,
    /// The picture of an activation grid.
    Mosaic,
}

impl std::fmt::Display for Large {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millions = MAX_PIXELS / 1_000_000;
        match self {
            Self::Film => f.write_str("a film"),
            Self::Gif => f.write_str("a GIF, which is in memory as a whole"),
            Self::WebP => f.write_str("a WebP film, which is in memory as a whole"),
            Self::Sheet => write!(f, "one sheet (at most {millions} million pixels)"),
            Self::Mosaic => write!(f, "one picture (at most {millions} million pixels)"),
        }
    }
}

/// The error of a run that made its own parts, while those of other shards are missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{done} of {total} parts are done, in {}", folder.display())]
pub struct Unfinished {
    /// Number of parts that are finished.
    pub done: usize,
    /// Number of parts that the job has in total.
    pub total: usize,
    /// Path of the folder in which the parts are stored.
    pub folder: PathBuf,
}

fn unused(param: &str, other_colors: bool) -> String {
    match other_colors {
        true => "colours are decorrelated otherwise".into(),
        false => format!(
            "the parametrization {param} does not decorrelate colours: fourier, laplacian, shared and maco do"
        ),
    }
}
