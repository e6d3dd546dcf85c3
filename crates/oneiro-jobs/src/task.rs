//! Tasks of a job, which tell the observer how far they are.

use std::time::Instant;

use crate::context::Context;
use crate::observer::Progress;

/// A task that counts up to a known number and tells the observer of it.
pub struct Task<'c> {
    context: &'c Context,
    label: String,
    done: u64,
    total: u64,
    started: Instant,
    step_started: Instant,
}

impl<'c> Task<'c> {
    /// Begins a task of this many steps.
    pub fn new(context: &'c Context, label: &str, total: u64) -> Self {
        let started = Instant::now();
        let task = Self { context, label: label.to_owned(), done: 0, total, started, step_started: started };
        task.tell(None, false);
        task
    }

    /// Says what is being worked on now.
    pub fn label(&mut self, label: &str) {
        self.label = label.to_owned();
        self.tell(None, false);
    }

    /// Steps done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Counts steps that are done.
    pub fn advance(&mut self, by: u64) {
        self.done += by;
        self.step_started = Instant::now();
        self.tell(None, false);
    }

    /// Says how much of one step is done, where steps are long themselves.
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
