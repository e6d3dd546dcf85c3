//! Runs images through the network and collects statistics of its layers.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;

use oneiro::input::PictureInput;
use oneiro::layer_relevance::{Relevance, RelevanceSession};
use oneiro::layer_summaries::SummarySession;
use oneiro::model::Activation;
use oneiro::model::unit_layers::UnitLayer;
use oneiro::unit_statistics::{Seen, Source};
use oneiro_media::{Image, MediaError};
use oneiro_net::summary::MAX_SEED;
use rayon::prelude::*;

use super::block::{Block, SeenImage};
use super::layers::{LayerKind, ScannedLayer};
use super::{RankedBy, ScanJob};
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::remark::{ClipRemark, ClipRemarks};
use crate::source::clips::{ClipReader, VideoClips};
use crate::source::dataset::{Dataset, Problem, ProblemKind};
use crate::source::framing::{Framing, framed};
use crate::task::Task;

/// Images of a batch for each thread. Weights are then read from memory once for many images, and threads
/// wait less for the slowest one.
const BATCH_PER_THREAD: usize = 8;
/// Up to this number of images in a data set, each image's crop and size are recorded for a remark.
const FRAMINGS: usize = 4096;

/// How many positions of each unit are sampled over all images.
pub(super) const SAMPLES: usize = 1024;

/// A compiled network that is run on images, batch by batch.
pub(super) struct Gatherer<'a> {
    context: &'a Context,
    model: &'a LoadedModel,
    dataset: &'a Dataset,
    session: SummarySession,
    /// Computes relevance, if images are ranked by it and not by activation.
    relevance: Option<RelevanceSession>,
    /// The network's class for each class of the data set, if it is known.
    labels: Vec<Option<usize>>,
    activation: Option<Activation>,
    crop: Option<f64>,
    examples: usize,
    /// Reads clips, with the flow file of each clip; `None` for networks of images.
    clips: Option<(ClipReader, Vec<Option<PathBuf>>)>,
    remarks: ClipRemarks,
}

/// An image or clip that waits until its batch is full.
struct Waiting {
    image: u32,
    /// The display image for each input of the network.
    pictures: Vec<Image>,
    size: [usize; 2],
}

/// An image or clip after reading, with how it was cropped and resized.
struct Read {
    pictures: Vec<Image>,
    framing: Framing,
    size: [usize; 2],
    video: Option<VideoClips>,
}

impl<'a> Gatherer<'a> {
    pub(super) fn new(
        context: &'a Context,
        model: &'a LoadedModel,
        dataset: &'a Dataset,
        layers: &[ScannedLayer],
        labels: Vec<Option<usize>>,
        job: &ScanJob,
        cache: Option<PathBuf>,
    ) -> Result<Self> {
        let units: Vec<UnitLayer> = layers.iter().map(|layer| layer.unit.clone()).collect();
        let of_clips = model.takes_clips();
        if !of_clips {
            PictureInput::of_photographs(&model.model, &model.model.input_shapes(1, None)?)?;
        }
        let values: Vec<_> = units.iter().flat_map(|unit| unit.parts.iter().map(|part| part.read)).collect();
        // A network that ends in a map of features has no classes.
        let logits = model.model.class_count().is_some();
        let samples = samples_of(dataset.images.len()).max(1);
        let compile = |batch: usize| -> oneiro::Result<SummarySession> {
            let shapes = model.model.input_shapes(batch, None)?;
            let compile = if of_clips { SummarySession::of_clips } else { SummarySession::new };
            context.compute(|| compile(&model.model, &units, logits, &shapes, samples))
        };
        let batch = match model.model.keeps_pictures_apart(&values, None) {
            // A clip has as much data as many images, so batches are smaller.
            true if of_clips => context.threads(),
            true => context.threads() * BATCH_PER_THREAD,
            false => 1,
        };
        // If a network cannot take a batch, it is run on one picture at a time.
        let session = match compile(batch) {
            Err(error) if batch > 1 => compile(1).map_err(|_| error)?,
            session => session?,
        };
        let activation = logits.then(|| model.model.head().map(|head| head.activation)).transpose()?;
        let values: Vec<_> = layers.iter().map(|layer| layer.unit.value).collect();
        let relevance = match job.by {
            RankedBy::Activation => None,
            RankedBy::Relevance => {
                if model.model.class_count().is_none() {
                    return Err(JobError::NoClasses.into());
                }
                if let Some(layer) = layers.iter().find(|layer| layer.kind == LayerKind::Directions) {
                    return Err(JobError::RelevanceOfDirections { layer: layer.name.clone() }.into());
                }
                let shapes = model.model.input_shapes(1, None)?;
                let inputs = session.inputs().to_vec();
                Some(context.compute(|| RelevanceSession::new(&model.model, &values, &shapes, inputs))?)
            }
        };
        let clips = match of_clips {
            true => {
                let reader = ClipReader::new(session.inputs().to_vec(), &job.clips.sampling(job.crop))?;
                Some((reader.with_cache(cache), job.clips.flow_files(dataset)))
            }
            false => None,
        };
        Ok(Self {
            context,
            model,
            dataset,
            session,
            relevance,
            labels,
            activation,
            crop: job.crop,
            examples: job.top,
            clips,
            remarks: ClipRemarks::default(),
        })
    }

