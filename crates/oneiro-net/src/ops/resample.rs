//! Linear maps that are a product of one sparse matrix an axis: `Resize`, `Upsample`, `CumSum`.
//!
//! Each axis says, for every index of the output, which indices of the input it sums with which weights (its taps).

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::OpError;
use crate::ops::resize::Resize;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis};
use crate::tensor::{DType, Tensor, volume};

/// Elements that the taps of a running sum may take.
const MAX_TAPS: usize = 1 << 22;

/// Taps of one output index: (input index, weight). `None` marks an index outside everything, which gets the fill
/// value.
pub type Taps = Option<Vec<(usize, f32)>>;

/// A linear map, one list of taps an axis; `None` keeps the axis as it is.
#[derive(Debug)]
pub struct Resampling {
    /// Taps of every output index of every axis.
    pub axes: Vec<Option<Vec<Taps>>>,
    /// What an output outside gets.
    pub fill: f32,
}

/// The operators.
#[derive(Debug, Clone)]
pub enum Resample {
    /// `Resize` and `Upsample`.
    Resize(Resize),
    /// Running sums along the axis that input 1 names.
    CumSum {
        /// Whether an element counts not for its own sum.
        exclusive: bool,
        /// Whether sums run from the end.
        reverse: bool,
    },
}

/// Reads the attributes.
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
                    return Err(OpError(format!("axis {at} of {x:?} is too long for running sums")));
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
        for plane in x.chunks(kernel.plane_in.max(1)) {
            for i in 0..kernel.plane_out {
                let mut sum = 0i64;
                kernel.visit(i, |at, _| sum = sum.wrapping_add(plane[at]));
                out.push(sum);
            }
        }
        Ok(Some(vec![Tensor::ints(inputs.shape(0)?, out)]))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::new(Kron::new(site.inputs.shape(0)?, self.map(site.inputs)?), 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match self {
            // Neighbours of the same place in the picture; positions scale with the map.
            Resample::Resize(_) => Reach::Regroup,
            Resample::CumSum { .. } if inputs.shape(0).is_ok_and(|x| x.len() > 2) => Reach::Whole,
            Resample::CumSum { .. } => Reach::Point,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The map on planes: leading axes that stay as they are only repeat it.
#[derive(Debug)]
struct Kron {
    /// For each axis of a plane, the taps of every output index, offsets already multiplied by the axis' step.
    axes: Vec<Vec<Taps>>,
    plane_in: usize,
    plane_out: usize,
    fill: f32,
}

impl Kron {
    fn new(x: &[usize], map: Resampling) -> Self {
        let first = map.axes.iter().position(Option::is_some).unwrap_or(x.len());
        let mut axes = Vec::new();
        for (i, taps) in map.axes.into_iter().enumerate().skip(first) {
            let step = volume(&x[i + 1..]);
            let taps = taps.unwrap_or_else(|| (0..x[i]).map(|k| Some(vec![(k, 1.0)])).collect());
            let scale = |t: Vec<(usize, f32)>| t.into_iter().map(|(k, w)| (k * step, w)).collect();
            axes.push(taps.into_iter().map(|t| t.map(scale)).collect::<Vec<Taps>>());
        }
        let plane_out = axes.iter().map(Vec::len).product();
        Self { axes, plane_in: volume(&x[first..]), plane_out, fill: map.fill }
    }

    /// Visits what output `index` of a plane is made of; false if it lies outside.
    fn visit(&self, mut index: usize, mut f: impl FnMut(usize, f32)) -> bool {
        let mut inside = true;
        let mut terms = [(0usize, 1.0f32); 1].to_vec();
        for axis in self.axes.iter().rev() {
            let taps = &axis[index % axis.len()];
            index /= axis.len();
            match taps.as_deref() {
                None => inside = false,
                Some([(at, w)]) => terms.iter_mut().for_each(|t| *t = (t.0 + at, t.1 * w)),
                Some(taps) => {
                    terms = taps
                        .iter()
                        .flat_map(|&(at, w)| terms.iter().map(move |t| (t.0 + at, t.1 * w)))
                        .collect();
                }
            }
        }
        if inside {
            terms.into_iter().for_each(|(at, w)| f(at, w));
        }
        inside
    }
}

impl Kernel for Kron {
    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        let planes = x.par_chunks(self.plane_in.max(1));
        y.par_chunks_mut(self.plane_out.max(1)).zip(planes).for_each(|(y, x)| {
            for (i, y) in y.iter_mut().enumerate() {
                let mut sum = 0.0;
                *y = if self.visit(i, |at, w| sum += w * x[at]) { sum } else { self.fill };
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
            for (i, dy) in dy.iter().enumerate() {
                self.visit(i, |at, w| dx[at] += w * dy);
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
