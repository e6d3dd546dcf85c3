//! The first convolution of a network: from an image with few channels in plain layout to blocks of channels,
//! and back.
//!
//! Three channels would leave thirteen of sixteen lanes empty. So f×f pixels are merged into one position of
//! f²·C channels (space to depth). A 7×7 convolution of stride 2 over 3 channels becomes a 4×4 convolution of
//! stride 1 over 12. In its adjoint, one register holds the gradient of four pixels. At stride 1, only the
//! adjoint merges pixels (2×2), and it then steps over two outputs at a time.

use super::lanes::LANES;
use super::{Dense, LineOutputs, LineWinograd, blocks_of};
use crate::kernels::correlate::{ConvGeometry, Correlation, volume};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::isa::Isa;
use crate::kernels::scratch::{AlignedBuffer, Disjoint};
use crate::kernels::team;
use std::cell::Cell;

/// Most channels of a position into which several pixels are merged.
const MOST_CHANNELS: usize = 64;

thread_local! {
    /// Buffer for the merged image. It is taken out of the cell while in use, because a waiting thread may be
    /// given other work.
    static MERGED: Cell<AlignedBuffer> = const { Cell::new(AlignedBuffer::new()) };
}

/// A convolution over an image in plain layout.
#[derive(Debug)]
pub struct FirstConv {
    geometry: ConvGeometry,
    forward: Merged,
    backward: Option<Merged>,
}

/// A correlation that reads or writes merged pixels.
#[derive(Debug)]
struct Merged {
    engine: Engine,
    pixels: Pixels,
}

/// The algorithm that computes the correlation over merged pixels.
#[derive(Debug)]
enum Engine {
    Dense(Box<Dense>),
    Line(Box<LineWinograd>),
}

impl Engine {
    fn run(&self, src: &[f32], dst: &mut [f32], epilogue: &mut Epilogue<'_>) {
        match self {
            Engine::Dense(dense) => dense.run(src, dst, false, epilogue),
            Engine::Line(line) => line.run(src, dst, false, epilogue),
        }
    }
}

/// How neighbouring pixels are merged into one position with more channels.
#[derive(Clone, Copy, Debug)]
struct Pixels {
    /// Number of pixels along each side of a merged position.
    factor: usize,
    batch: usize,
    channels: usize,
    /// Extents of the image before merging: depth, height, width.
    plane: [usize; 3],
}

impl Pixels {
    /// Extents of the image after merging pixels: depth, height, width.
    fn merged(&self) -> [usize; 3] {
        let [depth, height, width] = self.plane;
        [depth, height.div_ceil(self.factor), width.div_ceil(self.factor)]
    }

    fn merged_channels(&self) -> usize {
        self.channels * self.factor * self.factor
    }

    /// Number of elements of the merged image in blocks of channels.
    fn len(&self) -> usize {
        self.batch * blocks_of(self.merged_channels()) * volume(self.merged()) * LANES
    }
}

/// Number of pixels along each side that the adjoint merges.
fn backward_factor(stride: usize) -> usize {
    if stride == 1 { 2 } else { stride }
}

impl FirstConv {
    /// Whether this kernel can compute the convolution: one group, few channels, equal stride in height and
    /// width, stride 1 in depth, no dilation in the plane.
    pub fn takes(geometry: &ConvGeometry) -> bool {
        let step = geometry.stride[1];
        geometry.groups == 1
            && geometry.stride[0] == 1
            && geometry.stride[2] == step
            && geometry.dilation[1..] == [1, 1]
            && geometry.src[2] > 1
            && geometry.c_in < LANES / 2
            && geometry.c_in * backward_factor(step).pow(2) <= MOST_CHANNELS
    }

    /// Packs weights `[c_out, c_in, kernel]` and a bias `[c_out]`.
    ///
    /// # Panics
    /// If [`FirstConv::takes`] is false for the convolution, or the weights have the wrong length.
    pub fn new(
        geometry: &ConvGeometry,
        isa: Isa,
        data: &[f32],
        bias: Option<&[f32]>,
        gradients: bool,
    ) -> FirstConv {
        assert!(FirstConv::takes(geometry), "not a first convolution: {geometry:?}");
        let forward = Merged::forward(geometry, isa, data, bias);
        let backward = gradients.then(|| Merged::backward(geometry, isa, data));
        FirstConv { geometry: geometry.clone(), forward, backward }
    }

    /// Describes the algorithms of both directions.
    pub fn method(&self) -> String {
        let back = self.backward.as_ref().map(|merged| &merged.engine);
        match back {
            Some(Engine::Line(line)) => format!("merged pixels, back {}", line.outputs().name()),
            _ => "merged pixels".into(),
        }
    }

