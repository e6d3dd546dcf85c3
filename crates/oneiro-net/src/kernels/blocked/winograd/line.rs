//! Winograd's filtering along one axis (width, height or time), for kernels of stride 1 whose taps form
//! lines.
//!
//! M outputs of R taps cost M + R − 1 products instead of M·R. F(2, 3) has the rounding errors of the direct
//! convolution. The other forms have larger ones and are used for gradients only. A kernel of several lines
//! is filtered along each line; the products of all lines are added before the transform back.

mod nested;
mod tiles;
mod transforms;

use super::products::{Products, SCRATCH, Scratch};
use super::{MANY_TILES, tiles_of_a_task};
use crate::kernels::blocked::dense::{PRODUCTS, WEIGHT_COST};
use crate::kernels::blocked::lanes::LANES;
use crate::kernels::blocked::{Packed, blocks_of, even, mask_plane};
use crate::kernels::correlate::{Correlation, volume};
use crate::kernels::epilogue::{Epilogue, SharedEpilogue};
use crate::kernels::isa::Isa;
use crate::kernels::scratch::Disjoint;
use crate::kernels::team;
use tiles::{Into, Lines, OutOf};
use transforms::{Matrices, into, out_of};

/// Cycles for each vector that a transform reads or writes, including waits for memory; measured on an Intel
/// Xeon of 2023 (Emerald Rapids).
const TRANSFORM: f64 = 7.0;

/// Tasks for each thread. With several, threads wait less for the last task.
const TASKS_PER_THREAD: usize = 2;

/// F(M, R) along a line: M outputs of R taps, evaluated at certain points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOutputs {
    /// F(3, 2), at the points 0, ±1, ∞.
    ThreeOfTwo,
    /// F(2, 3), at the points 0, ±1, ∞.
    TwoOfThree,
    /// F(4, 3), at the points 0, ±5/8, ±3/2, ∞.
    FourOfThree,
    /// F(3, 4), at the points of F(4, 3).
    ThreeOfFour,
    /// F(4, 5), at the points of F(2, 7).
    FourOfFive,
    /// F(4, 7): six taps by F(2, 3) nested in F(2, 2) at 0, 1, ∞, and the last tap separately
    /// (`line::nested`). It takes four products an output.
    Nested,
    /// F(2, 7), at 0, ±1/2, ±1, ±2, ∞. Of the triples of pairs tried it has the smallest error (1.2e-6; the
    /// direct sum 6.8e-7).
    TwoOfSeven,
    /// F(4, 7), at 0, ±3/8, ±3/4, ±5/4, ±2, ∞. Of the quadruples of pairs tried it has the smallest error
    /// (2.7e-6).
    FourOfSeven,
}

impl LineOutputs {
    /// All variants of the filtering along a line.
    pub const ALL: [LineOutputs; 8] = [
        LineOutputs::ThreeOfTwo,
        LineOutputs::TwoOfThree,
        LineOutputs::FourOfThree,
        LineOutputs::ThreeOfFour,
        LineOutputs::FourOfFive,
        LineOutputs::Nested,
        LineOutputs::TwoOfSeven,
        LineOutputs::FourOfSeven,
    ];

    /// Numbers of outputs and of taps of a tile.
    fn shape(self) -> (usize, usize) {
        match self {
            LineOutputs::ThreeOfTwo => (3, 2),
            LineOutputs::TwoOfThree => (2, 3),
            LineOutputs::FourOfThree => (4, 3),
            LineOutputs::ThreeOfFour => (3, 4),
            LineOutputs::FourOfFive => (4, 5),
            LineOutputs::TwoOfSeven => (2, 7),
            LineOutputs::Nested | LineOutputs::FourOfSeven => (4, 7),
        }
    }

