//! Positions of extremes: `ArgMax`, `ArgMin` and `TopK`; and `Hardmax`, which marks the maximum with 1.
//!
//! Positions are integers that change in jumps with the data. They are computed as whole numbers in f32 and
//! pass no gradient. The gradient of the values of `TopK` goes to the elements that were selected.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Kind, Part, Sources};
use crate::error::OpError;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis, exact_positions,
};
use crate::tensor::{DType, Tensor, volume};

/// ONNX operators that find the largest or smallest elements.
#[derive(Debug, Clone)]
enum Select {
    /// The position of the largest (or smallest) element along an axis. Of equal ones the first is taken, or
    /// the last if `last` is set.
    Arg { largest: bool, axis: i64, keep: bool, last: bool },
    /// The k largest (or smallest) along an axis, in order, with their positions.
    TopK { largest: bool, axis: i64, k: Option<i64> },
    /// 1 at the first maximum, else 0. Before operator set 13, the axes from `axis` on form one row.
    Hardmax { axis: i64, flattens: bool },
}

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(match op_type {
        "TopK" => Select::TopK {
            largest: a.int_or("largest", 1)? != 0,
            axis: a.int_or("axis", -1)?,
            k: a.int("k")?,
        },
        "Hardmax" => {
            let flattens = a.opset < 13;
            Select::Hardmax { axis: a.int_or("axis", if flattens { 1 } else { -1 })?, flattens }
        }
        _ => Select::Arg {
            largest: op_type == "ArgMax",
            axis: a.int_or("axis", 0)?,
            keep: a.int_or("keepdims", 1)? != 0,
            last: a.int_or("select_last_index", 0)? != 0,
        },
    }))
}

/// The rows along one axis of a tensor.
#[derive(Debug)]
struct Rows {
    n: usize,
    step: usize,
    count: usize,
}

impl Rows {
    fn new(x: &[usize], at: usize) -> Self {
        let (n, step) = (x[at], volume(&x[at + 1..]));
        Self { n, step, count: volume(&x[..at]) * step }
    }

    /// Returns the offset of element `k` of row `row`.
    fn at(&self, row: usize, k: usize) -> usize {
        (row / self.step * self.n + k) * self.step + row % self.step
    }
}

/// Returns the positions of a row, sorted with the wanted extreme first and equal elements by position. A NaN
/// is larger than all numbers, as in max-pooling.
fn ranking<T: PartialOrd>(n: usize, largest: bool, value: impl Fn(usize) -> T) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let is_nan = |value: &T| value.partial_cmp(value).is_none();
    order.sort_by(|&i, &j| {
        let (a, b) = (value(i), value(j));
        let order = a.partial_cmp(&b).unwrap_or_else(|| is_nan(&a).cmp(&is_nan(&b)));
        if largest { order.reverse() } else { order }
    });
    order
}

impl Select {
    fn axis(&self, x: &[usize]) -> Result<usize, OpError> {
        let (Select::Arg { axis: at, .. } | Select::TopK { axis: at, .. } | Select::Hardmax { axis: at, .. }) =
            self;
        axis(*at, x.len())
    }

    fn rows(&self, x: &[usize]) -> Result<Rows, OpError> {
        let at = self.axis(x)?;
        Ok(match self {
            Select::Hardmax { flattens: true, .. } => {
                Rows { n: volume(&x[at..]), step: 1, count: volume(&x[..at]) }
            }
            _ => Rows::new(x, at),
        })
    }

    fn k(&self, inputs: Facts<'_>, n: usize) -> Result<usize, OpError> {
        let Select::TopK { k, .. } = self else { return Ok(1) };
        let k = k.or(inputs.ints(1)?.and_then(|k| k.first().copied())).ok_or("k is missing")?;
        usize::try_from(k).ok().filter(|&k| k <= n).ok_or_else(|| OpError::Refused(format!("k = {k} of {n}")))
    }
}

