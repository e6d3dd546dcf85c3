//! The rendering loop: parameters → image → transforms → network → objective, and back. [`Render`] runs it
//! step by step, and [`render`] runs it to the end.
//!
//! The pictures of a batch are independent: each has its own objective, parameters, optimizer and random
//! stream. The stream's seed comes from the objective's text. So a picture's bytes do not depend on its
//! batch. Only two settings couple pictures: terms over the batch, and shared parameters.
//!
//! In each step, the network sees one or several views of each picture (the preset's `views`), each under its
//! own transforms. The mean over the views is maximised. With a [`crate::preset::Jitter`] the picture is
//! larger than the network's input, and the result is its middle.

use crate::parallel;
use oneiro_net::Threads;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::input::InputMemory;
use crate::model::Model;
use crate::objective::Objective;
use crate::objective_session::ObjectiveSession;
use crate::preset::Preset;

mod apart;
mod background;
mod batch_item;
mod evaluate;
mod identity;
mod image_state;
mod materials;
mod prepare;
mod result;
mod stride;
mod textures;
mod upkeep;
mod weight;

pub use apart::mixes_pictures;
use batch_item::BatchItem;
use image_state::ImageState;
pub use image_state::MIDDLE_GREY;
pub use materials::{CustomParam, MakeParam, Materials};
pub use result::{Picture, Progress, Rendered, Stop};

/// A rendering of several objectives, step by step.
#[allow(missing_debug_implementations)]
pub struct Render {
    session: ObjectiveSession,
    preset: Preset,
    objectives: Vec<Objective>,
    entries: Vec<BatchItem>,
    values: Vec<f64>,
    start: Vec<f64>,
    /// The weight of each objective relative to the regularizers.
    weights: Vec<f64>,
    step: usize,
    /// Number of views of each picture that go through the network together.
    views_at_once: usize,
    threads: Threads,
}

impl Render {
    /// Prepares a rendering from noise. Its size is `preset.size`, or else the model card's.
    pub fn new(model: &Model, preset: &Preset, objectives: &[Objective], seed: u64) -> Result<Self> {
        Self::with_materials(model, preset, objectives, seed, &Materials::default())
    }

    /// Prepares a rendering with materials: pictures to start from, a mask, or statistics of pictures other
    /// than photographs. The rendering runs on the model's threads ([`Model::on`]).
    pub fn with_materials(
        model: &Model,
        preset: &Preset,
        objectives: &[Objective],
        seed: u64,
        materials: &Materials,
    ) -> Result<Self> {
        model.threads().run(|| Self::prepare(model, preset, objectives, seed, materials))
    }

    /// Number of optimisation steps done.
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Returns the shape of one batch entry of a value that the objectives read, channels first.
    pub fn shape_of(&self, target: crate::model::Target) -> Option<&[usize]> {
        self.session.shape_of(target)
    }

    /// Returns the plan of the compiled network.
    pub fn plan(&self) -> &oneiro_net::Plan {
        self.session.plan()
    }

    /// Whether this entry's picture is finished. It does not change any more, even if others do.
    pub fn entry_finished(&self, entry: usize) -> bool {
        self.entries[entry].stop.is_some()
    }

    /// Whether the optimisation of every picture has ended.
    pub fn finished(&self) -> bool {
        self.entries.iter().all(|e| e.stop.is_some())
    }

    /// The objectives' values in the last step, under its random transforms.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Number of views of a picture in a step.
    fn views(&self) -> usize {
        self.preset.views.max(1)
    }

    /// Takes one step for every unfinished picture. Returns the objectives' values under this step's
    /// transforms.
    pub fn step(&mut self) -> Result<&[f64]> {
        self.threads.clone().run(|| self.advance())?;
        Ok(&self.values)
    }

    fn advance(&mut self) -> Result<()> {
        let views = self.views();
        parallel::with_awake_workers(|| {
            let preset = &self.preset;
            parallel::each_or_within(self.entries.iter_mut(), |_, entry| entry.show(preset));
        });
        let mut sums = vec![0.0; self.entries.len()];
        for first in (0..views).step_by(self.views_at_once) {
            self.pass(first, &mut sums);
        }
        for e in 0..self.entries.len() {
            if self.entries[e].stop.is_none() {
                self.values[e] = sums[e] / views as f64;
                self.check(e)?;
            }
        }
        parallel::with_awake_workers(|| self.move_parameters());
        self.step += 1;
        Ok(())
    }

    /// Runs the network forward and backward for the views from `first` on that go through it together. Adds
    /// their values to `sums`.
    fn pass(&mut self, first: usize, sums: &mut [f64]) {
        let (views, at_once) = (self.views(), self.views_at_once);
        parallel::with_awake_workers(|| self.feed(first, ImageState::image));
        self.session.forward();
        for (e, sum) in sums.iter_mut().enumerate().filter(|(e, _)| self.entries[*e].stop.is_none()) {
            let weight = self.weights[e];
            for entry in e * at_once..(e + 1) * at_once {
                *sum += self.session.value(entry);
                self.session.seed(entry, weight / views as f64);
            }
        }
        self.session.backward(&batch_item::rules(&self.preset, self.step));
        let (session, batch) = (&self.session, self.entries.len() * at_once);
        parallel::with_awake_workers(|| {
            parallel::each_or_within(self.entries.iter_mut(), |e, entry| {
                if entry.stop.is_none() {
                    let states = entry.states.iter_mut();
                    states.for_each(|state| {
                        state.collect(session, [e * at_once, batch], first..first + at_once)
                    });
                }
            });
        });
    }

