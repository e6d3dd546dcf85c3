//! Elementwise arithmetic of two tensors with broadcasting.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::OpError;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site};
use crate::tensor::{DType, Tensor, volume};

/// Elements a task works on at least; fixed, so that the split never depends on the number of threads.
const CHUNK: usize = 1 << 14;

/// The functions of two variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Function {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    /// The remainder: with the sign of a (`fmod`, as C does) or of b (integers only).
    Mod {
        fmod: bool,
    },
    /// a where it is positive, else a·b.
    PRelu,
}

/// Reads the attributes.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.has("broadcast") || a.has("axis") {
        return Err(OpError("the broadcasting of operator sets before 7 is not supported".into()));
    }
    let function = match op_type {
        "Add" => Function::Add,
        "Sub" => Function::Sub,
        "Mul" => Function::Mul,
        "Div" => Function::Div,
        "Pow" => Function::Pow,
        "Mod" => Function::Mod { fmod: a.int_or("fmod", 0)? != 0 },
        "PRelu" => Function::PRelu,
        other => return Err(OpError(format!("\"{other}\" is no function of two variables"))),
    };
    Ok(Arc::new(Binary { name: op_type.to_owned(), function }))
}

impl Function {
    fn value(self, a: f32, b: f32) -> f32 {
        match self {
            Function::Add => a + b,
            Function::Sub => a - b,
            Function::Mul => a * b,
            Function::Div => a / b,
            // The square is what a variance is written with.
            Function::Pow if b == 2.0 => a * a,
            Function::Pow => a.powf(b),
            Function::Min => {
                if b < a || b.is_nan() {
                    b
                } else {
                    a
                }
            }
            Function::Max => {
                if b > a || b.is_nan() {
                    b
                } else {
                    a
                }
            }
            Function::Mod { .. } => a % b,
            Function::PRelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
        }
    }

    /// The derivative with respect to operand `which`. A tie of `Min` and `Max` is shared, as in PyTorch.
    #[inline(always)]
    fn partial(self, which: usize, a: f32, b: f32) -> f32 {
        let first = which == 0;
        let choice = |chosen: bool, tie: bool| match (tie, chosen == first) {
            (true, _) => 0.5,
            (_, own) => f32::from(u8::from(own)),
        };
        match (self, first) {
            (Function::Sub, false) => -1.0,
            (Function::Add | Function::Sub, _) => 1.0,
            (Function::Mul, true) => b,
            (Function::Mul, false) => a,
            (Function::Div, true) => 1.0 / b,
            (Function::Div, false) => -a / (b * b),
            (Function::Pow, true) if b == 2.0 => 2.0 * a,
            (Function::Pow, true) if b == 0.0 => 0.0,
            (Function::Pow, true) => b * a.powf(b - 1.0),
            (Function::Pow, false) => {
                if a > 0.0 {
                    a.powf(b) * a.ln()
                } else {
                    0.0
                }
            }
            (Function::Min, _) => choice(a < b, a == b),
            (Function::Max, _) => choice(a > b, a == b),
            (Function::Mod { .. }, true) => 1.0,
            (Function::Mod { .. }, false) => -(a / b).trunc(),
            (Function::PRelu, true) => {
                if a < 0.0 {
                    b
                } else {
                    1.0
                }
            }
            (Function::PRelu, false) => a.min(0.0),
        }
    }

    fn integer(self, a: i64, b: i64) -> Result<i64, OpError> {
        Ok(match self {
            Function::Add => a.wrapping_add(b),
            Function::Sub => a.wrapping_sub(b),
            Function::Mul => a.wrapping_mul(b),
            Function::Div => a.checked_div(b).ok_or("division by zero")?,
            Function::Pow => {
                u32::try_from(b).ok().and_then(|b| a.checked_pow(b)).ok_or("power out of range")?
            }
            Function::Min => a.min(b),
            Function::Max => a.max(b),
            Function::Mod { fmod } => {
                let r = a.checked_rem(b).ok_or("remainder of a division by zero")?;
                if !fmod && r != 0 && (r < 0) != (b < 0) { r + b } else { r }
            }
            Function::PRelu => {
                if a < 0 {
                    a.wrapping_mul(b)
                } else {
                    a
                }
            }
        })
    }
}

/// The shape two shapes broadcast to (ONNX, multidirectional).
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, OpError> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(OpError(format!("shapes {a:?} and {b:?} do not broadcast"))),
        })
        .collect()
}

#[derive(Debug, Clone)]
pub(crate) struct Binary {
    /// ONNX's name of the operator.
    pub name: String,
    /// What is computed.
    pub function: Function,
}

