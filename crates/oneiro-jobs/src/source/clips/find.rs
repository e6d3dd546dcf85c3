//! Finds clips in files and in class folders, and the files with their flow.

use std::path::{Path, PathBuf};

use oneiro_media::{MediaError, has_image_name, has_video_name, is_animation};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::error::Result;
use crate::source::error::SourceError;
use crate::source::listing::{entries, is_shown};

/// Endings of flow files, in order of preference.
const FLOW_EXTENSIONS: [&str; 3] = ["npz", "npy", "flo"];

/// A clip to classify, its class folder, and its flow file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// A video, an animated picture, or a folder of frames.
    pub file: String,
    /// Name of the class folder that contains the clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The file or folder with the clip's optical flow; `None` computes the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
}

/// Where the optical flow of clips comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FlowSource {
    /// From the file beside a clip, with the clip's name and the ending `.npz`, `.npy` or `.flo`. For clips
    /// without such a file, flow is computed by TV-L1.
    #[default]
    Beside,
    /// Computed by TV-L1, even if there are flow files.
    TvL1,
    /// From a folder in which flow files have the clips' names. For a single clip it may also be the flow
    /// file itself, or the folder of its pictures.
    From(PathBuf),
}

/// Returns the given clips and all clips in given folders and their subfolders. A clip's class folder is the
/// subfolder directly below the given folder. A folder whose pictures are stills is a clip, too.
///
/// # Errors
/// If a folder cannot be listed, there is no clip, the given flow is not there, or it is one file for several
/// clips.
pub fn find_clips(paths: &[PathBuf], flow: &FlowSource) -> Result<Vec<Clip>> {
    let name = |path: &Path| path.to_string_lossy().into_owned();
    // For each clip its path, its path relative to the given folder, and its class folder.
    let mut found: Vec<(PathBuf, PathBuf, Option<String>)> = Vec::new();
    for path in paths {
        if path.is_dir() {
            // Fails early if a given folder cannot be listed; unreadable subfolders are not errors.
            entries(path)?;
        }
        if !path.is_dir() || is_frames(path) {
            let relative = path.file_name().map_or_else(PathBuf::new, PathBuf::from);
            found.push((path.clone(), relative, None));
            continue;
        }
        for relative in clips_below(path) {
            let class = relative.parent().and_then(|parent| parent.iter().next());
            let class = class.map(|class| class.to_string_lossy().into_owned());
            found.push((path.join(&relative), relative, class));
        }
    }
    if found.is_empty() {
        return Err(SourceError::NoClips { paths: paths.to_vec() }.into());
    }
    let is_only = found.len() == 1;
    if let FlowSource::From(given) = flow {
        let data = std::fs::metadata(given).map_err(|_| MediaError::NotFound { path: given.clone() })?;
        if data.is_file() && !is_only {
            return Err(SourceError::OneFlow { file: given.clone(), clips: found.len() }.into());
        }
    }
    let clip = |(path, relative, folder): (PathBuf, PathBuf, Option<String>)| {
        let flow = flow_of(flow, &path, &relative, is_only).map(|flow| name(&flow));
        Clip { file: name(&path), folder, flow }
    };
    Ok(found.into_iter().map(clip).collect())
}

/// Returns the clips below a folder, relative to it, sorted by name. Parts that cannot be listed are left
/// out, as are folders that contain themselves.
pub(crate) fn clips_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut walk = WalkDir::new(root).follow_links(true).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        if !is_shown(&entry) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        let is_clip = match entry.file_type().is_dir() {
            true => is_frames(path),
            false => has_video_name(path) || (may_be_animated(path) && is_animation(path)),
        };
        if is_clip {
            found.push(path.strip_prefix(root).unwrap_or(path).to_owned());
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
        }
    }
    found.sort();
    found
}

/// Whether a file's name is that of a picture or of an animated PNG.
fn may_be_animated(path: &Path) -> bool {
    has_image_name(path) || path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("apng"))
}

/// Whether a folder is itself a clip: it contains pictures, the first of which is a still, and no video.
pub(crate) fn is_frames(folder: &Path) -> bool {
    let Ok(entries) = entries(folder) else { return false };
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut files = entries.iter().filter(|path| !is_hidden(path) && path.is_file());
    let mut first = None;
    let has_video = files.any(|path| {
        if first.is_none() && has_image_name(path) {
            first = Some(path.clone());
        }
        has_video_name(path)
    });
    !has_video && first.is_some_and(|first| !is_animation(first))
}

