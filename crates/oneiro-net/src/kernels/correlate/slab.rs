//! Slabs: copies of source lines in which the columns of every tap are contiguous.
//!
//! Seen through one tap, the positions of a block of outputs are a stretch of a source line. Around the
//! source there is padding, and a step larger than 1 leaves gaps. A *slab* is a copy of the lines that the
//! outputs need, with padding zeros. Each line is split by remainder modulo the step. In the slab every tap
//! is a constant distance away, whatever the padding, step and dilation. Without padding and with step 1, the
//! source itself serves as the slab.

use super::{Correlation, Reading};

/// Outputs that are contiguous in the slab and equally spaced in the destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Number of outputs in the segment.
    pub(crate) len: usize,
    /// Position in the slab of tap 0 of the first output.
    pub(crate) base: usize,
    /// Position of the first output in the destination.
    pub(crate) to: usize,
    /// Index of the first output in the range of outputs.
    pub(crate) place: usize,
}

/// A piece of a source line to copy into the slab.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) to: usize,
    pub(crate) from: usize,
    pub(crate) len: usize,
}

/// The slab of one range of outputs, counted in positions. Each thread keeps one and refills it, so that it
/// allocates only to grow.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    pub(crate) segments: Vec<Segment>,
    /// Position of each tap, relative to a segment's base.
    pub(crate) taps: Vec<usize>,
    /// Whether the source itself serves as the slab.
    pub(crate) direct: bool,
    pub(crate) pieces: Vec<Piece>,
    /// Ranges of the slab that hold padding zeros.
    pub(crate) zeros: Vec<(usize, usize)>,
    /// Distance in the source between two positions of a piece.
    pub(crate) step: usize,
    /// Number of positions in the slab.
    pub(crate) len: usize,
    /// For each source line and each remainder modulo the step, the range that the outputs read.
    needed: Vec<(usize, usize)>,
    width: usize,
}

impl Slab {
    pub(crate) const fn new() -> Slab {
        Slab {
            segments: Vec::new(),
            taps: Vec::new(),
            direct: false,
            pieces: Vec::new(),
            zeros: Vec::new(),
            step: 1,
            len: 0,
            needed: Vec::new(),
            width: usize::MAX,
        }
    }

    /// Lays out the slab of grid positions `begin .. end` (linear, not empty). Segments also end at multiples
    /// of `width` from the beginning.
    pub(crate) fn lay(&mut self, correlation: &Correlation, begin: usize, end: usize, width: usize) {
        let reading = Reading::of(correlation);
        self.width = width;
        self.segments.clear();
        self.taps.clear();
        self.pieces.clear();
        self.zeros.clear();
        self.len = 0;
        self.direct = true;
        self.step = 1;
        if correlation.taps.is_empty() {
            self.cut(correlation, &reading, begin, end, |_, _, _| 0);
            return;
        }
        let mut low = [isize::MAX; 3];
        let mut high = [isize::MIN; 3];
        for &tap in &correlation.taps {
            let tap = reading.tap(tap);
            for d in 0..3 {
                low[d] = low[d].min(tap[d]);
                high[d] = high[d].max(tap[d]);
            }
        }
        let inside = |d: usize| {
            low[d] >= 0
                && ((reading.grid[d] - 1) * reading.step[d]) as isize + high[d] < reading.src[d] as isize
        };
        self.step = reading.step[2];
        self.direct = self.step == 1 && (0..3).all(inside);
        if self.direct {
            let [_, height, line] = reading.src;
            let at = |z: usize, y: usize, x: usize| (z * height + y) * line + x;
            self.cut(correlation, &reading, begin, end, |z, y, x| {
                at(z * reading.step[0], y * reading.step[1], x)
            });
            self.taps.extend(correlation.taps.iter().map(|&tap| {
                let [z, y, x] = reading.tap(tap).map(|t| t as usize);
                at(z, y, x)
            }));
        } else {
            self.lay_lines(correlation, &reading, low, high, begin, end);
        }
    }

