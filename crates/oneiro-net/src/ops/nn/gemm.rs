//! `Gemm` and `MatMul`. With constant weights they are dense layers, which this file computes.
//! [`super::matmul`] computes the other forms.
//!
//! y = x·Wᵀ + b for every row of x; the gradient is dx = dy·W. W is stored with one row for each output.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::{self, Isa};
use crate::ops::array::constant::check_volume;
use crate::ops::nn::matmul::{Pair, Product};
use crate::ops::weight_form::WeightForm;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, batch_independence,
};
use crate::tensor::volume;

/// The matrix products `Gemm` and `MatMul` of ONNX.
#[derive(Debug, Clone)]
pub enum Dense {
    /// `Gemm`: α·A'·B' + β·C, where A' and B' may be transposed.
    Gemm {
        /// The factor α of the product.
        alpha: f32,
        /// The factor β of C.
        beta: f32,
        /// Whether A is transposed.
        trans_a: bool,
        /// Whether B is transposed.
        trans_b: bool,
    },
    /// `MatMul`: A·B over the last two axes.
    MatMul,
}

/// Reads the attributes of a `Gemm` or `MatMul` node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(if op_type == "MatMul" {
        Dense::MatMul
    } else {
        Dense::Gemm {
            alpha: a.float_or("alpha", 1.0)?,
            beta: a.float_or("beta", 1.0)?,
            trans_a: a.int_or("transA", 0)? != 0,
            trans_b: a.int_or("transB", 0)? != 0,
        }
    }))
}

impl Dense {
    fn trans_b(&self) -> bool {
        matches!(self, Dense::Gemm { trans_b: true, .. })
    }

    fn product(&self, inputs: Facts<'_>) -> Result<Product, OpError> {
        let (a, b) = (inputs.shape(0)?, inputs.shape(1)?);
        match self {
            Dense::MatMul => Product::batched(a, b),
            Dense::Gemm { alpha, beta, trans_a, trans_b } => {
                let third = inputs.get(2).map(|c| (*beta, c.shape.as_slice()));
                Product::transposed(a, b, [*trans_a, *trans_b], *alpha, third)
            }
        }
    }

    /// Whether this is a dense layer: data times a constant matrix, plus at most one constant row.
    fn is_layer(&self, inputs: Facts<'_>) -> Result<bool, OpError> {
        let b = inputs.need(1)?;
        let outputs = if self.trans_b() { b.shape.first() } else { b.shape.last() }.copied().unwrap_or(0);
        let row = inputs.get(2).is_none_or(|c| {
            c.value.is_some() && (c.len() == 1 || (c.len() == outputs && c.shape.last() == Some(&outputs)))
        });
        let transposed = matches!(self, Dense::Gemm { trans_a: true, .. });
        Ok(b.value.is_some() && b.shape.len() == 2 && !b.is_empty() && row && !transposed)
    }
}

impl Operator for Dense {
    fn op_type(&self) -> &str {
        if matches!(self, Dense::MatMul) { "MatMul" } else { "Gemm" }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let product = self.product(inputs)?;
        check_volume(&product.shape)?;
        Ok(vec![Fact { dtype: inputs.need(0)?.dtype, shape: product.shape, value: None }])
    }

    /// Batch entries stay independent if they are rows of a matrix of data, or whole matrices.
    fn by_entry(&self, site: Site<'_>) -> bool {
        let (Ok(a), Ok(b)) = (site.inputs.need(0), site.inputs.need(1)) else { return false };
        let constant = |fact: &Fact| fact.value.is_some();
        let matrices = a.shape.len().max(b.shape.len()) > 2;
        let added = |c: &Fact| constant(c) && (c.shape.len() < 2 || c.shape[0] == 1);
        if matrices {
            batch_independence::aligned(site)
        } else {
            let transposed = matches!(self, Dense::Gemm { trans_a: true, .. });
            a.shape.len() == 2
                && !constant(a)
                && !transposed
                && constant(b)
                && site.inputs.get(2).is_none_or(added)
        }
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        if !self.is_layer(site.inputs)? {
            let operands = if site.inputs.get(2).is_some() { 3 } else { 2 };
            return Ok(Built::new(self.product(site.inputs)?.kernel(site.isa, site.gradients)?, operands));
        }
        let weights = site.inputs.need_constant(1)?;
        // If a batch entry has several rows, they share the weights, which are then worth packing. The
        // decision must not depend on the number of rows, which includes the batch; so it depends on the
        // rank.
        if site.inputs.shape(0)?.len() > 2 {
            let pair = self.product(site.inputs)?.pair(site.isa, site.gradients)?;
            return Ok(Built::new(Layer { pair, weights: weights.shared_floats()? }, 1));
        }
        let data = weights.as_floats()?;
        let outputs = *site.output.shape.last().ok_or("a scalar result")?;
        let inner = weights.len() / outputs.max(1);
        let alpha = if let Dense::Gemm { alpha, .. } = self { *alpha } else { 1.0 };
        let mut matrix = Vec::with_capacity(data.len());
        for o in 0..outputs {
            for k in 0..inner {
                let w = if self.trans_b() { data[o * inner + k] } else { data[k * outputs + o] };
                matrix.push(alpha * w);
            }
        }
        let bias = match (self, site.inputs.constant(2)?) {
            (Dense::Gemm { beta, .. }, Some(c)) => {
                let c = c.as_floats()?;
                match c.len() {
                    1 => Some(vec![beta * c[0]; outputs]),
                    n if n == outputs => Some(c.iter().map(|c| beta * c).collect()),
                    _ => {
                        return Err(OpError::Refused(
                            "a third operand that is not one row is not supported".into(),
                        ));
                    }
                }
            }
            _ => None,
        };
        let rows = volume(&site.output.shape) / outputs.max(1);
        Ok(Built::new(Linear { isa: site.isa, rows, inner, outputs, matrix, bias }, 1))
    }

