//! `ScatterElements` and `ScatterND`: a copy in which elements at constant indices are replaced by updates,
//! or combined with them (`reduction`).
//!
//! All elements for one position form a group: the element of the data first, then its updates in order.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::array::gather::{coordinates, position, slice_start};
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis};
use crate::tensor::{DType, Tensor, volume};

/// How updates combine with the existing elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduction {
    /// The last update replaces the element.
    Replace,
    Add,
    Mul,
    /// The maximum. Equal maxima share the gradient.
    Max,
    Min,
}

/// `ScatterElements` and `ScatterND`. Their inputs are data, indices and updates.
#[derive(Debug, Clone)]
struct Scatter {
    /// The axis along which every update has an index. With `None`, updates are slices at tuples of indices.
    axis: Option<i64>,
    reduction: Reduction,
}

/// Reads the attributes of a `ScatterElements` or `ScatterND` node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let reduction = match a.text_or("reduction", "none")? {
        "none" => Reduction::Replace,
        "add" => Reduction::Add,
        "mul" => Reduction::Mul,
        "max" => Reduction::Max,
        "min" => Reduction::Min,
        other => return Err(OpError::Refused(format!("reduction \"{other}\" is not one of ONNX's"))),
    };
    let axis = if op_type == "ScatterND" { None } else { Some(a.int_or("axis", 0)?) };
    Ok(Arc::new(Scatter { axis, reduction }))
}

impl Scatter {
    fn check(&self, inputs: Facts<'_>) -> Result<(), OpError> {
        let (x, indices, updates) = (inputs.shape(0)?, inputs.shape(1)?, inputs.shape(2)?);
        let fits = match self.axis {
            Some(at) => {
                let at = axis(at, x.len())?;
                indices == updates
                    && indices.len() == x.len()
                    && (0..x.len()).all(|i| i == at || indices[i] <= x[i])
            }
            None => {
                let (&depth, lead) = indices.split_last().ok_or("the indices are a scalar")?;
                depth <= x.len() && [lead, &x[depth..]].concat() == updates
            }
        };
        if !fits {
            return Err(OpError::Refused(format!(
                "indices {indices:?} and updates {updates:?} do not fit {x:?}"
            )));
        }
        if inputs.need(0)?.dtype != inputs.need(2)?.dtype {
            return Err("data and updates differ in element type".into());
        }
        if volume(x).max(volume(updates)) >= u32::MAX as usize {
            return Err(OpError::Refused(format!("a tensor of shape {x:?} is too large for this operator")));
        }
        Ok(())
    }

    fn groups(&self, inputs: Facts<'_>) -> Result<Groups, OpError> {
        self.check(inputs)?;
        let (x, indices) = (inputs.shape(0)?, inputs.need_constant(1)?);
        let shape = indices.shape();
        let data = indices.as_ints()?;
        // Pairs of a position in the data and the index of an update for it.
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(inputs.need(2)?.len());
        match self.axis {
            Some(along) => {
                let along = axis(along, x.len())?;
                for (i, &index) in data.iter().enumerate() {
                    let mut at = coordinates(i, shape);
                    at[along] = axis(index, x[along])
                        .map_err(|_| OpError::Refused(format!("index {index} is outside {x:?}")))?;
                    pairs.push((position(&at, x) as u32, i as u32));
                }
            }
            None => {
                let depth = shape.last().copied().unwrap_or(0);
                let inner = volume(&x[depth..]);
                for t in 0..volume(&shape[..shape.len() - 1]) {
                    let start = slice_start(x, &data[t * depth..(t + 1) * depth])?;
                    pairs.extend((0..inner).map(|i| ((start + i) as u32, (t * inner + i) as u32)));
                }
            }
        }
        pairs.sort_unstable();
        let mut groups = Groups { reduction: self.reduction, at: vec![], updates: vec![] };
        for (position, update) in pairs {
            if groups.at.last().is_none_or(|(last, _)| *last != position) {
                groups.at.push((position, groups.updates.len() as u32));
            }
            groups.updates.push(update);
        }
        Ok(groups)
    }
}

