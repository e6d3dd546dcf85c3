//! Tiles: pictures of any size are shown to a network of one size in parts.
//!
//! The picture is a torus that is rolled before each step. An axis that fits into a tile is one tile of
//! exactly its length, as if there were no tiles. A longer axis has several tiles that overlap. A quarter of
//! the overlap at each end of a tile is discarded, because a network pads with zeros at a tile's edge. In the
//! middle half of the overlap, neighbouring tiles are blended, so that no border is visible. The weights of a
//! pixel over all tiles sum to 1. If the network accepts one size only and the axis is shorter, the tile
//! shows the torus repeated, and only its middle counts.

use rayon::prelude::*;

use super::times::{Times, Window};

/// Tile lengths are multiples of this number where possible, because strides of networks are powers of two.
const MULTIPLE: usize = 32;

/// The tiles along one axis of the picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// Length of the picture along the axis.
    len: usize,
    /// Length of every tile along the axis.
    pub tile: usize,
    /// Position at which each tile begins, in the picture continued periodically.
    starts: Vec<usize>,
    /// For each tile, the weights with which its pixels are blended.
    weights: Vec<Vec<f32>>,
    /// Whether the network accepts no other tile length.
    forced: bool,
}

impl Axis {
    /// Divides an axis into tiles of at most `largest` pixels, for a network that accepts any size.
    pub fn free(len: usize, largest: usize, overlap: usize) -> Self {
        if len <= largest {
            return Self { len, tile: len, starts: vec![0], weights: vec![vec![1.0; len]], forced: false };
        }
        // The smallest number of tiles is used, and tiles are no longer than this number requires.
        let count = len.div_ceil(largest - overlap);
        let tile = (len.div_ceil(count) + overlap).next_multiple_of(MULTIPLE).min(largest);
        Self::several(len, tile, overlap, false)
    }

    /// Divides an axis into tiles of exactly `tile` pixels.
    pub fn fixed(len: usize, tile: usize, overlap: usize) -> Self {
        if len <= tile {
            let before = (tile - len) / 2;
            let inside = |i: usize| if (before..before + len).contains(&i) { 1.0 } else { 0.0 };
            let start = (len - before % len) % len;
            return Self {
                len,
                tile,
                starts: vec![start],
                weights: vec![(0..tile).map(inside).collect()],
                forced: true,
            };
        }
        Self::several(len, tile, overlap.min(tile / 2), true)
    }

    fn several(len: usize, tile: usize, overlap: usize, forced: bool) -> Self {
        let count = len.div_ceil(tile - overlap);
        let starts: Vec<usize> = (0..count).map(|i| i * len / count).collect();
        let (out, blend) = (overlap / 4, overlap - 2 * (overlap / 4));
        // The weight rises from 0 in the discarded part to 1 after the blended part, from either end.
        let rise = |i: usize| ((i + 1).saturating_sub(out) as f32 / (blend + 1) as f32).min(1.0);
        let window: Vec<f32> = (0..tile).map(|i| rise(i).min(rise(tile - 1 - i))).collect();
        let mut total = vec![0.0f32; len];
        for start in &starts {
            window.iter().enumerate().for_each(|(i, weight)| total[(start + i) % len] += weight);
        }
        let normalized = |start: &usize| -> Vec<f32> {
            window.iter().enumerate().map(|(i, weight)| weight / total[(start + i) % len]).collect()
        };
        let weights = starts.iter().map(normalized).collect();
        Self { len, tile, starts, weights, forced }
    }

    pub fn is_forced(&self) -> bool {
        self.forced
    }

    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// Returns the largest roll in either direction. It is at least so large that every border between tiles
    /// moves.
    pub fn roll(&self, jitter: usize) -> usize {
        if self.count() > 1 { jitter.max(self.tile / 2) } else { jitter }
    }

    /// Returns the pixels of the picture, rolled by `shift`, that a tile shows.
    fn places(&self, index: usize, shift: i32) -> Vec<usize> {
        let back = self.len - (shift.rem_euclid(self.len as i32)) as usize;
        (0..self.tile).map(|i| (self.starts[index] + i + back) % self.len).collect()
    }
}

/// One tile of a rolled picture: the source positions of its pixels, and their weights.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    size: [usize; 2],
    rows: Vec<usize>,
    columns: Vec<usize>,
    row_weights: &'a [f32],
    column_weights: &'a [f32],
}

/// Returns all tiles of a picture that is rolled by `shift` (down, right), row by row.
pub(super) fn tiles(axes: &[Axis; 2], shift: [i32; 2]) -> impl Iterator<Item = Tile<'_>> {
    let [y, x] = axes;
    (0..y.count() * x.count()).map(move |i| {
        let (row, column) = (i / x.count(), i % x.count());
        Tile {
            size: [y.len, x.len],
            rows: y.places(row, shift[0]),
            columns: x.places(column, shift[1]),
            row_weights: &y.weights[row],
            column_weights: &x.weights[column],
        }
    })
}

