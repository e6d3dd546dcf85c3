//! The context in which jobs run: threads and an observer.

use std::sync::Arc;

use oneiro_net::Threads;

use crate::error::{Error, Result};
use crate::observer::{Cancelled, Observer, Once};
use crate::remark::Remark;

/// The threads and the observer of running jobs.
pub struct Context {
    threads: Threads,
    observer: Arc<dyn Observer>,
}

impl Context {
    /// Starts this many threads, or one for each core.
    ///
    /// # Errors
    /// If the operating system cannot start the threads.
    pub fn new(threads: Option<usize>, observer: impl Observer + 'static) -> Result<Self> {
        Self::shared(threads, Arc::new(observer))
    }

    /// Creates a context with an observer that other contexts share.
    ///
    /// # Errors
    /// The errors of [`Context::new`].
    pub fn shared(threads: Option<usize>, observer: Arc<dyn Observer>) -> Result<Self> {
        let threads = Threads::new(threads.unwrap_or(0)).map_err(Error::Threads)?;
        Ok(Self { threads, observer })
    }

    /// Returns this context with an observer that passes each remark on once.
    pub(crate) fn once(&self) -> Self {
        Self { threads: self.threads.clone(), observer: Arc::new(Once::new(self.observer.clone())) }
    }

    /// Runs `work` on the threads of this context.
    pub fn compute<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.threads.run(work)
    }

    /// Returns the number of threads that compute.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Returns the threads, for networks that run on them.
    pub fn handle(&self) -> Threads {
        self.threads.clone()
    }

    /// Returns the observer, which receives progress and remarks.
    pub fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    /// Passes a remark to the observer.
    pub fn remark(&self, remark: impl Into<Remark>) {
        self.observer.remark(&remark.into());
    }

    /// Whether the observer has asked to cancel the work.
    pub fn is_cancelled(&self) -> bool {
        self.observer.is_cancelled()
    }

    /// Returns an error if the observer has cancelled the work. Called between two steps.
    ///
    /// # Errors
    /// [`Cancelled`] if the observer has asked to cancel the work.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}
