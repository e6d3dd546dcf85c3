//! Assembles pictures from pictures: enlarged, crossed out, side by side, in squares.

use oneiro_media::{Filter, Image, resize};

use crate::error::Result;

/// Number of crops along a side of a mosaic.
pub(crate) const SIDE: usize = 3;
/// Number of pixels between neighbouring crops.
const GAP: usize = 2;
/// Grey value between crops and in place of missing crops.
const PAPER: f32 = 0.93;

/// Makes a picture pale that shows nothing of its unit, and draws a cross over it.
pub(crate) fn crossed_out(image: &mut Image) {
    /// Brightness that the picture fades to, the picture's opacity, and brightness of the cross.
    const PALE: (f32, f32, f32) = (0.85, 0.15, 0.55);
    let (height, width) = (image.height, image.width);
    let plane = height * width;
    let longest = height.max(width).max(2);
    for (i, value) in image.data.iter_mut().enumerate() {
        let (y, x) = (i % plane / width, i % width);
        // Both diagonals of the picture, scaled by its height and width to stay in integers.
        let (down, across) = (y * (width - 1).max(1), x * (height - 1).max(1));
        let up = (width - 1 - x) * (height - 1).max(1);
        let is_cross = down.abs_diff(across).min(down.abs_diff(up)) < longest;
        *value = if is_cross { PALE.2 } else { PALE.0 + PALE.1 * (*value - PALE.0) };
    }
}

/// Enlarges a picture by the smallest integer factor for which its longer side is at least `tile`. Pixels
/// stay squares.
pub(crate) fn enlarged(image: Image, tile: usize) -> Result<Image> {
    let factor = tile.div_ceil(image.height.max(image.width).max(1));
    if factor < 2 {
        return Ok(image);
    }
    Ok(resize(&image, image.height * factor, image.width * factor, Filter::Area)?)
}

/// A picture whose longer side is this long at most.
pub(crate) fn reduced(picture: Image, most: usize) -> Result<Image> {
    let longest = picture.height.max(picture.width);
    if longest <= most {
        return Ok(picture);
    }
    let (height, width) = (picture.height * most / longest, picture.width * most / longest);
    Ok(resize(&picture, height.max(1), width.max(1), Filter::Triangle)?)
}

/// Arranges pictures in a square mosaic, each resized to its tile.
pub(crate) fn squares(parts: &[Image], side: usize) -> Result<Image> {
    let tile = (side.saturating_sub((SIDE - 1) * GAP) / SIDE).max(1);
    let mut square = Image::filled(side, side, [PAPER; 3]);
    for (i, part) in parts.iter().enumerate() {
        // The pixels of pictures smaller than a tile stay squares.
        let filter = if part.height.max(part.width) < tile { Filter::Area } else { Filter::Triangle };
        let part = resize(part, tile, tile, filter)?;
        let (top, left) = (i / SIDE * (tile + GAP), i % SIDE * (tile + GAP));
        for channel in 0..3 {
            for y in 0..tile {
                let from = &part.data[(channel * tile + y) * tile..][..tile];
                let at = (channel * side + top + y) * side + left;
                square.data[at..at + tile].copy_from_slice(from);
            }
        }
    }
    Ok(square)
}

/// Places two pictures side by side on white, aligned at the top.
pub(crate) fn beside(left: &Image, right: &Image) -> Result<Image> {
    const BETWEEN: usize = 4;
    let (height, width) = (left.height.max(right.height), left.width + BETWEEN + right.width);
    let mut both = Image::filled(width, height, [1.0; 3]);
    for (picture, from) in [(left, 0), (right, left.width + BETWEEN)] {
        for channel in 0..3 {
            for y in 0..picture.height {
                let row = &picture.data[(channel * picture.height + y) * picture.width..][..picture.width];
                let at = (channel * height + y) * width + from;
                both.data[at..at + picture.width].copy_from_slice(row);
            }
        }
    }
    Ok(both)
}

/// Places two pictures of the same width one below the other.
pub(crate) fn below(above: &Image, under: &Image) -> Result<Image> {
    let data = (0..3).flat_map(|channel| [above.plane(channel), under.plane(channel)].concat()).collect();
    Ok(Image::rgb(above.width, above.height + under.height, data)?)
}
