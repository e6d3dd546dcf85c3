//! Elementwise functions of one variable: a table of value and derivative.

use std::any::Any;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
use std::sync::Arc;

use crate::error::OpError;
use crate::kernels;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site};
use crate::tensor::{DType, Tensor};

/// The functions, with their parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Function {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
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
    Erf,
    Exp,
    Floor,
    /// x·Φ(x) (Hendrycks & Gimpel 2016), by erf or by its approximation with tanh.
    Gelu {
        tanh: bool,
    },
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    HardSwish,
    LeakyRelu {
        alpha: f32,
    },
    Log,
    /// x·tanh(softplus(x)) (Misra 2019).
    Mish,
    Neg,
    Reciprocal,
    Round,
    Selu {
        alpha: f32,
        gamma: f32,
    },
    Sigmoid,
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
    /// x·sigmoid(αx) (Ramachandran et al. 2017).
    Swish {
        alpha: f32,
    },
    Tan,
    Tanh,
    ThresholdedRelu {
        alpha: f32,
    },
}

/// Reads the attributes; `None` if this is no function of the table.
pub fn read(op_type: &str, a: &Attributes<'_>) -> Option<Result<Arc<dyn Operator>, OpError>> {
    use Function as F;
    let with = |f: &dyn Fn() -> Result<Function, OpError>| f();
    let function = match op_type {
        "Abs" => Ok(F::Abs),
        "Acos" => Ok(F::Acos),
        "Acosh" => Ok(F::Acosh),
        "Asin" => Ok(F::Asin),
        "Asinh" => Ok(F::Asinh),
        "Atan" => Ok(F::Atan),
        "Atanh" => Ok(F::Atanh),
        "Celu" => with(&|| Ok(F::Celu { alpha: a.float_or("alpha", 1.0)? })),
        "Cosh" => Ok(F::Cosh),
        "Shrink" => {
            with(&|| Ok(F::Shrink { lambda: a.float_or("lambd", 0.5)?, bias: a.float_or("bias", 0.0)? }))
        }
        "Sinh" => Ok(F::Sinh),
        "Tan" => Ok(F::Tan),
        "ThresholdedRelu" => with(&|| Ok(F::ThresholdedRelu { alpha: a.float_or("alpha", 1.0)? })),
        "Ceil" => Ok(F::Ceil),
        "Cos" => Ok(F::Cos),
        "Elu" => with(&|| Ok(F::Elu { alpha: a.float_or("alpha", 1.0)? })),
        "Erf" => Ok(F::Erf),
        "Exp" => Ok(F::Exp),
        "Floor" => Ok(F::Floor),
        "Gelu" => with(&|| match a.text_or("approximate", "none")? {
            "none" => Ok(F::Gelu { tanh: false }),
            "tanh" => Ok(F::Gelu { tanh: true }),
            other => Err(OpError(format!("approximate \"{other}\" is not one of ONNX's"))),
        }),
        "HardSigmoid" => {
            with(&|| Ok(F::HardSigmoid { alpha: a.float_or("alpha", 0.2)?, beta: a.float_or("beta", 0.5)? }))
        }
        "HardSwish" => Ok(F::HardSwish),
        "LeakyRelu" => with(&|| Ok(F::LeakyRelu { alpha: a.float_or("alpha", 0.01)? })),
        "Log" => Ok(F::Log),
        "Mish" => Ok(F::Mish),
        "Neg" => Ok(F::Neg),
        "Reciprocal" => Ok(F::Reciprocal),
        "Round" => Ok(F::Round),
        // The constants of Klambauer et al. 2017, as the ONNX specification rounds them.
        "Selu" => with(&|| {
            Ok(F::Selu { alpha: a.float_or("alpha", 1.673_263_2)?, gamma: a.float_or("gamma", 1.050_701)? })
        }),
        "Sigmoid" => Ok(F::Sigmoid),
        "Sign" => Ok(F::Sign),
        "Sin" => Ok(F::Sin),
        "Softplus" => Ok(F::Softplus),
        "Softsign" => Ok(F::Softsign),
        "Sqrt" => Ok(F::Sqrt),
        "Swish" => with(&|| Ok(F::Swish { alpha: a.float_or("alpha", 1.0)? })),
        "Tanh" => Ok(F::Tanh),
        _ => return None,
    };
    Some(function.map(|function| Arc::new(Unary { name: op_type.to_owned(), function }) as Arc<dyn Operator>))
}

