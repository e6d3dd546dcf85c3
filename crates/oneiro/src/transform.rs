//! Robustness transforms: what an image must survive while it is optimised.
//!
//! Shape of the concept: a [`Chain`] lists [`Transform`]s. Each step, for each image, [`Chain::sample`] draws
//! the random numbers and returns a [`Sampled`] chain: a fixed map that is affine in the image.
//! [`Sampled::apply`] goes forward, [`Sampled::adjoint`] takes a gradient on the result back to a gradient on
//! the image. The result has the size of the canvas, whatever the members do: it is cropped or padded about
//! its centre.
//!
//! Images are planar `[C, H, W]`. A clip `[C, T, H, W]` is the same with C·T planes: all its frames move
//! together.
//!
//! Written as text, a chain is `pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)`; see
//! [`Chain::parse`].
//!
//! ```
//! # use oneiro::{rng::Stream, transform::Chain};
//! let mut rng = Stream::new(0, 0);
//! let mut moved = Chain::lucid().sample(&mut rng, [3, 64, 64]);
//! let (image, mut out) = (vec![0.5; 3 * 64 * 64], vec![0.0; 3 * 64 * 64]);
//! moved.apply(&image, &mut out);
//! ```

mod expression;
mod geometry;
mod resample;

pub use expression::TransformError;

use crate::rng::Stream;
use rayon::prelude::*;
use resample::Taps;
use serde::{Deserialize, Serialize};

/// Colour outside an image that has none of its own: middle grey (Lucid, `optvis/transform.py`, `pad`).
pub const LUCID_FILL: f32 = 0.5;

/// One random transform.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// Grows the image by so many pixels on each of its four sides.
    Pad(usize, PadMode),
    /// Cuts so many rows and columns off, split at random between the two sides (all but one at most).
    Jitter(usize),
    /// Moves the image by up to so many pixels in both axes; what leaves on one side enters on the other.
    Roll(usize),
    /// Resizes bilinearly by a random factor (sizes rounded, half-pixel centres, edges continued).
    Scale(Values),
    /// Turns by a random angle in degrees about the centre, counter-clockwise as seen, bilinearly; what comes
    /// from outside has the fill colour.
    Rotate(Values),
    /// Crops or pads about the centre to this height and width.
    Canvas(usize, usize),
}

/// What [`Transform::Pad`] fills the border with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PadMode {
    /// The chain's fill colour.
    Fill,
    /// The image mirrored at its first and last pixel, which are not repeated.
    Reflect,
}

/// What a random number is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Each entry is equally likely; one that stands twice is twice as likely.
    List(Vec<f64>),
    /// Uniform between two real numbers.
    Uniform(f64, f64),
}

impl Values {
    fn draw(&self, rng: &mut Stream) -> Option<f64> {
        match self {
            Values::List(list) => list.get(rng.choice(list.len())).copied(),
            Values::Uniform(low, high) => Some(rng.uniform_in(*low, *high)),
        }
    }
}

/// Transforms one after another, and the colour outside the image.
///
/// As text and in serialized form it is an expression (see [`Chain::parse`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain {
    /// The members, in the order in which they act.
    pub transforms: Vec<Transform>,
    /// The colour outside the image: one number, or one for each channel. If there are fewer numbers than
    /// planes, planes share them in equal runs: 3 numbers for a clip `[3, T, H, W]` colour T planes each.
    pub fill: Vec<f32>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain::none()
    }
}

impl Chain {
    /// These transforms, with middle grey outside.
    pub fn new(transforms: Vec<Transform>) -> Chain {
        Chain { transforms, fill: vec![LUCID_FILL] }
    }

    /// No transform.
    pub fn none() -> Chain {
        Chain::new(Vec::new())
    }

    /// Lucid's standard transforms (`lucid/optvis/transform.py`, `standard_transforms`).
    pub fn lucid() -> Chain {
        let scales = (0..=10).map(|k| f64::from(90 + 2 * k) / 100.0).collect();
        let degrees = (-10..=10).map(f64::from).chain([0.0; 5]).collect();
        Chain::new(vec![
            Transform::Pad(12, PadMode::Fill),
            Transform::Jitter(8),
            Transform::Scale(Values::List(scales)),
            Transform::Rotate(Values::List(degrees)),
            Transform::Jitter(4),
        ])
    }

