//! Reductions over any axes: sums, means, norms, products, extremes.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::blocked::{plane_of, rows_of};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis,
    batch_independence,
};
use crate::tensor::{DType, Tensor, volume};

mod blocked;

pub(crate) use blocked::Mean;

/// Fewest elements that one task of a reduction reads.
const CHUNK: usize = 1 << 12;

/// The function that reduces elements x to one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sum Σ x.
    Sum,
    /// The mean Σ x / n.
    Mean,
    /// The product Π x.
    Prod,
    /// The largest element. Equal maxima share the gradient, as in PyTorch's `amax`.
    Max,
    /// The smallest element.
    Min,
    /// The 1-norm Σ |x|.
    L1,
    /// The 2-norm √Σ x².
    L2,
    /// The logarithm of the sum, ln Σ x.
    LogSum,
    /// The logarithm of the sum of exponentials, ln Σ eˣ.
    LogSumExp,
    /// The sum of squares Σ x².
    SumSquare,
}

/// A reduction of ONNX, such as `ReduceMean`.
#[derive(Debug, Clone)]
pub struct Reduce {
    kind: Kind,
    axes: Option<Vec<i64>>,
    keep: bool,
    noop_if_empty: bool,
}

/// Reads the attributes of a reduction's node.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let kind = match op_type {
        "ReduceSum" => Kind::Sum,
        "ReduceMean" => Kind::Mean,
        "ReduceProd" => Kind::Prod,
        "ReduceMax" => Kind::Max,
        "ReduceMin" => Kind::Min,
        "ReduceL1" => Kind::L1,
        "ReduceL2" => Kind::L2,
        "ReduceLogSum" => Kind::LogSum,
        "ReduceLogSumExp" => Kind::LogSumExp,
        "ReduceSumSquare" => Kind::SumSquare,
        other => return Err(OpError::Refused(format!("\"{other}\" is no reduction"))),
    };
    Ok(Arc::new(Reduce {
        kind,
        axes: a.ints("axes")?.map(<[i64]>::to_vec),
        keep: a.int_or("keepdims", 1)? != 0,
        noop_if_empty: a.int_or("noop_with_empty_axes", 0)? != 0,
    }))
}

impl Reduce {
    /// Creates a reduction over these axes, which stay with extent 1.
    pub fn over(kind: Kind, axes: impl IntoIterator<Item = usize>) -> Self {
        let axes = axes.into_iter().map(|a| a as i64).collect();
        Self { kind, axes: Some(axes), keep: true, noop_if_empty: true }
    }

    fn axes(&self, inputs: Facts<'_>) -> Result<Vec<usize>, OpError> {
        let rank = inputs.shape(0)?.len();
        let given = self.axes.as_deref().or(inputs.ints(1)?).unwrap_or(&[]);
        if given.is_empty() && !self.noop_if_empty {
            return Ok((0..rank).collect());
        }
        given.iter().map(|&a| axis(a, rank)).collect()
    }

    fn groups(&self, inputs: Facts<'_>) -> Result<Groups, OpError> {
        let (x, axes) = (inputs.shape(0)?, self.axes(inputs)?);
        let mut groups = Groups { kept: vec![], reduced: vec![] };
        for i in 0..x.len() {
            let axis = (x[i], volume(&x[i + 1..]));
            let list = if axes.contains(&i) { &mut groups.reduced } else { &mut groups.kept };
            match list.last_mut() {
                // Neighbouring axes are merged into one longer axis.
                Some((n, step)) if *step == axis.0 * axis.1 => (*n, *step) = (*n * axis.0, axis.1),
                _ => list.push(axis),
            }
        }
        Ok(groups)
    }
}

