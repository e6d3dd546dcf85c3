//! A scan: one pass over a data set that records how every unit of a network responds to its images.
//!
//! A scan processes blocks of consecutive images, which are the parts of the job. Parallel processes (shards)
//! share the blocks, and the result's content does not depend on how they did. Intermediate results of a
//! block are saved from time to time, so an interrupted scan loses little work.

use std::cell::{Cell, RefCell};
use std::path::Path;

use oneiro::input::PictureInput;
use serde::{Deserialize, Serialize};

use super::classification::photos::classes_of_folders;
use super::error::{JobError, Setting};
use super::parts::{Part, TEMPORARY};
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::files::{FileError, create_folder};
use crate::model::LoadedModel;
use crate::provenance::{VERSION, kernels};
use crate::remark::ScanRemark;
use crate::source::FolderError;
use crate::source::dataset::{DataImage, Dataset, ProblemKind};
use crate::source::places::hash;
use crate::source::references::picture_size;
use crate::store::{FILE, SCHEMA_VERSION, write};
use crate::task::Task;

mod begun;
pub(crate) mod block;
mod clips;
pub mod examples;
mod gather;
pub(crate) mod layers;
mod thumbnails;

use block::Block;
pub use clips::ScannedClips;
use gather::{Gatherer, SAMPLES};
use layers::ScannedLayer;

/// The least work of a block, in operations of the network. It takes seconds, compared with which saving the
/// block is cheap.
const BLOCK_FLOPS: u64 = 400_000_000_000;
/// Smallest and largest number of images in a block; a larger data set may need larger blocks.
const BLOCK_IMAGES: std::ops::RangeInclusive<u64> = 32..=1024;
/// Largest number of blocks. Each is a file until the scan is finished.
const MOST_BLOCKS: usize = 64;
/// Name of the folder, beside the scan, in which computed optical flow is cached.
const FLOW_FOLDER: &str = "flow";
/// Largest number of example images in a unit's list.
const MOST_EXAMPLES: usize = 1000;

/// A job that scans a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanJob {
    /// A folder of images, whose subfolders are the classes, or a file that lists images and their classes.
    pub data: String,
    /// Names of the layers to scan; if empty, all layers whose channels are units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// Number of images in each of a unit's example lists.
    pub top: usize,
    /// Share of the scaled image's shorter side that the centre crop keeps. The default is that of
    /// [`framed`](crate::source::framing::framed).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    /// The quantity by which the images in example lists are ranked.
    #[serde(default, skip_serializing_if = "RankedBy::is_activation")]
    pub by: RankedBy,
    /// Whether the scan's file stores small pictures of the example images.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thumbnails: bool,
    /// How clips are taken from videos, for networks whose input is clips or optical flow.
    #[serde(default, skip_serializing_if = "ScannedClips::is_default")]
    pub clips: ScannedClips,
}

/// The quantity by which a unit's example images are ranked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RankedBy {
    /// The unit's largest activation in the image.
    #[default]
    Activation,
    /// The activation times the gradient of a class's logit: of the image's class, or of the predicted class
    /// if the image's class is not known.
    Relevance,
}

impl RankedBy {
    /// Returns the ranking's name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Relevance => "relevance",
        }
    }

    fn is_activation(&self) -> bool {
        *self == Self::Activation
    }
}

/// The report of a scan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScanReport {
    /// Number of images in the data set.
    pub images: usize,
    /// Number of images that the network was run on.
    pub seen: usize,
    /// Number of classes in the data set.
    pub classes: usize,
    /// How many images the network classifies correctly, if it knows their classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// Number of scanned layers.
    pub layers: usize,
    /// Number of units in all scanned layers.
    pub units: usize,
    /// Kinds of problems with files, each with how often it occurred.
    pub problems: Vec<(String, usize)>,
}

/// The network's accuracy on the images of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accuracy {
    /// Number of images whose class the network knows.
    pub known: usize,
    /// Number of these images for which the network predicts the right class.
    pub right: usize,
}

