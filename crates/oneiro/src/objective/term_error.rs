//! Reasons why a term does not fit the layer or the picture that it reads.

use crate::objective::Term;

/// The reason why a term does not fit the layer or the picture that it reads.
///
/// `layer` is the name in the objective, or "the output". Shapes are those of one batch entry, channels
/// first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermError {
    /// The index of a channel or class is too large.
    #[error("{what} {index} is out of range: {layer} has {count} (0 to {})", count.saturating_sub(1))]
    Index {
        /// The kind of index: "channel" or "class".
        what: &'static str,
        /// The requested index, counted from 0.
        index: usize,
        /// Name of the layer, or "the output".
        layer: String,
        /// Number of channels or classes that exist.
        count: usize,
    },
    /// A position has another number of axes than the layer's map.
    #[error("position {position:?} of {layer}: its map is {map:?}, so {}", needed(map))]
    Axes {
        /// The position in the term.
        position: Vec<usize>,
        /// Name of the layer.
        layer: String,
        /// Extents of the layer's map.
        map: Vec<usize>,
    },
    /// A position lies outside the layer's map.
    #[error("position {position:?} is outside {layer}, whose map is {map:?}")]
    Position {
        /// The position in the term.
        position: Vec<usize>,
        /// Name of the layer.
        layer: String,
        /// Extents of the layer's map.
        map: Vec<usize>,
    },
    /// A mask, or a penalty on neighbours, needs a layer with height and width.
    #[error("{layer} has shape {shape:?} per image: there is no plane for {what}")]
    NoPlane {
        /// The part of the term that needs them: "a mask", "tv", "blur".
        what: &'static str,
        /// Name of the layer.
        layer: String,
        /// Shape of the layer's activations.
        shape: Vec<usize>,
    },
    /// The map has fewer positions than the requested centre.
    #[error(
        "the map of {layer} is {}x{}: it has no {center}x{center} positions in its middle; use center={} or less",
        map[0], map[1], map[0].min(map[1])
    )]
    Center {
        /// Name of the layer.
        layer: String,
        /// Rows and columns of the layer's map.
        map: [usize; 2],
        /// Number of rows and columns that the term asks for.
        center: usize,
    },
    /// A centre needs a layer with height and width.
    #[error("{layer} has shape {shape:?} per image: it has no map with a center")]
    NoCenter {
        /// Name of the layer.
        layer: String,
        /// Shape of the layer's activations.
        shape: Vec<usize>,
    },
    /// The output is no list of class scores.
    #[error("the network's output has shape {shape:?} per image: it names no classes")]
    NoClasses {
        /// Shape of the network's output.
        shape: Vec<usize>,
    },
    /// The length of a direction differs from the number of channels.
    #[error("{direction} has {numbers} numbers, {layer} has {channels} channels: one each is needed")]
    Direction {
        /// The file of the direction, or "the direction".
        direction: String,
        /// Number of elements of the direction's vector.
        numbers: usize,
        /// Name of the layer.
        layer: String,
        /// Number of channels of the layer.
        channels: usize,
    },
    /// A penalty on opacity needs a picture with an opacity channel.
    #[error("opacity is that of a picture with transparency, and this one has none")]
    NoTransparency,
    /// The term reads more than the network's activations for one picture.
    #[error("{term} in {place}: {why}; leave it out")]
    NotHere {
        /// The term as an expression.
        term: String,
        /// The technique for which the objective is used: "an attribution".
        place: String,
        /// Why the term cannot be used in that technique.
        why: &'static str,
    },
    /// Some activations of the reference picture are not finite.
    #[error(
        "some activations of the picture are not finite there, as of a network whose weights are not; \
         another layer may have all of them"
    )]
    NotFinite,
    /// Activations of the reference picture or of the layer with which the term cannot be computed.
    #[error("{0}")]
    Activations(String),
    /// Another error, with the term in which it arose.
    #[error("{term}: {why}")]
    In {
        /// The term as an expression.
        term: String,
        /// The error in that term.
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
    /// Whether the reason is activations that are not finite.
    pub fn is_not_finite(&self) -> bool {
        match self {
            Self::In { why, .. } => why.is_not_finite(),
            Self::NotFinite => true,
            _ => false,
        }
    }

    /// Adds the term in which this error arose.
    pub(crate) fn of(self, term: &Term) -> Self {
        Self::In { term: term.to_string(), why: Box::new(self) }
    }
}
