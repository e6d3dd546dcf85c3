//! `Sum`, `Mean`, `Min` and `Max` of any number of tensors, with broadcasting.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::ops::array::broadcast::{Walk, broadcast};
use crate::ops::math::binary::{self, Binary};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site, batch_independence,
};
use crate::tensor::{DType, Tensor, volume};

/// Number of elements in a task. It is fixed, so that the division of work never depends on the number of
/// threads.
const CHUNK: usize = 1 << 14;

/// ONNX operators of any number of operands. Equal operands of `Min` and `Max` share the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
enum Variadic {
    Sum,
    Mean,
    Min,
    Max,
}

/// Reads the attributes of a node whose operator this file implements.
pub fn read(op_type: &str, _a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    Ok(Arc::new(match op_type {
        "Sum" => Variadic::Sum,
        "Mean" => Variadic::Mean,
        "Min" => Variadic::Min,
        _ => Variadic::Max,
    }))
}

impl Variadic {
    fn pair(self) -> Option<Binary> {
        let function = match self {
            Variadic::Sum => binary::Function::Add,
            Variadic::Min => binary::Function::Min,
            Variadic::Max => binary::Function::Max,
            Variadic::Mean => return None,
        };
        Some(Binary { name: self.op_type().to_owned(), function })
    }

    fn choose(self, a: f32, b: f32) -> f32 {
        let better = if self == Variadic::Max { b > a } else { b < a };
        if better || b.is_nan() { b } else { a }
    }
}

impl Operator for Variadic {
    fn op_type(&self) -> &str {
        match self {
            Variadic::Sum => "Sum",
            Variadic::Mean => "Mean",
            Variadic::Min => "Min",
            Variadic::Max => "Max",
        }
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let first = inputs.need(0)?;
        let mut shape = first.shape.clone();
        for i in 1..inputs.0.len() {
            shape = broadcast(&shape, inputs.shape(i)?)?;
            if inputs.need(i)?.dtype != first.dtype {
                return Err("the operands differ in element type".into());
            }
        }
        Ok(vec![Fact { dtype: first.dtype, shape, value: None }])
    }

    fn evaluate(&self, inputs: Facts<'_>) -> Result<Option<Vec<Tensor>>, OpError> {
        let fact = self.infer(inputs)?.remove(0);
        if fact.dtype != DType::Int {
            return Ok(None);
        }
        let mut out: Option<Vec<i64>> = None;
        for i in 0..inputs.0.len() {
            let t = inputs.need_constant(i)?;
            let (data, walk) = (t.as_ints()?, Walk::new(&fact.shape, [t.shape(), t.shape()]));
            let value = |k: usize| data[walk.offsets(k)[0]];
            out = Some(match out {
                None => (0..volume(&fact.shape)).map(value).collect(),
                Some(old) => old
                    .into_iter()
                    .enumerate()
                    .map(|(k, v)| match self {
                        Variadic::Sum => Ok(v.wrapping_add(value(k))),
                        Variadic::Min => Ok(v.min(value(k))),
                        Variadic::Max => Ok(v.max(value(k))),
                        Variadic::Mean => {
                            Err(OpError::Refused("the mean of integers is not supported".into()))
                        }
                    })
                    .collect::<Result<_, _>>()?,
            });
        }
        Ok(out.map(|v| vec![Tensor::ints(&fact.shape, v)]))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::aligned(site)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let n = site.inputs.0.len();
        if let (2, Some(pair)) = (n, self.pair()) {
            return pair.kernel(site);
        }
        let walks = (0..n)
            .map(|i| {
                let x = site.inputs.shape(i)?;
                Ok(Walk::new(&site.output.shape, [x, x]))
            })
            .collect::<Result<_, OpError>>()?;
        Ok(Built::new(Fold { function: *self, walks }, n))
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.broadcast(&output.shape)
    }

    fn is_sum(&self) -> bool {
        matches!(self, Variadic::Sum)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Fold {
    function: Variadic,
    /// For each operand, the offsets of its elements for every output element.
    walks: Vec<Walk>,
}

impl Fold {
    fn linear(&self) -> bool {
        matches!(self.function, Variadic::Sum | Variadic::Mean)
    }

    fn factor(&self) -> f32 {
        if self.function == Variadic::Mean { 1.0 / self.walks.len() as f32 } else { 1.0 }
    }

    /// Returns the smallest or largest of the operands' elements at one position.
    fn best(&self, mut elements: impl Iterator<Item = f32>) -> f32 {
        let first = elements.next().unwrap_or(0.0);
        elements.fold(first, |a, b| self.function.choose(a, b))
    }
}

impl Kernel for Fold {
    fn backward_reads_inputs(&self) -> bool {
        !self.linear()
    }

    fn forward(&self, io: &mut Forward<'_>) {
        // The operands are processed one after another, which is the order of the sum for each element.
        for (n, (operand, walk)) in io.operands.iter().zip(&self.walks).enumerate() {
            let x = operand.data(&io.reader);
            walk.each_row(io.output, |y, [i, _], [step, _]| {
                let x = |k: usize| x[i + k * step];
                let y = y.iter_mut().enumerate();
                match (n, self.function) {
                    (0, _) => y.for_each(|(k, y)| *y = x(k)),
                    (_, Variadic::Sum | Variadic::Mean) => y.for_each(|(k, y)| *y += x(k)),
                    (_, function) => y.for_each(|(k, y)| *y = function.choose(*y, x(k))),
                }
            });
        }
        if self.function == Variadic::Mean {
            let factor = self.factor();
            io.output.par_chunks_mut(CHUNK).for_each(|y| y.iter_mut().for_each(|y| *y *= factor));
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let dy = io.reader.read(io.output_gradient);
        if self.linear() {
            let (walk, factor) = (&self.walks[operand], self.factor());
            return walk.sum_back(0, dy, io.gradient, accumulate, |dy, _, _| dy * factor);
        }
        let operands: Vec<&[f32]> = io.operands.iter().map(|o| o.data(&io.reader)).collect();
        let dx = &mut *io.gradient;
        if !accumulate {
            dx.fill(0.0);
        }
        for (i, dy) in dy.iter().enumerate() {
            let at = self.walks[operand].offsets(i)[0];
            let elements = || operands.iter().zip(&self.walks).map(|(x, w)| x[w.offsets(i)[0]]);
            let best = self.best(elements());
            if operands[operand][at] == best {
                dx[at] += dy / elements().filter(|e| *e == best).count() as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Case, data};

    #[test]
    fn gradients_agree_with_differences() {
        for op in ["Sum", "Mean", "Min", "Max"] {
            Case::new(op, vec![data(&[2, 3])]).check();
            Case::new(op, vec![data(&[2, 3]), data(&[3])]).check();
            Case::new(op, vec![data(&[2, 3]), data(&[2, 1]), data(&[4, 1, 1])]).check();
        }
    }
}
