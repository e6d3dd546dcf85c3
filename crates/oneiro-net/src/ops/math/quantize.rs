//! `QuantizeLinear` and `DequantizeLinear`: convert between real numbers and the integers of a quantized
//! model.
//!
//! q = clamp(round(x/scale) + zero point), x = (q − zero point)·scale. There is one scale for all elements,
//! one for each slice along an axis, or one for each block along an axis. Both operators are exact for
//! constants (weights). Values that depend on the network's inputs are not rounded, because a rounded value
//! has no gradient. For them, q is a real number that is clamped to the range of its integer type. This clamp
//! often takes the place of a ReLU. Reading such a file adds a note that says so (`format::onnx`).

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::Bounds;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site, axis, batch_independence,
};
use crate::tensor::{DType, Tensor, volume};

/// Codes of element types in ONNX's `TensorProto.DataType`.
const UINT8: i64 = 2;
/// Integer types to which numbers are quantized: (code in `TensorProto.DataType`, bits, signed).
const TYPES: [(i64, u32, bool); 7] = [
    (UINT8, 8, false),
    (3, 8, true),
    (4, 16, false),
    (5, 16, true),
    (6, 32, true),
    (21, 4, false),
    (22, 4, true),
];

/// Which elements share a scale and a zero point.
#[derive(Debug, Clone)]
struct Grid {
    axis: i64,
    block: usize,
}

/// `QuantizeLinear` and `DequantizeLinear`.
#[derive(Debug, Clone)]
enum Quantization {
    /// `QuantizeLinear`: to integers between these two bounds.
    To(Grid, [i64; 2]),
    /// `DequantizeLinear`: integers back to real numbers.
    From(Grid),
}

/// Reads the attributes of a `QuantizeLinear` or `DequantizeLinear` node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let block =
        usize::try_from(a.int_or("block_size", 0)?).map_err(|_| OpError::from("negative block_size"))?;
    let grid = Grid { axis: a.int_or("axis", 1)?, block };
    if op_type == "DequantizeLinear" {
        return Ok(Arc::new(Quantization::From(grid)));
    }
    let kind = a.int("output_dtype")?.filter(|&k| k != 0).unwrap_or(UINT8);
    let (_, bits, signed) = *TYPES
        .iter()
        .find(|(number, ..)| *number == kind)
        .ok_or("it quantizes to an element type that is not supported (not an integer of at most 32 bits)")?;
    let range = if signed { [-(1 << (bits - 1)), (1 << (bits - 1)) - 1] } else { [0, (1 << bits) - 1] };
    Ok(Arc::new(Quantization::To(grid, range)))
}

/// Scale and zero point for each element of a shape.
struct Scales {
    scales: Vec<f32>,
    zeros: Vec<i64>,
    /// Elements after the axis, extent of the axis, and number of scales along it.
    inner: usize,
    extent: usize,
    along: usize,
    block: usize,
}

impl Scales {
    fn of(&self, element: usize) -> usize {
        match (self.scales.len(), self.block) {
            (1, _) => 0,
            (_, 0) => element / self.inner % self.extent,
            (_, block) => {
                let (outer, along) = (element / self.inner / self.extent, element / self.inner % self.extent);
                (outer * self.along + along / block) * self.inner + element % self.inner
            }
        }
    }
}

impl Grid {
    fn scales(&self, inputs: Facts<'_>) -> Result<Scales, OpError> {
        let (x, scale) = (inputs.shape(0)?, inputs.need_constant(1)?);
        let zero = match inputs.constant(2)? {
            None => None,
            Some(zero) if zero.dtype() == DType::Int => Some(zero.as_ints()?),
            Some(_) => return Err("the zero point should be an integer".into()),
        };
        let s = scale.shape();
        let at = if scale.len() == 1 { 0 } else { axis(self.axis, x.len())? };
        let fits = scale.len() == 1
            || (self.block == 0 && s.len() == 1 && s[0] == x[at])
            || (self.block > 0
                && s.len() == x.len()
                && (0..x.len()).all(|i| s[i] == if i == at { x[i].div_ceil(self.block) } else { x[i] }));
        // A single scale may come with a zero point for every slice.
        let zeros_fit = |n: usize| {
            n == scale.len()
                || n == 1
                || (scale.len() == 1 && axis(self.axis, x.len()).is_ok_and(|a| x[a] == n))
        };
        if !fits || zero.is_some_and(|z| !zeros_fit(z.len())) {
            return Err(OpError::Refused(format!("scales of shape {s:?} do not fit {x:?}")));
        }
        let zero = zero.unwrap_or(&[0]);
        if scale.is_empty() || zero.is_empty() {
            return Err("there is no scale, or no zero point".into());
        }
        let count = scale.len().max(zero.len());
        let at = if count == 1 { 0 } else { axis(self.axis, x.len())? };
        let scales = scale.as_floats()?;
        let one_of = |i: usize, n: usize| if n == 1 { 0 } else { i };
        Ok(Scales {
            scales: (0..count).map(|i| scales[one_of(i, scales.len())]).collect(),
            zeros: (0..count).map(|i| zero[one_of(i, zero.len())]).collect(),
            inner: if x.is_empty() { 1 } else { volume(&x[at + 1..]).max(1) },
            extent: x.get(at).copied().unwrap_or(1).max(1),
            along: s.get(at).copied().unwrap_or(1),
            block: if scale.len() == 1 { 0 } else { self.block },
        })
    }
}

