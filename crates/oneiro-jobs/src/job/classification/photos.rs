//! Finds photos in files and in class folders.

use std::path::PathBuf;

use oneiro_zoo::labels::Labels;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::Result;
use crate::remark::ClassRemark;
use crate::source::FolderError;
use crate::source::dataset::images_below;
use crate::source::listing::entries;

/// A photo to classify, and its class folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Photo {
    /// Path of the photo's file.
    pub file: String,
    /// Name of the class folder that contains the photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// Returns the given photos and all photos in given folders and their subfolders. A photo's class folder is
/// the subfolder directly below the given folder.
///
/// # Errors
/// If a folder cannot be listed, or there is no photo.
pub fn find_photos(paths: &[PathBuf]) -> Result<Vec<Photo>> {
    let name = |file: PathBuf| file.to_string_lossy().into_owned();
    let mut photos = Vec::new();
    for path in paths {
        if !path.is_dir() {
            photos.push(Photo { file: name(path.clone()), folder: None });
            continue;
        }
        // Fails early if a given folder cannot be listed; unreadable subfolders are not errors.
        entries(path)?;
        let found = images_below(path).into_iter();
        photos.extend(found.map(|(file, folder)| Photo { file: name(file), folder }));
    }
    if photos.is_empty() {
        return Err(FolderError::NoPhotos { paths: paths.to_vec() }.into());
    }
    Ok(photos)
}

/// Returns the class of each photo or clip, according to its folder.
pub(super) fn classes_of<'f>(
    context: &Context,
    folders_of: impl Iterator<Item = Option<&'f str>> + Clone,
    labels: Option<&Labels>,
    classes: usize,
) -> Vec<Option<usize>> {
    let mut folders: Vec<&str> = folders_of.clone().flatten().collect();
    folders.sort_unstable();
    folders.dedup();
    let found = classes_of_folders(context, &folders, labels, classes);
    let class = |folder: Option<&str>| found[folders.binary_search(&folder?).ok()?];
    folders_of.map(class).collect()
}

/// Returns the class of each folder whose name is a label; a leading WordNet id is ignored. If a name is no
/// label, there are as many folders as classes, and no name contradicts the sorted order, all folders are
/// assigned in sorted order. A remark tells the user that names did not match.
pub(crate) fn classes_of_folders(
    context: &Context,
    folders: &[&str],
    labels: Option<&Labels>,
    classes: usize,
) -> Vec<Option<usize>> {
    let by_name = |folder: &&str| labels.and_then(|labels| labels.find(folder).ok());
    let mut found: Vec<Option<usize>> = folders.iter().map(by_name).collect();
    if let Some(unknown) = found.iter().position(Option::is_none) {
        let unknown = folders[unknown].to_owned();
        // A name that means a class at another place shows that the folders are not in the order of the
        // classes.
        let agrees = found.iter().enumerate().all(|(place, class)| class.is_none_or(|class| class == place));
        if folders.len() == classes && agrees {
            found = (0..classes).map(Some).collect();
            context.remark(ClassRemark::FoldersInOrder { unknown });
        } else if labels.is_none() {
            context.remark(ClassRemark::FoldersWithoutLabels { folders: folders.len(), classes });
        } else {
            let known = found.iter().flatten().count();
            context.remark(ClassRemark::FoldersUnknown { known, folders: folders.len(), unknown });
        }
    }
    found
}
