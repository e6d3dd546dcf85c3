//! Reads a unit's value from the map of its layer.

use oneiro::layer_maps::{LayerMap, LayerMaps, Peak};
use oneiro::model::unit_weights::UnitWeights;
use oneiro::objective::{Objective, Position, TermKind, Toward};
use oneiro::similarity::cosine;
use oneiro_net::ValueId;

use super::error::CompareError;
use super::request::term_of;
use crate::error::Result;
use crate::model::LoadedModel;

/// A unit of a network, and how its value is read.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    /// The value of the graph that holds its layer.
    pub value: ValueId,
    read: Read,
}

#[derive(Debug, Clone)]
enum Read {
    Channel(usize, Option<Position>),
    Direction(Vec<f32>, Option<Position>),
}

impl Reader {
    /// Of the unit with this objective.
    ///
    /// # Errors
    /// If the objective is not that of a channel, neuron, direction or class.
    pub(super) fn new(model: &LoadedModel, unit: &str, objective: &Objective) -> Result<Self> {
        let term = term_of(unit, objective)?;
        let refused = || CompareError::NotCompared { unit: unit.to_owned() };
        let read = match &term.kind {
            TermKind::Channel(channel) | TermKind::Logit(channel) => Read::Channel(*channel, None),
            TermKind::Neuron(channel, position) => Read::Channel(*channel, Some(position.clone())),
            TermKind::Direction(direction) if direction.minus.is_none() && direction.power == 0.0 => {
                let numbers = match &direction.toward {
                    Toward::Numbers(numbers) => numbers.clone(),
                    Toward::Vector(_, numbers) => numbers.to_vec(),
                    _ => return Err(refused().into()),
                };
                Read::Direction(numbers, direction.at.clone())
            }
            _ => return Err(refused().into()),
        };
        let value = model.model.value_of(term)?;
        let shape = model.model.map_of(value, &model.model.input_shapes(1, None)?)?.shape().to_vec();
        term.check(shape.get(1..).unwrap_or_default()).map_err(oneiro::Error::from)?;
        if term.at_output() {
            model.check_labels(shape.get(1).copied().unwrap_or(0))?;
        }
        Ok(Self { value, read })
    }

    /// The channel of a unit that is a whole channel, or a class.
    pub(super) fn channel(&self) -> Option<usize> {
        match &self.read {
            Read::Channel(channel, None) => Some(*channel),
            _ => None,
        }
    }

    /// What the unit does in its layer's map.
    pub(super) fn peak(&self, map: &LayerMap) -> Peak {
        let (plane, position) = match &self.read {
            Read::Channel(channel, position) => (map.channel(*channel).to_vec(), position),
            Read::Direction(direction, position) => (map.along(direction), position),
        };
        let Some(position) = position else { return Peak::of(&plane) };
        let extents = &map.shape[1..];
        let index = |axis: usize| match position {
            Position::Center => extents[axis] / 2,
            Position::At(at) => at[axis],
        };
        let place = (0..extents.len()).fold(0, |place, axis| place * extents[axis] + index(axis));
        let value = plane[place];
        Peak { largest: value, place, mean: value }
    }

    /// The cosine of what two units weigh their inputs with: their rows of weights, or their directions. For
    /// two channels also the cosines with all channels of the other unit's layer.
    ///
    /// # Errors
    /// Those of finding the weights.
    pub(super) fn weight_cosines(
        &self,
        other: &Self,
        model: &LoadedModel,
    ) -> Result<(Option<f64>, Vec<Option<f64>>)> {
        match (&self.read, &other.read) {
            (Read::Channel(a, _), Read::Channel(b, _)) => {
                let rows = |value| -> Result<Vec<UnitWeights>> {
                    Ok(model.model.unit_weights(value)?.unwrap_or_default())
                };
                let (of_a, of_b) = (rows(self.value)?, rows(other.value)?);
                let Some(own) = of_a.get(*a) else { return Ok((None, Vec::new())) };
                let all: Vec<Option<f64>> = of_b.iter().map(|row| own.cosine(row)).collect();
                Ok((all.get(*b).copied().flatten(), all))
            }
            (Read::Direction(a, _), Read::Direction(b, _)) if self.value == other.value => {
                Ok((cosine(a, b), Vec::new()))
            }
            _ => Ok((None, Vec::new())),
        }
    }

    /// The weights of the unit in its network, for comparisons between networks.
    ///
    /// # Errors
    /// Those of finding the weights.
    pub(super) fn weights(&self, model: &LoadedModel) -> Result<Option<Vec<f32>>> {
        Ok(match &self.read {
            Read::Channel(channel, _) => {
                let rows = model.model.unit_weights(self.value)?;
                rows.and_then(|rows| rows.into_iter().nth(*channel)).map(|row| row.weights)
            }
            Read::Direction(direction, _) => Some(direction.clone()),
        })
    }
}

/// Several units of a network that are read for one picture after another.
pub(super) struct Readers {
    maps: LayerMaps,
    readers: Vec<Reader>,
}

impl Readers {
    /// # Errors
    /// Those of [`LayerMaps::new`].
    pub(super) fn new(model: &LoadedModel, readers: &[&Reader]) -> Result<Self> {
        let layers: Vec<ValueId> = readers.iter().map(|reader| reader.value).collect();
        let maps = LayerMaps::new(&model.model, &layers)?;
        Ok(Self { maps, readers: readers.iter().map(|reader| (*reader).clone()).collect() })
    }

    /// The largest activation of every channel in a unit's layer, for the last picture.
    pub(super) fn largest(&self, unit: usize) -> Vec<f32> {
        let map = self.maps.map(unit);
        (0..map.shape[0]).map(|channel| Peak::of(map.channel(channel)).largest).collect()
    }

    /// What each unit does for a display image.
    ///
    /// # Errors
    /// Those of [`LayerMaps::run`].
    pub(super) fn run(&mut self, picture: &[f32]) -> Result<Vec<Peak>> {
        self.maps.run(picture)?;
        let peaks = self.readers.iter().enumerate();
        Ok(peaks.map(|(i, reader)| reader.peak(&self.maps.map(i))).collect())
    }
}