    /// The transforms of Conveiro's colour-decorrelated Fourier space (CDFS). `fill` is the model's mean
    /// colour in display units: padding with it is padding with zeros after the means have been subtracted.
    pub fn conveiro(fill: &[f32]) -> Chain {
        let transforms = vec![
            Transform::Pad(16, PadMode::Fill),
            Transform::Roll(16),
            Transform::Scale(Values::List(vec![1.0, 0.975, 1.025, 0.95, 1.05])),
            Transform::Rotate(Values::List((-5..=5).map(f64::from).collect())),
            Transform::Roll(8),
        ];
        Chain { transforms, fill: fill.to_vec() }
    }

    /// Pixels of the largest picture that the chain can make of one of this size (H, W) on the way, at most.
    pub fn largest_stage(&self, [height, width]: [usize; 2]) -> f64 {
        let (mut h, mut w) = (height as f64, width as f64);
        let mut largest = h * w;
        for transform in &self.transforms {
            match transform {
                Transform::Pad(n, _) => (h, w) = (h + 2.0 * *n as f64, w + 2.0 * *n as f64),
                Transform::Scale(values) => {
                    let most = match values {
                        Values::List(list) => list.iter().copied().fold(0.0, f64::max),
                        Values::Uniform(low, high) => low.max(*high),
                    };
                    (h, w) = (h * most, w * most);
                }
                Transform::Canvas(height, width) => (h, w) = (*height as f64, *width as f64),
                Transform::Jitter(_) | Transform::Roll(_) | Transform::Rotate(_) => {}
            }
            largest = largest.max(h * w);
        }
        largest
    }

    /// Draws the random numbers of one step for one `[C, H, W]` image.
    ///
    /// Every member draws the same count of numbers whatever the image's size.
    pub fn sample(&self, rng: &mut Stream, shape: [usize; 3]) -> Sampled {
        self.sample_onto(rng, shape, [shape[1], shape[2]])
    }

    /// The same with a canvas, the height and width of the result, that differs from the image's.
    pub fn sample_onto(&self, rng: &mut Stream, shape: [usize; 3], canvas: [usize; 2]) -> Sampled {
        let mut sampled = Sampled::default();
        self.resample(rng, shape, canvas, &mut sampled);
        sampled
    }

    /// Draws anew into a chain that was sampled before, and keeps its memory.
    ///
    /// # Panics
    /// If the image has no pixels or the fill's length neither is 1 nor divides the number of planes.
    pub fn resample(&self, rng: &mut Stream, shape: [usize; 3], canvas: [usize; 2], sampled: &mut Sampled) {
        let [planes, height, width] = shape;
        assert!(shape.iter().chain(&canvas).all(|n| *n > 0), "an image of {shape:?} has no pixels");
        let colors = self.fill.len();
        assert!(
            colors > 0 && planes.is_multiple_of(colors),
            "a fill of {colors} colours for {planes} planes"
        );
        sampled.fill.clear();
        sampled.fill.extend((0..planes).map(|plane| self.fill[plane * colors / planes]));
        sampled.canvas = canvas;
        sampled.source = [height, width];
        sampled.stages.clear();
        for transform in &self.transforms {
            sampled.push(transform.draw(rng, sampled.size()));
        }
        let from = sampled.size();
        sampled.push(Some(Stage { from, to: canvas, map: centred(from, canvas) }));
    }
}

impl Transform {
    /// The map that this transform is this time; `None` for the identity.
    fn draw(&self, rng: &mut Stream, from: [usize; 2]) -> Option<Stage> {
        let [height, width] = from;
        let stage = |to, map| Some(Stage { from, to, map });
        match self {
            Transform::Pad(p, mode) => {
                let to = [height + 2 * p, width + 2 * p];
                let offset = -(*p as isize);
                stage(
                    to,
                    match mode {
                        PadMode::Fill => Map::Place { dy: offset, dx: offset },
                        PadMode::Reflect => Map::Reflect { p: *p },
                    },
                )
            }
            Transform::Jitter(j) => {
                let (cut_y, cut_x) = ((*j).min(height - 1), (*j).min(width - 1));
                let (dy, dx) = (rng.choice(cut_y + 1) as isize, rng.choice(cut_x + 1) as isize);
                stage([height - cut_y, width - cut_x], Map::Place { dy, dx })
            }
            Transform::Roll(j) => {
                let j = i32::try_from(*j).unwrap_or(i32::MAX);
                let mut shift = |n: usize| i64::from(rng.range_i32(-j, j)).rem_euclid(n as i64) as usize;
                let (dy, dx) = (shift(height), shift(width));
                stage(from, Map::Roll { dy, dx })
            }
            Transform::Scale(values) => {
                let factor = values.draw(rng)?;
                let scaled = |n: usize| ((n as f64 * factor).round() as usize).max(1);
                stage([scaled(height), scaled(width)], Map::Scale)
            }
            Transform::Rotate(values) => {
                let (sin, cos) = values.draw(rng)?.to_radians().sin_cos();
                stage(from, Map::Rotate { sin: sin as f32, cos: cos as f32 })
            }
            Transform::Canvas(height, width) => {
                let to = [*height, *width].map(|n| n.max(1));
                stage(to, centred(from, to))
            }
        }
    }
}