impl Operator for Select {
    fn op_type(&self) -> &str {
        match self {
            Select::Arg { largest: true, .. } => "ArgMax",
            Select::Arg { .. } => "ArgMin",
            Select::TopK { .. } => "TopK",
            Select::Hardmax { .. } => "Hardmax",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.need(0)?;
        let at = self.axis(&x.shape)?;
        let mut shape = x.shape.clone();
        let positions = |shape: Vec<usize>| Fact { dtype: DType::Int, shape, value: None };
        Ok(match self {
            Select::Hardmax { .. } => vec![Fact { dtype: x.dtype, shape, value: None }],
            Select::Arg { .. } if shape[at] == 0 => return Err("an empty axis has no extreme".into()),
            Select::Arg { keep: true, .. } => {
                shape[at] = 1;
                vec![positions(shape)]
            }
            Select::Arg { .. } => {
                shape.remove(at);
                vec![positions(shape)]
            }
            Select::TopK { .. } => {
                shape[at] = self.k(inputs, shape[at])?;
                vec![Fact { dtype: x.dtype, shape: shape.clone(), value: None }, positions(shape)]
            }
        })
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let (Select::Arg { largest, .. } | Select::TopK { largest, .. }) = self else { return Ok(None) };
        let x = inputs.need_constant(0)?;
        let rows = self.rows(x.shape())?;
        let k = self.k(inputs, rows.n)?;
        let facts = self.infer(inputs)?;
        let ints = x.as_ints().ok();
        let floats = if ints.is_none() { x.operand()? } else { Arc::default() };
        let count = rows.count * k;
        let (mut sources, mut positions) = (vec![0; count], vec![0; count]);
        let out = Rows { n: k, step: rows.step, count: rows.count };
        for row in 0..rows.count {
            let mut order = match ints {
                Some(v) => ranking(rows.n, *largest, |i| v[rows.at(row, i)]),
                None => ranking(rows.n, *largest, |i| floats[rows.at(row, i)]),
            };
            if let (Select::Arg { last: true, .. }, Some(&best)) = (self, order.first()) {
                let equal = |i: usize| match ints {
                    Some(v) => v[rows.at(row, i)] == v[rows.at(row, best)],
                    None => floats[rows.at(row, i)] == floats[rows.at(row, best)],
                };
                order[0] = (0..rows.n).rev().find(|&i| equal(i)).unwrap_or(best);
            }
            for (i, &position) in order.iter().take(k).enumerate() {
                sources[out.at(row, i)] = rows.at(row, position);
                positions[out.at(row, i)] = position as i64;
            }
        }
        let last = facts.last().ok_or("no result")?;
        let positions = Tensor::ints(&last.shape, positions);
        Ok(Some(match self {
            Select::TopK { .. } => vec![x.rearranged(&facts[0].shape, |i| Some(sources[i]), 0.0), positions],
            _ => vec![positions],
        }))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let rows = self.rows(site.inputs.shape(0)?)?;
        exact_positions(rows.n)?;
        Ok(match self {
            Select::Hardmax { .. } => Built::new(Mark(rows), 1),
            Select::Arg { largest, last, .. } => {
                Built::new(Best { k: 1, rows, largest: *largest, last: *last, values: false }, 1)
            }
            Select::TopK { largest, .. } => {
                let (k, values) = (self.k(site.inputs, rows.n)?, site.output_index == 0);
                Built::new(Best { k, rows, largest: *largest, last: false, values }, 1)
            }
        })
    }

    fn carries_integers(&self) -> bool {
        true
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match inputs.shape(0).map(|x| self.axis(x)) {
            Ok(Ok(1)) if !matches!(self, Select::Hardmax { flattens: true, .. }) => Reach::Point,
            _ => Reach::Whole,
        }
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        let at = self.axis(sources.shape(0)).ok()?;
        match self {
            Select::Arg { keep, .. } => sources.reduced(&[at], *keep),
            Select::Hardmax { .. } => sources.get(0).cloned(),
            Select::TopK { .. } => {
                let mut axes = sources.get(0)?.clone();
                axes.0[at] = vec![Part::new(Kind::Other, output.shape[at])];
                Some(axes)
            }
        }
    }

    fn mixes_along(&self, inputs: Facts<'_>) -> Vec<usize> {
        let Ok(x) = inputs.shape(0) else { return Vec::new() };
        let at = self.axis(x).unwrap_or(0);
        match self {
            Select::Hardmax { flattens: true, .. } => (at..x.len()).collect(),
            _ => vec![at],
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The k wanted extremes of every row, or their positions.
#[derive(Debug)]
struct Best {
    rows: Rows,
    k: usize,
    largest: bool,
    last: bool,
    values: bool,
}

impl Best {
    /// Calls `visit(i, position)` for each wanted extreme of a row, whose element `k` is `value(k)`.
    fn each(&self, value: impl Fn(usize) -> f32, mut visit: impl FnMut(usize, usize)) {
        if self.k != 1 {
            ranking(self.rows.n, self.largest, value)
                .into_iter()
                .take(self.k)
                .enumerate()
                .for_each(|(i, position)| visit(i, position));
            return;
        }
        let better = |a: f32, b: f32| if self.largest { a > b } else { a < b };
        let best = (1..self.rows.n).fold(0, |best, k| {
            let (new, old) = (value(k), value(best));
            if better(new, old) || (self.last && new == old) { k } else { best }
        });
        if self.rows.n > 0 {
            visit(0, best);
        }
    }

    /// Returns the number of elements of a contiguous block of rows, in the operand and in the output.
    fn blocks(&self) -> (usize, usize) {
        ((self.rows.n * self.rows.step).max(1), (self.k * self.rows.step).max(1))
    }
}

impl Kernel for Best {
    /// The positions are saved for the gradient of the values.
    fn saved_words(&self) -> usize {
        if self.values { self.rows.count * self.k } else { 0 }
    }

    fn differentiable(&self, _operand: usize) -> bool {
        self.values
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let saved = std::mem::take(&mut io.saved);
        let (x, y) = io.io(0);
        let ((from, to), step) = (self.blocks(), self.rows.step);
        y.par_chunks_mut(to).zip(x.par_chunks(from)).for_each(|(y, x)| {
            for s in 0..step {
                self.each(
                    |k| x[k * step + s],
                    |i, position| {
                        y[i * step + s] = if self.values { x[position * step + s] } else { position as f32 };
                    },
                );
            }
        });
        if saved.is_empty() {
            return;
        }
        saved.par_chunks_mut(to).zip(x.par_chunks(from)).for_each(|(saved, x)| {
            for s in 0..step {
                self.each(|k| x[k * step + s], |i, position| saved[i * step + s] = position as u32);
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, saved) = (io.accumulate, io.saved);
        let (dy, dx) = io.io();
        if !accumulate {
            dx.fill(0.0);
        }
        let ((from, to), step) = (self.blocks(), self.rows.step);
        let parts = dy.par_chunks(to).zip(saved.par_chunks(to));
        dx.par_chunks_mut(from).zip(parts).for_each(|(dx, (dy, saved))| {
            for (i, (dy, position)) in dy.iter().zip(saved).enumerate() {
                dx[*position as usize * step + i % step] += dy;
            }
        });
    }
}

#[derive(Debug)]
struct Mark(Rows);

/// Number of rows that [`Mark`] processes together. Their elements stay in the first-level cache.
const SIDE_BY_SIDE: usize = 512;

impl Kernel for Mark {
    fn differentiable(&self, _operand: usize) -> bool {
        false
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        let Rows { n, step, .. } = self.0;
        let block = (n * step).max(1);
        // Many neighbouring rows are processed together, so that the loops vectorize.
        for (x, y) in x.chunks(block).zip(y.chunks_mut(block)) {
            for start in (0..step).step_by(SIDE_BY_SIDE) {
                let len = SIDE_BY_SIDE.min(step - start);
                let part = |k: usize| k * step + start..k * step + start + len;
                let (mut largest, mut best) = ([0.0; SIDE_BY_SIDE], [0u32; SIDE_BY_SIDE]);
                largest[..len].copy_from_slice(&x[part(0)]);
                for k in 1..n {
                    for ((x, largest), best) in x[part(k)].iter().zip(&mut largest).zip(&mut best) {
                        let better = *x > *largest;
                        *largest = if better { *x } else { *largest };
                        *best = if better { k as u32 } else { *best };
                    }
                }
                for k in 0..n {
                    for (y, best) in y[part(k)].iter_mut().zip(&best) {
                        *y = f32::from(u8::from(*best == k as u32));
                    }
                }
            }
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        if !io.accumulate {
            io.gradient.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;
    use crate::graph::{Builder, Dim};
    use crate::ops::testing::{Case, data, ints};
    use crate::{CpuSession, Plan, Request, Session};

    #[test]
    fn a_nan_is_the_largest_and_disturbs_no_order() {
        let values: Vec<f32> =
            (0..500).map(|i| if i % 5 == 2 { f32::NAN } else { (i * 7919 % 1009) as f32 }).collect();
        let largest = super::ranking(values.len(), true, |i| values[i]);
        let smallest = super::ranking(values.len(), false, |i| values[i]);
        assert!(largest[..100].iter().all(|&i| values[i].is_nan()));
        assert!(largest[100..].windows(2).all(|w| values[w[0]] >= values[w[1]]));
        assert!(smallest[..400].windows(2).all(|w| values[w[0]] <= values[w[1]]));
    }

    #[test]
    fn hardmax_marks_the_first_of_the_largest_along_any_axis() {
        // More rows than are processed together. The elements are whole numbers, so some are equal.
        for (shape, axis) in [([2, 3, 700], 1), ([2, 5, 4], 2), ([3, 2, 5], 0)] {
            let mut net = Builder::new();
            let x = net.input("x", &shape.map(Dim::Fixed)).unwrap();
            let attributes = vec![("axis", Attribute::Int(axis as i64))];
            let marks = net.node("Hardmax", "marks", &[x], attributes).unwrap();
            let graph = net.finish(&[marks]);
            let mut request = Request::new(&graph, shape[0], &graph.outputs).unwrap();
            request.gradients = false;
            let mut session = CpuSession::new(Arc::new(Plan::compile(&graph, &request).unwrap())).unwrap();
            let data: Vec<f32> = (0..volume(&shape)).map(|i| (i * i % 7) as f32 - 3.0).collect();
            session.input_mut(0).copy_from_slice(&data);
            session.forward();
            let rows = Rows::new(&shape, axis);
            for row in 0..rows.count {
                let best = ranking(rows.n, true, |k| data[rows.at(row, k)])[0];
                for k in 0..rows.n {
                    let mark = session.activation(0)[rows.at(row, k)];
                    assert_eq!(mark, f32::from(u8::from(k == best)), "{shape:?}, axis {axis}, row {row}");
                }
            }
        }
    }

    #[test]
    fn the_gradient_of_the_largest_goes_to_where_they_were() {
        for (axis, largest, k) in [(1, 1, 2), (-1, 0, 3), (0, 1, 1)] {
            Case::new("TopK", vec![data(&[2, 3, 4]), ints(&[k])])
                .attribute("axis", Attribute::Int(axis))
                .attribute("largest", Attribute::Int(largest))
                .check();
        }
    }
}
