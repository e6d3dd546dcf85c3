//! Independent parts of a job, stored in a folder when they are finished.
//!
//! A part has a readable name and a key, the hash of everything on which its result depends. A run reads
//! stored parts with equal keys and computes the others. Thus an interrupted job resumes. Shards on several
//! machines can share a folder, or their folders can be copied into one.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use oneiro_media::MediaError;

use super::Run;
use super::error::JobError;
pub use super::error::Unfinished;
use crate::error::Result;
use crate::files::{create_folder, file_name};
use crate::remark::Remark;
use crate::source::places::{hash, hash_of_pieces};

/// Number of digits of a key in a file's name, enough to avoid collisions.
const KEY_LENGTH: usize = 16;
/// Prefix of the names of temporary folders in which results are assembled.
pub(crate) const TEMPORARY: &str = ".oneiro-";
/// Extension of the file in which a finished part is stored.
const EXTENSION: &str = "part";

/// The parts that a run computes: those whose index is `index` modulo `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    /// Parses a shard such as `1/4`, the first of four.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("\"{text}\": write it as I/N with I from 1 to N, for instance 1/4");
        let (i, n) = text.split_once('/').ok_or_else(form)?;
        let number = |t: &str| t.trim().parse::<usize>().map_err(|_| form());
        let (i, count) = (number(i)?, number(n)?);
        if !(1..=count).contains(&i) {
            return Err(form());
        }
        Ok(Self { index: i - 1, count })
    }
}

impl Shard {
    fn has(self, part: usize) -> bool {
        part % self.count == self.index
    }
}

/// A folder in which the finished parts of a job are stored.
#[derive(Debug, Clone)]
pub struct Parts {
    folder: PathBuf,
    shard: Option<Shard>,
}

/// The name and the key of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// A name for users and for file names.
    pub name: String,
    /// Hash of everything on which the result depends.
    pub key: String,
}

impl Part {
    /// Creates a part whose result depends only on these texts.
    pub fn new(name: &str, depends_on: &[&str]) -> Self {
        let mut bytes = Vec::new();
        for text in depends_on {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Self { name: name.to_owned(), key: hash(&bytes) }
    }

    fn file(&self) -> String {
        let key = self.key.get(..KEY_LENGTH).unwrap_or(&self.key);
        format!("{}.{key}.{EXTENSION}", file_name(&self.name))
    }
}

/// A result of a part that can be converted to bytes and back.
pub trait Stored: Sized {
    /// Converts a part's result to bytes.
    ///
    /// # Errors
    /// If the result cannot be encoded.
    fn to_bytes(&self) -> Result<Vec<u8>>;

    /// Whether another run would give the same result. If not, the result is not stored, and every run
    /// computes it anew.
    fn is_final(&self) -> bool {
        true
    }

    /// Converts bytes back to a part's result.
    ///
    /// # Errors
    /// If the bytes are damaged or incomplete.
    fn from_bytes(bytes: &[u8]) -> Result<Self>;
}

impl Parts {
    /// Creates a store in this folder, which is created when the first part is finished. With a `shard`, a
    /// run computes only the shard's parts.
    pub fn new(folder: impl Into<PathBuf>, shard: Option<Shard>) -> Self {
        Self { folder: folder.into(), shard }
    }

    /// Returns the folder in which parts are stored.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, part: &Part) -> PathBuf {
        self.folder.join(part.file())
    }

    /// Removes a stored part, if it exists.
    pub(crate) fn remove(&self, part: &Part) {
        let _ = fs::remove_file(self.path(part));
    }

    /// A finished part; `None` if it is not there or damaged, so that it is made anew.
    pub(crate) fn load<T: Stored>(&self, part: &Part) -> Option<T> {
        let bytes = fs::read(self.path(part)).ok()?;
        let (sum, content) = bytes.split_at_checked(part.key.len())?;
        (sum == hash_of_pieces(&[part.key.as_bytes(), content]).as_bytes())
            .then(|| T::from_bytes(content).ok())?
    }