impl Operator for Scatter {
    fn op_type(&self) -> &str {
        if self.axis.is_some() { "ScatterElements" } else { "ScatterND" }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        self.check(inputs)?;
        let x = inputs.need(0)?;
        Ok(vec![Fact { dtype: x.dtype, shape: x.shape.clone(), value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let (x, updates) = (inputs.need_constant(0)?, inputs.need_constant(2)?);
        if x.dtype() != DType::Int {
            return Ok(None);
        }
        let (groups, mut out, updates) = (self.groups(inputs)?, x.as_ints()?.to_vec(), updates.as_ints()?);
        for (at, members) in groups.each() {
            for &u in members {
                let (old, new) = (out[at], updates[u as usize]);
                out[at] = match self.reduction {
                    Reduction::Replace => new,
                    Reduction::Add => old.wrapping_add(new),
                    Reduction::Mul => old.wrapping_mul(new),
                    Reduction::Max => old.max(new),
                    Reduction::Min => old.min(new),
                };
            }
        }
        Ok(Some(vec![Tensor::ints(x.shape(), out)]))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        if site.output.dtype != DType::Float && self.reduction != Reduction::Replace {
            return Err("a reduction of data that is no real number is not supported".into());
        }
        Ok(Built::over(self.groups(site.inputs)?, vec![0, 2]))
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Whole
    }

    fn axes(&self, sources: &Sources<'_>, _output: &Fact, _index: usize) -> Option<Axes> {
        sources.get(0).cloned()
    }

    /// The indices decide which batch entry an update changes, so elements may mix along every axis.
    fn mixes_along(&self, inputs: Facts<'_>) -> Vec<usize> {
        inputs.shape(0).map_or_else(|_| Vec::new(), |x| (0..x.len()).collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The updates of every position that has any, sorted by position.
#[derive(Debug)]
struct Groups {
    reduction: Reduction,
    /// Pairs of (position, index of the first of its updates).
    at: Vec<(u32, u32)>,
    updates: Vec<u32>,
}

impl Groups {
    fn each(&self) -> impl Iterator<Item = (usize, &[u32])> {
        self.at.iter().enumerate().map(|(i, &(position, first))| {
            let end = self.at.get(i + 1).map_or(self.updates.len(), |next| next.1 as usize);
            (position as usize, &self.updates[first as usize..end])
        })
    }

    fn fold(&self, x: f32, members: &[u32], updates: &[f32]) -> f32 {
        let pick = |better: fn(f32, f32) -> bool| {
            move |a: f32, b: f32| if better(b, a) || b.is_nan() { b } else { a }
        };
        let mut updates = members.iter().map(|&u| updates[u as usize]);
        match self.reduction {
            Reduction::Replace => updates.next_back().unwrap_or(x),
            Reduction::Add => updates.fold(x, |a, b| a + b),
            Reduction::Mul => updates.fold(x, |a, b| a * b),
            Reduction::Max => updates.fold(x, pick(|b, a| b > a)),
            Reduction::Min => updates.fold(x, pick(|b, a| b < a)),
        }
    }

    /// Returns the derivative of a group's result with respect to one of its elements: an update, or the data
    /// (`None`).
    fn slope(&self, which: Option<u32>, x: f32, members: &[u32], updates: &[f32]) -> f32 {
        let update = |u: u32| updates[u as usize];
        match self.reduction {
            Reduction::Replace => f32::from(u8::from(members.last().copied() == which)),
            Reduction::Add => 1.0,
            Reduction::Mul => {
                let first = if which.is_some() { x } else { 1.0 };
                members.iter().filter(|u| Some(**u) != which).fold(first, |a, &u| a * update(u))
            }
            Reduction::Max | Reduction::Min => {
                let best = self.fold(x, members, updates);
                if which.map_or(x, update) != best {
                    return 0.0;
                }
                let ties = members.iter().filter(|u| update(**u) == best).count();
                1.0 / (ties + usize::from(x == best)) as f32
            }
        }
    }
}

impl Kernel for Groups {
    fn backward_reads_inputs(&self) -> bool {
        !matches!(self.reduction, Reduction::Replace | Reduction::Add)
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, updates, y) = io.io2(0, 1);
        y.copy_from_slice(x);
        for (at, members) in self.each() {
            y[at] = self.fold(y[at], members, updates);
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let read = |i: usize| io.operands[i].data(&io.reader);
        let data = self.backward_reads_inputs().then(|| (read(0), read(1)));
        let dy = io.reader.read(io.output_gradient);
        let dx = &mut *io.gradient;
        let slope = |which: Option<u32>, at: usize, members: &[u32]| match data {
            Some((x, updates)) => self.slope(which, x[at], members, updates),
            None => self.slope(which, 0.0, members, &[]),
        };
        if operand == 1 {
            for (at, members) in self.each() {
                for &u in members {
                    let d = dy[at] * slope(Some(u), at, members);
                    let to = &mut dx[u as usize];
                    *to = if accumulate { *to + d } else { d };
                }
            }
            return;
        }
        let mut done = 0;
        for (at, members) in self.each() {
            crate::ops::put(&dy[done..at], &mut dx[done..at], accumulate);
            let d = dy[at] * slope(None, at, members);
            dx[at] = if accumulate { dx[at] + d } else { d };
            done = at + 1;
        }
        crate::ops::put(&dy[done..], &mut dx[done..], accumulate);
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, int_tensor};

    #[test]
    fn gradients_agree_with_differences() {
        for reduction in ["none", "add", "mul", "max", "min"] {
            let check = |op, inputs| {
                Case::new(op, inputs)
                    .opset(18)
                    .attribute("reduction", Attribute::Text(reduction.into()))
                    .check();
            };
            let indices = int_tensor(&[2, 2], vec![1, 1, 1, -1]);
            check("ScatterElements", vec![data(&[3, 4]), indices, data(&[2, 2])]);
            let tuples = int_tensor(&[3, 1], vec![3, 1, 3]);
            check("ScatterND", vec![data(&[4, 3]), tuples, data(&[3, 3])]);
        }
    }
}
