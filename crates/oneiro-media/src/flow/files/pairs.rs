//! Folders of gray pictures, one for each component (u, v) of each flow field. Flow of the data sets UCF101
//! and HMDB51 is distributed like this.
//!
//! K. Simonyan, A. Zisserman, "Two-Stream Convolutional Networks for Action Recognition in Videos", NIPS
//! 2014, store flow components as gray JPEG. L. Wang et al., "Temporal Segment Networks", ECCV 2016, map
//! motions of −20 to 20 pixels to gray values 0 to 255.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::flow::Flow;
use crate::{MediaError, Result, has_image_name, read_image, write_atomic};

/// Default motion in pixels per frame that white stands for; black stands for its negative.
pub const FLOW_BOUND: f32 = 20.0;

/// Beginnings of the file names of the pictures of u and v.
const PREFIXES: [&str; 2] = ["flow_x_", "flow_y_"];
/// Names of the subfolders that hold the pictures of u and v, if they are kept apart.
const FOLDERS: [&str; 2] = ["u", "v"];

/// Reads flow from a folder of gray pictures, in which black is `-bound` pixels per frame and white is
/// `bound`. The folder holds `flow_x_00001.jpg`, `flow_y_00001.jpg` and so on, or subfolders `u` and `v` with
/// pictures of equal names. Fields are ordered by the numbers in the names. No motion is stored as 128, which
/// reads as 1/255 of the bound.
///
/// # Errors
///
/// If there are no such pictures, a component is missing, sizes differ, or a picture cannot be read.
pub fn read_flow_pairs(folder: impl AsRef<Path>, bound: f32) -> Result<Flow> {
    let folder = folder.as_ref();
    let none = |reason: String| MediaError::NoFlow { path: folder.into(), reason };
    check_bound(bound).map_err(none)?;
    let [x, y] = if is_split(folder) {
        [pictures(&folder.join(FOLDERS[0]), "")?, pictures(&folder.join(FOLDERS[1]), "")?]
    } else {
        [pictures(folder, PREFIXES[0])?, pictures(folder, PREFIXES[1])?]
    };
    if x.is_empty() && y.is_empty() {
        return Err(none(
            "it holds neither pictures flow_x_00001.jpg, flow_y_00001.jpg and so on, nor folders u and v of \
             pictures; name a folder that does"
                .into(),
        ));
    }
    let lonely = |a: &BTreeMap<Key, PathBuf>, b: &BTreeMap<Key, PathBuf>| {
        a.iter().find(|(key, _)| !b.contains_key(key)).map(|(_, path)| path.clone())
    };
    if let Some(path) = lonely(&x, &y).or_else(|| lonely(&y, &x)) {
        return Err(none(format!(
            "`{}` has no picture of the other component; copy it, too",
            path.display()
        )));
    }
    let read = |path: &Path| -> Result<(usize, usize, Vec<f32>)> {
        let picture = read_image(path)?;
        let motion = picture.plane(0).iter().map(|value| (2.0 * value - 1.0) * bound).collect();
        Ok((picture.height, picture.width, motion))
    };
    let (mut size, mut data) = (None, Vec::new());
    for (x, y) in x.values().zip(y.values()) {
        for path in [x, y] {
            let (height, width, motion) = read(path)?;
            let (first_height, first_width) = *size.get_or_insert((height, width));
            if (height, width) != (first_height, first_width) {
                return Err(none(format!(
                    "`{}` has {width}×{height} pixels, and pictures before it {first_width}×{first_height}",
                    path.display()
                )));
            }
            data.extend(motion);
        }
    }
    let (height, width) = size.unwrap_or_default();
    Flow::new(x.len(), height, width, data)
}

fn is_split(folder: &Path) -> bool {
    FOLDERS.iter().all(|name| folder.join(name).is_dir())
}

/// Whether a folder holds pictures of flow components, judged by their names.
pub(super) fn is_folder_of_pairs(folder: &Path) -> Result<bool> {
    Ok(is_split(folder) || !pictures(folder, PREFIXES[0])?.is_empty())
}

