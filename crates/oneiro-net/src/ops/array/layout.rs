//! Operators that only move elements: every element of the output is an element of the input, or a fill
//! value.
//!
//! Each operator defines one function: the input position of an output element. The value (for any element
//! type), the forward copy and the gradient (a scatter) follow from it.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Kind, Part, Sources};
use crate::error::OpError;
use crate::ops::array::broadcast::broadcast;
use crate::ops::array::constant::{MAX_EXTENT, check_volume, sizes};
use crate::ops::array::index_map::{Origin, Walked};
use crate::ops::array::lookup::Lookup;
use crate::ops::{Attributes, Built, Fact, Facts, Operator, Reach, Site, axis, batch_independence};
use crate::tensor::Tensor;

/// ONNX operators that only move elements.
#[derive(Debug, Clone)]
pub enum Movement {
    /// Ranges with steps along some axes. They are attributes before operator set 10.
    Slice {
        /// The ranges, if they are given as attributes.
        attributes: Option<Ranges>,
    },
    /// A permutation of axes. Without one, the order is reversed.
    Transpose(Option<Vec<usize>>),
    /// `Expand`: repeats axes of extent 1.
    Expand,
    /// `Tile`: repeats the whole tensor along each axis.
    Tile,
    /// `Gather`: takes the slices at given indices along one axis.
    Gather {
        /// The axis along which slices are taken.
        axis: i64,
    },
    /// `Pad`: adds a border around the tensor.
    Pad {
        /// How the elements of the border are filled.
        mode: PadMode,
        /// Extents of the border and its value, as attributes (before operator set 11).
        attributes: Option<(Vec<i64>, f32)>,
    },
    /// `Split`: divides the tensor along one axis.
    Split {
        /// The axis along which the tensor is divided.
        axis: i64,
        /// Extents of the parts, as an attribute (before operator set 13).
        attributes: Option<Vec<i64>>,
        /// Number of equal parts (operator set 18).
        parts: Option<i64>,
        /// Number of results. It is the number of equal parts if neither an attribute nor an input gives one.
        outputs: usize,
    },
}

/// The index ranges of an ONNX `Slice`.
#[derive(Debug, Clone)]
pub struct Ranges {
    /// First index of the range along each axis.
    starts: Vec<i64>,
    /// Index after the last of the range along each axis.
    ends: Vec<i64>,
    /// Axes; by default the first ones in order.
    axes: Option<Vec<i64>>,
}

/// How ONNX `Pad` fills the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PadMode {
    /// All elements of the border have one value.
    Constant,
    /// Each border element is a copy of the nearest element.
    Edge,
    /// The tensor is mirrored about its outermost elements.
    Reflect,
    /// The tensor is repeated periodically into the border.
    Wrap,
}

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let list = |name: &str| a.ints(name).map(|v| v.map(<[i64]>::to_vec));
    Ok(Arc::new(match op_type {
        "Slice" => Movement::Slice {
            attributes: match (list("starts")?, list("ends")?) {
                (Some(starts), Some(ends)) => Some(Ranges { starts, ends, axes: list("axes")? }),
                _ => None,
            },
        },
        "Transpose" => Movement::Transpose(a.sizes("perm")?),
        "Expand" => Movement::Expand,
        "Tile" => Movement::Tile,
        "Gather" => Movement::Gather { axis: a.int_or("axis", 0)? },
        "Pad" => Movement::Pad {
            mode: match a.text_or("mode", "constant")? {
                "constant" => PadMode::Constant,
                "edge" => PadMode::Edge,
                "reflect" => PadMode::Reflect,
                "wrap" => PadMode::Wrap,
                other => return Err(OpError::Refused(format!("mode \"{other}\" is not one of ONNX's"))),
            },
            attributes: match list("pads")? {
                Some(pads) => Some((pads, a.float_or("value", 0.0)?)),
                None => None,
            },
        },
        _ => Movement::Split {
            axis: a.int_or("axis", 0)?,
            attributes: list("split")?,
            parts: a.int("num_outputs")?,
            outputs: a.outputs,
        },
    }))
}

impl Movement {
    /// Returns the constant border of a `Pad` node that fills with one value: extents before and after each
    /// axis, and the value.
    pub fn constant_border(&self, inputs: Facts<'_>) -> Option<(Vec<i64>, Vec<i64>, f32)> {
        let Movement::Pad { mode: PadMode::Constant, .. } = self else { return None };
        let (pads, value) = self.border(inputs).ok()?;
        let (before, after) = pads.split_at(pads.len() / 2);
        Some((before.to_vec(), after.to_vec(), value))
    }

