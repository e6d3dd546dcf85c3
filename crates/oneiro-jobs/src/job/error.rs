//! Why a job cannot be done.

use std::path::PathBuf;

use oneiro::objective::ExpressionError;
use oneiro_media::{IMAGE_EXTENSIONS, MAX_PIXELS};

/// Why a job cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A job about a network, run without one.
    #[error("this job needs a model")]
    NoModel,
    /// A result that a job of this kind does not have.
    #[error("a job of kind {kind} has no {result}")]
    NoResult {
        /// The kind.
        kind: &'static str,
        /// The result: "picture 3".
        result: String,
    },
    /// A value that a setting cannot have.
    #[error("{setting} is {value}; {needed} is needed")]
    Setting {
        /// The setting.
        setting: Setting,
        /// Its value.
        value: usize,
        /// The values that it can have: "a number from 1 to 8192".
        needed: String,
    },
    /// A recipe that there is not.
    #[error("there is no recipe \"{name}\"; there are {}", known.join(", "))]
    UnknownRecipe {
        /// Its name.
        name: String,
        /// The recipes that there are.
        known: Vec<String>,
    },
    /// A network without an output, and no layer to run up to.
    #[error("the network has no output; name a layer")]
    NoOutput,
    /// A job without units.
    #[error("there is nothing to render")]
    NoUnits,
    /// A job without settings.
    #[error("there are no settings to render by")]
    NoSettings,
    /// A unit whose settings are not there.
    #[error("{unit}: there are no settings number {setting}")]
    NoSuchSetting {
        /// The unit.
        unit: String,
        /// Number of its settings.
        setting: usize,
    },
    /// A layout of another number of units.
    #[error("the layout is not one of {units} units")]
    Layout {
        /// The number of units.
        units: usize,
    },
    /// Statistics that a recipe takes nothing from.
    #[error("nothing is taken from the statistics {path}, as {}", unused(param, *other_colors))]
    UnusedStatistics {
        /// Their file.
        path: String,
        /// The recipe's parametrization.
        param: String,
        /// Whether the parametrization could decorrelate colours by them.
        other_colors: bool,
    },
    /// A result that would be larger than it can be.
    #[error("{count} {things} of {}x{} are too much for {result}", size[0], size[1])]
    TooLarge {
        /// Number of frames, pictures or cells.
        count: usize,
        /// "frames", "pictures", "cells".
        things: &'static str,
        /// Height and width of each.
        size: [usize; 2],
        /// The result that would be too large.
        result: Large,
    },
    /// A unit that depends on no picture.
    #[error("the unit depends on no image input")]
    NoPicture,
    /// A largest activation, of a network without one picture input.
    #[error("the network needs one picture input, it has {inputs}")]
    NotOnePicture {
        /// Its picture inputs.
        inputs: usize,
    },
    /// An attribution by a network without a picture input.
    #[error("{model} has no input for images; attributions are of single images")]
    NoImageInput {
        /// The network.
        model: String,
    },
    /// A dream without an objective or a guide.
    #[error("there is nothing to dream of: neither an objective nor a guide")]
    NoDream,
    /// An objective of a dream that compares with a picture.
    #[error(transparent)]
    PictureInDream(ExpressionError),
    /// A layer without activations above zero.
    #[error("layer \"{layer}\" is silent for {image}: no activation of it is above zero")]
    SilentLayer {
        /// The layer.
        layer: String,
        /// The photo.
        image: String,
    },
    /// Positions at which a layer is silent.
    #[error("at none of these positions of {layer} does any channel speak; choose others")]
    SilentPositions {
        /// The layer.
        layer: String,
    },
    /// A position outside a layer's map.
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
    /// A folder of pictures that is none.
    #[error("{folder} is not a folder; name one that has images in it")]
    NotAFolder {
        /// The path.
        folder: String,
    },
    /// A folder without pictures.
    #[error("there is no image in {folder} ({}), nor a .npy file of bands", IMAGE_EXTENSIONS.join(", "))]
    NoImages {
        /// The folder.
        folder: String,
    },
    /// A folder of pictures and of bands.
    #[error(
        "{folder} holds {arrays} .npy files and {pictures} pictures; statistics are of one kind: put them into folders of \
         their own"
    )]
    MixedFolder {
        /// The folder.
        folder: String,
        /// Files of bands.
        arrays: usize,
        /// Pictures.
        pictures: usize,
    },
    /// Bands that are to be turned to grey.
    #[error("only pictures in colour can be turned to grey, and {folder} holds bands")]
    GrayBands {
        /// The folder.
        folder: String,
    },
    /// Files of different numbers of bands.
    #[error(
        "{} has {bands} bands, {} has {first_bands}; put them into folders of their own",
        path.display(), first.display()
    )]
    BandsDiffer {
        /// A file.
        path: PathBuf,
        /// Its bands.
        bands: usize,
        /// The first file.
        first: PathBuf,
        /// The first file's bands.
        first_bands: usize,
    },
    /// A folder of which no picture can be read.
    #[error("none of the {pictures} pictures in {folder} can be read: {first}")]
    NoneReadable {
        /// Number of pictures.
        pictures: usize,
        /// The folder.
        folder: String,
        /// Why the first cannot be read.
        first: String,
    },
    /// Files and folders without a photo.
    #[error(
        "there is no image in {} ({})",
        paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "), IMAGE_EXTENSIONS.join(", ")
    )]
    NoPhotos {
        /// The files and folders.
        paths: Vec<PathBuf>,
    },
    /// A share to crop that is none.
    #[error("the crop is {crop}; a fraction above 0 and at most 1 is needed")]
    Crop {
        /// The share.
        crop: f64,
    },
    /// An output that is not finite.
    #[error(
        "{photo}: the network's output is not finite, {}",
        weights.as_ref().map_or("though its weights are".to_owned(), |w| format!("and neither are its weights {w}"))
    )]
    OutputNotFinite {
        /// The photo that is shown.
        photo: String,
        /// Weights that are not finite, in words.
        weights: Option<String>,
    },
    /// A picture of another size than when it was read before.
    #[error("a picture changed while it was looked at")]
    Changed,
    /// A result or part that was not made, though nothing failed.
    #[error("{what} was not made")]
    NotMade {
        /// Which.
        what: &'static str,
    },
    /// A film among the parts of a job.
    #[error("films are not kept in parts")]
    FilmInParts,
    /// A unit that a scan has no examples of.
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
        /// Its file.
        file: String,
    },
    /// A layer of too many units to be compared with each other.
    #[error("layer \"{layer}\" has {units} units; pairs of at most {most} are compared")]
    ManyUnits {
        /// The layer.
        layer: String,
        /// Number of its units.
        units: usize,
        /// Units that are compared at most.
        most: usize,
    },
    /// A question about classes to a network that names none.
    #[error("the network names no classes, so nothing speaks for one")]
    NoClasses,
    /// Directions in a scan that ranks by relevance.
    #[error("{layer}: relevance is known for channels, not for directions")]
    RelevanceOfDirections {
        /// The layer.
        layer: String,
    },
    /// A least correlation of groups that cannot be.
    #[error("the least correlation of groups is {correlation}; a number above 0 and below 1 is needed")]
    Correlation {
        /// The correlation.
        correlation: f64,
    },
    /// A stored part that is cut off.
    #[error("the part is cut off")]
    CutOff,
}

/// A setting of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// Steps of an optimisation.
    Steps,
    /// A side of a picture.
    Side,
    /// A side of the squares that statistics are of.
    Square,
    /// A side of a grid's cells.
    Cell,
    /// Positions about the centre that are inverted.
    Center,
    /// Images in each list of a unit.
    Examples,
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
        })
    }
}

/// A result of limited size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Large {
    /// A film.
    Film,
    /// The film of a dream as a GIF.
    Gif,
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
            Self::Sheet => write!(f, "one sheet (at most {millions} million pixels)"),
            Self::Mosaic => write!(f, "one picture (at most {millions} million pixels)"),
        }
    }
}

/// The error of a run that made its parts while others are missing: a shard's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{done} of {total} parts are done, in {}", folder.display())]
pub struct Unfinished {
    /// Parts that are there.
    pub done: usize,
    /// Parts in all.
    pub total: usize,
    /// Where they are.
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
