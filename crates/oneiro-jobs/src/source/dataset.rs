//! Finds the images of a data set, in class folders or in a list.
//!
//! Interface: [`Dataset::find`] lists every image once, in an order that depends only on names. Files that
//! cannot be used are reported as a [`Problem`] and never stop the search.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use oneiro_media::has_image_name;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::clips::find::clips_below;
use super::error::SourceError;
use super::listing::{entries, is_shown};
use super::places::hash;
use crate::context::Context;
use crate::error::Result;

mod list;

/// An image file of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataImage {
    /// The image's file, relative to the data set's folder, with `/` between folders.
    pub file: String,
    /// The image's class, as an index in [`Dataset::classes`].
    pub class: Option<u32>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Modification time of the file, in nanoseconds since 1970; 0 if not known.
    pub changed: u128,
    /// The first image with the same content, if this image is a copy.
    pub duplicate_of: Option<u32>,
}

/// The kind of a problem with an image or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// A folder or file cannot be read.
    Unreadable,
    /// An image file cannot be decoded.
    Damaged,
    /// A link leads to a folder that contains the link.
    Loop,
    /// A file is a copy of another file. It is included in statistics, but never listed as an example.
    Duplicate,
    /// A file in the list does not exist.
    Missing,
}

impl ProblemKind {
    /// Returns the name of the kind in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
            Self::Loop => "loop",
            Self::Duplicate => "duplicate",
            Self::Missing => "missing",
        }
    }
}

/// A problem with a file or folder of a data set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The file or folder, relative to the data set's folder.
    pub file: String,
    /// The kind of problem.
    pub kind: ProblemKind,
    /// Description of the problem for the user.
    pub why: String,
}

/// A data set: images with their classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dataset {
    /// The folder to which file names are relative.
    pub root: PathBuf,
    /// The images, sorted by class, then by name.
    pub images: Vec<DataImage>,
    /// Names of the classes, sorted.
    pub classes: Vec<String>,
    /// Problems with files and folders, sorted by name.
    pub problems: Vec<Problem>,
}

impl Dataset {
    /// Finds the images of a folder or a list. In a folder, an image's class is the name of the subfolder,
    /// directly below the folder, that contains the image at any depth. A list is a `.csv` file of lines
    /// `file,class`, or a `.json` file.
    ///
    /// # Errors
    /// If the folder or list does not exist, cannot be read, or has no images.
    pub fn find(context: &Context, data: &Path) -> Result<Self> {
        let (root, found, problems) = if data.is_dir() {
            let (found, problems) = in_folder(data);
            (data.to_owned(), found, problems)
        } else {
            let root = data.parent().unwrap_or(Path::new("")).to_owned();
            let (found, problems) = on_disk(&root, list::read(data)?);
            (root, found, problems)
        };
        if found.is_empty() {
            let first =
                problems.into_iter().next().map(|problem| format!("{}: {}", problem.file, problem.why));
            return Err(SourceError::NoImages { data: data.to_owned(), first }.into());
        }
        let mut dataset = Self { root, problems, ..Self::default() };
        dataset.add(found);
        dataset.find_duplicates(context)?;
        dataset.problems.sort();
        Ok(dataset)
    }

    /// Finds clips like [`Dataset::find`] finds images: videos, animated pictures and folders of frames.
    ///
    /// # Errors
    /// The errors of [`Dataset::find`].
    pub fn find_clips(context: &Context, data: &Path) -> Result<Self> {
        let (root, found, problems) = if data.is_dir() {
            entries(data)?;
            let name =
                |clip: PathBuf| clip.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            let class = |file: &str| file.split_once('/').map(|(class, _)| class.to_owned());
            let files = clips_below(data).into_iter().map(name).map(|file| (file.clone(), class(&file)));
            let (found, problems) = clips_on_disk(data, files.collect());
            (data.to_owned(), found, problems)
        } else {
            let root = data.parent().unwrap_or(Path::new("")).to_owned();
            let (found, problems) = clips_on_disk(&root, list::read(data)?);
            (root, found, problems)
        };
        if found.is_empty() {
            return Err(SourceError::NoClips { paths: vec![data.to_owned()] }.into());
        }
        let mut dataset = Self { root, problems, ..Self::default() };
        dataset.add(found);
        dataset.find_duplicates(context)?;
        dataset.problems.sort();
        Ok(dataset)
    }

