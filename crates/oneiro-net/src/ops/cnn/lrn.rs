//! `LRN`: local response normalization across channels (Krizhevsky et al. 2012).
//!
//! y = x·s^−β with s = k + α/n·Σ x² over n neighbouring channels. The gradient of channel c is dy·s^−β −
//! 2αβ/n·x·Σ dy'·x'·s'^(−β−1), summed over the channels c' whose windows contain c.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site, batch_independence,
};
use crate::tensor::volume;

/// ONNX `LRN`, local response normalization.
#[derive(Debug, Clone)]
struct Lrn {
    size: usize,
    alpha: f32,
    beta: f32,
    bias: f32,
}

/// Reads the attributes of an `LRN` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let size =
        usize::try_from(a.int("size")?.ok_or("attribute \"size\" is missing")?).ok().filter(|&n| n > 0);
    Ok(Arc::new(Lrn {
        size: size.ok_or("attribute \"size\" should be at least 1")?,
        alpha: a.float_or("alpha", 1e-4)?,
        beta: a.float_or("beta", 0.75)?,
        bias: a.float_or("bias", 1.0)?,
    }))
}

impl Operator for Lrn {
    fn op_type(&self) -> &str {
        "LRN"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.shape(0)?;
        if x.len() < 2 {
            return Err(OpError::Refused(format!("input {x:?} has no channel axis")));
        }
        Ok(vec![Fact::float(x)])
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let x = &site.output.shape;
        Ok(Built::new(Response { op: self.clone(), channels: x[1], plane: volume(&x[2..]) }, 1))
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.kept_or_channels_first(&output.shape)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Response {
    op: Lrn,
    channels: usize,
    plane: usize,
}

impl Response {
    /// Returns the channels whose squares are summed for channel `c`.
    fn window(&self, c: usize) -> std::ops::Range<usize> {
        let (before, after) = ((self.op.size - 1) / 2, self.op.size / 2);
        c.saturating_sub(before)..self.channels.min(c.saturating_add(after).saturating_add(1))
    }

    /// Returns the channels whose sums contain channel `c`.
    fn readers(&self, c: usize) -> std::ops::Range<usize> {
        let (before, after) = ((self.op.size - 1) / 2, self.op.size / 2);
        c.saturating_sub(after)..self.channels.min(c.saturating_add(before).saturating_add(1))
    }

    /// Returns s at one position of one batch entry.
    fn scale(&self, entry: &[f32], c: usize, p: usize) -> f32 {
        let squares: f32 = self.window(c).map(|k| entry[k * self.plane + p].powi(2)).sum();
        self.op.bias + self.op.alpha / self.op.size as f32 * squares
    }
}

impl Response {
    /// Returns s^−β, the factor of local response normalization.
    fn power(&self, s: f32) -> f32 {
        // β = 0.75 (Krizhevsky et al. 2012), which all networks use, needs no logarithm.
        if self.op.beta == 0.75 { 1.0 / (s.sqrt() * s.sqrt().sqrt()) } else { s.powf(-self.op.beta) }
    }
}

impl Kernel for Response {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        y.par_chunks_mut(self.plane.max(1)).enumerate().for_each(|(row, y)| {
            let (entry, c) = (row / self.channels, row % self.channels);
            let entry = &x[entry * self.channels * self.plane..];
            for (p, y) in y.iter_mut().enumerate() {
                *y = entry[c * self.plane + p] * self.power(self.scale(entry, c, p));
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        let factor = 2.0 * self.op.alpha * self.op.beta / self.op.size as f32;
        dx.par_chunks_mut(self.plane.max(1)).enumerate().for_each(|(row, dx)| {
            let (entry, c) = (row / self.channels, row % self.channels);
            let start = entry * self.channels * self.plane;
            let (x, dy) = (&x[start..], &dy[start..]);
            for (p, dx) in dx.iter_mut().enumerate() {
                let at = c * self.plane + p;
                let pull: f32 = self
                    .readers(c)
                    .map(|k| {
                        let at = k * self.plane + p;
                        let s = self.scale(x, k, p);
                        dy[at] * x[at] * self.power(s) / s
                    })
                    .sum();
                let d = dy[at] * self.power(self.scale(x, c, p)) - factor * x[at] * pull;
                *dx = if accumulate { *dx + d } else { d };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for size in [1, 2, 3, 9] {
            Case::new("LRN", vec![data(&[2, 5, 3, 2])])
                .attribute("size", Attribute::Int(size))
                .attribute("alpha", Attribute::Float(0.5))
                .attribute("bias", Attribute::Float(2.0))
                .check();
        }
    }
}