impl Job for ScanJob {
    const KIND: &'static str = "scan";
    type Report = ScanReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<ScanReport> {
        self.check()?;
        let (context, model) = (run.context, run.model()?);
        let dataset = match model.takes_clips() {
            true => Dataset::find_clips(context, Path::new(&self.data))?,
            false if !self.clips.is_default() => {
                return Err(JobError::NoClipInput { model: model.source.clone() }.into());
            }
            false => Dataset::find(context, Path::new(&self.data))?,
        };
        self.clips.check_flow(&dataset)?;
        let layers = layers::chosen(model, &self.layers)?;
        if !model.takes_clips() {
            PictureInput::of_photographs(&model.model, &model.model.input_shapes(1, None)?)?;
        }
        let labels_of = labels_of(run, model, &dataset)?;
        // Computed flow is cached beside the scan.
        let cache = run.parts().and_then(|parts| Some(parts.folder().parent()?.join(FLOW_FOLDER)));
        let mut gatherer = Gatherer::new(context, model, &dataset, &layers, labels_of.clone(), self, cache)?;
        model.say_output(context);
        let flops = model.layers()?.layers.iter().map(|layer| layer.flops).sum();
        let blocks = blocks(dataset.images.len(), flops);
        let parts = self.parts(model, &dataset, &layers, (&blocks, &labels_of))?;
        let begun: Vec<Part> = parts.iter().map(begun::part).collect();
        let mut found: Option<Block> = None;
        let progress = RefCell::new(Task::new(context, "scanning", dataset.images.len() as u64));
        let (made, previous, taken) = (Cell::new(0u64), Cell::new(None::<usize>), Cell::new(0));
        // The intermediate result of a block is deleted only after the whole block is saved.
        let forget = |block: usize| run.parts().into_iter().for_each(|parts| parts.remove(&begun[block]));
        let summarized = gatherer.summarized().to_vec();
        run.fold_parts(
            &parts,
            |part| {
                previous.replace(Some(part)).into_iter().for_each(&forget);
                let before = progress.borrow().done();
                let keep = run.parts().map(|parts| (parts, &begun[part]));
                let mut progress = progress.borrow_mut();
                let block = begun::block(&mut gatherer, blocks[part].clone(), keep, &mut progress);
                made.set(made.get() + progress.done() - before);
                block
            },
            |block: Block| {
                forget(taken.replace(taken.get() + 1));
                // Images that an earlier, interrupted run has processed count as done in the progress report.
                let seen = (block.images.len() + block.problems.len()) as u64;
                match made.get() >= seen {
                    true => made.set(made.get() - seen),
                    false => progress.borrow_mut().advance(seen),
                }
                match &mut found {
                    Some(found) => found.merge(block),
                    None => found = Some(block),
                }
                Ok(())
            },
        )?;
        drop(progress);
        let found = found.unwrap_or_else(|| gatherer.empty());
        let span = gatherer.span();
        if found.images.is_empty() {
            let first = found.problems.first().map_or_else(String::new, |p| format!("{}: {}", p.file, p.why));
            let (pictures, folder) = (dataset.images.len(), self.data.clone());
            return Err(FolderError::NoneReadable { pictures, folder, first }.into());
        }
        let thumbnails = match self.thumbnails {
            true => thumbnails::of_lists(context, &dataset, &found, (model, self.crop), span)?,
            false => Vec::new(),
        };
        let content = write::Content {
            meta: self.meta(model, &dataset, span)?,
            dataset: &dataset,
            labels_of: &labels_of,
            labels: model.labels.as_ref().map(|labels| labels.names.clone()).unwrap_or_default(),
            layers: &layers,
            summarized: &summarized,
            found: &found,
            thumbnails,
        };
        let place = Place::first(Role::Statistics);
        if sink.wants(place) {
            let beside = run.parts().map_or_else(std::env::temp_dir, |parts| parts.folder().to_owned());
            create_folder(&beside)?;
            let made = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&beside);
            let folder = made.map_err(|source| FileError::Create { folder: beside.clone(), source })?;
            let file = folder.path().join(FILE);
            context.compute(|| write::write(&beside, &file, &content))?;
            sink.take_file(place, FILE, &file)?;
        }
        model.framings.say(context, if model.takes_clips() { "clips" } else { "images" });
        gatherer.say();
        self.say(run, &dataset, &found);
        Ok(report(&dataset, &found, &labels_of, &summarized))
    }

    fn check(&self) -> Result<()> {
        if !(1..=MOST_EXAMPLES).contains(&self.top) {
            let (setting, needed) = (Setting::Examples, format!("a number from 1 to {MOST_EXAMPLES}"));
            return Err(JobError::Setting { setting, value: self.top, needed }.into());
        }
        self.clips.sampling(self.crop).check()
    }
}

