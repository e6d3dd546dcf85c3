//! The channel axis of each layer, and views of layers as maps (N, C, positions).
//!
//! All code that reads channels uses this module: objectives, Grad-CAM, grids, sheets and lists of layers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use oneiro_net::analysis;
use oneiro_net::axes::{self, Axes, FeatureMap, Followed};
use oneiro_net::graph::Fact;
use oneiro_net::plan::{self, Request};
use oneiro_net::{Graph, ValueId};

use crate::card::{Card, InputKind, TensorLayout};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::Term;

/// How a term reads a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// The term reads a map of channels over positions. Tokens that are no patches are left out.
    Map,
    /// The term reads all values, whatever the axes mean.
    Everything,
    /// The term reads one number for each class, on whichever axis the classes are.
    Classes,
}

/// A value of the network, and how a term reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The value of the network.
    pub value: ValueId,
    /// How the term reads the value.
    pub view: View,
}

/// Shapes and axes of a network's values, for inputs of given shapes.
#[derive(Debug)]
pub struct Layered {
    facts: Vec<Option<Fact>>,
    followed: Followed,
    batch: usize,
}

impl Layered {
    /// Returns the axes of a value, or `None` if they are unknown.
    pub fn axes(&self, value: ValueId) -> Option<&Axes> {
        self.followed.of(value)
    }

    /// Returns element type, shape and constant content of each value, where known.
    pub(crate) fn facts(&self) -> &[Option<Fact>] {
        &self.facts
    }

    /// Whether a value does not depend on the inputs.
    pub fn is_constant(&self, value: ValueId) -> bool {
        self.facts.get(value.index()).and_then(Option::as_ref).is_some_and(|fact| fact.value.is_some())
    }

    /// Returns the shape of a value including the batch, or `None` if it cannot be computed.
    pub fn shape(&self, value: ValueId) -> Option<&[usize]> {
        self.facts.get(value.index())?.as_ref().map(|fact| fact.shape.as_slice())
    }

    /// Returns a value as a map, or `None` if its channel axis is unknown.
    pub fn map(&self, value: ValueId) -> Option<FeatureMap> {
        FeatureMap::of(self.axes(value)?, self.shape(value)?, self.batch)
    }

    /// Whether batch entries are independent of each other in these nodes.
    pub fn entries_stay_apart(&self, needed: &[bool]) -> bool {
        self.followed.entries_stay_apart(needed)
    }

    /// Returns the axes of all values, as far as they are known.
    pub fn followed(&self) -> &Followed {
        &self.followed
    }
}

/// Where a value has its numbers, if each batch entry is a single row of numbers.
enum Row {
    /// The row of numbers is on axis 1, or the value is a single number.
    InPlace,
    /// This many numbers are on another axis, or in a value without a batch axis.
    Of(usize),
}

/// Returns where a value of this shape has its row of numbers. Returns `None` if it has several axes with
/// more than one position.
fn row_of(shape: &[usize], batch: usize) -> Option<Row> {
    match shape {
        [n] if batch == 1 && *n != 1 => Some(Row::Of(*n)),
        [first, entry @ ..] if *first == batch && entry.iter().filter(|&&n| n != 1).count() <= 1 => {
            match entry.iter().position(|&n| n != 1) {
                Some(at) if at > 0 => Some(Row::Of(entry[at])),
                _ => Some(Row::InPlace),
            }
        }
        _ => None,
    }
}

impl Model {
    /// Returns the target that a term reads. A term that reads the picture is an error.
    pub fn target_of(&self, term: &Term) -> Result<Target> {
        let view = match term {
            _ if term.at_output() => View::Classes,
            _ if term.reads_everything() => View::Everything,
            _ => View::Map,
        };
        Ok(Target { value: self.value_of(term)?, view })
    }

