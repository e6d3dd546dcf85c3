//! Optimizers: steps of gradient ascent on flat slices.
//!
//! Interface: [`Optimizer::step`] takes parameters, and value and gradient of an objective that is to be
//! MAXIMISED. It moves the parameters uphill. An optimizer owns its state and is created for a fixed number
//! of parameters. Presets and metadata hold an [`OptimizerSpec`], with the [`Schedule`] of its learning rate.

mod accumulated_squares;
mod adam;
mod adamw;
mod lbfgs;
mod nadam;
mod normalized;
mod schedule;
mod sgd;
mod spec;
mod sums;
#[cfg(test)]
mod tests;

use crate::parallel;
use std::fmt::Debug;

pub use accumulated_squares::{ACCUMULATED_DECAY, ACCUMULATED_MOMENTUM, AccumulatedSquares};
pub use adam::{ADAM_BETA1, ADAM_BETA2, ADAM_EPSILON, Adam, Moments};
pub use adamw::{ADAMW_WEIGHT_DECAY, AdamW};
pub use lbfgs::{LBFGS_HISTORY, LBFGS_SEARCHES, Lbfgs};
pub use nadam::{NADAM_MOMENTUM_DECAY, NAdam};
pub use normalized::{NORM_EPSILON, Norm, Normalized};
pub use schedule::{Schedule, ScheduleError};
pub use sgd::Sgd;
pub use spec::{OPTIMIZERS, OptimizerKind, OptimizerSpec, UnknownOptimizer};

/// Moves parameters along a gradient so that an objective rises.
pub trait Optimizer: Send + Sync + Debug {
    /// Takes one step that raises the objective, given its value and gradient at these parameters. Both
    /// slices have the length for which the optimizer was created.
    fn step(&mut self, params: &mut [f32], value: f64, gradient: &[f32]);

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f32;

    /// Changes the learning rate, for schedules. The rest of the state is kept.
    fn set_learning_rate(&mut self, rate: f32);

    /// Whether the next evaluation must be of the same function, with the same random transforms, because a
    /// line search is running. The evaluation is a trial; its value may even be infinite or NaN.
    fn holds(&self) -> bool {
        false
    }

    /// Returns the last accepted parameters while the current ones are a trial.
    fn stands_at(&self) -> Option<&[f32]> {
        None
    }

    /// Promises that all further evaluations are of one function, which differs from earlier ones. Leaves in
    /// `params` the last accepted point, not a trial.
    fn fix_function(&mut self, _params: &mut [f32]) {}

    /// Ends the optimisation: leaves in `params` the last accepted point, not a trial. Repeated calls have no
    /// further effect, and steps may follow.
    fn settle(&mut self, _params: &mut [f32]) {}
}

/// Number of parameters in a task, and in a partial sum.
const CHUNK: usize = 1 << 14;

/// Calls `update` for every parameter and its gradient, divided among threads.
fn for_each(params: &mut [f32], gradient: &[f32], update: impl Fn(&mut f32, f32) + Sync) {
    parallel::each(params.chunks_mut(CHUNK).zip(gradient.chunks(CHUNK)), |_, (params, gradient)| {
        for (x, g) in params.iter_mut().zip(gradient) {
            update(x, *g);
        }
    });
}

fn check_lengths(len: usize, params: &[f32], gradient: &[f32]) {
    assert_eq!((params.len(), gradient.len()), (len, len), "the optimizer was made for {len} parameters");
}
