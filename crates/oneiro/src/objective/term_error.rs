//! Why a term does not fit the layer or the picture that it reads.

use crate::objective::Term;

/// Why a term does not fit the layer or the picture that it reads.
///
/// `layer` is the name that the objective gives, or "the output"; shapes are those of one batch entry,
/// channels first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermError {
    /// A channel or a class beyond the last.
    #[error("{what} {index} is out of range: {layer} has {count} (0 to {})", count.saturating_sub(1))]
    Index {
        /// "channel" or "class".
        what: &'static str,
        /// The index asked for, counted from 0.
        index: usize,
        /// The layer.
        layer: String,
        /// How many there are.
        count: usize,
    },
    /// A position of another number of axes than the layer's map.
    #[error("position {position:?} of {layer}: its map is {map:?}, so {}", needed(map))]
    Axes {
        /// The position asked for.
        position: Vec<usize>,
        /// The layer.
        layer: String,
        /// Extents of the map.
        map: Vec<usize>,
    },
    /// A position outside the layer's map.
    #[error("position {position:?} is outside {layer}, whose map is {map:?}")]
    Position {
        /// The position asked for.
        position: Vec<usize>,
        /// The layer.
        layer: String,
        /// Extents of the map.
        map: Vec<usize>,
    },
    /// A mask, or a penalty on neighbours, for a layer without height and width.
    #[error("{layer} has shape {shape:?} per image: there is no plane for {what}")]
    NoPlane {
        /// "a mask", "tv", "blur".
        what: &'static str,
        /// The layer.
        layer: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// More positions about the centre than the map has.
    #[error(
        "the map of {layer} is {}x{}: it has no {center}x{center} positions in its middle; use center={} or less",
        map[0], map[1], map[0].min(map[1])
    )]
    Center {
        /// The layer.
        layer: String,
        /// Rows and columns of the map.
        map: [usize; 2],
        /// Rows and columns asked for.
        center: usize,
    },
    /// A centre of a layer without height and width.
    #[error("{layer} has shape {shape:?} per image: it has no map with a center")]
    NoCenter {
        /// The layer.
        layer: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A class of an output that is no list of scores.
    #[error("the network's output has shape {shape:?} per image: it names no classes")]
    NoClasses {
        /// The output's shape.
        shape: Vec<usize>,
    },
    /// A direction of another length than the layer has channels.
    #[error("{direction} has {numbers} numbers, {layer} has {channels} channels: one each is needed")]
    Direction {
        /// The file of the direction, or "the direction".
        direction: String,
        /// Its length.
        numbers: usize,
        /// The layer.
        layer: String,
        /// Channels of the layer.
        channels: usize,
    },
    /// A penalty on the opacity of a picture that is opaque.
    #[error("opacity is that of a picture with transparency, and this one has none")]
    NoTransparency,
    /// A term that reads more than the network makes of one picture.
    #[error("{term} in {place}: {why}; leave it out")]
    NotHere {
        /// The term as an expression.
        term: String,
        /// The place of the objective: "an attribution".
        place: String,
        /// Why not.
        why: &'static str,
    },
    /// Activations of the picture that is compared with, some of which are not finite.
    #[error(
        "some activations of the picture are not finite there, as of a network whose weights are not; \
         another layer may have all of them"
    )]
    NotFinite,
    /// Activations, of the picture that is compared with or of the layer, that the term can make nothing of.
    #[error("{0}")]
    Activations(String),
    /// The term, and why it does not fit.
    #[error("{term}: {why}")]
    In {
        /// The term as an expression.
        term: String,
        /// Why.
        why: Box<TermError>,
    },
}

impl From<String> for TermError {
    fn from(why: String) -> Self {
        Self::Activations(why)
    }
}

fn needed(map: &[usize]) -> String {
    let numbers = match map.len() {
        1 => "one number is".to_owned(),
        n => format!("{n} numbers are"),
    };
    format!("{numbers} needed{}", if map.len() == 2 { ", Y,X" } else { "" })
}

impl TermError {
    /// Whether activations that are not finite are to blame.
    pub fn is_not_finite(&self) -> bool {
        match self {
            Self::In { why, .. } => why.is_not_finite(),
            Self::NotFinite => true,
            _ => false,
        }
    }

    /// With the term that it is about.
    pub(crate) fn of(self, term: &Term) -> Self {
        Self::In { term: term.to_string(), why: Box::new(self) }
    }
}
