//! Contributions to and of a unit: which units of earlier layers drive it, and to which classes it
//! contributes.
//!
//! Both are activations times gradients. Before its activation function a unit is a weighted sum of the
//! preceding layers. The products over the unit's window are the terms of this sum, and add up to the unit's
//! value minus its bias. For classes, or if there is another operation in between, such as a layer
//! normalization, the products are a first-order approximation.

use std::collections::BTreeSet;

use oneiro::Model;
use oneiro::input::PictureInput;
use oneiro::model::unit_layers::UnitLayer;
use oneiro::objective::{Objective, Position};
use oneiro::objective_session::ObjectiveSession;
use oneiro_media::Image;
use oneiro_net::{Rules, ValueId, summary};
use serde::{Deserialize, Serialize};

use super::crops::Crops;
use super::{Job, Run, Sink};
use crate::error::Result;
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::model::logits::LogitNetwork;
use crate::store::ScanFile;
use crate::store::read::{ExampleRecord, LayerRecord, UnitRecord};

mod to_classes;

pub(crate) use to_classes::{ToClasses, to_classes};

/// The number of classes with the largest mean logits over the unit's examples for which its contribution is
/// computed, beside the classes that the examples are named.
const CANDIDATES: usize = 10;

/// The contributions to a unit of a scan and the unit's contributions to classes, over the images that excite
/// the unit most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContributionsJob {
    /// Path of the scan's folder or file.
    pub scan: String,
    /// The unit that is explained.
    pub unit: String,
    /// The number of images that are used, from those that excite the unit most.
    pub examples: usize,
    /// How many contributions are listed in each direction.
    pub top: usize,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
}

/// A unit's contribution to another unit or class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contribution {
    /// Name of the contributing unit, or of the class.
    pub unit: String,
    /// Index of the unit's channel, or of the class.
    #[serde(skip)]
    pub channel: usize,
    /// Mean over the examples of weight times activation, summed over positions.
    pub value: f64,
}

/// The contributions of a layer to a unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drivers {
    /// Name of the layer that contributes.
    pub layer: String,
    /// The sum of the contributions of all units of the layer.
    pub total: f64,
    /// The layer's units with the largest positive contributions.
    pub raise: Vec<Contribution>,
    /// The layer's units with the largest negative contributions.
    pub lower: Vec<Contribution>,
}

/// The contributions to a unit, and the unit's contributions to classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContributionsReport {
    /// The unit that is explained.
    pub unit: String,
    /// Files of the images that excite the unit most.
    pub examples: Vec<String>,
    /// The unit's value where it is largest, averaged over the example images. If the unit's activation
    /// function is a ReLU, this is the value before the ReLU.
    pub value: f64,
    /// Whether `value` is the value before an activation function.
    pub is_before: bool,
    /// The contributions of the preceding layers to `value`.
    pub drivers: Vec<Drivers>,
    /// The unit's value minus all contributions, averaged over the example images.
    pub rest: f64,
    /// Whether `rest` is the unit's bias. It counts as such if it is the same number for all of two or more
    /// images.
    pub is_bias: bool,
    /// The unit's contributions to the logits of classes, largest first. The classes are those that the
    /// example images are named, and the ten with the largest mean logits for these images.
    pub feeds: Vec<Contribution>,
}

impl Job for ContributionsJob {
    const KIND: &'static str = "contributions";
    type Report = ContributionsReport;

    fn run(&self, run: &Run<'_>, _: &mut dyn Sink) -> Result<ContributionsReport> {
        let images = self.images.as_deref();
        let scan = ScanFile::open(run.places().of(&self.scan))?.with_images(images)?;
        let (unit, named) = scan.unit_named(&self.unit)?;
        contributions(run, &scan, (&unit, named.layer), [self.examples, self.top])
    }
}

