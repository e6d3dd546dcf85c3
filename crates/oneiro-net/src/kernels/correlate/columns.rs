//! Packs columns of a correlation: the source values of all taps of every channel, at a block of grid
//! positions.
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
use super::slab::{Piece, Segment, Slab};
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

/// How to pack one block of columns; kept by each thread and refilled for each task, so that it allocates
/// only to grow.
pub(super) struct Columns {
    width: usize,
    panels: usize,
    /// Where the columns lie in the slab, and how it is filled for each channel.
    layout: Slab,
    /// Where the segments of each panel begin, and the end.
    first_segment: Vec<usize>,
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
            layout: Slab::new(),
            first_segment: Vec::new(),
            slab: AlignedBuffer::new(),
            reach: 0,
            panel_data: AlignedBuffer::new(),
        }
    }

    /// Lays out the packing of grid positions `begin .. end` (linear, not empty) in panels `width` wide.
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

    /// Packs `channels` channels, the first of which begins `src`, one plane apart; returns the panels and
    /// the distance from one to the next. `src` may go on beyond the last channel.
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
                    let (at, from) =
                        (start + row * self.width + segment.place % self.width, segment.base + tap);
                    to[at..at + segment.len].copy_from_slice(&slab[from..from + segment.len]);
                }
            }
        }
    }
}
