//! Linear maps that are a product of one sparse matrix for each axis: `Resize`, `Upsample`, `CumSum`.
//!
//! For every output index along an axis, its taps are the input indices that are summed, with their weights.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::cnn::resize::Resize;
use crate::ops::cnn::taps::{Resampling, Taps};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis,
    batch_independence,
};
use crate::reads::Reads;
use crate::tensor::{DType, Tensor, volume};

/// Most taps of a `CumSum`, which are pairs of an input and an output index.
const MAX_TAPS: usize = 1 << 22;

/// ONNX operators that are linear maps along each axis.
#[derive(Debug, Clone)]
pub enum Resample {
    /// `Resize` and `Upsample`: interpolate between samples.
    Resize(Resize),
    /// Running sums along the axis that input 1 names.
    CumSum {
        /// Whether an element is excluded from its own sum.
        exclusive: bool,
        /// Whether sums run from the end of the axis.
        reverse: bool,
    },
}

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(match op_type {
        "CumSum" => Resample::CumSum {
            exclusive: a.int_or("exclusive", 0)? != 0,
            reverse: a.int_or("reverse", 0)? != 0,
        },
        _ => Resample::Resize(Resize::read(op_type, a)?),
    }))
}

impl Resample {
    fn map(&self, inputs: Facts<'_>) -> Result<Resampling, OpError> {
        let x = inputs.shape(0)?;
        match self {
            Resample::Resize(resize) => resize.map(inputs),
            Resample::CumSum { exclusive, reverse } => {
                let at = inputs.ints(1)?.and_then(|v| v.first()).ok_or("the axis is missing")?;
                let at = axis(*at, x.len())?;
                let n = x[at];
                if n.checked_mul(n).is_none_or(|n| n > MAX_TAPS) {
                    return Err(OpError::Refused(format!("axis {at} of {x:?} is too long for running sums")));
                }
                let skip = usize::from(*exclusive);
                let sum = |k: usize| {
                    let range = if *reverse { k + skip..n } else { 0..k + 1 - skip };
                    Some(range.map(|i| (i, 1.0)).collect())
                };
                let mut axes: Vec<Option<Vec<Taps>>> = x.iter().map(|_| None).collect();
                axes[at] = Some((0..n).map(sum).collect());
                Ok(Resampling { axes, fill: 0.0 })
            }
        }
    }
}

impl Resample {
    /// Returns the positions that are read along resized axes: the taps whose weight is not zero.
    fn stretched(&self, inputs: Facts<'_>) -> Option<Vec<(usize, Reads)>> {
        let (map, x) = (self.map(inputs).ok()?, inputs.shape(0).ok()?);
        let ends = |taps: &Taps| {
            let mut at = taps.iter().flatten().filter(|(_, weight)| *weight != 0.0).map(|(at, _)| *at);
            let first = at.next()?;
            Some((first, at.next_back().unwrap_or(first)))
        };
        let axes = map.axes.iter().enumerate().filter_map(|(at, taps)| Some((at, taps.as_ref()?)));
        axes.map(|(at, taps)| {
            let ends: Vec<_> = taps.iter().map(ends).collect();
            Some((at, Reads::stretched(&ends, x[at])?))
        })
        .collect()
    }
}

