//! The observer of a job: receives progress and remarks, and may cancel the job.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::remark::Remark;

/// The progress of a task within a job.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// What the task is working on at the moment.
    pub label: &'a str,
    /// Number of steps of the task that are finished.
    pub done: u64,
    /// Number of steps that the task has in total.
    pub total: u64,
    /// The finished share of the current step, from 0 to 1, if steps take long.
    pub within_step: Option<f64>,
    /// When the task began.
    pub started: Instant,
    /// When the current step began.
    pub step_started: Instant,
    /// Whether the task has ended, finished or not.
    pub ended: bool,
}

/// Receives a running job's progress and remarks, and may cancel it.
///
/// Every method has a default, so that an observer implements only those that it needs.
pub trait Observer: Send + Sync {
    /// Receives a remark for the user.
    fn remark(&self, remark: &Remark) {
        let _ = remark;
    }

    /// Receives the beginning, progress or end of a task. The tasks of one job do not overlap.
    fn progress(&self, progress: &Progress<'_>) {
        let _ = progress;
    }

    /// Whether the job should stop before its next step, with the error [`Cancelled`].
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// An observer that ignores everything and never cancels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// An observer that passes each remark on once, for jobs that do the same with several networks.
pub(crate) struct Once {
    inner: Arc<dyn Observer>,
    said: Mutex<Vec<String>>,
}

impl Once {
    pub(crate) fn new(inner: Arc<dyn Observer>) -> Self {
        Self { inner, said: Mutex::default() }
    }
}

impl Observer for Once {
    fn remark(&self, remark: &Remark) {
        let text = remark.to_string();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.contains(&text) {
            said.push(text);
            self.inner.remark(remark);
        }
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.inner.progress(progress);
    }

    fn is_cancelled(&self) -> bool {
        self.inner.is_cancelled()
    }
}

/// The error of a job that its observer cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Cancelled;
