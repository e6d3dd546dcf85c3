//! The terms of objectives as data: a quantity of a layer, and its text.
//!
//! A term becomes a measure (`objective/measure`) once the shape of its layer is known.

use std::fmt;
use std::sync::Arc;

use crate::objective::quote::quote;
use crate::objective::{Reference, TermError};

/// The position of a neuron in a layer's map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Position {
    /// The centre: floor(extent/2) along every axis.
    Center,
    /// An index for every spatial axis: (y, x), (t, y, x), or none for a layer without space.
    At(Vec<usize>),
}

/// The quantity of a layer that is maximised, for one batch entry.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TermKind {
    /// The mean of a channel's activations over positions.
    Channel(usize),
    /// One activation: a channel at one position.
    Neuron(usize, Position),
    /// Mean of the squares of all activations (DeepDream).
    Layer,
    /// The network's output for a class, before softmax.
    Logit(usize),
    /// The probability of a class: the softmax of the network's output.
    Probability(usize),
    /// The activations' component along a vector over the channels.
    Direction(Direction),
    /// −mean |Φ − Φ0|, with Φ0 the activations of a picture.
    Difference(Reference),
    /// The match with a picture's activations, −‖Φ − Φ0‖² / ‖Φ0‖² (Mahendran & Vedaldi 2016, §3).
    Inversion(Reference),
    /// ⟨Φ, relu Φ0⟩ / ‖relu Φ0‖² (Mahendran & Vedaldi 2016, §3.3). With a power p, each position's share is
    /// multiplied by max(.1, cos)^p (Lucid).
    Caricature(Reference, f64),
    /// −Σ (G − G0)² / Σ G0² with Gram matrices G over positions (Gatys et al. 2016).
    Style(Reference),
    /// At every position, the largest dot product with any position of the picture's map; averaged over
    /// positions (guided dreaming).
    Guide(Reference),
    /// Similarity of the Gram matrices of a batch's pictures. It couples the batch (Lucid,
    /// `objectives.diversity`).
    Diversity,
    /// Similarity of neighbouring pictures of a batch. It couples the batch (Lucid, `objectives.alignment`).
    Alignment,
    /// A penalty on the input, or on a layer.
    Penalty(Penalty),
}

/// A direction among the channels of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// The vector of the direction.
    pub toward: Toward,
    /// A picture whose mean activations are subtracted from the direction.
    pub minus: Option<Reference>,
    /// The power p of dot · max(.1, cos)^p.
    pub power: f64,
    /// The position at which the direction is read, instead of the mean over all positions.
    pub at: Option<Position>,
}

/// Where the vector of a direction comes from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Toward {
    /// Numbers in the expression, one for each channel.
    Numbers(Vec<f32>),
    /// The numbers of a file, with the file's name.
    Vector(String, Arc<[f32]>),
    /// The mean activations of a picture over positions.
    Picture(Reference),
}

/// A penalty. All penalties are ≥ 0, so objectives subtract them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Penalty {
    /// The mean of absolute values.
    L1,
    /// The root mean square.
    L2,
    /// Mean over positions of (Δx² + Δy²)^(β/2), summed over channels.
    TotalVariation(f64),
    /// The norm over the channels, raised to this power; mean over positions.
    AlphaNorm(f64),
    /// Mean square of the difference to a slightly blurred picture.
    Blur,
    /// The mean of a picture's opacity channel.
    Opacity,
}

/// Default exponent β of the total variation.
pub const TV_BETA: f64 = 2.0;

/// The part of a layer that a term reads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Region {
    /// Only the central N×N positions of the map are read.
    pub center: Option<usize>,
    /// Only channels from the first to the last are read, both included.
    pub channels: Option<(usize, usize)>,
    /// Weights of positions: the luma of a picture, averaged to the layer's size.
    pub mask: Option<Reference>,
}

impl Region {
    /// Whether the term reads the whole layer.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// A quantity of a layer. The layer's name is empty for the network's output and for its input.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Name of the layer as the user wrote it.
    pub layer: String,
    /// The quantity that is computed from the layer.
    pub kind: TermKind,
    /// The part of the layer that is read.
    pub region: Region,
}

