//! No result goes over a file that it is made from, or where another result goes.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::context::Context;
use oneiro_jobs::model::LoadedModel;

/// A result's file with the flag that chooses it.
pub type Placed<'a> = (&'static str, &'a Path);

/// The file of a flag, if it is given.
pub fn placed<'a>(flag: &'static str, file: Option<&'a PathBuf>) -> Option<Placed<'a>> {
    file.map(|file| (flag, file.as_path()))
}

/// An error if a result, given with the flag that places it, would go over a file that it is made from
/// (`made_from`, the model with all that lies beside it, the configuration), or where another result goes.
/// For before the work.
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

/// The one way to write where a file is, or would be: `a.png`, `./a.png` and a link to it are the same place.
fn located(path: &Path) -> PathBuf {
    if let Ok(there) = path.canonicalize() {
        return there;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (path.file_name(), folder.canonicalize()) {
        (Some(name), Ok(folder)) => folder.join(name),
        // A folder that is yet to be made: without `.` at least.
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