    /// Returns the path of an image's file.
    pub fn path(&self, image: &DataImage) -> PathBuf {
        self.root.join(&image.file)
    }

    fn add(&mut self, mut found: Vec<Found>) {
        found.sort_by(|a, b| (&a.class, &a.file).cmp(&(&b.class, &b.file)));
        found.dedup_by(|a, b| a.file == b.file && a.class == b.class);
        let mut names: Vec<&String> = found.iter().filter_map(|found| found.class.as_ref()).collect();
        names.dedup();
        self.classes = names.into_iter().cloned().collect();
        let number = |class: String| self.classes.binary_search(&class).ok().map(|number| number as u32);
        let image = |found: Found| DataImage {
            class: found.class.and_then(number),
            file: found.file,
            bytes: found.bytes,
            changed: found.changed,
            duplicate_of: None,
        };
        self.images = found.into_iter().map(image).collect();
    }

    /// Finds images with the same content as an earlier one. Only files of equal size are read.
    fn find_duplicates(&mut self, context: &Context) -> Result<()> {
        let mut by_length: HashMap<u64, Vec<usize>> = HashMap::new();
        // An empty file cannot be an image, so it is not reported as a copy.
        for (i, image) in self.images.iter().enumerate().filter(|(_, image)| image.bytes > 0) {
            by_length.entry(image.bytes).or_default().push(i);
        }
        let mut alike: Vec<usize> =
            by_length.into_values().filter(|images| images.len() > 1).flatten().collect();
        alike.sort_unstable();
        let mut first: HashMap<String, usize> = HashMap::new();
        for some in alike.chunks(HASHED_AT_ONCE) {
            context.check()?;
            let read = |i: &usize| std::fs::read(self.path(&self.images[*i])).ok().map(|bytes| hash(&bytes));
            let hashes: Vec<Option<String>> = context.compute(|| some.par_iter().map(read).collect());
            for (&i, hash) in some.iter().zip(hashes) {
                // A file that cannot be read is reported later, when the image is decoded.
                let Some(hash) = hash else { continue };
                let of = *first.entry(hash).or_insert(i);
                if of != i {
                    let why = format!("its content is that of {}", self.images[of].file);
                    let file = self.images[i].file.clone();
                    self.problems.push(Problem { file, kind: ProblemKind::Duplicate, why });
                    self.images[i].duplicate_of = Some(of as u32);
                }
            }
        }
        Ok(())
    }
}

/// The problem of a pipe, device or folder with an image's name: reading it might never end.
const NO_FILE: &str = "it is no file";
/// How many files are read in parallel to compare their content.
const HASHED_AT_ONCE: usize = 64;

/// An image file that was found, with its class, size and modification time.
struct Found {
    file: String,
    class: Option<String>,
    bytes: u64,
    changed: u128,
}

/// Returns a file's name relative to a folder, with `/` between folders; `None` if the name is no valid
/// UTF-8.
fn relative(path: &Path, root: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).unwrap_or(path).iter();
    Some(parts.map(|part| part.to_str()).collect::<Option<Vec<_>>>()?.join("/"))
}

/// Returns a file's modification time, in nanoseconds since 1970; 0 if it is not known.
fn changed(data: &std::fs::Metadata) -> u128 {
    let time = data.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    time.map_or(0, |since| since.as_nanos())
}

