//! Truth values: comparisons, logical functions, and the choice between two tensors (`Where`).
//!
//! On data they flow as 0 and 1 and pass no gradient; `Where` passes it to the operand that was chosen.

use std::any::Any;
use std::sync::Arc;

use crate::error::OpError;
use crate::ops::binary::{Walk, broadcast};
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site};
use crate::tensor::{DType, Tensor, volume};

/// The functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Logic {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
    Not,
    IsNaN,
    IsInf { negative: bool, positive: bool },
}

/// Reads the attributes.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.has("broadcast") || a.has("axis") {
        return Err(OpError("the broadcasting of operator sets before 7 is not supported".into()));
    }
    Ok(Arc::new(match op_type {
        "Where" => return Ok(Arc::new(Where)),
        "Equal" => Logic::Equal,
        "Less" => Logic::Less,
        "LessOrEqual" => Logic::LessOrEqual,
        "Greater" => Logic::Greater,
        "GreaterOrEqual" => Logic::GreaterOrEqual,
        "And" => Logic::And,
        "Or" => Logic::Or,
        "Xor" => Logic::Xor,
        "IsNaN" => Logic::IsNaN,
        "IsInf" => Logic::IsInf {
            negative: a.int_or("detect_negative", 1)? != 0,
            positive: a.int_or("detect_positive", 1)? != 0,
        },
        _ => Logic::Not,
    }))
}

impl Logic {
    fn unary(self) -> bool {
        matches!(self, Logic::Not | Logic::IsNaN | Logic::IsInf { .. })
    }

    /// The value at (a, b); functions of one variable ignore b.
    fn value<T: PartialOrd + Into<f64> + Copy>(self, a: T, b: T) -> bool {
        let (x, y): (f64, f64) = (a.into(), b.into());
        match self {
            Logic::Equal => a == b,
            Logic::Less => a < b,
            Logic::LessOrEqual => a <= b,
            Logic::Greater => a > b,
            Logic::GreaterOrEqual => a >= b,
            Logic::And => x != 0.0 && y != 0.0,
            Logic::Or => x != 0.0 || y != 0.0,
            Logic::Xor => (x != 0.0) != (y != 0.0),
            Logic::Not => x == 0.0,
            Logic::IsNaN => x.is_nan(),
            Logic::IsInf { negative, positive } => {
                (negative && x == f64::NEG_INFINITY) || (positive && x == f64::INFINITY)
            }
        }
    }

    fn integer(self, a: i64, b: i64) -> Result<bool, OpError> {
        Ok(match self {
            Logic::Equal => a == b,
            Logic::Less => a < b,
            Logic::LessOrEqual => a <= b,
            Logic::Greater => a > b,
            Logic::GreaterOrEqual => a >= b,
            _ => return Err("integers are no truth values".into()),
        })
    }
}

