//! The programs `ffmpeg` and `ffprobe` as child processes.
//!
//! They get local files only, never a network address, and a path is never taken for a flag. A child never
//! waits for its error output to be read, and none outlives the value that holds it.
//!
//! Rationale: a wrapper of `std::process` is enough. Crates for this program parse its log into events, which
//! hides its exit status, and hand out frames without the sizes that rotation gives them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{MediaError, Result};

mod child;

pub(crate) use child::{Child, Ending};

/// The program's name where the caller gives no path.
const FFMPEG: &str = "ffmpeg";
/// The program that describes files.
const FFPROBE: &str = "ffprobe";
/// Flags of both programs: no network, and errors only.
const QUIET: [&str; 3] = ["-hide_banner", "-loglevel", "error"];

/// Where the programs are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ffmpeg {
    /// The program `ffmpeg`, with `ffprobe` beside it; `None` searches both in the folders of `PATH`.
    pub program: Option<PathBuf>,
}

impl Ffmpeg {
    /// The program at this path, with `ffprobe` in the same folder.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: Some(program.into()) }
    }

    /// Returns the program's name and version, "ffmpeg version 5.1.9 …". Bytes of videos depend on it.
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

    /// Starts `ffmpeg`. `what`: the operation, for messages. With `feeds`, the child reads what the caller
    /// writes into it.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, what: &str, args: &[S], feeds: bool) -> Result<Child> {
        let mut command = Command::new(self.ffmpeg());
        command.args(QUIET).args(["-nostdin", "-nostats"]).args(args);
        self.spawn(command, what, feeds)
    }

    /// Starts `ffprobe`.
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

/// A file as both programs take it: with its protocol, so that neither `-`, a colon nor a pattern in the name
/// has a meaning.
pub(crate) fn file_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

/// Flags in front of an input: local files and pipes are the only protocols.
pub(crate) fn only_local() -> [OsString; 2] {
    ["-protocol_whitelist".into(), "file,pipe".into()]
}
