//! Winograd's minimal filtering for 3×3 convolutions of stride 1, in two dimensions, or in the planes of a
//! 3-D convolution.
//!
//! A tile of M×M outputs costs (M+2)² products instead of 9·M²: 2.25 times fewer for M = 2, 4 times fewer for
//! M = 4 (Winograd, *Arithmetic complexity of computations*, 1980; Lavin and Gray, *Fast algorithms for
//! convolutional neural networks*, 2016). Source tiles are transformed to their values at (M+2)² points. At
//! each point, the register tiles of the direct convolution multiply them with transformed weights, and sum
//! over channels and taps in depth. The products are then transformed back.
//!
//! M = 2 has the rounding errors of the direct convolution. M = 4 rounds about four times worse at the points
//! chosen in [`transforms`]. It is used for gradients, where no branch depends on a value. It is not used for
//! activations, where an error decides on which side of zero a ReLU falls.

mod line;
mod products;
mod tiles;
mod transforms;

pub use line::{LineOutputs, LineWinograd};

use super::dense::{PRODUCTS, WEIGHT_COST};
use super::lanes::LANES;
use super::{Packed, blocks_of, even};
use crate::kernels::correlate::{Correlation, volume};
use crate::kernels::epilogue::{Epilogue, SharedEpilogue};
use crate::kernels::isa::Isa;
use crate::kernels::scratch::Disjoint;
use crate::kernels::team;
use products::{Products, SCRATCH, Scratch};
use tiles::{Into, OutOf, into_four, into_two, out_of_four, out_of_two};
use transforms::filter;

/// Most elements of the transformed tiles of one task, if the transformed weights fit a second-level cache
/// beside them.
const SMALL_NUMBERS: usize = 256 << 10;
/// Largest number of transformed weights for which [`SMALL_NUMBERS`] applies.
const SMALL_WEIGHTS: usize = 192 << 10;
/// Fewest tiles of a task if there are more weights: each task reads all of them again.
const MANY_TILES: usize = 72;

/// Cycles to transform one tile of one block to or from F(2×2, 3×3), including waits for memory; measured on
/// an Intel Xeon of 2023 (Emerald Rapids).
const TRANSFORM_TWO: f64 = 130.0;
/// Cycles to transform one tile of one block to or from F(4×4, 3×3).
const TRANSFORM_FOUR: f64 = 330.0;

/// Tasks for each thread. With several, threads wait less for the last task.
const TASKS_PER_THREAD: usize = 2;

/// Number of outputs of a tile along each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// F(2×2, 3×3): tiles of 2×2 outputs.
    Two,
    /// F(4×4, 3×3): tiles of 4×4 outputs.
    Four,
}

impl Outputs {
    fn count(self) -> usize {
        match self {
            Outputs::Two => 2,
            Outputs::Four => 4,
        }
    }

    /// Whether the rounding errors of this variant are no larger than those of the direct convolution.
    pub fn is_exact(self) -> bool {
        self == Outputs::Two
    }

    /// Number of inputs of a tile along each side.
    fn inputs(self) -> usize {
        self.count() + 2
    }

    fn points(self) -> usize {
        self.inputs() * self.inputs()
    }
}

/// A 3×3 correlation with its transformed weights.
#[derive(Debug)]
pub struct Winograd {
    correlation: Correlation,
    isa: Isa,
    outputs: Outputs,
    /// Smallest offset of the taps along each axis.
    low: [isize; 3],
    /// Number of taps of the kernel in depth.
    depth: usize,
    products: Products,
    /// The bias, one number for each channel: shape `[blocks][16]`.
    bias: Packed,
}

impl Winograd {
    /// Whether this kernel can compute the correlation: one group, all 3×3 taps of the plane without
    /// dilation, stride 1, and a grid that is the whole destination.
    pub fn takes(correlation: &Correlation) -> bool {
        let Some(shape) = shape_of(correlation) else { return false };
        correlation.groups == 1
            && correlation.src_step == [1; 3]
            && correlation.is_whole()
            && correlation.taps.len() == shape.depth * 9
    }

    /// Estimated cost of one image in cycles of one core, comparable with the `cost` of other kernels.
    pub fn cost(correlation: &Correlation, outputs: Outputs) -> f64 {
        let Correlation { c_in, c_out, dst, .. } = *correlation;
        let tiles = dst[0] * dst[1].div_ceil(outputs.count()) * dst[2].div_ceil(outputs.count());
        let weights = (outputs.points() * c_in * c_out * correlation.taps.len() / 9) as f64;
        let transforms = (tiles * (blocks_of(c_in) + blocks_of(c_out))) as f64
            * match outputs {
                Outputs::Two => TRANSFORM_TWO,
                Outputs::Four => TRANSFORM_FOUR,
            };
        weights * tiles as f64 / PRODUCTS + weights * WEIGHT_COST + transforms
    }

