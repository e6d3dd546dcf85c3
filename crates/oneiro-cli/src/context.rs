//! What every command is given: the threads to compute on, and how to talk.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::config::Config;

/// Threads and manners of this run.
pub struct Context {
    pool: ThreadPool,
    quiet: bool,
    config: Config,
    /// Remarks that wait until the work begins.
    held: Mutex<Vec<String>>,
}

impl Context {
    pub fn new(threads: Option<usize>, quiet: bool, config: Config) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .build()
            .context("could not start the threads to compute with")?;
        Ok(Self { pool, quiet, config, held: Mutex::default() })
    }

    /// Runs work on this run's threads.
    pub fn compute<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }

    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Defaults for flags.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether progress is to be shown, and whether as a bar.
    pub fn progress_style(&self) -> Option<bool> {
        self.release();
        (!self.quiet).then(|| std::io::stderr().is_terminal())
    }

    /// A remark for people, on stderr.
    pub fn note(&self, text: &str) {
        self.release();
        if !self.quiet {
            complain(text);
        }
    }

    /// A remark that matters only if the work is done: it is made before the next remark, progress or result.
    /// What is refused before that is refused in one line.
    pub fn hold(&self, text: &str) {
        if let (false, Ok(mut held)) = (self.quiet, self.held.lock()) {
            held.push(text.to_owned());
        }
    }

    fn release(&self) {
        let held = self.held.lock().map(|mut held| std::mem::take(&mut *held)).unwrap_or_default();
        held.iter().for_each(|text| complain(text));
    }

    /// A line of the result, on stdout.
    pub fn print(&self, text: &str) -> Result<()> {
        self.release();
        writeln!(std::io::stdout().lock(), "{text}").context(STDOUT_FAILED)
    }
}

const STDOUT_FAILED: &str = "could not write to standard output";

/// A line on stderr, whatever happens to it.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether the reader of standard output is gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let at_stdout = error.to_string() == STDOUT_FAILED;
    let mut causes = error.chain().filter_map(|e| e.downcast_ref::<std::io::Error>());
    at_stdout && causes.any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
