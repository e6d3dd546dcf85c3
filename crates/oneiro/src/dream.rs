//! Dream images: the features that a network detects in a picture, or in noise, are strengthened.
//!
//! A rendering ([`crate::render`]) starts from parameters; a dream changes the pixels of a given picture by
//! normalized gradient ascent. It goes octave by octave: first it changes a small copy, in which large
//! structures form, then larger ones. Pixel values and steps are in units of 0–255, like the constants of the
//! sources, whatever the network's units.
//!
//! ```text
//! start image ─► octave 1 (small) ─► steps ─► enlarge ─► octave 2 ─► steps ─► … ─► the start image's size
//! a step: roll ─► tiles ─► network ─► objective ─► gradient of each tile ─► blend, roll back ─► normalize ─► add
//! ```
//!
//! The picture is treated as a torus and rolled by a random shift before each step. The network sees one tile
//! at a time, so memory is bounded by the tile and a few copies of the picture (three floats a pixel each).
//! An axis that fits into a tile is one tile of exactly its length. A longer axis has several tiles that
//! overlap and are blended, and their borders move in every step. Tiles have the network's own size if it
//! accepts no other, or if an octave is too small for it. A smaller octave is then repeated periodically.
//!
//! Networks of clips dream on clips: all frames share octaves, rolls and the length of a step. A clip that is
//! longer than the network's is seen in windows of time that overlap and are blended.
//!
//! | preset | source | a step |
//! |---|---|---|
//! | [`DreamPreset::deepdream`] | Mordvintsev, Olah & Tyka 2015 | 1.5 g / mean abs g, then clip to 0–255 |
//! | [`DreamPreset::conveiro_multiscale`] | Showmax's Conveiro | g / (σ + 1e-8) |
//! | [`DreamPreset::conveiro_laplacian`] | the same | each level of g's Laplacian pyramid / its RMS |
//!
//! ```no_run
//! use oneiro::dream::{Dream, DreamPreset, DreamGoal, Start};
//! use oneiro_image::Image;
//! use oneiro::objective::Objective;
//!
//! # fn dream(model: &oneiro::Model, photo: Image) -> oneiro::Result<Image> {
//! let goal = DreamGoal::Objective(Objective::layer("fire6"));
//! let mut dream = Dream::new(model, &DreamPreset::deepdream(), &goal, Start::Image(photo), None, 0)?;
//! while !dream.finished() {
//!     dream.step()?;
//! }
//! Ok(dream.picture())
//! # }
//! ```

use rayon::prelude::*;

use oneiro_image::Image;

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::rng::Stream;

mod accepted;
mod goal;
mod input;
mod network;
mod octaves;
mod picture;
mod planes;
mod preset;
mod pyramid;
mod step;
mod tiles;
mod times;

pub use goal::{DreamGoal, Guide};
pub use picture::Start;
pub use preset::{DEFAULT_NOISE_SIZE, DreamDisplay, DreamPreset, MAX_SIDE, Normalize, OctaveStart, Zoom};

use input::dreamt_input;
use network::{Network, PreparedGoal};
use octaves::fit;
use picture::{Scaled, check_len, check_photo};
use planes::{for_each_row, moments, resize};
use step::Look;
use tiles::Axis;
use times::Times;

/// The value of white in a dream's pixels.
const WHITE: f32 = 255.0;
/// Mean and deviation of the noise (`get_base_image`, Conveiro's `deep_dream.py`).
const NOISE: (f64, f64) = (200.0, 8.0);
/// Constants of the standardized display: smallest deviation, deviation in the picture, mean of the picture.
const DISPLAY: (f64, f64, f64) = (1e-4, 0.3, 0.5);
/// Numbers of the random streams of a dream.
const NOISE_STREAM: u64 = 0x6472_6561_6d00;
const ROLL_STREAM: u64 = 0x6472_6561_6d01;

/// A DeepDream that is computed step by step.
#[allow(missing_debug_implementations)]
pub struct Dream<'a> {
    model: &'a Model,
    preset: DreamPreset,
    goal: String,
    prepared: PreparedGoal,
    /// Sizes of the octaves, from small to large.
    sizes: Vec<[usize; 2]>,
    octave: usize,
    /// Steps done in this octave; below, steps done in all frames.
    step: usize,
    steps_done: usize,
    /// The picture or clip in this octave, (3, T, H, W) in 0–255; T is 1 for a picture.
    x: Vec<f32>,
    gradient: Vec<f32>,
    /// The start image; `None` if the dream starts from noise.
    base: Option<Scaled>,
    mask: Option<Scaled>,
    start_value: f64,
    network: Network,
    axes: [Axis; 2],
    times: Times,
    seed: u64,
    roll: Stream,
}

