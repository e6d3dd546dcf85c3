//! The context of every command: threads, observer of progress, defaults for flags, and standard output.

use std::io::{ErrorKind, Write};
use std::ops::Deref;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::config::Config;
use crate::terminal::Terminal;

/// What all commands of this run share: threads, the terminal and the configuration.
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

    /// Returns the defaults for flags from the configuration file.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Prints a line of the result on standard output.
    ///
    /// # Errors
    /// [`ReaderGone`] if the reader has closed the pipe, or the error of the operating system.
    pub fn print(&self, text: &str) -> Result<()> {
        self.terminal.release();
        match writeln!(std::io::stdout().lock(), "{text}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
            written => written.context("could not write to standard output"),
        }
    }

    /// Prints a note of the command itself on standard error.
    pub fn note(&self, text: &str) {
        self.terminal.note(text);
    }
}

/// Commands use this context to run jobs, with the same threads and observer.
impl Deref for Context {
    type Target = oneiro_jobs::Context;

    fn deref(&self) -> &oneiro_jobs::Context {
        &self.jobs
    }
}

/// The error that the reader of standard output has closed the pipe, as `head` does.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct ReaderGone;
