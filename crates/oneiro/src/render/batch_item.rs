//! One objective of a batch: the pictures of all inputs that it depends on, and their steps.

use oneiro_net::Rules;

use crate::objective_session::ObjectiveSession;
use crate::preset::{CONVERGENCE_WINDOW, Preset};
use crate::render::Stop;
use crate::render::image_state::ImageState;
use crate::rng::Stream;
use crate::transform::Chain;

/// One objective's pictures, one an input that it depends on.
pub(super) struct BatchItem {
    pub states: Vec<ImageState>,
    transforms: Stream,
    values: Vec<f64>,
    /// Whether the last step judged a trial of a line search.
    trial: bool,
    pub steps: usize,
    pub stop: Option<Stop>,
}

impl BatchItem {
    /// Before its first step.
    pub fn new(states: Vec<ImageState>, transforms: Stream) -> Self {
        Self { states, transforms, values: Vec::new(), trial: false, steps: 0, stop: None }
    }

    /// Computes the pictures and what the network sees of them in a step, under their random transforms, or
    /// by `chain` instead. They stay those of the last step while an optimizer searches along a line.
    pub fn show(&mut self, chain: Option<&Chain>, progress: f32) {
        let hold = self.holds();
        for state in &mut self.states {
            state.draw();
            state.sample_views(chain, &mut self.transforms, progress, hold);
        }
    }

    /// Computes the pictures and what the network sees of them without transforms.
    pub fn show_plainly(&mut self, whole: &Chain) {
        for state in &mut self.states {
            state.draw();
            state.plain(whole);
        }
    }

    /// Whether an optimizer tries a point that it may leave again.
    pub fn holds(&self) -> bool {
        self.states.iter().any(|c| c.optimizer.holds())
    }

    /// Gradients of the parameters, from those at the network's inputs. Returns the value of the
    /// regularizers.
    pub fn back(&mut self, session: &ObjectiveSession, entry: usize, batch: usize) -> f64 {
        let mut regularizers = 0.0;
        for state in &mut self.states {
            regularizers += state.back(session, entry, batch);
        }
        regularizers
    }

    /// A step of every unfinished picture, up the total value.
    pub fn step(&mut self, total: f64, rate: f32) {
        self.trial = self.holds();
        for state in &mut self.states {
            state.optimizer.set_learning_rate(rate * state.rate_factor);
            state.step(total, self.steps);
        }
    }

    /// Counts a step whose objective was `value`, and decides whether it was the last.
    pub fn finish_step(&mut self, value: f64, preset: &Preset) {
        self.steps += 1;
        // A rejected trial says nothing about how far the picture has come.
        let before = self.values.last().copied().filter(|_| self.trial);
        self.values.push(before.map_or(value, |before| if value > before { value } else { before }));
        let converged = preset.tolerance.is_some_and(|tolerance| {
            let n = self.values.len();
            n >= 2 * CONVERGENCE_WINDOW && n.is_multiple_of(CONVERGENCE_WINDOW) && {
                let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
                let before = mean(&self.values[n - 2 * CONVERGENCE_WINDOW..n - CONVERGENCE_WINDOW]);
                let now = mean(&self.values[n - CONVERGENCE_WINDOW..]);
                now - before <= tolerance * now.abs()
            }
        });
        if converged {
            self.end(Stop::Converged);
        } else if self.steps >= preset.total_steps() {
            self.end(Stop::Steps);
        }
    }

    /// From here on every step maximises the same function.
    pub fn fix_function(&mut self) {
        for state in &mut self.states {
            state.optimizer.fix_function(&mut state.params);
        }
    }

    /// Nothing changes any more.
    pub fn end(&mut self, stop: Stop) {
        self.stop = Some(stop);
        for state in &mut self.states {
            state.optimizer.settle(&mut state.params);
        }
    }
}

/// Rules of a step.
pub(super) fn rules(preset: &Preset, step: usize) -> Rules {
    Rules { relu: preset.gradients.relu_at(step) }
}
