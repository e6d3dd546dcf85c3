//! Crops and resizes photos to a network's input size, and describes how for reports and remarks.

use std::collections::BTreeMap;
use std::sync::Mutex;

use oneiro_media::{Filter, Image, MediaError};
use serde::Serialize;

use crate::context::Context;
use crate::error::Result;
use crate::job::error::JobError;
use crate::remark::Remark;

/// Input sides of networks whose reference evaluation crops the centre of a picture scaled to
/// [`SCALED_SIDE`].
const CENTER_CROP_SIDES: std::ops::RangeInclusive<usize> = 224..=227;
/// The shorter side of a picture before that crop, in pixels (Caffe's and torchvision's reference
/// evaluations).
const SCALED_SIDE: f64 = 256.0;

/// From this enlargement factor on, the description warns that the picture has little detail.
const MUCH_ENLARGED: usize = 8;

/// Returns an error unless the crop's share of the shorter side is above 0 and at most 1.
pub fn check_crop(crop: Option<f64>) -> Result<()> {
    match crop {
        Some(crop) if !(crop > 0.0 && crop <= 1.0) => Err(JobError::Crop { crop }.into()),
        _ => Ok(()),
    }
}

/// Returns the share of the scaled picture's shorter side that reference evaluations keep in the centre crop.
fn usual_crop(side: usize) -> f64 {
    if CENTER_CROP_SIDES.contains(&side) {
        side as f64 / SCALED_SIDE
    } else {
        oneiro_media::CLASSIFY_CROP_FRACTION
    }
}

/// How a photo was cropped and resized, as heights and widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Framing {
    /// Height and width of the photo in its file.
    from: [usize; 2],
    /// Height and width after scaling, if the photo was scaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    resized: Option<[usize; 2]>,
    /// Height and width after the crop about the centre, if the photo was cropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    cropped: Option<[usize; 2]>,
    /// Whether the photo has transparent parts, which count as black.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    on_black: bool,
}

impl Framing {
    /// Sets whether the photo has transparent parts.
    pub fn on_black(self, on_black: bool) -> Self {
        Self { on_black, ..self }
    }

    /// Scales so that `size` covers the given share of the picture's shorter side, then crops to `size`.
    fn new(from: [usize; 2], size: [usize; 2], fraction: f64) -> Self {
        let (h, w) = oneiro_media::classify_scale((from[0], from[1]), size[0], size[1], fraction);
        Self::by(from, [h, w], size)
    }

    /// Scales until the picture just covers `size`, then crops to `size`.
    pub fn covering(from: [usize; 2], size: [usize; 2]) -> Self {
        Self::new(from, size, 1.0)
    }

    /// Resizes to `size` without keeping the aspect ratio.
    pub fn squeezed(from: [usize; 2], size: [usize; 2]) -> Self {
        Self::by(from, size, size)
    }

    /// Returns how [`framed`] crops and resizes a picture of size `from`.
    pub(crate) fn of(from: [usize; 2], size: [usize; 2], crop: Option<f64>) -> Self {
        Self::new(from, size, kept_share(from, size, crop))
    }

    fn by(from: [usize; 2], scaled: [usize; 2], size: [usize; 2]) -> Self {
        Self {
            from,
            resized: (scaled != from).then_some(scaled),
            cropped: (size != scaled).then_some(size),
            on_black: false,
        }
    }

    /// Describes in words how the photo was cropped and resized.
    fn words(&self) -> String {
        let size = |[h, w]: [usize; 2]| format!("{h}x{w}");
        let from = size(self.from);
        let words = match (self.resized, self.cropped) {
            (None, None) => format!("neither scaled nor cropped, at the network's size {from}"),
            (Some(to), None) => format!("resized from {from} to {}", size(to)),
            (None, Some(to)) => format!("cropped about the centre, from {from} to {}", size(to)),
            (Some(scaled), Some(to)) => {
                format!("resized from {from} to {}, cropped about the centre to {}", size(scaled), size(to))
            }
        };
        let enlarged =
            self.resized.map_or(0, |[h, w]| (h / self.from[0].max(1)).max(w / self.from[1].max(1)));
        let small = match enlarged {
            MUCH_ENLARGED.. => format!("; enlarged {enlarged} times, it has little to see"),
            _ => String::new(),
        };
        let black = if self.on_black { "; what is transparent counts as black" } else { "" };
        words + &small + black
    }
}

/// Crops and resizes a photo for a classifier of input size `size`, like `oneiro classify`. A photo of this
/// size is unchanged. `crop` is the share of the scaled photo's shorter side that is kept, if the user chose
/// one.
pub fn framed(image: &Image, size: [usize; 2], crop: Option<f64>) -> Result<(Image, Framing), MediaError> {
    let from = [image.height, image.width];
    let fraction = kept_share(from, size, crop);
    let image = oneiro_media::classify_crop(image, size[0], size[1], fraction)?;
    Ok((image, Framing::new(from, size, fraction)))
}

