//! A running child process whose output is read bit by bit.

use std::io::{BufReader, Read};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Bytes of a child's error output that are kept: its first words, which name the cause.
const KEPT_BYTES: usize = 8 << 10;
/// Bytes that are read from the child at once.
const PIPE_BYTES: usize = 64 << 10;
/// How long the last words of a child are awaited after its end: a process that it started may hold the pipe.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The exit status of `ffmpeg` where a signal asked it to end.
const SIGNALLED: i32 = 255;

/// A child process. It is ended and reaped when the value is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    /// The child's output.
    pub output: BufReader<ChildStdout>,
    /// The child's input, if the caller feeds it.
    pub input: Option<ChildStdin>,
    errors: Receiver<Vec<u8>>,
}

/// Ends and reaps the process when dropped.
#[derive(Debug)]
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Of a process that has ended and was reaped, both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a child ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Whether the child ended by itself and called that a success.
    pub is_success: bool,
    /// Whether something else ended the child.
    pub was_killed: bool,
    /// Lines of its error output, without addresses in memory.
    pub lines: Vec<String>,
}

impl Child {
    /// Takes over a child whose outputs are pipes; `None` if they are not.
    pub fn new(mut process: std::process::Child) -> Option<Self> {
        let (output, mut stderr) = (process.stdout.take()?, process.stderr.take()?);
        let (sender, errors) = channel();
        // Reads to the end whatever is kept: a full pipe would stop the child.
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

    /// Waits for the child's end. Its closed input announces it, and what it still writes goes nowhere.
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
    /// The child's words in one line: the last error and the number of those before it.
    pub fn words(&self) -> String {
        match self.lines.as_slice() {
            _ if self.was_killed => "it was ended from outside".to_owned(),
            [] => "it gave no reason".to_owned(),
            [line] => line.clone(),
            [rest @ .., line] => format!("{line} (and {} messages before)", rest.len()),
        }
    }
}

/// A line of the program's log: "[mov @ 0x55…] text" without the address, which differs from run to run.
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
