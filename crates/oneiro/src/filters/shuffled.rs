//! How filters answer when the positions of what they read are shuffled.
//!
//! Real maps are smooth: neighbouring positions agree. A filter that looks for a pattern answers them more
//! strongly than maps with the same vectors at shuffled positions. A filter that only chases pixel noise
//! answers shuffled maps more strongly. The comparison works at any depth, because each layer is fed with its
//! own input, and it does not depend on the filter's scale or bias.

use oneiro_net::ValueId;
use oneiro_net::graph::{Attribute, Attributes, Graph, Node, OPSET, Value, build};
use oneiro_net::tensor::Tensor;

use super::FilterLayer;
use crate::error::Result;
use crate::layer_summaries::SummarySession;
use crate::model::unit_layers::{UnitLayer, UnitPart};
use crate::model::{Layered, Model};
use crate::rng::Stream;

/// Random stream of the permutations.
const STREAM: u64 = 0x0058_aff1;

/// A network that runs each convolution on its input, and on its input with shuffled positions.
#[allow(missing_debug_implementations)]
pub struct ShuffledSession {
    session: SummarySession,
    /// For each layer its variances so far: of the real map and of the shuffled one, by filter. `None` for
    /// layers without several taps, for which the order of positions does not matter.
    sums: Vec<Option<Vec<[f64; 2]>>>,
    images: usize,
}

impl ShuffledSession {
    /// Compiles a model for a batch of images in inputs of these shapes.
    ///
    /// # Errors
    /// Those of [`SummarySession::new`].
    pub fn new(model: &Model, layers: &[FilterLayer], shapes: &[Vec<usize>]) -> Result<Self> {
        let layered = model.all_layered(shapes)?;
        let mut doubled = model.clone();
        let (mut units, mut sums) = (Vec::new(), Vec::new());
        for (i, layer) in layers.iter().enumerate() {
            let Some(shuffled) = add_shuffled(&mut doubled.graph, layer, &layered, i as u64) else {
                sums.push(None);
                continue;
            };
            sums.push(Some(vec![[0.0; 2]; layer.channels]));
            let part = |read| UnitPart { read, clip: [f32::NEG_INFINITY, f32::INFINITY], projection: None };
            for value in [layer.before, shuffled] {
                units.push(UnitLayer { value, parts: vec![part(value)], forms: Vec::new() });
            }
        }
        let compile = if model.takes_clips() { SummarySession::of_clips } else { SummarySession::new };
        let session = compile(&doubled, &units, false, shapes, 1)?;
        Ok(Self { session, sums, images: 0 })
    }

    /// The network's inputs and its batch.
    pub fn session(&self) -> &SummarySession {
        &self.session
    }

    /// Adds the first `entries` images of a batch. `picture` returns the display image of an entry for one of
    /// the inputs.
    ///
    /// # Panics
    /// If an image's length differs from the display image's.
    pub fn add<'a>(&mut self, entries: usize, picture: impl Fn(usize, usize) -> &'a [f32] + Sync) {
        self.session.run(|_| 0, picture);
        for (i, sums) in self.sums.iter_mut().flatten().enumerate() {
            for entry in 0..entries {
                for (which, layer) in [2 * i, 2 * i + 1].into_iter().enumerate() {
                    let pieces = self.session.summaries(layer, entry);
                    let channels =
                        pieces.flat_map(|piece| (0..piece.channels).map(move |c| piece.of(c).variance()));
                    for (sum, variance) in sums.iter_mut().zip(channels) {
                        sum[which] += f64::from(variance);
                    }
                }
            }
        }
        self.images += entries;
    }

    /// Returns, for each filter of each layer, the variance over shuffled positions as a multiple of the
    /// variance over the real ones, both within images. `None` for layers without several taps; NaN where a
    /// filter answers nothing.
    pub fn ratios(&self) -> Vec<Option<Vec<f64>>> {
        let ratio = |[real, shuffled]: &[f64; 2]| if *real > 0.0 { shuffled / real } else { f64::NAN };
        self.sums.iter().map(|sums| Some(sums.as_ref()?.iter().map(ratio).collect())).collect()
    }
}

