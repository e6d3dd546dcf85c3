//! `Softmax` and `LogSoftmax` along one axis.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::{self, Isa};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis,
    batch_independence,
};
use crate::tensor::volume;

/// The operator. Before operator set 13, the axes from `axis` on form one distribution.
#[derive(Debug, Clone)]
pub struct Softmax {
    log: bool,
    axis: i64,
    flattens: bool,
}

/// Reads the attributes of a `Softmax` or `LogSoftmax` node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let flattens = a.opset < 13;
    let axis = a.int_or("axis", if flattens { 1 } else { -1 })?;
    Ok(Arc::new(Softmax { log: op_type == "LogSoftmax", axis, flattens }))
}

impl Operator for Softmax {
    fn op_type(&self) -> &str {
        if self.log { "LogSoftmax" } else { "Softmax" }
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
        let (n, step) = if self.flattens { (volume(&x[at..]), 1) } else { (x[at], volume(&x[at + 1..])) };
        Ok(Built::new(Distribution { isa: site.isa, log: self.log, n, step }, 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match inputs.shape(0).map(|x| (x.len(), axis(self.axis, x.len()))) {
            Ok((_, Ok(1))) if !self.flattens => Reach::Point,
            Ok((2, _)) => Reach::Point,
            _ => Reach::Whole,
        }
    }

    fn axes(&self, sources: &Sources<'_>, _output: &Fact, _index: usize) -> Option<Axes> {
        sources.get(0).cloned()
    }

    fn mixes_along(&self, inputs: Facts<'_>) -> Vec<usize> {
        let Ok(x) = inputs.shape(0) else { return Vec::new() };
        let at = axis(self.axis, x.len()).unwrap_or(0);
        if self.flattens { (at..x.len()).collect() } else { vec![at] }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The kernel for distributions of `n` elements, `step` apart.
#[derive(Debug)]
struct Distribution {
    isa: Isa,
    log: bool,
    n: usize,
    step: usize,
}

impl Kernel for Distribution {
    fn backward_reads_output(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        kernels::softmax(self.isa, self.log, self.n, self.step, x, y);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (y, dy, dx) = io.io_output();
        kernels::softmax_backward(self.isa, self.log, self.n, self.step, y, dy, dx, accumulate);
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for op in ["Softmax", "LogSoftmax"] {
            for (opset, axis) in [(17, -1), (17, 1), (17, 0), (11, 1), (11, 2)] {
                Case::new(op, vec![data(&[2, 3, 4])])
                    .opset(opset)
                    .attribute("axis", Attribute::Int(axis))
                    .check();
            }
        }
    }
}
