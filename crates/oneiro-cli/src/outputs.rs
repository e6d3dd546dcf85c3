//! Chooses the files of results from flags and the configuration.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use oneiro_jobs::files::{PicturePaths, into_folder, unique_files};
use oneiro_jobs::job::film_kind::{ENDINGS, FilmKind};
use oneiro_media::StillFormat;

use crate::context::Context;

/// Whether a path names a folder, existing or to be created.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().to_string_lossy().ends_with(['/', '\\'])
}

/// Returns the path of a result without `--out`: in the configuration file's folder, or else in the current
/// one.
pub fn default_path(context: &Context, name: &str) -> PicturePaths {
    let folder = context.config().out.clone();
    let file = folder.as_ref().map_or(PathBuf::from(name), |folder| folder.join(name));
    let paths = PicturePaths { folder, files: vec![file] };
    say_what_is_replaced(context, &paths);
    paths
}

/// Prints a note if a result at a default path will replace an earlier one.
fn say_what_is_replaced(context: &Context, paths: &PicturePaths) {
    if let Some(file) = paths.files.iter().find(|file| file.is_file()) {
        context.note(&format!(
            "{} is there already and will be replaced; --out names another file",
            file.display()
        ));
    }
}

/// Returns a file for each picture. A single picture goes into the given file; several go into the given
/// folder.
pub fn picture_paths(context: &Context, out: Option<&Path>, names: &[String]) -> Result<PicturePaths> {
    let paths = place_pictures(out, context.config().out.as_deref(), names)?;
    if out.is_none() {
        say_what_is_replaced(context, &paths);
    }
    Ok(paths)
}

/// Does what [`picture_paths`] does; `usual` is the configured folder for pictures, used if `out` is `None`.
fn place_pictures(out: Option<&Path>, usual: Option<&Path>, names: &[String]) -> Result<PicturePaths> {
    match (out, names) {
        (None, names) => Ok(match usual {
            Some(folder) => into_folder(folder, names, "png"),
            None => PicturePaths { folder: None, files: unique_files(names, "png") },
        }),
        (Some(out), [_]) if !is_folder(out) => {
            require_picture("--out", out)?;
            Ok(PicturePaths::file(out))
        }
        (Some(folder), names) => {
            if !folder.is_dir() && oneiro_media::has_image_name(folder) {
                bail!(
                    "--out {}: {} pictures do not fit into one file; name a folder, or use `oneiro sheet`",
                    folder.display(),
                    names.len()
                );
            }
            Ok(into_folder(folder, names, "png"))
        }
    }
}

/// Returns an error unless the file name ends as that of a PNG, JPEG or WebP file.
pub fn require_picture(flag: &str, path: &Path) -> Result<()> {
    if StillFormat::of_name(path).is_none() {
        bail!(
            "{flag} {}: pictures are written as PNG, JPEG or WebP; use a name that ends in .png, .jpg or .webp",
            path.display()
        );
    }
    // A format that this build lacks is reported before any work.
    StillFormat::for_name(path)?;
    Ok(())
}

/// Returns an error if a transparent picture would go into a JPEG file, which cannot hold it.
pub fn require_transparency(path: &Path) -> Result<()> {
    if StillFormat::of_name(path) == Some(StillFormat::Jpeg) {
        bail!(
            "--out {}: the picture is transparent, which JPEG cannot hold; use a name that ends in .png or .webp",
            path.display()
        );
    }
    Ok(())
}

/// Places of films, with their format: one in the file given, several in the folder given, as animated PNG.
pub fn film_paths(out: &Path, names: &[String]) -> Result<(PicturePaths, FilmKind)> {
    let flag = "--film";
    if names.len() == 1 && !is_folder(out) {
        let Some(format) = FilmKind::of_name(out) else {
            bail!("{flag} {}: films are {ENDINGS}; use such a name", out.display());
        };
        return Ok((PicturePaths::file(out), format));
    }
    if !out.is_dir() && FilmKind::of_name(out).is_some() {
        bail!("{flag} {}: {} films do not fit into one file; name a folder", out.display(), names.len());
    }
    Ok((into_folder(out, names, "apng"), FilmKind::Apng))
}
