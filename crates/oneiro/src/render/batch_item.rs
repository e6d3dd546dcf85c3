//! One objective of a batch: the pictures of all inputs on which it depends, and their optimisation.

use oneiro_net::Rules;

use crate::preset::{CONVERGENCE_WINDOW, Preset};
use crate::render::Stop;
use crate::render::image_state::ImageState;
use crate::rng::Stream;

/// The pictures of one objective, one for each input on which it depends.
pub(super) struct BatchItem {
    pub states: Vec<ImageState>,
    transforms: Stream,
    values: Vec<f64>,
    /// Whether the last step evaluated a trial of a line search.
    trial: bool,
    pub steps: usize,
    /// Number of steps of the first stage, once it is over and the final steps have begun.
    settles_from: Option<usize>,
    /// Whether the first stage ended because the objective had stopped rising.
    converged: bool,
    pub stop: Option<Stop>,
}

impl BatchItem {
    /// Creates a batch item before its first step.
    pub fn new(states: Vec<ImageState>, transforms: Stream) -> Self {
        Self {
            states,
            transforms,
            values: Vec::new(),
            trial: false,
            steps: 0,
            settles_from: None,
            converged: false,
            stop: None,
        }
    }

    /// Computes the pictures and their views for a step: under random transforms, or whole pictures in the
    /// final steps. During a line search, the transforms of the last step are kept.
    pub fn show(&mut self, preset: &Preset) {
        let last = preset.steps.saturating_sub(1).max(1);
        let progress = (self.steps as f32 / last as f32).min(1.0);
        let (hold, settles) = (self.holds(), self.settles_from.is_some());
        for state in &mut self.states {
            state.draw();
            state.sample_views(settles, &mut self.transforms, progress, hold);
        }
    }

    /// Shows the current pictures, or the given ones, without random transforms.
    pub fn evaluate(&mut self, given: Option<&[Vec<f32>]>) {
        for (k, state) in self.states.iter_mut().enumerate() {
            state.draw_accepted();
            state.evaluate(given.map(|pictures| pictures[k].as_slice()));
        }
    }

    /// Whether an optimizer evaluates a trial, which it may reject.
    pub fn holds(&self) -> bool {
        self.states.iter().any(|c| c.optimizer.holds())
    }

    /// Computes the gradients of the parameters from those of the views. Returns the value of the
    /// regularizers.
    pub fn back(&mut self) -> f64 {
        self.states.iter_mut().map(ImageState::back).sum()
    }

    /// Takes a step for every unfinished picture, given the total value.
    pub fn step(&mut self, total: f64, preset: &Preset) {
        self.trial = self.holds();
        let rate = preset.rate_at(match self.settles_from {
            Some(first) => preset.steps + (self.steps - first),
            None => self.steps,
        });
        for state in &mut self.states {
            state.optimizer.set_learning_rate(rate * state.rate_factor);
            state.step(total, self.steps);
        }
    }

    /// Counts a step whose objective was `value`, and decides whether it was the last.
    pub fn finish_step(&mut self, value: f64, preset: &Preset) {
        self.steps += 1;
        // A rejected trial says nothing about the picture's progress, so the value before it is repeated.
        let before = self.values.last().copied().filter(|_| self.trial);
        self.values.push(before.map_or(value, |before| if value > before { value } else { before }));
        match self.settles_from {
            Some(first) => {
                if self.steps - first >= preset.settle.map_or(0, |settle| settle.steps) {
                    self.end(if self.converged { Stop::Converged } else { Stop::Steps });
                }
            }
            None => {
                self.converged = preset.tolerance.is_some_and(|tolerance| self.has_converged(tolerance));
                if self.converged || self.steps >= preset.steps {
                    self.end_first_stage(preset);
                }
            }
        }
    }

    /// Whether the mean over the last window of steps hardly exceeds the mean over the window before it.
    fn has_converged(&self, tolerance: f64) -> bool {
        let n = self.values.len();
        n >= 2 * CONVERGENCE_WINDOW && n.is_multiple_of(CONVERGENCE_WINDOW) && {
            let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
            let before = mean(&self.values[n - 2 * CONVERGENCE_WINDOW..n - CONVERGENCE_WINDOW]);
            let now = mean(&self.values[n - CONVERGENCE_WINDOW..]);
            now - before <= tolerance * now.abs()
        }
    }

    /// Begins the final steps without transforms, if the preset has any.
    fn end_first_stage(&mut self, preset: &Preset) {
        self.settles_from = Some(self.steps);
        if preset.total_steps() == preset.steps {
            self.end(if self.converged { Stop::Converged } else { Stop::Steps });
        } else if !preset.alpha {
            self.fix_function();
        }
    }

    /// Marks that from this step on, every step maximises the same function.
    fn fix_function(&mut self) {
        for state in &mut self.states {
            state.optimizer.fix_function(&mut state.params);
        }
    }

    /// Ends the optimisation of this batch item.
    pub fn end(&mut self, stop: Stop) {
        self.stop = Some(stop);
        for state in &mut self.states {
            state.optimizer.settle(&mut state.params);
        }
    }
}

/// Returns the rules for gradients in a step.
pub(super) fn rules(preset: &Preset, step: usize) -> Rules {
    Rules { relu: preset.gradients.relu_at(step) }
}