fn in_folder(root: &Path) -> (Vec<Found>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for entry in WalkDir::new(root).follow_links(true).min_depth(1).into_iter().filter_entry(is_shown) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let kind =
                    if error.loop_ancestor().is_some() { ProblemKind::Loop } else { ProblemKind::Unreadable };
                let path = error.path().unwrap_or(root);
                let is_loop = error.loop_ancestor().is_some();
                // A broken link without an image's ending is ignored.
                let is_link = path.is_symlink() && !path.exists();
                if !is_loop && is_link && !has_image_name(path) {
                    continue;
                }
                let file = relative(path, root).unwrap_or_else(|| path.to_string_lossy().into_owned());
                // The relative name of the data set's folder itself is empty.
                let file = if file.is_empty() { ".".to_owned() } else { file };
                let why = match (error.loop_ancestor(), error.io_error()) {
                    (Some(above), _) => format!("it links back to {}", above.display()),
                    (None, Some(why)) => why.to_string(),
                    (None, None) => error.to_string(),
                };
                problems.push(Problem { file, kind, why });
                continue;
            }
        };
        if entry.file_type().is_dir() || !has_image_name(entry.path()) {
            continue;
        }
        let Some(file) = relative(entry.path(), root) else {
            let file = entry.path().to_string_lossy().into_owned();
            let why = "its name is no valid UTF-8".to_owned();
            problems.push(Problem { file, kind: ProblemKind::Unreadable, why });
            continue;
        };
        if !entry.file_type().is_file() {
            problems.push(Problem { file, kind: ProblemKind::Unreadable, why: NO_FILE.to_owned() });
            continue;
        }
        let class = file.split_once('/').map(|(class, _)| class.to_owned());
        let (bytes, changed) = entry.metadata().map_or((0, 0), |data| (data.len(), changed(&data)));
        found.push(Found { class, bytes, changed, file });
    }
    (found, problems)
}

/// Returns the images below a folder, each with its class. Files that cannot be read are included, so that
/// the caller's attempt to read them reports the reason.
pub(crate) fn images_below(root: &Path) -> Vec<(PathBuf, Option<String>)> {
    let (mut found, problems) = in_folder(root);
    let unreadable = problems.into_iter().filter(|problem| problem.kind == ProblemKind::Unreadable);
    found.extend(unreadable.map(|problem| {
        let class = problem.file.split_once('/').map(|(class, _)| class.to_owned());
        Found { file: problem.file, class, bytes: 0, changed: 0 }
    }));
    found.sort_by(|a, b| (&a.class, &a.file).cmp(&(&b.class, &b.file)));
    found.into_iter().map(|found| (root.join(found.file), found.class)).collect()
}

/// Divides a list into files that exist and problems for those that do not.
fn on_disk(root: &Path, listed: BTreeMap<String, Option<String>>) -> (Vec<Found>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (file, class) in listed {
        match std::fs::metadata(root.join(&file)) {
            Ok(data) if !data.is_file() => {
                problems.push(Problem { file, kind: ProblemKind::Unreadable, why: NO_FILE.to_owned() });
            }
            Ok(data) => found.push(Found { file, class, bytes: data.len(), changed: changed(&data) }),
            Err(why) => problems.push(Problem { file, kind: ProblemKind::Missing, why: why.to_string() }),
        }
    }
    (found, problems)
}

/// Divides a list of clips, files or folders of frames, like [`on_disk`].
fn clips_on_disk(root: &Path, listed: BTreeMap<String, Option<String>>) -> (Vec<Found>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (file, class) in listed {
        let path = root.join(&file);
        match std::fs::metadata(&path) {
            Ok(data) if !data.is_file() && !data.is_dir() => {
                problems.push(Problem { file, kind: ProblemKind::Unreadable, why: NO_FILE.to_owned() });
            }
            Ok(data) => {
                found.push(Found { file, class, bytes: bytes_of_clip(&path), changed: changed(&data) });
            }
            Err(why) => problems.push(Problem { file, kind: ProblemKind::Missing, why: why.to_string() }),
        }
    }
    (found, problems)
}