    /// Returns the number of video frames that a clip spans; `None` for networks of images.
    pub(super) fn span(&self) -> Option<usize> {
        self.clips.as_ref().map(|(reader, _)| reader.span().frames())
    }

    /// Adds remarks on the clips that were read.
    pub(super) fn say(self) {
        if let Some((_, flow)) = self.clips.as_ref().filter(|(reader, _)| reader.needs_flow()) {
            let from_files = flow.iter().flatten().count();
            self.context.remark(ClipRemark::Flow { from_files, clips: flow.len() });
        }
        self.remarks.say(self.context);
    }

    /// Returns the number of channels of each scanned layer.
    fn channels(&self) -> Vec<usize> {
        self.session.layers().iter().map(|layer| layer.channels).collect()
    }

    /// Returns the layers whose statistics are collected.
    pub(super) fn summarized(&self) -> &[oneiro::layer_summaries::SummarizedLayer] {
        self.session.layers()
    }

    /// Returns the number of images that the network takes at once.
    pub(super) fn batch(&self) -> usize {
        self.session.batch()
    }

    /// Returns a block without images.
    pub(super) fn empty(&self) -> Block {
        Block::new(&self.channels(), self.examples)
    }

    /// Adds images to a block's statistics; they must follow the images that it already includes. The block's
    /// bits do not depend on how its images are divided among calls.
    pub(super) fn add(
        &mut self,
        images: Range<usize>,
        block: &mut Block,
        progress: &mut Task<'_>,
    ) -> Result<()> {
        let mut waiting: Vec<Waiting> = Vec::new();
        let batch = self.session.batch();
        for some in images.collect::<Vec<_>>().chunks(batch) {
            self.context.check()?;
            let read: Vec<_> = self.context.compute(|| some.par_iter().map(|&i| self.read(i)).collect());
            for (&i, read) in some.iter().zip(read) {
                match read {
                    Ok(Read { pictures, framing, size, video }) => {
                        let file = &self.dataset.images[i].file;
                        if self.dataset.images.len() <= FRAMINGS {
                            self.model.framings.add(file, framing);
                        }
                        if let (Some(video), Some(needed)) = (video, self.span()) {
                            self.remarks.add(file, &video, needed);
                        }
                        waiting.push(Waiting { image: i as u32, pictures, size });
                    }
                    Err(problem) => block.problems.push(problem),
                }
            }
            if waiting.len() >= batch {
                let rest = waiting.split_off(batch);
                self.see(&waiting, block);
                waiting = rest;
            }
            progress.advance(some.len() as u64);
        }
        if !waiting.is_empty() {
            self.see(&waiting, block);
        }
        Ok(())
    }

    /// Reads an image or clip as the network takes it, with its original size and how it was cropped and
    /// resized.
    fn read(&self, i: usize) -> Result<Read, Problem> {
        let image = &self.dataset.images[i];
        let path = self.dataset.path(image);
        let problem = |kind, why: String| Problem { file: image.file.clone(), kind, why };
        if let Some((reader, flow)) = &self.clips {
            let kind_of = |error: &Error| match error {
                Error::Media(MediaError::NotFound { .. }) => ProblemKind::Missing,
                Error::Media(MediaError::Read { .. } | MediaError::NoFfmpeg { .. }) => {
                    ProblemKind::Unreadable
                }
                _ => ProblemKind::Damaged,
            };
            let mut video = reader
                .read(&path, flow[i].as_deref())
                .map_err(|error| problem(kind_of(&error), chain(&error)))?;
            let pictures = video.clips.swap_remove(0);
            return Ok(Read { pictures, framing: video.framing, size: video.size, video: Some(video) });
        }
        let bytes = std::fs::read(&path).map_err(|why| match why.kind() {
            ErrorKind::NotFound => problem(ProblemKind::Missing, "it is not there any more".into()),
            _ => problem(ProblemKind::Unreadable, why.to_string()),
        })?;
        let damaged = |why: MediaError| problem(ProblemKind::Damaged, chain(&Error::from(why)));
        let (picture, on_black) =
            oneiro_media::decode_image_on_black(&bytes, &image.file).map_err(damaged)?;
        let size = [picture.height, picture.width];
        let shown = self.session.inputs()[0].extent.size();
        let (picture, framing) = framed(&picture, shown, self.crop).map_err(damaged)?;
        Ok(Read { pictures: vec![picture], framing: framing.on_black(on_black), size, video: None })
    }

