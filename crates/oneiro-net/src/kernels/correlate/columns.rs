//! Packs columns of a correlation: what the taps of every channel see at a block of grid positions.
//!
//! ```text
//! panel[(channel, tap)][j] = src[channel, (p + j)·step + tap]      0 outside the source
//! ```
//!
//! The source is seen through a *slab*: for one channel, the source lines that the block needs, with their
//! zeros around them and each line split by remainder modulo the step. In the slab the columns of a tap along
//! one grid row are contiguous, whatever the step, the dilation or the padding; so one loop copies them all.
//! Where nothing is padded and the step is 1, the source itself is used as the slab.

use super::Correlation;
use crate::kernels::isa::Isa;
use crate::kernels::scratch::{AlignedBuffer, LINE};

/// Numbers that a panel may write beyond its end: copies go by whole vectors, and the overhang of one is
/// overwritten by the next or falls here.
const OVERHANG: usize = LINE;

/// The reading side of a correlation, with dimensions that are contiguous in the source joined into one.
///
/// A 1×1 convolution of step 1 becomes one line as long as the plane, and a 3×1×1 one becomes
/// two-dimensional: longer lines, fewer pieces.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) src: [usize; 3],
    pub(crate) grid: [usize; 3],
    pub(crate) step: [usize; 3],
    /// How often the last two dimensions were joined, with the widths they were joined at.
    joined: [usize; 2],
}

impl Reading {
    pub(crate) fn of(correlation: &Correlation) -> Reading {
        let mut reading = Reading {
            src: correlation.src,
            grid: correlation.grid,
            step: correlation.src_step,
            joined: [0; 2],
        };
        for level in 0..2 {
            let [depth, height, width] = reading.src;
            let [grid_depth, grid_height, grid_width] = reading.grid;
            let joinable = reading.step[1..] == [1, 1]
                && width == grid_width
                && correlation.taps.iter().all(|&tap| reading.tap(tap)[2] == 0);
            if !joinable {
                break;
            }
            reading.src = [1, depth, height * width];
            reading.grid = [1, grid_depth, grid_height * grid_width];
            reading.step = [1, reading.step[0], 1];
            reading.joined[level] = width;
        }
        reading
    }

    /// A tap of the correlation in the joined dimensions.
    pub(crate) fn tap(&self, mut tap: [isize; 3]) -> [isize; 3] {
        for width in self.joined {
            if width > 0 {
                tap = [0, tap[0], tap[1] * width as isize];
            }
        }
        tap
    }
}

/// Columns of one panel that lie side by side in the slab.
#[derive(Clone, Copy)]
struct Segment {
    /// First column in the panel.
    column: usize,
    /// Columns.
    len: usize,
    /// Where tap 0 of the first column lies in the slab.
    base: usize,
}

/// A piece of a source line to copy into the slab, every step-th number of it.
#[derive(Clone, Copy)]
struct Piece {
    to: usize,
    from: usize,
    len: usize,
}

/// How to pack one block of columns; kept by each thread and refilled for each task, so that it allocates
/// only to grow.
pub(super) struct Columns {
    width: usize,
    panels: usize,
    segments: Vec<Segment>,
    /// Where the segments of each panel begin, and the end.
    first_segment: Vec<usize>,
    /// Where each tap lies in the slab, from the segment's base.
    taps: Vec<usize>,
    /// Whether the source serves as the slab.
    direct: bool,
    pieces: Vec<Piece>,
    /// Per line and remainder of the slab, the range that the block needs.
    needed: Vec<(usize, usize)>,
    step: usize,
    slab: AlignedBuffer,
    /// Numbers of the slab (or of a source plane) that whole-vector copies may read from its start.
    reach: usize,
    panel_data: AlignedBuffer,
}

impl Columns {
    pub(super) const fn new() -> Columns {
        Columns {
            width: 0,
            panels: 0,
            segments: Vec::new(),
            first_segment: Vec::new(),
            taps: Vec::new(),
            direct: false,
            pieces: Vec::new(),
            needed: Vec::new(),
            step: 1,
            slab: AlignedBuffer::new(),
            reach: 0,
            panel_data: AlignedBuffer::new(),
        }
    }

