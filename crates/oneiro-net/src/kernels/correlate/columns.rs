//! Packs columns of a correlation: the source values of all taps of every channel, at a block of grid
//! positions.
//!
//! ```text
//! panel[(channel, tap)][j] = src[channel, (p + j)·step + tap]      0 outside the source
//! ```
//!
//! The source is read through a *slab*: for one channel, a copy of the source lines that the block needs,
//! with padding zeros around them. Each line is split by remainder modulo the step. In the slab, the columns
//! of a tap along one grid row are contiguous, whatever the step, the dilation or the padding; so one loop
//! copies them all. Without padding and with step 1, the source itself serves as the slab.

use super::Correlation;
use super::slab::{Piece, Segment, Slab};
use crate::kernels::isa::Isa;
use crate::kernels::scratch::{AlignedBuffer, LINE};

/// Elements that may be written beyond a panel's end. Copies write whole vectors; what exceeds a row is
/// overwritten by the next row, or falls into this space.
const OVERHANG: usize = LINE;

/// Source and grid of a correlation, with dimensions that are contiguous in the source joined into one.
///
/// A 1×1 convolution of step 1 becomes one line as long as the plane, and a 3×1×1 convolution becomes
/// two-dimensional. The lines are longer, so there are fewer pieces.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) src: [usize; 3],
    pub(crate) grid: [usize; 3],
    pub(crate) step: [usize; 3],
    /// Widths at which the last two dimensions were joined, for each of at most two joins; 0 if there was no
    /// join.
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

    /// Converts a tap of the correlation to the joined dimensions.
    pub(crate) fn tap(&self, mut tap: [isize; 3]) -> [isize; 3] {
        for width in self.joined {
            if width > 0 {
                tap = [0, tap[0], tap[1] * width as isize];
            }
        }
        tap
    }
}

/// How to pack one block of columns. Each thread keeps one and refills it for each task, so that it allocates
/// only to grow.
pub(super) struct Columns {
    width: usize,
    panels: usize,
    /// Positions of the columns in the slab, and the pieces from which the slab is filled for each channel.
    layout: Slab,
    /// Index of the first segment of each panel, then the number of segments.
    first_segment: Vec<usize>,
    slab: AlignedBuffer,
    /// Elements that copies by whole vectors may read from the start of the slab, or of a source plane.
    reach: usize,
    panel_data: AlignedBuffer,
}

impl Columns {
    pub(super) const fn new() -> Columns {
        Columns {
            width: 0,
            panels: 0,
            layout: Slab::new(),
            first_segment: Vec::new(),
            slab: AlignedBuffer::new(),
            reach: 0,
            panel_data: AlignedBuffer::new(),
        }
    }

    /// Prepares to pack the grid positions `begin .. end` (linear, not empty) into panels `width` wide.
    pub(super) fn prepare(&mut self, correlation: &Correlation, begin: usize, end: usize, width: usize) {
        self.width = width;
        self.panels = (end - begin).div_ceil(width);
        self.layout.lay(correlation, begin, end, width);
        self.first_segment.clear();
        let segments = &self.layout.segments;
        let starts = segments.iter().enumerate().filter(|(_, s)| s.place.is_multiple_of(width));
        self.first_segment.extend(starts.map(|(i, _)| i));
        self.first_segment.push(segments.len());
        let last = segments.iter().map(|s| s.base + s.len.next_multiple_of(LINE)).max();
        self.reach = last.unwrap_or(0) + self.layout.taps.iter().max().unwrap_or(&0);
        if !self.layout.direct {
            let slab = self.slab.at_least(self.reach.max(self.layout.len));
            for &(begin, end) in &self.layout.zeros {
                slab[begin..end].fill(0.0);
            }
        }
    }

