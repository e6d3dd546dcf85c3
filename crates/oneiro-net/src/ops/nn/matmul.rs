//! Products of two matrices that may both depend on the data: attention, and forms of `Gemm` other than dense
//! layers.
//!
//! Y = α·A'·B' + β·C for every batch index, with broadcasting. dA' = α·dY·B'ᵀ and dB' = α·A'ᵀ·dY are
//! contractions, too.

use crate::error::OpError;
use crate::kernels::{Contraction, Index, Isa};
use crate::ops::array::broadcast::{Walk, broadcast};
use crate::ops::{Backward, Forward, Kernel};
use crate::tensor::volume;

/// The product of two operands: Y\[m, n\] = Σₖ A\[m, k\]·B\[k, n\].
#[derive(Debug, Clone)]
pub struct Product {
    /// The indices, with extents and strides in A, B and Y.
    indices: Vec<Index>,
    /// Shape of the product Y.
    pub shape: Vec<usize>,
    /// Factor by which the product is multiplied.
    alpha: f32,
    /// Factor of the third operand, and the offsets of its elements.
    third: Option<(f32, Walk)>,
}

/// Strides of a shape along the axes of a shape of rank `rank`; 0 where it is broadcast.
fn steps(shape: &[usize], rank: usize) -> Vec<usize> {
    let mut steps = vec![0; rank - shape.len()];
    steps.extend((0..shape.len()).map(|i| if shape[i] == 1 { 0 } else { volume(&shape[i + 1..]) }));
    steps
}

impl Product {
    /// `MatMul`: multiplies along the last two axes and broadcasts the others. A vector is a row if it comes
    /// first, else a column.
    pub fn batched(a: &[usize], b: &[usize]) -> Result<Self, OpError> {
        let fail = || OpError::Refused(format!("shapes {a:?} and {b:?} do not multiply"));
        if a.is_empty() || b.is_empty() {
            return Err(fail());
        }
        let full_a = if a.len() == 1 { vec![1, a[0]] } else { a.to_vec() };
        let full_b = if b.len() == 1 { vec![b[0], 1] } else { b.to_vec() };
        let (lead_a, &[m, k]) = full_a.split_last_chunk().ok_or_else(fail)?;
        let (lead_b, &[k2, n]) = full_b.split_last_chunk().ok_or_else(fail)?;
        if k != k2 {
            return Err(fail());
        }
        let lead = broadcast(lead_a, lead_b)?;
        let (in_a, in_b) = (steps(lead_a, lead.len()), steps(lead_b, lead.len()));
        let mut indices: Vec<Index> = (0..lead.len())
            .map(|i| Index {
                extent: lead[i],
                a: in_a[i].saturating_mul(m * k),
                b: in_b[i].saturating_mul(k * n),
                c: volume(&lead[i + 1..]).saturating_mul(m * n),
            })
            .collect();
        indices.push(Index { extent: m, a: k, b: 0, c: n });
        indices.push(Index { extent: k, a: 1, b: n, c: 0 });
        indices.push(Index { extent: n, a: 0, b: 1, c: 1 });
        let mut shape = lead;
        shape.extend((a.len() > 1).then_some(m));
        shape.extend((b.len() > 1).then_some(n));
        Ok(Self { indices, shape, alpha: 1.0, third: None })
    }

    /// The product of ONNX `Gemm`, whose factors may be transposed.
    pub fn transposed(
        a: &[usize],
        b: &[usize],
        transposed: [bool; 2],
        alpha: f32,
        third: Option<(f32, &[usize])>,
    ) -> Result<Self, OpError> {
        let fail = || OpError::Refused(format!("shapes {a:?} and {b:?} do not multiply"));
        let (&[a0, a1], &[b0, b1]) = (a, b) else { return Err(fail()) };
        let (m, k, am, ak) = if transposed[0] { (a1, a0, 1, a1) } else { (a0, a1, a1, 1) };
        let (k2, n, bk, bn) = if transposed[1] { (b1, b0, 1, b1) } else { (b0, b1, b1, 1) };
        if k != k2 {
            return Err(fail());
        }
        let shape = vec![m, n];
        let third = match third {
            None => None,
            Some((_, c)) if broadcast(&shape, c)? != shape => {
                return Err(OpError::Refused(format!("a third operand {c:?} does not fit {shape:?}")));
            }
            Some((beta, c)) => Some((beta, Walk::new(&shape, [c, c]))),
        };
        let indices = vec![
            Index { extent: m, a: am, b: 0, c: n },
            Index { extent: k, a: ak, b: bk, c: 0 },
            Index { extent: n, a: 0, b: bn, c: 1 },
        ];
        Ok(Self { indices, shape, alpha, third })
    }