    /// Lays out the packing of grid positions `begin .. end` (linear, not empty) in panels `width` wide.
    pub(super) fn prepare(&mut self, correlation: &Correlation, begin: usize, end: usize, width: usize) {
        self.width = width;
        self.panels = (end - begin).div_ceil(width);
        self.segments.clear();
        self.first_segment.clear();
        self.taps.clear();
        if correlation.taps.is_empty() {
            return;
        }
        let reading = Reading::of(correlation);
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
            self.cut(&reading, begin, end, |z, y, x| at(z * reading.step[0], y * reading.step[1], x));
            self.taps.extend(correlation.taps.iter().map(|&tap| {
                let [z, y, x] = reading.tap(tap).map(|t| t as usize);
                at(z, y, x)
            }));
        } else {
            self.lay_slab(correlation, &reading, low, high, begin, end);
        }
        let last = self.segments.iter().map(|s| s.base + s.len.next_multiple_of(LINE)).max();
        self.reach = last.unwrap_or(0) + self.taps.iter().max().unwrap_or(&0);
        if !self.direct {
            self.slab.at_least(self.reach);
        }
    }

    /// Cuts the block into segments at the ends of grid rows and of panels.
    fn cut(
        &mut self,
        reading: &Reading,
        begin: usize,
        end: usize,
        base: impl Fn(usize, usize, usize) -> usize,
    ) {
        let [_, grid_height, grid_width] = reading.grid;
        let mut position = begin;
        while position < end {
            let column = (position - begin) % self.width;
            if column == 0 {
                self.first_segment.push(self.segments.len());
            }
            let (row, x) = (position / grid_width, position % grid_width);
            let len = (grid_width - x).min(self.width - column).min(end - position);
            let base = base(row / grid_height, row % grid_height, x);
            self.segments.push(Segment { column, len, base });
            position += len;
        }
        self.first_segment.push(self.segments.len());
    }

    /// Lays out the slab of the block, writes its zeros, and lists what to copy into it for each channel.
    fn lay_slab(
        &mut self,
        correlation: &Correlation,
        reading: &Reading,
        low: [isize; 3],
        high: [isize; 3],
        begin: usize,
        end: usize,
    ) {
        let Reading { src, grid, step, .. } = *reading;
        // The box of grid positions that the block lies in.
        let (first, last) = (begin / grid[2], (end - 1) / grid[2]);
        let (z0, z1) = (first / grid[1], last / grid[1]);
        let (y0, y1) = if z0 == z1 { (first % grid[1], last % grid[1]) } else { (0, grid[1] - 1) };
        let (x0, x1) = if first == last { (begin % grid[2], (end - 1) % grid[2]) } else { (0, grid[2] - 1) };
        // Lines of the slab: source rows from the first tap of the first position to the last of the last.
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
        self.cut(reading, begin, end, |z, y, x| at((z - z0) * step[0], (y - y0) * step[1], 0, x - x0));
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

        self.pieces.clear();
        let slab = self.slab.at_least(depth * height * remainders * length);
        for (line, &(begin, end)) in self.needed.iter().enumerate() {
            if begin >= end {
                continue;
            }
            let start = line * length;
            let origin = [z0, y0, x0];
            let within = [line / remainders / height, line / remainders % height, line % remainders];
            let [z, y, x] = [0, 1, 2].map(|d| (origin[d] * step[d] + within[d]) as isize + low[d]);
            let stride = step[2] as isize;
            // Of the range, the part whose source positions x + i·step lie inside the line.
            let inside_rows = (0..src[0] as isize).contains(&z) && (0..src[1] as isize).contains(&y);
            let ceil = |a: isize| (a.max(0) as usize).div_ceil(stride as usize);
            let (valid, stop) = if inside_rows { (ceil(-x), ceil(src[2] as isize - x)) } else { (end, end) };
            let valid = valid.clamp(begin, end);
            let stop = stop.clamp(valid, end);
            slab[start + begin..start + valid].fill(0.0);
            slab[start + stop..start + end].fill(0.0);
            if valid < stop {
                let from = (z as usize * src[1] + y as usize) * src[2];
                let from = (from as isize + x + valid as isize * stride) as usize;
                self.pieces.push(Piece { to: start + valid, from, len: stop - valid });
            }
        }
    }

    /// Packs `channels` channels, the first of which begins `src`, one plane apart; returns the panels and
    /// the distance from one to the next. `src` may go on beyond the last channel.
    pub(super) fn pack(&mut self, isa: Isa, src: &[f32], plane: usize, channels: usize) -> (&[f32], usize) {
        let distance = channels * self.taps.len() * self.width + OVERHANG;
        self.panel_data.at_least(self.panels * distance);
        isa.require();
        for channel in 0..channels {
            let source = &src[channel * plane..];
            if !self.direct {
                fill_slab(isa, self.slab.as_mut_slice(), &source[..plane], &self.pieces, self.step);
            }
            let to = self.panel_data.as_mut_slice();
            let slab = if self.direct { source } else { self.slab.as_slice() };
            let layout = Layout {
                segments: &self.segments,
                first_segment: &self.first_segment,
                taps: &self.taps,
                width: self.width,
                distance,
                row: channel * self.taps.len(),
            };
            assert!(to.len() >= self.panels * distance && self.first_segment.len() == self.panels + 1);
            if slab.len() < self.reach {
                layout.copy_exactly(slab, to);
                continue;
            }
            // SAFETY: `isa` is there (asked above); every copy reads less than `reach` numbers from the
            // slab's start (so `reach` was made) and writes at most an overhang beyond its row of a panel
            // that has one at its end.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => layout.copy_avx512(slab.as_ptr(), to.as_mut_ptr()),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => layout.copy_avx2(slab.as_ptr(), to.as_mut_ptr()),
                    _ => layout.copy::<8>(slab.as_ptr(), to.as_mut_ptr()),
                }
            }
        }
        (self.panel_data.as_slice(), distance)
    }
}