/// What a term reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reads {
    /// A layer's activations for one batch entry.
    Layer,
    /// A layer's activations for all batch entries together.
    Batch,
    /// The network's class output, whatever its name.
    Output,
    /// The picture itself, before random transforms.
    Input,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = quote(&self.layer);
        match &self.kind {
            TermKind::Channel(c) => write!(f, "channel({layer},{c}")?,
            TermKind::Neuron(c, Position::Center) => write!(f, "neuron({layer},{c}")?,
            TermKind::Neuron(c, Position::At(at)) => {
                write!(f, "neuron({layer},{c}")?;
                at.iter().try_for_each(|i| write!(f, ",{i}"))?;
            }
            TermKind::Layer => write!(f, "layer({layer}")?,
            TermKind::Logit(c) => write!(f, "logit({c}")?,
            TermKind::Probability(c) => write!(f, "prob({c}")?,
            TermKind::Direction(d) => write!(f, "direction({layer},{d}")?,
            TermKind::Difference(r) => write!(f, "difference({layer},{}", quote(&r.name))?,
            TermKind::Inversion(r) => write!(f, "inversion({layer},{}", quote(&r.name))?,
            TermKind::Caricature(r, p) => {
                write!(f, "caricature({layer},{}", quote(&r.name))?;
                if *p != 0.0 {
                    write!(f, ",{p}")?;
                }
            }
            TermKind::Style(r) => write!(f, "style({layer},{}", quote(&r.name))?,
            TermKind::Guide(r) => write!(f, "guide({layer},{}", quote(&r.name))?,
            TermKind::Diversity => write!(f, "diversity({layer}")?,
            TermKind::Alignment => write!(f, "alignment({layer}")?,
            TermKind::Penalty(penalty) => return penalty.write(f, &self.layer),
        }
        write!(f, "{})", self.region)
    }
}

