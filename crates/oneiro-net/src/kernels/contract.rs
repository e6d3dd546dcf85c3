//! Sums of products of two tensors over shared indices, with any strides: all forms of matrix products, their
//! gradients, and `Einsum`.
//!
//! ```text
//! c[batch, row, column] = Σ_depth a[batch, row, depth] · b[batch, depth, column]
//! ```
//!
//! Each of batch, row, column and depth stands for any number of indices. Both factors are packed block by
//! block and multiplied in register tiles (`gemm`). The sums are then written to the result. Each element is
//! one sum over the depth, in chains that begin at fixed depths, so the division of work changes no bit.

use super::gemm::{CHAIN, MAX_ROWS, Tile, TileShape, tile_of};
use super::isa::Isa;
use super::scratch::{AlignedBuffer, Disjoint};
use rayon::prelude::*;
use std::cell::RefCell;

/// Depth of one pass: a whole number of chains.
const DEPTH_BLOCK: usize = 4 * CHAIN;
/// Number of columns that one task computes.
const COLUMN_BLOCK: usize = 256;
/// Panels of rows of a task. With so many, packing the other factor costs little beside multiplying.
const PANELS: usize = 8;
/// Most entries in a table of positions. A larger contraction is refused.
const MAX_TABLE: usize = 1 << 26;

/// One index: its extent, and its strides in both factors and in the result. A stride is 0 where the index
/// does not occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// Number of values that the index takes.
    pub extent: usize,
    /// Stride of the index in the first factor.
    pub a: usize,
    /// Stride of the index in the second factor.
    pub b: usize,
    /// Stride in the result. An index of stride 0 is summed over.
    pub c: usize,
}

/// A contraction, prepared for repeated runs.
#[derive(Clone, Debug)]
pub struct Contraction {
    /// Offsets in a, b and c of each batch.
    batches: Vec<[usize; 3]>,
    /// Offsets in a and c of each row.
    rows: Vec<[usize; 2]>,
    /// Offsets in b and c of each column.
    columns: Vec<[usize; 2]>,
    /// Offsets in a and b of each product of a sum.
    depth: Vec<[usize; 2]>,
    /// Whether the factors are swapped, so that the columns of the tiles are neighbours in the result.
    swapped: bool,
    /// One more than the largest offset in a, b and c.
    ends: [usize; 3],
}

impl Contraction {
    /// Prepares a contraction; sums run over the indices in the order given. Returns `None` if it is too
    /// large, or if two elements of the result would share a place.
    pub fn new(indices: &[Index]) -> Option<Contraction> {
        let mut indices: Vec<Index> = indices.iter().copied().filter(|i| i.extent != 1).collect();
        // If each stride exceeds the largest offset of all smaller strides, no two elements share a place.
        let mut steps: Vec<(usize, usize)> =
            indices.iter().filter(|i| i.c > 0).map(|i| (i.c, i.extent)).collect();
        steps.sort_unstable();
        let mut below = 0usize;
        for (step, extent) in steps {
            if step <= below && extent > 1 {
                return None;
            }
            below = below.checked_add(step.checked_mul(extent.saturating_sub(1))?)?;
        }
        // The index with the smallest stride in the result becomes a column, so that tiles write contiguous
        // elements.
        let finest = indices.iter().filter(|i| i.c > 0 && (i.a == 0) != (i.b == 0)).min_by_key(|i| i.c);
        let swapped = finest.is_some_and(|i| i.b == 0);
        if swapped {
            indices.iter_mut().for_each(|i| (i.a, i.b) = (i.b, i.a));
        }
        let table = |wanted: &dyn Fn(&Index) -> bool| -> Option<Vec<[usize; 3]>> {
            let mut positions = vec![[0; 3]];
            for i in indices.iter().filter(|i| wanted(i)) {
                let len = positions.len().checked_mul(i.extent).filter(|&n| n <= MAX_TABLE)?;
                let mut next = Vec::with_capacity(len);
                for p in &positions {
                    next.extend((0..i.extent).map(|k| [p[0] + k * i.a, p[1] + k * i.b, p[2] + k * i.c]));
                }
                positions = next;
            }
            Some(positions)
        };
        let batches = table(&|i| i.c > 0 && (i.a > 0) == (i.b > 0))?;
        let rows = table(&|i| i.c > 0 && i.a > 0 && i.b == 0)?;
        let columns = table(&|i| i.c > 0 && i.a == 0 && i.b > 0)?;
        let depth = table(&|i| i.c == 0)?;
        let end = |factor: usize| {
            let last = |t: &[[usize; 3]]| t.iter().map(|p| p[factor]).max().unwrap_or(0);
            last(&batches) + last(&rows) + last(&columns) + last(&depth) + 1
        };
        let empty = [&batches, &rows, &columns, &depth].iter().any(|t| t.is_empty());
        let ends = if empty { [0; 3] } else { [end(0), end(1), end(2)] };
        Some(Contraction {
            batches,
            rows: rows.into_iter().map(|p| [p[0], p[2]]).collect(),
            columns: columns.into_iter().map(|p| [p[1], p[2]]).collect(),
            depth: depth.into_iter().map(|p| [p[0], p[1]]).collect(),
            swapped,
            ends,
        })
    }