    /// The convolution: `src` is in plain layout, `dst` in blocks of channels.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run(&self, src: &[f32], dst: &mut [f32], epilogue: &mut Epilogue<'_>) {
        let g = &self.geometry;
        assert_eq!(src.len(), g.batch * g.c_in * volume(g.src), "source of {g:?}");
        let Merged { engine, pixels } = &self.forward;
        let mut buffer = MERGED.take();
        let merged = &mut buffer.at_least(pixels.len())[..pixels.len()];
        merge(pixels, src, merged);
        engine.run(merged, dst, epilogue);
        MERGED.set(buffer);
    }

    /// The adjoint: `dy` is in blocks of channels, `dx` in plain layout. With `accumulate`, the gradient is
    /// added to `dx`.
    ///
    /// # Panics
    /// If a slice has the wrong length, or the convolution was prepared without its adjoint.
    pub fn run_backward(&self, dy: &[f32], dx: &mut [f32], accumulate: bool) {
        let g = &self.geometry;
        assert_eq!(dx.len(), g.batch * g.c_in * volume(g.src), "source of {g:?}");
        let Some(Merged { engine, pixels }) = &self.backward else {
            panic!("packed without gradients: {g:?}")
        };
        let mut buffer = MERGED.take();
        let merged = &mut buffer.at_least(pixels.len())[..pixels.len()];
        engine.run(dy, merged, &mut Epilogue::default());
        split(pixels, merged, dx, accumulate);
        MERGED.set(buffer);
    }
}

impl Merged {
    /// y[o] = Σ w[k] · x[o·s + k − pad], with o·s + k − pad = s·(o + a) + r.
    fn forward(g: &ConvGeometry, isa: Isa, data: &[f32], bias: Option<&[f32]>) -> Merged {
        let s = g.stride[1];
        let pixels = Pixels { factor: s, batch: g.batch, channels: g.c_in, plane: g.src };
        // Range of taps a along each side, counted in merged pixels.
        let range = |d: usize| {
            let first = -(g.pad_before[d] as isize);
            (first.div_euclid(s as isize), (first + g.kernel[d] as isize - 1).div_euclid(s as isize))
        };
        let depth_taps = (0..g.kernel[0]).map(|k| (k * g.dilation[0]) as isize - g.pad_before[0] as isize);
        let taps = box_of(depth_taps, range(1), range(2));
        let correlation = Correlation {
            batch: g.batch,
            groups: 1,
            c_in: pixels.merged_channels(),
            c_out: g.c_out,
            src: pixels.merged(),
            dst: g.dst,
            grid: g.dst,
            src_step: [g.stride[0], 1, 1],
            dst_start: [0; 3],
            dst_step: [1; 3],
            taps: taps.iter().map(|t| t.1).collect(),
        };
        let weight = |_: usize, out: usize, input: usize, tap: usize| {
            let (z, at) = taps[tap];
            let (pixel, channel) = (input / g.c_in, input % g.c_in);
            let k = |d: usize, r: usize| at[d] * s as isize + (r + g.pad_before[d]) as isize;
            weight_at(g, data, out, channel, z, k(1, pixel / s), k(2, pixel % s))
        };
        Merged { engine: Engine::Dense(Box::new(Dense::new(correlation, isa, weight, bias))), pixels }
    }

    /// dx[f·p + r] = Σ w[k] · dy[o], with o = (f/s)·p + b and so k = r + pad − s·b.
    fn backward(g: &ConvGeometry, isa: Isa, data: &[f32]) -> Merged {
        let s = g.stride[1];
        let f = backward_factor(s);
        let pixels = Pixels { factor: f, batch: g.batch, channels: g.c_in, plane: g.src };
        let range = |d: usize| {
            // Only taps for which 0 ≤ r + pad − s·b < kernel holds for some r < f.
            let (pad, kernel) = (g.pad_before[d] as isize, g.kernel[d] as isize);
            (-(kernel - 1 - pad).div_euclid(s as isize), (f as isize - 1 + pad).div_euclid(s as isize))
        };
        let frames = (0..g.kernel[0]).map(|k| g.pad_before[0] as isize - (k * g.dilation[0]) as isize);
        let taps = box_of(frames, range(1), range(2));
        let merged = pixels.merged();
        let correlation = Correlation {
            batch: g.batch,
            groups: 1,
            c_in: g.c_out,
            c_out: pixels.merged_channels(),
            src: g.dst,
            dst: merged,
            grid: merged,
            src_step: [1, f / s, f / s],
            dst_start: [0; 3],
            dst_step: [1; 3],
            taps: taps.iter().map(|t| t.1).collect(),
        };
        let weight = |_: usize, out: usize, input: usize, tap: usize| {
            let (z, at) = taps[tap];
            let (pixel, channel) = (out / g.c_in, out % g.c_in);
            let k = |d: usize, r: usize| (r + g.pad_before[d]) as isize - s as isize * at[d];
            weight_at(g, data, input, channel, z, k(1, pixel / f), k(2, pixel % f))
        };
        // The output is a gradient, on which no ReLU decides, so a transform with larger rounding errors is
        // acceptable.
        let line = LineOutputs::ALL
            .into_iter()
            .filter(|&outputs| LineWinograd::takes(&correlation, outputs))
            .map(|outputs| (LineWinograd::cost(&correlation, outputs), outputs))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(cost, _)| *cost < Dense::cost(&correlation));
        let engine = match line {
            Some((_, outputs)) => {
                let weight = |out: usize, input: usize, tap: usize| weight(0, out, input, tap);
                Engine::Line(Box::new(LineWinograd::new(correlation, isa, outputs, weight, None)))
            }
            None => Engine::Dense(Box::new(Dense::new(correlation, isa, weight, None))),
        };
        Merged { engine, pixels }
    }
}

