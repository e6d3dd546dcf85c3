//! Caches computed optical flow in files, scaled and cropped as the network takes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oneiro::card::InputKind;
use oneiro::input::PictureInput;
use oneiro_media::flow::{Flow, TvL1Options, read_flow, write_flow};
use oneiro_media::{Image, MediaError};

use super::ClipSampling;
use crate::error::Result;
use crate::files::create_folder;
use crate::source::places::hash;

/// The cache of the optical flow computed from one video.
pub(super) struct Cache<'a> {
    folder: &'a Path,
    /// Hash of the video file's state and of everything else that the flow depends on.
    key: String,
    /// Index and number of flow fields of each flow input.
    inputs: Vec<(usize, usize)>,
    clips: usize,
}

impl<'a> Cache<'a> {
    /// Makes the cache of a video's optical flow, as `inputs` of the network take it. A changed video file
    /// has another key, so its old flow is not read.
    pub(super) fn new(
        folder: &'a Path,
        video: &Path,
        inputs: &[PictureInput],
        sampling: &ClipSampling,
    ) -> Self {
        let data = std::fs::metadata(video).map(|data| (data.len(), data.modified().ok()));
        let place = std::fs::canonicalize(video).unwrap_or_else(|_| video.to_owned());
        // The key includes all inputs, because they determine the span of the clip.
        let seen: Vec<_> = inputs.iter().map(|input| (input.kind, input.extent)).collect();
        let method = (TvL1Options::default(), crate::provenance::VERSION);
        let key = hash(format!("{place:?} {data:?} {seen:?} {sampling:?} {method:?}").as_bytes());
        let is_flow = |(_, input): &(usize, &PictureInput)| input.kind == InputKind::Flow;
        let inputs = inputs.iter().enumerate().filter(is_flow);
        let inputs = inputs.map(|(at, input)| (at, input.extent.frames)).collect();
        Self { folder, key, inputs, clips: sampling.clips }
    }

    /// Returns the cached flow of each input, clip by clip; `None` if any of it is missing or damaged.
    pub(super) fn read(&self) -> Option<BTreeMap<usize, Vec<Image>>> {
        let of_input = |&(at, fields): &(usize, usize)| {
            let flow = read_flow(self.file(at)).ok().filter(|flow| flow.frames == fields * self.clips)?;
            let clips = (0..self.clips).map(|clip| displayed(&flow, clip * fields, fields).ok());
            Some((at, clips.collect::<Option<Vec<_>>>()?))
        };
        self.inputs.iter().map(of_input).collect()
    }

    /// Stores the flow of an input: `[2, T, H, W]` for each clip.
    pub(super) fn write(&self, input: usize, clips: &[Image]) -> Result<()> {
        create_folder(self.folder)?;
        let mut fields = Vec::new();
        for clip in clips {
            for t in 0..clip.frames {
                let data = [clip.plane(t), clip.plane(clip.frames + t)].concat();
                fields.push(Flow::new(1, clip.height, clip.width, data)?);
            }
        }
        Ok(write_flow(self.file(input), &Flow::stack(&fields)?)?)
    }

    fn file(&self, input: usize) -> PathBuf {
        self.folder.join(format!("{}-{input}.npy", self.key))
    }
}

/// Returns some flow fields as a display image, with u of all fields before v.
fn displayed(flow: &Flow, first: usize, fields: usize) -> Result<Image, MediaError> {
    let fields_of = first..first + fields;
    let planes = fields_of.clone().map(|t| flow.u(t)).chain(fields_of.map(|t| flow.v(t)));
    Ok(Image::new([2, fields, flow.height, flow.width], planes.flatten().copied().collect())?)
}