/// Returns the path of a clip's flow, or `None` if it must be computed. A missing file in a given folder is
/// returned as well, so that reading it reports what is missing.
pub(crate) fn flow_of(from: &FlowSource, path: &Path, relative: &Path, is_only: bool) -> Option<PathBuf> {
    match from {
        FlowSource::TvL1 => None,
        FlowSource::Beside => flow_files(path).into_iter().find(|file| file.is_file() && file != path),
        FlowSource::From(given) if is_only && !given.is_dir() => Some(given.clone()),
        FlowSource::From(given) => {
            let named = given.join(relative);
            let mut names = flow_files(&named);
            let without = named.with_extension("");
            let folder = [&named, &without].into_iter().find(|folder| folder.is_dir());
            match names.iter().find(|file| file.is_file()).or(folder) {
                Some(found) => Some(found.clone()),
                None if is_only && is_frames(given) => Some(given.clone()),
                None => Some(names.swap_remove(0)),
            }
        }
    }
}

/// Returns possible names of a clip's flow file: with the ending replaced, then with an ending appended.
fn flow_files(clip: &Path) -> Vec<PathBuf> {
    let more = |ending: &&str| PathBuf::from(format!("{}.{ending}", clip.to_string_lossy()));
    let replaced = FLOW_EXTENSIONS.iter().map(|ending| clip.with_extension(ending));
    replaced.chain(FLOW_EXTENSIONS.iter().map(more)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use oneiro_media::{Image, PngText, write_png};

    use super::*;

    fn touch(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if file.ends_with(".png") {
                write_png(&path, &Image::filled(2, 2, [0.5; 3]), &PngText::default()).unwrap();
            } else {
                fs::write(path, file).unwrap();
            }
        }
    }

    #[test]
    fn videos_and_folders_of_frames_are_clips_of_their_class_folders() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        touch(
            root,
            &["b/x.mp4", "b/deep/y.AVI", "a/run/1.png", "a/run/2.png", "a/cover.png", "a/z.gif", "top.webm"],
        );
        touch(root, &["a/notes.txt", ".hidden/x.mp4", "b/x.npy", "c/1.png"]);
        let clips = find_clips(&[root.to_owned()], &FlowSource::Beside).unwrap();
        let path = |file: &str| root.join(file).to_string_lossy().into_owned();
        let found: Vec<_> =
            clips.iter().map(|clip| (clip.file.clone(), clip.folder.as_deref(), clip.flow.clone())).collect();
        let wanted = [
            ("a/run", Some("a"), None),
            ("a/z.gif", Some("a"), None),
            ("b/deep/y.AVI", Some("b"), None),
            ("b/x.mp4", Some("b"), Some("b/x.npy")),
            ("c", None, None),
            ("top.webm", None, None),
        ];
        let wanted: Vec<_> =
            wanted.iter().map(|(file, class, flow)| (path(file), *class, flow.map(path))).collect();
        assert_eq!(found, wanted);
        let one = find_clips(&[root.join("a/run")], &FlowSource::TvL1).unwrap();
        assert_eq!(one, [Clip { file: path("a/run"), folder: None, flow: None }]);
        let error = find_clips(&[root.join(".hidden/none")], &FlowSource::Beside).map(|clips| clips.len());
        // A file that does not exist counts as a clip here; reading it later reports the error.
        assert_eq!(error.unwrap(), 1);
        fs::create_dir(root.join("empty")).unwrap();
        let error = find_clips(&[root.join("empty")], &FlowSource::Beside).unwrap_err().to_string();
        assert!(error.contains("no clip in"), "{error}");
    }

    #[test]
    fn flow_has_the_names_of_the_clips() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        touch(root, &["v/a/1.mp4", "v/a/2.mp4", "f/a/1.npz", "f/a/2/flow_x_1.png", "f/a/2/flow_y_1.png"]);
        let path = |file: &str| Some(root.join(file).to_string_lossy().into_owned());
        let flows = |paths: &[&str], flow: &str| -> Vec<Option<String>> {
            let paths: Vec<PathBuf> = paths.iter().map(|path| root.join(path)).collect();
            let clips = find_clips(&paths, &FlowSource::From(root.join(flow))).unwrap();
            clips.into_iter().map(|clip| clip.flow).collect()
        };
        assert_eq!(flows(&["v"], "f"), [path("f/a/1.npz"), path("f/a/2")]);
        assert_eq!(flows(&["v/a/1.mp4"], "f/a/1.npz"), [path("f/a/1.npz")]);
        assert_eq!(flows(&["v/a/1.mp4"], "f/a"), [path("f/a/1.npz")]);
        assert_eq!(flows(&["v/a/1.mp4"], "f/a/2"), [path("f/a/2")]);
        // Flow files that are missing in the given folder are named nevertheless.
        assert_eq!(flows(&["v"], "f/a"), [path("f/a/a/1.npz"), path("f/a/a/2.npz")]);
    }
}
