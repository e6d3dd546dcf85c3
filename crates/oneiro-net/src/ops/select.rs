//! Positions of extremes: `ArgMax`, `ArgMin` and `TopK` of constants, and `Hardmax`, which marks the largest with 1.
//!
//! Positions are integers and depend on the data in jumps: nothing flows through them.

use std::any::Any;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::error::OpError;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, axis};
use crate::tensor::{DType, Tensor, volume};

/// The operators.
#[derive(Debug, Clone)]
enum Select {
    /// The position of the largest (or smallest) along an axis; the last of equal ones if `last`.
    Arg { largest: bool, axis: i64, keep: bool, last: bool },
    /// The k largest (or smallest) along an axis, in order, with their positions.
    TopK { largest: bool, axis: i64, k: Option<i64> },
    /// 1 at the first of the largest, else 0. Before operator set 13 everything from `axis` on is one row.
    Hardmax { axis: i64, flattens: bool },
}

/// Reads the attributes.
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

/// Rows along one axis of a shape.
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

    /// Position of element `k` of row `row`.
    fn at(&self, row: usize, k: usize) -> usize {
        (row / self.step * self.n + k) * self.step + row % self.step
    }
}

/// Positions of a row in order, the wanted extreme first, equal ones by position.
fn ranking<T: PartialOrd>(n: usize, largest: bool, value: impl Fn(usize) -> T) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| {
        let order = value(i).partial_cmp(&value(j)).unwrap_or(Ordering::Equal);
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
        usize::try_from(k).ok().filter(|&k| k <= n).ok_or_else(|| OpError(format!("k = {k} of {n}")))
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
        match self {
            Select::Hardmax { .. } => Ok(Built::new(Mark(self.rows(site.inputs.shape(0)?)?), 1)),
            _ => Err(OpError("positions of extremes of the data are not supported".into())),
        }
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        match inputs.shape(0).map(|x| self.axis(x)) {
            Ok(Ok(1)) if !matches!(self, Select::Hardmax { flattens: true, .. }) => Reach::Point,
            _ => Reach::Whole,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Mark(Rows);

impl Kernel for Mark {
    fn differentiable(&self, _operand: usize) -> bool {
        false
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        y.fill(0.0);
        for row in 0..self.0.count {
            let at = |k: usize| self.0.at(row, k);
            let best = (1..self.0.n).fold(0, |best, k| if x[at(k)] > x[at(best)] { k } else { best });
            if self.0.n > 0 {
                y[at(best)] = 1.0;
            }
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        if !io.accumulate {
            io.gradient.fill(0.0);
        }
    }
}
