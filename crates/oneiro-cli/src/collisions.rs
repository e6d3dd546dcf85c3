//! Checks that no result overwrites a file from which it is made, and that no two results go to the same
//! file.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::context::Context;
use oneiro_jobs::model::LoadedModel;

/// An output file, with the flag that names it.
pub type Placed<'a> = (&'static str, &'a Path);

/// Returns the file of a flag with the flag's name, if it is given.
pub fn placed<'a>(flag: &'static str, file: Option<&'a PathBuf>) -> Option<Placed<'a>> {
    file.map(|file| (flag, file.as_path()))
}

/// Returns an error if a result would overwrite a file from which it is made, or go to the same file as
/// another result. Input files are `made_from`, the model with the files beside it, and the configuration.
/// Called before any work.
pub fn check<'a>(
    context: &Context,
    model: Option<&LoadedModel>,
    made_from: impl IntoIterator<Item = impl AsRef<Path>>,
    results: impl IntoIterator<Item = Placed<'a>>,
) -> Result<()> {
    let read = made_from.into_iter().map(|path| located(path.as_ref()));
    let of_model = model.iter().flat_map(|model| &model.files).map(|path| located(path));
    let read: Vec<PathBuf> = read.chain(of_model).chain([located(&context.config().path)]).collect();
    let mut written: Vec<PathBuf> = Vec::new();
    for (flag, result) in results {
        let path = located(result);
        let what = if read.contains(&path) {
            "what the result is made from"
        } else if written.contains(&path) {
            "where another result goes"
        } else {
            written.push(path);
            continue;
        };
        bail!("{flag} {}: that is {what}; name another file", result.display());
    }
    Ok(())
}

/// Returns a file's canonical path, whether or not it exists: `a.png`, `./a.png` and a link to it are equal.
fn located(path: &Path) -> PathBuf {
    if let Ok(there) = path.canonicalize() {
        return there;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (path.file_name(), folder.canonicalize()) {
        (Some(name), Ok(folder)) => folder.join(name),
        // The folder does not exist yet, so its own path is made canonical as far as possible.
        (Some(name), Err(_)) => located(folder).join(name),
        (None, _) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| located(&folder.path().join(name));
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for (a, b) in [("x.png", "./x.png"), ("x.png", "sub/../x.png"), ("new/x.png", "new/./x.png")] {
            assert_eq!(at(a), at(b));
        }
        assert_ne!(at("x.png"), at("sub/x.png"));
        assert_eq!(located(Path::new("x.png")), located(Path::new("./x.png")));
    }
}
