//! Mosaics: one picture made of equally large tiles that fade into each other where they overlap.
//!
//! A tile is larger than its cell by the overlap on each side. Across the seam of two cells, twice the
//! overlap wide, one tile's weight falls linearly as the other's rises. Parts of tiles beyond the mosaic's
//! edge are cut off.
//!
//! The mean of two unlike textures has less contrast than either, so plain averaging would show a pale
//! lattice. Only local mean colours are averaged. The differences from them are added with weights whose
//! squares sum to one (Heitz & Neyret, "High-performance by-example noise using a histogram-preserving
//! blending operator", 2018, §3.1).

use crate::{Image, MediaError, Result};
use oneiro_image::MAX_PIXELS;

/// How a tile is drawn in its cell of the mosaic.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum TileLook {
    /// The whole tile, faded into its neighbours.
    #[default]
    Whole,
    /// The tile without its overlap, shrunk to this share of the cell's side, in the middle of the cell.
    Sized(f32),
    /// Like [`TileLook::Whole`], but blended with the background at this opacity (0–1).
    Faded(f32),
}

/// Draws tiles of one size as a mosaic with `columns` cells a row; each tile comes with how it is drawn. A
/// tile is `overlap` pixels larger than its cell on each side. `paper` is the background colour.
///
/// # Errors
///
/// [`MediaError::Shape`] if there are no tiles, their number is no multiple of `columns`, their sizes differ
/// or are no larger than the overlap, or the mosaic would be too large.
pub fn mosaic(tiles: &[(Image, TileLook)], columns: usize, overlap: usize, paper: [f32; 3]) -> Result<Image> {
    let wrong = |what: String| Err(MediaError::Shape { what });
    let Some((first, _)) = tiles.first() else {
        return wrong("a mosaic needs at least one tile; this one has none".into());
    };
    let (tile_width, tile_height) = (first.width, first.height);
    if columns == 0 || !tiles.len().is_multiple_of(columns) {
        return wrong(format!("{} tiles do not fill rows of {columns}", tiles.len()));
    }
    if let Some((tile, _)) = tiles.iter().find(|(t, _)| (t.width, t.height) != (tile_width, tile_height)) {
        return wrong(format!(
            "a tile of {}×{} among some of {tile_width}×{tile_height}",
            tile.width, tile.height
        ));
    }
    if tile_width <= 2 * overlap || tile_height <= 2 * overlap {
        return wrong(format!(
            "tiles of {tile_width}×{tile_height} are all overlap, which is {overlap} on each side"
        ));
    }
    let (cell_width, cell_height) = (tile_width - 2 * overlap, tile_height - 2 * overlap);
    let (width, height) =
        (cell_width.saturating_mul(columns), cell_height.saturating_mul(tiles.len() / columns));
    if (width as u64).saturating_mul(height as u64) > MAX_PIXELS {
        return wrong(format!("the mosaic would be {width}×{height} pixels; take fewer or smaller tiles"));
    }
    let mut canvas = Image::filled(width, height, paper);
    let pixels = width * height;
    // Weighted sums over the tiles that fade: of local mean colours, of differences from them, of weights,
    // and of squared weights.
    let (mut means, mut details) = (vec![0.0f32; 3 * pixels], vec![0.0f32; 3 * pixels]);
    let (mut weights, mut squares) = (vec![0.0f32; pixels], vec![0.0f32; pixels]);
    for (i, (tile, look)) in tiles.iter().enumerate() {
        let (left, top) = (i % columns * cell_width, i / columns * cell_height);
        let opacity = match *look {
            TileLook::Sized(share) => {
                shrunk(&mut canvas, tile, [left, top], [cell_width, cell_height], overlap, share);
                continue;
            }
            TileLook::Whole => 1.0,
            TileLook::Faded(opacity) => opacity.clamp(0.0, 1.0),
        };
        let smooth = smoothed(tile, overlap)?;
        for y in 0..tile_height {
            let Some(to_y) = (top + y).checked_sub(overlap).filter(|y| *y < height) else { continue };
            for x in 0..tile_width {
                let Some(to_x) = (left + x).checked_sub(overlap).filter(|x| *x < width) else { continue };
                let weight = ramp(x, tile_width, overlap) * ramp(y, tile_height, overlap);
                let to = to_y * width + to_x;
                weights[to] += weight;
                squares[to] += weight * weight;
                for c in 0..3 {
                    let at = y * tile_width + x;
                    let (value, mean) = (tile.plane(c)[at], smooth.plane(c)[at]);
                    means[c * pixels + to] += weight * (paper[c] + opacity * (mean - paper[c]));
                    details[c * pixels + to] += weight * opacity * (value - mean);
                }
            }
        }
    }
    for (i, value) in canvas.data.iter_mut().enumerate() {
        let (weight, square) = (weights[i % pixels], squares[i % pixels]);
        if weight > 0.0 {
            *value = (means[i] / weight + details[i] / square.sqrt()).clamp(0.0, 1.0);
        }
    }
    Ok(canvas)
}

/// Returns the local mean colours of a tile, averaged over about the width of a seam.
fn smoothed(tile: &Image, overlap: usize) -> Result<Image> {
    if overlap == 0 {
        return Ok(tile.clone());
    }
    let coarse = |n: usize| n.div_ceil(2 * overlap);
    let small = crate::resize(tile, coarse(tile.height), coarse(tile.width), crate::Filter::Triangle)?;
    Ok(crate::resize(&small, tile.height, tile.width, crate::Filter::Triangle)?)
}

