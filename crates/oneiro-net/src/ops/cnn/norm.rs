//! Normalization by statistics of the data itself: `InstanceNormalization`, `GroupNormalization`,
//! `LayerNormalization`, `RMSNormalization`.
//!
//! All four operators work on contiguous rows: y = (x − mean)/√(var + ε)·scale + bias. `RMSNormalization`
//! sets the mean to 0. With x̂ the normalized row and g = dy·scale, dx = (g − mean(g) − x̂·mean(g·x̂))/√(var
//! + ε).

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Kind, Part, Sources};
use crate::error::OpError;
use crate::ops::Normalization;
use crate::ops::array::broadcast::{Walk, broadcast};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis,
    batch_independence,
};
use crate::tensor::volume;

/// Which elements form a row, and which share a scale and a bias.
#[derive(Debug, Clone)]
enum Rows {
    /// A row is one channel of one batch entry; scale and bias are per channel.
    Instance,
    /// A row is a group of channels of one batch entry. Scale and bias are per channel, or per group before
    /// operator set 21.
    Group { groups: usize, per_group: bool },
    /// A row has all axes from this one on; scale and bias have the row's shape.
    From { axis: i64, centred: bool },
}

/// Normalizations by statistics of the data. Their inputs are X, a scale and an optional bias.
#[derive(Debug, Clone)]
pub struct Norm {
    rows: Rows,
    epsilon: f32,
}

/// Reads the attributes of a normalization's node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.int_or("stash_type", 1)? != 1 {
        return Err("stash_type other than 1 (computing in f32) is not supported".into());
    }
    let rows = match op_type {
        "InstanceNormalization" => Rows::Instance,
        "GroupNormalization" => Rows::Group {
            groups: usize::try_from(a.int("num_groups")?.unwrap_or(0))
                .ok()
                .filter(|&g| g > 0)
                .ok_or("attribute \"num_groups\" should be at least 1")?,
            per_group: a.opset < 21,
        },
        other => Rows::From { axis: a.int_or("axis", -1)?, centred: other == "LayerNormalization" },
    };
    Ok(Arc::new(Norm { rows, epsilon: a.float_or("epsilon", 1e-5)? }))
}

impl Norm {
    /// Returns the number of elements in a row, the number of consecutive elements that share a scale, and
    /// the number of scales.
    fn layout(&self, x: &[usize]) -> Result<(usize, usize, usize), OpError> {
        if let Rows::From { axis: at, .. } = self.rows {
            let n = volume(&x[axis(at, x.len())?..]);
            return Ok((n, 1, n));
        }
        let &[_, channels, ..] = x else {
            return Err(OpError::Refused(format!("input {x:?} has no channel axis")));
        };
        let plane = volume(&x[2..]);
        match self.rows {
            Rows::Group { groups, .. } if channels % groups != 0 => {
                Err(OpError::Refused(format!("{channels} channels do not split into {groups} groups")))
            }
            Rows::Group { groups, .. } => Ok((channels / groups * plane, plane, channels)),
            _ => Ok((plane, plane, channels)),
        }
    }

    fn centred(&self) -> bool {
        !matches!(self.rows, Rows::From { centred: false, .. })
    }

    /// Returns scale or bias: one number for each stretch of elements that share it.
    fn parameter(&self, inputs: Facts<'_>, i: usize, default: f32) -> Result<Vec<f32>, OpError> {
        let x = inputs.shape(0)?;
        let (_, _, count) = self.layout(x)?;
        let Some(t) = inputs.constant(i)? else { return Ok(vec![default; count]) };
        let data = t.as_floats()?;
        let misfit = || OpError::Refused(format!("input {i} of shape {:?} does not fit {x:?}", t.shape()));
        match self.rows {
            Rows::From { axis: at, .. } => {
                let row = &x[axis(at, x.len())?..];
                if broadcast(row, t.shape())? != row {
                    return Err(misfit());
                }
                let walk = Walk::new(row, [t.shape(), t.shape()]);
                Ok((0..count).map(|k| data[walk.offsets(k)[0]]).collect())
            }
            Rows::Group { groups, per_group: true } if data.len() == groups => {
                Ok((0..count).map(|c| data[c / (count / groups)]).collect())
            }
            Rows::Group { per_group: true, .. } => Err(misfit()),
            _ if data.len() == count => Ok(data.into_owned()),
            _ => Err(misfit()),
        }
    }
}

