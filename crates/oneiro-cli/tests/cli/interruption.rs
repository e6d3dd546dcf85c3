//! Ctrl-C, and a reader of the output that closes the pipe.

#![cfg(unix)]

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::onnx::Network;
use crate::place::Place;

/// Time after which a process counts as hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a process has installed its handler of Ctrl-C, as `/proc` tells.
#[cfg(target_os = "linux")]
fn wait_until_it_listens(child: &Child) {
    /// Bit of SIGINT (signal 2) in the mask of caught signals.
    const SIGINT_BIT: u64 = 1 << 1;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:")).unwrap();
        if u64::from_str_radix(caught.trim(), 16).unwrap() & SIGINT_BIT != 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the program does not listen");
}

#[cfg(not(target_os = "linux"))]
fn wait_until_it_listens(_: &Child) {
    std::thread::sleep(Duration::from_secs(1));
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

fn exit_code(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("the program goes on after Ctrl-C");
}

/// A new folder with the tiny network and a picture of an earlier run.
fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("out.png", "an older picture");
    place
}

#[test]
fn ctrl_c_ends_a_rendering_with_130_and_leaves_no_file() {
    for command in [
        &[
            "render",
            "net.onnx",
            "-u",
            "left.conv:1",
            "--steps",
            "1000000",
            "--raw",
            "raw.st",
            "--out",
            "out.png",
        ][..],
        &["sheet", "net.onnx", "-l", "left.conv", "--steps", "1000000", "--out", "out.png", "--json"],
    ] {
        let place = place();
        let before = place.listing();
        let mut child = place.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until_it_listens(&child);
        interrupt(&child);
        assert_eq!(exit_code(&mut child), Some(130), "{}", command[0]);
        let (mut out, mut err) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(out, "", "{}", command[0]);
        assert!(err.contains("interrupted") && !err.contains("error") && !err.contains("panicked"), "{err}");
        assert_eq!(place.listing(), before, "{}", command[0]);
    }
}

#[test]
fn ctrl_c_ends_the_other_long_commands_too() {
    let place = place();
    let mut child =
        place.command(&["bench", "net.onnx"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until_it_listens(&child);
    interrupt(&child);
    assert_eq!(exit_code(&mut child), Some(130));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = place();
    let mut child = place
        .command(&["layers", "squeezenet1_1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Reads a little and then closes the pipe, as `head` does.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    drop(stdout);
    assert_eq!(exit_code(&mut child), Some(0));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_printed_are_a_failure() {
    let place = place();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(&["layers", "net.onnx"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("standard output") && err.contains("No space"), "{err}");
}