crate::kernels::isa::multiversion! {
    /// Copies the pieces of one channel into the slab.
    fn fill_slab(slab: &mut [f32], source: &[f32], pieces: &[Piece], step: usize) {
        for &Piece { to, from, len } in pieces {
            let to = &mut slab[to..to + len];
            match step {
                1 => to.copy_from_slice(&source[from..from + len]),
                2 => {
                    let from = &source[from..from + 2 * len - 1];
                    let (pairs, last) = from.as_chunks::<2>();
                    for (to, pair) in to.iter_mut().zip(pairs) {
                        *to = pair[0];
                    }
                    to[len - 1] = last[0];
                }
                _ => {
                    for (to, from) in to.iter_mut().zip(source[from..].iter().step_by(step)) {
                        *to = *from;
                    }
                }
            }
        }
    }
}

/// Where the columns of one channel come from and go to.
struct Layout<'a> {
    segments: &'a [Segment],
    first_segment: &'a [usize],
    taps: &'a [usize],
    width: usize,
    /// From one panel to the next.
    distance: usize,
    /// The channel's first row in every panel.
    row: usize,
}

impl Layout<'_> {
    /// Copies by vectors of `W` numbers. Within a panel, rows and segments go upwards, so that the overhang
    /// of a copy is always overwritten by what belongs there.
    ///
    /// # Safety
    /// From `slab`, every segment, rounded up to whole vectors, can be read at every tap; `to` has every
    /// panel.
    #[inline(always)]
    unsafe fn copy<const W: usize>(&self, slab: *const f32, to: *mut f32) {
        for (panel, bounds) in self.first_segment.windows(2).enumerate() {
            let segments = &self.segments[bounds[0]..bounds[1]];
            let start = panel * self.distance + self.row * self.width;
            for (row, &tap) in self.taps.iter().enumerate() {
                for segment in segments {
                    // SAFETY: reads lie in the slab and writes in the panels, as the caller grants.
                    unsafe {
                        let from = slab.add(segment.base + tap);
                        let to = to.add(start + row * self.width + segment.column);
                        let mut i = 0;
                        while i < segment.len {
                            std::ptr::copy_nonoverlapping(from.add(i), to.add(i), W);
                            i += W;
                        }
                    }
                }
            }
        }
    }

    /// As [`Layout::copy`], compiled for AVX-512.
    ///
    /// # Safety
    /// As there, and the machine has AVX-512.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn copy_avx512(&self, slab: *const f32, to: *mut f32) {
        // SAFETY: the same contract.
        unsafe { self.copy::<16>(slab, to) }
    }

    /// As [`Layout::copy`], compiled for AVX2.
    ///
    /// # Safety
    /// As there, and the machine has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn copy_avx2(&self, slab: *const f32, to: *mut f32) {
        // SAFETY: the same contract.
        unsafe { self.copy::<8>(slab, to) }
    }

    /// As [`Layout::copy`] without reading beyond a segment: for the end of the source.
    fn copy_exactly(&self, slab: &[f32], to: &mut [f32]) {
        for (panel, bounds) in self.first_segment.windows(2).enumerate() {
            let start = panel * self.distance + self.row * self.width;
            for (row, &tap) in self.taps.iter().enumerate() {
                for segment in &self.segments[bounds[0]..bounds[1]] {
                    let (at, from) = (start + row * self.width + segment.column, segment.base + tap);
                    to[at..at + segment.len].copy_from_slice(&slab[from..from + segment.len]);
                }
            }
        }
    }
}
