//! Elementwise functions of one variable: a table of values and derivatives.
//!
//! At the end of a function's domain, the function may be finite and its derivative infinite (√ at 0, arc
//! functions at ±1). There the derivative is taken to be 0. So √Σx² has gradient 0 at x = 0, as with
//! `ReduceL2` and PyTorch's `norm`; 0 is the smallest of the subgradients. The limit ∞ times the 0 of x²
//! would give NaN. A ReLU before it would stop the NaN only under the exact rule.

use std::any::Any;
use std::sync::Arc;

use crate::error::OpError;
use crate::kernels::{self, Isa, Smooth, functions};
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site};
use crate::tensor::{DType, Tensor};

/// Elementwise functions of one variable, with their parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Function {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atanh,
    Celu {
        alpha: f32,
    },
    Ceil,
    Cos,
    Cosh,
    Elu {
        alpha: f32,
    },
    Floor,
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    HardSwish,
    LeakyRelu {
        alpha: f32,
    },
    Log,
    /// Mish, x·tanh(softplus(x)) (Misra 2019).
    Mish,
    Neg,
    Reciprocal,
    Round,
    Selu {
        alpha: f32,
        gamma: f32,
    },
    Sign,
    Shrink {
        lambda: f32,
        bias: f32,
    },
    Sin,
    Sinh,
    Softplus,
    Softsign,
    Sqrt,
    Tan,
    ThresholdedRelu {
        alpha: f32,
    },
}

/// Reads the operator's attributes. Returns `None` if the operator is not in the table.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Option<Result<Arc<dyn Operator>, OpError>> {
    use Function as F;
    let table = |f: Function| Ok(Kind::Table(f));
    let smooth = |f: Smooth| Ok(Kind::Smooth(f));
    let with = |f: &dyn Fn() -> Result<Kind, OpError>| f();
    let kind = match op_type {
        "Abs" => table(F::Abs),
        "Acos" => table(F::Acos),
        "Acosh" => table(F::Acosh),
        "Asin" => table(F::Asin),
        "Asinh" => table(F::Asinh),
        "Atan" => smooth(Smooth::Atan),
        "Atanh" => table(F::Atanh),
        "Celu" => with(&|| table(F::Celu { alpha: a.float_or("alpha", 1.0)? })),
        "Cosh" => table(F::Cosh),
        "Shrink" => {
            with(&|| table(F::Shrink { lambda: a.float_or("lambd", 0.5)?, bias: a.float_or("bias", 0.0)? }))
        }
        "Sinh" => table(F::Sinh),
        "Tan" => table(F::Tan),
        "ThresholdedRelu" => with(&|| table(F::ThresholdedRelu { alpha: a.float_or("alpha", 1.0)? })),
        "Ceil" => table(F::Ceil),
        "Cos" => table(F::Cos),
        "Elu" => with(&|| table(F::Elu { alpha: a.float_or("alpha", 1.0)? })),
        "Erf" => smooth(Smooth::Erf),
        "Exp" => smooth(Smooth::Exp),
        "Floor" => table(F::Floor),
        "Gelu" => with(&|| match a.text_or("approximate", "none")? {
            "none" => smooth(Smooth::Gelu),
            "tanh" => smooth(Smooth::GeluTanh),
            other => Err(OpError::Refused(format!("approximate \"{other}\" is not one of ONNX's"))),
        }),
        "HardSigmoid" => with(&|| {
            table(F::HardSigmoid { alpha: a.float_or("alpha", 0.2)?, beta: a.float_or("beta", 0.5)? })
        }),
        "HardSwish" => table(F::HardSwish),
        "LeakyRelu" => with(&|| table(F::LeakyRelu { alpha: a.float_or("alpha", 0.01)? })),
        "Log" => table(F::Log),
        "Mish" => table(F::Mish),
        "Neg" => table(F::Neg),
        "Reciprocal" => table(F::Reciprocal),
        "Round" => table(F::Round),
        // The constants of Klambauer et al. 2017, rounded as in the ONNX specification.
        "Selu" => with(&|| {
            table(F::Selu {
                alpha: a.float_or("alpha", 1.673_263_2)?,
                gamma: a.float_or("gamma", 1.050_701)?,
            })
        }),
        "Sigmoid" => smooth(Smooth::Sigmoid),
        "Sign" => table(F::Sign),
        "Sin" => table(F::Sin),
        "Softplus" => table(F::Softplus),
        "Softsign" => table(F::Softsign),
        "Sqrt" => table(F::Sqrt),
        "Swish" => with(&|| smooth(Smooth::Swish(a.float_or("alpha", 1.0)?))),
        "Tanh" => smooth(Smooth::Tanh),
        _ => return None,
    };
    Some(kind.map(|kind| Arc::new(Unary { name: op_type.to_owned(), kind }) as Arc<dyn Operator>))
}