    fn border(&self, inputs: Facts<'_>) -> Result<(Vec<i64>, f32), OpError> {
        let Movement::Pad { attributes, .. } = self else { return Err("not a Pad".into()) };
        let rank = inputs.shape(0)?.len();
        let (pads, value) = match attributes {
            Some((pads, value)) => (pads.clone(), *value),
            None => {
                let pads = inputs.ints(1)?.ok_or("the pads are missing")?;
                let value = match inputs.constant(2)? {
                    Some(t) if t.len() == 1 => t.operand()?[0],
                    _ => 0.0,
                };
                (pads.to_vec(), value)
            }
        };
        let pads = match inputs.ints(3)? {
            None => pads,
            Some(axes) if pads.len() == 2 * axes.len() => {
                let mut full = vec![0; 2 * rank];
                for (i, &a) in axes.iter().enumerate() {
                    let a = axis(a, rank)?;
                    (full[a], full[rank + a]) = (pads[i], pads[axes.len() + i]);
                }
                full
            }
            Some(_) => return Err("the pads do not match the axes".into()),
        };
        if pads.len() == 2 * rank { Ok((pads, value)) } else { Err("the pads do not match the rank".into()) }
    }

    /// Returns, for output number `which`, the input position of every element.
    fn origin(&self, inputs: Facts<'_>, which: usize) -> Result<Origin, OpError> {
        let x = inputs.shape(0)?;
        let mut origin = Origin::whole(x);
        let axes = &mut origin.axes;
        match self {
            Movement::Slice { attributes } => {
                let (starts, ends, given, step) = match attributes {
                    Some(r) => (r.starts.as_slice(), r.ends.as_slice(), r.axes.as_deref(), None),
                    None => (
                        inputs.ints(1)?.ok_or("the starts are missing")?,
                        inputs.ints(2)?.ok_or("the ends are missing")?,
                        inputs.ints(3)?,
                        inputs.ints(4)?,
                    ),
                };
                if starts.len() != ends.len() || given.is_some_and(|g| g.len() != starts.len()) {
                    return Err("starts, ends and axes differ in length".into());
                }
                for i in 0..starts.len() {
                    let at = axis(given.map_or(i as i64, |g| g[i]), x.len())?;
                    let step = step.and_then(|s| s.get(i)).copied().unwrap_or(1);
                    axes[at].positions = range(starts[i], ends[i], step, x[at])?.map(Some).collect();
                }
            }
            Movement::Transpose(order) => {
                let order = order.clone().unwrap_or_else(|| (0..x.len()).rev().collect());
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if sorted != (0..x.len()).collect::<Vec<_>>() {
                    return Err(OpError::Refused(format!("perm {order:?} does not order {} axes", x.len())));
                }
                *axes = order.into_iter().map(|i| Walked::whole(i, x[i])).collect();
            }
            Movement::Expand => {
                let wanted = sizes(inputs.ints(1)?.ok_or("the shape is missing")?)?;
                let shape = broadcast(x, &wanted)?;
                check_volume(&shape)?;
                let lead = shape.len() - x.len();
                *axes = (0..shape.len())
                    .map(|i| match i.checked_sub(lead) {
                        Some(k) if x[k] == shape[i] => Walked::whole(k, x[k]),
                        axis => Walked { axis, positions: vec![Some(0); shape[i]] },
                    })
                    .collect();
            }
            Movement::Tile => {
                let repeats = sizes(inputs.ints(1)?.ok_or("the repeats are missing")?)?;
                if repeats.len() != x.len() {
                    return Err("the repeats do not match the rank".into());
                }
                check_volume(&x.iter().zip(&repeats).map(|(n, r)| n.saturating_mul(*r)).collect::<Vec<_>>())?;
                axes.iter_mut().zip(repeats).for_each(|(a, n)| a.positions = a.positions.repeat(n));
            }
            Movement::Gather { axis: at } => {
                let at = axis(*at, x.len())?;
                let indices = inputs.need_constant(1)?;
                let picked = indices
                    .as_ints()?
                    .iter()
                    .map(|&k| axis(k, x[at]).map(Some))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|_| OpError::Refused(format!("an index is outside axis {at} of {x:?}")))?;
                // An index tensor of another rank than 1 only changes the shape, which `shape_of` does.
                axes[at].positions = picked;
            }
            Movement::Pad { mode, .. } => {
                let (pads, value) = self.border(inputs)?;
                for i in 0..x.len() {
                    let (before, after) = (pads[i], pads[x.len() + i]);
                    let n = x[i] as i64;
                    let sane = |p: i64| p.unsigned_abs() <= MAX_EXTENT as u64;
                    if !sane(before) || !sane(after) || n + before + after < 0 {
                        return Err(OpError::Refused(format!("pads {pads:?} do not fit {x:?}")));
                    }
                    axes[i].positions =
                        (-before..n + after).map(|k| border_index(*mode, k, n)).collect::<Result<_, _>>()?;
                }
                origin.fill = value;
            }
            Movement::Split { axis: at, attributes, parts, outputs } => {
                let at = axis(*at, x.len())?;
                let extents = match (attributes.as_deref().or(inputs.ints(1)?), parts) {
                    // The list has extents of one axis. It is no shape, so their product is not checked.
                    (Some(given), _) => given
                        .iter()
                        .map(|&n| usize::try_from(n).ok().filter(|&n| n <= x[at]))
                        .collect::<Option<Vec<_>>>()
                        .ok_or_else(|| OpError::Refused(format!("parts {given:?} of axis {at} of {x:?}")))?,
                    (None, Some(n)) if *outputs > 0 && usize::try_from(*n).is_ok_and(|n| n > *outputs) => {
                        return Err(OpError::Refused(format!("num_outputs = {n} for {outputs} results")));
                    }
                    (None, Some(n)) if *n > 0 => {
                        let size = x[at].div_ceil(*n as usize);
                        (0..*n as usize).map(|i| size.min(x[at].saturating_sub(i * size))).collect()
                    }
                    _ if *outputs > 0 && x[at].is_multiple_of(*outputs) => vec![x[at] / outputs; *outputs],
                    _ => return Err("the extents of the parts are missing".into()),
                };
                if extents.iter().sum::<usize>() != x[at] || which >= extents.len() {
                    return Err(OpError::Refused(format!("parts {extents:?} of axis {at} of {x:?}")));
                }
                let start: usize = extents[..which].iter().sum();
                axes[at].positions = (start..start + extents[which]).map(Some).collect();
            }
        }
        Ok(origin)
    }

    /// Returns a `Gather` whose indices are computed from the data, and its shape.
    fn lookup(&self, inputs: Facts<'_>) -> Result<Option<(Lookup, Vec<usize>)>, OpError> {
        let Movement::Gather { axis: at } = self else { return Ok(None) };
        let (x, indices) = (inputs.shape(0)?, inputs.need(1)?);
        if indices.value.is_some() {
            return Ok(None);
        }
        let at = axis(*at, x.len())?;
        let mut shape = x.to_vec();
        shape.splice(at..=at, indices.shape.iter().copied());
        check_volume(&shape)?;
        Ok(Some((Lookup::slices(x, at, indices)?, shape)))
    }

    /// Returns the output's shape. It differs from the shape of the index map only for `Gather` with indices
    /// of another rank than 1.
    fn shape_of(&self, inputs: Facts<'_>, origin: &Origin) -> Result<Vec<usize>, OpError> {
        let Movement::Gather { axis: at } = self else { return Ok(origin.shape()) };
        let mut shape = origin.shape();
        let at = axis(*at, shape.len())?;
        shape.splice(at..=at, inputs.shape(1)?.iter().copied());
        Ok(shape)
    }

    fn outputs(&self, inputs: Facts<'_>) -> Result<usize, OpError> {
        Ok(match self {
            Movement::Split { attributes: Some(v), .. } => v.len(),
            Movement::Split { parts: Some(n), .. } => usize::try_from(*n).unwrap_or(0),
            Movement::Split { outputs, .. } => inputs.ints(1)?.map_or(*outputs, <[i64]>::len),
            _ => 1,
        })
    }
}

