//! Booleans: comparisons, logical functions, and the choice between two tensors (`Where`).
//!
//! If the operands depend on the network's inputs, results are computed as 0 and 1 and pass no gradient.
//! `Where` passes the gradient to the chosen operand.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::array::broadcast::{Walk, broadcast};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site, batch_independence,
};
use crate::tensor::{DType, Tensor, volume};

/// Comparisons and logical functions of ONNX.
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

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.has("broadcast") || a.has("axis") {
        return Err(OpError::Refused("the broadcasting of operator sets before 7 is not supported".into()));
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

    /// Returns the value at (a, b). Functions of one variable ignore b.
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

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::aligned(site)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let a = site.inputs.shape(0)?;
        let operands = if self.unary() { [a, a] } else { [a, site.inputs.shape(1)?] };
        let walk = Walk::new(&site.output.shape, operands);
        Ok(Built::new(Truth { function: *self, walk }, if self.unary() { 1 } else { 2 }))
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.broadcast(&output.shape)
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

impl Truth {
    fn compare(&self, a: &[f32], b: &[f32], y: &mut [f32], value: impl Fn(f32, f32) -> bool + Sync) {
        self.walk.each_row(y, |y, [i, j], steps| {
            let put = |(y, (a, b)): (&mut f32, (&f32, &f32))| *y = f32::from(u8::from(value(*a, *b)));
            match steps {
                [1, 1] => y.iter_mut().zip(a[i..].iter().zip(&b[j..])).for_each(put),
                [1, 0] => y.iter_mut().zip(a[i..].iter().map(|a| (a, &b[j]))).for_each(put),
                [sa, sb] => {
                    y.iter_mut().enumerate().for_each(|(k, y)| put((y, (&a[i + k * sa], &b[j + k * sb]))));
                }
            }
        });
    }
}

impl Kernel for Truth {
    fn differentiable(&self, _operand: usize) -> bool {
        false
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (a, b, y) = io.io2(0, if self.function.unary() { 0 } else { 1 });
        // Each comparison has a loop of its own.
        match self.function {
            Logic::Equal => self.compare(a, b, y, |a, b| a == b),
            Logic::Less => self.compare(a, b, y, |a, b| a < b),
            Logic::LessOrEqual => self.compare(a, b, y, |a, b| a <= b),
            Logic::Greater => self.compare(a, b, y, |a, b| a > b),
            Logic::GreaterOrEqual => self.compare(a, b, y, |a, b| a >= b),
            function => self.compare(a, b, y, |a, b| function.value(a, b)),
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
        let condition = Walk::new(&shape, [c.shape(), c.shape()]);
        let choices = Walk::new(&shape, [x.shape(), y.shape()]);
        let (c, x, y) = (c.as_bools()?, x.as_ints()?, y.as_ints()?);
        let pick = |i: usize| {
            let ([k, _], [i, j]) = (condition.offsets(i), choices.offsets(i));
            if c[k] { x[i] } else { y[j] }
        };
        Ok(Some(vec![Tensor::ints(&shape, (0..volume(&shape)).map(pick).collect())]))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::aligned(site)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let walk = |i: usize| {
            Ok::<_, OpError>(Walk::new(&site.output.shape, [site.inputs.shape(0)?, site.inputs.shape(i)?]))
        };
        Ok(Built::new(Choice([walk(1)?, walk(2)?]), 3))
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.broadcast(&output.shape)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Chooses one of two numbers without a branch, since a branch on data would be mispredicted.
fn select(first: bool, a: f32, b: f32) -> f32 {
    let mask = u32::from(first).wrapping_neg();
    f32::from_bits((a.to_bits() & mask) | (b.to_bits() & !mask))
}

/// The kernel of `Where`: for each of the two choices, the offsets in the condition and in that choice.
#[derive(Debug)]
struct Choice([Walk; 2]);

impl Kernel for Choice {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn differentiable(&self, operand: usize) -> bool {
        operand != 0
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let condition = io.operands[0].data(&io.reader);
        for (which, walk) in self.0.iter().enumerate() {
            let choice = io.operands[which + 1].data(&io.reader);
            let put = |(y, (c, x)): (&mut f32, (&f32, &f32))| {
                *y = select((*c != 0.0) == (which == 0), *x, *y);
            };
            walk.each_row(io.output, |y, [c, x], steps| match steps {
                [1, 1] => y.iter_mut().zip(condition[c..].iter().zip(&choice[x..])).for_each(put),
                [1, 0] => y.iter_mut().zip(condition[c..].iter().map(|c| (c, &choice[x]))).for_each(put),
                [sc, sx] => {
                    let at = |k: usize| (&condition[c + k * sc], &choice[x + k * sx]);
                    y.iter_mut().enumerate().for_each(|(k, y)| put((y, at(k))));
                }
            });
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let (condition, dy, dx) = io.io_input(0);
        let wanted = operand == 1;
        self.0[operand - 1]
            .sum_back(1, dy, dx, accumulate, |dy, c, _| select((condition[c] != 0.0) == wanted, dy, 0.0));
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
