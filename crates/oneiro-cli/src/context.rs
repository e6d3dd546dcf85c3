//! The context of every command: threads and observer, defaults for flags, standard output.

use std::io::{ErrorKind, Write};
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
    ///
    /// # Errors
    /// [`ReaderGone`], or if the system refuses.
    pub fn print(&self, text: &str) -> Result<()> {
        self.terminal.release();
        match writeln!(std::io::stdout().lock(), "{text}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
            written => written.context("could not write to standard output"),
        }
    }

    /// A remark of a command itself, on stderr.
    pub fn note(&self, text: &str) {
        self.terminal.note(text);
    }
}

/// A command runs jobs with its own threads and observer.
impl Deref for Context {
    type Target = oneiro_jobs::Context;

    fn deref(&self) -> &oneiro_jobs::Context {
        &self.jobs
    }
}

/// The reader of standard output is gone.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct ReaderGone;