/// Crops or pads about the centre; of an odd difference, the smaller half is before the image.
fn centred(from: [usize; 2], to: [usize; 2]) -> Map {
    let offset = |from: usize, to: usize| {
        if from >= to { ((from - to) / 2) as isize } else { -(((to - from) / 2) as isize) }
    };
    Map::Place { dy: offset(from[0], to[0]), dx: offset(from[1], to[1]) }
}

/// A fixed affine map between planar images.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Map {
    /// out(y, x) = in(y + dy, x + dx), the fill colour outside.
    Place { dy: isize, dx: isize },
    /// p mirrored pixels on every side.
    Reflect { p: usize },
    /// out(y + dy, x + dx) = in(y, x), modulo the size.
    Roll { dy: usize, dx: usize },
    /// Bilinear, from one size to another.
    Scale,
    /// Bilinear, about the centre.
    Rotate { sin: f32, cos: f32 },
}

/// A map and the sizes that it goes between.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stage {
    from: [usize; 2],
    to: [usize; 2],
    map: Map,
}

impl Stage {
    fn is_identity(&self) -> bool {
        self.from == self.to
            && match self.map {
                Map::Place { dy, dx } => dy == 0 && dx == 0,
                Map::Roll { dy, dx } => dy == 0 && dx == 0,
                Map::Reflect { p } => p == 0,
                Map::Scale => true,
                Map::Rotate { sin, cos } => sin == 0.0 && cos == 1.0,
            }
    }

    /// On one plane. `taps` are those of a scale.
    fn apply(&self, fill: f32, taps: &[Taps; 2], input: &[f32], out: &mut [f32]) {
        match self.map {
            Map::Place { dy, dx } => geometry::place(input, self.from, [dy, dx], fill, out, self.to),
            Map::Reflect { p } => geometry::reflect(input, self.from, p, out),
            Map::Roll { dy, dx } => geometry::roll(input, self.from, [dy, dx], out),
            Map::Scale => resample::scale(input, self.from, taps, out, self.to),
            Map::Rotate { sin, cos } => resample::rotate(input, self.from, sin, cos, fill, out),
        }
    }

    /// On one plane; overwrites `grad_input`.
    fn adjoint(&self, taps: &[Taps; 2], grad_out: &[f32], grad_input: &mut [f32]) {
        match self.map {
            Map::Place { dy, dx } => {
                geometry::place_adjoint(grad_out, self.to, [dy, dx], grad_input, self.from)
            }
            Map::Reflect { p } => geometry::reflect_adjoint(grad_out, p, grad_input, self.from),
            Map::Roll { dy, dx } => geometry::roll_adjoint(grad_out, self.from, [dy, dx], grad_input),
            Map::Scale => resample::scale_adjoint(grad_out, self.to, taps, grad_input, self.from),
            Map::Rotate { sin, cos } => resample::rotate_adjoint(grad_out, self.from, sin, cos, grad_input),
        }
    }

    fn prepare(&self, taps: &mut [Taps; 2]) {
        if self.map == Map::Scale {
            taps[0].set(self.from[0], self.to[0]);
            taps[1].set(self.from[1], self.to[1]);
        }
    }
}

fn area([height, width]: [usize; 2]) -> usize {
    height * width
}