/// Sort key of a picture file: the last number in its name, then the name without its ending.
type Key = (u64, String);

/// Returns a folder's pictures whose names begin with `prefix`, ordered by the number in the name.
fn pictures(folder: &Path, prefix: &str) -> Result<BTreeMap<Key, PathBuf>> {
    let refused = |source| MediaError::Read { path: folder.into(), source };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if let Some(name) = stem.strip_prefix(prefix).filter(|_| has_image_name(&path)) {
            let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let number = name[name.len() - digits..].parse().unwrap_or(u64::MAX);
            found.insert((number, name.to_owned()), path);
        }
    }
    Ok(found)
}

fn check_bound(bound: f32) -> Result<(), String> {
    if bound.is_finite() && bound > 0.0 {
        return Ok(());
    }
    Err(format!("the bound of the motion is {bound}; it has to be above 0"))
}

/// Writes `flow_x_00001.jpg`, `flow_y_00001.jpg` and so on into an existing folder: gray JPEG of quality 95.
/// Motions beyond `bound` pixels per frame are clamped, and motions that are not finite become 0.
///
/// # Errors
///
/// A bound that is not above 0, a build without JPEG, and the errors of [`write_atomic`].
pub fn write_flow_pairs(folder: impl AsRef<Path>, flow: &Flow, bound: f32) -> Result<()> {
    let folder = folder.as_ref();
    check_bound(bound).map_err(|reason| MediaError::WriteFlow { path: folder.into(), reason })?;
    for frame in 0..flow.frames {
        for (prefix, bytes) in PREFIXES.into_iter().zip(encode_flow_pair(flow, frame, bound)?) {
            write_atomic(folder.join(format!("{prefix}{:05}.jpg", frame + 1)), &bytes)?;
        }
    }
    Ok(())
}

/// Returns the JPEG pictures of u and v of one flow field, as [`write_flow_pairs`] writes them.
///
/// # Errors
///
/// [`MediaError::Shape`] for a bound that is not above 0 and a side that is too long, and
/// [`MediaError::LeftOut`] in a build without JPEG.
pub fn encode_flow_pair(flow: &Flow, frame: usize, bound: f32) -> Result<[Vec<u8>; 2]> {
    check_bound(bound).map_err(|what| MediaError::Shape { what })?;
    let picture = |motion: &[f32]| {
        let gray: Vec<u8> = motion.iter().map(|&motion| gray(motion, bound)).collect();
        jpeg(flow.width, flow.height, &gray)
    };
    Ok([picture(flow.u(frame))?, picture(flow.v(frame))?])
}

/// Maps a motion in −bound to bound to a gray value in 0 to 255; motion that is not finite becomes 0 first.
fn gray(motion: f32, bound: f32) -> u8 {
    let motion = if motion.is_finite() { motion } else { 0.0 };
    oneiro_image::quantize((motion / bound + 1.0) / 2.0)
}

#[cfg(feature = "jpeg")]
fn jpeg(width: usize, height: usize, gray: &[u8]) -> Result<Vec<u8>> {
    /// JPEG quality, equal to that of this crate's other JPEG files.
    const QUALITY: u8 = 95;
    let refused =
        |reason: String| MediaError::Shape { what: format!("flow cannot be written as JPEG: {reason}") };
    let side = |side: usize| {
        u32::try_from(side).map_err(|_| refused(format!("a side of {side} pixels is too long")))
    };
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode(gray, side(width)?, side(height)?, image::ExtendedColorType::L8)
        .map_err(|error| refused(error.to_string()))?;
    Ok(bytes)
}

#[cfg(not(feature = "jpeg"))]
fn jpeg(_: usize, _: usize, _: &[u8]) -> Result<Vec<u8>> {
    Err(crate::formats::left_out("JPEG", "cannot write pictures of flow"))
}