impl Penalty {
    /// The penalty's name in expressions.
    pub fn name(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::TotalVariation(_) => "tv",
            Self::AlphaNorm(_) => "alpha_norm",
            Self::Blur => "blur",
            Self::Opacity => "opacity",
        }
    }

    fn write(self, f: &mut fmt::Formatter<'_>, layer: &str) -> fmt::Result {
        let number = match self {
            Self::TotalVariation(beta) => (beta != TV_BETA).then_some(beta),
            Self::AlphaNorm(alpha) => Some(alpha),
            _ => None,
        };
        write!(f, "{}", self.name())?;
        match (layer.is_empty(), number) {
            (true, None) => Ok(()),
            (true, Some(number)) => write!(f, "({number})"),
            (false, None) => write!(f, "({})", quote(layer)),
            (false, Some(number)) => write!(f, "({number},{})", quote(layer)),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.toward {
            Toward::Numbers(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(f32::to_string).collect();
                write!(f, "[{}]", numbers.join(","))?;
            }
            Toward::Vector(name, _) => write!(f, "{}", quote(name))?,
            Toward::Picture(picture) => write!(f, "{}", quote(&picture.name))?,
        }
        if let Some(minus) = &self.minus {
            write!(f, ",minus={}", quote(&minus.name))?;
        }
        if self.power != 0.0 {
            write!(f, ",p={}", self.power)?;
        }
        match &self.at {
            None => Ok(()),
            Some(Position::Center) => write!(f, ",at=center"),
            Some(Position::At(at)) => {
                let at: Vec<String> = at.iter().map(usize::to_string).collect();
                write!(f, ",at={}", at.join("/"))
            }
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(center) = self.center {
            write!(f, ",center={center}")?;
        }
        if let Some((first, last)) = self.channels {
            write!(f, ",channels={first}-{last}")?;
        }
        if let Some(mask) = &self.mask {
            write!(f, ",mask={}", quote(&mask.name))?;
        }
        Ok(())
    }
}

impl Term {
    /// Creates a term that reads a whole layer.
    pub fn new(layer: impl Into<String>, kind: TermKind) -> Self {
        Self { layer: layer.into(), kind, region: Region::default() }
    }

    /// Returns what the term reads.
    pub fn reads(&self) -> Reads {
        match self.kind {
            TermKind::Logit(_) | TermKind::Probability(_) => Reads::Output,
            TermKind::Diversity | TermKind::Alignment => Reads::Batch,
            TermKind::Penalty(_) if self.layer.is_empty() => Reads::Input,
            _ => Reads::Layer,
        }
    }

    /// Whether the term treats all numbers of the layer alike, so that the channel axis need not be known.
    pub fn reads_everything(&self) -> bool {
        let alike = match &self.kind {
            TermKind::Layer | TermKind::Difference(_) | TermKind::Inversion(_) | TermKind::Alignment => true,
            TermKind::Caricature(_, power) => *power == 0.0,
            TermKind::Penalty(penalty) => matches!(penalty, Penalty::L1 | Penalty::L2),
            _ => false,
        };
        alike && self.region.is_all()
    }

    /// Whether the term reads the network's class output, whatever its name.
    pub fn at_output(&self) -> bool {
        self.reads() == Reads::Output
    }

    /// Returns the pictures with which the term compares, without masks.
    pub fn references(&self) -> Vec<&Reference> {
        match &self.kind {
            TermKind::Direction(d) => {
                let toward = match &d.toward {
                    Toward::Picture(picture) => Some(picture),
                    _ => None,
                };
                toward.into_iter().chain(&d.minus).collect()
            }
            TermKind::Difference(r)
            | TermKind::Inversion(r)
            | TermKind::Caricature(r, _)
            | TermKind::Style(r)
            | TermKind::Guide(r) => vec![r],
            _ => Vec::new(),
        }
    }

    /// Returns the pictures with which the term compares, so that they can be changed.
    pub fn references_mut(&mut self) -> Vec<&mut Reference> {
        match &mut self.kind {
            TermKind::Direction(d) => {
                let toward = match &mut d.toward {
                    Toward::Picture(picture) => Some(picture),
                    _ => None,
                };
                toward.into_iter().chain(&mut d.minus).collect()
            }
            TermKind::Difference(r)
            | TermKind::Inversion(r)
            | TermKind::Caricature(r, _)
            | TermKind::Style(r)
            | TermKind::Guide(r) => vec![r],
            _ => Vec::new(),
        }
    }

    /// Calls `change` with the names of the files that the term needs.
    pub(crate) fn for_each_file(&mut self, mut change: impl FnMut(&mut String)) {
        if let TermKind::Direction(Direction { toward: Toward::Vector(name, _), .. }) = &mut self.kind {
            change(name);
        }
        self.references_mut().into_iter().for_each(|r| change(&mut r.name));
        self.region.mask.iter_mut().for_each(|r| change(&mut r.name));
    }

    /// Checks the term against the shape of one batch entry of its layer (channels first, no batch axis).
    pub fn check(&self, shape: &[usize]) -> Result<(), TermError> {
        let channels = shape.first().copied().unwrap_or(1);
        let space = shape.get(1..).unwrap_or_default();
        let positions: usize = space.iter().product();
        let layer = || if self.layer.is_empty() { "the output".to_owned() } else { self.layer.clone() };
        let in_range = |index: usize, what| match index < channels {
            true => Ok(()),
            false => Err(TermError::Index { what, index, layer: layer(), count: channels }),
        };
        let inside = |position: &Position| match position {
            Position::Center => Ok(()),
            Position::At(at) if at.len() == space.len() && at.iter().zip(space).all(|(i, n)| i < n) => Ok(()),
            Position::At(at) => {
                let (position, map) = (at.clone(), space.to_vec());
                Err(match at.len() == space.len() {
                    true => TermError::Position { position, layer: layer(), map },
                    false => TermError::Axes { position, layer: layer(), map },
                })
            }
        };
        if let Some((_, last)) = self.region.channels {
            in_range(last, "channel")?;
        }
        let in_plane = match &self.kind {
            _ if self.region.mask.is_some() => Some("a mask"),
            TermKind::Penalty(Penalty::TotalVariation(_)) => Some("tv"),
            TermKind::Penalty(Penalty::Blur) => Some("blur"),
            _ => None,
        };
        if let (Some(what), true) = (in_plane, space.len() < 2) {
            return Err(TermError::NoPlane { what, layer: layer(), shape: shape.to_vec() });
        }
        match (self.region.center, space) {
            (None, _) => {}
            (Some(n), [.., h, w]) if n <= *h.min(w) => {}
            (Some(center), &[.., h, w]) => {
                return Err(TermError::Center { layer: layer(), map: [h, w], center });
            }
            (Some(_), _) => return Err(TermError::NoCenter { layer: layer(), shape: shape.to_vec() }),
        }
        match &self.kind {
            TermKind::Channel(c) => in_range(*c, "channel"),
            TermKind::Logit(c) | TermKind::Probability(c) => {
                if positions != 1 {
                    return Err(TermError::NoClasses { shape: shape.to_vec() });
                }
                in_range(*c, "class")
            }
            TermKind::Neuron(c, position) => {
                in_range(*c, "channel")?;
                inside(position)
            }
            TermKind::Direction(d) => {
                let (direction, numbers) = match &d.toward {
                    Toward::Numbers(numbers) => ("the direction", numbers.len()),
                    Toward::Vector(file, numbers) => (file.as_str(), numbers.len()),
                    Toward::Picture(_) => ("", channels),
                };
                if numbers != channels {
                    let direction = direction.to_owned();
                    return Err(TermError::Direction { direction, numbers, layer: layer(), channels });
                }
                d.at.as_ref().map_or(Ok(()), inside)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::objective::Objective;

    #[test]
    fn differences_of_neighbours_need_a_plane() {
        for (text, what) in [("tv(dense)", "tv"), ("tv(1.5,dense)", "tv"), ("blur(dense)", "blur")] {
            let objective: Objective = text.parse().unwrap();
            let error = objective.terms()[0].check(&[5]).unwrap_err().to_string();
            assert!(error.contains("dense") && error.contains(&format!("no plane for {what}")), "{error}");
            assert!(objective.terms()[0].check(&[5, 7, 7]).is_ok());
        }
    }

    #[test]
    fn an_output_with_positions_names_no_classes() {
        for (class, shape, says) in [
            (20, &[21, 8, 8][..], "names no classes"),
            (21, &[21, 8, 8], "names no classes"),
            (21, &[21], "0 to 20"),
        ] {
            let objective = Objective::logit(class);
            let error = objective.terms()[0].check(shape).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