/// Returns the indices of a slice, clamped as in numpy.
fn range(start: i64, end: i64, step: i64, n: usize) -> Result<Box<dyn Iterator<Item = usize>>, OpError> {
    let n = n as i64;
    let wrap = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let step_size = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    match step {
        0 => Err("a slice with step 0".into()),
        1.. => Ok(Box::new(
            (wrap(start).clamp(0, n) as usize..wrap(end).clamp(0, n) as usize).step_by(step_size),
        )),
        _ => {
            let (first, last) = (wrap(start).clamp(-1, n - 1), wrap(end).clamp(-1, n - 1));
            Ok(Box::new((last + 1..=first).rev().step_by(step_size).map(|i| i as usize)))
        }
    }
}

fn border_index(mode: PadMode, k: i64, n: i64) -> Result<Option<usize>, OpError> {
    if (0..n).contains(&k) {
        return Ok(Some(k as usize));
    }
    if mode != PadMode::Constant && n == 0 {
        return Err("an empty axis has no border".into());
    }
    Ok(match mode {
        PadMode::Constant => None,
        PadMode::Edge => Some(k.clamp(0, n - 1) as usize),
        PadMode::Wrap => Some(k.rem_euclid(n) as usize),
        PadMode::Reflect if n == 1 => Some(0),
        PadMode::Reflect => {
            let k = k.rem_euclid(2 * (n - 1));
            Some(k.min(2 * (n - 1) - k) as usize)
        }
    })
}