/// Adds to a graph a copy of a layer that reads its input at shuffled positions, the same for all images and
/// channels. Returns the copy's value, or `None` if the layer has a single tap.
fn add_shuffled(graph: &mut Graph, layer: &FilterLayer, layered: &Layered, id: u64) -> Option<ValueId> {
    if !layer.is_convolution || layered.shape(layer.weights)?[2..].iter().product::<usize>() <= 1 {
        return None;
    }
    let shape = layered.shape(layer.input)?;
    let positions: usize = shape.get(2..)?.iter().product();
    let mut order: Vec<i64> = (0..positions as i64).collect();
    let mut stream = Stream::new(STREAM, id);
    for i in (1..positions).rev() {
        order.swap(i, stream.choice(i + 1));
    }
    let name = format!("{} (shuffled)", graph.name(layer.before));
    let flat = constant(graph, &name, "flat", Tensor::ints(&[3], vec![0, 0, -1]));
    let order = constant(graph, &name, "order", Tensor::ints(&[positions], order));
    let mut whole = vec![0, 0];
    whole.extend(shape[2..].iter().map(|&extent| extent as i64));
    let whole = constant(graph, &name, "whole", Tensor::ints(&[whole.len()], whole));
    let lines = node(graph, &name, "lines", "Reshape", &[layer.input, flat], vec![]);
    let moved = node(graph, &name, "moved", "Gather", &[lines, order], vec![("axis", Attribute::Int(2))]);
    let mut value = node(graph, &name, "map", "Reshape", &[moved, whole], vec![]);
    let mut was = layer.input;
    for &at in &layer.chain {
        let old = graph.nodes[at].clone();
        let inputs = old.inputs.iter().map(|v| if *v == Some(was) { Some(value) } else { *v }).collect();
        was = old.outputs.first().copied()??;
        value = new_value(graph, &format!("{} (shuffled)", graph.name(was)), None);
        let name = format!("{} (shuffled)", old.name);
        graph.nodes.push(Node { name, inputs, outputs: vec![Some(value)], ..old });
    }
    Some(value)
}

fn constant(graph: &mut Graph, name: &str, kind: &str, tensor: Tensor) -> ValueId {
    new_value(graph, &format!("{name} {kind}"), Some(tensor))
}

fn node(
    graph: &mut Graph,
    name: &str,
    kind: &str,
    op: &str,
    inputs: &[ValueId],
    attributes: Vec<(&str, Attribute)>,
) -> ValueId {
    let name = format!("{name} {kind}");
    let output = new_value(graph, &name, None);
    let op = build(op, &Attributes::new(OPSET, attributes));
    let inputs = inputs.iter().copied().map(Some).collect();
    graph.nodes.push(Node { name, module: None, op, inputs, outputs: vec![Some(output)] });
    output
}

fn new_value(graph: &mut Graph, name: &str, constant: Option<Tensor>) -> ValueId {
    let mut name = name.to_owned();
    while graph.find_value(&name).is_some() {
        name.push('\'');
    }
    graph.values.push(Value { name, constant });
    ValueId(graph.values.len() as u32 - 1)
}

#[cfg(test)]
mod tests {
    use oneiro_image::Extent;

    use super::super::probes::{Probe, probe};
    use super::super::tests::network;
    use super::*;

    #[test]
    fn noise_is_the_same_shuffled_and_photographs_are_not() {
        let model = network();
        let layers = model.filter_layers().unwrap();
        let shapes = model.input_shapes(2, None).unwrap();
        let of = |kind| {
            let mut session = ShuffledSession::new(&model, &layers, &shapes).unwrap();
            for round in 0..40 {
                let extent = Extent::still(3, 12, 12);
                let pictures = [0, 1].map(|entry| probe(kind, &extent, 2 * round + entry));
                session.add(2, |entry, _| &pictures[entry]);
            }
            let ratios = session.ratios();
            // The convolution with one tap and the dense layer have none.
            assert!(ratios[1].is_none() && ratios[2].is_none());
            ratios[0].clone().unwrap()
        };
        for ratio in of(Probe::WhiteNoise) {
            assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
        }
        assert!(of(Probe::DeadLeaves).iter().any(|ratio| (ratio - 1.0).abs() > 0.3));
    }
}
