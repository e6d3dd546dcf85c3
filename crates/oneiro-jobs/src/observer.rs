//! Who watches a job: progress, remarks, cancellation.

use std::time::Instant;

use crate::context::Context;

/// A remark for people on what a job does or found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// One sentence, without a full stop.
    pub text: String,
    /// Whether the remark matters only once the work begins. A job that is refused before that needs none.
    pub waits_for_work: bool,
}

/// How far a task of a job is.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// What is being worked on.
    pub label: &'a str,
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
    /// The share of the current step that is done, from 0 to 1, where steps are long themselves.
    pub within_step: Option<f64>,
    /// When the task began.
    pub started: Instant,
    /// When the current step began.
    pub step_started: Instant,
    /// Whether the task has ended, done or not.
    pub ended: bool,
}

/// What a job tells while it runs, and asks: whether it should go on.
///
/// Every method has a default, so that an observer says only what it cares for.
pub trait Observer: Send + Sync {
    /// A remark for people.
    fn remark(&self, remark: &Remark) {
        let _ = remark;
    }

    /// A task began, went on or ended. Tasks of one job follow each other.
    fn progress(&self, progress: &Progress<'_>) {
        let _ = progress;
    }

    /// Whether the job should end at its next step, with [`Cancelled`].
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// An observer that says nothing and lets every job run to its end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// The error of a job that its observer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Cancelled {}

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