/// Resizes a whole photo to a network's input size without keeping its aspect ratio.
pub fn squeezed(image: &Image, size: [usize; 2]) -> Result<(Image, Framing), MediaError> {
    let from = [image.height, image.width];
    let image = oneiro_media::resize(image, size[0], size[1], Filter::Triangle)?;
    Ok((image, Framing::squeezed(from, size)))
}

/// Returns the share of the scaled picture's shorter side that [`framed`] keeps of a picture of size `from`.
/// Pictures of the network's size are kept whole, and enlarged ones of networks without a reference
/// evaluation, such as films of optimised clips.
pub(crate) fn kept_share(from: [usize; 2], size: [usize; 2], crop: Option<f64>) -> f64 {
    let side = size[0].min(size[1]);
    let times = from[0] / size[0].max(1);
    let is_enlarged = times > 1 && from == size.map(|side| times * side);
    match crop {
        Some(chosen) => chosen,
        None if from == size => 1.0,
        None if is_enlarged && !CENTER_CROP_SIDES.contains(&side) => 1.0,
        None => usual_crop(side),
    }
}

/// How photos were cropped and resized to a network's input size, by file.
#[derive(Debug, Default)]
pub struct Framings {
    known: Mutex<BTreeMap<String, Framing>>,
    /// The framings at the last remark, so that none is made twice.
    said: Mutex<BTreeMap<String, Framing>>,
}

impl Framings {
    /// Stores the framing of a photo; replaces an earlier one of the same photo.
    pub fn add(&self, file: &str, framing: Framing) {
        if let Ok(mut known) = self.known.lock() {
            known.insert(file.to_owned(), framing);
        }
    }

    /// Returns a JSON list of files and their framings.
    pub fn json(&self) -> serde_json::Value {
        let known = self.known.lock().map(|known| known.clone()).unwrap_or_default();
        known.iter().map(|(file, framing)| serde_json::json!({ "file": file, "shown": framing })).collect()
    }

    /// Reports the framings in remarks, one for each way in which photos were framed. The same framings are
    /// reported once. `things` is what they are of: "images" or "clips".
    pub fn say(&self, context: &Context, things: &str) {
        /// Most ways of cropping that get a remark of their own.
        const LINES: usize = 4;
        let known = self.known.lock().map(|known| known.clone()).unwrap_or_default();
        if let Ok(mut said) = self.said.lock() {
            if *said == known {
                return;
            }
            said.clone_from(&known);
        }
        let mut ways: BTreeMap<Framing, Vec<&str>> = BTreeMap::new();
        for (file, framing) in &known {
            ways.entry(*framing).or_default().push(file);
        }
        let mut ways: Vec<(Framing, Vec<&str>)> = ways.into_iter().collect();
        ways.sort_by_key(|(_, files)| std::cmp::Reverse(files.len()));
        for (framing, files) in ways.iter().take(LINES) {
            let which = match files[..] {
                [one] => one.to_owned(),
                _ => format!("{} {things}", files.len()),
            };
            context.remark(Remark::Framed { which, how: framing.words() });
        }
        let rest: usize = ways.iter().skip(LINES).map(|(_, files)| files.len()).sum();
        if rest > 0 {
            context.remark(Remark::FramedOthers { count: rest });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_the_networks_size_is_shown_as_it_is() {
        let image = Image::rgb(3, 2, (0..18).map(|i| i as f32 / 18.0).collect()).unwrap();
        let (shown, framing) = framed(&image, [2, 3], None).unwrap();
        assert_eq!(shown, image);
        assert_eq!(framing.words(), "neither scaled nor cropped, at the network's size 2x3");
        // An explicitly chosen crop is applied even to a photo of the network's input size.
        let (shown, framing) = framed(&image, [2, 3], Some(0.5)).unwrap();
        assert_ne!(shown, image);
        assert_eq!(framing.words(), "resized from 2x3 to 4x6, cropped about the centre to 2x3");
    }

    #[test]
    fn images_of_other_sizes_are_scaled_and_cropped_as_in_reference_evaluations() {
        let words = |from: [usize; 2], side: usize| {
            let image = Image::filled(from[1], from[0], [0.5; 3]);
            framed(&image, [side; 2], None).unwrap().1.words()
        };
        assert_eq!(
            words([480, 640], 224),
            "resized from 480x640 to 256x341, cropped about the centre to 224x224"
        );
        assert_eq!(words([256, 256], 224), "cropped about the centre, from 256x256 to 224x224");
        assert_eq!(words([256, 256], 64), "resized from 256x256 to 64x64");
        assert_eq!(
            words([448, 448], 224),
            "resized from 448x448 to 256x256, cropped about the centre to 224x224"
        );
        assert_eq!(words([20, 20], 64), "resized from 20x20 to 74x74, cropped about the centre to 64x64");
        assert_eq!(Framing::covering([20, 20], [64, 64]).words(), "resized from 20x20 to 64x64");
        assert_eq!(Framing::squeezed([20, 30], [64, 64]).words(), "resized from 20x30 to 64x64");
    }
}
