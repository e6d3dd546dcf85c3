//! Max and average pooling over blocks of channels.
//!
//! For each output, a byte records which tap of the window held the maximum. The backward pass is then a few
//! masked additions.

mod max;
mod window;

use super::isa_dispatch::isa_dispatch;
use super::lanes::LANES;
use super::lanes::Lanes;
use crate::kernels::correlate::volume;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::epilogue::EpilogueAddresses;
use crate::kernels::epilogue::SharedEpilogue;
use crate::kernels::isa::Isa;
use crate::kernels::pool::PoolGeometry;
use crate::kernels::scratch::Disjoint;
use crate::kernels::team;
use window::{Inner, taps, window};

/// Most taps of a window; the index of the maximum is stored in a byte.
pub const MAX_TAPS: usize = 64;

/// Number of `u32` words that the recorded taps take: a byte for each output.
pub fn winner_words(geometry: &PoolGeometry) -> usize {
    geometry.planes * volume(geometry.dst) * LANES / size_of::<u32>()
}

/// The kind of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest value of the window. Of equal values the first is recorded, and a NaN exceeds every
    /// number.
    Max,
    /// The mean over the window, with or without its padding.
    Average {
        /// Whether the divisor of the mean counts positions in the padding.
        count_padding: bool,
    },
}

/// Pools `src` into `dst`; `geometry.planes` counts blocks of channels. `winners` is empty or has
/// [`winner_words`] words, which record the taps of the maxima.
///
/// # Panics
/// If a slice has the wrong length.
pub fn pool(
    isa: Isa,
    pooling: Pooling,
    geometry: &PoolGeometry,
    src: &[f32],
    dst: &mut [f32],
    winners: &mut [u32],
    epilogue: &mut Epilogue<'_>,
) {
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    assert!(
        geometry.taps() <= MAX_TAPS && geometry.every_window_sees_the_source(),
        "windows of {geometry:?}"
    );
    assert_eq!(src.len(), geometry.planes * src_plane * LANES, "source of {geometry:?}");
    assert_eq!(dst.len(), geometry.planes * dst_plane * LANES, "destination of {geometry:?}");
    assert!(winners.is_empty() || winners.len() == winner_words(geometry), "winners of {geometry:?}");
    let epilogue = SharedEpilogue(epilogue.addresses(dst, geometry.planes, dst_plane));
    let keep = !winners.is_empty();
    let (dst, winners) = (Disjoint::new(dst), Disjoint::new(bytemuck::cast_slice_mut::<u32, u8>(winners)));
    super::windows::each_piece(
        geometry.planes,
        geometry.dst[0] * geometry.dst[1],
        geometry.dst[2],
        |plane, from, to| {
            let width = geometry.dst[2];
            let at = plane * dst_plane + from * width;
            let call = Piece {
                geometry,
                pooling,
                lines: (from, to),
                src: src[plane * src_plane * LANES..(plane + 1) * src_plane * LANES].as_ptr(),
                // SAFETY: the lines of a piece belong to one task.
                dst: unsafe { dst.part(at * LANES, (to - from) * width * LANES) }.as_mut_ptr(),
                winners: if keep {
                    // SAFETY: the lines of a piece belong to one task.
                    unsafe { winners.part(at * LANES, (to - from) * width * LANES) }.as_mut_ptr()
                } else {
                    std::ptr::null_mut()
                },
                epilogue: epilogue.get(),
                mask: plane * super::mask_plane(dst_plane) + from * width,
            };
            // SAFETY: source and destination have the lengths of the geometry (checked above).
            unsafe { run_piece(isa, &call) };
        },
    );
}

/// Computes the gradient with respect to the source. With `accumulate` it is added to `dx`, else `dx` is
/// overwritten.
///
/// # Panics
/// If a slice has the wrong length.
pub fn pool_backward(
    isa: Isa,
    pooling: Pooling,
    geometry: &PoolGeometry,
    winners: &[u32],
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    epilogue: &mut Epilogue<'_>,
) {
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    assert_eq!(dx.len(), geometry.planes * src_plane * LANES, "source of {geometry:?}");
    assert_eq!(dy.len(), geometry.planes * dst_plane * LANES, "destination of {geometry:?}");
    assert!(pooling != Pooling::Max || winners.len() == winner_words(geometry), "winners of {geometry:?}");
    let epilogue = SharedEpilogue(epilogue.addresses(dx, geometry.planes, src_plane));
    let winners = bytemuck::cast_slice::<u32, u8>(winners);
    team::chunks(dx, (src_plane * LANES).max(1), |plane, dx| {
        let call = Back {
            geometry,
            pooling,
            accumulate,
            dy: dy[plane * dst_plane * LANES..(plane + 1) * dst_plane * LANES].as_ptr(),
            dx: dx.as_mut_ptr(),
            winners: match pooling {
                Pooling::Max => winners[plane * dst_plane * LANES..(plane + 1) * dst_plane * LANES].as_ptr(),
                Pooling::Average { .. } => std::ptr::null(),
            },
            epilogue: epilogue.get(),
            mask: plane * super::mask_plane(src_plane),
        };
        // SAFETY: source and destination have the lengths of the geometry (checked above).
        unsafe { run_back(isa, &call) };
    });
}