/// Returns a path that does not depend on the current folder; the path itself if it does not exist.
fn absolute(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// Returns a layer's name and, if its units are directions, a hash of the directions' matrix.
fn named(layer: &ScannedLayer) -> String {
    let projections = layer.unit.parts.iter().filter_map(|part| part.projection.as_ref());
    let bytes: Vec<u8> = projections
        .flat_map(|projection| projection.weights.iter().chain(&*projection.bias))
        .flat_map(|number| number.to_le_bytes())
        .collect();
    if bytes.is_empty() { layer.name.clone() } else { format!("{} {}", layer.name, hash(&bytes)) }
}

/// Divides a data set of this many images into blocks. `flops` is the network's number of operations for an
/// image.
fn blocks(images: usize, flops: u64) -> Vec<std::ops::Range<usize>> {
    let wanted = (BLOCK_FLOPS / flops.max(1)).clamp(*BLOCK_IMAGES.start(), *BLOCK_IMAGES.end());
    let len = images.div_ceil(MOST_BLOCKS).max(1 << wanted.ilog2());
    (0..images).step_by(len).map(|from| from..(from + len).min(images)).collect()
}

/// Returns the network's class for each class of the data set, if it is known.
fn labels_of(run: &Run<'_>, model: &LoadedModel, dataset: &Dataset) -> Result<Vec<Option<usize>>> {
    let Some(count) = model.model.class_count().filter(|_| !dataset.classes.is_empty()) else {
        return Ok(vec![None; dataset.classes.len()]);
    };
    // The network of a result that is made again knows the name of its labels alone.
    if model.labels.is_none() && model.model.card.labels.is_some() {
        return Ok(vec![None; dataset.classes.len()]);
    }
    model.check_labels(count)?;
    let names: Vec<&str> = dataset.classes.iter().map(String::as_str).collect();
    Ok(classes_of_folders(run.context, &names, model.labels.as_ref(), count))
}

fn report(
    dataset: &Dataset,
    found: &Block,
    labels_of: &[Option<usize>],
    summarized: &[oneiro::layer_summaries::SummarizedLayer],
) -> ScanReport {
    let label = |image: u32| labels_of[dataset.images[image as usize].class? as usize];
    let named = found.images.iter().filter_map(|seen| Some((label(seen.image)?, seen.named?.0 as usize)));
    let (known, right) =
        named.fold((0, 0), |(known, right), (label, named)| (known + 1, right + usize::from(label == named)));
    let mut problems: Vec<(String, usize)> = Vec::new();
    let mut kinds: Vec<ProblemKind> =
        dataset.problems.iter().chain(&found.problems).map(|problem| problem.kind).collect();
    kinds.sort_unstable();
    for kind in kinds {
        match problems.last_mut().filter(|(name, _)| name == kind.name()) {
            Some((_, count)) => *count += 1,
            None => problems.push((kind.name().to_owned(), 1)),
        }
    }
    ScanReport {
        images: dataset.images.len(),
        seen: found.images.len(),
        classes: dataset.classes.len(),
        accuracy: (known > 0).then_some(Accuracy { known, right }),
        layers: summarized.len(),
        units: summarized.iter().map(|layer| layer.channels).sum(),
        problems,
    }
}

impl ScanJob {
    /// Returns a part of the job for each block. Its result depends on the network, the job and the listed
    /// files.
    fn parts(
        &self,
        model: &LoadedModel,
        dataset: &Dataset,
        layers: &[ScannedLayer],
        (blocks, labels_of): (&[std::ops::Range<usize>], &[Option<usize>]),
    ) -> Result<Vec<Part>> {
        let clips = self.clips.key(dataset);
        let settings = format!("{} {:?} {:?} {:?} {clips}", self.top, self.crop, self.by, labels_of);
        let card = model.recorded_card().to_toml()?;
        let files: Vec<String> = dataset
            .images
            .iter()
            .map(|image| {
                let DataImage { file, class, bytes, changed, duplicate_of } = image;
                format!("{file}\t{class:?}\t{bytes}\t{changed}\t{duplicate_of:?}")
            })
            .collect();
        let files = hash(files.join("\n").as_bytes());
        let names: Vec<String> = layers.iter().map(named).collect();
        let names = names.join("\n");
        let part = |block: &std::ops::Range<usize>| {
            let range = format!("{}-{}", block.start, block.end);
            let depends_on =
                [VERSION, block::ENCODING, kernels(), &model.hash, &card, &settings, &files, &names, &range];
            Part::new(&format!("images-{range}"), &depends_on)
        };
        Ok(blocks.iter().map(part).collect())
    }

    fn meta(
        &self,
        model: &LoadedModel,
        dataset: &Dataset,
        span: Option<usize>,
    ) -> Result<Vec<(String, String)>> {
        let size = picture_size(model, None)?;
        let root = if dataset.root.as_os_str().is_empty() { Path::new(".") } else { &dataset.root };
        let entry = |key: &str, value: String| (key.to_owned(), value);
        let mut meta = vec![
            entry("schema", SCHEMA_VERSION.to_string()),
            entry("version", VERSION.to_owned()),
            entry("kernels", kernels().to_owned()),
            entry("model", model.source.clone()),
            entry("model-path", absolute(Path::new(&model.source))),
            entry("model-sha256", model.hash.clone()),
            entry("model-title", model.title.clone()),
            entry("preparation", model.recorded_card().to_toml()?),
            entry("data", self.data.clone()),
            entry("data-folder", absolute(root)),
            entry("images", dataset.images.len().to_string()),
            entry("size", format!("{}x{}", size[0], size[1])),
            entry("samples", SAMPLES.to_string()),
            entry("ranked-by", self.by.name().to_owned()),
            entry("job", serde_json::to_string(self)?),
        ];
        // A clip is shown by the middle one of the frames that it spans.
        meta.extend(span.map(|frames| entry("span", frames.to_string())));
        Ok(meta)
    }

    /// Adds remarks on images that could not be used.
    fn say(&self, run: &Run<'_>, dataset: &Dataset, found: &Block) {
        /// Number of problems that remarks name; the scan's file lists all.
        const NAMED: usize = 5;
        let all: Vec<_> = dataset.problems.iter().chain(&found.problems).collect();
        for problem in all.iter().take(NAMED) {
            let (file, why) = (problem.file.clone(), problem.why.clone());
            run.context.remark(ScanRemark::Problem { file, kind: problem.kind, why });
        }
        if all.len() > NAMED {
            run.context.remark(ScanRemark::MoreProblems { count: all.len() - NAMED });
        }
        if found.not_finite > 0 {
            run.context.remark(ScanRemark::LogitsNotFinite { images: found.not_finite as usize });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_images_once() {
        for images in [1, 511, 512, 513, 1000, 100_000] {
            let blocks = blocks(images, 700_000_000);
            assert!(blocks[0].len() == 512.min(images).max(images.div_ceil(MOST_BLOCKS)));
            assert!(blocks.len() <= MOST_BLOCKS);
            assert_eq!((blocks[0].start, blocks[blocks.len() - 1].end), (0, images));
            assert!(blocks.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
