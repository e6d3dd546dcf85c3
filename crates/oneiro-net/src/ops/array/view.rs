//! Operators that give the same elements another shape or type, without moving data.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::array::constant::MAX_ELEMENTS;
use crate::ops::nn::activation::Copy;
use crate::ops::{Attributes, Built, Fact, Facts, Operator, Reach, Site, axis, batch_independence};
use crate::tensor::{DType, Tensor, volume};

/// ONNX operators that change only the shape or the element type.
#[derive(Debug, Clone)]
pub enum View {
    /// Changes the shape to that of input 1 (an attribute in operator set 1). 0 copies an extent unless
    /// `allow_zero` is set.
    Reshape {
        /// Whether an extent 0 in the requested shape means an empty axis.
        allow_zero: bool,
    },
    /// Reshapes to a matrix: axes before `axis` become rows, the others columns.
    Flatten {
        /// The first axis that becomes a part of the columns.
        axis: i64,
    },
    /// Removes axes of extent 1: the given ones (an attribute before operator set 13, then input 1) or all.
    Squeeze(Option<Vec<i64>>),
    /// `Unsqueeze`: adds axes of extent 1.
    Unsqueeze(Option<Vec<i64>>),
    /// `Identity`: the tensor itself.
    Identity,
    /// `Dropout` of a network in inference mode, which drops nothing.
    Dropout {
        /// Whether the node has the mask of kept elements as a second result.
        mask: bool,
    },
    /// Converts to another element type. Between float types this is a view, because everything is computed
    /// in f32.
    Cast(DType),
    /// Converts to the element type of input 1.
    CastLike,
}

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let axes = || a.ints("axes").map(|v| v.map(<[i64]>::to_vec));
    Ok(Arc::new(match op_type {
        "Reshape" => View::Reshape { allow_zero: a.int_or("allowzero", 0)? != 0 },
        "Flatten" => View::Flatten { axis: a.int_or("axis", 1)? },
        "Squeeze" => View::Squeeze(axes()?),
        "Unsqueeze" => View::Unsqueeze(axes()?),
        "Dropout" => View::Dropout { mask: a.outputs > 1 },
        "CastLike" => View::CastLike,
        // The numbers are ONNX's codes of element types (`TensorProto.DataType` in onnx.proto).
        "Cast" => View::Cast(match a.int("to")?.ok_or("attribute \"to\" is missing")? {
            1 | 10 | 11 | 16 => DType::Float,
            2..=7 | 12 | 13 => DType::Int,
            9 => DType::Bool,
            other => return Err(OpError::Refused(format!("element type {other} is not supported"))),
        }),
        _ => View::Identity,
    }))
}

impl View {
    fn shape(&self, inputs: Facts<'_>) -> Result<Vec<usize>, OpError> {
        let x = inputs.shape(0)?;
        match self {
            View::Identity | View::Dropout { .. } | View::Cast(_) | View::CastLike => Ok(x.to_vec()),
            View::Flatten { axis: at } => {
                let at = if *at == x.len() as i64 { x.len() } else { axis(*at, x.len())? };
                Ok(vec![volume(&x[..at]), volume(&x[at..])])
            }
            View::Squeeze(attribute) => {
                let axes = match attribute.as_deref().or(inputs.ints(1)?) {
                    Some(axes) => axes.iter().map(|&a| axis(a, x.len())).collect::<Result<Vec<_>, _>>()?,
                    None => (0..x.len()).filter(|&i| x[i] == 1).collect(),
                };
                if let Some(&bad) = axes.iter().find(|&&i| x[i] != 1) {
                    return Err(OpError::Refused(format!("axis {bad} of {x:?} is not of extent 1")));
                }
                Ok((0..x.len()).filter(|i| !axes.contains(i)).map(|i| x[i]).collect())
            }
            View::Unsqueeze(attribute) => {
                let axes = attribute.as_deref().or(inputs.ints(1)?).ok_or("the axes are missing")?;
                let rank = x.len() + axes.len();
                let axes = axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
                let mut rest = x.iter();
                (0..rank)
                    .map(|i| if axes.contains(&i) { Some(1) } else { rest.next().copied() })
                    .collect::<Option<Vec<_>>>()
                    .filter(|_| rest.next().is_none())
                    .ok_or_else(|| OpError::Refused(format!("axes {axes:?} repeat")))
            }
            View::Reshape { allow_zero } => {
                let wanted = inputs.ints(1)?.ok_or("the shape is missing")?;
                reshape(x, wanted, *allow_zero)
            }
        }
    }

    /// Returns the second result of `Dropout`, which says that nothing is dropped.
    fn mask(&self, inputs: Facts<'_>) -> Result<Option<Tensor>, OpError> {
        let View::Dropout { mask: true } = self else { return Ok(None) };
        let x = inputs.need(0)?;
        if x.len() > MAX_ELEMENTS {
            return Err(OpError::Refused(format!("a mask of shape {:?} is too large", x.shape)));
        }
        Ok(Some(Tensor::bools(&x.shape, vec![true; x.len()])))
    }

    fn dtype(&self, inputs: Facts<'_>) -> Result<DType, OpError> {
        match self {
            View::Cast(to) => Ok(*to),
            View::CastLike => Ok(inputs.need(1)?.dtype),
            _ => Ok(inputs.need(0)?.dtype),
        }
    }
}