    /// Computes `c = scale · Σ a · b`, or adds it to `c` if `accumulate` is set. Elements of `c` that no
    /// result index reaches become 0, or stay unchanged with `accumulate`.
    ///
    /// If a slice is too short.
    pub fn run(&self, isa: Isa, scale: f32, a: &[f32], b: &[f32], c: &mut [f32], accumulate: bool) {
        let (a, b) = if self.swapped { (b, a) } else { (a, b) };
        let elements = self.batches.len() * self.rows.len() * self.columns.len();
        if !accumulate && elements < c.len() {
            c.fill(0.0);
        }
        if elements == 0 || (accumulate && self.depth.is_empty()) {
            return;
        }
        let fits = a.len() >= self.ends[0] && b.len() >= self.ends[1] && c.len() >= self.ends[2];
        assert!(fits, "a contraction of {:?} over slices too short", self.ends);
        let shape = TileShape::of(isa);
        let height = shape.panel_rows(self.rows.len());
        let row_parts = self.rows.len().div_ceil(PANELS * height);
        let column_parts = self.columns.len().div_ceil(COLUMN_BLOCK);
        let job = Job { contraction: self, isa, shape, height, scale, a, b, c: Disjoint::new(c), accumulate };
        let run = |task: usize| {
            let (batch, part) = (task / (row_parts * column_parts), task % (row_parts * column_parts));
            let (row, column) = (part / column_parts * PANELS * height, part % column_parts * COLUMN_BLOCK);
            let rows = &self.rows[row..self.rows.len().min(row + PANELS * height)];
            let columns = &self.columns[column..self.columns.len().min(column + COLUMN_BLOCK)];
            SCRATCH.with_borrow_mut(|scratch| job.run(scratch, self.batches[batch], rows, columns));
        };
        let tasks = self.batches.len() * row_parts * column_parts;
        if tasks == 1 || rayon::current_num_threads() == 1 {
            (0..tasks).for_each(run);
        } else {
            (0..tasks).into_par_iter().for_each(run);
        }
    }
}

/// Working memory of one thread.
struct Scratch {
    rows: AlignedBuffer,
    columns: AlignedBuffer,
    sums: AlignedBuffer,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch {
            rows: AlignedBuffer::new(),
            columns: AlignedBuffer::new(),
            sums: AlignedBuffer::new(),
        })
    };
}

/// One call of `Contraction::run`, shared by its tasks.
struct Job<'a> {
    contraction: &'a Contraction,
    isa: Isa,
    shape: TileShape,
    /// Number of rows in a panel of the first factor.
    height: usize,
    scale: f32,
    a: &'a [f32],
    b: &'a [f32],
    c: Disjoint<'a, f32>,
    accumulate: bool,
}

/// Zeros from which every chain starts.
static ZEROS: [f32; MAX_ROWS] = [0.0; MAX_ROWS];