    /// The finite points other than 0: each value stands for itself and its negative.
    fn pairs(self) -> &'static [f64] {
        match self {
            LineOutputs::ThreeOfTwo | LineOutputs::TwoOfThree => &[1.0],
            LineOutputs::FourOfThree | LineOutputs::ThreeOfFour => &[0.625, 1.5],
            LineOutputs::FourOfFive | LineOutputs::TwoOfSeven => &[0.5, 1.0, 2.0],
            LineOutputs::Nested => &[],
            LineOutputs::FourOfSeven => &[0.375, 0.75, 1.25, 2.0],
        }
    }

    /// Number of points that have transformed weights.
    fn points(self) -> usize {
        let (outputs, taps) = self.shape();
        if self == LineOutputs::Nested { nested::POINTS } else { outputs + taps - 1 }
    }

    /// Products of a tile for each pair of channels: one for each point, and one for each output if the last
    /// tap is separate.
    fn products(self) -> usize {
        self.points() + if self == LineOutputs::Nested { nested::OUTPUTS } else { 0 }
    }

    /// The variant's usual name, such as "F(4,3)".
    pub fn name(self) -> &'static str {
        match self {
            LineOutputs::ThreeOfTwo => "F(3,2)",
            LineOutputs::TwoOfThree => "F(2,3)",
            LineOutputs::FourOfThree => "F(4,3)",
            LineOutputs::ThreeOfFour => "F(3,4)",
            LineOutputs::FourOfFive => "F(4,5)",
            LineOutputs::Nested => "F(2,3) of F(2,2)",
            LineOutputs::TwoOfSeven => "F(2,7)",
            LineOutputs::FourOfSeven => "F(4,7)",
        }
    }

    /// Whether the rounding errors of this variant are no larger than those of the direct convolution.
    pub fn is_exact(self) -> bool {
        matches!(self, LineOutputs::TwoOfThree | LineOutputs::Nested)
    }
}

/// A correlation along one axis with its transformed weights.
#[derive(Debug)]
pub struct LineWinograd {
    correlation: Correlation,
    isa: Isa,
    outputs: LineOutputs,
    matrices: Matrices,
    form: Form,
    products: Products,
    /// Weights of the last tap, if it is computed separately.
    last: Option<Products>,
    /// The bias, one number for each channel: shape `[blocks][16]`.
    bias: Packed,
}

/// How the taps lie: on one or more lines along one axis. Lines lie below each other in a plane.
#[derive(Clone, Copy, Debug)]
struct Form {
    axis: usize,
    /// Smallest offset of the taps along the axis.
    low: isize,
    /// Smallest offset of the lines of taps. `lines` is their number.
    low_line: isize,
    lines: usize,
}

impl Form {
    /// Returns the form of the taps if they fill lines of `taps` taps, each place once, and the correlation
    /// leaves other axes unchanged.
    fn of(c: &Correlation, taps: usize) -> Option<Form> {
        let low = [0, 1, 2].map(|d| c.taps.iter().map(|t| t[d]).min().unwrap_or(0));
        let high = [0, 1, 2].map(|d| c.taps.iter().map(|t| t[d]).max().unwrap_or(0));
        let extent = [0, 1, 2].map(|d| (high[d] - low[d] + 1) as usize);
        let still = |d: usize| extent[d] == 1 && low[d] == 0 && c.src[d] == c.grid[d];
        let axis = (0..3).rev().find(|&axis| {
            let in_plane = axis == 2 && c.src[0] == 1 && c.grid[0] == 1;
            extent[axis] == taps && (0..3).all(|d| d == axis || still(d) || d == 1 && in_plane)
        })?;
        let lines = if axis == 2 { extent[1] } else { 1 };
        let mut taken = vec![false; lines * taps];
        for tap in &c.taps {
            let line = if axis == 2 { (tap[1] - low[1]) as usize } else { 0 };
            taken[line * taps + (tap[axis] - low[axis]) as usize] = true;
        }
        let full = c.taps.len() == lines * taps && taken.iter().all(|&t| t);
        // 3×3 taps are left to `Winograd`, which transforms along both axes.
        let fits = full && [lines, taps] != [3, 3] && c.groups == 1 && c.src_step == [1; 3];
        let low_line = if axis == 2 { low[1] } else { 0 };
        fits.then_some(Form { axis, low: low[axis], low_line, lines })
    }
}

impl LineWinograd {
    /// Whether this kernel can compute the correlation with these outputs.
    pub fn takes(correlation: &Correlation, outputs: LineOutputs) -> bool {
        let form = Form::of(correlation, outputs.shape().1);
        form.is_some_and(|form| form.lines == 1 || outputs != LineOutputs::Nested)
    }

    /// Estimated cost of one image in cycles of one core, comparable with the `cost` of other kernels.
    pub fn cost(correlation: &Correlation, outputs: LineOutputs) -> f64 {
        let Correlation { c_in, c_out, grid, .. } = *correlation;
        let ((m, taps), n) = (outputs.shape(), outputs.points());
        let Some(Form { axis, lines, .. }) = Form::of(correlation, taps) else { return f64::INFINITY };
        let tiles = (volume(grid) / grid[axis].max(1) * grid[axis].div_ceil(m)) as f64;
        let pairs = (lines * c_in * c_out) as f64;
        let (products, weights) = match outputs {
            LineOutputs::Nested => (outputs.products() as f64 * pairs, (n + 1) as f64 * pairs),
            _ => (n as f64 * pairs, n as f64 * pairs),
        };
        let blocks = (blocks_of(c_in) + blocks_of(c_out)) as f64;
        let sums = if outputs == LineOutputs::Nested { nested::SUMS } else { (n * n) as f64 / 4.0 };
        let transforms = tiles * blocks * (sums + outputs.products() as f64 * TRANSFORM);
        products * tiles / PRODUCTS + weights * WEIGHT_COST + transforms
    }