/// Returns all kernel taps in a box of offsets, each with its index in depth.
fn box_of(
    depth: impl Iterator<Item = isize>,
    rows: (isize, isize),
    columns: (isize, isize),
) -> Vec<(usize, [isize; 3])> {
    depth
        .enumerate()
        .flat_map(|(k, z)| {
            (rows.0..=rows.1).flat_map(move |y| (columns.0..=columns.1).map(move |x| (k, [z, y, x])))
        })
        .collect()
}

/// Returns a weight of the convolution, or 0 beyond the kernel.
fn weight_at(
    g: &ConvGeometry,
    data: &[f32],
    out: usize,
    channel: usize,
    z: usize,
    y: isize,
    x: isize,
) -> f32 {
    let [_, height, width] = g.kernel;
    if !(0..height as isize).contains(&y) || !(0..width as isize).contains(&x) {
        return 0.0;
    }
    data[g.weight_index(0, out, channel, (z * height + y as usize) * width + x as usize)]
}

/// One line of merged pixels of one block of channels, with its place in the merged image.
struct Line {
    block: usize,
    /// Index of the line's first position, counted over the merged planes of all images and blocks.
    start: usize,
    image: usize,
    z: usize,
    row: usize,
}

/// Calls `work` for every line of merged pixels of every block of channels.
fn each_line(pixels: &Pixels, work: impl Fn(Line) + Sync) {
    let [depth, rows, width] = pixels.merged();
    let blocks = blocks_of(pixels.merged_channels());
    let lines = pixels.batch * blocks * depth * rows;
    team::each(lines, 8, |line| {
        let (plane, row) = (line / rows, line % rows);
        let (plane, z) = (plane / depth, plane % depth);
        work(Line { block: plane / pixels.batch, start: line * width, image: plane % pixels.batch, z, row });
    });
}

impl Line {
    /// Returns for each lane with a channel: the lane, the index of its first pixel in the plain image, and
    /// the number of pixels. Consecutive pixels of a lane are `factor` apart.
    fn lanes(&self, pixels: &Pixels) -> impl Iterator<Item = (usize, usize, usize)> {
        let Pixels { factor, channels, plane: [depth, height, width], .. } = *pixels;
        let lanes = LANES.min(pixels.merged_channels() - self.block * LANES);
        let (first, image, z, row) = (self.block * LANES, self.image, self.z, self.row);
        (0..lanes).filter_map(move |lane| {
            let (pixel, channel) = ((first + lane) / channels, (first + lane) % channels);
            let (y, x) = (row * factor + pixel / factor, pixel % factor);
            let from = (((image * channels + channel) * depth + z) * height + y) * width + x;
            (y < height && x < width).then(|| (lane, from, (width - x).div_ceil(factor)))
        })
    }
}

/// Copies a plain image to merged pixels in blocks. Positions beyond the image become zeros.
fn merge(pixels: &Pixels, plain: &[f32], merged: &mut [f32]) {
    let width = pixels.merged()[2];
    let merged = Disjoint::new(merged);
    each_line(pixels, |line| {
        // SAFETY: lines are disjoint, and each belongs to one task.
        let to = unsafe { merged.part(line.start * LANES, width * LANES) };
        to.fill(0.0);
        for (lane, from, count) in line.lanes(pixels) {
            let from = plain[from..].iter().step_by(pixels.factor).take(count);
            for (to, from) in to.chunks_exact_mut(LANES).zip(from) {
                to[lane] = *from;
            }
        }
    });
}

/// Copies merged pixels back to a plain image, or adds them to it.
fn split(pixels: &Pixels, merged: &[f32], plain: &mut [f32], accumulate: bool) {
    let width = pixels.merged()[2];
    let plain = Disjoint::new(plain);
    each_line(pixels, |line| {
        let from = &merged[line.start * LANES..(line.start + width) * LANES];
        for (lane, to, count) in line.lanes(pixels) {
            let end = to + (count - 1) * pixels.factor + 1;
            plain.pointer(end);
            for (i, from) in from.chunks_exact(LANES).take(count).enumerate() {
                // SAFETY: the last pixel is in bounds (just asked for), so those before it are. Every pixel
                // belongs to one lane of one line, and each line to one task.
                unsafe {
                    let to = plain.pointer(to + i * pixels.factor);
                    *to = if accumulate { *to + from[lane] } else { from[lane] };
                }
            }
        }
    });
}