impl Operator for Binary {
    fn op_type(&self) -> &str {
        &self.name
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        if inputs.0.len() != 2 {
            return Err(OpError(format!("{} inputs; 2 are supported", inputs.0.len())));
        }
        let shape = broadcast(inputs.shape(0)?, inputs.shape(1)?)?;
        if self.function == Function::PRelu && shape != inputs.shape(0)? {
            return Err(OpError(format!("slopes {:?} are larger than the data", inputs.shape(1)?)));
        }
        if self.function == (Function::Mod { fmod: false }) && inputs.need(0)?.dtype == DType::Float {
            return Err("fmod = 0 is for integers only".into());
        }
        Ok(vec![Fact { dtype: inputs.need(0)?.dtype, shape, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let (a, b) = (inputs.need_constant(0)?, inputs.need_constant(1)?);
        if a.dtype() != DType::Int {
            return Ok(None);
        }
        let shape = broadcast(a.shape(), b.shape())?;
        // `Pow` may have an exponent of another type.
        let whole = |t: &Tensor| t.as_floats().is_ok_and(|v| v.iter().all(|x| x.fract() == 0.0));
        let b = if self.function == Function::Pow && whole(b) { &b.cast(DType::Int) } else { b };
        let (ia, ib) = (a.as_ints()?, b.as_ints()?);
        let walk = Walk::new(&shape, [a.shape(), b.shape()]);
        let out = (0..volume(&shape))
            .map(|i| {
                let [i, j] = walk.offsets(i);
                self.function.integer(ia[i], ib[j])
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Some(vec![Tensor::ints(&shape, out)]))
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let walk = Walk::new(&site.output.shape, [site.inputs.shape(0)?, site.inputs.shape(1)?]);
        Ok(Built::new(Zip { function: self.function, walk }, 2))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The output's axes, neighbours merged where both operands allow it, with each operand's strides.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    dims: Vec<usize>,
    strides: [Vec<usize>; 2],
}

impl Walk {
    pub(crate) fn new(out: &[usize], operands: [&[usize]; 2]) -> Self {
        let stride = |shape: &[usize]| {
            let mut strides = vec![0; out.len()];
            let mut step = 1;
            for i in (0..shape.len()).rev() {
                let at = i + out.len() - shape.len();
                strides[at] = if shape[i] == 1 { 0 } else { step };
                step *= shape[i];
            }
            strides
        };
        let full = [stride(operands[0]), stride(operands[1])];
        let mut walk = Walk { dims: vec![], strides: [vec![], vec![]] };
        for i in (0..out.len()).rev().filter(|&i| out[i] != 1) {
            // Dimensions are collected innermost first; one merges if it continues the last for both operands.
            let merges = walk.dims.last().is_some_and(|&n| {
                (0..2).all(|k| full[k][i] == walk.strides[k].last().copied().unwrap_or(0) * n)
            });
            match walk.dims.last_mut() {
                Some(last) if merges => *last *= out[i],
                _ => {
                    walk.dims.push(out[i]);
                    walk.strides[0].push(full[0][i]);
                    walk.strides[1].push(full[1][i]);
                }
            }
        }
        if walk.dims.is_empty() {
            walk.dims.push(1);
            walk.strides = [vec![0], vec![0]];
        }
        walk.dims.reverse();
        walk.strides.iter_mut().for_each(|s| s.reverse());
        walk
    }

    /// Positions in the operands of an element of the output.
    pub(crate) fn offsets(&self, mut index: usize) -> [usize; 2] {
        let mut at = [0, 0];
        for i in (0..self.dims.len()).rev() {
            let k = index % self.dims[i];
            index /= self.dims[i];
            at[0] += k * self.strides[0][i];
            at[1] += k * self.strides[1][i];
        }
        at
    }

    /// Calls `work(row, positions of its first element, steps)` for the innermost rows of the output.
    pub(crate) fn each_row(&self, y: &mut [f32], work: impl Fn(&mut [f32], [usize; 2], [usize; 2]) + Sync) {
        if y.is_empty() {
            return;
        }
        let (inner, steps) = self.inner();
        // A long row is cut, too.
        let piece = inner.min(CHUNK);
        let rows = CHUNK.div_ceil(inner);
        y.par_chunks_mut(inner * rows).enumerate().for_each(|(block, y)| {
            for (row, y) in y.chunks_mut(inner).enumerate() {
                let [i, j] = self.offsets((block * rows + row) * inner);
                if y.len() == piece {
                    work(y, [i, j], steps);
                    continue;
                }
                y.par_chunks_mut(piece).enumerate().for_each(|(part, y)| {
                    let k = part * piece;
                    work(y, [i + k * steps[0], j + k * steps[1]], steps);
                });
            }
        });
    }

    /// The gradient of operand `which`: every element sums `term(dy, i, j)` of the outputs that it is part of, whose
    /// operands lie at i and j.
    pub(crate) fn sum_back(
        &self,
        which: usize,
        dy: &[f32],
        dx: &mut [f32],
        accumulate: bool,
        term: impl Fn(f32, usize, usize) -> f32 + Sync,
    ) {
        if !accumulate {
            dx.fill(0.0);
        }
        if dy.is_empty() {
            return;
        }
        let (inner, steps) = self.inner();
        // Rows of the output that share an outermost index touch disjoint parts of dx if dx has that axis.
        let (groups, part) = match self.strides[which][0] {
            0 => (1, dx.len()),
            step if self.dims.len() == 1 => (self.dims[0].div_ceil(CHUNK), CHUNK * step),
            step => (self.dims[0], step),
        };
        let per_group = if self.dims.len() == 1 { CHUNK } else { self.total() / groups };
        dx.par_chunks_mut(part.max(1)).enumerate().for_each(|(group, dx)| {
            let (start, end) = if groups == 1 {
                (0, self.total())
            } else {
                (group * per_group, ((group + 1) * per_group).min(self.total()))
            };
            let base = group * part;
            let mut index = start;
            while index < end {
                let n = inner.min(end - index);
                let [i, j] = self.offsets(index);
                let at = if which == 0 { i } else { j } - base;
                let dy = &dy[index..index + n];
                match steps[which] {
                    0 => {
                        let terms = dy.iter().enumerate();
                        dx[at] = terms
                            .fold(dx[at], |sum, (k, dy)| sum + term(*dy, i + k * steps[0], j + k * steps[1]));
                    }
                    step => {
                        for (k, (dx, dy)) in dx[at..].iter_mut().step_by(step).zip(dy).enumerate() {
                            *dx += term(*dy, i + k * steps[0], j + k * steps[1]);
                        }
                    }
                }
                index += n;
            }
        });
    }

    fn inner(&self) -> (usize, [usize; 2]) {
        let last = self.dims.len() - 1;
        (self.dims[last], [self.strides[0][last], self.strides[1][last]])
    }

    fn total(&self) -> usize {
        self.dims.iter().product()
    }
}

#[derive(Debug)]
struct Zip {
    function: Function,
    walk: Walk,
}

impl Kernel for Zip {
    fn backward_reads_inputs(&self) -> bool {
        !matches!(self.function, Function::Add | Function::Sub)
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (a, b, y) = io.io2(0, 1);
        let f = self.function;
        self.walk.each_row(y, |y, [i, j], steps| match steps {
            [1, 1] => each(y, |k| f.value(a[i + k], b[j + k])),
            [1, 0] => each(y, |k| f.value(a[i + k], b[j])),
            [0, 1] => each(y, |k| f.value(a[i], b[j + k])),
            [sa, sb] => each(y, |k| f.value(a[i + k * sa], b[j + k * sb])),
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, which) = (io.accumulate, io.operand);
        let dy = io.reader.read(io.output_gradient);
        let read = |i: usize| super::read(&io.reader, &io.operands[i]);
        let (walk, dx) = (&self.walk, &mut *io.gradient);
        // Each its own loop. Addition and subtraction do not keep their operands.
        match (self.function, which) {
            (Function::Sub, 1) => walk.sum_back(which, dy, dx, accumulate, |dy, _, _| -dy),
            (Function::Add | Function::Sub, _) => walk.sum_back(which, dy, dx, accumulate, |dy, _, _| dy),
            (Function::Mul, 0) => {
                let b = read(1);
                walk.sum_back(which, dy, dx, accumulate, |dy, _, j| dy * b[j]);
            }
            (Function::Mul, _) => {
                let a = read(0);
                walk.sum_back(which, dy, dx, accumulate, |dy, i, _| dy * a[i]);
            }
            (function, _) => {
                let (a, b) = (read(0), read(1));
                let slope = |i: usize, j: usize| function.partial(which, a[i], b[j]);
                walk.sum_back(which, dy, dx, accumulate, |dy, i, j| dy * slope(i, j));
            }
        }
    }
}

fn each(y: &mut [f32], value: impl Fn(usize) -> f32) {
    for (k, y) in y.iter_mut().enumerate() {
        *y = value(k);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, positive, values};

    #[test]
    fn gradients_agree_with_differences_under_every_broadcast() {
        let shapes: [(&[usize], &[usize]); 7] = [
            (&[2, 3, 4, 5], &[2, 3, 4, 5]),
            (&[2, 3, 4, 5], &[2, 3, 1, 1]),
            (&[2, 3, 4, 5], &[1, 3, 1, 5]),
            (&[3, 1], &[1, 4]),
            (&[2, 3], &[]),
            (&[5], &[2, 1, 5]),
            (&[1, 1], &[1]),
        ];
        for (a, b) in shapes {
            for name in ["Add", "Sub", "Mul", "Min", "Max"] {
                Case::new(name, vec![data(a), data(b)]).check();
            }
            for name in ["Div", "Pow"] {
                Case::new(name, vec![positive(a), positive(b)]).check();
            }
            if broadcast(a, b).unwrap() == a {
                Case::new("PRelu", vec![data(a), data(b)]).check();
            }
        }
        let operands = vec![values(&[3], vec![0.5, 1.2, -1.9]), values(&[3], vec![0.7, 0.5, 0.8])];
        Case::new("Mod", operands).attribute("fmod", Attribute::Int(1)).check();
        Case::new("Mul", vec![data(&[3, 20_000]), data(&[3, 1])]).probes(20).check();
        Case::new("Mul", vec![data(&[40_000]), data(&[40_000])]).probes(20).check();
    }

    #[test]
    fn integers_divide_toward_zero() {
        assert_eq!(Function::Div.integer(-7, 2).unwrap(), -3);
        assert!(Function::Div.integer(1, 0).is_err());
    }
}