impl<'a> Dream<'a> {
    /// Prepares a dream. The dream runs on the model's threads ([`Model::on`]).
    ///
    /// # Errors
    /// If a setting is out of range, a layer is unknown, the picture is too small, a mask is given without a
    /// picture, or the network takes no pictures.
    pub fn new(
        model: &'a Model,
        preset: &DreamPreset,
        goal: &DreamGoal,
        start: Start,
        mask: Option<Image>,
        seed: u64,
    ) -> Result<Self> {
        model.threads().run(|| Self::prepare(model, preset, goal, start, mask, seed))
    }

    fn prepare(
        model: &'a Model,
        preset: &DreamPreset,
        goal: &DreamGoal,
        start: Start,
        mask: Option<Image>,
        seed: u64,
    ) -> Result<Self> {
        preset.check()?;
        // The network is checked first, so that its error takes precedence over one about the picture.
        let input = dreamt_input(model)?;
        let takes_clips = model.card.input[input].kind == InputKind::Clip;
        let image = match start {
            Start::Noise if mask.is_some() => {
                return Err(Error::Settings(
                    "a mask keeps parts of an image; from noise there is none".into(),
                ));
            }
            Start::Noise if preset.strength < 1.0 => {
                return Err(Error::Settings(
                    "a strength below 1 mixes the dream with its image; from noise there is none".into(),
                ));
            }
            Start::Noise => None,
            Start::Image(image) => {
                check_photo("the picture", &image, 3, takes_clips)?;
                Some(image)
            }
        };
        let last = preset.final_size(image.as_ref().map(|i| [i.height, i.width]))?;
        let frames = image.as_ref().map(|image| image.frames);
        let base = image.map(|image| scaled_to_white(image, last));
        let mask = match mask {
            None => None,
            Some(mask) => {
                check_photo("the mask", &mask, 1, false)?;
                let mut full = resize(&mask.data, [mask.height, mask.width], last);
                for_each_row(&mut full, last[1], |_, row| {
                    row.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
                });
                if full.iter().all(|m| *m == 0.0) {
                    return Err(Error::Settings("the mask is black all over: nothing would change".into()));
                }
                Some(Scaled::new(full))
            }
        };
        let sizes = preset.octave_sizes(last);
        let prepared = PreparedGoal::new(model, goal)?;
        let (Some(network), axes) = fit(model, preset, &prepared, last, None)? else {
            return Err(Error::Settings("the network could not be prepared".into()));
        };
        let seen = network.frames();
        let mut dream = Self {
            model,
            preset: preset.clone(),
            goal: goal.to_string(),
            prepared,
            x: Vec::new(),
            gradient: Vec::new(),
            octave: 0,
            step: 0,
            steps_done: 0,
            base,
            mask,
            start_value: f64::NAN,
            network,
            axes,
            times: Times::new(frames.unwrap_or(seen), seen),
            seed,
            roll: Stream::new(seed, ROLL_STREAM),
            sizes,
        };
        match &dream.base {
            Some(base) => {
                let look = Look { network: &mut dream.network, axes: &dream.axes, times: &dream.times };
                dream.start_value = look.mean_value(&base.full, 1.0 / WHITE);
                dream.begin()?;
            }
            None => {
                let mut noise = Stream::new(seed, NOISE_STREAM);
                let [h, w] = dream.sizes[0];
                let draw = || (NOISE.0 + NOISE.1 * noise.normal()) as f32;
                dream.x = std::iter::repeat_with(draw).take(3 * dream.times.frames * h * w).collect();
                // A start from noise keeps only what the network can see; a photo keeps its colours.
                dream.network.visible(&mut dream.x);
                dream.refit()?;
                dream.start_value = dream.value();
            }
        }
        if !dream.start_value.is_finite() {
            return Err(Error::NotFinite { objective: dream.goal, step: 0 });
        }
        dream.settle()?;
        Ok(dream)
    }

    /// Height and width of the picture in this octave.
    pub fn size(&self) -> [usize; 2] {
        self.sizes[self.octave]
    }

    /// Height and width of the finished picture.
    pub fn final_size(&self) -> [usize; 2] {
        self.sizes[self.sizes.len() - 1]
    }

    /// Index of the octave, from 0, and the number of octaves.
    pub fn octave(&self) -> (usize, usize) {
        (self.octave, self.sizes.len())
    }

    /// Number of steps done, including those of earlier frames.
    pub fn steps_done(&self) -> usize {
        self.steps_done
    }

