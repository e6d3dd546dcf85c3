//! `DequantizeLinear`, where it folds: weights that a file stores as integers.
//!
//! x = (q − zero point)·scale, with one scale for all, one a slice of an axis, or one a block along an axis.

use std::any::Any;
use std::sync::Arc;

use crate::error::OpError;
use crate::ops::{Attributes, Built, Fact, Facts, Operator, Site, axis};
use crate::tensor::{DType, Tensor, volume};

/// The operator.
#[derive(Debug, Clone)]
struct Dequantize {
    axis: i64,
    block: usize,
}

/// Reads the attributes.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let block =
        usize::try_from(a.int_or("block_size", 0)?).map_err(|_| OpError::from("negative block_size"))?;
    Ok(Arc::new(Dequantize { axis: a.int_or("axis", 1)?, block }))
}

impl Operator for Dequantize {
    fn op_type(&self) -> &str {
        "DequantizeLinear"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let q = inputs.need(0)?;
        if q.dtype != DType::Int {
            return Err("the quantized values should be integers".into());
        }
        Ok(vec![Fact::float(q.shape.clone())])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let (q, scale) = (inputs.need_constant(0)?, inputs.need_constant(1)?);
        let zero = inputs.ints(2)?;
        let (x, s) = (q.shape(), scale.shape());
        let at = if scale.len() == 1 { 0 } else { axis(self.axis, x.len())? };
        let fits = scale.len() == 1
            || (self.block == 0 && s.len() == 1 && s[0] == x[at])
            || (self.block > 0
                && s.len() == x.len()
                && (0..x.len()).all(|i| s[i] == if i == at { x[i].div_ceil(self.block) } else { x[i] }));
        if !fits || zero.is_some_and(|z| z.len() != scale.len()) {
            return Err(OpError(format!("scales of shape {s:?} do not fit {x:?}")));
        }
        let inner = if x.is_empty() { 1 } else { volume(&x[at + 1..]) };
        let owner = |i: usize| match (scale.len(), self.block) {
            (1, _) => 0,
            (_, 0) => i / inner % x[at],
            (_, block) => {
                let (outer, along) = (i / inner / x[at], i / inner % x[at]);
                (outer * s[at] + along / block) * inner + i % inner
            }
        };
        let scales = scale.as_floats()?;
        let value = |(i, &q): (usize, &i64)| {
            let k = owner(i);
            q.wrapping_sub(zero.map_or(0, |z| z[k])) as f32 * scales[k]
        };
        Ok(Some(vec![Tensor::floats(x, q.as_ints()?.iter().enumerate().map(value).collect())]))
    }

    fn kernel(&self, _site: Site<'_>) -> Result<Built, OpError> {
        Err(OpError("integers that depend on the data are not supported".into()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::build;

    #[test]
    fn weights_with_one_scale_a_filter_are_dequantized() {
        let attributes = Attributes::new(13, vec![("axis", crate::attributes::Attribute::Int(0))]);
        let facts = [
            Fact::constant(Tensor::ints(&[2, 2], vec![1, 2, 3, 4])),
            Fact::constant(Tensor::floats(&[2], vec![0.5, 2.0])),
            Fact::constant(Tensor::ints(&[2], vec![0, 1])),
        ];
        let refs: Vec<Option<&Fact>> = facts.iter().map(Some).collect();
        let op = build("DequantizeLinear", &attributes);
        let out = op.evaluate(Facts(&refs)).unwrap().unwrap().remove(0);
        assert_eq!(out.as_floats().unwrap().as_ref(), &[0.5, 1.0, 4.0, 6.0]);
    }
}
