//! The threads on which plans are compiled and sessions run.

use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// A thread pool for plans and sessions. Clones share the threads. The number of threads changes no bit of a
/// result.
///
/// By default, work runs on the caller's `rayon` pool. Outside of any pool this is the global one, which has
/// a thread for each core and is created once.
#[derive(Clone, Default)]
pub struct Threads(Option<Arc<ThreadPool>>);

impl Threads {
    /// Starts this many threads; one for each core if `count` is 0.
    ///
    /// # Errors
    /// If the operating system cannot start the threads.
    pub fn new(count: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(count).build();
        let wanted =
            if count == 0 { "a thread for each core".to_owned() } else { format!("{count} threads") };
        let pool = pool.map_err(|why| Error::Request(format!("could not start {wanted}: {why}")))?;
        Ok(Self(Some(Arc::new(pool))))
    }

    /// Runs `work` on these threads; directly, if the caller is one of them.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.0 {
            Some(pool) if pool.current_thread_index().is_none() => pool.install(work),
            _ => work(),
        }
    }

    /// Returns the number of threads.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads())
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(pool) => write!(f, "Threads({})", pool.current_num_threads()),
            None => f.write_str("Threads(of the caller)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_on_the_threads_and_stays_there() {
        let two = Threads::new(2).unwrap();
        assert_eq!(two.count(), 2);
        let (outer, inner) = two.run(|| {
            let outer = rayon::current_thread_index();
            (outer, two.run(rayon::current_thread_index))
        });
        assert!(outer.is_some() && outer == inner);
        assert_eq!(two.run(|| Threads::default().count()), 2);
    }
}
