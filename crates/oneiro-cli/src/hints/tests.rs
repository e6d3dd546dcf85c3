//! Tests that every flag named in a hint exists, and that no library names a flag.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use oneiro_jobs::Remark;
use oneiro_jobs::job::error::{JobError, Large};
use oneiro_jobs::remark::ResultRemark;

use super::*;

/// Collects the long flags of a command and its subcommands, with their visible aliases.
fn flags(command: &Command, found: &mut BTreeSet<String>) {
    for arg in command.get_arguments() {
        found.extend(arg.get_long().map(str::to_owned));
        found.extend(arg.get_visible_aliases().into_iter().flatten().map(str::to_owned));
    }
    command.get_subcommands().for_each(|command| flags(command, found));
}

/// Returns the names of flags in a text: the words after two dashes.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let name = |rest: &'_ str| rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
    text.split("--").skip(1).map(move |rest| &rest[..name(rest)]).filter(|flag| !flag.is_empty())
}

/// Returns the string literals of Rust code; comments are skipped.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (start, tail) = (&rest[at..at + 1], &rest[at + 1..]);
        rest = match start {
            "/" if tail.starts_with('/') => tail.split_once('\n').map_or("", |(_, rest)| rest),
            // A double quote as a character literal does not begin a string.
            "'" if tail.starts_with("\"'") || tail.starts_with("\\\"'") => {
                tail.split_once("\"'").map_or("", |(_, rest)| rest)
            }
            "\"" => {
                let mut escaped = false;
                let end = tail.find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                let end = end.unwrap_or(tail.len());
                found.push(tail[..end].to_owned());
                tail.get(end + 1..).unwrap_or("")
            }
            _ => tail,
        };
    }
    found
}

/// Collects the Rust files below a folder, except files of tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// Returns the code of a file without its module of tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

#[test]
fn every_flag_that_a_hint_names_exists() {
    let mut known = BTreeSet::new();
    flags(&crate::Cli::command(), &mut known);
    let files = [include_str!("../hints.rs"), include_str!("job.rs"), include_str!("remark.rs")];
    let texts: Vec<String> = files.iter().flat_map(|file| literals(file)).collect();
    let named: BTreeSet<&str> = texts.iter().flat_map(|text| named(text)).collect();
    assert!(named.len() > 30, "{named:?}");
    for flag in named {
        assert!(known.contains(flag), "--{flag}");
    }
    for name in ["mean", "std", "range", "order", "show"] {
        let hint = of_step(&Step::Overrides { settings: vec![name] });
        assert_eq!(hint.advice, Some(format!(" (--{name})")));
        assert!(known.contains(name), "--{name}");
    }
}

#[test]
fn no_library_names_a_flag() {
    /// These files write commands of this program, or CSS variables, into pages, so they may contain two
    /// dashes.
    const EXCEPT: [&str; 2] = ["oneiro-jobs/src/job/demo.rs", "oneiro-media/src/page.rs"];
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    for library in ["oneiro", "oneiro-image", "oneiro-jobs", "oneiro-media", "oneiro-net", "oneiro-zoo"] {
        let mut files = Vec::new();
        sources(&crates.join(library).join("src"), &mut files);
        assert!(!files.is_empty(), "{library}");
        files.retain(|file| !EXCEPT.iter().any(|except| file.ends_with(except)));
        for file in files {
            for literal in literals(&code(&file)) {
                if let Some(flag) = named(&literal).find(|flag| !flag.starts_with('-')) {
                    wrong.push(format!("{}: --{flag} in \"{literal}\"", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn literals_are_told_from_comments_and_characters() {
    let code = "// \"--no\"\nlet a = \"--a \\\" b\"; let c = '\"'; /* x */ f(\"c\")";
    assert_eq!(literals(code), ["--a \\\" b", "c"]);
    assert_eq!(named("give --mean, --x-y=1 or a -- b").collect::<Vec<_>>(), ["mean", "x-y"]);
}

#[test]
fn hints_stand_around_messages() {
    let labels = Error::from(ModelError::NoLabels { name: "cat".into() });
    let read = explained(&anyhow::Error::from(labels).context("of the command"));
    let message = "of the command: the model has no class labels, so \"cat\" must be an index";
    assert_eq!(read, format!("{message} (or give --labels)"));
    let film = JobError::TooLarge { count: 9, things: "frames", size: [3, 4], result: Large::Film };
    let read = explained(&Error::from(film).into());
    assert_eq!(read, "9 frames of 3x4 are too much for a film; choose a smaller --size");
    let begin = Error::While {
        step: Step::Begin { layer: "conv".into() },
        source: Box::new(ProvenanceError::Missing { entry: "seed".into() }.into()),
    };
    assert!(
        explained(&begin.into()).starts_with("--from-layer conv: the network cannot begin at \"conv\": it")
    );
    let faint = ResultRemark::Faint { units: "a:1".into(), clipped: true };
    assert!(of_remark(&Remark::from(faint)).ends_with("or --display auto to see what there is"));
}

#[test]
fn hints_of_causes_count_too() {
    let source = VisualizationError::from(TermError::NoTransparency);
    let error = Error::While { step: Step::Objective { of: "x".into() }, source: Box::new(source.into()) };
    assert_eq!(of_error(&error), Hint::advice(": give --alpha"));
}
