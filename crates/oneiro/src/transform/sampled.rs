//! A chain with its random numbers drawn, and its application to all planes, forward and adjoint.
//!
//! Each step is applied to all planes before the next begins. Planes are divided into bands of rows that are
//! distributed over threads. Every row is computed from the whole input plane, so the division into bands
//! does not change a bit of the result.

use super::Extent;
use super::noise::Law;
use super::stage::{Map, Stage, Tables, centred};
use super::time::{self, FrameTaps};
use crate::parallel::{self, CHUNK};

/// A chain with its random numbers drawn: an affine map A·x + b from an image to the canvas.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// The steps. None of them is the identity.
    steps: Vec<Step>,
    /// For each step, data that all planes share.
    tables: Vec<Tables>,
    /// The fill colour, one number for each plane.
    fill: Vec<f32>,
    frames: usize,
    source: [usize; 2],
    canvas: [usize; 2],
    /// Buffers for the results of intermediate steps.
    between: [Vec<f32>; 2],
}

#[derive(Debug, Clone)]
enum Step {
    /// Mixes frames of a clip. Their size does not change.
    Time(FrameTaps),
    /// Applies the same map to every plane by itself.
    Map(Stage),
}

impl Step {
    /// Returns the height and width after this step.
    fn to(&self, from: [usize; 2]) -> [usize; 2] {
        if let Step::Map(stage) = self { stage.to } else { from }
    }

    /// Returns the height and width before this step.
    fn from(&self, to: [usize; 2]) -> [usize; 2] {
        if let Step::Map(stage) = self { stage.from } else { to }
    }

    /// Divides planes of this size into bands. Returns each band's plane index, first row, and data.
    fn bands<'a>(
        &self,
        planes: &'a mut [f32],
        size: [usize; 2],
    ) -> impl Iterator<Item = (usize, usize, &'a mut [f32])> + use<'a> {
        let [height, width] = size;
        let whole = matches!(self, Step::Map(stage) if stage.makes_whole_planes());
        let count = if whole { 1 } else { area(size).div_ceil(CHUNK) };
        let rows = height.div_ceil(count).max(1);
        planes.chunks_exact_mut(area(size)).enumerate().flat_map(move |(plane, data)| {
            data.chunks_mut(rows * width).enumerate().map(move |(band, data)| (plane, band * rows, data))
        })
    }
}

/// Returns the frames of the channel to which a plane belongs, and the plane's frame index.
fn channel_of(plane: usize, frames: usize, clip: &[f32], len: usize) -> (&[f32], usize) {
    let t = plane % frames;
    (&clip[(plane - t) * len..][..frames * len], t)
}

fn area([height, width]: [usize; 2]) -> usize {
    height * width
}

impl Sampled {
    /// Resets to the identity and keeps the memory.
    pub(super) fn begin(&mut self, extent: Extent, fill: impl Iterator<Item = f32>, canvas: [usize; 2]) {
        self.fill.clear();
        self.fill.extend(fill);
        self.frames = extent.frames;
        self.source = [extent.height, extent.width];
        self.canvas = canvas;
        self.steps.clear();
    }

    /// Appends the crop or padding to the canvas and computes the tables.
    pub(super) fn finish(&mut self) {
        self.place(self.canvas);
        self.tables.resize_with(self.steps.len(), Default::default);
        for (step, tables) in self.steps.iter().zip(&mut self.tables) {
            if let Step::Map(stage) = step {
                stage.prepare(tables);
            }
        }
    }

    /// Returns the height and width after the steps so far.
    pub(super) fn size(&self) -> [usize; 2] {
        self.steps.iter().fold(self.source, |size, step| step.to(size))
    }

