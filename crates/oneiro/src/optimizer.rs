//! Optimizers: steps uphill on flat slices.
//!
//! Interface: [`Optimizer::step`] takes parameters and the value and gradient of an objective that
//! is to be MAXIMISED, and moves the parameters uphill. An optimizer owns its state; it is made for a fixed
//! number of parameters. Presets and metadata hold an [`OptimizerSpec`], with the [`Schedule`] of its
//! learning rate.

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

/// Moves parameters uphill along a gradient.
pub trait Optimizer: Send + Sync + Debug {
    /// One step that raises the objective, given its value and gradient at these parameters. Both slices have
    /// the length that the optimizer was made for.
    fn step(&mut self, params: &mut [f32], value: f64, gradient: &[f32]);

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f32;

    /// Changes the learning rate, for schedules; the rest of the state stays.
    fn set_learning_rate(&mut self, rate: f32);

    /// Whether the next evaluation has to be of the same function (same random transforms, same everything):
    /// in a line search. Such an evaluation is a trial, and its value may be anything, even no number.
    fn holds(&self) -> bool {
        false
    }

    /// Where the optimizer stands while the parameters are a trial.
    fn stands_at(&self) -> Option<&[f32]> {
        None
    }

    /// Promises that all further evaluations are of one function, which differs from the earlier ones. Leaves
    /// in `params` a point that the optimizer stands by, not a trial.
    fn fix_function(&mut self, _params: &mut [f32]) {}

    /// Ends the optimisation: leaves in `params` a point that the optimizer stands by, not a trial. Doing so
    /// twice changes nothing more, and steps may follow.
    fn settle(&mut self, _params: &mut [f32]) {}
}

/// Parameters of a task, and of a part of a sum.
const CHUNK: usize = 1 << 14;

/// `update` for every parameter with its gradient, shared out among threads.
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