impl Function {
    /// The function's value at x.
    #[inline(always)]
    pub fn value(self, x: f32) -> f32 {
        match self {
            Function::Abs => x.abs(),
            Function::Acos => x.acos(),
            Function::Acosh => x.acosh(),
            Function::Asin => x.asin(),
            Function::Asinh => x.asinh(),
            Function::Atanh => x.atanh(),
            Function::Celu { alpha } => x.max(0.0) + (alpha * (x / alpha).exp_m1()).min(0.0),
            Function::Cosh => x.cosh(),
            Function::Shrink { lambda, bias } => {
                if x < -lambda {
                    x + bias
                } else if x > lambda {
                    x - bias
                } else {
                    0.0
                }
            }
            Function::Sinh => x.sinh(),
            Function::Tan => x.tan(),
            Function::ThresholdedRelu { alpha } => {
                if x > alpha {
                    x
                } else {
                    0.0
                }
            }
            Function::Ceil => x.ceil(),
            Function::Cos => x.cos(),
            Function::Elu { alpha } => {
                if x < 0.0 {
                    alpha * x.exp_m1()
                } else {
                    x
                }
            }
            Function::Floor => x.floor(),
            Function::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Function::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Function::LeakyRelu { alpha } => {
                if x < 0.0 {
                    alpha * x
                } else {
                    x
                }
            }
            Function::Log => x.ln(),
            Function::Mish => x * softplus(x).tanh(),
            Function::Neg => -x,
            Function::Reciprocal => 1.0 / x,
            Function::Round => x.round_ties_even(),
            Function::Selu { alpha, gamma } => gamma * if x > 0.0 { x } else { alpha * x.exp_m1() },
            Function::Sign => {
                let sign = 1.0f32.copysign(x);
                if x == 0.0 || x.is_nan() { x } else { sign }
            }
            Function::Sin => x.sin(),
            Function::Softplus => softplus(x),
            Function::Softsign => x / (1.0 + x.abs()),
            Function::Sqrt => x.sqrt(),
        }
    }

