//! The pictures on which networks are run: images of a scan or a folder, or synthetic pictures.

use std::path::Path;

use oneiro::filters::probes::{Probe, probe_of};
use oneiro::input::PictureInput;
use oneiro_media::Image;
use tempfile::TempDir;

use super::CompareJob;
use crate::error::Result;
use crate::job::crops::Crops;
use crate::job::scan::examples::is_scan;
use crate::job::scan::{RankedBy, ScanJob, ScannedClips};
use crate::job::{Folder, Job as _, Run};
use crate::model::LoadedModel;
use crate::remark::ScanRemark;
use crate::source::dataset::Dataset;
use crate::source::framing::framed;
use crate::store::ScanFile;

/// Images that networks are run on, at most; they are spread evenly over the data.
pub(super) const IMAGES: usize = 512;
/// Synthetic pictures in their place.
pub(super) const PROBES: usize = 128;
/// Images in each list of a unit, in a scan that is made for a comparison.
const EXAMPLES: usize = 32;

/// A scan with the folder that holds it for this run alone.
pub(super) struct Scanned {
    pub scan: ScanFile,
    _folder: Option<TempDir>,
}

impl Scanned {
    /// Opens the data if it is a scan of the run's network, otherwise scans these layers; without names all.
    ///
    /// # Errors
    /// If the scan is of another network, or the data cannot be scanned.
    pub(super) fn new(run: &Run<'_>, data: &str, images: Option<&str>, layers: Vec<String>) -> Result<Self> {
        let model = run.model()?;
        let path = run.places().of(data).to_owned();
        if is_scan(&path) {
            let scan = ScanFile::open(&path)?.with_images(images)?;
            scan.check_model(model)?;
            return Ok(Self { scan, _folder: None });
        }
        let job = ScanJob {
            data: path.to_string_lossy().into_owned(),
            layers,
            top: EXAMPLES,
            crop: None,
            by: RankedBy::Activation,
            thumbnails: false,
            clips: ScannedClips::default(),
        };
        let folder = tempfile::Builder::new().prefix("oneiro-").tempdir()?;
        // What is scanned is kept in parts, so that an interrupted comparison goes on.
        job.run(run, &mut Folder::new(folder.path()))?;
        Ok(Self { scan: ScanFile::open(folder.path())?, _folder: Some(folder) })
    }
}

/// Opens the data of a job if it is a scan, of whichever network.
///
/// # Errors
/// If the scan cannot be read.
pub(super) fn scan_of(run: &Run<'_>, job: &CompareJob) -> Result<Option<ScanFile>> {
    let Some(data) = &job.data else { return Ok(None) };
    let path = run.places().of(data).to_owned();
    is_scan(&path).then(|| ScanFile::open(&path)?.with_images(job.images.as_deref())).transpose()
}

/// The pictures of a comparison.
pub(super) enum Images<'a> {
    /// Images of a scan: their numbers and files.
    Scan { crops: Crops<'a>, seen: Vec<(u32, String)> },
    /// Images of a folder or a list.
    Files { dataset: Dataset, chosen: Vec<usize> },
    /// Synthetic pictures of dead leaves.
    Probes,
}

impl<'a> Images<'a> {
    /// The pictures of a job that looks at layers alone. `scan` is that of [`scan_of`].
    ///
    /// # Errors
    /// If there are no images.
    pub(super) fn of_job(run: &Run<'_>, job: &CompareJob, scan: Option<&'a ScanFile>) -> Result<Self> {
        match (scan, &job.data) {
            (Some(scan), _) => Self::of_scan(scan),
            (None, Some(data)) => Self::of_files(run, run.places().of(data)),
            (None, None) => Ok(Self::Probes),
        }
    }

    /// Whether they are synthetic.
    pub(super) fn are_synthetic(&self) -> bool {
        matches!(self, Self::Probes)
    }

    /// Images of a scan, spread evenly over it.
    ///
    /// # Errors
    /// If the scan cannot be read.
    pub(super) fn of_scan(scan: &'a ScanFile) -> Result<Self> {
        let seen = scan.seen_images()?;
        let seen = spread(seen.len(), IMAGES).map(|i| seen[i].clone()).collect();
        Ok(Self::Scan { crops: Crops::new(scan)?, seen })
    }