    /// Transforms the weights that `weight(out, input, tap)` returns, and pads a bias `[c_out]`.
    ///
    /// # Panics
    /// If [`LineWinograd::takes`] is false for the correlation.
    pub fn new(
        correlation: Correlation,
        isa: Isa,
        outputs: LineOutputs,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
        bias: Option<&[f32]>,
    ) -> LineWinograd {
        isa.require();
        let (_, taps) = outputs.shape();
        let Some(form) = Form::of(&correlation, taps) else { panic!("no lines of taps: {correlation:?}") };
        let mut places = vec![0; correlation.taps.len()];
        for (index, tap) in correlation.taps.iter().enumerate() {
            let line = if form.axis == 2 { (tap[1] - form.low_line) as usize } else { 0 };
            places[line * taps + (tap[form.axis] - form.low) as usize] = index;
        }
        let matrices = Matrices::of(outputs);
        let Correlation { c_in, c_out, .. } = correlation;
        let shape = [c_in, c_out, form.lines];
        let products = Products::new(isa, outputs.points(), shape, |out, input, line, put| {
            for (point, row) in matrices.filter.iter().enumerate() {
                let taps = row.iter().zip(&places[line * taps..]);
                put(point, taps.map(|(f, &tap)| f * f64::from(weight(out, input, tap))).sum::<f64>() as f32);
            }
        });
        let last = (outputs == LineOutputs::Nested).then(|| {
            Products::new(isa, 1, shape, |out, input, _, put| put(0, weight(out, input, places[taps - 1])))
        });
        let bias = Packed::bias(bias, 1, c_out);
        LineWinograd { correlation, isa, outputs, matrices, form, products, last, bias }
    }

    /// Returns the variant of the filtering.
    pub fn outputs(&self) -> LineOutputs {
        self.outputs
    }

