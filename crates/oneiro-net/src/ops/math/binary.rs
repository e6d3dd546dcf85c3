//! Elementwise arithmetic of two tensors with broadcasting.

use std::any::Any;
use std::sync::Arc;

use crate::error::OpError;
use crate::kernels;
use crate::ops::array::broadcast::{Walk, broadcast};
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site};
use crate::tensor::{DType, Tensor, volume};

mod blocked;

/// Elementwise functions of two variables a and b.
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
    /// The remainder. It has the sign of a (`fmod`, as in C) or of b (integers only).
    Mod {
        fmod: bool,
    },
    /// PReLU: a if it is positive, else a·b.
    PRelu,
}

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.has("broadcast") || a.has("axis") {
        return Err(OpError::Refused("the broadcasting of operator sets before 7 is not supported".into()));
    }
    let function = match op_type {
        "Add" => Function::Add,
        "Sub" => Function::Sub,
        "Mul" => Function::Mul,
        "Div" => Function::Div,
        "Pow" => Function::Pow,
        "Mod" => Function::Mod { fmod: a.int_or("fmod", 0)? != 0 },
        "PRelu" => Function::PRelu,
        other => return Err(OpError::Refused(format!("\"{other}\" is no function of two variables"))),
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
            // Squares are common, since variances are written with them.
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

    /// Returns the derivative with respect to operand `which`. Equal operands of `Min` and `Max` share the
    /// gradient, as in PyTorch.
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
            // The derivative of a root at 0 is taken to be 0, as in `super::unary`.
            (Function::Pow, true) if b == 0.0 || a == 0.0 && 0.0 < b && b < 1.0 => 0.0,
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

#[derive(Debug, Clone)]
pub(crate) struct Binary {
    /// ONNX's name of the operator.
    pub name: String,
    /// The function that is applied to each pair of elements.
    pub function: Function,
}

impl Operator for Binary {
    fn op_type(&self) -> &str {
        &self.name
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        if inputs.0.len() != 2 {
            return Err(OpError::Refused(format!("{} inputs; 2 are supported", inputs.0.len())));
        }
        let shape = broadcast(inputs.shape(0)?, inputs.shape(1)?)?;
        if self.function == Function::PRelu && shape != inputs.shape(0)? {
            return Err(OpError::Refused(format!("slopes {:?} are larger than the data", inputs.shape(1)?)));
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
        // The exponent of `Pow` may have another element type.
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

    fn by_element(&self) -> bool {
        true
    }

    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        blocked::built(self.function, site)
    }

    fn is_activation(&self) -> bool {
        self.function == Function::PRelu
    }

    fn is_sum(&self) -> bool {
        self.function == Function::Add
    }

    fn as_any(&self) -> &dyn Any {
        self
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
        let read = |i: usize| io.operands[i].data(&io.reader);
        let (walk, dx) = (&self.walk, &mut *io.gradient);
        // Each case has its own loop. The gradients of addition and subtraction need no operands.
        match (self.function, which) {
            (Function::Sub, 1) => walk.sum_back(which, dy, dx, accumulate, |dy, _, _| -dy),
            (Function::Add | Function::Sub, _) => walk.sum_back(which, dy, dx, accumulate, |dy, _, _| dy),
            // Operands of equal shape have loops that vectorize.
            (Function::Mul, _) if walk.is_elementwise() => {
                zip(read(1 - which), dy, dx, accumulate, |other, dy| dy * other)
            }
            (Function::Div, 0) if walk.is_elementwise() => {
                zip(read(1), dy, dx, accumulate, |b, dy| dy * (1.0 / b))
            }
            (Function::Mul, 0) => {
                let b = read(1);
                walk.sum_back(which, dy, dx, accumulate, |dy, _, j| dy * b[j]);
            }
            (Function::Mul, _) => {
                let a = read(0);
                walk.sum_back(which, dy, dx, accumulate, |dy, i, _| dy * a[i]);
            }
            (Function::Div, 0) => {
                let b = read(1);
                walk.sum_back(which, dy, dx, accumulate, |dy, _, j| dy * (1.0 / b[j]));
            }
            (Function::Div, _) => {
                let (a, b) = (read(0), read(1));
                walk.sum_back(which, dy, dx, accumulate, |dy, i, j| dy * (-a[i] / (b[j] * b[j])));
            }
            (function, _) => {
                let (a, b) = (read(0), read(1));
                let slope = |i: usize, j: usize| function.partial(which, a[i], b[j]);
                walk.sum_back(which, dy, dx, accumulate, |dy, i, j| dy * slope(i, j));
            }
        }
    }
}

/// Writes `term(operand[i], dy[i])` to `dx[i]`, or adds it.
fn zip(operand: &[f32], dy: &[f32], dx: &mut [f32], accumulate: bool, term: impl Fn(f32, f32) -> f32 + Sync) {
    if accumulate {
        kernels::zip_accumulate(operand, dy, dx, term);
    } else {
        kernels::zip(operand, dy, dx, term);
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
    fn the_slope_of_a_root_at_zero_is_zero() {
        assert_eq!(Function::Pow.partial(0, 0.0, 0.5), 0.0);
        assert_eq!(Function::Pow.partial(0, 0.0, 1.0), 1.0);
        assert_eq!(Function::Pow.partial(0, 4.0, 0.5), 0.25);
    }

    #[test]
    fn integers_divide_toward_zero() {
        assert_eq!(Function::Div.integer(-7, 2).unwrap(), -3);
        assert!(Function::Div.integer(1, 0).is_err());
    }
}