    /// Images of a folder or a list of images that is no scan.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn of_files(run: &Run<'_>, data: &Path) -> Result<Self> {
        let dataset = Dataset::find(run.context, data)?;
        // A copy of an image says nothing new.
        let own: Vec<usize> =
            (0..dataset.images.len()).filter(|&i| dataset.images[i].duplicate_of.is_none()).collect();
        let chosen = spread(own.len(), IMAGES).map(|i| own[i]).collect();
        Ok(Self::Files { dataset, chosen })
    }

    /// Number of pictures.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Scan { seen, .. } => seen.len(),
            Self::Files { chosen, .. } => chosen.len(),
            Self::Probes => PROBES,
        }
    }

    /// What the pictures are, in words.
    pub(super) fn words(&self, count: usize) -> String {
        match self {
            Self::Probes => format!("{count} synthetic pictures"),
            _ => format!("{count} images"),
        }
    }

    /// The file of a picture, relative to its data.
    pub(super) fn file(&self, i: usize) -> Option<&str> {
        match self {
            Self::Scan { seen, .. } => Some(&seen[i].1),
            Self::Files { dataset, chosen } => Some(&dataset.images[chosen[i]].file),
            Self::Probes => None,
        }
    }

    /// A picture as an image to look at, of the input's size; `None` if it cannot be read.
    ///
    /// # Errors
    /// If a scan cannot be read.
    pub(super) fn picture(&self, i: usize, input: &PictureInput) -> Result<Option<Image>> {
        let size = input.extent.size();
        Ok(match self {
            Self::Scan { crops, seen } => {
                let (number, file) = &seen[i];
                let picture = crops.picture(*number, file)?;
                (!crops.is_gone(file)).then_some(picture).map(|picture| fitted(picture, size)).transpose()?
            }
            Self::Files { dataset, chosen } => {
                let path = dataset.path(&dataset.images[chosen[i]]);
                match oneiro_media::read_image(&path) {
                    Ok(photo) => Some(framed(&photo, size, None)?.0),
                    Err(_) => None,
                }
            }
            Self::Probes => None,
        })
    }

    /// A picture as the display image of an input; `None` if it cannot be read.
    ///
    /// # Errors
    /// If a scan cannot be read.
    pub(super) fn display(&self, i: usize, input: &PictureInput) -> Result<Option<Vec<f32>>> {
        if let Self::Probes = self {
            return Ok(Some(probe_of(Probe::DeadLeaves, input, i as u64)));
        }
        Ok(self.picture(i, input)?.map(|picture| picture.colors().to_vec()))
    }

    /// An error if a network does not take these pictures.
    ///
    /// # Errors
    /// If it takes bands, and there are images.
    pub(super) fn check(&self, model: &LoadedModel) -> Result<PictureInput> {
        let shapes = model.model.input_shapes(1, None)?;
        Ok(match self {
            Self::Probes => PictureInput::only(&model.model, &shapes)?,
            _ => PictureInput::of_photographs(&model.model, &shapes)?,
        })
    }

    /// Says which images could not be read, of those that were wanted.
    pub(super) fn say(&self, run: &Run<'_>, unread: &[usize]) {
        if let Some(file) = unread.first().and_then(|&i| self.file(i)) {
            let (count, file) = (unread.len(), file.to_owned());
            run.context.remark(ScanRemark::SourcesGone { count, file });
        }
    }
}

/// A picture at another size: as large a part about its centre as has the proportions.
pub(super) fn fitted(picture: Image, size: [usize; 2]) -> Result<Image> {
    match [picture.height, picture.width] == size {
        true => Ok(picture),
        false => Ok(framed(&picture, size, Some(1.0))?.0),
    }
}

/// Up to `most` of `count` indices, evenly spread.
pub(super) fn spread(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |i| i * count / taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_spread_evenly() {
        assert_eq!(spread(3, 9).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(9, 3).collect::<Vec<_>>(), [0, 3, 6]);
        assert_eq!(spread(0, 3).count(), 0);
    }
}
