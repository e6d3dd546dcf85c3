//! An empty folder in which a test runs the program, and reports for tables of cases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// An empty folder that is the program's working folder; removed when dropped.
pub struct Place {
    folder: TempDir,
}

/// Exit code and output of a run of the program.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Returns the path of a test file of `oneiro-net`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../oneiro-net/tests/data").join(name).canonicalize().unwrap()
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and creates the folders that contain it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Copies a test file of `oneiro-net` into the folder, under a short name.
    pub fn borrow(&self, fixture_name: &str, name: &str) {
        std::fs::copy(fixture(fixture_name), self.path(name)).unwrap();
    }

    /// Returns all files below the folder with their content, including hidden files, and empty folders.
    pub fn listing(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.folder.path()).unwrap().to_str().unwrap().to_owned();
                let is_folder = path.is_dir() && !path.is_symlink();
                found.insert(name, if is_folder { None } else { Some(std::fs::read(&path).unwrap()) });
                if is_folder {
                    folders.push(path);
                }
            }
        }
        found
    }

    /// Returns the command that runs the program in this folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneiro"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        // Keeps a user's own configuration from being read.
        command.env("ONEIRO_CONFIG", "");
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs the program and insists that it succeeds; returns its standard output.
    #[track_caller]
    pub fn succeed(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.code, Some(0), "oneiro {}\n{}", args.join(" "), outcome.stderr);
        outcome.stdout
    }

    /// Runs the program, which must succeed and print JSON; returns the JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let stdout = self.succeed(args);
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("oneiro {}: {e}\n{stdout}", args.join(" ")))
    }
}

/// The failures of a table of cases, reported together at the end.
#[derive(Default)]
pub struct Report {
    cases: usize,
    failures: Vec<String>,
}

impl Report {
    /// Records the result of a case.
    pub fn case(&mut self, name: &str, result: Result<(), String>) {
        self.cases += 1;
        if let Err(why) = result {
            self.failures.push(format!("{name}: {why}"));
        }
    }

    /// Fails the test if any case failed, with all messages.
    #[track_caller]
    pub fn finish(self) {
        assert!(self.cases > 0, "no case was tried");
        let failed = self.failures.len();
        assert!(failed == 0, "{failed} of {} cases failed\n\n{}\n", self.cases, self.failures.join("\n\n"));
    }
}

/// Returns `Err` with a message unless the condition holds.
pub fn check(condition: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message()) }
}
