//! The goal of a dream: an objective, or the features of another picture.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use oneiro_net::{CpuSession, Graph, Request, Session, ValueId, plan};

use super::accepted::accepted_size;
use super::planes::resize;
use oneiro_image::Image;

use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::model::{Model, Target, View};
use crate::objective::Objective;
use crate::objective::measure::guide::Guide as Features;

/// The quantity that a dream maximises.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DreamGoal {
    /// An objective whose value is maximised.
    Objective(Objective),
    /// The features of another picture ("Controlling dreams" of the DeepDream notebook).
    Guide(Guide),
}

impl fmt::Display for DreamGoal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objective(objective) => objective.fmt(f),
            Self::Guide(guide) => {
                for (i, (layer, weight)) in guide.layers.iter().enumerate() {
                    let plus = if i == 0 { "" } else { " + " };
                    match *weight {
                        1.0 => write!(f, "{plus}guide({layer})")?,
                        weight => write!(f, "{plus}{weight}*guide({layer})")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// Another picture whose features the dream takes on. At every position of a layer, the value is the largest
/// dot product of its activations with those of any position of the guide. The gradient is the guide's vector
/// at that position. A layer's value is the mean over its positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Guide {
    /// The layers whose features are compared, each with its weight.
    pub layers: Vec<(String, f64)>,
    /// The picture whose features the dream takes on.
    pub image: Image,
}

/// Longest side to which a guide is scaled. The notebook's guides are about as large as the network's input.
const GUIDE_SIDE: usize = 256;
/// The layers of a guide with the guide's activations.
#[derive(Debug, Clone)]
pub(super) struct Guided {
    layers: Vec<(String, f64, Arc<Features>)>,
}

impl Guided {
    /// Computes the guide's features. If the network does not accept the guide's size, the guide is scaled to
    /// the network's own.
    pub fn new(model: &Model, guide: &Guide) -> Result<Self> {
        let Image { height, width, .. } = guide.image;
        let longest = height.max(width);
        let free = [height, width].map(|n| match longest {
            l if l > GUIDE_SIDE => (n * GUIDE_SIDE / l).max(1),
            _ => n,
        });
        let names: Vec<&str> = guide.layers.iter().map(|(layer, _)| layer.as_str()).collect();
        let size = accepted_size(model, free, |size| accepts(model, &names, size))?;
        let pixels = resize(&guide.image.data, [height, width], size);
        let mut session = compile(model, &names, size, false)?;
        let shapes: Vec<Vec<usize>> = session.plan().inputs.iter().map(|i| i.shape.clone()).collect();
        PictureInput::of_photographs(model, &shapes)?.feed(&mut session, 1, |_| &pixels);
        session.forward();
        let layers = guide.layers.iter().enumerate().map(|(i, (layer, weight))| {
            let channels = channels(&session, i, layer)?;
            let activations = session.activation(i);
            let features = Features::new(activations, channels);
            if !features.is_finite() {
                let what = format!("the guide's activations at {layer} are not finite");
                return Err(Error::NotFiniteHere { what });
            }
            Ok((layer.clone(), *weight, Arc::new(features)))
        });
        Ok(Self { layers: layers.collect::<Result<_>>()? })
    }

    /// Checks by shape inference whether the network accepts pictures of a size.
    pub fn accepts(&self, model: &Model, size: [usize; 2]) -> Result<()> {
        let names: Vec<&str> = self.layers.iter().map(|(layer, ..)| layer.as_str()).collect();
        accepts(model, &names, size)
    }

    /// Compiles a network whose targets are the guide's layers.
    pub fn session(&self, model: &Model, size: [usize; 2]) -> Result<CpuSession> {
        let names: Vec<&str> = self.layers.iter().map(|(layer, ..)| layer.as_str()).collect();
        compile(model, &names, size, true)
    }

    /// Returns the value after a forward pass. If `seed` is set, its gradients are added to the seeds.
    pub fn value(&self, session: &mut CpuSession, seed: bool) -> f64 {
        let mut value = 0.0;
        for (i, (_, weight, features)) in self.layers.iter().enumerate() {
            let best = features.best(session.activation(i));
            value += weight * Features::mean(&best);
            if seed {
                features.add_gradient(&best, *weight, session.seed(i).1);
            }
        }
        value
    }
}

/// A network whose targets are maps of layers.
struct OfLayers<'m> {
    graph: Cow<'m, Graph>,
    request: Request,
    /// The layers' values in the model's graph.
    values: Vec<ValueId>,
}

fn of_layers<'m>(model: &'m Model, layers: &[&str], size: [usize; 2]) -> Result<OfLayers<'m>> {
    let shapes = model.input_shapes(1, Some(size))?;
    let map = |layer: &&str| Ok(Target { value: model.resolve(layer)?, view: View::Map });
    let maps = layers.iter().map(map).collect::<Result<Vec<_>>>()?;
    let (graph, targets) = model.viewed(&maps, &shapes)?;
    let values = maps.iter().map(|target| target.value).collect();
    Ok(OfLayers { graph, request: Request::of_shapes(shapes, targets), values })
}

fn accepts(model: &Model, layers: &[&str], size: [usize; 2]) -> Result<()> {
    let OfLayers { graph, request, values } = of_layers(model, layers, size)?;
    plan::accepts(&graph, &request).map_err(|error| model.explained(error, &values))?;
    Ok(())
}

fn compile(model: &Model, layers: &[&str], size: [usize; 2], gradients: bool) -> Result<CpuSession> {
    let OfLayers { graph, request, values } = of_layers(model, layers, size)?;
    let request = Request { gradients, ..request };
    let plan = model.compile(&graph, &request).map_err(|error| model.explained(error, &values))?;
    Ok(CpuSession::new(Arc::new(plan))?)
}

fn channels(session: &CpuSession, target: usize, layer: &str) -> Result<usize> {
    match session.plan().targets[target].shape[..] {
        [1, channels, ..] if channels > 0 => Ok(channels),
        ref shape => Err(Error::Unit(format!(
            "layer \"{layer}\" has shape {shape:?}, not one image with channels; a guide needs such a layer"
        ))),
    }
}