    /// Height and width of the tiles, and their number.
    pub fn tiles(&self) -> ([usize; 2], usize) {
        (self.network.size, self.axes[0].count() * self.axes[1].count())
    }

    /// Whether tiles have the network's own size, because it does not accept the tile size of this octave.
    pub fn tile_is_forced(&self) -> bool {
        self.axes.iter().any(Axis::is_forced)
    }

    /// Memory for the activations and gradients of a tile, in bytes.
    pub fn network_bytes(&self) -> usize {
        self.network.arena_bytes()
    }

    /// Whether all steps of all octaves are done.
    pub fn finished(&self) -> bool {
        self.octave + 1 == self.sizes.len() && self.step >= self.preset.steps
    }

    /// Computes the goal's value for the current picture: the mean over all tiles, without a roll.
    pub fn value(&mut self) -> f64 {
        let Self { model, network, axes, times, x, .. } = self;
        let look = Look { network, axes, times };
        model.threads().run(|| look.mean_value(x, 1.0 / WHITE))
    }

    /// Computes the goal's value for another picture of equal size, such as this picture after it was saved.
    ///
    /// # Errors
    /// If the picture has another size.
    pub fn value_of(&mut self, picture: &Image) -> Result<f64> {
        check_len("the picture", self.x.len(), picture.data.len())?;
        let Self { model, network, axes, times, .. } = self;
        let look = Look { network, axes, times };
        Ok(model.threads().run(|| look.mean_value(&picture.data, 1.0)))
    }

    /// The goal's value for the start image at the result's size, or for the initial noise.
    pub fn value_at_start(&self) -> f64 {
        self.start_value
    }

    /// Returns the optimised values with white at 1, neither clipped nor standardized.
    pub fn raw(&self) -> Image {
        self.image(1.0 / WHITE, 0.0)
    }

    /// Returns the picture for display, which is to be clipped to 0–1.
    pub fn picture(&self) -> Image {
        match self.preset.display {
            DreamDisplay::Clip => self.raw(),
            DreamDisplay::Standardize => {
                let (smallest, deviation, mean) = DISPLAY;
                let (mu, sigma) = moments(&self.x, self.size()[1]);
                let factor = deviation / sigma.max(smallest);
                self.image(factor as f32, (mean - mu * factor) as f32)
            }
        }
    }

    fn image(&self, factor: f32, offset: f32) -> Image {
        let [height, width] = self.size();
        let data = self.x.par_iter().map(|x| factor * x + offset).collect();
        Image { channels: 3, frames: self.times.frames, height, width, has_alpha: false, data }
    }

    /// Begins a dream on another picture of the result's size, such as a video's next frame. The steps, the
    /// rolls and all else are as for the first.
    ///
    /// # Errors
    /// If the picture has another size, or the network of the first octave cannot be compiled.
    pub fn restart(&mut self, start: Image) -> Result<()> {
        check_len("the picture", self.x.len(), start.data.len())?;
        self.model.threads().run(|| {
            self.gradient = Vec::new();
            self.base = Some(scaled_to_white(start, self.final_size()));
            self.roll = Stream::new(self.seed, ROLL_STREAM);
            self.begin()?;
            self.settle()
        })
    }

    /// Begins the next frame of a film with an enlarged crop of the finished picture. From the second frame
    /// on, octaves always start as in [`OctaveStart::Detail`], whatever the preset says for the first frame.
    ///
    /// # Errors
    /// If a number of the zoom is out of range, or the network of the first octave cannot be compiled.
    pub fn zoom(&mut self, zoom: &Zoom) -> Result<()> {
        zoom.check()?;
        self.model.threads().run(|| self.next_frame(zoom))
    }

    fn next_frame(&mut self, zoom: &Zoom) -> Result<()> {
        while !self.finished() {
            self.step()?;
        }
        self.preset.octave_start = OctaveStart::Detail;
        let size = self.size();
        self.gradient = Vec::new();
        self.base = None;
        self.base = Some(Scaled::new(planes::zoomed(&std::mem::take(&mut self.x), size, zoom)));
        self.begin()?;
        self.settle()
    }
}

/// Resizes a picture or clip of values 0–1 to the result's size, in 0–255.
fn scaled_to_white(image: Image, size: [usize; 2]) -> Scaled {
    let mut full = resize(&image.data, [image.height, image.width], size);
    drop(image);
    for_each_row(&mut full, size[1], |_, row| row.iter_mut().for_each(|x| *x *= WHITE));
    Scaled::new(full)
}

#[cfg(test)]
mod tests;