    /// Divides the range into segments, which end where a grid line ends.
    fn cut(
        &mut self,
        correlation: &Correlation,
        reading: &Reading,
        begin: usize,
        end: usize,
        base: impl Fn(usize, usize, usize) -> usize,
    ) {
        let [_, grid_height, grid_width] = reading.grid;
        let whole = correlation.is_whole();
        let Correlation { grid, dst, dst_start, dst_step, .. } = correlation;
        let mut position = begin;
        while position < end {
            let (row, x) = (position / grid_width, position % grid_width);
            // If the grid is not the whole destination, segments end at the original rows of the grid,
            // although rows may have been joined.
            let line = if whole { grid_width - x } else { grid[2] - position % grid[2] };
            let place = position - begin;
            let room = self.width - place % self.width;
            let len = line.min(grid_width - x).min(end - position).min(room);
            let to = if whole {
                position
            } else {
                let (row, x) = (position / grid[2], position % grid[2]);
                let z = dst_start[0] + row / grid[1] * dst_step[0];
                let y = dst_start[1] + row % grid[1] * dst_step[1];
                (z * dst[1] + y) * dst[2] + dst_start[2] + x * dst_step[2]
            };
            self.segments.push(Segment {
                len,
                base: base(row / grid_height, row % grid_height, x),
                to,
                place,
            });
            position += len;
        }
    }

    /// Lays out the lines of a slab. Lists the ranges of zeros and the pieces to copy.
    fn lay_lines(
        &mut self,
        correlation: &Correlation,
        reading: &Reading,
        low: [isize; 3],
        high: [isize; 3],
        begin: usize,
        end: usize,
    ) {
        let Reading { src, grid, step, .. } = *reading;
        // The box of grid positions that contains the range.
        let (first, last) = (begin / grid[2], (end - 1) / grid[2]);
        let (z0, z1) = (first / grid[1], last / grid[1]);
        let (y0, y1) = if z0 == z1 { (first % grid[1], last % grid[1]) } else { (0, grid[1] - 1) };
        let (x0, x1) = if first == last { (begin % grid[2], (end - 1) % grid[2]) } else { (0, grid[2] - 1) };
        let span = |d: usize| (high[d] - low[d]) as usize;
        let depth = (z1 - z0) * step[0] + span(0) + 1;
        let height = (y1 - y0) * step[1] + span(1) + 1;
        let remainders = step[2].min(span(2) + 1);
        let length = x1 - x0 + span(2) / step[2] + 1;
        let at = |z: usize, y: usize, remainder: usize, x: usize| {
            ((z * height + y) * remainders + remainder) * length + x
        };
        let from_low = |tap: [isize; 3]| {
            let tap = reading.tap(tap);
            [0, 1, 2].map(|d| (tap[d] - low[d]) as usize)
        };
        self.cut(correlation, reading, begin, end, |z, y, x| {
            at((z - z0) * step[0], (y - y0) * step[1], 0, x - x0)
        });
        self.taps.extend(correlation.taps.iter().map(|&tap| {
            let [z, y, x] = from_low(tap);
            at(z, y, x % step[2], x / step[2])
        }));
        self.needed.clear();
        self.needed.resize(depth * height * remainders, (usize::MAX, 0));
        for row in first..=last {
            let from = if row == first { begin % grid[2] } else { 0 };
            let to = if row == last { (end - 1) % grid[2] } else { grid[2] - 1 };
            for &tap in &correlation.taps {
                let [z, y, x] = from_low(tap);
                let (z, y) = ((row / grid[1] - z0) * step[0] + z, (row % grid[1] - y0) * step[1] + y);
                let needed = &mut self.needed[(z * height + y) * remainders + x % step[2]];
                needed.0 = needed.0.min(from - x0 + x / step[2]);
                needed.1 = needed.1.max(to - x0 + x / step[2] + 1);
            }
        }
        self.len = depth * height * remainders * length;
        for (line, &(begin, end)) in self.needed.iter().enumerate() {
            if begin >= end {
                continue;
            }
            let start = line * length;
            let origin = [z0, y0, x0];
            let within = [line / remainders / height, line / remainders % height, line % remainders];
            let [z, y, x] = [0, 1, 2].map(|d| (origin[d] * step[d] + within[d]) as isize + low[d]);
            let stride = step[2] as isize;
            // The part of the range whose source positions x + i·step lie inside the source line.
            let inside_rows = (0..src[0] as isize).contains(&z) && (0..src[1] as isize).contains(&y);
            let ceil = |a: isize| (a.max(0) as usize).div_ceil(stride as usize);
            let (valid, stop) = if inside_rows { (ceil(-x), ceil(src[2] as isize - x)) } else { (end, end) };
            let valid = valid.clamp(begin, end);
            let stop = stop.clamp(valid, end);
            for (from, to) in [(begin, valid), (stop, end)] {
                if from < to {
                    self.zeros.push((start + from, start + to));
                }
            }
            if valid < stop {
                let from = (z as usize * src[1] + y as usize) * src[2];
                let from = (from as isize + x + valid as isize * stride) as usize;
                self.pieces.push(Piece { to: start + valid, from, len: stop - valid });
            }
        }
    }
}
