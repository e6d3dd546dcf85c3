//! Settings by which a scan takes clips from videos.

use std::path::{Path, PathBuf};

use oneiro_media::MediaError;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::source::SourceError;
use crate::source::clips::ClipSampling;
use crate::source::clips::find::{FlowSource, flow_of};
use crate::source::dataset::{DataImage, Dataset};
use crate::source::places::hash;

/// How a scan takes a clip from each video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScannedClips {
    /// Distance, in frames of the video, between two frames or flow fields of a clip.
    pub stride: usize,
    /// Where the clips' optical flow comes from: files, or computation.
    pub flow: FlowSource,
}

impl Default for ScannedClips {
    fn default() -> Self {
        Self { stride: 1, flow: FlowSource::default() }
    }
}

impl ScannedClips {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How a clip is taken of each video.
    pub(crate) fn sampling(&self, crop: Option<f64>) -> ClipSampling {
        ClipSampling { stride: self.stride, clips: 1, crop }
    }

    /// Returns an error if the given flow does not exist, or is one file for all clips.
    pub(super) fn check_flow(&self, dataset: &Dataset) -> Result<()> {
        match &self.flow {
            FlowSource::From(flow) if !flow.exists() => {
                Err(MediaError::NotFound { path: flow.clone() }.into())
            }
            FlowSource::From(flow) if !flow.is_dir() => {
                let (file, clips) = (flow.clone(), dataset.images.len());
                Err(SourceError::OneFlow { file, clips }.into())
            }
            _ => Ok(()),
        }
    }

    /// Returns the flow file of each clip, if it has one.
    pub(super) fn flow_files(&self, dataset: &Dataset) -> Vec<Option<PathBuf>> {
        let flow = |clip: &DataImage| self.flow_file(&dataset.path(clip), &clip.file);
        dataset.images.iter().map(flow).collect()
    }

    /// The flow file of a clip at a path, with its name in the data set, if it has one.
    pub(crate) fn flow_file(&self, path: &Path, file: &str) -> Option<PathBuf> {
        flow_of(&self.flow, path, Path::new(file), false)
    }

    /// A hash of what clips depend on, beside their files.
    pub(super) fn key(&self, dataset: &Dataset) -> String {
        let flow = self.flow_files(dataset);
        let states: Vec<String> = flow.iter().flatten().map(|file| state(file)).collect();
        hash(format!("{self:?} {states:?}").as_bytes())
    }
}

/// Returns a text that differs if a file, or a folder of files, has changed: path, length and modification
/// time.
fn state(path: &Path) -> String {
    let data = std::fs::metadata(path);
    format!("{} {:?}", path.display(), data.map(|data| (data.len(), data.modified().ok())).ok())
}