impl Quantization {
    fn grid(&self) -> &Grid {
        match self {
            Quantization::To(grid, _) | Quantization::From(grid) => grid,
        }
    }
}

/// Returns the clamp that remains of a quantization followed by a dequantization, if both use the same single
/// scale.
pub fn clamp_of_pair(
    to: &dyn Operator,
    to_inputs: Facts<'_>,
    from: &dyn Operator,
    from_inputs: Facts<'_>,
) -> Option<Bounds> {
    let of = |op: &dyn Operator| op.as_any().downcast_ref::<Quantization>().cloned();
    let (Quantization::To(grid, range), Quantization::From(back)) = (of(to)?, of(from)?) else { return None };
    let (a, b) = (grid.scales(to_inputs).ok()?, back.scales(from_inputs).ok()?);
    let one = a.scales.len() == 1 && a.scales[0].is_finite() && a.scales[0] > 0.0;
    if !one || a.scales != b.scales || a.zeros != b.zeros {
        return None;
    }
    let bound = |q: i64| q.saturating_sub(a.zeros[0]) as f32 * a.scales[0];
    let low = bound(range[0]);
    // If the range starts at zero, the quantizer may have replaced a ReLU, so rules for gradients of ReLUs
    // apply.
    Some(Bounds { low, high: bound(range[1]), saturates: low != 0.0 })
}