    fn flops(&self, inputs: Facts<'_>, output: &Fact) -> u64 {
        let inner = inputs.shape(0).ok().and_then(|a| a.last()).copied().unwrap_or(0);
        2 * (output.len() * inner) as u64
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        // After a flattened map, a dense layer is a convolution of the map's size.
        if inputs.shape(0).is_ok_and(|a| a.len() == 2) { Reach::Regroup } else { Reach::Point }
    }

    fn sums_along(&self, inputs: Facts<'_>, operand: usize) -> Option<Vec<usize>> {
        let rank = inputs.shape(operand).map_or(0, <[usize]>::len);
        let (trans_a, trans_b) = match self {
            Dense::Gemm { trans_a, trans_b, .. } => (*trans_a, *trans_b),
            Dense::MatMul => (false, false),
        };
        let last = match operand {
            0 => !trans_a,
            1 => trans_b || rank == 1,
            _ => return Some(Vec::new()),
        };
        Some(rank.checked_sub(if last || rank < 2 { 1 } else { 2 }).into_iter().collect())
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        let (trans_a, trans_b) = match self {
            Dense::Gemm { trans_a, trans_b, .. } => (*trans_a, *trans_b),
            Dense::MatMul => (false, false),
        };
        sources.multiplied([trans_a, trans_b], &output.shape)
    }

    fn weight_form(&self) -> Option<WeightForm> {
        Some(match self {
            Dense::Gemm { trans_b: true, .. } => WeightForm::Rows,
            _ => WeightForm::Columns,
        })
    }

    fn takes_large_constants(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A dense layer applied at many positions, computed as a matrix product.
#[derive(Debug)]
struct Layer {
    pair: Pair,
    weights: Arc<Vec<f32>>,
}

impl Kernel for Layer {
    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        self.pair.forward(1.0, x, &self.weights, y);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        self.pair.backward(0, 1.0, &self.weights, dy, dx, accumulate);
    }
}

#[derive(Debug)]
struct Linear {
    isa: Isa,
    rows: usize,
    inner: usize,
    outputs: usize,
    matrix: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Kernel for Linear {
    fn joins_team(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        kernels::linear(
            self.isa,
            self.rows,
            self.inner,
            self.outputs,
            &self.matrix,
            self.bias.as_deref(),
            x,
            y,
        );
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        kernels::linear_backward(
            self.isa,
            self.rows,
            self.inner,
            self.outputs,
            &self.matrix,
            dy,
            dx,
            accumulate,
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, constant_data, data};

    #[test]
    fn gradients_agree_with_differences() {
        for (rows, inner, outputs) in [(1, 1, 1), (2, 7, 3), (3, 33, 65)] {
            let weights = |t: bool| if t { vec![outputs, inner] } else { vec![inner, outputs] };
            for transposed in [false, true] {
                Case::new(
                    "Gemm",
                    vec![
                        data(&[rows, inner]),
                        constant_data(&weights(transposed)),
                        constant_data(&[outputs]),
                    ],
                )
                .attribute("transB", Attribute::Int(transposed.into()))
                .attribute("alpha", Attribute::Float(0.5))
                .attribute("beta", Attribute::Float(2.0))
                .check();
            }
            Case::new("MatMul", vec![data(&[2, rows, inner]), constant_data(&weights(false))]).check();
        }
    }
}
