//! The classes that a network predicts for photos, and which classes it confuses.

use oneiro::model::Activation;
use oneiro_media::Image;
use serde::{Deserialize, Serialize};

use super::error::JobError;
use super::{Job, Run, Sink};
use crate::context::Context;
use crate::error::{During as _, Result, Step};
use crate::model::LoadedModel;
use crate::model::logits::LogitNetwork;
use crate::remark::ClassRemark;
use crate::source::framing::{Framing, check_crop, framed, squeezed};
use crate::task::Task;

pub mod clips;
mod confusion;
pub mod fail_on;
pub(crate) mod photos;

pub use confusion::{ClassFolder, Confusion, Mistake, NamedClass};
pub use photos::{Photo, find_photos};

/// A job that classifies photos.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassificationJob {
    /// The photos to classify.
    pub photos: Vec<Photo>,
    /// The number of classes that are listed for each photo, at least 1.
    pub top: usize,
    /// Side of the centre crop as a share of the scaled photo's shorter side, above 0 and at most 1. Without
    /// a share, [`framed`] uses its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    /// Whether the network sees the whole photo, resized without keeping its aspect ratio, instead of a crop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// A predicted class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Guess {
    /// The class's index.
    pub class: usize,
    /// The class's name.
    pub label: String,
    /// The class's probability, from 0 to 1.
    pub probability: f64,
}

/// The classes that a network predicts for a photo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Path of the classified photo or video.
    pub file: String,
    /// Name of the class folder that contains the photo; it tells the photo's true class.
    #[serde(skip)]
    pub folder: Option<String>,
    /// The network's class that the class folder's name means: the photo's true class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<usize>,
    /// How the photo was cropped and resized to the network's size.
    pub shown: Framing,
    /// The network output from which the classes are read, if the network has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Whether the classes have independent probabilities, as after a sigmoid.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub independent: bool,
    /// The frames that the network saw, if the file is a video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<clips::VideoSeen>,
    /// The most probable classes, most probable first.
    pub top: Vec<Guess>,
}

/// The classes that a network predicts for photos.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classified {
    /// The classes of each photo that could be read.
    pub photos: Vec<Verdict>,
    /// The error messages of the photos that could not be read.
    pub unread: Vec<String>,
}

impl Classified {
    /// Returns two numbers of photos: those whose class is among the first `n` predictions, and all those
    /// whose class is known.
    pub fn right(&self, n: usize) -> (usize, usize) {
        let known = self.photos.iter().filter(|v| v.truth.is_some());
        let is_right = |v: &&Verdict| v.top.iter().take(n).any(|guess| Some(guess.class) == v.truth);
        (known.clone().filter(is_right).count(), known.count())
    }
}

impl Job for ClassificationJob {
    const KIND: &'static str = "classification";
    type Report = Classified;

    fn run(&self, run: &Run<'_>, _: &mut dyn Sink) -> Result<Classified> {
        self.check()?;
        let (context, model) = (run.context, run.model()?);
        model.model.image_input().during(|| Step::Use { model: model.source.clone() })?;
        let mut network = LogitNetwork::new(context, model, 1)?;
        let activation = model.model.head()?.activation;
        model.say_output(context);
        let (classes, size) = (network.classes(), network.inputs()[0].extent.size());
        model.check_labels(classes)?;
        say_activation(context, activation, classes);
        let folders = self.photos.iter().map(|photo| photo.folder.as_deref());
        let truths = photos::classes_of(context, folders, model.labels.as_ref(), classes);
        let mut classified = Classified { photos: Vec::new(), unread: Vec::new() };
        let mut progress = Task::new(context, "classifying", self.photos.len() as u64);
        for (photo, truth) in self.photos.iter().zip(truths) {
            context.check()?;
            let (image, shown) = match self.framed(photo, size) {
                Ok(framed) => framed,
                // If the job has only one photo, the photo's error is the job's error.
                Err(error) if self.photos.len() == 1 => return Err(error),
                Err(error) => {
                    classified.unread.push(crate::error::chain(&error));
                    progress.advance(1);
                    continue;
                }
            };
            let logits = network.run(|_, _| image.colors());
            check_finite(model, &photo.file, logits)?;
            model.framings.add(&photo.file, shown);
            classified.photos.push(Verdict {
                file: photo.file.clone(),
                folder: photo.folder.clone(),
                truth,
                shown,
                output: model.output_in_use().map(str::to_owned),
                independent: activation.is_independent(classes),
                video: None,
                top: best(model, logits, activation, self.top),
            });
            progress.advance(1);
        }
        drop(progress);
        model.framings.say(context, if model.takes_clips() { "clips" } else { "images" });
        Ok(classified)
    }

    fn sources(&self) -> Vec<String> {
        self.photos.iter().map(|photo| photo.file.clone()).collect()
    }

    fn check(&self) -> Result<()> {
        check_crop(self.crop)
    }
}

impl ClassificationJob {
    /// Returns the photo cropped and resized to this size.
    fn framed(&self, photo: &Photo, size: [usize; 2]) -> Result<(Image, Framing)> {
        let bytes = oneiro_media::read_bytes(&photo.file)?;
        let (image, on_black) = oneiro_media::decode_image_on_black(&bytes, &photo.file)?;
        let framed = match self.full {
            true => squeezed(&image, size),
            false => framed(&image, size, self.crop),
        };
        let (image, framing) = framed.during(|| Step::Scale { path: photo.file.clone() })?;
        Ok((image, framing.on_black(on_black)))
    }
}

/// Returns an error if one of the network's logits is not finite.
fn check_finite(model: &LoadedModel, file: &str, logits: &[f32]) -> Result<()> {
    if logits.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    let graph = &model.model.graph;
    let weights = oneiro_net::broken::describe(graph, &graph.outputs);
    Err(JobError::OutputNotFinite { photo: file.to_owned(), weights }.into())
}

/// Adds a remark on how the probabilities are to be read, unless they come from a softmax.
fn say_activation(context: &Context, activation: Activation, classes: usize) {
    if classes == 1 {
        context.remark(ClassRemark::YesOrNo { activation });
    } else if activation.is_independent(classes) {
        context.remark(ClassRemark::Independent);
    }
}

fn best(model: &LoadedModel, logits: &[f32], activation: Activation, top: usize) -> Vec<Guess> {
    let probabilities = activation.probabilities(logits);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    guesses(model, order.into_iter().take(top), &probabilities)
}

fn guesses(model: &LoadedModel, order: impl Iterator<Item = usize>, probabilities: &[f64]) -> Vec<Guess> {
    let guess =
        |class: usize| Guess { class, label: model.class_name(class), probability: probabilities[class] };
    order.map(guess).collect()
}
