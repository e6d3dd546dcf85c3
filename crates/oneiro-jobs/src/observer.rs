//! Who watches a job: progress, remarks, cancellation.

use std::time::Instant;

use crate::remark::Remark;

/// The progress of a task of a job.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// The object of the present work.
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

/// Receives a running job's progress and remarks, and may cancel it.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Cancelled;
