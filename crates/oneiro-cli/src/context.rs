//! What every command is given: threads and observer, defaults for flags, standard output.

use std::io::Write;
use std::ops::Deref;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::config::Config;
use crate::terminal::Terminal;

/// Threads, manners and defaults of this run.
pub struct Context {
    jobs: oneiro_jobs::Context,
    terminal: Arc<Terminal>,
    config: Config,
}

impl Context {
    pub fn new(threads: Option<usize>, quiet: bool, config: Config) -> Result<Self> {
        let terminal = Arc::new(Terminal::new(quiet));
        let jobs = oneiro_jobs::Context::shared(threads, terminal.clone())?;
        Ok(Self { jobs, terminal, config })
    }

    /// Defaults for flags.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A line of the result, on stdout.
    pub fn print(&self, text: &str) -> Result<()> {
        self.terminal.release();
        writeln!(std::io::stdout().lock(), "{text}").context(STDOUT_FAILED)
    }
}

/// A command runs jobs with the threads and the observer of its own.
impl Deref for Context {
    type Target = oneiro_jobs::Context;

    fn deref(&self) -> &oneiro_jobs::Context {
        &self.jobs
    }
}

const STDOUT_FAILED: &str = "could not write to standard output";

/// Whether the reader of standard output is gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let at_stdout = error.to_string() == STDOUT_FAILED;
    let mut causes = error.chain().filter_map(|e| e.downcast_ref::<std::io::Error>());
    at_stdout && causes.any(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