impl Operator for Norm {
    fn op_type(&self) -> &str {
        match self.rows {
            Rows::Instance => "InstanceNormalization",
            Rows::Group { .. } => "GroupNormalization",
            Rows::From { centred: true, .. } => "LayerNormalization",
            Rows::From { .. } => "RMSNormalization",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.shape(0)?;
        self.layout(x)?;
        let mut facts = vec![Fact::float(x)];
        if let Rows::From { axis: at, centred: true } = self.rows {
            let at = axis(at, x.len())?;
            let statistics: Vec<usize> = (0..x.len()).map(|i| if i < at { x[i] } else { 1 }).collect();
            facts.extend([Fact::float(statistics.clone()), Fact::float(statistics)]);
        }
        Ok(facts)
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        let within = match self.rows {
            Rows::From { axis: at, .. } => batch_independence::within(at, site),
            Rows::Instance | Rows::Group { .. } => true,
        };
        within && batch_independence::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let (row, run, _) = self.layout(site.inputs.shape(0)?)?;
        let epsilon = f64::from(self.epsilon);
        if site.output_index > 0 {
            return Ok(Built::new(Moment { row, epsilon, mean: site.output_index == 1 }, 1));
        }
        let scale = self.parameter(site.inputs, 1, 1.0)?;
        let bias = self.parameter(site.inputs, 2, 0.0)?;
        Ok(Built::new(Standardize { row, run, epsilon, centred: self.centred(), scale, bias }, 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match self.rows {
            // With fewer than four axes, the last axis holds the channels of one position, so no positions
            // are mixed.
            Rows::From { axis: at, .. } => match inputs.shape(0).map(|x| (x.len(), axis(at, x.len()))) {
                Ok((rank, Ok(at))) if rank < 4 && at + 1 == rank => Reach::Point,
                _ => Reach::Whole,
            },
            _ => Reach::Whole,
        }
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, index: usize) -> Option<Axes> {
        let Rows::From { axis: at, .. } = self.rows else {
            return sources.kept_or_channels_first(&output.shape);
        };
        let rank = sources.shape(0).len();
        let at = axis(at, rank).ok()?;
        if index > 0 {
            return sources.reduced(&(at..rank).collect::<Vec<_>>(), true);
        }
        let mut axes = match sources.get(0) {
            Some(axes) => axes.clone(),
            None if sources.shape(0).first() == Some(&sources.batch) => Axes::batch_only(sources.shape(0)),
            None => return None,
        };
        // If values are normalised along an axis with a scale for each index, that axis holds features.
        if at + 1 == rank && axes.channel().is_none() && axes.0[at].iter().all(|p| p.kind == Kind::Other) {
            axes.0[at] = vec![Part::new(Kind::Channel, *sources.shape(0).last()?)];
        }
        Some(axes)
    }

    fn mixes_along(&self, inputs: Facts<'_>) -> Vec<usize> {
        match (&self.rows, inputs.shape(0)) {
            (Rows::From { axis: at, .. }, Ok(x)) => (axis(*at, x.len()).unwrap_or(0)..x.len()).collect(),
            (Rows::Instance, Ok(x)) => (2..x.len()).collect(),
            (Rows::Group { .. }, Ok(x)) => (1..x.len()).collect(),
            _ => Vec::new(),
        }
    }

    fn normalization(&self) -> Option<Normalization> {
        Some(match self.rows {
            Rows::Instance => Normalization::Instance,
            Rows::Group { .. } => Normalization::Group,
            Rows::From { centred: true, .. } => Normalization::Layer,
            Rows::From { .. } => Normalization::RootMeanSquare,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Number of partial sums of a row. At the end the upper half is added to the lower half, repeatedly.
const LANES: usize = 8;

/// Sums term(k) in f64. The order of the sum depends on n alone.
fn sum(n: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0f64; LANES];
    let whole = n - n % LANES;
    for k in (0..whole).step_by(LANES) {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += term(k + l);
        }
    }
    (whole..n).for_each(|k| lanes[k - whole] += term(k));
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Returns mean and 1/√(var + ε) of a row, in f64.
fn moments(x: &[f32], centred: bool, epsilon: f64) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = if centred { sum(x.len(), |k| f64::from(x[k])) / n } else { 0.0 };
    let variance = sum(x.len(), |k| (f64::from(x[k]) - mean).powi(2)) / n;
    (mean, (variance + epsilon).sqrt().recip())
}

#[derive(Debug)]
struct Standardize {
    row: usize,
    run: usize,
    epsilon: f64,
    centred: bool,
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Standardize {
    /// Calls `visit(range, scales)` for the parts of a row. A part has a scale for each element, or one for
    /// all of them.
    fn parts(&self, row: usize, len: usize, mut visit: impl FnMut(std::ops::Range<usize>, usize, bool)) {
        if self.run == 1 {
            return visit(0..len, row * self.row % self.scale.len(), true);
        }
        for start in (0..len).step_by(self.run) {
            let owner = (row * self.row + start) / self.run % self.scale.len();
            visit(start..len.min(start + self.run), owner, false);
        }
    }
}

impl Kernel for Standardize {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        let n = self.row.max(1);
        y.par_chunks_mut(n).zip(x.par_chunks(n)).enumerate().for_each(|(row, (y, x))| {
            let (mean, factor) = moments(x, self.centred, self.epsilon);
            let normal = |x: f32| ((f64::from(x) - mean) * factor) as f32;
            self.parts(row, x.len(), |range, first, each| {
                let (scale, bias) = (&self.scale[first..], &self.bias[first..]);
                let elements = y[range.clone()].iter_mut().zip(&x[range]);
                if each {
                    for ((y, x), (scale, bias)) in elements.zip(scale.iter().zip(bias)) {
                        *y = normal(*x) * scale + bias;
                    }
                } else {
                    elements.for_each(|(y, x)| *y = normal(*x) * scale[0] + bias[0]);
                }
            });
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        let n = self.row.max(1);
        dx.par_chunks_mut(n).zip(x.par_chunks(n)).zip(dy.par_chunks(n)).enumerate().for_each(
            |(row, ((dx, x), dy))| {
                let (mean, factor) = moments(x, self.centred, self.epsilon);
                let normal = |k: usize| (f64::from(x[k]) - mean) * factor;
                // Σ g and Σ g·x̂, where g = dy·scale and x̂ is the normalized row.
                let (mut shift, mut pull) = (0.0, 0.0);
                self.parts(row, x.len(), |range, first, each| {
                    let scale = &self.scale[first..];
                    let g = |k: usize| {
                        f64::from(dy[range.start + k]) * f64::from(scale[if each { k } else { 0 }])
                    };
                    shift += sum(range.len(), g);
                    pull += sum(range.len(), |k| g(k) * normal(range.start + k));
                });
                let count = x.len() as f64;
                let (shift, pull) = (if self.centred { shift / count } else { 0.0 }, pull / count);
                self.parts(row, x.len(), |range, first, each| {
                    let scale = &self.scale[first..];
                    for k in range.clone() {
                        let scale = f64::from(scale[if each { k - range.start } else { 0 }]);
                        let d = ((f64::from(dy[k]) * scale - shift - normal(k) * pull) * factor) as f32;
                        dx[k] = if accumulate { dx[k] + d } else { d };
                    }
                });
            },
        );
    }
}

/// The second or third result of `LayerNormalization`: mean or 1/√(var + ε) of every row.
#[derive(Debug)]
struct Moment {
    row: usize,
    epsilon: f64,
    mean: bool,
}

impl Kernel for Moment {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        for (y, x) in y.iter_mut().zip(x.chunks(self.row.max(1))) {
            let (mean, factor) = moments(x, true, self.epsilon);
            *y = if self.mean { mean } else { factor } as f32;
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        let n = self.row.max(1);
        for ((dx, x), dy) in dx.chunks_mut(n).zip(x.chunks(n)).zip(dy) {
            let (mean, factor) = moments(x, true, self.epsilon);
            for (dx, x) in dx.iter_mut().zip(x) {
                let slope = if self.mean { 1.0 } else { -factor.powi(3) * (f64::from(*x) - mean) };
                let d = dy * (slope / n as f64) as f32;
                *dx = if accumulate { *dx + d } else { d };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, constant_data, data};

    #[test]
    fn gradients_agree_with_differences() {
        let epsilon = || Attribute::Float(1e-2);
        Case::new(
            "InstanceNormalization",
            vec![data(&[2, 3, 4, 5]), constant_data(&[3]), constant_data(&[3])],
        )
        .attribute("epsilon", epsilon())
        .check();
        for (opset, count) in [(18, 2), (21, 4)] {
            let parameter = || constant_data(&[count]);
            Case::new("GroupNormalization", vec![data(&[2, 4, 3, 3]), parameter(), parameter()])
                .opset(opset)
                .attribute("num_groups", Attribute::Int(2))
                .check();
        }
        for op in ["LayerNormalization", "RMSNormalization"] {
            Case::new(op, vec![data(&[2, 3, 5]), constant_data(&[5])]).check();
            Case::new(op, vec![data(&[2, 3, 5]), constant_data(&[3, 1])])
                .attribute("axis", Attribute::Int(1))
                .check();
        }
        for output in [1, 2] {
            Case::new("LayerNormalization", vec![data(&[2, 3, 5]), constant_data(&[5])])
                .output(output)
                .check();
        }
    }
}
