//! Tasks of a job, which report their progress to the observer.

use std::time::Instant;

use crate::context::Context;
use crate::observer::Progress;

/// A task with a known number of steps that reports its progress to the observer.
pub struct Task<'c> {
    context: &'c Context,
    label: String,
    done: u64,
    total: u64,
    started: Instant,
    step_started: Instant,
}

impl<'c> Task<'c> {
    /// Begins a task with this number of steps.
    pub fn new(context: &'c Context, label: &str, total: u64) -> Self {
        let started = Instant::now();
        let task = Self { context, label: label.to_owned(), done: 0, total, started, step_started: started };
        task.tell(None, false);
        task
    }

    /// Reports what the task is working on.
    pub fn label(&mut self, label: &str) {
        self.label = label.to_owned();
        self.tell(None, false);
    }

    /// Returns the number of finished steps.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Reports that `by` more steps are finished.
    pub fn advance(&mut self, by: u64) {
        self.done += by;
        self.step_started = Instant::now();
        self.tell(None, false);
    }

    /// Reports the finished part of the current step, for steps that take long.
    pub fn within_step(&mut self, done: usize, count: usize) {
        self.tell(Some(done as f64 / count.max(1) as f64), false);
    }

    fn tell(&self, within_step: Option<f64>, ended: bool) {
        self.context.observer().progress(&Progress {
            label: &self.label,
            done: self.done,
            total: self.total,
            within_step,
            started: self.started,
            step_started: self.step_started,
            ended,
        });
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.tell(None, true);
    }
}