fn reshape(x: &[usize], wanted: &[i64], allow_zero: bool) -> Result<Vec<usize>, OpError> {
    let fail = || OpError::Refused(format!("cannot reshape {x:?} into {wanted:?}"));
    let mut shape = Vec::with_capacity(wanted.len());
    let mut free = None;
    for (i, &n) in wanted.iter().enumerate() {
        shape.push(match n {
            -1 if free.is_none() => {
                free = Some(i);
                1
            }
            0 if !allow_zero => *x.get(i).ok_or_else(fail)?,
            n => usize::try_from(n).map_err(|_| fail())?,
        });
    }
    let known = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(fail)?;
    if let Some(i) = free {
        if known == 0 || !volume(x).is_multiple_of(known) {
            return Err(fail());
        }
        shape[i] = volume(x) / known;
    } else if known != volume(x) {
        return Err(fail());
    }
    Ok(shape)
}

/// Refuses casts that would round data. Booleans are whole numbers, and whole numbers are real numbers; so
/// casts in this direction keep the data.
pub(crate) fn loses_nothing(from: DType, to: DType) -> Result<(), OpError> {
    let rank = |d: DType| [DType::Bool, DType::Int, DType::Float].iter().position(|&x| x == d);
    if rank(from) > rank(to) {
        Err(OpError::Data("it rounds the data, which is not supported".to_owned()))
    } else {
        Ok(())
    }
}

impl Operator for View {
    fn op_type(&self) -> &str {
        match self {
            View::Reshape { .. } => "Reshape",
            View::Flatten { .. } => "Flatten",
            View::Squeeze(_) => "Squeeze",
            View::Unsqueeze(_) => "Unsqueeze",
            View::Identity => "Identity",
            View::Dropout { .. } => "Dropout",
            View::Cast(_) => "Cast",
            View::CastLike => "CastLike",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        if let (View::Dropout { .. }, Some(mode)) = (self, inputs.constant(2)?) {
            let trains = mode.as_bools()?.first() == Some(&true);
            if trains && inputs.scalar(1)? != Some(0.0) {
                return Err("training_mode = 1: export the network in evaluation mode".into());
            }
        }
        // Only the element type of input 1 matters, so a constant input 0 stays constant.
        if let (View::CastLike, Some(constant)) = (self, &inputs.need(0)?.value) {
            return Ok(vec![Fact::constant(constant.cast(self.dtype(inputs)?))]);
        }
        let mut facts = vec![Fact { dtype: self.dtype(inputs)?, shape: self.shape(inputs)?, value: None }];
        facts.extend(self.mask(inputs)?.map(Fact::constant));
        Ok(facts)
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let x = inputs.need_constant(0)?.reshaped(&self.shape(inputs)?)?;
        Ok(Some([x.cast(self.dtype(inputs)?)].into_iter().chain(self.mask(inputs)?).collect()))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        loses_nothing(site.inputs.need(0)?.dtype, site.output.dtype)?;
        Ok(Built::new(Copy, 1))
    }

    fn is_view(&self) -> bool {
        true
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        let same = self.shape(inputs).ok().zip(inputs.shape(0).ok()).is_some_and(|(a, b)| a == b);
        if same { Reach::Point } else { Reach::Regroup }
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        let from = sources.get(0)?;
        let (x, rank) = (sources.shape(0), output.shape.len());
        match self {
            View::Squeeze(attribute) => {
                let given = attribute.as_deref().or(sources.facts.ints(1).ok()?);
                let gone: Vec<usize> = match given {
                    Some(axes) => axes.iter().filter_map(|&a| axis(a, x.len()).ok()).collect(),
                    None => (0..x.len()).filter(|&i| x[i] == 1).collect(),
                };
                sources.reduced(&gone, false)
            }
            View::Unsqueeze(attribute) => {
                let given = attribute.as_deref().or(sources.facts.ints(1).ok()?)?;
                let new: Vec<usize> = given.iter().filter_map(|&a| axis(a, rank).ok()).collect();
                let mut old = from.0.iter().cloned();
                let of = |i: usize| if new.contains(&i) { Some(Vec::new()) } else { old.next() };
                (0..rank).map(of).collect::<Option<Vec<_>>>().map(Axes)
            }
            View::Reshape { .. } | View::Flatten { .. } => Some(from.regrouped(&output.shape)),
            _ => Some(from.clone()),
        }
    }

    fn is_bookkeeping(&self) -> bool {
        matches!(self, View::Cast(_) | View::CastLike)
    }

    fn keeps_numbers(&self) -> bool {
        true
    }

    fn states_shape_only(&self, _whole: &[i64], _part: &[i64]) -> bool {
        matches!(self, View::Reshape { .. })
    }

    fn unsqueezed_axes(&self) -> Option<Option<&[i64]>> {
        match self {
            View::Unsqueeze(axes) => Some(axes.as_deref()),
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshape_copies_and_infers_extents() {
        assert_eq!(reshape(&[2, 3, 4], &[0, -1], false).unwrap(), [2, 12]);
        assert_eq!(reshape(&[2, 3, 4], &[-1], false).unwrap(), [24]);
        assert_eq!(reshape(&[0, 3], &[0, 3], true).unwrap(), [0, 3]);
        assert!(reshape(&[2, 3], &[4, -1], false).is_err());
        assert!(reshape(&[2, 3], &[7], false).is_err());
    }
}
