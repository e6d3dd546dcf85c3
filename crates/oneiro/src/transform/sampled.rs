//! A chain whose random numbers have been drawn, and the walk of all planes through it and back.

use super::Extent;
use super::noise::Law;
use super::stage::{Map, Stage, Tables, centred};
use super::time::{self, FrameTaps};
use crate::parallel;

/// A chain whose random numbers have been drawn: an affine map A·x + b from an image to the canvas.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// Maps of single planes, none of them the identity.
    stages: Vec<Stage>,
    /// What each stage works out for all planes.
    tables: Vec<Tables>,
    /// The stages in runs, at least one, in which planes go their ways alone.
    legs: Vec<Leg>,
    /// One colour for each plane.
    fill: Vec<f32>,
    frames: usize,
    source: [usize; 2],
    canvas: [usize; 2],
    /// Of each plane.
    buffers: Vec<Buffers>,
    /// The whole clip between two legs.
    between: [Vec<f32>; 2],
}

/// Frames are mixed first, then every plane goes through stages.
#[derive(Debug, Clone)]
struct Leg {
    time: Option<FrameTaps>,
    /// Index of the first of its stages; the next leg's tells where they end.
    first: usize,
}

#[derive(Debug, Clone, Default)]
struct Buffers {
    /// A frame mixed from two.
    mixed: Vec<f32>,
    /// The plane between two stages.
    stages: [Vec<f32>; 2],
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
        self.stages.clear();
        self.legs.clear();
        self.legs.push(Leg { time: None, first: 0 });
        self.buffers.resize_with(self.fill.len(), Default::default);
    }

    /// Ends the chain on the canvas and works out the tables.
    pub(super) fn finish(&mut self) {
        self.place(self.canvas);
        self.tables.resize_with(self.stages.len(), Default::default);
        self.stages.iter().zip(&mut self.tables).for_each(|(stage, tables)| stage.prepare(tables));
    }

    /// Height and width after the stages so far.
    pub(super) fn size(&self) -> [usize; 2] {
        self.stages.last().map_or(self.source, |stage| stage.to)
    }

    pub(super) fn canvas(&self) -> [usize; 2] {
        self.canvas
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    pub(super) fn push(&mut self, to: [usize; 2], map: Map) {
        let stage = Stage { from: self.size(), to, map };
        if !stage.is_identity() {
            self.stages.push(stage);
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
            self.legs.push(Leg { time: Some(taps), first: self.stages.len() });
        }
    }

    /// C, T, H and W of the result.
    pub fn out_shape(&self) -> [usize; 4] {
        [self.fill.len() / self.frames.max(1), self.frames, self.canvas[0], self.canvas[1]]
    }

    /// Writes the transformed image to `out`; planes are shared out among threads.
    ///
    /// # Panics
    /// If the lengths are not those of the image and the canvas it was drawn for.
    pub fn apply(&mut self, image: &[f32], out: &mut [f32]) {
        self.check(image.len(), out.len());
        let legs = legs(&self.legs, &self.stages, &self.tables, self.source);
        let (planes, frames, count) = (self.fill.len(), self.frames, legs.len());
        let [current, next] = &mut self.between;
        for (index, leg) in legs.into_iter().enumerate() {
            let input = if index == 0 { image } else { current.as_slice() };
            let output = if index + 1 == count {
                &mut *out
            } else {
                next.resize(planes * area(leg.to()), 0.0);
                next.as_mut_slice()
            };
            let len = area(leg.from);
            let all = output.chunks_exact_mut(area(leg.to())).zip(&mut self.buffers).zip(&self.fill);
            parallel::each(all, |plane, ((out, buffers), &fill)| {
                let t = plane % frames;
                let first = match leg.time {
                    None => &input[plane * len..][..len],
                    Some(taps) => {
                        let channel = &input[(plane - t) * len..][..frames * len];
                        time::frame(taps, t, channel, &mut buffers.mixed)
                    }
                };
                let apply = |(stage, tables): (&Stage, &Tables), input: &[f32], out: &mut [f32]| {
                    stage.apply(plane, fill, tables, input, out);
                };
                let stages = leg.stages.iter().zip(leg.tables);
                walk(stages, &mut buffers.stages, first, out, apply, |(stage, _)| area(stage.to));
            });
            std::mem::swap(current, next);
        }
    }

    /// Writes to `grad_image` the gradient on the image, given that on the result: Aᵀ·g.
    ///
    /// # Panics
    /// If the lengths are not those of the image and the canvas it was drawn for.
    pub fn adjoint(&mut self, grad_out: &[f32], grad_image: &mut [f32]) {
        self.check(grad_image.len(), grad_out.len());
        let legs = legs(&self.legs, &self.stages, &self.tables, self.source);
        let (planes, frames, count) = (self.fill.len(), self.frames, legs.len());
        let [current, next] = &mut self.between;
        for (index, leg) in legs.into_iter().enumerate().rev() {
            let len = area(leg.from);
            let input = if index + 1 == count { grad_out } else { current.as_slice() };
            let output = if index == 0 && leg.time.is_none() {
                &mut *grad_image
            } else {
                next.resize(planes * len, 0.0);
                next.as_mut_slice()
            };
            let all =
                input.chunks_exact(area(leg.to())).zip(output.chunks_exact_mut(len)).zip(&mut self.buffers);
            parallel::each(all, |_, ((grad_out, grad_in), buffers)| {
                let adjoint = |(stage, tables): (&Stage, &Tables), grad_out: &[f32], grad_in: &mut [f32]| {
                    stage.adjoint(tables, grad_out, grad_in);
                };
                let stages = leg.stages.iter().zip(leg.tables).rev();
                walk(stages, &mut buffers.stages, grad_out, grad_in, adjoint, |(stage, _)| area(stage.from));
            });
            std::mem::swap(current, next);
            let Some(taps) = leg.time else { continue };
            let output = if index == 0 {
                &mut *grad_image
            } else {
                next.resize(planes * len, 0.0);
                next.as_mut_slice()
            };
            let mixed = current.as_slice();
            parallel::each(output.chunks_exact_mut(len), |plane, grad| {
                let t = plane % frames;
                time::frame_adjoint(taps, t, &mixed[(plane - t) * len..][..frames * len], grad);
            });
            std::mem::swap(current, next);
        }
    }

    fn check(&self, image: usize, out: usize) {
        let planes = self.fill.len();
        assert_eq!(image, planes * area(self.source), "an image of {planes} planes, {:?}", self.source);
        assert_eq!(out, planes * area(self.canvas), "a result of {planes} planes, {:?}", self.canvas);
    }
}

