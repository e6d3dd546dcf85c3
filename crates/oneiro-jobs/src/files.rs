//! Files of results: names made from units, folders, and checks whether they can be written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

mod error;

pub use error::FileError;

/// The longest file name that is made from a unit, in bytes. File systems commonly allow 255.
const MAX_NAME: usize = 120;

/// Returns a file name that tells the unit. Other characters than letters, digits, dots, dashes and
/// underscores become dashes.
pub fn file_name(unit: &str) -> String {
    let mut name: String = unit
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' })
        .collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    let name = name.trim_matches(['-', '.']);
    let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= MAX_NAME;
    if name.is_empty() {
        "unit".into()
    } else {
        name.char_indices().take_while(fits).map(|(_, c)| c).collect()
    }
}

/// Returns a file name that describes a result, for instance `cat.class-tabby.accentuation.png`. For several
/// photos or units it contains the first one and the number of the others.
pub fn named_after(kinds: &[&[String]], result: &str) -> String {
    let mut parts = Vec::new();
    for things in kinds {
        if let [first, more @ ..] = things {
            let more = if more.is_empty() { String::new() } else { format!("-and-{}-more", more.len()) };
            parts.push(file_name(first) + &more);
        }
    }
    format!("{}.{result}.png", file_name(&parts.join(".")))
}

/// The files to which pictures are written.
pub struct PicturePaths {
    /// The folder that is to be created for the files, if any.
    pub folder: Option<PathBuf>,
    /// Path of the file of each picture.
    pub files: Vec<PathBuf>,
}

/// Returns a file in the folder for each name.
pub fn into_folder(folder: &Path, names: &[String], extension: &str) -> PicturePaths {
    let files = unique_files(names, extension).into_iter().map(|f| folder.join(f)).collect();
    PicturePaths { folder: Some(folder.to_owned()), files }
}

impl PicturePaths {
    /// Returns the paths for one picture in this file.
    pub fn file(path: &Path) -> Self {
        Self { folder: None, files: vec![path.to_owned()] }
    }
}

/// Creates a folder for results, and its parents.
pub fn create_folder(folder: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(folder).map_err(|source| FileError::Create { folder: folder.to_owned(), source })
}

/// Checks in advance whether a folder can be created and written into. Creates nothing permanent.
pub fn check_folder(folder: &Path) -> Result<(), FileError> {
    // A trailing slash is removed: a file's path with a slash would seem not to exist.
    let folder = &folder.components().collect::<PathBuf>();
    let existing = folder.ancestors().map(or_here).find(|p| p.exists()).unwrap_or(Path::new("."));
    if !existing.is_dir() {
        let file = existing.to_owned();
        return Err(match existing == folder {
            true => FileError::IsFile { path: file },
            false => FileError::InsideFile { folder: folder.clone(), file },
        });
    }
    check_may_write(existing)
        .map_err(|source| FileError::Make { folder: folder.clone(), source: Box::new(source) })
}

/// Checks in advance whether a file can be written, before minutes of work are spent.
pub fn check_writable(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Err(FileError::IsFolder { path: path.to_owned() });
    }
    if path.exists() && !path.is_file() {
        // The path is a device or a pipe, so no file is created.
        return Ok(());
    }
    let folder = or_here(path.parent().unwrap_or(Path::new("")));
    if !folder.is_dir() {
        return Err(FileError::NoFolder { folder: folder.to_owned() });
    }
    match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::InvalidFilename => {
            Err(FileError::LongName { path: path.to_owned() })
        }
        _ => check_may_write(folder),
    }
}

/// Returns `.` for an empty path, the parent of a path without a slash.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn check_may_write(folder: &Path) -> Result<(), FileError> {
    match tempfile::Builder::new().prefix(".oneiro-").tempfile_in(folder) {
        Ok(_) => Ok(()),
        // The message of the error itself would contain the name of the temporary file.
        Err(e) => Err(FileError::NotWritable { folder: folder.to_owned(), kind: e.kind() }),
    }
}

/// Returns a file for each name, no two alike.
pub fn unique_files(names: &[String], extension: &str) -> Vec<PathBuf> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut file = |name: &String| {
        let name = file_name(name);
        let numbered = (2..).map(|n| format!("{name}.{n}"));
        // Some file systems do not distinguish `A` from `a`.
        let free = std::iter::once(name.clone()).chain(numbered).find(|n| taken.insert(n.to_lowercase()));
        PathBuf::from(format!("{}.{extension}", free.unwrap_or(name)))
    };
    names.iter().map(&mut file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_keep_what_a_file_system_likes() {
        assert_eq!(file_name("conv4_3:5"), "conv4_3-5");
        assert_eq!(file_name("class:traffic light"), "class-traffic-light");
        assert_eq!(file_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(file_name("::"), "unit");
    }

    #[test]
    fn results_are_named_after_what_they_are_of() {
        let [cat, dog, unit] = ["my cat", "dog", "fire2:3"].map(String::from);
        let photos = [cat.clone(), dog];
        assert_eq!(named_after(&[&[cat], std::slice::from_ref(&unit)], "x"), "my-cat.fire2-3.x.png");
        assert_eq!(named_after(&[&photos, &[unit]], "x"), "my-cat-and-1-more.fire2-3.x.png");
        let long = named_after(&[&["a".repeat(300)]], "x");
        assert!(long.ends_with("a.x.png") && long.len() < 255, "{long}");
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        let name = file_name(&"ü".repeat(200));
        assert!(name.len() <= MAX_NAME && name.chars().all(|c| c == 'ü'), "{name}");
    }

    #[test]
    fn two_units_never_share_a_file() {
        let names = ["a:1", "a-1", "A-1", "a-1.2", "a:1"].map(String::from);
        let paths = unique_files(&names, "png");
        let different: HashSet<&PathBuf> = paths.iter().collect();
        assert_eq!(different.len(), names.len(), "{paths:?}");
        assert_eq!(paths[..2], ["a-1.png", "a-1.2.png"].map(PathBuf::from));
    }
}