/// Computes what contributes to a unit, and to which classes the unit contributes, over `examples` images
/// that excite it most. Each list has at most `top` units.
///
/// # Errors
/// If the network is not the scan's, or an image is missing, or the unit has none.
pub(crate) fn contributions(
    run: &Run<'_>,
    scan: &ScanFile,
    (unit, layer): (&UnitRecord, &LayerRecord),
    [examples, top]: [usize; 2],
) -> Result<ContributionsReport> {
    let model = run.model()?;
    scan.check_model(model)?;
    let asked = Asked::new(run, model, scan, (unit, layer), examples)?;
    let layers: Vec<(ValueId, &LayerRecord)> = scan
        .layers()
        .iter()
        .filter_map(|layer| Some((model.model.resolve(&layer.name).ok()?, layer)))
        .collect();
    let found = asked.before(asked.read()?.0, &layers);
    let values = asked.values()?;
    let mut rests = values.clone();
    let mut drivers = Vec::new();
    for (at, layer) in &found {
        let others: Vec<ValueId> =
            found.iter().map(|(value, _)| *value).filter(|value| value != at).collect();
        let of_examples = asked.to_unit(*at, &others)?;
        rests.iter_mut().zip(&of_examples).for_each(|(rest, of)| *rest -= of.iter().sum::<f64>());
        drivers.push(strongest(layer, &means(&of_examples), top));
    }
    let is_bias = !found.is_empty() && is_constant(&rests, &values);
    let mut feeds = if layer.is_classes { Vec::new() } else { asked.to_classes(top)? };
    for of in &mut feeds {
        of.unit = format!("class:{}", scan.label(of.channel)?);
    }
    Ok(ContributionsReport {
        unit: scan.name_of(unit, layer)?,
        examples: asked.files.clone(),
        value: mean(&values),
        is_before: asked.read()?.0 != asked.layer.value,
        drivers,
        rest: mean(&rests),
        is_bias,
        feeds,
    })
}

/// Returns the units of a layer that raise and lower the explained value most.
fn strongest(layer: &LayerRecord, contributions: &[f64], top: usize) -> Drivers {
    let mut order: Vec<usize> = (0..contributions.len()).collect();
    order.sort_by(|&a, &b| contributions[b].total_cmp(&contributions[a]).then(a.cmp(&b)));
    let of = |&channel: &usize| Contribution {
        unit: format!("{}:{channel}", layer.name),
        channel,
        value: contributions[channel],
    };
    let raise = order.iter().take(top).filter(|i| contributions[**i] > 0.0).map(of).collect();
    let lower = order.iter().rev().take(top).filter(|i| contributions[**i] < 0.0).map(of).collect();
    Drivers { layer: layer.name.clone(), total: contributions.iter().sum(), raise, lower }
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

/// Averages contributions over the example images, for each channel.
fn means(of_examples: &[Vec<f64>]) -> Vec<f64> {
    let channels = of_examples.first().map_or(0, Vec::len);
    let of = |channel: usize| of_examples.iter().map(|of| of[channel]).sum::<f64>();
    (0..channels).map(|channel| of(channel) / of_examples.len() as f64).collect()
}

/// Whether the rests of several example images are equal, apart from rounding.
fn is_constant(rests: &[f64], values: &[f64]) -> bool {
    /// Differences up to this share of the largest value count as rounding.
    const ROUNDING: f64 = 1e-4;
    let scale = rests.iter().chain(values).fold(0.0f64, |scale, v| scale.max(v.abs()));
    rests.len() > 1 && rests.iter().all(|rest| (rest - rests[0]).abs() <= ROUNDING * scale)
}

/// Returns the value of the graph, and the channel in it, that hold a unit before its ReLU.
pub(crate) fn read(model: &Model, layer: &UnitLayer, mut channel: usize) -> Result<(ValueId, usize)> {
    let shapes = model.input_shapes(1, None)?;
    for part in &layer.parts {
        let channels = model.map_of(part.read, &shapes)?.shape()[1];
        if channel < channels {
            return Ok((part.read, channel));
        }
        channel -= channels;
    }
    Err(JobError::NotMade { what: "the unit's value" }.into())
}

/// A unit with the images that excite it most.
struct Asked<'a> {
    run: &'a Run<'a>,
    model: &'a LoadedModel,
    layer: UnitLayer,
    channel: usize,
    pictures: Vec<Image>,
    files: Vec<String>,
    examples: Vec<ExampleRecord>,
}

