//! A chain whose random numbers have been drawn, and the walk of all planes through it and back.
//!
//! A step is done on all planes before the next begins, and planes are cut into bands of rows that are shared
//! out among threads. Every row of a result comes from the whole plane before it, so where the cuts are
//! changes no bit.

use super::Extent;
use super::noise::Law;
use super::stage::{Map, Stage, Tables, centred};
use super::time::{self, FrameTaps};
use crate::parallel::{self, CHUNK};

/// A chain whose random numbers have been drawn: an affine map A·x + b from an image to the canvas.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// None of them the identity.
    steps: Vec<Step>,
    /// Data of each step that all planes share.
    tables: Vec<Tables>,
    /// One colour for each plane.
    fill: Vec<f32>,
    frames: usize,
    source: [usize; 2],
    canvas: [usize; 2],
    /// What is between one step and the next.
    between: [Vec<f32>; 2],
}

#[derive(Debug, Clone)]
enum Step {
    /// Frames are mixed; each keeps its size.
    Time(FrameTaps),
    /// Every plane is mapped independently.
    Map(Stage),
}

impl Step {
    /// Height and width after this step.
    fn to(&self, from: [usize; 2]) -> [usize; 2] {
        if let Step::Map(stage) = self { stage.to } else { from }
    }

    /// Height and width before this step.
    fn from(&self, to: [usize; 2]) -> [usize; 2] {
        if let Step::Map(stage) = self { stage.from } else { to }
    }

    /// The bands of planes of this size: index of the plane, first row, and rows.
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

/// The channel that a plane is a frame of, and which frame.
fn channel_of(plane: usize, frames: usize, clip: &[f32], len: usize) -> (&[f32], usize) {
    let t = plane % frames;
    (&clip[(plane - t) * len..][..frames * len], t)
}

fn area([height, width]: [usize; 2]) -> usize {
    height * width
}

impl Sampled {
    /// Begins anew with the identity; keeps its memory.
    pub(super) fn begin(&mut self, extent: Extent, fill: impl Iterator<Item = f32>, canvas: [usize; 2]) {
        self.fill.clear();
        self.fill.extend(fill);
        self.frames = extent.frames;
        self.source = [extent.height, extent.width];
        self.canvas = canvas;
        self.steps.clear();
    }

    /// Ends the chain on the canvas and works out the tables.
    pub(super) fn finish(&mut self) {
        self.place(self.canvas);
        self.tables.resize_with(self.steps.len(), Default::default);
        for (step, tables) in self.steps.iter().zip(&mut self.tables) {
            if let Step::Map(stage) = step {
                stage.prepare(tables);
            }
        }
    }

    /// Height and width after the steps so far.
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

    /// Crops or pads about the centre.
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

    /// Of the result.
    pub fn out_extent(&self) -> Extent {
        let [height, width] = self.canvas;
        Extent { channels: self.fill.len() / self.frames.max(1), frames: self.frames, height, width }
    }

    /// Writes the transformed image to `out`; bands of planes are shared out among threads.
    ///
    /// # Panics
    /// If the lengths are not those of the image and the canvas it was drawn for.
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

    /// Writes to `grad_image` the gradient on the image, given that on the result: Aᵀ·g.
    ///
    /// # Panics
    /// If the lengths are not those of the image and the canvas it was drawn for.
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

/// Memory of this length. What it holds is of no account: every map writes all of its output.
fn sized(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    memory.resize(len, 0.0);
    memory
}
