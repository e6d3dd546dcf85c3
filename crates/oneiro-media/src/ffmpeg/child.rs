//! A running child process (`ffmpeg` or `ffprobe`) whose output is read as it comes.

use std::io::{BufReader, Read};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How many bytes of a child's error output are kept: its first messages, which name the cause.
const KEPT_BYTES: usize = 8 << 10;
/// How many bytes of the child's output one read takes at most.
const PIPE_BYTES: usize = 64 << 10;
/// How long to wait for a child's error output after its end. A process that the child started may hold the
/// pipe open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The exit status of `ffmpeg` when a signal asked it to end.
const SIGNALLED: i32 = 255;

/// A child process. It is ended and its status collected (reaped) when the value is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    /// The child's standard output.
    pub output: BufReader<ChildStdout>,
    /// The child's standard input, if the caller writes into it.
    pub input: Option<ChildStdin>,
    errors: Receiver<Vec<u8>>,
}

/// A process that is ended and reaped (its exit status collected) when the value is dropped.
#[derive(Debug)]
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both calls do nothing if the process has already ended and was reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a child process ended, and its error messages.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Whether the child ended by itself with the exit status of success.
    pub is_success: bool,
    /// Whether a signal from outside ended the child.
    pub was_killed: bool,
    /// The lines of the child's error output, without addresses in memory.
    pub lines: Vec<String>,
}

impl Child {
    /// Takes over a started child; returns `None` unless its standard output and error output are pipes.
    pub fn new(mut process: std::process::Child) -> Option<Self> {
        let (output, mut stderr) = (process.stdout.take()?, process.stderr.take()?);
        let (sender, errors) = channel();
        // Drains the error output to its end, although only the beginning is kept: a full pipe would block
        // the child.
        thread::spawn(move || {
            let (mut kept, mut part) = (Vec::new(), [0; 4096]);
            while let Ok(length @ 1..) = stderr.read(&mut part) {
                let room = KEPT_BYTES.saturating_sub(kept.len()).min(length);
                kept.extend_from_slice(&part[..room]);
            }
            let _ = sender.send(kept);
        });
        let input = process.stdin.take();
        let output = BufReader::with_capacity(PIPE_BYTES, output);
        Some(Self { process: Process(process), output, input, errors })
    }

    /// Closes the child's input, which tells it to end, ignores the rest of its output, and waits for its
    /// end.
    pub fn finish(self) -> Ending {
        let Self { mut process, output, input, errors } = self;
        drop((input, output));
        let status = process.0.wait();
        let words = errors.recv_timeout(LAST_WORDS).unwrap_or_default();
        let lines: Vec<_> = String::from_utf8_lossy(&words).lines().map(without_address).collect();
        let code = status.ok().and_then(|status| status.code());
        let was_killed = code.is_none() || (code == Some(SIGNALLED) && lines.is_empty());
        Ending { is_success: code == Some(0), was_killed, lines }
    }
}

impl Ending {
    /// Returns the child's error output as one line: the last message, and how many came before it.
    pub fn words(&self) -> String {
        match self.lines.as_slice() {
            _ if self.was_killed => "it was ended from outside".to_owned(),
            [] => "it gave no reason".to_owned(),
            [line] => line.clone(),
            [rest @ .., line] => format!("{line} (and {} messages before)", rest.len()),
        }
    }
}

/// Removes the memory address from a log line such as "[mov @ 0x55…] text": it differs from run to run.
fn without_address(line: &str) -> String {
    match line.split_once(" @ 0x") {
        Some((head, rest)) if head.starts_with('[') => match rest.split_once(']') {
            Some((_, tail)) => format!("{head}]{tail}"),
            None => line.to_owned(),
        },
        _ => line.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_address;

    #[test]
    fn lines_lose_what_differs_from_run_to_run() {
        assert_eq!(
            without_address("[mov,mp4 @ 0x55d0c] moov atom not found"),
            "[mov,mp4] moov atom not found"
        );
        assert_eq!(without_address("a.mp4: Invalid data"), "a.mp4: Invalid data");
        assert_eq!(without_address("mail @ 0x7"), "mail @ 0x7");
    }
}