/// Returns the size of a clip in bytes: of its file, or of all files of its folder. 0 if it is not there.
pub(crate) fn bytes_of_clip(path: &Path) -> u64 {
    match std::fs::metadata(path) {
        Ok(data) if data.is_dir() => {
            let files = entries(path).unwrap_or_default();
            files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).sum()
        }
        data => data.map_or(0, |data| data.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::observer::Silent;

    fn context() -> Context {
        Context::new(Some(1), Silent).unwrap()
    }

    #[test]
    fn folders_are_classes_however_deep_their_images_lie() {
        let folder = tempfile::tempdir().unwrap();
        for (i, file) in ["b/x.png", "b/deep/y.JPG", "a/z.webp", "top.png", "a/notes.txt", ".hidden/x.png"]
            .iter()
            .enumerate()
        {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![i as u8; i + 1]).unwrap();
        }
        fs::copy(folder.path().join("b/x.png"), folder.path().join("a/copy.png")).unwrap();
        let dataset = Dataset::find(&context(), folder.path()).unwrap();
        assert_eq!(dataset.classes, ["a", "b"]);
        let listed: Vec<_> = dataset.images.iter().map(|i| (i.file.as_str(), i.class)).collect();
        let expected = [
            ("top.png", None),
            ("a/copy.png", Some(0)),
            ("a/z.webp", Some(0)),
            ("b/deep/y.JPG", Some(1)),
            ("b/x.png", Some(1)),
        ];
        assert_eq!(listed, expected);
        assert_eq!(dataset.images[4].duplicate_of, Some(1));
        assert_eq!(dataset.problems.len(), 1);
        assert_eq!(
            (dataset.problems[0].file.as_str(), dataset.problems[0].kind),
            ("b/x.png", ProblemKind::Duplicate)
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_back_are_problems() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/x.png"), [1]).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("a/gone.png")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("a/README")).unwrap();
        let dataset = Dataset::find(&context(), folder.path()).unwrap();
        assert_eq!(dataset.images.len(), 1);
        let kinds: Vec<_> = dataset.problems.iter().map(|p| (p.file.as_str(), p.kind)).collect();
        assert_eq!(kinds, [("a/gone.png", ProblemKind::Unreadable), ("a/up", ProblemKind::Loop)]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.png"), [1]).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("y.png")).unwrap();
        let csv = folder.path().join("list.csv");
        fs::write(&csv, "x.png,a\ny.png,a\n").unwrap();
        for data in [folder.path(), &csv] {
            let dataset = Dataset::find(&context(), data).unwrap();
            assert_eq!(dataset.images.len(), 1);
            let problem = &dataset.problems[0];
            assert_eq!((problem.file.as_str(), problem.why.as_str()), ("y.png", NO_FILE));
        }
    }

    #[test]
    fn lists_name_files_and_classes() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["x.png", "y.png", "z.png"] {
            fs::write(folder.path().join(file), file).unwrap();
        }
        let csv = folder.path().join("list.csv");
        fs::write(&csv, "file,class\nx.png,\"a, b\"\ny.png,c\ngone.png,c\nz.png,\n").unwrap();
        let from_csv = Dataset::find(&context(), &csv).unwrap();
        assert_eq!(from_csv.classes, ["a, b", "c"]);
        assert_eq!(from_csv.images.iter().map(|i| i.class).collect::<Vec<_>>(), [None, Some(0), Some(1)]);
        assert_eq!(from_csv.problems[0].kind, ProblemKind::Missing);
        let json = folder.path().join("list.json");
        fs::write(
            &json,
            r#"[{"file": "x.png", "class": "a, b"}, {"file": "y.png", "class": "c"}, {"file": "z.png"}]"#,
        )
        .unwrap();
        assert_eq!(Dataset::find(&context(), &json).unwrap().images, from_csv.images);
        fs::write(&json, r#"{"x.png": "a, b", "y.png": "c", "z.png": null}"#).unwrap();
        assert_eq!(Dataset::find(&context(), &json).unwrap().images, from_csv.images);
    }

    #[test]
    fn what_is_no_data_set_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let says = |path: &Path, words: &str| {
            let error = Dataset::find(&context(), path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        says(folder.path(), "no images");
        says(&folder.path().join("nowhere"), "nowhere");
        let csv = folder.path().join("list.csv");
        fs::write(&csv, "x.png,a\nx.png,b\n").unwrap();
        says(&csv, "two classes");
        let json = folder.path().join("list.json");
        fs::write(&json, "[1]").unwrap();
        says(&json, "list.json");
    }
}