    /// Packs `channels` channels, `plane` elements apart, the first of which is at the start of `src`.
    /// Returns the panels and the distance between two panels. `src` may extend beyond the last channel.
    pub(super) fn pack(&mut self, isa: Isa, src: &[f32], plane: usize, channels: usize) -> (&[f32], usize) {
        let distance = channels * self.layout.taps.len() * self.width + OVERHANG;
        self.panel_data.at_least(self.panels * distance);
        isa.require();
        for channel in 0..channels {
            let source = &src[channel * plane..];
            if !self.layout.direct {
                let Slab { pieces, step, .. } = &self.layout;
                fill_slab(isa, self.slab.as_mut_slice(), &source[..plane], pieces, *step);
            }
            let to = self.panel_data.as_mut_slice();
            let slab = if self.layout.direct { source } else { self.slab.as_slice() };
            let layout = Layout {
                segments: &self.layout.segments,
                first_segment: &self.first_segment,
                taps: &self.layout.taps,
                width: self.width,
                distance,
                row: channel * self.layout.taps.len(),
            };
            assert!(to.len() >= self.panels * distance && self.first_segment.len() == self.panels + 1);
            if slab.len() < self.reach {
                layout.copy_exactly(slab, to);
                continue;
            }
            // SAFETY: the machine has `isa` (checked above). Every copy reads fewer than `reach` elements of
            // the slab, by the definition of `reach`. It writes at most the overhang beyond its row, and each
            // panel has an overhang at its end.
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

/// Where the columns of one channel are read and written.
struct Layout<'a> {
    segments: &'a [Segment],
    first_segment: &'a [usize],
    taps: &'a [usize],
    width: usize,
    /// Distance in elements between two panels of columns.
    distance: usize,
    /// Index of the channel's first row in every panel.
    row: usize,
}

impl Layout<'_> {
    /// Copies by vectors of `W` elements. Within a panel, rows and segments are written in ascending order.
    /// So the right values always overwrite what an earlier copy wrote beyond its end.
    ///
    /// # Safety
    /// Every segment, rounded up to whole vectors, can be read from `slab` at every tap; `to` has every
    /// panel.
    #[inline(always)]
    unsafe fn copy<const W: usize>(&self, slab: *const f32, to: *mut f32) {
        for (panel, bounds) in self.first_segment.windows(2).enumerate() {
            let segments = &self.segments[bounds[0]..bounds[1]];
            let start = panel * self.distance + self.row * self.width;
            for (row, &tap) in self.taps.iter().enumerate() {
                for segment in segments {
                    // SAFETY: reads lie in the slab and writes in the panels, as the caller guarantees.
                    unsafe {
                        let from = slab.add(segment.base + tap);
                        let to = to.add(start + row * self.width + segment.place % self.width);
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
    /// The contract of [`Layout::copy`], and the machine has AVX-512.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn copy_avx512(&self, slab: *const f32, to: *mut f32) {
        // SAFETY: the caller keeps the contract of `copy`.
        unsafe { self.copy::<16>(slab, to) }
    }

    /// As [`Layout::copy`], compiled for AVX2.
    ///
    /// # Safety
    /// The contract of [`Layout::copy`], and the machine has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn copy_avx2(&self, slab: *const f32, to: *mut f32) {
        // SAFETY: the caller keeps the contract of `copy`.
        unsafe { self.copy::<8>(slab, to) }
    }

    /// Copies like [`Layout::copy`], but reads nothing beyond a segment. Used at the end of the source.
    fn copy_exactly(&self, slab: &[f32], to: &mut [f32]) {
        for (panel, bounds) in self.first_segment.windows(2).enumerate() {
            let start = panel * self.distance + self.row * self.width;
            for (row, &tap) in self.taps.iter().enumerate() {
                for segment in &self.segments[bounds[0]..bounds[1]] {
                    let (at, from) =
                        (start + row * self.width + segment.place % self.width, segment.base + tap);
                    to[at..at + segment.len].copy_from_slice(&slab[from..from + segment.len]);
                }
            }
        }
    }
}