    /// Transforms the weights that `weight(out, input, tap)` returns, and pads a bias `[c_out]`.
    ///
    /// # Panics
    /// If [`Winograd::takes`] is false for the correlation.
    pub fn new(
        correlation: Correlation,
        isa: Isa,
        outputs: Outputs,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
        bias: Option<&[f32]>,
    ) -> Winograd {
        isa.require();
        assert!(Winograd::takes(&correlation), "not a 3×3 correlation of step 1: {correlation:?}");
        let Some(Shape { low, depth }) = shape_of(&correlation) else { unreachable!("just asked") };
        // For each place of the box of taps, the index of its tap.
        let mut places = vec![0; depth * 9];
        for (index, tap) in correlation.taps.iter().enumerate() {
            let [z, y, x] = [0, 1, 2].map(|d| (tap[d] - low[d]) as usize);
            places[(z * 3 + y) * 3 + x] = index;
        }
        let Correlation { c_in, c_out, .. } = correlation;
        let products = Products::new(isa, outputs.points(), [c_in, c_out, depth], |out, input, z, put| {
            let taps: [f32; 9] = std::array::from_fn(|t| weight(out, input, places[z * 9 + t]));
            filter(outputs, &taps, put);
        });
        let bias = Packed::bias(bias, 1, c_out);
        Winograd { correlation, isa, outputs, low, depth, products, bias }
    }

    /// Number of outputs of a tile along each side.
    pub fn outputs(&self) -> Outputs {
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
        if dst.is_empty() {
            return;
        }
        let epilogue = SharedEpilogue(epilogue.addresses(dst, c.batch * out_blocks, dst_plane));
        let dst = Disjoint::new(dst);
        let split = self.split();
        let tasks = c.batch * split.bands * split.panel_parts;
        let panels = self.products.panels();
        let run = |task: usize| {
            let (task, part) = (task / split.panel_parts, task % split.panel_parts);
            let (image, band) = (task / split.bands, task % split.bands);
            let job = Job {
                winograd: self,
                src: &src[image * src_plane * LANES..],
                dst: &dst,
                image,
                rows: even(split.bands, band, self.tiles(1)),
                panels: even(split.panel_parts, part, panels),
                accumulate,
                epilogue: &epilogue,
            };
            SCRATCH.with_borrow_mut(|scratch| job.run(scratch));
        };
        team::each(tasks, 1, run);
    }

    /// Number of Winograd tiles along an axis.
    fn tiles(&self, axis: usize) -> usize {
        self.correlation.dst[axis].div_ceil(self.outputs.count())
    }

    /// Divides one image into bands of rows of tiles, and the output blocks into parts. The number of threads
    /// changes the division, hence the speed, but no result.
    fn split(&self) -> Split {
        let c = &self.correlation;
        let threads = team::threads();
        let wanted = if threads == 1 { 1 } else { threads * TASKS_PER_THREAD };
        let rows = self.tiles(1);
        let per_row = self.tiles(2) * c.dst[0];
        let panels = self.products.panels();
        let tiles = tiles_of_a_task(&self.products, self.outputs.points());
        let bands = rows.div_ceil((tiles / per_row).max(1));
        // With too few bands for the threads, the output blocks are divided first. Each part then repeats the
        // transform of the source. Only then are bands made smaller.
        let panel_parts =
            if c.batch * bands >= threads { 1 } else { threads.div_ceil(c.batch * bands).min(panels) };
        let bands = if c.batch * bands * panel_parts >= wanted {
            bands
        } else {
            // Rounds the number of bands up, so that no thread is idle in the last round.
            bands.next_multiple_of(threads.div_ceil(panel_parts)).min(rows)
        };
        Split { bands, panel_parts }
    }
}

/// Returns the number of tiles that a task should have.
fn tiles_of_a_task(products: &Products, points: usize) -> usize {
    let channels = (blocks_of(products.c_in) + blocks_of(products.c_out)) * LANES;
    if products.are_small() { SMALL_NUMBERS / (points * channels) } else { MANY_TILES }
}

struct Split {
    bands: usize,
    panel_parts: usize,
}

/// The box of taps: its smallest offsets and its extent in depth.
struct Shape {
    low: [isize; 3],
    depth: usize,
}

