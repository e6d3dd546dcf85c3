//! The short notation for what to visualize: `LAYER:CHANNEL`, `LAYER:CHANNEL@Y,X`, `LAYER`, `class:NAME`.

use std::fmt;
use std::str::FromStr;

use crate::objective::quote::quote;
use crate::objective::{ExpressionError, Objective, Position};

/// The part of the network that a unit consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitTarget {
    /// A channel of a layer, averaged over positions.
    Channel(String, usize),
    /// One neuron: a channel at one position.
    Neuron(String, usize, Position),
    /// A whole layer.
    Layer(String),
    /// A class of the output, by name or index.
    Class(String),
}

/// A unit as the command line writes it: a neuron, a channel, a layer or a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The part of the network that the unit is.
    pub target: UnitTarget,
}

impl Unit {
    /// Returns the objective that visualizes the unit. `class_index` returns the output's index for the name
    /// of a class.
    pub fn objective<E>(&self, class_index: impl FnOnce(&str) -> Result<usize, E>) -> Result<Objective, E> {
        Ok(match &self.target {
            UnitTarget::Channel(layer, c) => Objective::channel(layer, *c),
            UnitTarget::Neuron(layer, c, at) => Objective::neuron(layer, *c, at.clone()),
            UnitTarget::Layer(layer) => Objective::layer(layer),
            UnitTarget::Class(name) => Objective::logit(class_index(name)?),
        })
    }
}

impl FromStr for Unit {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let fail = |why: &str| ExpressionError {
            text: text.to_owned(),
            why: format!("{why}; a unit is LAYER:CHANNEL, LAYER:CHANNEL@Y,X, LAYER or class:NAME"),
            name: None,
        };
        if let Some(class) = text.strip_prefix("class:") {
            let name = class.trim().trim_matches('"');
            return if name.is_empty() {
                Err(fail("the class is missing"))
            } else {
                Ok(Self { target: UnitTarget::Class(name.to_owned()) })
            };
        }
        let (layer, rest) = match text.strip_prefix('"') {
            Some(quoted) => {
                let (layer, rest) = quoted.split_once('"').ok_or_else(|| fail("a quote is not closed"))?;
                (
                    layer,
                    rest.strip_prefix(':')
                        .or((rest.is_empty()).then_some(""))
                        .ok_or_else(|| fail("a colon should follow the name"))?,
                )
            }
            None => text.rsplit_once(':').unwrap_or((text, "")),
        };
        if layer.is_empty() {
            return Err(fail("the layer is missing"));
        }
        if layer.contains('"') {
            return Err(fail("a quote may only stand around a name"));
        }
        let layer = layer.to_owned();
        if rest.is_empty() {
            return if text.ends_with(':') {
                Err(fail("the channel is missing"))
            } else {
                Ok(Self { target: UnitTarget::Layer(layer) })
            };
        }
        let (channel, position) = match rest.split_once('@') {
            None => (rest, None),
            Some((c, p)) => (c, Some(p)),
        };
        let channel = channel.trim().parse().map_err(|_| fail("the channel should be a whole number"))?;
        let target = match position.map(str::trim) {
            None => UnitTarget::Channel(layer, channel),
            Some("center") => UnitTarget::Neuron(layer, channel, Position::Center),
            Some(at) => {
                let at = at
                    .split(',')
                    .map(|i| {
                        i.trim()
                            .parse()
                            .map_err(|_| fail("the position should be whole numbers or \"center\""))
                    })
                    .collect::<Result<Vec<usize>, _>>()?;
                UnitTarget::Neuron(layer, channel, Position::At(at))
            }
        };
        Ok(Self { target })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            UnitTarget::Channel(layer, c) => write!(f, "{}:{c}", quote(layer)),
            UnitTarget::Neuron(layer, c, Position::Center) => write!(f, "{}:{c}@center", quote(layer)),
            UnitTarget::Neuron(layer, c, Position::At(at)) => {
                let at: Vec<String> = at.iter().map(usize::to_string).collect();
                write!(f, "{}:{c}@{}", quote(layer), at.join(","))
            }
            UnitTarget::Layer(layer) => write!(f, "{}", quote(layer)),
            UnitTarget::Class(name) => write!(f, "class:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_and_print() {
        for text in [
            "conv4_3:5",
            "a.b:5@3,4",
            "a:5@center",
            "a:5@1,2,3",
            "conv5",
            "class:traffic light",
            "\"conv2d_3:0\":12",
        ] {
            assert_eq!(text.parse::<Unit>().unwrap().to_string(), text);
        }
        assert_eq!("\"a:0\"".parse::<Unit>().unwrap().target, UnitTarget::Layer("a:0".into()));
    }

    #[test]
    fn bad_units_say_what_a_unit_is() {
        for text in ["", ":5", "a:", "a:x", "a:5@", "a:5@y", "class:", "\"a", "\"a\"5", "a\":5"] {
            let error = text.parse::<Unit>().unwrap_err().to_string();
            assert!(error.contains("a unit is"), "{text}: {error}");
        }
    }
}
