//! Statistics of the colours and frequencies of a folder of pictures, for parametrizations.

use std::path::{Path, PathBuf};

use oneiro::preprocess::luma;
use oneiro::statistics::{ColorAccumulator, Statistics};
use oneiro_media::Image;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::{JobError, Setting};
use super::flow::error::FlowError;
use super::{Job, Place, Role, Run, Sink};
use crate::context::Context;
use crate::error::{During as _, Result, Step, chain};
use crate::provenance::{seal, text_of_program};
use crate::remark::Remark;
use crate::source::FolderError;
use crate::source::clips::framed_flow;
use crate::source::listing::entries;
use crate::source::places::{hash, is_npy};
use crate::task::Task;

/// Key of the metadata entry of a drawn spectrum.
const SPECTRUM: &str = "spectrum";
/// Number of images that are read at a time.
const AT_ONCE: usize = 32;

/// Computes statistics of the pictures in a folder and its subfolders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticsJob {
    /// Path of the folder with pictures.
    pub folder: String,
    /// Side of the squares that pictures are cropped to.
    pub size: usize,
    /// Whether pictures are converted to grey first.
    pub gray: bool,
    /// Name of the statistics file in the picture's metadata.
    pub file: String,
    /// Whether the folder holds optical flow in place of pictures: `.flo`, `.npy` and `.npz` files. Every
    /// field counts as a picture.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flow: bool,
}

/// The report on the statistics of a folder's pictures.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The statistics that were computed.
    pub statistics: Statistics,
    /// Number of pictures that could not be read.
    pub skipped: usize,
}

impl Serialize for Measured {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let channels = self.statistics.channels();
        let report = Report {
            images: self.statistics.images(),
            skipped: self.skipped,
            size: self.statistics.size(),
            mean: self.statistics.mean(),
            covariance: self.statistics.covariance().chunks_exact(channels).collect(),
            mixing: self.statistics.mixing().rows().chunks_exact(channels).map(<[f32]>::to_vec).collect(),
        };
        report.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Report<'a> {
    images: u64,
    skipped: usize,
    size: [usize; 2],
    mean: &'a [f64],
    covariance: Vec<&'a [f64]>,
    mixing: Vec<Vec<f32>>,
}

impl StatisticsJob {
    /// Returns the paths of the folder's pictures, sorted by name.
    ///
    /// # Errors
    /// If the folder has no pictures, or pictures of different kinds.
    pub fn pictures(&self) -> Result<Vec<PathBuf>> {
        let folder = Path::new(&self.folder);
        if !folder.is_dir() {
            return Err(FolderError::NotAFolder { folder: self.folder.clone() }.into());
        }
        let files = collect(folder, self.flow)?;
        if self.flow && !files.is_empty() {
            return Ok(files);
        }
        if files.is_empty() {
            return Err(FolderError::NoImages { folder: self.folder.clone() }.into());
        }
        let arrays = files.iter().filter(|f| is_npy(f)).count();
        if arrays > 0 && arrays < files.len() {
            let (folder, pictures) = (self.folder.clone(), files.len() - arrays);
            return Err(FolderError::MixedFolder { folder, arrays, pictures }.into());
        }
        if arrays > 0 && self.gray {
            return Err(FolderError::GrayBands { folder: self.folder.clone() }.into());
        }
        Ok(files)
    }
}

impl Job for StatisticsJob {
    const KIND: &'static str = "statistics";
    type Report = Measured;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<Measured> {
        let files = self.pictures()?;
        let (statistics, bad) = measure(run.context, self, &files)?;
        let bytes = statistics.to_bytes()?;
        sink.take_bytes(Place::first(Role::Statistics), "statistics.safetensors", &bytes)?;
        let place = Place::picture(0);
        if sink.wants(place) {
            let [height, width] = statistics.size();
            let mut text = text_of_program();
            text.push(SPECTRUM, "logarithms of the magnitudes of each channel, the constant in the middle");
            text.push("folder", &self.folder);
            text.push("images", statistics.images().to_string());
            text.push("size", format!("{height}x{width}"));
            text.push("gray", self.gray.to_string());
            text.push("statistics", &self.file);
            text.push("statistics-sha256", hash(&bytes));
            seal(run, &mut text, self, place)?;
            let png = oneiro_media::encode_png(&picture(&statistics)?, &text)?;
            sink.take_bytes(place, "spectrum.png", &png)?;
        }
        for why in &bad {
            run.context.remark(Remark::Skipped { why: why.clone() });
        }
        if !bad.is_empty() {
            run.context.remark(Remark::SkippedInAll { skipped: bad.len(), total: files.len() });
        }
        Ok(Measured { statistics, skipped: bad.len() })
    }

    fn check(&self) -> Result<()> {
        if !(2..=2048).contains(&self.size) {
            let (setting, value) = (Setting::Square, self.size);
            return Err(JobError::Setting { setting, value, needed: "a number from 2 to 2048".into() }.into());
        }
        Ok(())
    }
}