    /// Prepares the contractions of the product and its gradients, without the factors α and β.
    pub(crate) fn pair(&self, isa: Isa, gradients: bool) -> Result<Pair, OpError> {
        Pair::new(isa, &self.indices, gradients)
    }

    /// Returns the kernel of the product.
    pub fn kernel(self, isa: Isa, gradients: bool) -> Result<impl Kernel + use<>, OpError> {
        Ok(Multiply { pair: self.pair(isa, gradients)?, alpha: self.alpha, third: self.third })
    }
}

/// The contraction of two tensors, and the contractions that give both gradients.
#[derive(Debug)]
pub(crate) struct Pair {
    isa: Isa,
    forward: Contraction,
    backward: Option<[Contraction; 2]>,
}

impl Pair {
    /// Prepares the contractions that are needed. Returns an error if a contraction is refused.
    pub(crate) fn new(isa: Isa, indices: &[Index], gradients: bool) -> Result<Self, OpError> {
        let build = |turn: &dyn Fn(&Index) -> Index| {
            let turned: Vec<Index> = indices.iter().map(turn).collect();
            Contraction::new(&turned).ok_or_else(|| OpError::Refused("the product is too large".into()))
        };
        let backward = if gradients {
            let first = build(&|i| Index { extent: i.extent, a: i.c, b: i.b, c: i.a })?;
            let second = build(&|i| Index { extent: i.extent, a: i.a, b: i.c, c: i.b })?;
            Some([first, second])
        } else {
            None
        };
        Ok(Self { isa, forward: build(&|i| *i)?, backward })
    }

    pub(crate) fn forward(&self, scale: f32, a: &[f32], b: &[f32], y: &mut [f32]) {
        self.forward.run(self.isa, scale, a, b, y, false);
    }

    /// Computes the gradient of factor `which` from the other factor.
    pub(crate) fn backward(
        &self,
        which: usize,
        scale: f32,
        other: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        accumulate: bool,
    ) {
        let Some(contractions) = &self.backward else { return };
        let (a, b) = if which == 0 { (dy, other) } else { (other, dy) };
        contractions[which].run(self.isa, scale, a, b, dx, accumulate);
    }
}

#[derive(Debug)]
struct Multiply {
    pair: Pair,
    alpha: f32,
    third: Option<(f32, Walk)>,
}

impl Kernel for Multiply {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let read = |i: usize| io.operands[i].data(&io.reader);
        let third = self.third.as_ref().map(|(beta, walk)| (*beta, walk, read(2)));
        self.pair.forward(self.alpha, read(0), read(1), io.output);
        if let Some((beta, walk, c)) = third {
            for (i, y) in io.output.iter_mut().enumerate() {
                *y += beta * c[walk.offsets(i)[0]];
            }
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let dy = io.reader.read(io.output_gradient);
        let dx = &mut *io.gradient;
        if operand < 2 {
            // The operand whose gradient is computed is not read itself.
            let other = io.operands[1 - operand].data(&io.reader);
            self.pair.backward(operand, self.alpha, other, dy, dx, accumulate);
            return;
        }
        if !accumulate {
            dx.fill(0.0);
        }
        if let Some((beta, walk)) = &self.third {
            for (i, dy) in dy.iter().enumerate() {
                dx[walk.offsets(i)[0]] += beta * dy;
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
        let pairs: [(&[usize], &[usize]); 7] = [
            (&[2, 3, 4], &[2, 4, 5]),
            (&[2, 1, 3, 4], &[3, 4, 2]),
            (&[3, 4], &[2, 4, 5]),
            (&[4], &[4, 3]),
            (&[2, 3, 4], &[4]),
            (&[4], &[4]),
            (&[3, 4], &[4, 1]),
        ];
        for (a, b) in pairs {
            Case::new("MatMul", vec![data(a), data(b)]).check();
            Case::new("MatMul", vec![constant_data(a), data(b)]).check();
        }
        for (ta, tb) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let shape = |t: i64, r, c| if t == 1 { vec![c, r] } else { vec![r, c] };
            for third in [&[][..], &[5], &[3, 1], &[3, 5]] {
                Case::new("Gemm", vec![data(&shape(ta, 3, 4)), data(&shape(tb, 4, 5)), data(third)])
                    .attribute("transA", Attribute::Int(ta))
                    .attribute("transB", Attribute::Int(tb))
                    .attribute("alpha", Attribute::Float(0.5))
                    .attribute("beta", Attribute::Float(2.0))
                    .check();
            }
        }
    }
}