impl Operator for Quantization {
    fn op_type(&self) -> &str {
        match self {
            Quantization::To(..) => "QuantizeLinear",
            Quantization::From(_) => "DequantizeLinear",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.need(0)?;
        let constant = x.value.is_some();
        let dtype = match self {
            Quantization::To(..) if x.dtype != DType::Float => {
                return Err("it quantizes real numbers only".into());
            }
            Quantization::From(_) if constant && x.dtype != DType::Int => {
                return Err("the quantized values should be integers".into());
            }
            Quantization::To(..) if constant => DType::Int,
            _ => DType::Float,
        };
        Ok(vec![Fact { dtype, shape: x.shape.clone(), value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let (x, scales) = (inputs.need_constant(0)?, self.grid().scales(inputs)?);
        Ok(Some(vec![match self {
            Quantization::From(_) => {
                let value = |(i, &q): (usize, &i64)| {
                    let k = scales.of(i);
                    q.wrapping_sub(scales.zeros[k]) as f32 * scales.scales[k]
                };
                Tensor::floats(x.shape(), x.as_ints()?.iter().enumerate().map(value).collect())
            }
            Quantization::To(_, [low, high]) => {
                let value = |(i, &x): (usize, &f32)| {
                    let k = scales.of(i);
                    let rounded = (x / scales.scales[k]).round_ties_even() as i64;
                    rounded.saturating_add(scales.zeros[k]).clamp(*low, *high)
                };
                Tensor::ints(x.shape(), x.as_floats()?.iter().enumerate().map(value).collect())
            }
        }]))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        let one = (1..3).filter_map(|i| site.inputs.get(i)).all(|fact| fact.len() == 1);
        batch_independence::alone(site.inputs) && (one || batch_independence::within(self.grid().axis, site))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let scales = self.grid().scales(site.inputs)?;
        if scales.block > 0 && scales.scales.len() > 1 {
            return Err("scales of blocks are supported for constants only".into());
        }
        let range = match self {
            Quantization::To(_, [low, high]) => Some([*low as f32, *high as f32]),
            Quantization::From(_) => None,
        };
        Ok(Built::new(Scale { scales, range }, 1))
    }

    fn axes(&self, sources: &Sources<'_>, _output: &Fact, _index: usize) -> Option<Axes> {
        sources.get(0).cloned()
    }

    fn keeps_numbers(&self) -> bool {
        true
    }

    fn decodes_integers(&self) -> bool {
        matches!(self, Quantization::From(_))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Computes y = clamp(x/s + z) to a range, or y = (x − z)·s if there is no range.
struct Scale {
    scales: Scales,
    range: Option<[f32; 2]>,
}

impl std::fmt::Debug for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scale({} scales, range {:?})", self.scales.scales.len(), self.range)
    }
}

impl Kernel for Scale {
    fn backward_reads_output(&self) -> bool {
        self.range.is_some()
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
            let k = self.scales.of(i);
            let (scale, zero) = (self.scales.scales[k], self.scales.zeros[k] as f32);
            *y = match self.range {
                Some([low, high]) => (x / scale + zero).max(low).min(high),
                None => (x - zero) * scale,
            };
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let clamped;
        let (y, dy, dx) = match self.range {
            Some(_) => {
                clamped = io.io_output();
                (Some(clamped.0), clamped.1, clamped.2)
            }
            None => {
                let (dy, dx) = io.io();
                (None, dy, dx)
            }
        };
        for (i, (dx, dy)) in dx.iter_mut().zip(dy).enumerate() {
            let scale = self.scales.scales[self.scales.of(i)];
            let d = match (self.range, y) {
                (Some([low, high]), Some(y)) if y[i] > low && y[i] < high => dy / scale,
                (Some(_), _) => 0.0,
                (None, _) => dy * scale,
            };
            *dx = if accumulate { *dx + d } else { d };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;
    use crate::ops::build;
    use crate::ops::testing::{Case, constant, data, ints};

    fn folded(op: &str, x: Tensor, axis: i64) -> Tensor {
        let attributes = Attributes::new(13, vec![("axis", Attribute::Int(axis))]);
        let facts = [
            Fact::constant(x),
            Fact::constant(Tensor::floats(&[2], vec![0.5, 2.0])),
            Fact::constant(Tensor::ints(&[2], vec![0, 1])),
        ];
        let refs: Vec<Option<&Fact>> = facts.iter().map(Some).collect();
        build(op, &attributes).evaluate(Facts(&refs)).unwrap().unwrap().remove(0)
    }

    #[test]
    fn weights_with_one_scale_a_filter_are_dequantized() {
        let out = folded("DequantizeLinear", Tensor::ints(&[2, 2], vec![1, 2, 3, 4]), 0);
        assert_eq!(out.as_floats().unwrap().as_ref(), &[0.5, 1.0, 4.0, 6.0]);
    }

    #[test]
    fn one_scale_with_a_zero_point_for_each_slice_has_no_blocks() {
        let attributes =
            Attributes::new(21, vec![("axis", Attribute::Int(0)), ("block_size", Attribute::Int(2))]);
        let facts = [
            Fact::constant(Tensor::ints(&[4, 2], vec![5; 8])),
            Fact::constant(Tensor::floats(&[], vec![0.5])),
            Fact::constant(Tensor::ints(&[4], vec![1, 2, 3, 4])),
        ];
        let refs: Vec<Option<&Fact>> = facts.iter().map(Some).collect();
        let out = build("DequantizeLinear", &attributes).evaluate(Facts(&refs)).unwrap().unwrap().remove(0);
        assert_eq!(out.as_floats().unwrap().as_ref(), &[2.0, 2.0, 1.5, 1.5, 1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn constants_are_rounded_to_even_and_saturate() {
        let out = folded("QuantizeLinear", Tensor::floats(&[2, 2], vec![0.25, 0.75, -7.0, 600.0]), 0);
        assert_eq!(out.as_ints().unwrap(), &[0, 2, 0, 255]);
    }

    #[test]
    fn gradients_agree_with_differences() {
        for op in ["QuantizeLinear", "DequantizeLinear"] {
            let scale = constant(&[3], vec![0.01, 0.5, 2.0]);
            Case::new(op, vec![data(&[2, 3, 4]), scale, ints(&[128, 100, 2])]).check();
        }
    }
}