impl Operator for Reduce {
    fn op_type(&self) -> &str {
        match self.kind {
            Kind::Sum => "ReduceSum",
            Kind::Mean => "ReduceMean",
            Kind::Prod => "ReduceProd",
            Kind::Max => "ReduceMax",
            Kind::Min => "ReduceMin",
            Kind::L1 => "ReduceL1",
            Kind::L2 => "ReduceL2",
            Kind::LogSum => "ReduceLogSum",
            Kind::LogSumExp => "ReduceLogSumExp",
            Kind::SumSquare => "ReduceSumSquare",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, axes) = (inputs.shape(0)?, self.axes(inputs)?);
        let shape: Vec<usize> = (0..x.len())
            .filter(|i| self.keep || !axes.contains(i))
            .map(|i| if axes.contains(&i) { 1 } else { x[i] })
            .collect();
        Ok(vec![Fact { dtype: inputs.need(0)?.dtype, shape, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let x = inputs.need_constant(0)?;
        if x.dtype() != DType::Int {
            return Ok(None);
        }
        let (x, groups) = (x.as_ints()?, self.groups(inputs)?);
        let shape = self.infer(inputs)?.remove(0).shape;
        let one = |i: usize| -> Result<i64, OpError> {
            let mut group = Vec::new();
            groups.each(offset(&groups.kept, i), |at| group.push(x[at]));
            let empty = || OpError::Refused("an empty set has no extreme".into());
            Ok(match self.kind {
                Kind::Sum => group.iter().fold(0, |s: i64, &v| s.wrapping_add(v)),
                Kind::Prod => group.iter().fold(1, |s: i64, &v| s.wrapping_mul(v)),
                Kind::Max => group.into_iter().max().ok_or_else(empty)?,
                Kind::Min => group.into_iter().min().ok_or_else(empty)?,
                _ => return Err("its form for integers is not supported".into()),
            })
        };
        let out = (0..volume(&shape)).map(one).collect::<Result<_, _>>()?;
        Ok(Some(vec![Tensor::ints(&shape, out)]))
    }

    /// The mean over all positions, if their axes stay with extent 1.
    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        let input = site.inputs.need(0)?;
        let spatial: Vec<usize> = (2..input.shape.len()).collect();
        let mut axes = self.axes(site.inputs)?;
        axes.sort_unstable();
        if self.kind != Kind::Mean || !self.keep || axes != spatial {
            return Ok(None);
        }
        Ok(Some(Built::new(Mean::new(site, rows_of(input), plane_of(input)), 1)))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs) && self.axes(site.inputs).is_ok_and(|axes| !axes.contains(&0))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        if site.output.dtype == DType::Bool && !matches!(self.kind, Kind::Max | Kind::Min) {
            return Err("truth values have no sum".into());
        }
        Ok(Built::new(Reduction { kind: self.kind, groups: self.groups(site.inputs)? }, 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        let spatial = self.axes(inputs).is_ok_and(|axes| axes.iter().any(|&i| i >= 2));
        if spatial { Reach::Whole } else { Reach::Point }
    }

    fn axes(&self, sources: &Sources<'_>, _output: &Fact, _index: usize) -> Option<Axes> {
        sources.reduced(&Reduce::axes(self, sources.facts).ok()?, self.keep)
    }

    fn reduces_axes(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The elements that are reduced together: axes as (extent, step in the input).
#[derive(Debug)]
struct Groups {
    kept: Vec<(usize, usize)>,
    reduced: Vec<(usize, usize)>,
}

fn offset(axes: &[(usize, usize)], mut index: usize) -> usize {
    let mut at = 0;
    for &(n, step) in axes.iter().rev() {
        at += index % n * step;
        index /= n;
    }
    at
}

impl Groups {
    /// Calls `visit` for the elements of the group that starts at `base`, in a fixed order.
    fn each(&self, base: usize, mut visit: impl FnMut(usize)) {
        let (outer, (n, step)) = match self.reduced.split_last() {
            None => (&[][..], (1, 0)),
            Some((last, outer)) => (outer, *last),
        };
        for i in 0..outer.iter().map(|a| a.0).product::<usize>() {
            let start = base + offset(outer, i);
            (0..n).for_each(|k| visit(start + k * step));
        }
    }

    /// Folds the elements of one group, of which `base` is the first.
    #[inline]
    fn fold(&self, x: &[f32], base: usize, start: f64, f: impl Fn(f64, f64) -> f64) -> f64 {
        let mut sum = start;
        match self.reduced.as_slice() {
            [(n, 1)] => x[base..base + n].iter().for_each(|x| sum = f(sum, f64::from(*x))),
            _ => self.each(base, |at| sum = f(sum, f64::from(x[at]))),
        }
        sum
    }

    /// Returns the number of elements of a group, if the groups are contiguous and follow each other.
    fn rows(&self) -> Option<usize> {
        match (self.kept.as_slice(), self.reduced.as_slice()) {
            ([(_, step)], [(n, 1)]) if step == n && *n > 0 => Some(*n),
            _ => None,
        }
    }

    fn size(&self) -> usize {
        self.reduced.iter().map(|a| a.0).product()
    }
}

#[derive(Debug)]
struct Reduction {
    kind: Kind,
    groups: Groups,
}

impl Reduction {
    fn linear(&self) -> bool {
        matches!(self.kind, Kind::Sum | Kind::Mean)
    }

    /// Returns the result of the group at `base`, in f64.
    fn value(&self, x: &[f32], base: usize) -> f64 {
        let groups = &self.groups;
        match self.kind {
            Kind::Sum => groups.fold(x, base, 0.0, |s, x| s + x),
            Kind::Mean => groups.fold(x, base, 0.0, |s, x| s + x) / self.groups.size() as f64,
            Kind::Prod => groups.fold(x, base, 1.0, |s, x| s * x),
            Kind::Max => {
                groups.fold(x, base, f64::NEG_INFINITY, |s, x| if x > s || x.is_nan() { x } else { s })
            }
            Kind::Min => groups.fold(x, base, f64::INFINITY, |s, x| if x < s || x.is_nan() { x } else { s }),
            Kind::L1 => groups.fold(x, base, 0.0, |s, x| s + x.abs()),
            Kind::L2 => groups.fold(x, base, 0.0, |s, x| s + x * x).sqrt(),
            Kind::LogSum => groups.fold(x, base, 0.0, |s, x| s + x).ln(),
            Kind::LogSumExp => {
                let max = groups.fold(x, base, f64::NEG_INFINITY, |s, x| s.max(x));
                if max.is_finite() {
                    max + groups.fold(x, base, 0.0, |s, x| s + (x - max).exp()).ln()
                } else {
                    max
                }
            }
            Kind::SumSquare => groups.fold(x, base, 0.0, |s, x| s + x * x),
        }
    }

    /// Returns the derivative of the group's result, as a function of each of its elements.
    fn slope(&self, x: &[f32], base: usize) -> impl Fn(f32) -> f32 + use<> {
        let kind = self.kind;
        let y = if self.linear() { 0.0 } else { self.value(x, base) };
        let n = self.groups.size() as f64;
        let (mut ties, mut zeros, mut nonzero) = (0u32, 0u32, 1f64);
        if matches!(kind, Kind::Max | Kind::Min | Kind::Prod) {
            self.groups.each(base, |at| {
                let x = f64::from(x[at]);
                ties += u32::from(x == y);
                if x == 0.0 { zeros += 1 } else { nonzero *= x }
            });
        }
        move |x| {
            let x = f64::from(x);
            (match kind {
                Kind::Sum => 1.0,
                Kind::Mean => 1.0 / n,
                Kind::Prod => match zeros {
                    0 => nonzero / x,
                    1 if x == 0.0 => nonzero,
                    _ => 0.0,
                },
                Kind::Max | Kind::Min => {
                    if x == y {
                        1.0 / f64::from(ties)
                    } else {
                        0.0
                    }
                }
                Kind::L1 => {
                    if x == 0.0 {
                        0.0
                    } else {
                        x.signum()
                    }
                }
                Kind::L2 => {
                    if y == 0.0 {
                        0.0
                    } else {
                        x / y
                    }
                }
                Kind::LogSum => (-y).exp(),
                Kind::LogSumExp => (x - y).exp(),
                Kind::SumSquare => 2.0 * x,
            }) as f32
        }
    }
}

impl Kernel for Reduction {
    fn backward_reads_inputs(&self) -> bool {
        !self.linear()
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        y.par_iter_mut().enumerate().for_each(|(i, y)| {
            *y = self.value(x, offset(&self.groups.kept, i)) as f32;
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let x: &[f32] = if self.linear() { &[] } else { io.operands[0].data(&io.reader) };
        let dy = io.reader.read(io.output_gradient);
        let dx = &mut *io.gradient;
        if !accumulate {
            dx.fill(0.0);
        }
        if let Some(n) = self.groups.rows() {
            dx.par_chunks_mut(n).zip(dy).enumerate().with_min_len(CHUNK.div_ceil(n)).for_each(
                |(i, (dx, dy))| {
                    let slope = self.slope(x, i * n);
                    let x = |k: usize| x.get(i * n + k).copied().unwrap_or(0.0);
                    dx.iter_mut().enumerate().for_each(|(k, dx)| *dx += dy * slope(x(k)));
                },
            );
            return;
        }
        for (i, dy) in dy.iter().enumerate() {
            let base = offset(&self.groups.kept, i);
            let slope = self.slope(x, base);
            self.groups.each(base, |at| dx[at] += dy * slope(x.get(at).copied().unwrap_or(0.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, positive, values};

    #[test]
    fn gradients_agree_with_differences() {
        for axes in [vec![2, 3], vec![1], vec![-1], vec![0, 2], vec![0, 1, 2, 3]] {
            for keep in [0, 1] {
                let check = |op, x| {
                    Case::new(op, vec![x])
                        .opset(12)
                        .attribute("axes", Attribute::Ints(axes.clone()))
                        .attribute("keepdims", Attribute::Int(keep))
                        .probes(40)
                        .check();
                };
                for op in ["Mean", "Sum", "Max", "Min", "L1", "L2", "LogSumExp", "SumSquare"] {
                    check(["Reduce", op].concat().leak(), data(&[2, 3, 4, 5]));
                }
                check("ReduceLogSum", positive(&[2, 3, 4, 5]));
            }
        }
        for x in [vec![0.5, 2.0, -1.5], vec![0.0, 2.0, -1.5], vec![0.0, 2.0, 0.0]] {
            Case::new("ReduceProd", vec![values(&[3], x)]).check();
        }
    }
}
