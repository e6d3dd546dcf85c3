//! The programs `ffmpeg` and `ffprobe` as child processes.
//!
//! Both programs get local files only, never a network address, and a path is never taken for a flag. A
//! child's error output is always drained, so a full pipe never blocks the child. The process is ended when
//! its [`Child`] value is dropped.
//!
//! Rationale: a wrapper of `std::process` is enough. Crates that wrap ffmpeg parse its log into events, which
//! hides its exit status. They also hand out frames without the width and height after rotation.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{MediaError, Result};

mod child;

pub(crate) use child::{Child, Ending};

/// The name of the program that decodes and encodes, searched in `PATH` if the caller gives no path.
const FFMPEG: &str = "ffmpeg";
/// The name of the program that describes a file's streams.
const FFPROBE: &str = "ffprobe";
/// Flags of both programs: no banner, and only errors in the log.
const QUIET: [&str; 3] = ["-hide_banner", "-loglevel", "error"];

/// Where the programs `ffmpeg` and `ffprobe` are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ffmpeg {
    /// Path of the program `ffmpeg`, with `ffprobe` in the same folder; `None` searches both in the folders
    /// of `PATH`.
    pub program: Option<PathBuf>,
}

impl Ffmpeg {
    /// Uses the program `ffmpeg` at this path, with `ffprobe` in the same folder.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: Some(program.into()) }
    }

    /// Returns the program's name and version, "ffmpeg version 5.1.9 …". The bytes of a written video depend
    /// on it.
    ///
    /// # Errors
    ///
    /// [`MediaError::NoFfmpeg`] if the program cannot be started, [`MediaError::Ffmpeg`] if it fails.
    pub fn version(&self) -> Result<String> {
        let what = || "cannot ask for the version of ffmpeg".to_owned();
        let mut command = Command::new(self.ffmpeg());
        command.arg("-version").stdin(Stdio::null());
        let output = command.output().map_err(|error| missing(what(), self.ffmpeg(), error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().next() {
            Some(line) if output.status.success() => Ok(line.to_owned()),
            _ => Err(MediaError::Ffmpeg { what: what(), reason: "it says nothing".into() }),
        }
    }

    fn ffmpeg(&self) -> PathBuf {
        self.program.clone().unwrap_or_else(|| FFMPEG.into())
    }

    fn ffprobe(&self) -> PathBuf {
        let Some(program) = &self.program else { return FFPROBE.into() };
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let name = if name.contains(FFMPEG) { name.replacen(FFMPEG, FFPROBE, 1) } else { FFPROBE.to_owned() };
        program.with_file_name(name)
    }

    /// Starts `ffmpeg`. `what` names the operation in error messages. If `feeds` is true, the caller writes
    /// into the child's standard input.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, what: &str, args: &[S], feeds: bool) -> Result<Child> {
        let mut command = Command::new(self.ffmpeg());
        command.args(QUIET).args(["-nostdin", "-nostats"]).args(args);
        self.spawn(command, what, feeds)
    }

    /// Starts `ffprobe` with these arguments. `what` names the operation in error messages.
    pub(crate) fn probe<S: AsRef<OsStr>>(&self, what: &str, args: &[S]) -> Result<Child> {
        let mut command = Command::new(self.ffprobe());
        command.args(QUIET).args(args);
        self.spawn(command, what, false)
    }

    fn spawn(&self, mut command: Command, what: &str, feeds: bool) -> Result<Child> {
        command.stdin(if feeds { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started =
            command.spawn().and_then(|child| Child::new(child).ok_or(io::ErrorKind::BrokenPipe.into()));
        started.map_err(|error| missing(what.to_owned(), command.get_program().into(), error))
    }
}

fn missing(what: String, program: PathBuf, source: io::Error) -> MediaError {
    MediaError::NoFfmpeg { what, program, source }
}

/// Returns a path as an argument of `ffmpeg` and `ffprobe`. The prefix `file:` keeps a leading `-`, a colon
/// or a pattern in the name from having a meaning.
pub(crate) fn file_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

/// Returns the flags before an input that allow local files and pipes only, and no network protocol.
pub(crate) fn only_local() -> [OsString; 2] {
    ["-protocol_whitelist".into(), "file,pipe".into()]
}