/// Returns the box of taps if it is 3×3 in the plane and each of its places has exactly one tap.
fn shape_of(correlation: &Correlation) -> Option<Shape> {
    let low = [0, 1, 2].map(|d| correlation.taps.iter().map(|t| t[d]).min().unwrap_or(0));
    let high = [0, 1, 2].map(|d| correlation.taps.iter().map(|t| t[d]).max().unwrap_or(0));
    let depth = (high[0] - low[0] + 1) as usize;
    let mut taken = vec![false; depth * 9];
    if high[1] - low[1] != 2 || high[2] - low[2] != 2 {
        return None;
    }
    for tap in &correlation.taps {
        let [z, y, x] = [0, 1, 2].map(|d| (tap[d] - low[d]) as usize);
        if std::mem::replace(&mut taken[(z * 3 + y) * 3 + x], true) {
            return None;
        }
    }
    taken.iter().all(|&t| t).then_some(Shape { low, depth })
}

/// One task: a band of rows of tiles of one image, and some panels of output blocks.
struct Job<'a> {
    winograd: &'a Winograd,
    /// The source from the first plane of the image on.
    src: &'a [f32],
    dst: &'a Disjoint<'a, f32>,
    image: usize,
    rows: (usize, usize),
    panels: (usize, usize),
    accumulate: bool,
    epilogue: &'a SharedEpilogue,
}

impl Job<'_> {
    fn run(&self, scratch: &mut Scratch) {
        let w = self.winograd;
        let c = &w.correlation;
        let (row_tiles, frames) = (w.tiles(2), c.dst[0]);
        let tiles = (self.rows.1 - self.rows.0) * row_tiles;
        if tiles == 0 || self.panels.0 == self.panels.1 {
            return;
        }
        let points = w.outputs.points();
        let in_blocks = blocks_of(c.c_in);
        let first_block = self.panels.0 * w.products.width;
        let blocks = (self.panels.1 * w.products.width).min(blocks_of(c.c_out)) - first_block;
        // Number of source frames that the taps reach, including frames of padding before and after the
        // source.
        let in_frames = frames + w.depth - 1;
        let positions = frames * tiles;
        // The distance between two points is an odd number of cache lines, so that points do not fall into
        // the same sets of a cache.
        let in_point = ((in_blocks * in_frames * tiles) | 1) * LANES;
        let out_point = ((blocks * positions) | 1) * LANES;
        let Scratch { source, product, offsets } = scratch;
        let source = source.at_least(points * in_point);
        let product = product.at_least(points * out_point);

        for block in 0..in_blocks {
            for frame in 0..in_frames {
                let z = frame as isize + w.low[0];
                let to = (block * in_frames + frame) * tiles * LANES;
                if !(0..c.src[0] as isize).contains(&z) {
                    for point in 0..points {
                        source[point * in_point + to..][..tiles * LANES].fill(0.0);
                    }
                    continue;
                }
                let plane = (block * c.batch * c.src[0] + z as usize) * c.src[1] * c.src[2] * LANES;
                let plane = &self.src[plane..plane + c.src[1] * c.src[2] * LANES];
                let call = Into {
                    plane,
                    size: [c.src[1], c.src[2]],
                    low: [w.low[1], w.low[2]],
                    rows: self.rows,
                    row_tiles,
                    to: source[to..].as_mut_ptr(),
                    point: in_point,
                };
                assert!(source.len() >= (points - 1) * in_point + to + tiles * LANES);
                // SAFETY: the plane has the size given, and every point has room for the tiles (asserted).
                unsafe {
                    match w.outputs {
                        Outputs::Two => into_two(w.isa, &call),
                        Outputs::Four => into_four(w.isa, &call),
                    }
                }
            }
        }

        let extents = [positions, in_frames * tiles, tiles];
        w.products.multiply(self.panels, extents, source, in_point, product, out_point, offsets);

        let dst_plane = volume(c.dst);
        for block in 0..blocks {
            let row = (first_block + block) * c.batch + self.image;
            for frame in 0..frames {
                let from = (block * frames + frame) * tiles * LANES;
                let start = frame * c.dst[1] * c.dst[2];
                self.dst.pointer((row * dst_plane + start + c.dst[1] * c.dst[2]) * LANES);
                let call = OutOf {
                    from: product[from..].as_ptr(),
                    point: out_point,
                    rows: self.rows,
                    row_tiles,
                    to: self.dst.pointer((row * dst_plane + start) * LANES),
                    size: [c.dst[1], c.dst[2]],
                    bias: w.bias.as_slice()[(first_block + block) * LANES..][..LANES].as_ptr(),
                    accumulate: self.accumulate,
                    epilogue: self.epilogue.get(),
                    mask: row * super::mask_plane(dst_plane) + start,
                };
                assert!(product.len() >= (points - 1) * out_point + from + tiles * LANES);
                // SAFETY: every point has the tiles (asserted), and the destination has the frame (its end
                // was asked for). Rows of tiles and blocks belong to this task alone.
                unsafe {
                    match w.outputs {
                        Outputs::Two => out_of_two(w.isa, &call),
                        Outputs::Four => out_of_four(w.isa, &call),
                    }
                }
            }
        }
    }
}