/// A chain whose random numbers have been drawn: an affine map A·x + b from an image to the canvas.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// None of them the identity.
    stages: Vec<Stage>,
    /// One colour for each plane.
    fill: Vec<f32>,
    source: [usize; 2],
    canvas: [usize; 2],
    /// Of each plane, two between stages.
    buffers: Vec<[Vec<f32>; 2]>,
    /// Of each stage.
    taps: Vec<[Taps; 2]>,
}

impl Sampled {
    /// Height and width after the stages so far.
    fn size(&self) -> [usize; 2] {
        self.stages.last().map_or(self.source, |stage| stage.to)
    }

    fn push(&mut self, stage: Option<Stage>) {
        self.stages.extend(stage.filter(|stage| !stage.is_identity()));
    }

    /// `[C, H, W]` of the result.
    pub fn out_shape(&self) -> [usize; 3] {
        [self.fill.len(), self.canvas[0], self.canvas[1]]
    }

    /// Writes the transformed image to `out`; planes are shared out among threads.
    pub fn apply(&mut self, image: &[f32], out: &mut [f32]) {
        self.check(image.len(), out.len());
        self.prepare();
        let (stages, taps) = (&self.stages, &self.taps);
        image
            .par_chunks_exact(area(self.source))
            .zip(out.par_chunks_exact_mut(area(self.canvas)))
            .zip(&mut self.buffers)
            .zip(&self.fill)
            .for_each(|(((image, out), buffers), &fill)| {
                let stages = stages.iter().zip(taps);
                let apply = |(stage, taps): (&Stage, &[Taps; 2]), input: &[f32], out: &mut [f32]| {
                    stage.apply(fill, taps, input, out);
                };
                walk(stages, buffers, image, out, apply, |(stage, _)| area(stage.to));
            });
    }

    /// Writes to `grad_image` the gradient on the image, given that on the result: Aᵀ·g.
    pub fn adjoint(&mut self, grad_out: &[f32], grad_image: &mut [f32]) {
        self.check(grad_image.len(), grad_out.len());
        self.prepare();
        let (stages, taps) = (&self.stages, &self.taps);
        grad_out
            .par_chunks_exact(area(self.canvas))
            .zip(grad_image.par_chunks_exact_mut(area(self.source)))
            .zip(&mut self.buffers)
            .for_each(|((grad_out, grad_image), buffers)| {
                let stages = stages.iter().zip(taps).rev();
                let adjoint =
                    |(stage, taps): (&Stage, &[Taps; 2]), grad_out: &[f32], grad_input: &mut [f32]| {
                        stage.adjoint(taps, grad_out, grad_input);
                    };
                walk(stages, buffers, grad_out, grad_image, adjoint, |(stage, _)| area(stage.from));
            });
    }

    /// Buffers for every plane, and the taps of every stage.
    fn prepare(&mut self) {
        self.buffers.resize_with(self.fill.len(), Default::default);
        self.taps.resize_with(self.stages.len(), Default::default);
        self.stages.iter().zip(&mut self.taps).for_each(|(stage, taps)| stage.prepare(taps));
    }