    /// Ends a step: brings the gradients of the network's inputs back to the parameters, and moves the
    /// parameters.
    fn move_parameters(&mut self) {
        let mut regularizers = vec![0.0; self.entries.len()];
        parallel::each_or_within(
            self.entries.iter_mut().zip(&mut regularizers),
            |_, (entry, regularizer)| {
                if entry.stop.is_none() {
                    *regularizer = entry.back();
                }
            },
        );
        self.sum_shared();
        let (values, weights, preset) = (&self.values, &self.weights, &self.preset);
        parallel::each_or_within(self.entries.iter_mut().zip(regularizers), |e, (entry, regularizer)| {
            if entry.stop.is_none() {
                entry.step(weights[e] * values[e] - regularizer, preset);
                entry.finish_step(values[e], preset);
            }
        });
    }

    /// Gives every picture the sum of all pictures' gradients of the shared parameters, so that these change
    /// equally in all pictures.
    fn sum_shared(&mut self) {
        let Some(first) = self.entries.first() else { return };
        for k in 0..first.states.len() {
            let range = self.entries[0].states[k].param.shared();
            if range.is_empty() || self.entries.len() < 2 {
                continue;
            }
            let mut sum = vec![0.0f32; range.len()];
            for entry in self.entries.iter().filter(|e| e.stop.is_none()) {
                sum.iter_mut().zip(&entry.states[k].gradient[range.clone()]).for_each(|(s, g)| *s += g);
            }
            for entry in &mut self.entries {
                entry.states[k].gradient[range.clone()].copy_from_slice(&sum);
            }
        }
    }

    fn check(&self, entry: usize) -> Result<()> {
        // The value of a line search's trial may be infinite or NaN. The search then takes a shorter step.
        if self.values[entry].is_finite() || self.entries[entry].holds() {
            Ok(())
        } else {
            Err(Error::NotFinite { objective: self.objectives[entry].to_string(), step: self.step })
        }
    }

    /// Writes the views of every entry, from view `first` on, into the network's inputs. Penalties read
    /// `penalized`.
    fn feed(&mut self, first: usize, penalized: impl Fn(&ImageState) -> &[f32]) {
        let views = self.views_at_once;
        let batch = self.entries.len() * views;
        let entries = &self.entries;
        for input in 0..self.session.input_count() {
            match entries[0].states.iter().position(|state| state.input.index == input) {
                Some(k) => {
                    let seen =
                        |i: usize| entries[i / views].states[k].views[first + i % views].seen.as_slice();
                    entries[0].states[k].input.write(&mut self.session, batch, seen);
                }
                // No objective depends on this network input.
                None => self.session.input_mut(input).fill(0.0),
            }
        }
        let shown = self.session.shown();
        if shown.is_read() {
            for (i, entry) in self.entries.iter().enumerate() {
                for state in &entry.states {
                    (0..views).for_each(|v| shown.show(i * views + v, state.input.index, penalized(state)));
                }
            }
        }
    }

    /// Returns the current pictures. During a line search these are the last accepted ones, not its trials.
    pub fn pictures(&mut self) -> Vec<Vec<Picture>> {
        let drawn = |entry: &mut BatchItem| {
            entry.states.iter_mut().for_each(ImageState::draw_accepted);
            entry.states.iter().map(ImageState::picture).collect()
        };
        self.threads.run(|| self.entries.par_iter_mut().map(drawn).collect())
    }

    /// Ends the rendering. Returns the pictures with their values.
    pub fn finish(&mut self) -> Result<Vec<Rendered>> {
        let stop = if self.preset.total_steps() == 0 { Stop::Steps } else { Stop::Asked };
        self.entries.iter_mut().filter(|e| e.stop.is_none()).for_each(|e| e.end(stop));
        let values = self.evaluate(None)?;
        let pictures = self.pictures();
        Ok(pictures
            .into_iter()
            .enumerate()
            .map(|(e, images)| Rendered {
                objective: self.objectives[e].clone(),
                images,
                value: values[e],
                value_at_start: self.start[e],
                shares: self.entries[e]
                    .states
                    .iter()
                    .map(|state| state.shares(self.weights[e] * values[e]))
                    .collect(),
                steps: self.entries[e].steps,
                stop: self.entries[e].stop.unwrap_or(stop),
            })
            .collect())
    }
}

/// Renders objectives from noise to the end. `progress` is called after every step and returns whether to
/// continue.
///
/// # Errors
/// If a unit does not exist, the network does not accept the size, or the objective becomes infinite or NaN.
pub fn render(
    model: &Model,
    preset: &Preset,
    objectives: &[Objective],
    seed: u64,
    mut progress: impl FnMut(&Progress<'_>) -> bool,
) -> Result<Vec<Rendered>> {
    let mut render = Render::new(model, preset, objectives, seed)?;
    let steps = preset.total_steps();
    while !render.finished() && steps > 0 {
        render.step()?;
        let state = Progress { step: render.step, steps, values: &render.values };
        if !progress(&state) {
            break;
        }
    }
    render.finish()
}