/// Whether at most one axis after the batch moves among the others, as channels do between layouts. The order
/// of spatial axes is then kept.
fn moves_one_axis(order: &[usize]) -> bool {
    order.first() == Some(&0)
        && (1..order.len()).any(|moved| {
            let mut rest = order.iter().filter(|&&axis| axis != moved);
            let mut last = 0;
            rest.all(|&axis| std::mem::replace(&mut last, axis) <= axis)
        })
}

impl Operator for Movement {
    fn op_type(&self) -> &str {
        match self {
            Movement::Slice { .. } => "Slice",
            Movement::Transpose(_) => "Transpose",
            Movement::Expand => "Expand",
            Movement::Tile => "Tile",
            Movement::Gather { .. } => "Gather",
            Movement::Pad { .. } => "Pad",
            Movement::Split { .. } => "Split",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let dtype = inputs.need(0)?.dtype;
        if let Some((_, shape)) = self.lookup(inputs)? {
            return Ok(vec![Fact { dtype, shape, value: None }]);
        }
        (0..self.outputs(inputs)?)
            .map(|i| {
                let origin = self.origin(inputs, i)?;
                Ok(Fact { dtype, shape: self.shape_of(inputs, &origin)?, value: None })
            })
            .collect()
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let x = inputs.need_constant(0)?;
        (0..self.outputs(inputs)?)
            .map(|i| {
                let origin = self.origin(inputs, i)?;
                let shape = self.shape_of(inputs, &origin)?;
                Ok(x.rearranged(&shape, |k| origin.of(k), f64::from(origin.fill)))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        // On the batch axis a border would depend on the extent, which changes with the number of entries.
        let none = |pads: &[i64]| pads.first() == Some(&0) && pads.get(pads.len() / 2) == Some(&0);
        let bordered = matches!(self, Movement::Pad { .. })
            && !self.border(site.inputs).is_ok_and(|(pads, _)| none(&pads));
        let stays = |origin: Origin| {
            let entries = origin.input.first().map_or(0..0, |&n| 0..n);
            let walks = |walked: &Walked| {
                walked.axis == Some(0) && walked.positions.iter().copied().eq(entries.map(Some))
            };
            origin.axes.first().is_some_and(walks)
        };
        !bordered
            && batch_independence::alone(site.inputs)
            && self.origin(site.inputs, site.output_index).is_ok_and(stays)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        if let Some((lookup, _)) = self.lookup(site.inputs)? {
            return Ok(Built::new(lookup, 2));
        }
        Ok(Built::new(self.origin(site.inputs, site.output_index)?.kernel(site.gradients), 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match self {
            Movement::Transpose(Some(order)) if moves_one_axis(order) => Reach::Point,
            Movement::Transpose(_) => Reach::Regroup,
            Movement::Tile => Reach::Whole,
            Movement::Gather { .. } => {
                // An index tensor of another rank than 1 moves the later axes.
                let row = inputs.get(1).is_some_and(|fact| fact.value.is_some() && fact.shape.len() == 1);
                let origin = self.origin(inputs, 0).ok().filter(|_| row);
                origin.map_or(Reach::Whole, |origin| origin.reach())
            }
            _ if inputs.shape(0).is_err() => Reach::Whole,
            _ => Reach::Point,
        }
    }

    fn reach_of(&self, inputs: Facts<'_>, _operand: usize, index: usize) -> Reach {
        match self {
            Movement::Slice { .. } | Movement::Pad { .. } | Movement::Split { .. } => {
                self.origin(inputs, index).map_or(Reach::Whole, |origin| origin.reach())
            }
            _ => self.reach(inputs),
        }
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, index: usize) -> Option<Axes> {
        let inputs = sources.facts;
        if let Movement::Gather { axis: at } = self {
            let at = axis(*at, sources.shape(0).len()).ok()?;
            if sources.is_constant(0) {
                // The data is a table of learned vectors: each index becomes a vector.
                let mut axes = sources.get(1)?.clone();
                let inner = output.shape.get(axes.0.len()..)?;
                let table = at == 0 && inner.len() == 1;
                axes.0.extend(inner.iter().map(|&n| vec![Part::new(Kind::Channel, n)]));
                return table.then_some(axes);
            }
            let indices = inputs.need(1).ok()?;
            if indices.value.is_some() && indices.shape.is_empty() {
                return Some(sources.get(0)?.without(at));
            }
            if indices.value.is_none() {
                let mut axes = sources.get(0)?.clone();
                axes.0.splice(at..=at, indices.shape.iter().map(|&n| vec![Part::new(Kind::Other, n)]));
                return Some(axes);
            }
            // Indices of another rank select the same elements as a list of indices, under another shape.
            return Some(self.origin(inputs, index).ok()?.axes_of(sources.get(0)?)?.regrouped(&output.shape));
        }
        self.origin(inputs, index).ok()?.axes_of(sources.get(0)?)
    }

    fn picks_elements(&self) -> bool {
        matches!(
            self,
            Movement::Gather { .. }
                | Movement::Slice { .. }
                | Movement::Split { .. }
                | Movement::Transpose(_)
        )
    }

    fn keeps_numbers(&self) -> bool {
        matches!(self, Movement::Transpose(_))
    }

    fn permutation(&self) -> Option<&[usize]> {
        match self {
            Movement::Transpose(order) => order.as_deref(),
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
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, ints};

    #[test]
    fn gradients_agree_with_differences() {
        let x = || data(&[2, 3, 4]);
        Case::new("Slice", vec![x(), ints(&[1, -1]), ints(&[3, i64::MIN]), ints(&[1, 2]), ints(&[1, -2])])
            .check();
        Case::new("Slice", vec![x()])
            .opset(9)
            .attribute("starts", Attribute::Ints(vec![0, 1]))
            .attribute("ends", Attribute::Ints(vec![1, 99]))
            .check();
        Case::new("Transpose", vec![x()]).check();
        Case::new("Transpose", vec![x()]).attribute("perm", Attribute::Ints(vec![1, 0, 2])).check();
        Case::new("Expand", vec![data(&[3, 1]), ints(&[2, 1, 4])]).check();
        Case::new("Tile", vec![x(), ints(&[1, 2, 3])]).check();
        Case::new("Gather", vec![x(), ints(&[2, 0, -1])]).attribute("axis", Attribute::Int(1)).check();
        for mode in ["constant", "edge", "reflect", "wrap"] {
            Case::new("Pad", vec![x(), ints(&[0, 1, 2, 1, 2, -1])])
                .attribute("mode", Attribute::Text(mode.into()))
                .check();
        }
        for output in 0..2 {
            Case::new("Split", vec![x(), ints(&[1, 3])])
                .attribute("axis", Attribute::Int(-1))
                .output(output)
                .check();
        }
        let wide = Case::new("Split", vec![data(&[4 * 104]), ints(&[104; 4])]);
        wide.output(2).check();
    }

    #[test]
    fn slices_clamp_as_numpy_does() {
        let all = |s, e, step, n| range(s, e, step, n).unwrap().collect::<Vec<_>>();
        assert_eq!(all(-3, i64::MAX, 1, 5), [2, 3, 4]);
        assert_eq!(all(-1, i64::MIN, -2, 5), [4, 2, 0]);
        assert_eq!(all(9, 0, -1, 3), [2, 1]);
        assert!(all(3, 1, 1, 5).is_empty());
        assert!(range(0, 1, 0, 3).is_err());
    }
}
