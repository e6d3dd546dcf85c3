//! `LpNormalization`: x divided by its 1-norm or 2-norm along one axis.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis,
    batch_independence,
};
use crate::tensor::volume;

/// ONNX `LpNormalization`.
#[derive(Debug, Clone)]
struct LpNormalization {
    axis: i64,
    squared: bool,
}

/// Reads the attributes of an `LpNormalization` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let squared = match a.int_or("p", 2)? {
        1 => false,
        2 => true,
        p => return Err(OpError::Refused(format!("p = {p} is not 1 or 2"))),
    };
    Ok(Arc::new(LpNormalization { axis: a.int_or("axis", -1)?, squared }))
}

impl Operator for LpNormalization {
    fn op_type(&self) -> &str {
        "LpNormalization"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.shape(0)?;
        axis(self.axis, x.len())?;
        Ok(vec![Fact::float(x)])
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::within(self.axis, site)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let x = site.inputs.shape(0)?;
        let at = axis(self.axis, x.len())?;
        Ok(Built::new(Unit { squared: self.squared, n: x[at], step: volume(&x[at + 1..]) }, 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match inputs.shape(0).map(|x| axis(self.axis, x.len())) {
            Ok(Ok(1)) => Reach::Point,
            _ => Reach::Whole,
        }
    }

    fn axes(&self, sources: &Sources<'_>, _output: &Fact, _index: usize) -> Option<Axes> {
        sources.get(0).cloned()
    }

    fn mixes_along(&self, inputs: Facts<'_>) -> Vec<usize> {
        inputs.shape(0).map_or_else(|_| Vec::new(), |x| vec![axis(self.axis, x.len()).unwrap_or(0)])
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The kernel for vectors of `n` elements, `step` apart.
#[derive(Debug)]
struct Unit {
    squared: bool,
    n: usize,
    step: usize,
}

impl Unit {
    fn starts(&self, len: usize) -> impl Iterator<Item = usize> + use<'_> {
        let block = self.n * self.step;
        (0..len / block.max(1)).flat_map(move |b| (0..self.step).map(move |s| b * block + s))
    }

    fn norm(&self, x: impl Fn(usize) -> f32) -> f64 {
        let x = |i: usize| f64::from(x(i));
        if self.squared {
            (0..self.n).map(|i| x(i) * x(i)).sum::<f64>().sqrt()
        } else {
            (0..self.n).map(|i| x(i).abs()).sum()
        }
    }
}

impl Kernel for Unit {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        for start in self.starts(x.len()) {
            let at = |i: usize| start + i * self.step;
            let norm = self.norm(|i| x[at(i)]);
            for i in (0..self.n).map(at) {
                y[i] = (f64::from(x[i]) / norm) as f32;
            }
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        for start in self.starts(x.len()) {
            let at = |i: usize| start + i * self.step;
            let norm = self.norm(|i| x[at(i)]);
            let dot: f64 = (0..self.n).map(|i| f64::from(dy[at(i)]) * f64::from(x[at(i)])).sum();
            for i in (0..self.n).map(at) {
                let v = f64::from(x[i]);
                // The derivative d‖x‖/dx of the norm at this element.
                let slope = match (self.squared, v == 0.0) {
                    (_, true) => 0.0,
                    (true, _) => v / norm,
                    (false, _) => v.signum(),
                };
                let d = if norm == 0.0 { 0.0 } else { f64::from(dy[i]) / norm - dot * slope / (norm * norm) };
                dx[i] = if accumulate { dx[i] + d as f32 } else { d as f32 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for p in [1, 2] {
            for axis in [-1, 1] {
                Case::new("LpNormalization", vec![data(&[2, 3, 4])])
                    .attribute("p", Attribute::Int(p))
                    .attribute("axis", Attribute::Int(axis))
                    .check();
            }
        }
    }
}