    /// Infers shapes and axes of the values on which `values` depend, for inputs of these shapes.
    ///
    /// # Errors
    /// If the card states axes for a layer that does not exist, or axes that do not fit the layer.
    pub fn layered(&self, values: &[ValueId], shapes: &[Vec<usize>]) -> Result<Layered> {
        let needed = analysis::ancestors(&self.graph, values);
        self.layered_where(&needed, shapes)
    }

    /// Infers shapes and axes of all values, for inputs of these shapes.
    ///
    /// # Errors
    /// The errors of [`Model::layered`].
    pub fn all_layered(&self, shapes: &[Vec<usize>]) -> Result<Layered> {
        self.layered_where(&vec![true; self.graph.nodes.len()], shapes)
    }

    fn layered_where(&self, needed: &[bool], shapes: &[Vec<usize>]) -> Result<Layered> {
        let facts = analysis::infer(&self.graph, shapes, needed, |_, _| Ok(()))?;
        let batch = self.batch(shapes);
        let mut stated = self.stated_axes.clone();
        for (i, (input, shape)) in self.graph.inputs.iter().zip(shapes).enumerate() {
            if !stated.iter().any(|(value, _)| *value == input.value)
                && let Some(axes) = self.input_axes(i, shape)
            {
                stated.push((input.value, axes));
            }
        }
        let mut followed = axes::follow(&self.graph, &facts, &stated, batch, self.card.prefix_tokens);
        if !self.card.axes.is_empty() {
            let said = self.axes_of_card(&facts, &followed)?;
            if !said.is_empty() {
                stated.splice(0..0, said);
                followed = axes::follow(&self.graph, &facts, &stated, batch, self.card.prefix_tokens);
            }
        }
        Ok(Layered { facts, followed, batch })
    }

    /// Returns the axes of an input by its card.
    fn input_axes(&self, input: usize, shape: &[usize]) -> Option<Axes> {
        let card = &self.card.input[input];
        match card.kind {
            InputKind::Tensor => {
                (shape.first() > Some(&0) && shape.len() > 1).then(|| Axes::batch_only(shape))
            }
            _ if self.card.layout == TensorLayout::Nhwc && !self.turned => Some(Axes::channels_last(shape)),
            _ => Some(Axes::channels_first(shape)),
        }
    }

    /// Returns the axes that the card states, for values of known shape.
    fn axes_of_card(&self, facts: &[Option<Fact>], followed: &Followed) -> Result<Vec<(ValueId, Axes)>> {
        let mut said = Vec::new();
        for (layer, text) in &self.card.axes {
            let value = self.resolve(layer)?;
            let Some(fact) = facts.get(value.index()).and_then(Option::as_ref) else { continue };
            let axes = axes::parse(text, &fact.shape, followed.patches(), self.card.prefix_tokens);
            said.push((
                value,
                axes.map_err(|why| Error::StatedAxes { layer: layer.clone(), why: why.to_string() })?,
            ));
        }
        Ok(said)
    }

    /// Lists layers for which the card states another channel axis than the graph implies: name, stated axes,
    /// found axes. Stated axes take precedence.
    pub fn contradicted_axes(&self) -> Vec<(&str, String, String)> {
        let without = Self { card: Card { axes: BTreeMap::new(), ..self.card.clone() }, ..self.clone() };
        let names = self.names();
        let contradicted = self.card.axes.iter().filter_map(|(layer, text)| {
            let value = names.resolve(layer).ok()?;
            let layered = without.layered(&[value], &without.input_shapes(1, None).ok()?).ok()?;
            let found = layered.axes(value)?;
            let patches = layered.followed.patches();
            let stated = axes::parse(text, layered.shape(value)?, patches, self.card.prefix_tokens).ok()?;
            let differs = found.channel().is_some_and(|at| stated.channel() != Some(at));
            differs.then(|| (layer.as_str(), text.clone(), found.to_string()))
        });
        contradicted.collect()
    }