    /// Computes the correlation into `dst`, or adds it to `dst` if `accumulate` is set; the bias is then left
    /// out.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run(&self, src: &[f32], dst: &mut [f32], accumulate: bool, epilogue: &mut Epilogue<'_>) {
        let c = &self.correlation;
        let (in_blocks, out_blocks) = (blocks_of(c.c_in), blocks_of(c.c_out));
        let (src_plane, dst_plane) = (volume(c.src), volume(c.dst));
        assert_eq!(src.len(), c.batch * in_blocks * src_plane * LANES, "source of {c:?}");
        assert_eq!(dst.len(), c.batch * out_blocks * dst_plane * LANES, "destination of {c:?}");
        if dst.is_empty() || volume(c.grid) == 0 {
            return;
        }
        c.check_grid();
        let epilogue = SharedEpilogue(epilogue.addresses(dst, c.batch * out_blocks, dst_plane));
        let dst = Disjoint::new(dst);
        let lines = self.lines();
        let all = lines.outer * lines.tiles * lines.inner;
        let threads = team::threads();
        let wanted = if threads == 1 { 1 } else { threads * TASKS_PER_THREAD };
        let fit = all.div_ceil(tiles_of_a_task(&self.products, self.outputs.products()).max(1));
        // With few tiles and many weights, reading weights dominates. Threads then take different output
        // blocks, and each transforms the whole source.
        let panels = self.products.panels();
        let few = c.batch * all < 2 * threads * MANY_TILES && !self.products.are_small();
        let panel_parts = if few { threads.div_ceil(c.batch).min(panels) } else { 1 };
        let parts = match fit {
            _ if few => 1,
            fit if c.batch * fit >= wanted => fit,
            fit => fit.next_multiple_of(threads.div_ceil(c.batch)).min(all),
        };
        team::each(c.batch * parts * panel_parts, 1, |task| {
            let (task, panel_part) = (task / panel_parts, task % panel_parts);
            let range = even(parts, task % parts, all);
            let panels = even(panel_parts, panel_part, panels);
            SCRATCH.with_borrow_mut(|scratch| {
                self.task(scratch, lines, task / parts, range, panels, src, &dst, accumulate, &epilogue)
            });
        });
    }

    fn lines(&self) -> Lines {
        let (c, axis) = (&self.correlation, self.form.axis);
        Lines {
            outer: c.grid[..axis].iter().product(),
            inner: c.grid[axis + 1..].iter().product(),
            tiles: c.grid[axis].div_ceil(self.outputs.shape().0),
        }
    }

    /// Index of an output in its plane: `along` counts positions on the line, `outer` and `inner` on the axes
    /// before and after it.
    #[inline(always)]
    fn position(&self, outer: usize, along: usize, inner: usize) -> usize {
        let c = &self.correlation;
        let at = match self.form.axis {
            0 => [along, inner / c.grid[2], inner % c.grid[2]],
            1 => [outer, along, inner],
            _ => [outer / c.grid[1], outer % c.grid[1], along],
        };
        let [z, y, x] = [0, 1, 2].map(|d| c.dst_start[d] + at[d] * c.dst_step[d]);
        (z * c.dst[1] + y) * c.dst[2] + x
    }

    /// Computes tiles `range.0 .. range.1` of one image. Tiles are counted along the inner axes first, then
    /// along the line, then along the outer axes.
    fn task(
        &self,
        scratch: &mut Scratch,
        lines: Lines,
        image: usize,
        range: (usize, usize),
        panels: (usize, usize),
        src: &[f32],
        dst: &Disjoint<'_, f32>,
        accumulate: bool,
        epilogue: &SharedEpilogue,
    ) {
        let c = &self.correlation;
        let count = range.1 - range.0;
        if count == 0 {
            return;
        }
        let in_blocks = blocks_of(c.c_in);
        let first_block = panels.0 * self.products.width;
        let out_blocks = (panels.1 * self.products.width).min(blocks_of(c.c_out)) - first_block;
        let (src_plane, dst_plane) = (volume(c.src), volume(c.dst));
        let n = self.outputs.points();
        // `shift` is the distance from the tiles of one line of taps to those of the next. Tiles of all lines
        // are needed. The distance between two points is an odd number of cache lines, so that points do not
        // fall into the same sets of a cache.
        let shift = lines.tiles * lines.inner;
        let in_count = count + (self.form.lines - 1) * shift;
        let in_point = ((in_blocks * in_count) | 1) * LANES;
        let out_point = ((out_blocks * count) | 1) * LANES;
        let Scratch { source, product, offsets } = scratch;
        // The inputs of the last tap and its products are stored after the points. There is one of each for
        // every output of a tile.
        let each = if self.last.is_some() { nested::OUTPUTS * count } else { 0 };
        let (in_all, out_all) =
            (n * in_point + in_blocks * each * LANES, n * out_point + out_blocks * each * LANES);
        let source = source.at_least(in_all);
        let product = product.at_least(out_all);
        assert!(source.len() >= in_all && product.len() >= out_all);
        for block in 0..in_blocks {
            let plane = (block * c.batch + image) * src_plane * LANES;
            let call = Into {
                line: self,
                lines,
                range: (range.0, range.0 + in_count),
                plane: &src[plane..plane + src_plane * LANES],
                to: source[block * in_count * LANES..].as_mut_ptr(),
                point: in_point,
                last: source[n * in_point + block * each * LANES..].as_mut_ptr(),
            };
            // SAFETY: every point has room for the tiles (asserted).
            unsafe { into(self.isa, &call) };
        }
        self.products.multiply(
            panels,
            [count, in_count, shift],
            source,
            in_point,
            product,
            out_point,
            offsets,
        );
        if let Some(last) = &self.last {
            let (source, product) = (&source[n * in_point..], &mut product[n * out_point..]);
            last.multiply(panels, [each, each, 0], source, 0, product, 0, offsets);
        }
        for block in 0..out_blocks {
            let row = (first_block + block) * c.batch + image;
            dst.pointer((row + 1) * dst_plane * LANES);
            let call = OutOf {
                line: self,
                lines,
                range,
                from: product[block * count * LANES..].as_ptr(),
                point: out_point,
                last: product[n * out_point + block * each * LANES..].as_ptr(),
                to: dst.pointer(row * dst_plane * LANES),
                bias: self.bias.as_slice()[(first_block + block) * LANES..][..LANES].as_ptr(),
                accumulate,
                epilogue: epilogue.get(),
                mask: row * mask_plane(dst_plane),
            };
            // SAFETY: every point has the tiles (asserted), and the destination has the plane (its end was
            // asked for). The outputs of a tile belong to this task alone.
            unsafe { out_of(self.isa, &call) };
        }
    }
}