impl<'a> Asked<'a> {
    fn new(
        run: &'a Run<'a>,
        model: &'a LoadedModel,
        scan: &ScanFile,
        (unit, layer): (&UnitRecord, &LayerRecord),
        wanted: usize,
    ) -> Result<Self> {
        let crops = Crops::new(scan)?;
        let examples: Vec<ExampleRecord> = unit.best.iter().take(wanted.max(1)).cloned().collect();
        let pictures = examples
            .iter()
            .map(|example| crops.picture(example.image, &example.file))
            .collect::<Result<Vec<_>>>()?;
        if let Some((file, _)) = crops.gone() {
            return Err(JobError::SourceGone { file }.into());
        }
        if examples.is_empty() {
            return Err(JobError::NoExamples { unit: format!("{}:{}", layer.name, unit.channel) }.into());
        }
        let value = model.model.resolve(&layer.name)?;
        let layered = model.model.all_layered(&model.model.input_shapes(1, None)?)?;
        Ok(Self {
            run,
            model,
            layer: model.model.unit_layer(&layered, value),
            channel: unit.channel,
            pictures,
            files: examples.iter().map(|example| example.file.clone()).collect(),
            examples,
        })
    }

    fn read(&self) -> Result<(ValueId, usize)> {
        read(&self.model.model, &self.layer, self.channel)
    }