/// Arguments of the pooling of some lines of one plane.
struct Piece<'a> {
    geometry: &'a PoolGeometry,
    pooling: Pooling,
    lines: (usize, usize),
    src: *const f32,
    dst: *mut f32,
    winners: *mut u8,
    epilogue: Option<&'a EpilogueAddresses>,
    mask: usize,
}

struct Back<'a> {
    geometry: &'a PoolGeometry,
    pooling: Pooling,
    accumulate: bool,
    dy: *const f32,
    dx: *mut f32,
    winners: *const u8,
    epilogue: Option<&'a EpilogueAddresses>,
    mask: usize,
}

isa_dispatch! {
    /// Computes the gradient of one plane.
    fn run_piece(&Piece<'_>) = piece
}

isa_dispatch! {
    /// Computes the gradient of one plane.
    fn run_back(&Back<'_>) = back
}

/// Returns 1/n, where n is the number of positions over which a window's mean is taken.
#[inline(always)]
fn share(geometry: &PoolGeometry, line: usize, x: usize, count_padding: bool) -> f32 {
    let (oz, oy) = (line / geometry.dst[1], line % geometry.dst[1]);
    let count = geometry.count(0, oz, count_padding)
        * geometry.count(1, oy, count_padding)
        * geometry.count(2, x, count_padding);
    1.0 / count as f32
}

/// # Safety
/// Each address of the call has the elements that its geometry names.
#[inline(always)]
unsafe fn piece<X: Lanes>(call: &Piece<'_>) {
    let geometry = call.geometry;
    let width = geometry.dst[2];
    let inner = Inner::of(geometry);
    let done = match call.pooling {
        // SAFETY: the caller keeps the contract of this function.
        Pooling::Max => unsafe { max::columns::<X>(call, &inner) },
        Pooling::Average { .. } => false,
    };
    // SAFETY: the caller keeps the contract of this function. Taps lie in the source plane only.
    unsafe {
        for line in call.lines.0..call.lines.1 {
            let range = inner.line(geometry, line);
            for x in 0..width {
                if done && (range.0..range.1).contains(&x) {
                    continue;
                }
                let at = (line - call.lines.0) * width + x;
                let result = match call.pooling {
                    Pooling::Max => {
                        let (mut best, mut winner) = (X::splat(0.0), X::splat(0.0));
                        let mut first = true;
                        taps!(geometry, inner, line, range, x, |tap, from| {
                            let value = X::load(call.src.add(from * LANES));
                            let larger = if first { !0 } else { value.exceeds(best) };
                            first = false;
                            best = best.blend(value, larger);
                            winner = winner.blend(X::splat(tap as f32), larger);
                        });
                        if !call.winners.is_null() {
                            winner.store_bytes(call.winners.add(at * LANES));
                        }
                        best
                    }
                    Pooling::Average { count_padding } => {
                        let mut sum = X::splat(0.0);
                        taps!(geometry, inner, line, range, x, |_, from| {
                            sum = sum.add(X::load(call.src.add(from * LANES)))
                        });
                        sum.mul(X::splat(share(geometry, line, x, count_padding)))
                    }
                };
                call.put(result, at);
            }
        }
    }
}

impl Piece<'_> {
    /// Applies the epilogue to an output and stores it at index `at` of the piece.
    ///
    /// # Safety
    /// The piece has this index, and the machine has the instruction set of `X`.
    #[inline(always)]
    unsafe fn put<X: Lanes>(&self, result: X, at: usize) {
        // SAFETY: the caller keeps the contract of this function.
        unsafe {
            let to = self.dst.add(at * LANES);
            let result = match self.epilogue {
                Some(epilogue) => epilogue.apply(result, to, self.mask + at),
                None => result,
            };
            result.store(to);
        }
    }
}

/// # Safety
/// Each address of the call has the elements that its geometry names.
#[inline(always)]
unsafe fn back<X: Lanes>(call: &Back<'_>) {
    let geometry = call.geometry;
    // SAFETY: the caller keeps the contract of this function. Taps lie in the source plane only.
    unsafe {
        if call.pooling == Pooling::Max && max::gathers(geometry) {
            max::gather::<X>(call);
            return;
        }
        let inner = Inner::of(geometry);
        if !call.accumulate {
            for at in 0..volume(geometry.src) {
                X::splat(0.0).store(call.dx.add(at * LANES));
            }
        }
        let width = geometry.dst[2];
        for line in 0..geometry.dst[0] * geometry.dst[1] {
            let range = inner.line(geometry, line);
            for x in 0..width {
                let at = line * width + x;
                let dy = X::load(call.dy.add(at * LANES));
                match call.pooling {
                    Pooling::Max => taps!(geometry, inner, line, range, x, |tap, from| {
                        let won = X::bytes_are(call.winners.add(at * LANES), tap as u8);
                        let dx = call.dx.add(from * LANES);
                        X::load(dx).add(dy.zero_where(!won)).store(dx);
                    }),
                    Pooling::Average { count_padding } => {
                        let dy = dy.mul(X::splat(share(geometry, line, x, count_padding)));
                        taps!(geometry, inner, line, range, x, |_, from| {
                            let dx = call.dx.add(from * LANES);
                            X::load(dx).add(dy).store(dx);
                        });
                    }
                }
            }
        }
        if let Some(epilogue) = call.epilogue {
            for at in 0..volume(geometry.src) {
                let dx = call.dx.add(at * LANES);
                epilogue.apply(X::load(dx), dx, call.mask + at).store(dx);
            }
        }
    }
}
