//! Crops of a scan's images: what one position of a layer sees.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use oneiro_media::Image;

use crate::error::Result;
use crate::job::error::JobError;
use crate::job::scan::ScanJob;
use crate::provenance::json;
use crate::source::clips::middle_frame;
use crate::source::dataset::bytes_of_clip;
use crate::source::framing::framed;
use crate::store::ScanFile;
use crate::store::read::{ExampleRecord, LayerRecord};

/// The colour towards which pixels are paled that a position does not see, and how much of them is left.
const PAPER: f32 = 0.93;
const PALE: f32 = 0.25;
/// Pictures that are kept for the next crops.
const KEPT: usize = 256;

/// Cuts crops from a scan's images, read again from where they lie, or from the scan's own small pictures.
pub struct Crops<'a> {
    scan: &'a ScanFile,
    folder: PathBuf,
    size: [usize; 2],
    crop: Option<f64>,
    /// Frames that a clip spans, in scans of clips.
    span: Option<usize>,
    known: RefCell<HashMap<u32, Image>>,
    gone: RefCell<BTreeSet<String>>,
}

impl<'a> Crops<'a> {
    /// From a scan's images.
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
            span: scan.meta("span").and_then(|frames| frames.parse().ok()),
            known: RefCell::default(),
            gone: RefCell::default(),
        })
    }

    /// Images that could not be read: one of them, and their number.
    pub fn gone(&self) -> Option<(String, usize)> {
        let gone = self.gone.borrow();
        gone.first().map(|file| (file.clone(), gone.len()))
    }

    /// An image as the network saw it, or the middle frame of a clip; grey with a cross if it is nowhere any
    /// more.
    pub fn picture(&self, image: u32, file: &str) -> Result<Image> {
        if let Some(known) = self.known.borrow().get(&image) {
            return Ok(known.clone());
        }
        let read = || -> Result<Image> {
            let path = self.folder.join(file);
            if let Some(frames) = self.span {
                if bytes_of_clip(&path) != self.scan.image(image)?.bytes {
                    return Err(JobError::SourceGone { file: file.to_owned() }.into());
                }
                return Ok(framed(&middle_frame(&path, frames)?, self.size, self.crop)?.0);
            }
            let bytes = oneiro_media::read_bytes(&path)?;
            // Another picture in its place is not what excited the unit.
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

    /// Whether an image was found to be gone.
    pub(crate) fn is_gone(&self, file: &str) -> bool {
        self.gone.borrow().contains(file)
    }

    /// What the position of an example's largest activation sees of its image. All crops of a layer are of
    /// one size: where a position sees beyond the border, the crop lies inside the image, and what the
    /// position does not see is pale.
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

/// An interval moved inside an axis of this length; all of the axis if it is shorter.
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
