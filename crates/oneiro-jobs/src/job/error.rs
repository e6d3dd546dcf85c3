//! The error of a job that cannot be done.

use std::path::PathBuf;

use oneiro::objective::ExpressionError;
use oneiro_media::{IMAGE_EXTENSIONS, MAX_PIXELS};

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
        /// The kind.
        kind: &'static str,
        /// The requested result: "picture 3".
        result: String,
    },
    /// A setting has a value that is not allowed.
    #[error("{setting} is {value}; {needed} is needed")]
    Setting {
        /// The setting.
        setting: Setting,
        /// The value of the setting.
        value: usize,
        /// The allowed values: "a number from 1 to 8192".
        needed: String,
    },
    /// There is no preset of this name.
    #[error("there is no recipe \"{name}\"; there are {}", known.join(", "))]
    UnknownRecipe {
        /// The name.
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
        /// The unit.
        unit: String,
        /// The index of the settings.
        setting: usize,
    },
    /// The layout has cells for another number of units.
    #[error("the layout is not one of {units} units")]
    Layout {
        /// The number of units.
        units: usize,
    },
    /// Statistics are given, but the preset does not use them.
    #[error("nothing is taken from the statistics {path}, as {}", unused(param, *other_colors))]
    UnusedStatistics {
        /// The statistics file.
        path: String,
        /// The preset's parametrization.
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
        /// Height and width of each.
        size: [usize; 2],
        /// The type of the result.
        result: Large,
    },
    /// An objective depends on no picture.
    #[error("the unit depends on no image input")]
    NoPicture,
    /// The largest activation was requested for a network that does not have exactly one picture input.
    #[error("the network needs one picture input, it has {inputs}")]
    NotOnePicture {
        /// Number of picture inputs.
        inputs: usize,
    },
    /// An attribution was requested for a network without a picture input.
    #[error("{model} has no input for images; attributions are of single images")]
    NoImageInput {
        /// The network.
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
        /// The layer.
        layer: String,
        /// The photo.
        image: String,
    },
    /// All activations of a layer are zero at the requested positions.
    #[error("at none of these positions of {layer} does any channel speak; choose others")]
    SilentPositions {
        /// The layer.
        layer: String,
    },
    /// A position lies outside a layer's map.
    #[error(
        "position {},{} is outside {layer}, whose map has {} rows and {} columns",
        position[0], position[1], map[0], map[1]
    )]
    Position {
        /// Row and column.
        position: [usize; 2],
        /// The layer.
        layer: String,
        /// Rows and columns of its map.
        map: [usize; 2],
    },
    /// The path of a folder of pictures is no folder.
    #[error("{folder} is not a folder; name one that has images in it")]
    NotAFolder {
        /// The path.
        folder: String,
    },
    /// A folder has no pictures.
    #[error("there is no image in {folder} ({}), nor a .npy file of bands", IMAGE_EXTENSIONS.join(", "))]
    NoImages {
        /// The folder.
        folder: String,
    },
    /// A folder contains both pictures and `.npy` files of bands.
    #[error(
        "{folder} holds {arrays} .npy files and {pictures} pictures; statistics are of one kind: put them into folders of \
         their own"
    )]
    MixedFolder {
        /// The folder.
        folder: String,
        /// Number of `.npy` files.
        arrays: usize,
        /// Number of pictures.
        pictures: usize,
    },
    /// Bands cannot be converted to grey.
    #[error("only pictures in colour can be turned to grey, and {folder} holds bands")]
    GrayBands {
        /// The folder.
        folder: String,
    },
    /// Files have different numbers of bands.
    #[error(
        "{} has {bands} bands, {} has {first_bands}; put them into folders of their own",
        path.display(), first.display()
    )]
    BandsDiffer {
        /// A file.
        path: PathBuf,
        /// The number of bands in this file.
        bands: usize,
        /// The first file.
        first: PathBuf,
        /// The number of bands in the first file.
        first_bands: usize,
    },
    /// No picture of a folder can be read.
    #[error("none of the {pictures} pictures in {folder} can be read: {first}")]
    NoneReadable {
        /// Number of pictures.
        pictures: usize,
        /// The folder.
        folder: String,
        /// The reason why the first picture cannot be read.
        first: String,
    },
    /// The given files and folders contain no photo.
    #[error(
        "there is no image in {} ({})",
        paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "), IMAGE_EXTENSIONS.join(", ")
    )]
    NoPhotos {
        /// The files and folders.
        paths: Vec<PathBuf>,
    },
    /// Clips are to be taken of videos, but the network takes images.
    #[error("{model} takes images: its card has no input of kind clip or flow")]
    NoClipInput {
        /// The model's name as the user gave it.
        model: String,
    },
    /// The share of a centre crop is not allowed.
    #[error("the crop is {crop}; a fraction above 0 and at most 1 is needed")]
    Crop {
        /// The share.
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
        /// What is missing.
        what: &'static str,
    },
    /// A film was requested for a job that stores its parts.
    #[error("films are not kept in parts")]
    FilmInParts,
    /// A scan has no examples for a unit.
    #[error("{unit}: images that excite it are known for units LAYER:CHANNEL and class:NAME only")]
    NoExamples {
        /// The unit.
        unit: String,
    },
    /// A unit whose layer is no map.
    #[error("{unit}: its layer has no map of rows and columns that could lie over an image")]
    NoMap {
        /// The unit.
        unit: String,
    },
    /// An image of a scan that is not there any more.
    #[error("{file}: this image of the scan cannot be read any more")]
    SourceGone {
        /// The image's file.
        file: String,
    },
    /// A layer has too many units for comparing all pairs.
    #[error("layer \"{layer}\" has {units} units; pairs of at most {most} are compared")]
    ManyUnits {
        /// The layer.
        layer: String,
        /// Number of its units.
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
        /// The layer.
        layer: String,
    },
    /// The minimum correlation of groups is not allowed.
    #[error("the least correlation of groups is {correlation}; a number above 0 and below 1 is needed")]
    Correlation {
        /// The correlation.
        correlation: f64,
    },
    /// A video, or the chosen part of it, has fewer than two frames.
    #[error(
        "{input}: optical flow needs two frames, and {} of it; {}",
        if *frames == 1 { "there is one".to_owned() } else { format!("there are {frames}") },
        if *chosen { "choose more of its frames" } else { "name a video with more" }
    )]
    FewFrames {
        /// The video.
        input: String,
        /// Number of frames.
        frames: usize,
        /// Whether only a part of the video was chosen.
        chosen: bool,
    },
    /// Optical flow has fewer fields than those that were chosen begin at.
    #[error(
        "{input}: it has {fields} flow fields, and those from {start} on were chosen; fields count from 0"
    )]
    NoFields {
        /// The file.
        input: String,
        /// Number of its fields.
        fields: usize,
        /// Index of the first field that was chosen.
        start: usize,
    },
    /// A setting of computing flow was given for a file that holds flow.
    #[error(
        "{input}: this is optical flow already, which is shown and converted as it is; leave out {setting}"
    )]
    AlreadyFlow {
        /// The file or folder.
        input: String,
        /// The setting: "the size".
        setting: &'static str,
    },
    /// Several flow fields were to go into a file that holds one.
    #[error("a .flo file holds one flow field, and there are {fields}; write .npy, or choose two frames")]
    SeveralFields {
        /// Number of fields.
        fields: usize,
    },
    /// The motion that white stands for is not allowed.
    #[error("the bound of the motion is {bound}; a number above 0 is needed")]
    Bound {
        /// The bound in pixels per frame.
        bound: f32,
    },
    /// The temporary file for flow cannot be written or read.
    #[error(
        "flow fields of {}x{} pixels cannot be kept in a temporary file ({source}): each needs {} kB in {}; free some space \
         there, or choose another folder for temporary files (TMPDIR)",
        size[0], size[1], bytes.div_ceil(1000), std::env::temp_dir().display()
    )]
    Spool {
        /// Height and width.
        size: [usize; 2],
        /// Bytes of each field.
        bytes: u64,
        /// The system's error.
        source: std::io::Error,
    },
    /// A stored part is truncated.
    #[error("the part is cut off")]
    CutOff,
}

/// A setting of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// Number of optimisation steps.
    Steps,
    /// Side of a picture.
    Side,
    /// Side of the squares from which statistics are computed.
    Square,
    /// Side of a grid's cells.
    Cell,
    /// Number of central positions that are inverted.
    Center,
    /// Number of images in each list of a unit.
    Examples,
    /// Number of frames or flow fields.
    Count,
    /// Step from each frame to the next one.
    Stride,
    /// Factor by which pixels are enlarged.
    Enlargement,
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
        })
    }
}

/// A result of limited size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Large {
    /// A film.
    Film,
    /// The film of a dream or of flow in GIF.
    Gif,
    /// A film in WebP.
    WebP,
    /// A sheet.
    Sheet,
    /// The picture of a grid.
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
    /// Number of finished parts.
    pub done: usize,
    /// Number of all parts.
    pub total: usize,
    /// The folder of parts.
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