impl Job<'_> {
    /// Runs one task: some rows and columns of one batch.
    fn run(&self, scratch: &mut Scratch, batch: [usize; 3], rows: &[[usize; 2]], columns: &[[usize; 2]]) {
        let width = self.shape.columns;
        let strips = columns.len().div_ceil(width);
        let stride = strips * width;
        let sums = scratch.sums.at_least(rows.len() * stride);
        let depth = &self.contraction.depth;
        for from in (0..depth.len().max(1)).step_by(DEPTH_BLOCK) {
            let depth = &depth[from..depth.len().min(from + DEPTH_BLOCK)];
            let packed = scratch.columns.at_least(strips * depth.len() * width);
            let packed = &mut packed[..strips * depth.len() * width];
            pack(&self.b[batch[1]..], columns, |k| depth[k][1], depth.len(), packed, width);
            for (panel, panel_rows) in rows.chunks(self.height).enumerate() {
                let height = panel_rows.len();
                let weights = &mut scratch.rows.at_least(depth.len() * height)[..depth.len() * height];
                pack(&self.a[batch[0]..], panel_rows, |k| depth[k][0], depth.len(), weights, height);
                let start = if from == 0 { ZEROS.as_ptr() } else { std::ptr::null() };
                let mut left = columns.len();
                for strip in 0..strips {
                    let vectors = left.min(width).div_ceil(self.shape.lanes);
                    left -= left.min(width);
                    let tile: Tile = tile_of(self.isa, height, vectors);
                    let columns = &packed[strip * depth.len() * width..];
                    let to = &mut sums[panel * self.height * stride + strip * width..];
                    assert!(
                        to.len() >= (height - 1) * stride + width && columns.len() >= depth.len() * width
                    );
                    // SAFETY: `tile_of` has checked the instruction set. For each product, `weights` has a
                    // row of the tile's height, and `columns` one of the full tile's width. The sums have as
                    // many rows (checked above) and belong to this thread. `ZEROS` is as long as any tile is
                    // high.
                    unsafe {
                        tile(depth.len(), weights.as_ptr(), columns.as_ptr(), to.as_mut_ptr(), stride, start);
                    }
                }
            }
        }
        self.write(batch[2], rows, columns, sums, stride);
    }

    /// Writes finished sums to their places in the result.
    fn write(&self, base: usize, rows: &[[usize; 2]], columns: &[[usize; 2]], sums: &[f32], stride: usize) {
        let put = |to: &mut f32, sum: f32| {
            let value = self.scale * sum;
            *to = if self.accumulate { *to + value } else { value };
        };
        let together = columns.iter().enumerate().all(|(j, c)| c[1] == columns[0][1] + j);
        for (row, sums) in rows.iter().zip(sums.chunks(stride)) {
            let row = base + row[1];
            if together {
                // SAFETY: elements of the result are distinct (`Contraction::new`), and each belongs to one
                // task.
                let to = unsafe { self.c.part(row + columns[0][1], columns.len()) };
                to.iter_mut().zip(sums).for_each(|(to, sum)| put(to, *sum));
            } else {
                for (column, sum) in columns.iter().zip(sums) {
                    // SAFETY: elements of the result are distinct (`Contraction::new`), and each belongs to
                    // one task.
                    let to = unsafe { self.c.part(row + column[1], 1) };
                    put(&mut to[0], *sum);
                }
            }
        }
    }
}