impl Operator for Resample {
    fn op_type(&self) -> &str {
        match self {
            Resample::Resize(r) => r.op_type(),
            Resample::CumSum { .. } => "CumSum",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.need(0)?;
        let map = self.map(inputs)?;
        let extent = |(n, taps): (&usize, &Option<Vec<Taps>>)| taps.as_ref().map_or(*n, Vec::len);
        let shape: Vec<usize> = x.shape.iter().zip(&map.axes).map(extent).collect();
        Ok(vec![Fact { dtype: x.dtype, shape, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let x = inputs.need_constant(0)?;
        let (Resample::CumSum { .. }, DType::Int) = (self, x.dtype()) else { return Ok(None) };
        let kernel = Kron::new(x.shape(), self.map(inputs)?);
        let x = x.as_ints()?;
        let mut out = Vec::with_capacity(x.len());
        let mut terms = Vec::new();
        for plane in x.chunks(kernel.plane_in.max(1)) {
            for i in 0..kernel.plane_out {
                kernel.row(i / kernel.width(), &mut terms);
                let taps = kernel.inner.taps(i % kernel.width()).unwrap_or_default();
                let pairs = taps.iter().flat_map(|(at, _)| terms.iter().map(move |(from, _)| from + at));
                out.push(pairs.fold(0i64, |sum, at| sum.wrapping_add(plane[at])));
            }
        }
        Ok(Some(vec![Tensor::ints(inputs.shape(0)?, out)]))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        let keeps = |map: Resampling| map.axes.first().is_some_and(Option::is_none);
        batch_independence::alone(site.inputs) && self.map(site.inputs).is_ok_and(keeps)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::new(Kron::new(site.inputs.shape(0)?, self.map(site.inputs)?), 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match self {
            Resample::Resize(_) => self.stretched(inputs).map_or(Reach::Whole, Reach::Axes),
            Resample::CumSum { .. } if inputs.shape(0).is_ok_and(|x| x.len() > 2) => Reach::Whole,
            Resample::CumSum { .. } => Reach::Point,
        }
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        match self {
            Resample::Resize(_) => Some(sources.resized(&output.shape)),
            Resample::CumSum { .. } => sources.get(0).cloned(),
        }
    }

    fn mixes_along(&self, inputs: Facts<'_>) -> Vec<usize> {
        let (Resample::CumSum { .. }, Ok(x)) = (self, inputs.shape(0)) else { return Vec::new() };
        let at = inputs.ints(1).ok().flatten().and_then(|v| axis(*v.first()?, x.len()).ok());
        at.map_or_else(|| (0..x.len()).collect(), |at| vec![at])
    }

    fn states_shape_only(&self, whole: &[i64], part: &[i64]) -> bool {
        // If all extents are given, only axis 0 may differ between the whole batch and a part.
        self.op_type() == "Resize" && whole.len() > 2 && whole.len() == part.len() && whole[1..] == part[1..]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The taps of every index of an axis, one index after the other. An index outside the input has none.
#[derive(Debug)]
struct Axis {
    /// For every index, where its taps begin, and whether it is inside the input. The last entry is the end.
    starts: Vec<(usize, bool)>,
    /// Offset in the plane, and weight, of each tap.
    taps: Vec<(usize, f32)>,
}

impl Axis {
    fn new(taps: Vec<Taps>, step: usize) -> Self {
        let mut axis = Self { starts: Vec::with_capacity(taps.len() + 1), taps: Vec::new() };
        for taps in taps {
            axis.starts.push((axis.taps.len(), taps.is_some()));
            axis.taps.extend(taps.into_iter().flatten().map(|(k, w)| (k * step, w)));
        }
        axis.starts.push((axis.taps.len(), true));
        axis
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the taps of an index, or `None` outside the input.
    fn taps(&self, k: usize) -> Option<&[(usize, f32)]> {
        self.starts[k].1.then(|| &self.taps[self.starts[k].0..self.starts[k + 1].0])
    }
}

/// The map on one plane. Leading axes that stay unchanged only repeat it.
#[derive(Debug)]
struct Kron {
    outer: Vec<Axis>,
    inner: Axis,
    plane_in: usize,
    plane_out: usize,
    fill: f32,
}

impl Kron {
    fn new(x: &[usize], map: Resampling) -> Self {
        let first = map.axes.iter().position(Option::is_some).unwrap_or(x.len());
        let mut outer = Vec::new();
        for (i, taps) in map.axes.into_iter().enumerate().skip(first) {
            let taps = taps.unwrap_or_else(|| (0..x[i]).map(|k| Some(vec![(k, 1.0)])).collect());
            outer.push(Axis::new(taps, volume(&x[i + 1..])));
        }
        let plane_out = outer.iter().map(Axis::len).product();
        let inner = outer.pop().unwrap_or_else(|| Axis::new(vec![Some(vec![(0, 1.0)])], 1));
        Self { outer, inner, plane_in: volume(&x[first..]), plane_out, fill: map.fill }
    }

    /// Collects the offsets and weights that all elements of output row `row` have in common. Returns whether
    /// the row is inside the input.
    fn row(&self, mut row: usize, terms: &mut Vec<(usize, f32)>) -> bool {
        terms.clear();
        terms.push((0, 1.0));
        for axis in self.outer.iter().rev() {
            let Some(taps) = axis.taps(row % axis.len()) else { return false };
            row /= axis.len();
            match taps {
                [(at, w)] => terms.iter_mut().for_each(|t| *t = (t.0 + at, t.1 * w)),
                taps => {
                    let all = taps.iter().flat_map(|&(at, w)| terms.iter().map(move |t| (t.0 + at, t.1 * w)));
                    *terms = all.collect();
                }
            }
        }
        true
    }

    /// Number of elements in a row of the output.
    fn width(&self) -> usize {
        self.inner.len().max(1)
    }
}

impl Kernel for Kron {
    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        let planes = x.par_chunks(self.plane_in.max(1));
        y.par_chunks_mut(self.plane_out.max(1)).zip(planes).for_each(|(y, x)| {
            let mut terms = Vec::new();
            for (row, y) in y.chunks_mut(self.width()).enumerate() {
                if !self.row(row, &mut terms) {
                    y.fill(self.fill);
                    continue;
                }
                for (k, y) in y.iter_mut().enumerate() {
                    let Some(taps) = self.inner.taps(k) else {
                        *y = self.fill;
                        continue;
                    };
                    let mut sum = 0.0;
                    for (from, weight) in &terms {
                        for (at, w) in taps {
                            sum += weight * w * x[from + at];
                        }
                    }
                    *y = sum;
                }
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        if !accumulate {
            dx.fill(0.0);
        }
        let planes = dy.par_chunks(self.plane_out.max(1));
        dx.par_chunks_mut(self.plane_in.max(1)).zip(planes).for_each(|(dx, dy)| {
            let mut terms = Vec::new();
            for (row, dy) in dy.chunks(self.width()).enumerate() {
                if !self.row(row, &mut terms) {
                    continue;
                }
                for (k, dy) in dy.iter().enumerate() {
                    for (at, w) in self.inner.taps(k).unwrap_or_default() {
                        for (from, weight) in &terms {
                            dx[from + at] += weight * w * dy;
                        }
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, constant, data, ints};

    #[test]
    fn gradients_agree_with_differences() {
        let text = |s: &str| Attribute::Text(s.into());
        for mode in ["nearest", "linear", "cubic"] {
            for coordinates in
                ["half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric", "pytorch_half_pixel"]
            {
                for scales in [vec![1.0, 1.0, 2.0, 1.7], vec![1.0, 1.0, 0.6, 0.8]] {
                    for antialias in 0..=i64::from(mode != "nearest") {
                        Case::new(
                            "Resize",
                            vec![data(&[1, 2, 5, 4]), constant(&[0], vec![]), constant(&[4], scales.clone())],
                        )
                        .opset(19)
                        .attribute("mode", text(mode))
                        .attribute("antialias", Attribute::Int(antialias))
                        .attribute("coordinate_transformation_mode", text(coordinates))
                        .probes(20)
                        .check();
                    }
                }
            }
        }
        Case::new("Upsample", vec![data(&[1, 2, 3, 4]), constant(&[4], vec![1.0, 1.0, 2.0, 3.0])])
            .opset(9)
            .attribute("mode", text("linear"))
            .check();
        for (exclusive, reverse) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            Case::new("CumSum", vec![data(&[2, 3, 4]), ints(&[1])])
                .attribute("exclusive", Attribute::Int(exclusive))
                .attribute("reverse", Attribute::Int(reverse))
                .check();
        }
    }
}
