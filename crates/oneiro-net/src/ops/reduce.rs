//! `ReduceMean` and `ReduceSum` over any axes.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::OpError;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis};
use crate::tensor::volume;

/// The operator.
#[derive(Debug, Clone)]
pub struct Reduce {
    mean: bool,
    axes: Option<Vec<i64>>,
    keep: bool,
    noop_if_empty: bool,
}

/// Reads the attributes.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(Reduce {
        mean: op_type == "ReduceMean",
        axes: a.ints("axes")?.map(<[i64]>::to_vec),
        keep: a.int_or("keepdims", 1)? != 0,
        noop_if_empty: a.int_or("noop_with_empty_axes", 0)? != 0,
    }))
}

impl Reduce {
    /// `GlobalAveragePool`: the mean over the spatial axes.
    pub fn spatial_mean(rank: usize) -> Self {
        Self { mean: true, axes: Some((2..rank as i64).collect()), keep: true, noop_if_empty: true }
    }

    fn axes(&self, inputs: Facts<'_>) -> Result<Vec<usize>, OpError> {
        let rank = inputs.shape(0)?.len();
        let given = self.axes.as_deref().or(inputs.ints(1)?).unwrap_or(&[]);
        if given.is_empty() && !self.noop_if_empty {
            return Ok((0..rank).collect());
        }
        given.iter().map(|&a| axis(a, rank)).collect()
    }
}

impl Operator for Reduce {
    fn op_type(&self) -> &str {
        if self.mean { "ReduceMean" } else { "ReduceSum" }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, axes) = (inputs.shape(0)?, self.axes(inputs)?);
        let shape: Vec<usize> = (0..x.len())
            .filter(|i| self.keep || !axes.contains(i))
            .map(|i| if axes.contains(&i) { 1 } else { x[i] })
            .collect();
        Ok(vec![Fact::float(shape)])
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let (x, axes) = (site.inputs.shape(0)?, self.axes(site.inputs)?);
        let mut kernel = Sums { kept: vec![], reduced: vec![], factor: 1.0 };
        for i in 0..x.len() {
            let axis = (x[i], volume(&x[i + 1..]));
            let list = if axes.contains(&i) { &mut kernel.reduced } else { &mut kernel.kept };
            match list.last_mut() {
                // Neighbours merge into one longer axis.
                Some((n, step)) if *step == axis.0 * axis.1 => (*n, *step) = (*n * axis.0, axis.1),
                _ => list.push(axis),
            }
        }
        if self.mean {
            kernel.factor = 1.0 / axes.iter().map(|&i| x[i]).product::<usize>().max(1) as f32;
        }
        Ok(Built::new(kernel, 1))
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        let spatial = self.axes(inputs).is_ok_and(|axes| axes.iter().any(|&i| i >= 2));
        if spatial { Reach::Whole } else { Reach::Point }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Sums over some axes, given as (extent, step in the input).
#[derive(Debug)]
struct Sums {
    kept: Vec<(usize, usize)>,
    reduced: Vec<(usize, usize)>,
    factor: f32,
}

fn offset(axes: &[(usize, usize)], mut index: usize) -> usize {
    let mut at = 0;
    for &(n, step) in axes.iter().rev() {
        at += index % n * step;
        index /= n;
    }
    at
}

impl Sums {
    fn each_reduced(&self, base: usize, mut visit: impl FnMut(usize)) {
        let (outer, (n, step)) = match self.reduced.split_last() {
            None => (&[][..], (1, 0)),
            Some((last, outer)) => (outer, *last),
        };
        for i in 0..outer.iter().map(|a| a.0).product::<usize>() {
            let start = base + offset(outer, i);
            (0..n).for_each(|k| visit(start + k * step));
        }
    }
}

impl Kernel for Sums {
    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        y.par_iter_mut().enumerate().for_each(|(i, y)| {
            let mut sum = 0f64;
            self.each_reduced(offset(&self.kept, i), |at| sum += f64::from(x[at]));
            *y = (sum * f64::from(self.factor)) as f32;
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        if !accumulate {
            dx.fill(0.0);
        }
        for (i, dy) in dy.iter().enumerate() {
            self.each_reduced(offset(&self.kept, i), |at| dx[at] += dy * self.factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for axes in [vec![2, 3], vec![1], vec![-1], vec![0, 2], vec![0, 1, 2, 3]] {
            for op in ["ReduceMean", "ReduceSum"] {
                for keep in [0, 1] {
                    Case::new(op, vec![data(&[2, 3, 4, 5])])
                        .opset(12)
                        .attribute("axes", Attribute::Ints(axes.clone()))
                        .attribute("keepdims", Attribute::Int(keep))
                        .check();
                }
            }
        }
    }
}
