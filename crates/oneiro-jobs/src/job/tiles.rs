//! Assembles pictures from pictures: enlarged, crossed out, side by side, in squares.

use oneiro_media::{Filter, Image, resize};

use crate::error::Result;

/// Minimum side of a picture that is enlarged smoothly. The pixels of smaller ones stay squares.
const SMOOTH: usize = 64;
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

/// Draws a red frame over the border of a picture that is to be doubted.
pub(crate) fn marked(image: &mut Image) {
    /// The frame's colour, and its width: this part of the picture's height, but some pixels at least.
    const RED: [f32; 3] = [0.83, 0.13, 0.13];
    const PART: (usize, usize) = (48, 3);
    let (height, width) = (image.height, image.width);
    let wide = (height / PART.0).max(PART.1);
    for (i, value) in image.data.iter_mut().enumerate() {
        let (channel, y, x) = (i / (height * width), i / width % height, i % width);
        let is_inside = (wide..height.saturating_sub(wide)).contains(&y)
            && (wide..width.saturating_sub(wide)).contains(&x);
        if !is_inside {
            *value = RED[channel % 3];
        }
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

/// Resizes a picture to this height. The pixels of small pictures stay squares if the height is a multiple
/// of the picture's.
pub(crate) fn enlarged_to(image: Image, height: usize) -> Result<Image> {
    let width = (image.width * height / image.height.max(1)).max(1);
    match height == image.height {
        true => Ok(image),
        false if image.height >= SMOOTH => Ok(resize(&image, height, width, Filter::Triangle)?),
        false => Ok(resize(&image, height, width, Filter::Area)?),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_covers_the_border_alone() {
        let mut image = Image::filled(20, 10, [1.0; 3]);
        marked(&mut image);
        let at = |x: usize, y: usize| [0, 1, 2].map(|channel| image.plane(channel)[y * 20 + x]);
        for (x, y) in [(0, 0), (2, 5), (19, 9), (10, 2), (17, 5)] {
            assert_eq!(at(x, y), [0.83, 0.13, 0.13], "{x} {y}");
        }
        assert_eq!([at(3, 3), at(16, 6)], [[1.0; 3]; 2]);
        // Of a tiny picture nothing else is left.
        let mut image = Image::filled(2, 2, [1.0; 3]);
        marked(&mut image);
        assert!(image.plane(1).iter().all(|value| *value == 0.13));
    }
}
