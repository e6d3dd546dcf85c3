//! The classes that a network predicts for clips.

use std::path::Path;

use oneiro::model::Activation;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Classified, Guess, Verdict, best, check_finite, guesses, photos, say_activation};
use crate::context::Context;
use crate::error::{During as _, Result, Step};
use crate::job::{Job, Run, Sink};
use crate::model::LoadedModel;
use crate::model::logits::LogitNetwork;
use crate::remark::{ClipRemark, ClipRemarks};
use crate::source::clips::find::Clip;
use crate::source::clips::{ClipReader, ClipSampling, VideoClips};
use crate::task::Task;

/// A job that classifies video clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipClassificationJob {
    /// The video clips to classify.
    pub clips: Vec<Clip>,
    /// The number of classes that are listed for each clip, at least 1.
    pub top: usize,
    /// How clips are taken from a video. If several are taken, their probabilities are averaged.
    #[serde(default)]
    pub sampling: ClipSampling,
}

/// The frames of a video that a network saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VideoSeen {
    /// Number of frames of the whole video.
    pub frames: usize,
    /// Index of the first frame of each clip.
    pub starts: Vec<usize>,
    /// Frames from the first to the last of a clip, the first frame after the last flow field included.
    pub span: usize,
    /// Number of these frames that the video lacks.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing: usize,
    /// The file with the optical flow, or `tv-l1` if flow was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
}

/// Name under which reports list optical flow that was computed, not read.
const COMPUTED: &str = "tv-l1";

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Job for ClipClassificationJob {
    const KIND: &'static str = "clip-classification";
    type Report = Classified;

    fn run(&self, run: &Run<'_>, _: &mut dyn Sink) -> Result<Classified> {
        self.check()?;
        let (context, model) = (run.context, run.model()?);
        let mut network = Network::new(context, model)?;
        let classes = network.logits.classes();
        let reader = network.reader(&self.sampling)?;
        model.say_output(context);
        model.check_labels(classes)?;
        say_activation(context, network.activation, classes);
        let folders = self.clips.iter().map(|clip| clip.folder.as_deref());
        let truths = photos::classes_of(context, folders, model.labels.as_ref(), classes);
        let mut classified = Classified { photos: Vec::new(), unread: Vec::new() };
        let mut remarks = ClipRemarks::default();
        let mut progress = Task::new(context, "classifying", self.clips.len() as u64);
        // Each thread reads one clip at a time. The network then runs on one clip after the other, with all
        // threads.
        let at_once = context.threads().max(1);
        for (clips, truths) in self.clips.chunks(at_once).zip(truths.chunks(at_once)) {
            context.check()?;
            let read = |clip: &Clip| reader.read(Path::new(&clip.file), clip.flow.as_deref().map(Path::new));
            let videos: Vec<_> = context.compute(|| clips.par_iter().map(read).collect());
            for ((clip, truth), video) in clips.iter().zip(truths).zip(videos) {
                let video = match video.during(|| Step::ReadClip { path: clip.file.clone() }) {
                    Ok(video) => video,
                    // If the job has only one clip, the clip's error is the job's error.
                    Err(error) if self.clips.len() == 1 => return Err(error),
                    Err(error) => {
                        classified.unread.push(crate::error::chain(&error));
                        continue;
                    }
                };
                context.check()?;
                let top = network.classify(model, clip, &video, self.top)?;
                remarks.add(&clip.file, &video, reader.span().frames());
                model.framings.add(&clip.file, video.framing);
                let flow = reader.needs_flow().then(|| clip.flow.clone().unwrap_or(COMPUTED.to_owned()));
                classified.photos.push(Verdict {
                    file: clip.file.clone(),
                    folder: clip.folder.clone(),
                    truth: *truth,
                    shown: video.framing,
                    output: model.output_in_use().map(str::to_owned),
                    independent: network.activation.is_independent(classes),
                    video: Some(VideoSeen {
                        frames: video.frames,
                        starts: video.starts,
                        span: reader.span().frames(),
                        missing: video.missing,
                        flow,
                    }),
                    top,
                });
            }
            progress.advance(clips.len() as u64);
        }
        drop(progress);
        model.framings.say(context, "clips");
        if reader.needs_flow() {
            let from_files = self.clips.iter().filter(|clip| clip.flow.is_some()).count();
            context.remark(ClipRemark::Flow { from_files, clips: self.clips.len() });
        }
        remarks.say(context);
        Ok(classified)
    }

    fn sources(&self) -> Vec<String> {
        let flow = self.clips.iter().filter_map(|clip| clip.flow.clone());
        self.clips.iter().map(|clip| clip.file.clone()).chain(flow).collect()
    }

    fn check(&self) -> Result<()> {
        self.sampling.check()
    }
}

/// A compiled network that classifies one clip at a time.
struct Network<'a> {
    logits: LogitNetwork<'a>,
    activation: Activation,
}

impl<'a> Network<'a> {
    fn new(context: &'a Context, model: &LoadedModel) -> Result<Self> {
        let logits = LogitNetwork::new(context, model, 1)?;
        logits.inputs().iter().try_for_each(|input| model.model.check_colors(input.index))?;
        Ok(Self { logits, activation: model.model.head()?.activation })
    }

    fn reader(&self, sampling: &ClipSampling) -> Result<ClipReader> {
        ClipReader::new(self.logits.inputs().to_vec(), sampling)
    }

    /// Returns the most probable classes of a video, most probable first.
    fn classify(
        &mut self,
        model: &LoadedModel,
        clip: &Clip,
        video: &VideoClips,
        top: usize,
    ) -> Result<Vec<Guess>> {
        let mut sums = vec![0.0f64; self.logits.classes()];
        for images in &video.clips {
            let logits = self.logits.run(|_, input| images[input].colors());
            check_finite(model, &clip.file, logits)?;
            if let [_] = video.clips[..] {
                return Ok(best(model, logits, self.activation, top));
            }
            let probabilities = self.activation.probabilities(logits);
            sums.iter_mut().zip(probabilities).for_each(|(sum, probability)| *sum += probability);
        }
        let mean: Vec<f64> = sums.iter().map(|sum| sum / video.clips.len() as f64).collect();
        let mut order: Vec<usize> = (0..mean.len()).collect();
        order.sort_by(|&a, &b| mean[b].total_cmp(&mean[a]).then(a.cmp(&b)));
        Ok(guesses(model, order.into_iter().take(top), &mean))
    }
}