    /// Runs the network on at most a batch of images, and adds the results to a block.
    fn see(&mut self, images: &[Waiting], block: &mut Block) {
        let (context, dataset) = (self.context, self.dataset);
        let last = images.len() - 1;
        let session = &mut self.session;
        // A batch that is not full is filled up with its last image, whose additional results are ignored.
        context.compute(|| {
            session.run(
                |entry| images[entry.min(last)].image % (MAX_SEED + 1),
                |entry, input| images[entry.min(last)].pictures[input].colors(),
            );
        });
        let source = |seen: &Waiting| {
            let image = &dataset.images[seen.image as usize];
            Source {
                image: seen.image,
                class: image.class,
                samples: samples_from(seen.image as usize, dataset.images.len()),
                listed: image.duplicate_of.is_none(),
            }
        };
        let sources: Vec<Source> = images.iter().map(source).collect();
        let relevance: Vec<Vec<Vec<Relevance>>> = match &mut self.relevance {
            Some(session) => images
                .iter()
                .map(|seen| {
                    let label = dataset.images[seen.image as usize]
                        .class
                        .and_then(|class| self.labels[class as usize]);
                    context.compute(|| {
                        session.run(
                            |input| seen.pictures[input].colors(),
                            |logits| label.unwrap_or_else(|| largest(logits)),
                        );
                        (0..block.layers.len()).map(|layer| session.of_layer(layer)).collect()
                    })
                })
                .collect(),
            None => Vec::new(),
        };
        let session = &self.session;
        context.compute(|| {
            block.layers.par_iter_mut().enumerate().for_each(|(at, layer)| {
                let of = |(entry, source): (usize, &Source)| Seen {
                    source: *source,
                    pieces: session.summaries(at, entry).collect(),
                    relevance: relevance.get(entry).map(|of| of[at].clone()),
                };
                let seen: Vec<Seen<'_>> = sources.iter().enumerate().map(of).collect();
                layer.add(&seen, session.layers()[at].positions());
            });
        });
        for (entry, seen) in images.iter().enumerate() {
            let logits = session.logits(entry);
            let finite = logits.is_none_or(|logits| logits.iter().all(|z| z.is_finite()));
            block.not_finite += u32::from(!finite);
            let named = logits.filter(|_| finite).zip(self.activation).map(|(logits, activation)| {
                let first = largest(logits);
                (first as u32, activation.probabilities(logits)[first] as f32)
            });
            let size = seen.size.map(|side| side as u32);
            block.images.push(SeenImage { image: seen.image, size, named });
        }
    }
}

/// Returns the index of the largest number; of several equal ones, the first.
fn largest(numbers: &[f32]) -> usize {
    (0..numbers.len()).max_by(|&a, &b| numbers[a].total_cmp(&numbers[b]).then(b.cmp(&a))).unwrap_or(0)
}

/// Returns how many positions of a unit are sampled from one image at most, for a data set of this many
/// images.
fn samples_of(images: usize) -> usize {
    SAMPLES.div_ceil(images.max(1))
}

/// Returns how many positions are sampled from this image. Over the data set they add up to [`SAMPLES`],
/// evenly spread.
fn samples_from(image: usize, images: usize) -> usize {
    let before = |image: usize| image as u128 * SAMPLES as u128 / images.max(1) as u128;
    (before(image + 1) - before(image)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_evenly() {
        for images in [1, 7, 1000, 1024, 5000, 1_200_000] {
            let all: usize = (0..images).map(|i| samples_from(i, images)).sum();
            assert_eq!(all, SAMPLES, "{images}");
            assert!((0..images).all(|i| samples_from(i, images) <= samples_of(images)));
        }
    }
}
