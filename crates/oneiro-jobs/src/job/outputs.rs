//! Results of jobs, and their destinations.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::files::create_folder;

/// The types of results that jobs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// A still picture.
    Picture,
    /// A film of several frames.
    Film,
    /// Optimised inputs or maps as tensors.
    Raw,
    /// Numbers in a table.
    Table,
    /// A plot of numbers.
    Plot,
    /// An HTML page.
    Page,
    /// Statistics of a set of pictures.
    Statistics,
    /// Optical flow as numbers.
    Flow,
}

/// Identifies one of a job's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The type of this result.
    pub role: Role,
    /// The index among the results of this type.
    #[serde(default)]
    pub index: usize,
}

impl Place {
    /// Returns the place of the only or first result of a type.
    pub fn first(role: Role) -> Self {
        Self { role, index: 0 }
    }

    /// Returns the place of the picture with this index.
    pub fn picture(index: usize) -> Self {
        Self { role: Role::Picture, index }
    }

    /// Returns the place of the film with this index.
    pub fn film(index: usize) -> Self {
        Self { role: Role::Film, index }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Picture => "picture",
            Role::Film => "film",
            Role::Raw => "raw tensors",
            Role::Table => "table",
            Role::Plot => "plot",
            Role::Page => "page",
            Role::Statistics => "statistics",
            Role::Flow => "flow",
        };
        write!(f, "{role} {}", self.index)
    }
}

/// A function that writes the content of a result.
pub type Content<'c> = &'c mut dyn FnMut(&mut dyn Write) -> Result<()>;

/// Receives the results of a job. Each result is passed completely, or not at all.
pub trait Sink {
    /// Whether a result is wanted. Unwanted results need not be computed.
    fn wants(&self, place: Place) -> bool;

    /// Receives a result. `name` is a suggested file name with its extension.
    ///
    /// # Errors
    /// Those of `content`, or if the result cannot be stored.
    fn take(&mut self, place: Place, name: &str, content: Content<'_>) -> Result<()>;

    /// Receives a result that is already in memory.
    ///
    /// # Errors
    /// The errors of [`Sink::take`].
    fn take_bytes(&mut self, place: Place, name: &str, bytes: &[u8]) -> Result<()> {
        self.take(place, name, &mut |out| Ok(out.write_all(bytes)?))
    }

    /// Receives a result that is in a file. The file may be moved.
    ///
    /// # Errors
    /// The errors of [`Sink::take`].
    fn take_file(&mut self, place: Place, name: &str, file: &Path) -> Result<()> {
        let mut from = std::fs::File::open(file)?;
        self.take(place, name, &mut |out| {
            std::io::copy(&mut from, out)?;
            Ok(())
        })
    }
}

/// A folder that stores results under their suggested names. It does not store tensors.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// Creates a sink for this folder. The folder is created when the first result is received.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Sink for Folder {
    fn wants(&self, place: Place) -> bool {
        place.role != Role::Raw
    }

    fn take(&mut self, place: Place, name: &str, content: Content<'_>) -> Result<()> {
        if !self.wants(place) {
            return Ok(());
        }
        create_folder(&self.0)?;
        oneiro_media::write_atomic_with(self.0.join(name), |out: &mut dyn Write| content(out))
    }

    fn take_bytes(&mut self, place: Place, name: &str, bytes: &[u8]) -> Result<()> {
        if !self.wants(place) {
            return Ok(());
        }
        create_folder(&self.0)?;
        Ok(oneiro_media::write_atomic(self.0.join(name), bytes)?)
    }

    fn take_file(&mut self, place: Place, name: &str, file: &Path) -> Result<()> {
        create_folder(&self.0)?;
        // Renaming fails if the folder is on another file system; then the file is copied.
        if std::fs::rename(file, self.0.join(name)).is_ok() {
            return Ok(());
        }
        let mut from = std::fs::File::open(file)?;
        self.take(place, name, &mut |out| {
            std::io::copy(&mut from, out)?;
            Ok(())
        })
    }
}

/// A result that is kept in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Type and index of the result.
    pub place: Place,
    /// A suggested file name for the result.
    pub name: String,
    /// Content of the result.
    pub bytes: Vec<u8>,
}

/// A sink that wants no results: only the job's report counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Sink for Nothing {
    fn wants(&self, _: Place) -> bool {
        false
    }

    fn take(&mut self, _: Place, _: &str, _: Content<'_>) -> Result<()> {
        Ok(())
    }
}

/// A sink that keeps results in memory.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    only: Option<Place>,
    /// The results that were kept so far.
    pub outputs: Vec<Output>,
}

impl Kept {
    /// Creates a sink that keeps every result.
    pub fn all() -> Self {
        Self::default()
    }

    /// Creates a sink that keeps one result and wants no other.
    pub fn only(place: Place) -> Self {
        Self { only: Some(place), outputs: Vec::new() }
    }

    /// Removes a kept result and returns its content.
    pub fn take(&mut self, place: Place) -> Option<Vec<u8>> {
        let at = self.outputs.iter().position(|o| o.place == place)?;
        Some(self.outputs.swap_remove(at).bytes)
    }
}

impl Sink for Kept {
    fn wants(&self, place: Place) -> bool {
        self.only.is_none_or(|only| only == place)
    }

    fn take(&mut self, place: Place, name: &str, content: Content<'_>) -> Result<()> {
        if self.wants(place) {
            let mut bytes = Vec::new();
            content(&mut bytes)?;
            self.outputs.push(Output { place, name: name.to_owned(), bytes });
        }
        Ok(())
    }
}
