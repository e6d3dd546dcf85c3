//! Products of two matrices that both may depend on the data: attention, and forms of `Gemm` beside dense layers.
//!
//! Y = α·A'·B' + β·C for every batch, batches broadcast. dA' = α·dY·B'ᵀ, dB' = α·A'ᵀ·dY.

use rayon::prelude::*;

use crate::error::OpError;
use crate::ops::binary::{Walk, broadcast};
use crate::ops::{Backward, Forward, Kernel};
use crate::tensor::volume;

/// How two operands multiply: Y\[m, n\] = Σ over k.
#[derive(Debug, Clone)]
pub struct Product {
    /// Rows of the result.
    m: usize,
    /// Extent of the sum.
    k: usize,
    /// Columns of the result.
    n: usize,
    /// Steps of A along m and k, of B along k and n.
    steps: [usize; 4],
    /// Where each operand's matrix lies, for every batch.
    batches: Vec<[usize; 2]>,
    /// Shape of the result.
    pub shape: Vec<usize>,
    /// Factor of the product.
    alpha: f32,
    /// Factor of the third operand, and where its elements lie.
    third: Option<(f32, Walk)>,
}

impl Product {
    /// `MatMul`: the last two axes multiply, the others broadcast; a vector is a row (first) or a column (second).
    pub fn batched(a: &[usize], b: &[usize]) -> Result<Self, OpError> {
        let fail = || OpError(format!("shapes {a:?} and {b:?} do not multiply"));
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
        let walk = Walk::new(&lead, [lead_a, lead_b]);
        let batches = (0..volume(&lead))
            .map(|i| {
                let [i, j] = walk.offsets(i);
                [i * m * k, j * k * n]
            })
            .collect();
        let mut shape = lead;
        shape.extend((a.len() > 1).then_some(m));
        shape.extend((b.len() > 1).then_some(n));
        Ok(Self { m, k, n, steps: [k, 1, n, 1], batches, shape, alpha: 1.0, third: None })
    }

    /// `Gemm`.
    pub fn transposed(
        a: &[usize],
        b: &[usize],
        transposed: [bool; 2],
        alpha: f32,
        third: Option<(f32, &[usize])>,
    ) -> Result<Self, OpError> {
        let fail = || OpError(format!("shapes {a:?} and {b:?} do not multiply"));
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
                return Err(OpError(format!("a third operand {c:?} does not fit {shape:?}")));
            }
            Some((beta, c)) => Some((beta, Walk::new(&shape, [c, c]))),
        };
        Ok(Self { m, k, n, steps: [am, ak, bk, bn], batches: vec![[0, 0]], shape, alpha, third })
    }
}

impl Kernel for Product {
    fn backward_reads_inputs(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let read = |i: usize| super::read(&io.reader, &io.operands[i]);
        let third = self.third.as_ref().map(|(beta, walk)| (*beta, walk, read(2)));
        let (a, b, y) = (read(0), read(1), &mut *io.output);
        let [am, ak, bk, bn] = self.steps;
        y.par_chunks_mut(self.n.max(1)).enumerate().for_each(|(row, y)| {
            let (batch, i) = (row / self.m, row % self.m);
            let [a0, b0] = self.batches[batch];
            y.fill(0.0);
            for k in 0..self.k {
                let w = a[a0 + i * am + k * ak];
                let b = &b[b0 + k * bk..];
                if bn == 1 {
                    y.iter_mut().zip(b).for_each(|(y, b)| *y += w * b);
                } else {
                    y.iter_mut().zip(b.iter().step_by(bn)).for_each(|(y, b)| *y += w * b);
                }
            }
            for (j, y) in y.iter_mut().enumerate() {
                let c = third.map_or(0.0, |(beta, walk, c)| beta * c[walk.offsets(row * self.n + j)[0]]);
                *y = self.alpha * *y + c;
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, operand) = (io.accumulate, io.operand);
        let read = |i: usize| super::read(&io.reader, &io.operands[i]);
        let dy = io.reader.read(io.output_gradient);
        let [am, ak, bk, bn] = self.steps;
        let (m, k, n) = (self.m, self.k, self.n);
        // The other operand; that of which the gradient is wanted is not read.
        let other = read(if operand == 0 { 1 } else { 0 });
        let dx = &mut *io.gradient;
        if !accumulate {
            dx.fill(0.0);
        }
        if operand == 2 {
            if let Some((beta, walk)) = &self.third {
                for (i, dy) in dy.iter().enumerate() {
                    dx[walk.offsets(i)[0]] += beta * dy;
                }
            }
            return;
        }
        for (batch, &[a0, b0]) in self.batches.iter().enumerate() {
            let dy = &dy[batch * m * n..][..m * n];
            if operand == 0 {
                let at = |index: usize| if ak == 1 { (index / k, index % k) } else { (index % m, index / m) };
                dx[a0..][..m * k].par_iter_mut().enumerate().for_each(|(index, dx)| {
                    let (i, l) = at(index);
                    debug_assert_eq!(index, i * am + l * ak);
                    let sum: f32 = (0..n).map(|j| dy[i * n + j] * other[b0 + l * bk + j * bn]).sum();
                    *dx += self.alpha * sum;
                });
            } else {
                let at = |index: usize| if bn == 1 { (index / n, index % n) } else { (index % k, index / k) };
                dx[b0..][..k * n].par_iter_mut().enumerate().for_each(|(index, dx)| {
                    let (l, j) = at(index);
                    debug_assert_eq!(index, l * bk + j * bn);
                    let sum: f32 = (0..m).map(|i| dy[i * n + j] * other[a0 + i * am + l * ak]).sum();
                    *dx += self.alpha * sum;
                });
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
