//! The context of a job: threads to compute on, and its observer.

use std::sync::Arc;

use oneiro_net::Threads;

use crate::error::{Error, Result};
use crate::observer::{Cancelled, Observer};
use crate::remark::Remark;

/// Threads and observer of running jobs.
pub struct Context {
    threads: Threads,
    observer: Arc<dyn Observer>,
}

impl Context {
    /// Starts the threads: this many, or one for each core.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn new(threads: Option<usize>, observer: impl Observer + 'static) -> Result<Self> {
        Self::shared(threads, Arc::new(observer))
    }

    /// With an observer that others have, too.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub fn shared(threads: Option<usize>, observer: Arc<dyn Observer>) -> Result<Self> {
        let threads = Threads::new(threads.unwrap_or(0)).map_err(Error::Threads)?;
        Ok(Self { threads, observer })
    }

    /// Runs work on these threads.
    pub fn compute<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.threads.run(work)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// The threads, for networks that run on them.
    pub fn handle(&self) -> Threads {
        self.threads.clone()
    }

    /// Who watches.
    pub fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    /// Makes a remark.
    pub fn remark(&self, remark: impl Into<Remark>) {
        self.observer.remark(&remark.into());
    }

    /// Whether the observer wants the work to end.
    pub fn is_cancelled(&self) -> bool {
        self.observer.is_cancelled()
    }

    /// An error if the observer wants the work to end, to leave it between two steps.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}
