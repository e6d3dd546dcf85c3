//! Results of jobs, and where they go.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::files::create_folder;

/// The type of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// A still picture.
    Picture,
    /// A film.
    Film,
    /// Optimised inputs or maps as tensors.
    Raw,
    /// Numbers as a table.
    Table,
    /// A plot.
    Plot,
    /// A page.
    Page,
    /// Statistics of pictures.
    Statistics,
}

/// Which of a job's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// What it is.
    pub role: Role,
    /// Its number among the results of this role.
    #[serde(default)]
    pub index: usize,
}

impl Place {
    /// The only or first result of a role.
    pub fn first(role: Role) -> Self {
        Self { role, index: 0 }
    }

    /// A picture by its number.
    pub fn picture(index: usize) -> Self {
        Self { role: Role::Picture, index }
    }

    /// A film by its number.
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
        };
        write!(f, "{role} {}", self.index)
    }
}

/// Writes the content of a result.
pub type Content<'c> = &'c mut dyn FnMut(&mut dyn Write) -> Result<()>;

/// Takes the results of a job. Each is given whole, or not at all.
pub trait Sink {
    /// Whether a result is wanted; others need not be computed.
    fn wants(&self, place: Place) -> bool;

    /// Takes a result, which calls itself `name` (a file's name with its extension).
    ///
    /// # Errors
    /// Those of the content, or if it can't be kept.
    fn take(&mut self, place: Place, name: &str, content: Content<'_>) -> Result<()>;

    /// Takes a result that is in memory.
    ///
    /// # Errors
    /// As [`Sink::take`].
    fn take_bytes(&mut self, place: Place, name: &str, bytes: &[u8]) -> Result<()> {
        self.take(place, name, &mut |out| Ok(out.write_all(bytes)?))
    }

    /// Takes a result that lies in a file, which may be moved.
    ///
    /// # Errors
    /// As [`Sink::take`].
    fn take_file(&mut self, place: Place, name: &str, file: &Path) -> Result<()> {
        let mut from = std::fs::File::open(file)?;
        self.take(place, name, &mut |out| {
            std::io::copy(&mut from, out)?;
            Ok(())
        })
    }
}

/// A folder that takes results under their own names, but for tensors.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// This folder, which is made when the first result comes.
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
        // On another file system it has to be copied.
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

/// A result in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Which of the job's results.
    pub place: Place,
    /// A file's name for it.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A sink that keeps results in memory.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    only: Option<Place>,
    /// What was kept.
    pub outputs: Vec<Output>,
}

impl Kept {
    /// Keeps every result.
    pub fn all() -> Self {
        Self::default()
    }

    /// Keeps one result, and wants no other.
    pub fn only(place: Place) -> Self {
        Self { only: Some(place), outputs: Vec::new() }
    }

    /// Takes out the content of a result.
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
