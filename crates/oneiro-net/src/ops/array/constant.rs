//! Operators whose result depends on shapes and attributes alone. They always fold to constants.

use std::any::Any;
use std::sync::Arc;

use crate::error::OpError;
use crate::ops::{Attributes, Built, Fact, Facts, Operator, Reach, Site};
use crate::tensor::{DType, Tensor};

/// Most elements of a computed constant. A file that asks for more counts as damaged, so that it cannot
/// exhaust memory.
pub const MAX_ELEMENTS: usize = 1 << 26;
/// Most elements of a constant that repeats one number. It takes memory only in a plan, whose size is
/// checked.
const MAX_REPEATED: usize = 1 << 30;
/// Largest extent of an axis that an operator enlarges.
pub const MAX_EXTENT: usize = 1 << 24;
/// Largest extent of any axis of any tensor, weights included: the product of two extents does not overflow.
/// A tensor without elements may claim any extents, so they must be checked as well.
pub const MAX_CLAIM: usize = 1 << 31;
/// Most elements of a tensor that depends on the data.
const MAX_VOLUME: usize = 1 << 33;

/// ONNX operators whose result is a constant once shapes are known.
#[derive(Debug, Clone)]
pub enum Folding {
    /// `Constant`: the tensor that the model file gives.
    Constant(Tensor),
    /// `Shape`: the extents of a tensor, from axis `start` to `end`.
    Shape {
        /// First axis; negative values count from the end.
        start: i64,
        /// Axis after the last; negative values count from the end.
        end: i64,
    },
    /// `Size`: the number of elements of a tensor.
    Size,
    /// `ConstantOfShape` with the value to repeat (one element).
    ConstantOfShape(Tensor),
    /// `Range`: an arithmetic sequence.
    Range,
}

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(match op_type {
        "Shape" => Folding::Shape { start: a.int_or("start", 0)?, end: a.int_or("end", i64::MAX)? },
        "Size" => Folding::Size,
        "Range" => Folding::Range,
        "ConstantOfShape" => {
            let value = match a.tensor("value")? {
                Some(t) if t.len() == 1 => t.reshaped(&[])?,
                Some(_) => {
                    return Err(OpError::Refused("attribute \"value\" should hold one element".into()));
                }
                None => Tensor::floats(&[], vec![0.0]),
            };
            Folding::ConstantOfShape(value)
        }
        _ => Folding::Constant(if let Some(t) = a.tensor("value")? {
            t.clone()
        } else if let Some(v) = a.ints("value_ints")? {
            Tensor::ints(&[v.len()], v.to_vec())
        } else if let Some(v) = a.floats("value_floats")? {
            Tensor::floats(&[v.len()], v.to_vec())
        } else if let Some(v) = a.int("value_int")? {
            Tensor::ints(&[], vec![v])
        } else if a.has("value_float") {
            Tensor::floats(&[], vec![a.float_or("value_float", 0.0)?])
        } else {
            return Err(OpError::Refused("a constant without a numeric value".into()));
        }),
    }))
}

impl Folding {
    fn result(&self, inputs: Facts<'_>) -> Result<Tensor, OpError> {
        match self {
            Folding::Constant(t) => Ok(t.clone()),
            Folding::Shape { start, end } => {
                let shape = inputs.shape(0)?;
                let rank = shape.len() as i64;
                let clamp = |i: i64| (if i < 0 { i + rank } else { i }).clamp(0, rank) as usize;
                let part = shape.get(clamp(*start)..clamp(*end)).unwrap_or_default();
                Ok(Tensor::ints(&[part.len()], part.iter().map(|&n| n as i64).collect()))
            }
            Folding::Size => Ok(Tensor::ints(&[], vec![inputs.need(0)?.len() as i64])),
            Folding::ConstantOfShape(value) => {
                let shape = inputs.ints(0)?.ok_or("the shape is missing")?;
                match value.as_floats() {
                    Ok(x) => {
                        let shape = sizes_up_to(shape, MAX_REPEATED)?;
                        Ok(Tensor::repeated(&shape, x.first().copied().unwrap_or(0.0)))
                    }
                    Err(_) => {
                        let shape = sizes_up_to(shape, MAX_EXTENT)?;
                        Ok(value.rearranged(&shape, |_| Some(0), 0.0))
                    }
                }
            }
            Folding::Range => {
                let (start, limit, delta) =
                    (inputs.need_constant(0)?, inputs.need_constant(1)?, inputs.need_constant(2)?);
                if start.dtype() == DType::Int {
                    let one =
                        |t: &Tensor| t.as_ints()?.first().copied().ok_or_else(|| OpError::from("empty"));
                    let (start, limit, delta) = (one(start)?, one(limit)?, one(delta)?);
                    let n = count(limit as f64 - start as f64, delta as f64)?;
                    Ok(Tensor::ints(&[n], (0..n as i64).map(|i| start + i * delta).collect()))
                } else {
                    let one =
                        |t: &Tensor| t.as_floats()?.first().copied().ok_or_else(|| OpError::from("empty"));
                    let (start, limit, delta) = (one(start)?, one(limit)?, one(delta)?);
                    let n = count(f64::from(limit) - f64::from(start), f64::from(delta))?;
                    Ok(Tensor::floats(&[n], (0..n).map(|i| start + i as f32 * delta).collect()))
                }
            }
        }
    }
}

fn count(span: f64, delta: f64) -> Result<usize, OpError> {
    let n = (span / delta).ceil().max(0.0);
    if n.is_finite() && n < MAX_EXTENT as f64 {
        Ok(n as usize)
    } else {
        Err(OpError::Refused("the range is endless or too long".into()))
    }
}

/// Converts constant integers to extents. Refuses negative ones, and volumes above the limit.
pub fn sizes(shape: &[i64]) -> Result<Vec<usize>, OpError> {
    sizes_up_to(shape, MAX_ELEMENTS)
}

fn sizes_up_to(shape: &[i64], most: usize) -> Result<Vec<usize>, OpError> {
    let sizes: Vec<usize> = shape
        .iter()
        .map(|&n| {
            usize::try_from(n).map_err(|_| OpError::Refused(format!("shape {shape:?} has a negative extent")))
        })
        .collect::<Result<_, _>>()?;
    let fits = sizes.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_some_and(|n| n <= most);
    if fits { Ok(sizes) } else { Err(OpError::Refused(format!("a tensor of shape {shape:?} is too large"))) }
}

impl Operator for Folding {
    fn op_type(&self) -> &str {
        match self {
            Folding::Constant(_) => "Constant",
            Folding::Shape { .. } => "Shape",
            Folding::Size => "Size",
            Folding::ConstantOfShape(_) => "ConstantOfShape",
            Folding::Range => "Range",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact::constant(self.result(inputs)?)])
    }

    fn kernel(&self, _site: Site<'_>) -> Result<Built, OpError> {
        Err(OpError::Refused("folds into a constant".into()))
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Nothing
    }

    fn is_bookkeeping(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Refuses a shape with too many elements. Operators that repeat data use this check, too.
pub fn check_volume(shape: &[usize]) -> Result<(), OpError> {
    match shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) {
        Some(n) if n <= MAX_VOLUME && shape.iter().all(|&d| d <= MAX_EXTENT) => Ok(()),
        _ => Err(OpError::Refused(format!("a tensor of shape {shape:?} is too large"))),
    }
}
