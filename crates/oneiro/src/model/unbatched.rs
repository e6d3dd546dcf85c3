//! Networks for one picture without a batch: which of their values have no batch axis, and the same with one of extent 1.

use std::borrow::Cow;

use oneiro_net::front::with_leading_axis;
use oneiro_net::typed;
use oneiro_net::{Graph, ValueId};

use super::Model;
use crate::error::Result;

/// Operators whose result has batch and channels by ONNX's definition.
const BATCH_FIRST: &[&str] = &[
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "GlobalMaxPool",
    "GlobalAveragePool",
    "GlobalLpPool",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
    "DepthToSpace",
    "SpaceToDepth",
];

impl Model {
    /// Whether the network takes one picture at a time, as its input has no batch axis.
    pub fn is_unbatched(&self) -> bool {
        self.unbatched
    }

    /// For each value of the graph, whether it has no batch axis: only in networks that take one picture at a time.
    ///
    /// A value keeps what its operands have while the rank stays. Behind a change of rank, the first axis is the batch if its
    /// extent is 1.
    pub fn without_batch(&self, shapes: &[Vec<usize>]) -> Result<Vec<bool>> {
        let graph = &self.graph;
        let mut without = vec![false; graph.values.len()];
        if !self.unbatched {
            return Ok(without);
        }
        let facts = typed::infer(graph, shapes, &vec![true; graph.nodes.len()], |_, _| Ok(()))?;
        let rank = |v: ValueId| facts[v.index()].as_ref().map(|f| f.shape.len());
        let data = |v: ValueId| facts[v.index()].as_ref().is_some_and(|f| f.value.is_none());
        for node in &graph.nodes {
            for &output in node.outputs.iter().flatten() {
                let Some(fact) = &facts[output.index()] else { continue };
                let shape = &fact.shape;
                let op = node.op.op_type();
                let like = node.inputs.iter().flatten().find(|v| data(**v) && rank(**v) == Some(shape.len()));
                without[output.index()] = match like {
                    _ if BATCH_FIRST.contains(&op) && shape.len() > 2 => false,
                    Some(v) if op != "Reshape" => without[v.index()],
                    _ => shape.len() < 2 || shape[0] != 1 || self.drops_batch(output),
                };
            }
        }
        Ok(without)
    }

    /// Whether a value is what the graph reads in place of an input that has a batch now.
    fn drops_batch(&self, value: ValueId) -> bool {
        self.replaced.contains(&value)
    }

    /// The graph, and the values in it that hold those asked for with a batch axis.
    pub(crate) fn batched(
        &self,
        values: &[ValueId],
        shapes: &[Vec<usize>],
    ) -> Result<(Cow<'_, Graph>, Vec<ValueId>)> {
        if !self.unbatched {
            return Ok((Cow::Borrowed(&self.graph), values.to_vec()));
        }
        let without = self.without_batch(shapes)?;
        let mut graph = self.graph.clone();
        let with_batch = |&value: &ValueId| match without[value.index()] {
            true => with_leading_axis(&mut graph, value),
            false => value,
        };
        let values = values.iter().map(with_batch).collect();
        Ok((Cow::Owned(graph), values))
    }
}