/// Returns the pictures in a folder and its subfolders, sorted by name.
fn collect(folder: &Path, flow: bool) -> Result<Vec<PathBuf>> {
    let is_read = |path: &PathBuf| match flow {
        true => is_flow(path),
        false => oneiro_media::has_image_name(path) || is_npy(path),
    };
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            // A link to a parent folder would cause an endless loop.
            if !path.is_symlink() {
                found.extend(collect(&path, flow)?);
            }
        } else if is_read(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Returns the statistics of all pictures that can be read, and the error messages of the others.
fn measure(context: &Context, job: &StatisticsJob, files: &[PathBuf]) -> Result<(Statistics, Vec<String>)> {
    let side = job.size;
    let read = |path: &PathBuf| -> Result<Vec<Vec<f32>>> {
        if job.flow {
            return fields(path, side);
        }
        if is_npy(path) {
            let bands = oneiro_media::read_bands(path)?;
            return Ok(vec![oneiro_media::fit_center_crop(&bands, side, side)?.data]);
        }
        let image = oneiro_media::read_image(path)?;
        let image = oneiro_media::fit_center_crop(&image, side, side)
            .during(|| Step::Scale { path: path.display().to_string() })?;
        Ok(vec![if job.gray { gray(&image) } else { image.data }])
    };
    let mut progress = Task::new(context, "colours", 2 * files.len() as u64);
    // For bands, the first file determines how many there are.
    let mut colors: Option<ColorAccumulator> = None;
    let mut channels = 0;
    let (mut good, mut bad): (Vec<PathBuf>, _) = (Vec::new(), Vec::new());
    for some in files.chunks(AT_ONCE) {
        context.check()?;
        let images: Vec<_> = context.compute(|| some.par_iter().map(read).collect());
        for (path, image) in some.iter().zip(images) {
            match image {
                Ok(images) => {
                    let of_image = images.first().map_or(0, Vec::len) / (side * side);
                    if let (Some(first), true) = (good.first(), of_image != channels) {
                        return Err(FolderError::BandsDiffer {
                            path: path.clone(),
                            bands: of_image,
                            first: first.clone(),
                            first_bands: channels,
                        }
                        .into());
                    }
                    channels = of_image;
                    let colors = colors.get_or_insert_with(|| ColorAccumulator::new(channels));
                    images.iter().for_each(|image| colors.add(image));
                    good.push(path.clone());
                }
                Err(error) => bad.push(chain(&error)),
            }
        }
        progress.advance(some.len() as u64);
    }
    let Some(colors) = colors else {
        let first = bad.swap_remove(0);
        let (pictures, folder) = (files.len(), job.folder.clone());
        return Err(FolderError::NoneReadable { pictures, folder, first }.into());
    };
    let mut spectra = colors.finish([side, side]).during(|| Step::Measure { folder: job.folder.clone() })?;
    progress.label("spectra");
    for some in good.chunks(AT_ONCE) {
        context.check()?;
        let images: Vec<Result<Vec<Vec<f32>>>> = context.compute(|| some.par_iter().map(read).collect());
        for images in images {
            for image in images.during(|| Step::ReadAgain)? {
                if image.len() != channels * side * side {
                    return Err(JobError::Changed.into());
                }
                spectra.add(&image);
            }
        }
        progress.advance(some.len() as u64);
    }
    let statistics = spectra.finish()?;
    Ok((if job.flow { statistics.of_flow()? } else { statistics }, bad))
}

/// Whether a file's name is that of optical flow.
fn is_flow(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|e| matches!(e.as_str(), "flo" | "npy" | "npz"))
}

/// The fields of a flow file, each `[2, side, side]`: scaled and cropped, vectors with them.
fn fields(path: &Path, side: usize) -> Result<Vec<Vec<f32>>> {
    let flow = oneiro_media::flow::read_flow(path)?;
    if let Some(value) = flow.data.iter().find(|value| !value.is_finite()) {
        let (path, value) = (path.to_owned(), *value);
        return Err(FlowError::FlowNotFinite { path, value }.into());
    }
    let image = framed_flow(&flow, [side, side])?;
    let field = |t: usize| [image.plane(t), image.plane(image.frames + t)].concat();
    Ok((0..image.frames).map(field).collect())
}

fn gray(image: &Image) -> Vec<f32> {
    let planes = image.plane(0).iter().zip(image.plane(1)).zip(image.plane(2));
    planes.map(|((r, g), b)| luma([*r, *g, *b])).collect()
}

/// Draws the logarithm of each channel's magnitudes as a square, side by side. The smallest magnitude of all
/// channels is black, the largest is white. The constant is in the middle of each square.
fn picture(statistics: &Statistics) -> Result<Image> {
    let [height, width] = statistics.size();
    let half = width / 2 + 1;
    let logarithm = |m: &f32| f64::from(*m).max(f64::from(f32::MIN_POSITIVE)).ln();
    let logarithms: Vec<f64> = statistics.spectrum().iter().map(logarithm).collect();
    let low = logarithms.iter().copied().fold(f64::INFINITY, f64::min);
    let high = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let channels = statistics.channels();
    let mut plane = vec![0.0; channels * height * width];
    for (at, value) in plane.iter_mut().enumerate() {
        let (y, x) = (at / (channels * width), at % (channels * width));
        let (channel, x) = (x / width, x % width);
        let (v, u) = ((y + height - height / 2) % height, (x + width - width / 2) % width);
        // The right half of the spectrum is the left half, point-reflected at the constant.
        let (v, u) = if u < half { (v, u) } else { ((height - v) % height, width - u) };
        *value = ((logarithms[(channel * height + v) * half + u] - low) / (high - low).max(f64::MIN_POSITIVE))
            as f32;
    }
    Ok(Image::rgb(channels * width, height, plane.repeat(3))?)
}