/// A leg with its stages at hand.
struct LegView<'a> {
    time: Option<&'a FrameTaps>,
    stages: &'a [Stage],
    tables: &'a [Tables],
    from: [usize; 2],
}

impl LegView<'_> {
    fn to(&self) -> [usize; 2] {
        self.stages.last().map_or(self.from, |stage| stage.to)
    }
}

fn legs<'a>(
    legs: &'a [Leg],
    stages: &'a [Stage],
    tables: &'a [Tables],
    source: [usize; 2],
) -> Vec<LegView<'a>> {
    let ends = legs.iter().skip(1).map(|leg| leg.first).chain([stages.len()]);
    legs.iter()
        .zip(ends)
        .map(|(leg, end)| LegView {
            time: leg.time.as_ref(),
            stages: &stages[leg.first..end],
            tables: &tables[leg.first..end],
            from: leg.first.checked_sub(1).map_or(source, |before| stages[before].to),
        })
        .collect()
}

/// Goes through the stages with two buffers in turn; the first reads `first`, the last writes `last`.
fn walk<S: Copy>(
    stages: impl ExactSizeIterator<Item = S>,
    buffers: &mut [Vec<f32>; 2],
    first: &[f32],
    last: &mut [f32],
    run: impl Fn(S, &[f32], &mut [f32]),
    len_after: impl Fn(S) -> usize,
) {
    let count = stages.len();
    if count == 0 {
        last.copy_from_slice(first);
        return;
    }
    let [current, next] = buffers;
    for (index, stage) in stages.enumerate() {
        let input = if index == 0 { first } else { current.as_slice() };
        if index + 1 == count {
            run(stage, input, last);
            return;
        }
        // Every map writes all of its output.
        next.resize(len_after(stage), 0.0);
        run(stage, input, next);
        std::mem::swap(current, next);
    }
}
