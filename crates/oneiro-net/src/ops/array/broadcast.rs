//! Broadcasting: the common shape of two operands, and the offsets of their elements for each output element.

use rayon::prelude::*;

use crate::error::OpError;

/// Fewest elements of a task. It is fixed, so that the division of work never depends on the number of
/// threads.
const CHUNK: usize = 1 << 14;

/// Returns the shape to which two shapes broadcast (ONNX, multidirectional).
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, OpError> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(OpError::Refused(format!("shapes {a:?} and {b:?} do not broadcast"))),
        })
        .collect()
}

/// The output's axes with each operand's strides. Neighbouring axes are merged if both operands allow it.
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
            // Axes are collected from the innermost on. An axis is merged if it continues the previous one in
            // both operands.
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

    /// Returns the offsets in both operands of an element of the output.
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

    /// Calls `work(row, offsets of its first elements, strides)` for the innermost rows of the output.
    pub(crate) fn each_row(&self, y: &mut [f32], work: impl Fn(&mut [f32], [usize; 2], [usize; 2]) + Sync) {
        if y.is_empty() {
            return;
        }
        let (inner, steps) = self.inner();
        // Long rows are divided among tasks, too.
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

    /// Computes the gradient of operand `which`. Each of its elements sums `term(dy, i, j)` over the outputs
    /// that read it; i and j are the offsets in both operands.
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
        // If dx has the outermost axis, output rows with different indices on it write disjoint parts of dx.
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

    /// Whether both operands have the output's layout, element by element.
    pub(crate) fn is_elementwise(&self) -> bool {
        self.dims.len() == 1 && self.strides.iter().all(|s| s[0] == 1)
    }

    fn inner(&self) -> (usize, [usize; 2]) {
        let last = self.dims.len() - 1;
        (self.dims[last], [self.strides[0][last], self.strides[1][last]])
    }

    fn total(&self) -> usize {
        self.dims.iter().product()
    }
}