impl Function {
    /// The function's value at x.
    pub fn value(self, x: f32) -> f32 {
        match self {
            Function::Abs => x.abs(),
            Function::Acos => x.acos(),
            Function::Acosh => x.acosh(),
            Function::Asin => x.asin(),
            Function::Asinh => x.asinh(),
            Function::Atan => x.atan(),
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
            Function::Erf => erf(x),
            Function::Exp => x.exp(),
            Function::Floor => x.floor(),
            Function::Gelu { tanh: false } => 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)),
            Function::Gelu { tanh: true } => 0.5 * x * (1.0 + gelu_inner(x).tanh()),
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
            Function::Sigmoid => sigmoid(x),
            Function::Sign => {
                if x > 0.0 {
                    1.0
                } else if x < 0.0 {
                    -1.0
                } else {
                    x
                }
            }
            Function::Sin => x.sin(),
            Function::Softplus => softplus(x),
            Function::Softsign => x / (1.0 + x.abs()),
            Function::Sqrt => x.sqrt(),
            Function::Swish { alpha } => x * sigmoid(alpha * x),
            Function::Tanh => x.tanh(),
        }
    }

    /// The derivative at x, where y is the value there. Zero where the function is flat or jumps.
    pub fn slope(self, x: f32, y: f32) -> f32 {
        match self {
            Function::Abs => {
                if x > 0.0 {
                    1.0
                } else if x < 0.0 {
                    -1.0
                } else {
                    0.0
                }
            }
            Function::Acos => -(1.0 - x * x).sqrt().recip(),
            Function::Acosh => (x * x - 1.0).sqrt().recip(),
            Function::Asin => (1.0 - x * x).sqrt().recip(),
            Function::Asinh => (x * x + 1.0).sqrt().recip(),
            Function::Atan => (1.0 + x * x).recip(),
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
            Function::Erf => FRAC_2_SQRT_PI * (-x * x).exp(),
            Function::Exp => y,
            Function::Gelu { tanh: false } => {
                let density = (-0.5 * x * x).exp() * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
                0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)) + x * density
            }
            Function::Gelu { tanh: true } => {
                let t = gelu_inner(x).tanh();
                let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x * x);
                0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner
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
                t + x * (1.0 - t * t) * sigmoid(x)
            }
            Function::Neg => -1.0,
            Function::Reciprocal => -y * y,
            Function::Selu { alpha, gamma } => gamma * if x > 0.0 { 1.0 } else { alpha * x.exp() },
            Function::Sigmoid => y * (1.0 - y),
            Function::Sin => x.cos(),
            Function::Softplus => sigmoid(x),
            Function::Softsign => 1.0 / (1.0 + x.abs()).powi(2),
            Function::Sqrt => 0.5 / y,
            Function::Swish { alpha } => {
                let s = sigmoid(alpha * x);
                s + alpha * x * s * (1.0 - s)
            }
            Function::Tanh => 1.0 - y * y,
        }
    }
}

/// √(2/π), the inner scale of GELU's approximation with tanh (Hendrycks & Gimpel 2016).
const GELU_SCALE: f32 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
/// Cubic coefficient of that approximation.
const GELU_CUBIC: f32 = 0.044_715;

fn gelu_inner(x: f32) -> f32 {
    GELU_SCALE * (x + GELU_CUBIC * x * x * x)
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The error function by its Maclaurin series (|x| < 2) or the continued fraction of its complement
/// (Abramowitz & Stegun 7.1.6 and 7.1.14), in f64: exact to f32.
fn erf(x: f32) -> f32 {
    let (x, a) = (f64::from(x), f64::from(x.abs()));
    if x.is_nan() {
        return f32::NAN;
    }
    let value = if a < 2.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > 1e-17 * sum {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum
    } else if a < 6.0 {
        let tail = (1..=60).rev().fold(a, |f, k| a + 0.5 * f64::from(k) / f);
        1.0 - (-a * a).exp() / (tail * std::f64::consts::PI.sqrt())
    } else {
        1.0
    };
    value.copysign(x) as f32
}

#[derive(Debug, Clone)]
struct Unary {
    name: String,
    function: Function,
}

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
        let f = match self.function {
            Function::Neg => i64::wrapping_neg,
            Function::Abs => i64::wrapping_abs,
            Function::Sign => i64::signum,
            _ => return Err(OpError("integers are not supported here".into())),
        };
        Ok(Some(vec![Tensor::ints(x.shape(), x.as_ints()?.iter().map(|&v| f(v)).collect())]))
    }

    fn kernel(&self, _site: Site<'_>) -> Result<Built, OpError> {
        Ok(Built::new(Map(self.function), 1))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Map(Function);

impl Kernel for Map {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        kernels::map(x, y, |x| self.0.value(x));
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (x, dy, dx) = io.io_input(0);
        let back = |x: f32, dy: f32| dy * self.0.slope(x, self.0.value(x));
        if accumulate {
            kernels::zip_accumulate(x, dy, dx, back);
        } else {
            kernels::zip(x, dy, dx, back);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, data, positive, values};

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

    #[test]
    fn erf_agrees_with_tabulated_values() {
        // Abramowitz & Stegun, table 7.1.
        for (x, y) in
            [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (3.0, 0.999_977_9)]
        {
            assert!((erf(x) - y).abs() < 1e-6, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }
}
