//! `AffineGrid`: maps the positions of a regular grid by affine maps, as input of `GridSample`.

use std::any::Any;
use std::sync::Arc;

use crate::error::OpError;
use crate::kernels::Index;
use crate::ops::array::constant::{check_volume, sizes};
use crate::ops::nn::matmul::Pair;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site};
use crate::tensor::volume;

/// The operator; inputs: maps (N, axes, axes + 1), and the size (N,C,…) of the tensor to be sampled.
#[derive(Debug, Clone)]
struct AffineGrid {
    align_corners: bool,
}

/// Reads the attributes of an ONNX `AffineGrid` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(AffineGrid { align_corners: a.int_or("align_corners", 0)? != 0 }))
}

impl AffineGrid {
    fn shape(&self, inputs: Facts<'_>) -> Result<Vec<usize>, OpError> {
        let theta = inputs.shape(0)?;
        let size = sizes(inputs.ints(1)?.ok_or("the size is missing")?)?;
        let rank = size.len().saturating_sub(2);
        if !matches!(rank, 2 | 3) || theta != [size[0], rank, rank + 1] {
            return Err(OpError::Refused(format!("maps {theta:?} for a size of {size:?}")));
        }
        let shape = [&size[..1], &size[2..], &[rank]].concat();
        check_volume(&shape)?;
        Ok(shape)
    }
}

impl Operator for AffineGrid {
    fn op_type(&self) -> &str {
        "AffineGrid"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact::float(self.shape(inputs)?)])
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let shape = self.shape(site.inputs)?;
        let (n, rank) = (shape[0], shape.len() - 2);
        let extents = &shape[1..=rank];
        let count = volume(extents);
        // Homogeneous coordinates of every position; the last axis comes first.
        let mut base = Vec::with_capacity(count * (rank + 1));
        for p in 0..count {
            for d in (0..rank).rev() {
                let at = (p / volume(&extents[d + 1..]) % extents[d]) as f32;
                let extent = extents[d] as f32;
                base.push(if self.align_corners {
                    2.0 * at / (extent - 1.0) - 1.0
                } else {
                    (2.0 * at + 1.0) / extent - 1.0
                });
            }
            base.push(1.0);
        }
        let indices = [
            Index { extent: n, a: rank * (rank + 1), b: 0, c: count * rank },
            Index { extent: rank, a: rank + 1, b: 0, c: 1 },
            Index { extent: count, a: 0, b: rank + 1, c: rank },
            Index { extent: rank + 1, a: 1, b: 1, c: 0 },
        ];
        let pair = Pair::new(site.isa, &indices, site.gradients)?;
        Ok(Built::new(Positions { pair, base }, 1))
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Whole
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Positions {
    pair: Pair,
    base: Vec<f32>,
}

impl Kernel for Positions {
    fn forward(&self, io: &mut Forward<'_>) {
        let (theta, y) = io.io(0);
        self.pair.forward(1.0, theta, &self.base, y);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        self.pair.backward(0, 1.0, &self.base, dy, dx, accumulate);
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, ints};

    #[test]
    fn gradients_agree_with_differences() {
        for align in [0, 1] {
            for (theta, size) in [(&[2, 2, 3][..], &[2, 3, 4, 5][..]), (&[1, 3, 4], &[1, 3, 2, 3, 2])] {
                Case::new("AffineGrid", vec![data(theta), ints(size)])
                    .opset(20)
                    .attribute("align_corners", Attribute::Int(align))
                    .check();
            }
        }
    }
}