    /// Returns the derivative at x, where the function's value is y. It is zero where the function is flat or
    /// jumps.
    #[inline(always)]
    pub fn slope(self, x: f32, y: f32) -> f32 {
        match self {
            // Computed without a branch, since a branch on data would be mispredicted.
            Function::Abs => f32::from(u8::from(x > 0.0)) - f32::from(u8::from(x < 0.0)),
            Function::Acos => -finite_or_zero((1.0 - x * x).sqrt().recip()),
            Function::Acosh => finite_or_zero((x * x - 1.0).sqrt().recip()),
            Function::Asin => finite_or_zero((1.0 - x * x).sqrt().recip()),
            Function::Asinh => (x * x + 1.0).sqrt().recip(),
            Function::Atanh => (1.0 - x * x).recip(),
            Function::Celu { alpha } => {
                if x < 0.0 {
                    (x / alpha).exp()
                } else {
                    1.0
                }
            }
            Function::Cosh => x.sinh(),
            Function::Shrink { lambda, .. } => {
                if x.abs() > lambda {
                    1.0
                } else {
                    0.0
                }
            }
            Function::Sinh => x.cosh(),
            Function::Tan => 1.0 + y * y,
            Function::ThresholdedRelu { alpha } => {
                if x > alpha {
                    1.0
                } else {
                    0.0
                }
            }
            Function::Ceil | Function::Floor | Function::Round | Function::Sign => 0.0,
            Function::Cos => -x.sin(),
            Function::Elu { alpha } => {
                if x < 0.0 {
                    alpha * x.exp()
                } else {
                    1.0
                }
            }
            Function::HardSigmoid { alpha, beta } => {
                let t = alpha * x + beta;
                if t > 0.0 && t < 1.0 { alpha } else { 0.0 }
            }
            Function::HardSwish => {
                if x <= -3.0 {
                    0.0
                } else if x >= 3.0 {
                    1.0
                } else {
                    x / 3.0 + 0.5
                }
            }
            Function::LeakyRelu { alpha } => {
                if x < 0.0 {
                    alpha
                } else {
                    1.0
                }
            }
            Function::Log => 1.0 / x,
            Function::Mish => {
                let t = softplus(x).tanh();
                t + x * (1.0 - t * t) * functions::sigmoid(x)
            }
            Function::Neg => -1.0,
            Function::Reciprocal => -y * y,
            Function::Selu { alpha, gamma } => gamma * if x > 0.0 { 1.0 } else { alpha * x.exp() },
            Function::Sin => x.cos(),
            Function::Softplus => functions::sigmoid(x),
            Function::Softsign => 1.0 / (1.0 + x.abs()).powi(2),
            Function::Sqrt => finite_or_zero(0.5 / y),
        }
    }
}

/// Returns the slope, or 0 if it is infinite. NaN stays, because there the function is undefined.
#[inline(always)]
fn finite_or_zero(slope: f32) -> f32 {
    if slope.is_infinite() { 0.0 } else { slope }
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[derive(Debug, Clone)]
struct Unary {
    name: String,
    kind: Kind,
}

/// The implementation of the function: in this file, or among the kernels.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Table(Function),
    Smooth(Smooth),
}

/// Returns the kernel function for an operator, if there is one.
pub(crate) fn smooth(op: &dyn Operator) -> Option<Smooth> {
    match op.as_any().downcast_ref::<Unary>()?.kind {
        Kind::Smooth(function) => Some(function),
        Kind::Table(_) => None,
    }
}

/// Creates the operator of the activation function x·sigmoid(x).
pub(crate) fn swish() -> Arc<dyn Operator> {
    Arc::new(Unary { name: "Swish".into(), kind: Kind::Smooth(Smooth::Swish(1.0)) })
}

/// Functions that networks use as activation functions.
const ACTIVATIONS: &[&str] = &[
    "Celu",
    "Elu",
    "Gelu",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Swish",
    "Tanh",
];