/// Returns the weight of a tile along one axis: it rises from 0 to 1 over twice the overlap, and falls at the
/// other end.
fn ramp(at: usize, side: usize, overlap: usize) -> f32 {
    let from_edge = at.min(side - 1 - at) as f32 + 0.5;
    if overlap == 0 { 1.0 } else { (from_edge / (2 * overlap) as f32).min(1.0) }
}

/// Draws the middle of a tile smaller: each drawn pixel is the mean of the tile's pixels that it covers.
fn shrunk(
    canvas: &mut Image,
    tile: &Image,
    [left, top]: [usize; 2],
    [width, height]: [usize; 2],
    overlap: usize,
    share: f32,
) {
    let side = |n: usize| ((n as f32 * share.clamp(0.0, 1.0)).round() as usize).min(n);
    let (w, h) = (side(width), side(height));
    if w == 0 || h == 0 {
        return;
    }
    let Ok(middle) = tile.crop(overlap, overlap, width, height) else { return };
    let Ok(small) = crate::resize(&middle, h, w, crate::Filter::Triangle) else { return };
    let (left, top) = (left + (width - w) / 2, top + (height - h) / 2);
    let (canvas_width, pixels) = (canvas.width, canvas.width * canvas.height);
    for c in 0..3 {
        for (y, row) in small.plane(c).chunks_exact(w).enumerate() {
            let start = c * pixels + (top + y) * canvas_width + left;
            canvas.data[start..start + w].copy_from_slice(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: [f32; 3] = [1.0, 1.0, 1.0];

    fn grey(side: usize, value: f32) -> Image {
        Image::filled(side, side, [value; 3])
    }

    #[test]
    fn tiles_without_overlap_stand_side_by_side() {
        let tiles: Vec<_> = [0.0, 0.25, 0.5, 0.75].map(|v| (grey(2, v), TileLook::Whole)).into();
        let image = mosaic(&tiles, 2, 0, PAPER).unwrap();
        assert_eq!((image.width, image.height), (4, 4));
        assert_eq!([image.pixel(0, 0), image.pixel(3, 1)], [[0.0; 3], [0.25; 3]]);
        assert_eq!([image.pixel(0, 3), image.pixel(3, 3)], [[0.5; 3], [0.75; 3]]);
    }

    #[test]
    fn a_seam_is_a_straight_ramp_and_even_tiles_leave_none() {
        let tiles = [(grey(8, 0.0), TileLook::Whole), (grey(8, 1.0), TileLook::Whole)];
        let image = mosaic(&tiles, 2, 2, PAPER).unwrap();
        assert_eq!((image.width, image.height), (8, 4));
        let row: Vec<f32> = (0..8).map(|x| image.pixel(x, 1)[0]).collect();
        let ramp = [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0];
        assert!(row.iter().zip(ramp).all(|(a, b)| (a - b).abs() < 1e-6), "{row:?}");
        let even = vec![(grey(8, 0.3), TileLook::Whole); 4];
        assert!(mosaic(&even, 2, 2, PAPER).unwrap().data.iter().all(|v| (v - 0.3).abs() < 1e-6));
    }

    #[test]
    fn a_seam_of_unlike_textures_keeps_their_contrast() {
        // Two uncorrelated stripe patterns: one of columns, one of rows.
        let striped = |along_x: bool| {
            let bit = |i: usize| if along_x { i % 32 % 2 } else { i / 32 % 2 };
            Image::rgb(32, 32, (0..3 * 32 * 32).map(|i| 0.25 + 0.5 * bit(i) as f32).collect()).unwrap()
        };
        let tiles = [(striped(true), TileLook::Whole), (striped(false), TileLook::Whole)];
        let image = mosaic(&tiles, 2, 4, PAPER).unwrap();
        let deviation = |xs: std::ops::Range<usize>| {
            let values: Vec<f32> =
                xs.flat_map(|x| (0..24).map(move |y| (x, y))).map(|(x, y)| image.pixel(x, y)[0]).collect();
            (values.iter().map(|v| (v - 0.5).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
        };
        // The seam is from column 20 to 28.
        let (seam, whole) = (deviation(22..26), deviation(0..16));
        assert!((seam / whole - 1.0).abs() < 0.05, "{seam} {whole}");
    }

    #[test]
    fn tiles_may_be_small_or_pale() {
        let tiles = [(grey(8, 0.0), TileLook::Sized(0.5)), (grey(8, 0.0), TileLook::Faded(0.25))];
        let image = mosaic(&tiles, 2, 0, PAPER).unwrap();
        assert_eq!([image.pixel(0, 0), image.pixel(3, 3)], [PAPER, [0.0; 3]]);
        assert_eq!(image.pixel(12, 4), [0.75; 3]);
        let none = mosaic(&[(grey(8, 0.0), TileLook::Sized(0.0))], 1, 2, PAPER).unwrap();
        assert!(none.data.iter().all(|v| *v == 1.0));
    }

    #[test]
    fn what_makes_no_mosaic_is_refused() {
        let tile = || (grey(4, 0.0), TileLook::Whole);
        for (tiles, columns, overlap) in [
            (vec![], 1, 0),
            (vec![tile(); 3], 2, 0),
            (vec![tile()], 0, 0),
            (vec![tile()], 1, 2),
            (vec![tile(), (grey(5, 0.0), TileLook::Whole)], 2, 0),
        ] {
            assert!(mosaic(&tiles, columns, overlap, PAPER).is_err());
        }
    }
}