    fn check(&self, image: usize, out: usize) {
        let planes = self.fill.len();
        assert_eq!(image, planes * area(self.source), "an image of {planes} planes, {:?}", self.source);
        assert_eq!(out, planes * area(self.canvas), "a result of {planes} planes, {:?}", self.canvas);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(rng: &mut Stream, len: usize) -> Vec<f32> {
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    fn run(sampled: &mut Sampled, image: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; sampled.out_shape().iter().product()];
        sampled.apply(image, &mut out);
        out
    }

    #[test]
    fn every_chain_passes_the_adjoint_test() {
        let chains = [
            "none",
            "pad(3)",
            "pad(2,reflect)",
            "pad(9,reflect)",
            "jitter(3)",
            "jitter(50)",
            "roll(4)",
            "scale(0.5..1.7)",
            "scale(1.3)",
            "rotate(-40..40)",
            "rotate(90)",
            "rotate(180,270)",
            "canvas(4,9)",
            "canvas(40,1)",
            "pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)",
            "fill(0.1)|pad(1)|roll(3)|scale(0.7)|pad(2,reflect)|rotate(5)|jitter(2)",
        ];
        let shapes = [[3, 8, 9], [1, 1, 1], [2, 7, 5], [4, 1, 6], [1, 6, 1], [3, 16, 16]];
        for text in chains {
            for shape in shapes {
                for seed in 0..4 {
                    let chain = Chain::parse(text).unwrap();
                    let mut rng = Stream::new(seed, 0);
                    let mut sampled = chain.sample(&mut rng, shape);
                    let len = shape.iter().product();
                    let (x, y) = (noise(&mut rng, len), noise(&mut rng, len));
                    let mut aty = vec![f32::NAN; len];
                    sampled.adjoint(&y, &mut aty);
                    // The map is affine: A·x is the difference to the image of zero.
                    let (at_x, at_zero) = (run(&mut sampled, &x), run(&mut sampled, &vec![0.0; len]));
                    let ax: Vec<f32> = at_x.iter().zip(&at_zero).map(|(a, b)| a - b).collect();
                    let (left, right) = (dot(&ax, &y), dot(&x, &aty));
                    assert!(
                        (left - right).abs() < 1e-4 * (1.0 + len as f64),
                        "{text} {shape:?}: {left} {right}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_image_of_the_fill_colour_stays_as_it_is() {
        let color = [0.2, 0.5, 0.7];
        let shape = [3, 20, 24];
        let image: Vec<f32> = color.iter().flat_map(|c| [*c; 480]).collect();
        let mut rng = Stream::new(0, 0);
        for chain in [Chain::conveiro(&color), Chain { fill: color.to_vec(), ..Chain::lucid() }] {
            for _ in 0..20 {
                let out = run(&mut chain.sample(&mut rng, shape), &image);
                assert!(out.iter().zip(&image).all(|(a, b)| (a - b).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn planes_of_a_clip_move_together_and_share_the_fill_of_their_channel() {
        let chain = Chain::parse("fill(0.1,0.2,0.3)|pad(4)|jitter(8)|rotate(-30..30)").unwrap();
        let frame = noise(&mut Stream::new(1, 0), 36);
        let clip = frame.repeat(6);
        let out = run(&mut chain.sample(&mut Stream::new(2, 0), [6, 6, 6]), &clip);
        let planes: Vec<_> = out.chunks_exact(36).collect();
        assert_eq!(planes[0], planes[1]);
        assert_eq!(planes[4], planes[5]);
        assert_ne!(planes[0], planes[2]);
    }

    #[test]
    fn the_presets_have_the_published_constants() {
        assert_eq!(
            Chain::lucid().to_string(),
            "pad(12)|jitter(8)|scale(0.9,0.92,0.94,0.96,0.98,1,1.02,1.04,1.06,1.08,1.1)\
             |rotate(-10,-9,-8,-7,-6,-5,-4,-3,-2,-1,0,1,2,3,4,5,6,7,8,9,10,0,0,0,0,0)|jitter(4)"
        );
        assert_eq!(
            Chain::conveiro(&[0.25]).to_string(),
            "fill(0.25)|pad(16)|roll(16)|scale(1,0.975,1.025,0.95,1.05)|rotate(-5,-4,-3,-2,-1,0,1,2,3,4,5)|roll(8)"
        );
        assert_eq!(Chain::none().to_string(), "none");
    }

    #[test]
    fn the_same_stream_gives_the_same_map_in_used_memory() {
        let (chain, shape) = (Chain::lucid(), [3, 30, 31]);
        let image = noise(&mut Stream::new(1, 1), 2790);
        let fresh = run(&mut chain.sample(&mut Stream::new(5, 0), shape), &image);
        let mut used = chain.sample(&mut Stream::new(6, 0), [1, 50, 60]);
        run(&mut used, &[0.3; 3000]);
        chain.resample(&mut Stream::new(5, 0), shape, [30, 31], &mut used);
        assert_eq!(run(&mut used, &image), fresh);
    }

    #[test]
    fn a_bigger_image_can_be_jittered_onto_a_smaller_canvas() {
        let image: Vec<f32> = (0..36).map(|v| v as f32).collect();
        let mut rng = Stream::new(3, 0);
        let mut corners = [0usize; 9];
        for _ in 0..900 {
            let out =
                run(&mut Chain::parse("jitter(2)").unwrap().sample_onto(&mut rng, [1, 6, 6], [4, 4]), &image);
            let (y, x) = (out[0] as usize / 6, out[0] as usize % 6);
            assert_eq!(out[15], out[0] + 21.0);
            corners[y * 3 + x] += 1;
        }
        assert!(corners.iter().all(|c| (60..140).contains(c)), "{corners:?}");
    }
}
