//! Cuts crops from a scan's images: the receptive field of one position of a layer.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use oneiro_media::Image;

use crate::error::Result;
use crate::job::error::JobError;
use crate::job::scan::{ScanJob, ScannedClips};
use crate::provenance::json;
use crate::source::clips::middle_frame;
use crate::source::dataset::bytes_of_clip;
use crate::source::framing::framed;
use crate::store::ScanFile;
use crate::store::read::{ExampleRecord, LayerRecord};

/// The colour with which pixels outside the receptive field are mixed. Below: the share of the pixel that is
/// kept.
const PAPER: f32 = 0.93;
const PALE: f32 = 0.25;
/// Number of pictures that are kept in memory for further crops.
const KEPT: usize = 256;

/// Cuts crops from a scan's images. Reads the original files, or else the small pictures that the scan
/// stores.
pub struct Crops<'a> {
    scan: &'a ScanFile,
    folder: PathBuf,
    size: [usize; 2],
    crop: Option<f64>,
    clips: ScannedClips,
    /// Frames that a clip spans, in scans of clips.
    span: Option<usize>,
    known: RefCell<HashMap<u32, Image>>,
    gone: RefCell<BTreeSet<String>>,
}

impl<'a> Crops<'a> {
    /// Creates a cutter for the images of a scan.
    ///
    /// # Errors
    /// If the scan does not say how its images were brought to the network.
    pub fn new(scan: &'a ScanFile) -> Result<Self> {
        let job: ScanJob = json("job", scan.meta("job").unwrap_or_default())?;
        let missing = || JobError::NotMade { what: "the size of the scanned images" };
        let (height, width) = scan.meta("size").and_then(|size| size.split_once('x')).ok_or_else(missing)?;
        let side = |text: &str| text.parse::<usize>().map_err(|_| missing());
        Ok(Self {
            scan,
            folder: scan.data(),
            size: [side(height)?, side(width)?],
            crop: job.crop,
            clips: job.clips,
            span: scan.meta("span").and_then(|frames| frames.parse().ok()),
            known: RefCell::default(),
            gone: RefCell::default(),
        })
    }

    /// Returns one of the images that could not be read, and their number.
    pub fn gone(&self) -> Option<(String, usize)> {
        let gone = self.gone.borrow();
        gone.first().map(|file| (file.clone(), gone.len()))
    }

    /// How the scan took a clip of each video, with the crop; `None` in scans of images.
    pub(crate) fn clips(&self) -> Option<(&ScannedClips, Option<f64>)> {
        self.span.map(|_| (&self.clips, self.crop))
    }

    /// Where a clip lies, unless another one is in its place.
    ///
    /// # Errors
    /// [`JobError::SourceGone`].
    pub(crate) fn path_of_clip(&self, image: u32, file: &str) -> Result<PathBuf> {
        let path = self.folder.join(file);
        match bytes_of_clip(&path) == self.scan.image(image)?.bytes {
            true => Ok(path),
            false => Err(JobError::SourceGone { file: file.to_owned() }.into()),
        }
    }

    /// An image as the network saw it, or the middle frame of a clip; grey with a cross if it is nowhere any
    /// more.
    pub fn picture(&self, image: u32, file: &str) -> Result<Image> {
        if let Some(known) = self.known.borrow().get(&image) {
            return Ok(known.clone());
        }
        let read = || -> Result<Image> {
            if let Some(frames) = self.span {
                let path = self.path_of_clip(image, file)?;
                return Ok(framed(&middle_frame(&path, frames)?, self.size, self.crop)?.0);
            }
            let path = self.folder.join(file);
            let bytes = oneiro_media::read_bytes(&path)?;
            // A changed file is not used, because it is not the image that excited the unit.
            if bytes.len() as u64 != self.scan.image(image)?.bytes {
                return Err(JobError::SourceGone { file: file.to_owned() }.into());
            }
            let photo = oneiro_media::decode_image(&bytes, &path)?;
            Ok(framed(&photo, self.size, self.crop)?.0)
        };
        let kept = || -> Result<Image> {
            let stored = self.scan.thumbnail(image)?;
            let stored = stored.ok_or(JobError::NotMade { what: "a small picture" })?;
            Ok(oneiro_media::decode_image(&stored, file)?)
        };
        let picture = read().or_else(|_| kept()).unwrap_or_else(|_| {
            self.gone.borrow_mut().insert(file.to_owned());
            let mut missing = Image::filled(self.size[1], self.size[0], [0.6; 3]);
            crate::job::tiles::crossed_out(&mut missing);
            missing
        });
        let mut known = self.known.borrow_mut();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(image, picture.clone());
        Ok(picture)
    }

    /// Whether an image could not be read before.
    pub(crate) fn is_gone(&self, file: &str) -> bool {
        self.gone.borrow().contains(file)
    }

    /// Returns the part of an image that excited a unit most: the receptive field at the position of the
    /// largest activation. All crops of a layer have one size. A crop that would reach beyond the border is
    /// moved inside the image, and pixels outside the receptive field are paled.
    pub fn crop(&self, example: &ExampleRecord, layer: &LayerRecord) -> Result<Image> {
        crop_of(self.picture(example.image, &example.file)?, &example.position, layer)
    }
}

/// What a position of a layer sees of a picture, as [`Crops::crop`] returns it.
pub(crate) fn crop_of(picture: Image, position: &[usize], layer: &LayerRecord) -> Result<Image> {
    let size = [picture.height, picture.width];
    let seen = layer.seen(position, size);
    if seen == size.map(|side| [0, side]) {
        return Ok(picture);
    }
    let field = layer.field_at(position, size).unwrap_or(seen.map(|[a, b]| [a as i64, b as i64]));
    let [rows, columns] = [0, 1].map(|axis| inside(field[axis], size[axis]));
    let is_seen =
        |y: usize, x: usize| (seen[0][0]..seen[0][1]).contains(&y) && (seen[1][0]..seen[1][1]).contains(&x);
    let mut data = Vec::with_capacity(3 * (rows[1] - rows[0]) * (columns[1] - columns[0]));
    for channel in 0..3 {
        let plane = picture.plane(channel);
        for y in rows[0]..rows[1] {
            for x in columns[0]..columns[1] {
                let value = plane[y * picture.width + x];
                data.push(if is_seen(y, x) { value } else { PAPER + PALE * (value - PAPER) });
            }
        }
    }
    Ok(Image::rgb(columns[1] - columns[0], rows[1] - rows[0], data)?)
}

/// Moves an interval inside an axis of this length. An interval longer than the axis becomes the whole axis.
fn inside([from, to]: [i64; 2], len: usize) -> [usize; 2] {
    let extent = usize::try_from(to - from).unwrap_or(0).clamp(1, len.max(1));
    let from = usize::try_from(from).unwrap_or(0).min(len - extent.min(len));
    [from, from + extent]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_beyond_the_border_is_moved_inside() {
        assert_eq!(inside([2, 5], 10), [2, 5]);
        assert_eq!(inside([-2, 1], 10), [0, 3]);
        assert_eq!(inside([8, 11], 10), [7, 10]);
        assert_eq!(inside([-5, 20], 10), [0, 10]);
    }
}