    /// Returns the nearest layers of the scan on which a value depends.
    fn before<'l>(
        &self,
        from: ValueId,
        layers: &[(ValueId, &'l LayerRecord)],
    ) -> Vec<(ValueId, &'l LayerRecord)> {
        let graph = &self.model.model.graph;
        let (mut queue, mut seen, mut found) = (vec![from], BTreeSet::from([from]), BTreeSet::new());
        while let Some(value) = queue.pop() {
            let Some(node) = graph.producer(value) else { continue };
            for input in graph.nodes[node].inputs.iter().flatten() {
                if layers.iter().any(|(layer, _)| layer == input) {
                    found.insert(*input);
                } else if seen.insert(*input) {
                    queue.push(*input);
                }
            }
        }
        layers.iter().filter(|(value, _)| found.contains(value)).copied().collect()
    }

    /// Returns, for each example, the index of its picture and an objective: the unit at its largest
    /// position, before its ReLU.
    fn objectives(&self) -> Result<Vec<(usize, Objective)>> {
        let (read, channel) = self.read()?;
        let name = self.model.model.names().of(read).into_iter().next().unwrap_or_default();
        let objective = |example: &ExampleRecord| match &example.position[..] {
            [] => Objective::channel(&name, channel),
            position => Objective::neuron(&name, channel, Position::At(position.to_vec())),
        };
        Ok(self.examples.iter().map(objective).enumerate().collect())
    }

    /// For each example image, the unit's value at its most active position, before the unit's ReLU.
    fn values(&self) -> Result<Vec<f64>> {
        let (context, model) = (self.run.context, &self.model.model);
        let shapes = model.input_shapes(1, None)?;
        let input = PictureInput::of_photographs(model, &shapes)?;
        let mut values = Vec::new();
        for (picture, objective) in self.objectives()? {
            let mut session =
                context.compute(|| ObjectiveSession::new(model, &[objective], &[], shapes.clone(), false))?;
            context.compute(|| {
                input.feed(&mut session, 1, |_| self.pictures[picture].colors());
                session.forward();
            });
            values.push(session.value(0));
        }
        Ok(values)
    }

    /// Returns the contributions of a layer's channels to the unit's value, for each example image. What
    /// reaches the unit through one of the other layers counts as that layer's contribution.
    fn to_unit(&self, at: ValueId, others: &[ValueId]) -> Result<Vec<Vec<f64>>> {
        self.products(&self.without(others), at, &self.objectives()?)
    }

    /// The network without what goes through these layers.
    fn without(&self, layers: &[ValueId]) -> Model {
        let mut direct = self.model.model.clone();
        layers.iter().for_each(|layer| summary::detach(&mut direct.graph, *layer));
        direct
    }

    /// Returns the unit's largest contributions to the logits of the classes that the example images are
    /// named, and of those with the largest mean logits. Classes are given by index.
    fn to_classes(&self, top: usize) -> Result<Vec<Contribution>> {
        if self.model.model.logits().is_err() {
            return Ok(Vec::new());
        }
        let mut network = LogitNetwork::new(self.run.context, self.model, 1)?;
        let mut sums: Vec<f64> = Vec::new();
        let mut candidates: BTreeSet<usize> = BTreeSet::new();
        for picture in &self.pictures {
            let scores = network.run(|_, _| picture.colors());
            let by_score = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a));
            candidates.extend((0..scores.len()).max_by(by_score));
            sums.resize(scores.len(), 0.0);
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += f64::from(*score));
        }
        let mut order: Vec<usize> = (0..sums.len()).collect();
        order.sort_by(|&a, &b| sums[b].total_cmp(&sums[a]).then(a.cmp(&b)));
        candidates.extend(order.into_iter().take(CANDIDATES));
        let mut feeds = Vec::new();
        for class in candidates {
            let entries: Vec<(usize, Objective)> =
                (0..self.pictures.len()).map(|i| (i, Objective::logit(class))).collect();
            let products = self.products(&self.model.model, self.layer.value, &entries)?;
            let own = products.iter().map(|of| of[self.channel]).sum::<f64>() / products.len() as f64;
            feeds.push(Contribution { unit: String::new(), channel: class, value: own });
        }
        feeds.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.channel.cmp(&b.channel)));
        feeds.truncate(top);
        Ok(feeds)
    }

    /// Computes, for each picture and its objective, the layer's activations times the objective's gradient,
    /// summed over the positions of each channel.
    fn products(&self, model: &Model, at: ValueId, entries: &[(usize, Objective)]) -> Result<Vec<Vec<f64>>> {
        let context = self.run.context;
        let shapes = model.input_shapes(1, None)?;
        let input = PictureInput::of_photographs(model, &shapes)?;
        let map = model.map_of(at, &shapes)?;
        let positions: usize = map.shape()[2..].iter().product();
        let mut products = Vec::new();
        let mut compiled: Option<(Objective, ObjectiveSession)> = None;
        for (picture, objective) in entries {
            context.check()?;
            let session = match compiled.take() {
                Some((known, session)) if known == *objective => session,
                _ => context.compute(|| {
                    ObjectiveSession::at_layer(model, std::slice::from_ref(objective), at, shapes.clone())
                })?,
            };
            let (_, session) = compiled.insert((objective.clone(), session));
            context.compute(|| {
                input.feed(session, 1, |_| self.pictures[*picture].colors());
                session.forward();
                session.seed(0, 1.0);
                session.backward(&Rules::default());
            });
            let activations = map.gather(session.captured(0).1);
            let gradients = map.gather(session.inner_gradient());
            let channels = activations.chunks_exact(positions).zip(gradients.chunks_exact(positions));
            let product = |(a, g): (&[f32], &[f32])| -> f64 {
                a.iter().zip(g).map(|(a, g)| f64::from(*a) * f64::from(*g)).sum()
            };
            products.push(channels.map(product).collect());
        }
        Ok(products)
    }
}