/// Packs panels of `width` items: `to[panel][k][i] = from[items[panel · width + i] + depth(k)]`. The last
/// panel is filled up with zeros.
fn pack(
    from: &[f32],
    items: &[[usize; 2]],
    depth: impl Fn(usize) -> usize,
    count: usize,
    to: &mut [f32],
    width: usize,
) {
    if count == 0 {
        return;
    }
    let panel = count * width;
    let side_by_side = items.iter().enumerate().all(|(i, item)| item[0] == items[0][0] + i);
    if side_by_side {
        // The loop runs over k outside, so that each source row, which may be wide, is read once.
        for k in 0..count {
            let line = &from[items[0][0] + depth(k)..][..items.len()];
            for (to, line) in to.chunks_exact_mut(panel).zip(line.chunks(width)) {
                let (to, rest) = to[k * width..(k + 1) * width].split_at_mut(line.len());
                to.copy_from_slice(line);
                rest.fill(0.0);
            }
        }
        return;
    }
    let first = depth(0);
    let run = (0..count).all(|k| depth(k) == first + k);
    for (to, items) in to.chunks_exact_mut(panel).zip(items.chunks(width)) {
        if items.len() < width {
            to.fill(0.0);
        }
        for (i, item) in items.iter().enumerate() {
            if run {
                let line = &from[item[0] + first..][..count];
                to[i..].iter_mut().step_by(width).zip(line).for_each(|(to, x)| *to = *x);
            } else {
                let line = to[i..].iter_mut().step_by(width).enumerate();
                line.for_each(|(k, to)| *to = from[item[0] + depth(k)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{assert_close, in_pool, numbers};

    fn index(extent: usize, a: usize, b: usize, c: usize) -> Index {
        Index { extent, a, b, c }
    }

    /// Lengths of a, b and c, and the indices of a contraction.
    fn cases() -> Vec<([usize; 3], Vec<Index>)> {
        let plain = |m: usize, k: usize, n: usize| {
            let indices = vec![index(m, k, 0, n), index(n, 0, 1, 1), index(k, 1, n, 0)];
            ([m * k, k * n, m * n], indices)
        };
        vec![
            plain(1, 1, 1),
            plain(3, 70, 5),
            plain(17, 300, 33),
            plain(130, 65, 300),
            plain(2, 0, 3),
            // A case in which both factors and the result are transposed.
            ([6, 8, 12], vec![index(3, 1, 0, 1), index(4, 0, 2, 3), index(2, 3, 1, 0)]),
            // Several batches, for which one factor is the same.
            (
                [24, 20, 30],
                vec![index(2, 12, 0, 15), index(3, 4, 0, 5), index(5, 0, 1, 1), index(4, 1, 5, 0)],
            ),
            // A case in which the batch index is summed over.
            (
                [24, 30, 20],
                vec![index(2, 12, 15, 0), index(4, 1, 0, 5), index(5, 0, 1, 1), index(3, 4, 5, 0)],
            ),
            // The result has a diagonal, and an index that occurs in the result alone.
            ([3, 3, 18], vec![index(3, 1, 1, 4), index(2, 0, 0, 9)]),
        ]
    }

    fn reference(indices: &[Index], a: &[f32], b: &[f32], c: &mut [f64]) {
        let volume: usize = indices.iter().map(|i| i.extent).product();
        for mut n in 0..volume {
            let mut at = [0; 3];
            for i in indices.iter().rev() {
                let k = n % i.extent;
                n /= i.extent;
                at = [at[0] + k * i.a, at[1] + k * i.b, at[2] + k * i.c];
            }
            c[at[2]] += f64::from(a[at[0]]) * f64::from(b[at[1]]);
        }
    }

    #[test]
    fn contractions_equal_the_definition_whatever_the_threads() {
        let mut failures = Vec::new();
        for (n, ([a, b, c], indices)) in cases().into_iter().enumerate() {
            let (a, b, held) = (numbers(a, 1), numbers(b, 2), numbers(c, 3));
            let contraction = Contraction::new(&indices).unwrap();
            for isa in Isa::available() {
                for accumulate in [false, true] {
                    let mut expected: Vec<f64> =
                        held.iter().map(|&x| if accumulate { x.into() } else { 0.0 }).collect();
                    reference(&indices, &a, &b, &mut expected);
                    let run = |threads| {
                        let mut c = held.clone();
                        in_pool(threads, || contraction.run(isa, 1.0, &a, &b, &mut c, accumulate));
                        c
                    };
                    let found = run(1);
                    assert_close(&mut failures, &format!("case {n}, {isa:?}"), &found, &expected);
                    if run(3) != found {
                        failures.push(format!("case {n}, {isa:?}: threads"));
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn the_number_of_rows_and_columns_does_not_change_a_bit() {
        let (m, k, n) = (40, 300, 70);
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        for isa in Isa::available() {
            let run = |m: usize, a: &[f32]| {
                let indices = [index(m, k, 0, n), index(n, 0, 1, 1), index(k, 1, n, 0)];
                let mut c = vec![0.0; m * n];
                Contraction::new(&indices).unwrap().run(isa, 1.0, a, &b, &mut c, false);
                c
            };
            let all = run(m, &a);
            for rows in [1, 3, 14, 29] {
                assert_eq!(run(rows, &a[k..]), all[n..(rows + 1) * n], "{isa:?}, {rows} rows");
            }
        }
    }

    #[test]
    fn a_result_whose_elements_fall_together_is_refused() {
        assert!(Contraction::new(&[index(3, 1, 0, 1), index(2, 0, 1, 1)]).is_none());
        assert!(Contraction::new(&[index(3, 1, 0, 1), index(2, 0, 1, 2)]).is_none());
        assert!(Contraction::new(&[index(usize::MAX, 1, 0, 1), index(2, 0, 1, 2)]).is_none());
    }
}
