//! The channel axis of each layer, and layers read as maps (N, C, positions).
//!
//! All code that reads channels uses this module: objectives, Grad-CAM, grids, sheets, lists of layers.

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
    /// As a map of channels over positions, tokens that are no patches left out.
    Map,
    /// All values, without meaning of their axes.
    Everything,
    /// As one number a class, on whichever axis the classes are.
    Classes,
}

/// A value of the network, and how it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The value.
    pub value: ValueId,
    /// How the layer is read.
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
    /// The axes of a value; `None` where they are not known.
    pub fn axes(&self, value: ValueId) -> Option<&Axes> {
        self.followed.of(value)
    }

    /// Element type, shape and content of each value, where they are known.
    pub(crate) fn facts(&self) -> &[Option<Fact>] {
        &self.facts
    }

    /// Whether a value is the same for all inputs.
    pub fn is_constant(&self, value: ValueId) -> bool {
        self.facts.get(value.index()).and_then(Option::as_ref).is_some_and(|fact| fact.value.is_some())
    }

    /// The shape of a value, with the batch; `None` if it cannot be computed.
    pub fn shape(&self, value: ValueId) -> Option<&[usize]> {
        self.facts.get(value.index())?.as_ref().map(|fact| fact.shape.as_slice())
    }

    /// A value as a map; `None` where its channels are not known.
    pub fn map(&self, value: ValueId) -> Option<FeatureMap> {
        FeatureMap::of(self.axes(value)?, self.shape(value)?, self.batch)
    }

    /// Whether no entry of a batch depends on another in these nodes.
    pub fn entries_stay_apart(&self, needed: &[bool]) -> bool {
        self.followed.entries_stay_apart(needed)
    }

    /// Known axes of all values.
    pub fn followed(&self) -> &Followed {
        &self.followed
    }
}

/// The axis of values, if each batch entry is a single row of numbers.
enum Row {
    /// On axis 1, or it is a single number.
    InPlace,
    /// This many on another axis, or in a value without a batch axis.
    Of(usize),
}

/// The row that each entry of a value of this shape is; `None` if it has several axes of more than one
/// position.
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
    /// The target that a term reads; an error for one that reads the picture.
    pub fn target_of(&self, term: &Term) -> Result<Target> {
        let view = match term {
            _ if term.at_output() => View::Classes,
            _ if term.reads_everything() => View::Everything,
            _ => View::Map,
        };
        Ok(Target { value: self.value_of(term)?, view })
    }

    /// Shapes and axes of the values that these need, for inputs of these shapes.
    ///
    /// # Errors
    /// If axes are stated for a layer that does not exist, or that do not fit it.
    pub fn layered(&self, values: &[ValueId], shapes: &[Vec<usize>]) -> Result<Layered> {
        let needed = analysis::ancestors(&self.graph, values);
        self.layered_where(&needed, shapes)
    }

    /// Shapes and axes of all values, for inputs of these shapes.
    ///
    /// # Errors
    /// As [`Model::layered`].
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

    /// The axes of an input, by its card.
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

    /// The axes that the card states, of the values whose shapes are known.
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

    /// Layers for which the card states another channel axis than the graph tells: their names, the axes
    /// stated, the axes found. Stated axes take precedence.
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

    /// The graph, and the values in it that hold the targets as they are looked at, for inputs of these
    /// shapes: the batch on axis 0, for [`View::Map`] the channels on axis 1.
    ///
    /// # Errors
    /// If the channels of a target are not known that is looked at as a map.
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
            // What cannot be computed is for the plan to explain.
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

    /// Whether these values of one picture are known not to depend on other pictures of the batch. A network
    /// that takes statistics over its batch mixes pictures. A network that takes single pictures only has
    /// nothing to mix.
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

    /// A layer as a map.
    ///
    /// # Errors
    /// If its channels are not known.
    pub fn map_of(&self, value: ValueId, shapes: &[Vec<usize>]) -> Result<FeatureMap> {
        let layered = self.layered(&[value], shapes)?;
        let shape = layered.shape(value).map(<[usize]>::to_vec);
        match (layered.map(value), shape) {
            (Some(map), _) => Ok(map),
            (None, Some(shape)) => Err(self.unknown_channels(&layered, value, &shape)),
            (None, None) => {
                // The error of the node that cannot be computed.
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
