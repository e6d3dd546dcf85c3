//! Where results go: what flags and the configuration say.

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

/// The place of one file without `--out`: in the folder of the configuration file, else in the current one.
pub fn default_path(context: &Context, name: &str) -> PicturePaths {
    let folder = context.config().out.clone();
    let file = folder.as_ref().map_or(PathBuf::from(name), |folder| folder.join(name));
    let paths = PicturePaths { folder, files: vec![file] };
    say_what_is_replaced(context, &paths);
    paths
}

/// Remarks on earlier results that a command overwrites at default paths.
fn say_what_is_replaced(context: &Context, paths: &PicturePaths) {
    if let Some(file) = paths.files.iter().find(|file| file.is_file()) {
        context.note(&format!(
            "{} is there already and will be replaced; --out names another file",
            file.display()
        ));
    }
}

/// Where a picture for each name goes. One goes into the file given; several go into the folder given.
pub fn picture_paths(context: &Context, out: Option<&Path>, names: &[String]) -> Result<PicturePaths> {
    let paths = place_pictures(out, context.config().out.as_deref(), names)?;
    if out.is_none() {
        say_what_is_replaced(context, &paths);
    }
    Ok(paths)
}

/// `usual` is the folder that pictures go to where none is given.
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

/// The ending of a picture's name says its format.
pub fn require_picture(flag: &str, path: &Path) -> Result<()> {
    if StillFormat::of_name(path).is_none() {
        bail!(
            "{flag} {}: pictures are written as PNG, JPEG or WebP; use a name that ends in .png, .jpg or .webp",
            path.display()
        );
    }
    // A format that this build leaves out is found before any work.
    StillFormat::for_name(path)?;
    Ok(())
}

/// Transparent pictures do not fit into a JPEG.
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