impl Operator for Logic {
    fn op_type(&self) -> &str {
        match self {
            Logic::Equal => "Equal",
            Logic::Less => "Less",
            Logic::LessOrEqual => "LessOrEqual",
            Logic::Greater => "Greater",
            Logic::GreaterOrEqual => "GreaterOrEqual",
            Logic::And => "And",
            Logic::Or => "Or",
            Logic::Xor => "Xor",
            Logic::Not => "Not",
            Logic::IsNaN => "IsNaN",
            Logic::IsInf { .. } => "IsInf",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let a = inputs.need(0)?;
        let mut shape = a.shape.clone();
        if !self.unary() {
            let b = inputs.need(1)?;
            if a.dtype != b.dtype {
                return Err("the operands differ in element type".into());
            }
            shape = broadcast(&shape, &b.shape)?;
        }
        Ok(vec![Fact { dtype: DType::Bool, shape, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let a = inputs.need_constant(0)?;
        if a.dtype() != DType::Int || self.unary() {
            return Ok(None);
        }
        let b = inputs.need_constant(1)?;
        let shape = broadcast(a.shape(), b.shape())?;
        let walk = Walk::new(&shape, [a.shape(), b.shape()]);
        let (a, b) = (a.as_ints()?, b.as_ints()?);
        let out = (0..volume(&shape)).map(|i| {
            let [i, j] = walk.offsets(i);
            self.integer(a[i], b[j])
        });
        Ok(Some(vec![Tensor::bools(&shape, out.collect::<Result<_, _>>()?)]))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let a = site.inputs.shape(0)?;
        let operands = if self.unary() { [a, a] } else { [a, site.inputs.shape(1)?] };
        let walk = Walk::new(&site.output.shape, operands);
        Ok(Built::new(Truth { function: *self, walk }, if self.unary() { 1 } else { 2 }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Truth {
    function: Logic,
    walk: Walk,
}

impl Kernel for Truth {
    fn differentiable(&self, _operand: usize) -> bool {
        false
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (a, b, y) = io.io2(0, if self.function.unary() { 0 } else { 1 });
        for (i, y) in y.iter_mut().enumerate() {
            let [i, j] = self.walk.offsets(i);
            *y = f32::from(u8::from(self.function.value(a[i], b[j])));
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        if !io.accumulate {
            io.gradient.fill(0.0);
        }
    }
}

/// Input 1 where input 0 is true, else input 2.
#[derive(Debug, Clone)]
struct Where;

/// Positions in the condition and in both choices of every element of the output.
#[derive(Debug)]
struct Choice {
    condition: Walk,
    choices: Walk,
}

impl Choice {
    fn new(shape: &[usize], inputs: Facts<'_>) -> Result<Self, OpError> {
        let (c, x, y) = (inputs.shape(0)?, inputs.shape(1)?, inputs.shape(2)?);
        Ok(Self { condition: Walk::new(shape, [c, c]), choices: Walk::new(shape, [x, y]) })
    }
}

impl Operator for Where {
    fn op_type(&self) -> &str {
        "Where"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, y) = (inputs.need(1)?, inputs.need(2)?);
        if inputs.need(0)?.dtype != DType::Bool || x.dtype != y.dtype {
            return Err("wants a condition of truth values and choices of one element type".into());
        }
        let shape = broadcast(&broadcast(&x.shape, &y.shape)?, inputs.shape(0)?)?;
        Ok(vec![Fact { dtype: x.dtype, shape, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let (c, x, y) = (inputs.need_constant(0)?, inputs.need_constant(1)?, inputs.need_constant(2)?);
        if x.dtype() != DType::Int {
            return Ok(None);
        }
        let shape = self.infer(inputs)?.remove(0).shape;
        let at = Choice::new(&shape, inputs)?;
        let (c, x, y) = (c.as_bools()?, x.as_ints()?, y.as_ints()?);
        let pick = |i: usize| {
            let ([k, _], [i, j]) = (at.condition.offsets(i), at.choices.offsets(i));
            if c[k] { x[i] } else { y[j] }
        };
        Ok(Some(vec![Tensor::ints(&shape, (0..volume(&shape)).map(pick).collect())]))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::new(Choice::new(&site.output.shape, site.inputs)?, 3))
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Kernel for Choice {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn differentiable(&self, operand: usize) -> bool {
        operand != 0
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = (super::read(&io.reader, &io.operands[1]), super::read(&io.reader, &io.operands[2]));
        let condition = super::read(&io.reader, &io.operands[0]);
        for (i, out) in io.output.iter_mut().enumerate() {
            let ([k, _], [i, j]) = (self.condition.offsets(i), self.choices.offsets(i));
            *out = if condition[k] != 0.0 { x[i] } else { y[j] };
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let (condition, dy, dx) = io.io_input(0);
        if !accumulate {
            dx.fill(0.0);
        }
        for (i, dy) in dy.iter().enumerate() {
            let ([k, _], [i, j]) = (self.condition.offsets(i), self.choices.offsets(i));
            match (condition[k] != 0.0, operand) {
                (true, 1) => dx[i] += dy,
                (false, 2) => dx[j] += dy,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, bools, data};

    #[test]
    fn gradients_agree_with_differences() {
        let condition = || bools(&[3, 1], vec![true, false, true]);
        Case::new("Where", vec![condition(), data(&[2, 3, 4]), data(&[4])]).check();
        Case::new("Where", vec![condition(), data(&[]), data(&[3, 4])]).check();
    }
}