    pub(super) fn canvas(&self) -> [usize; 2] {
        self.canvas
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    pub(super) fn push(&mut self, to: [usize; 2], map: Map) {
        let mut stage = Stage { from: self.size(), to, map };
        if let Some(Step::Map(before)) = self.steps.last()
            && let Some(both) = before.cropped_by(&stage)
        {
            stage = both;
            self.steps.pop();
        }
        if !stage.is_identity() {
            self.steps.push(Step::Map(stage));
        }
    }

    /// Appends a crop or padding about the centre.
    pub(super) fn place(&mut self, to: [usize; 2]) {
        self.push(to, centred(self.size(), to));
    }

    pub(super) fn push_noise(&mut self, law: Law, seed: u64, size: Option<f64>) {
        let size = size.unwrap_or(0.0) as f32;
        self.push(self.size(), Map::Noise { law, seed, size });
    }

    pub(super) fn push_time(&mut self, taps: FrameTaps) {
        if !time::is_identity(&taps) {
            self.steps.push(Step::Time(taps));
        }
    }

    /// Returns channels, frames, height and width of the result.
    pub fn out_extent(&self) -> Extent {
        let [height, width] = self.canvas;
        Extent { channels: self.fill.len() / self.frames.max(1), frames: self.frames, height, width }
    }

    /// Writes the transformed image to `out`. Bands of planes are distributed over threads.
    ///
    /// # Panics
    /// If a length does not match the image or the canvas for which the chain was drawn.
    pub fn apply(&mut self, image: &[f32], out: &mut [f32]) {
        self.check(image.len(), out.len());
        let (planes, frames, count) = (self.fill.len(), self.frames, self.steps.len());
        if count == 0 {
            out.copy_from_slice(image);
        }
        let [current, next] = &mut self.between;
        let mut size = self.source;
        for (index, (step, tables)) in self.steps.iter().zip(&self.tables).enumerate() {
            let (len, to) = (area(size), step.to(size));
            let input = if index == 0 { image } else { current.as_slice() };
            let output = if index + 1 == count { &mut *out } else { sized(next, planes * area(to)) };
            parallel::each(step.bands(output, to), |_, (plane, first, out)| match step {
                Step::Map(stage) => {
                    stage.apply(plane, self.fill[plane], tables, &input[plane * len..][..len], first, out)
                }
                Step::Time(taps) => {
                    let (channel, t) = channel_of(plane, frames, input, len);
                    time::frame(taps, t, channel, first * to[1], out);
                }
            });
            size = to;
            std::mem::swap(current, next);
        }
    }

    /// Given the gradient g with respect to the result, writes the gradient with respect to the image, Aᵀ·g,
    /// to `grad_image`.
    ///
    /// # Panics
    /// If a length does not match the image or the canvas for which the chain was drawn.
    pub fn adjoint(&mut self, grad_out: &[f32], grad_image: &mut [f32]) {
        self.check(grad_image.len(), grad_out.len());
        let (planes, frames, count) = (self.fill.len(), self.frames, self.steps.len());
        if count == 0 {
            grad_image.copy_from_slice(grad_out);
        }
        let [current, next] = &mut self.between;
        let mut size = self.canvas;
        for (index, (step, tables)) in self.steps.iter().zip(&self.tables).enumerate().rev() {
            let (len, from) = (area(size), step.from(size));
            let input = if index + 1 == count { grad_out } else { current.as_slice() };
            let output = if index == 0 { &mut *grad_image } else { sized(next, planes * area(from)) };
            parallel::each(step.bands(output, from), |_, (plane, first, grad)| match step {
                Step::Map(stage) => stage.adjoint(tables, &input[plane * len..][..len], first, grad),
                Step::Time(taps) => {
                    let (channel, t) = channel_of(plane, frames, input, len);
                    time::frame_adjoint(taps, t, channel, first * from[1], grad);
                }
            });
            size = from;
            std::mem::swap(current, next);
        }
    }

    fn check(&self, image: usize, out: usize) {
        let planes = self.fill.len();
        assert_eq!(image, planes * area(self.source), "an image of {planes} planes, {:?}", self.source);
        assert_eq!(out, planes * area(self.canvas), "a result of {planes} planes, {:?}", self.canvas);
    }
}

/// Resizes the buffer. Its contents do not matter, since every map writes all of its output.
fn sized(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    memory.resize(len, 0.0);
    memory
}