impl Operator for Unary {
    fn op_type(&self) -> &str {
        &self.name
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.need(0)?;
        Ok(vec![Fact { dtype: x.dtype, shape: x.shape.clone(), value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let x = inputs.need_constant(0)?;
        if x.dtype() != DType::Int {
            return Ok(None);
        }
        let f = match self.kind {
            Kind::Table(Function::Neg) => i64::wrapping_neg,
            Kind::Table(Function::Abs) => i64::wrapping_abs,
            Kind::Table(Function::Sign) => i64::signum,
            _ => return Err(OpError::Refused("integers are not supported here".into())),
        };
        Ok(Some(vec![Tensor::ints(x.shape(), x.as_ints()?.iter().map(|&v| f(v)).collect())]))
    }

    fn by_element(&self) -> bool {
        true
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        Ok(match self.kind {
            Kind::Smooth(function) => Built::new(Curve { isa: site.isa, function }, 1),
            Kind::Table(function) => Built::new(Map(function), 1),
        })
    }

    fn is_activation(&self) -> bool {
        ACTIVATIONS.contains(&self.name.as_str())
    }

    fn hard_sigmoid(&self) -> Option<(f32, f32)> {
        match self.kind {
            Kind::Table(Function::HardSigmoid { alpha, beta }) => Some((alpha, beta)),
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Map(Function);

/// Defines a loop over slices for a function. Cheap functions get a loop of their own, because matching the
/// function for every element would cost more than the function.
macro_rules! looped {
    ($function:expr, |$f:ident| $loop:expr) => {
        looped!($function, |$f| $loop, Abs, Neg, Reciprocal, Sign, Sqrt)
    };
    ($function:expr, |$f:ident| $loop:expr, $($cheap:ident),*) => {
        match $function {
            $(Function::$cheap => {
                let $f = Function::$cheap;
                $loop
            })*
            $f => $loop,
        }
    };
}

impl Kernel for Map {
    fn joins_team(&self) -> bool {
        true
    }

    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        looped!(self.0, |f| kernels::map(x, y, |x| f.value(x)));
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        looped!(self.0, |f| {
            let back = |x: f32, dy: f32| dy * f.slope(x, f.value(x));
            if accumulate {
                kernels::zip_accumulate(x, dy, dx, back);
            } else {
                kernels::zip(x, dy, dx, back);
            }
        });
    }
}

#[derive(Debug)]
struct Curve {
    isa: Isa,
    function: Smooth,
}

impl Kernel for Curve {
    fn joins_team(&self) -> bool {
        true
    }

    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        self.function.apply(self.isa, x, y);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        self.function.apply_slope(self.isa, x, dy, dx, accumulate);
    }
}

#[cfg(test)]
mod tests {
    use super::Function;
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, positive, values};

    #[test]
    fn where_a_function_ends_its_slope_is_zero() {
        for (f, end) in
            [(Function::Sqrt, 0.0), (Function::Acos, -1.0), (Function::Asin, 1.0), (Function::Acosh, 1.0)]
        {
            assert_eq!(f.slope(end, f.value(end)), 0.0, "{f:?}");
        }
        assert!(Function::Sqrt.slope(-1.0, Function::Sqrt.value(-1.0)).is_nan());
    }

    #[test]
    fn gradients_agree_with_differences() {
        for name in [
            "Abs",
            "Asinh",
            "Atan",
            "Celu",
            "Cos",
            "Cosh",
            "Sinh",
            "Elu",
            "Erf",
            "Exp",
            "HardSigmoid",
            "Gelu",
            "HardSwish",
            "LeakyRelu",
            "Mish",
            "Neg",
            "Selu",
            "Sigmoid",
            "Sin",
            "Softplus",
            "Softsign",
            "Swish",
            "Tanh",
        ] {
            Case::new(name, vec![data(&[2, 3, 5])]).check();
        }
        for name in ["Log", "Reciprocal", "Sqrt"] {
            Case::new(name, vec![positive(&[2, 3, 5])]).check();
        }
        for name in ["Acos", "Asin", "Atanh", "Tan"] {
            let inside = (0..9).map(|i| i as f32 * 0.2 - 0.8).collect();
            Case::new(name, vec![values(&[9], inside)]).check();
        }
        Case::new("Acosh", vec![values(&[3], vec![1.2, 1.7, 3.0])]).check();
        Case::new("Celu", vec![data(&[2, 3, 5])]).attribute("alpha", Attribute::Float(0.7)).check();
        Case::new("Shrink", vec![data(&[2, 3, 5])]).attribute("bias", Attribute::Float(0.3)).check();
        Case::new("ThresholdedRelu", vec![data(&[2, 3, 5])])
            .attribute("alpha", Attribute::Float(0.51))
            .check();
        Case::new("Gelu", vec![data(&[2, 3, 5])])
            .attribute("approximate", Attribute::Text("tanh".into()))
            .check();
    }
}