    pub(crate) fn store<T: Stored>(&self, part: &Part, result: &T) -> Result<()> {
        create_folder(&self.folder)?;
        let content = result.to_bytes()?;
        let sum = hash_of_pieces(&[part.key.as_bytes(), &content]);
        let path = self.path(part);
        let written = oneiro_media::write_atomic_with(&path, |file| {
            // `write_atomic_with` adds the hint to a failure to write.
            let refused = |source| MediaError::Write { hint: "", path: path.clone(), source };
            [sum.as_bytes(), &content].iter().try_for_each(|piece| file.write_all(piece)).map_err(refused)
        });
        if written.is_err() {
            // If the disk is full, an empty folder should not remain.
            let _ = fs::remove_dir(&self.folder);
        }
        Ok(written?)
    }

    /// Removes every part, and the folder if nothing else is in it.
    pub fn clear(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            // Temporary files of a run that was killed are removed, too.
            let ours = |e: &std::ffi::OsStr| e == EXTENSION || e == "tmp";
            if entry.path().extension().is_some_and(ours) {
                let _ = fs::remove_file(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

impl Run<'_> {
    /// Passes the results of all parts in order to `take`, which frees them one by one. Stored results are
    /// read; the others are computed by `make` from the part's index.
    ///
    /// # Errors
    /// Those of `make` and `take`; [`Unfinished`] if parts of other shards are missing.
    pub fn fold_parts<T: Stored>(
        &self,
        parts: &[Part],
        mut make: impl FnMut(usize) -> Result<T>,
        mut take: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let folder = self.parts();
        let load = |part: &Part| folder.and_then(|folder| folder.load::<T>(part));
        let there = || parts.iter().filter(|part| folder.is_some_and(|f| f.path(part).exists())).count();
        let (done, total) = (there(), parts.len());
        if done > 0 {
            self.context.remark(Remark::PartsDone { done, total });
        }
        let own = |part: usize| folder.and_then(|f| f.shard).is_none_or(|shard| shard.has(part));
        let mut taken = 0;
        for (i, part) in parts.iter().enumerate() {
            let result = match load(part) {
                None if own(i) => {
                    let result = make(i)?;
                    folder
                        .filter(|_| result.is_final())
                        .map_or(Ok(()), |folder| folder.store(part, &result))?;
                    Some(result)
                }
                stored => stored,
            };
            if let Some(result) = result.filter(|_| taken == i) {
                take(result)?;
                taken += 1;
            }
        }
        // Other shards may have finished further parts in the meantime.
        for part in &parts[taken..] {
            match (load(part), folder) {
                (Some(result), _) => take(result)?,
                (None, Some(folder)) => {
                    return Err(Unfinished { done: there(), total, folder: folder.folder.clone() }.into());
                }
                (None, None) => return Err(JobError::NotMade { what: "a part of the job" }.into()),
            }
        }
        Ok(())
    }
}

/// A callback that receives the index and the result of each finished part.
pub type Finish<'f, T> = &'f mut dyn FnMut(usize, T) -> Result<()>;

impl Run<'_> {
    /// Returns the results of all parts. Stored results are read. `make` computes the others from their
    /// indices.
    ///
    /// # Errors
    /// Those of `make`; [`Unfinished`] if parts of other shards are missing.
    pub fn in_parts<T: Stored>(
        &self,
        parts: &[Part],
        make: impl FnOnce(&[usize], Finish<'_, T>) -> Result<()>,
    ) -> Result<Vec<T>> {
        let folder = self.parts();
        let mut done: Vec<Option<T>> = match folder {
            Some(folder) => parts.iter().map(|part| folder.load(part)).collect(),
            None => parts.iter().map(|_| None).collect(),
        };
        let found = done.iter().flatten().count();
        if found > 0 {
            self.context.remark(Remark::PartsDone { done: found, total: parts.len() });
        }
        let own = |part: &usize| folder.and_then(|f| f.shard).is_none_or(|shard| shard.has(*part));
        let missing: Vec<usize> = (0..parts.len()).filter(|&i| done[i].is_none()).filter(own).collect();
        if !missing.is_empty() {
            make(&missing, &mut |at, result| {
                if let Some(folder) = folder {
                    folder.store(&parts[at], &result)?;
                }
                done[at] = Some(result);
                Ok(())
            })?;
        }
        let there = done.iter().flatten().count();
        match (folder, there == parts.len()) {
            (_, true) => Ok(done.into_iter().flatten().collect()),
            (Some(folder), false) => {
                Err(Unfinished { done: there, total: parts.len(), folder: folder.folder.clone() }.into())
            }
            (None, false) => Err(JobError::NotMade { what: "a part of the job" }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_all_parts_out() {
        let shards = ["1/3", "2/3", "3/3"].map(|s| s.parse::<Shard>().unwrap());
        for part in 0..10 {
            assert_eq!(shards.iter().filter(|s| s.has(part)).count(), 1, "{part}");
        }
        for bad in ["", "1", "0/3", "4/3", "a/3", "1/0", "1/x"] {
            assert!(bad.parse::<Shard>().unwrap_err().contains("1/4"), "{bad}");
        }
    }

    /// A number as the result of a part.
    impl Stored for u32 {
        fn to_bytes(&self) -> Result<Vec<u8>> {
            Ok(self.to_le_bytes().to_vec())
        }

        fn from_bytes(bytes: &[u8]) -> Result<Self> {
            let bytes = bytes.try_into().map_err(|_| JobError::CutOff)?;
            Ok(u32::from_le_bytes(bytes))
        }
    }

    #[test]
    fn parts_are_folded_in_order_however_they_come() {
        let context = crate::Context::new(Some(1), crate::Silent).unwrap();
        let parts: Vec<Part> = (0..7).map(|i| Part::new("n", &[&i.to_string()])).collect();
        let fold = |stored: Option<&Parts>| {
            let (mut made, mut taken) = (Vec::new(), Vec::new());
            let run = Run::without_model(&context).with_parts(stored);
            let outcome = run.fold_parts(
                &parts,
                |i| {
                    made.push(i);
                    Ok(10 * i as u32)
                },
                |n: u32| {
                    taken.push(n);
                    Ok(())
                },
            );
            (outcome, made, taken)
        };
        let all: Vec<u32> = (0..7).map(|i| 10 * i).collect();
        let (outcome, made, taken) = fold(None);
        assert!(outcome.is_ok() && made == [0, 1, 2, 3, 4, 5, 6] && taken == all);
        let folder = tempfile::tempdir().unwrap();
        let shard = |text: &str| Parts::new(folder.path().join("parts"), Some(text.parse().unwrap()));
        let (outcome, made, _) = fold(Some(&shard("2/3")));
        assert!(matches!(outcome, Err(crate::Error::Unfinished(Unfinished { done: 2, total: 7, .. }))));
        assert_eq!(made, [1, 4]);
        assert!(fold(Some(&shard("3/3"))).0.is_err());
        // The last shard finds the parts of the others. A damaged part is computed again.
        let (outcome, made, taken) = fold(Some(&shard("1/3")));
        assert!(outcome.is_ok() && made == [0, 3, 6] && taken == all, "{made:?} {taken:?}");
        let damaged = shard("1/3").path(&parts[4]);
        std::fs::write(&damaged, "x").unwrap();
        let (outcome, made, taken) = fold(Some(&Parts::new(folder.path().join("parts"), None)));
        assert!(outcome.is_ok() && made == [4] && taken == all);
    }

    #[test]
    fn keys_tell_where_one_text_ends() {
        assert_ne!(Part::new("a", &["ab", "c"]).key, Part::new("a", &["a", "bc"]).key);
    }
}
