//! Every wrong input gives one message that names it, and exit code 1 or 2. There is no result, no file and
//! no panic.

mod arrays;
mod images;
mod models;
mod places;
mod units;
mod words;

use crate::onnx::Network;
use crate::place::{Place, Report, check};

/// A wrong command: what is wrong, the command line (words in single quotes stay together), and texts that
/// the message must contain.
pub type Case<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Splits a command line at spaces, except within single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in command.split('\'').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Runs a command that must fail; the error says what is wrong with how it failed.
pub fn refuse(place: &Place, command: &str, says: &[&str]) -> Result<(), String> {
    let before = place.listing();
    let words = words(command);
    let args: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = place.run(&args);
    let shown = || format!("oneiro {command}\n{outcome:#?}");
    check(matches!(outcome.code, Some(1 | 2)), || format!("exit code {:?} of {}", outcome.code, shown()))?;
    check(outcome.stdout.is_empty(), || format!("something on standard output of {}", shown()))?;
    check(!outcome.stderr.contains("panicked"), || format!("a panic in {}", shown()))?;
    let errors = outcome.stderr.lines().filter(|l| l.starts_with("error: ")).count();
    check(errors == 1, || format!("{errors} messages in {}", shown()))?;
    for part in says {
        check(outcome.stderr.contains(part), || format!("no word of \"{part}\" in {}", shown()))?;
    }
    let after = place.listing();
    let left: Vec<&String> = after.keys().filter(|name| before.get(*name) != after.get(*name)).collect();
    check(left.is_empty() && before.len() == after.len(), || format!("left {left:?} behind: {}", shown()))
}

/// Runs commands that must fail, and reports those that do not fail as they should.
pub fn refuse_all(place: &Place, cases: &[Case<'_>]) {
    let mut report = Report::default();
    for (name, command, says) in cases {
        report.case(name, refuse(place, command, says));
    }
    report.finish();
}

/// A new folder with the tiny network `net.onnx`, its card and its labels.
pub fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "labels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("classes.txt", "goldfish\ncrane\nmacaw\ncrane\n");
    place.write("folder/inside.txt", "");
    place
}