impl Tile<'_> {
    /// Reads the tile's pixels from a picture, each multiplied by a factor.
    pub fn read(&self, picture: &[f32], factor: f32, out: &mut [f32]) {
        let ([h, w], th) = (self.size, self.rows.len());
        out.par_chunks_mut(self.columns.len()).enumerate().for_each(|(i, out)| {
            let row = &picture[(i / th * h + self.rows[i % th]) * w..][..w];
            out.iter_mut().zip(&self.columns).for_each(|(o, x)| *o = factor * row[*x]);
        });
    }

    /// Adds the tile's values times their weights to a picture. This is the adjoint of [`Tile::read`] with
    /// weights.
    pub fn add(&self, values: &[f32], factor: f32, picture: &mut [f32]) {
        let ([h, w], [th, tw]) = (self.size, [self.rows.len(), self.columns.len()]);
        picture.par_chunks_mut(h * w).zip(values.par_chunks(th * tw)).for_each(|(plane, values)| {
            for ((values, y), wy) in values.chunks_exact(tw).zip(&self.rows).zip(self.row_weights) {
                if *wy == 0.0 {
                    continue;
                }
                let row = &mut plane[y * w..][..w];
                for ((value, x), wx) in values.iter().zip(&self.columns).zip(self.column_weights) {
                    row[*x] += factor * wy * wx * value;
                }
            }
        });
    }
}

impl Tile<'_> {
    /// Reads the tile's pixels of a window of a clip's frames, like [`Tile::read`]. `picture` is
    /// `[3, T, H, W]`.
    pub fn read_window(&self, picture: &[f32], times: &Times, window: &Window, factor: f32, out: &mut [f32]) {
        let plane = self.size[0] * self.size[1];
        let (tile, seen) = (self.rows.len() * self.columns.len(), window.frames.len());
        out.par_chunks_mut(tile).enumerate().for_each(|(i, out)| {
            let source = i / seen * times.frames + window.frames[i % seen];
            self.read(&picture[source * plane..][..plane], factor, out);
        });
    }

    /// Adds values like [`Tile::add`], each frame's times its weight: the adjoint of [`Tile::read_window`].
    pub fn add_window(
        &self,
        values: &[f32],
        times: &Times,
        window: &Window,
        factor: f32,
        picture: &mut [f32],
    ) {
        let plane = self.size[0] * self.size[1];
        let (tile, seen) = (self.rows.len() * self.columns.len(), window.frames.len());
        picture.par_chunks_mut(plane).enumerate().for_each(|(i, picture)| {
            let (channel, frame) = (i / times.frames, i % times.frames);
            let counts = |&k: &usize| window.frames[k] == frame && window.weights[k] != 0.0;
            for k in (0..seen).filter(counts) {
                let values = &values[(channel * seen + k) * tile..][..tile];
                self.add(values, factor * window.weights[k], picture);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes() -> Vec<Axis> {
        vec![
            Axis::free(40, 64, 16),
            Axis::free(65, 64, 16),
            Axis::free(200, 64, 16),
            Axis::free(201, 64, 0),
            Axis::free(1000, 512, 64),
            Axis::fixed(40, 64, 16),
            Axis::fixed(1, 64, 16),
            Axis::fixed(64, 64, 16),
            Axis::fixed(100, 64, 16),
            Axis::fixed(300, 33, 16),
        ]
    }

    #[test]
    fn the_weights_of_every_pixel_sum_to_one() {
        for axis in axes() {
            for shift in [0, 1, -7, 1000] {
                let mut total = vec![0.0f32; axis.len];
                for i in 0..axis.count() {
                    for (at, weight) in axis.places(i, shift).iter().zip(&axis.weights[i]) {
                        total[*at] += weight;
                    }
                }
                assert!(total.iter().all(|t| (t - 1.0).abs() < 1e-5), "{axis:?} {total:?}");
            }
        }
    }

    #[test]
    fn the_ends_of_overlapping_tiles_do_not_count_and_weights_change_slowly() {
        let axis = Axis::free(1000, 512, 64);
        assert!(axis.count() > 1 && axis.tile <= 512);
        for weights in &axis.weights {
            assert!(weights[..16].iter().chain(&weights[axis.tile - 16..]).all(|w| *w == 0.0));
            assert!(weights.windows(2).all(|w| (w[0] - w[1]).abs() < 0.05));
        }
    }

    #[test]
    fn rolling_and_rolling_back_is_exact() {
        for y in axes() {
            let axes = [y, Axis::free(50, 20, 8)];
            let size = [axes[0].len, 50];
            let picture: Vec<f32> = (0..3 * size[0] * size[1]).map(|i| i as f32).collect();
            for shift in [[0, 0], [3, -2], [-400, 31]] {
                let mut back = vec![0.0; picture.len()];
                for tile in tiles(&axes, shift) {
                    let mut seen = vec![0.0; 3 * axes[0].tile * axes[1].tile];
                    tile.read(&picture, 1.0, &mut seen);
                    tile.add(&seen, 1.0, &mut back);
                }
                let worst =
                    picture.iter().zip(&back).map(|(a, b)| (a - b).abs() / (1.0 + a)).fold(0.0, f32::max);
                assert!(worst < 1e-6, "{axes:?} {shift:?}: {worst}");
            }
        }
        // With one tile the result is exact to the last bit. The roll goes down and to the right.
        let axes = [Axis::free(4, 8, 0), Axis::free(5, 8, 0)];
        let picture: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let (mut seen, mut back) = (vec![0.0; 60], vec![0.0; 60]);
        for tile in tiles(&axes, [1, 2]) {
            tile.read(&picture, 1.0, &mut seen);
            tile.add(&seen, 1.0, &mut back);
        }
        assert_eq!((seen[5 + 2], &back), (picture[0], &picture));
    }

    #[test]
    fn a_short_axis_is_repeated_around_a_fixed_tile() {
        let axis = Axis::fixed(3, 8, 2);
        assert_eq!(axis.places(0, 0), [1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(axis.weights[0], [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