    /// Returns a graph, and the values in it that hold the targets in their views, for inputs of these
    /// shapes. The batch is on axis 0, and for [`View::Map`] the channels are on axis 1.
    ///
    /// # Errors
    /// If the channel axis of a target with [`View::Map`] is unknown.
    pub fn viewed(
        &self,
        targets: &[Target],
        shapes: &[Vec<usize>],
    ) -> Result<(Cow<'_, Graph>, Vec<ValueId>)> {
        let values: Vec<ValueId> = targets.iter().map(|t| t.value).collect();
        let layered = self.layered(&values, shapes)?;
        let mut graph = Cow::Borrowed(&self.graph);
        let mut viewed = Vec::with_capacity(targets.len());
        for &Target { value, view } in targets {
            // A value that cannot be computed stays, so that compiling the plan reports why.
            let Some(shape) = layered.shape(value) else {
                viewed.push(value);
                continue;
            };
            if view == View::Classes
                && let Some(classes) = row_of(shape, self.batch(shapes))
            {
                viewed.push(match classes {
                    Row::InPlace => value,
                    Row::Of(n) => axes::rows(graph.to_mut(), value, n),
                });
                continue;
            }
            let map = match (layered.map(value), view) {
                (Some(map), View::Everything) => Some(map).filter(FeatureMap::is_whole),
                (Some(map), View::Map | View::Classes) => Some(map),
                (None, View::Everything) => None,
                (None, View::Map | View::Classes) => {
                    return Err(self.unknown_channels(&layered, value, shape));
                }
            };
            viewed.push(match map {
                Some(map) if !map.is_identity() => map.add_to(graph.to_mut(), value),
                _ => value,
            });
        }
        Ok((graph, viewed))
    }

    /// Whether these values of one picture are known to be independent of other pictures in the batch. A
    /// network with statistics over its batch mixes pictures. A network that accepts single pictures only
    /// cannot mix them.
    pub fn keeps_pictures_apart(&self, values: &[ValueId], size: Option<[usize; 2]>) -> bool {
        const PAIR: usize = 2;
        let Ok(shapes) = self.input_shapes(PAIR, size) else { return true };
        let needed = analysis::ancestors(&self.graph, values);
        let Ok(layered) = self.layered(values, &shapes) else { return true };
        let computed = |value: &ValueId| layered.shape(*value).is_some();
        !values.iter().all(computed)
            || layered.entries_stay_apart(&needed)
            || plan::keeps_entries_apart(&self.graph, &Request::of_shapes(shapes, values.to_vec()))
    }

    /// Returns how a layer is read as a map of channels over positions.
    ///
    /// # Errors
    /// If the layer's channel axis is unknown.
    pub fn map_of(&self, value: ValueId, shapes: &[Vec<usize>]) -> Result<FeatureMap> {
        let layered = self.layered(&[value], shapes)?;
        let shape = layered.shape(value).map(<[usize]>::to_vec);
        match (layered.map(value), shape) {
            (Some(map), _) => Ok(map),
            (None, Some(shape)) => Err(self.unknown_channels(&layered, value, &shape)),
            (None, None) => {
                // If the shape is unknown, this returns the error of the node that cannot be computed.
                plan::accepts(&self.graph, &Request::of_shapes(shapes.to_vec(), vec![value]))?;
                Err(Error::UnknownShape { name: self.graph.name(value).to_owned() })
            }
        }
    }

    fn unknown_channels(&self, layered: &Layered, value: ValueId, shape: &[usize]) -> Error {
        let name = self.names().of(value).into_iter().next().unwrap_or_default();
        let axes = layered.axes(value);
        let known = axes.map_or(String::new(), |axes| format!(" (axes {axes})"));
        if let Some(axes) = axes
            && axes.channel().is_some()
        {
            return Error::Unit(format!(
                "layer \"{name}\" has shape {shape:?}{known}: it does not keep the pictures of a batch of {} apart",
                layered.batch
            ));
        }
        Error::UnknownChannels {
            layer: name,
            shape: shape.to_vec(),
            axes: axes.map(ToString::to_string),
            has_batch: axes.is_some_and(|axes| axes.is_batch(0)),
        }
    }
}
