//! Flags that say how clips are taken from videos.

use std::path::PathBuf;

use anyhow::{Result, bail};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::source::clips::ClipSampling;
use oneiro_jobs::source::clips::find::FlowSource;

/// The value of `--flow` that computes optical flow even if there are flow files.
const COMPUTED: &str = "tv-l1";

/// Flags that choose the frames of a video that a network sees.
#[derive(Debug, Clone, clap::Args)]
pub struct ClipArgs {
    /// Distance of a clip's frames, and of its flow fields, in frames of the video [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N", help_heading = "Clips")]
    stride: Option<u32>,
    /// Number of clips, spread evenly over each video; the mean of their probabilities counts [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N", help_heading = "Clips")]
    clips: Option<u32>,
}

/// The flag that says where optical flow comes from.
#[derive(Debug, Clone, clap::Args)]
pub struct FlowArgs {
    /// Flow from files (.npz, .npy, .flo, folders of JPEG pairs) instead of TV-L1: a folder with the clips'
    /// names, or the file of a single clip. `tv-l1` computes it even if a file CLIP.npz, .npy or .flo lies
    /// beside the clip, which is read by default
    #[arg(long, value_name = "FOLDER|FILE|tv-l1", help_heading = "Clips")]
    flow: Option<PathBuf>,
}

impl ClipArgs {
    /// Returns the sampling of clips that the flags describe, with this crop.
    ///
    /// # Errors
    /// If a number is out of range.
    pub fn sampling(&self, crop: Option<f64>) -> Result<ClipSampling> {
        let default = ClipSampling::default();
        let sampling = ClipSampling {
            stride: self.stride.map_or(default.stride, |stride| stride as usize),
            clips: self.clips.map_or(default.clips, |clips| clips as usize),
            crop,
        };
        sampling.check()?;
        Ok(sampling)
    }

    /// Returns an error if a flag for clips is given, but the network takes images.
    pub fn refuse(&self, model: &LoadedModel) -> Result<()> {
        refuse(model, &[("--stride", self.stride.is_some()), ("--clips", self.clips.is_some())])
    }
}

impl FlowArgs {
    /// Returns the source of optical flow that the flag describes.
    pub fn source(&self) -> FlowSource {
        match &self.flow {
            None => FlowSource::Beside,
            Some(path) if path.as_os_str() == COMPUTED => FlowSource::TvL1,
            Some(path) => FlowSource::From(path.clone()),
        }
    }

    /// Returns an error if `--flow` is given, but the network takes images.
    pub fn refuse(&self, model: &LoadedModel) -> Result<()> {
        refuse(model, &[("--flow", self.flow.is_some())])
    }
}

fn refuse(model: &LoadedModel, flags: &[(&str, bool)]) -> Result<()> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => bail!(
            "{flag} is for networks of clips or optical flow, and {} takes images (its card has no input of kind clip or flow)",
            model.source
        ),
        None => Ok(()),
    }
}
