//! Max and average pooling over blocks of channels.
//!
//! Which tap won is kept as a mask of sixteen bits for each output position and tap; the gradient then is a few masked
//! additions.

use super::Ending;
use super::families::families;
use super::lanes::Lanes;
use super::Shared;
use super::tile::{Finish, LANES};
use crate::kernels::correlate::volume;
use crate::kernels::isa::Isa;
use crate::kernels::pool::PoolGeometry;
use crate::kernels::scratch::Disjoint;
use crate::kernels::team;

/// Taps of a window at most: the winner's masks of one position stay in a few lines of a cache.
pub const MAX_TAPS: usize = 64;

/// Words that the winners take: for each output position and tap the bits of sixteen channels.
pub fn winner_words(geometry: &PoolGeometry) -> usize {
    (geometry.planes * volume(geometry.dst) * geometry.taps()).div_ceil(2)
}

/// What a pooling computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest; the first of equals, and a NaN beats all.
    Max,
    /// The mean over the window, with or without its padding.
    Average {
        /// Whether padding counts.
        count_padding: bool,
    },
}

/// Pools `src` into `dst`; `geometry.planes` counts blocks. `winners`, if not empty, has [`winner_words`].
///
/// # Panics
/// Where a slice does not fit.
pub fn pool(
    isa: Isa,
    pooling: Pooling,
    geometry: &PoolGeometry,
    src: &[f32],
    dst: &mut [f32],
    winners: &mut [u32],
    ending: &mut Ending<'_>,
) {
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    assert!(geometry.taps() <= MAX_TAPS && geometry.every_window_sees_the_source(), "windows of {geometry:?}");
    assert_eq!(src.len(), geometry.planes * src_plane * LANES, "source of {geometry:?}");
    assert_eq!(dst.len(), geometry.planes * dst_plane * LANES, "destination of {geometry:?}");
    assert!(winners.is_empty() || winners.len() == winner_words(geometry), "winners of {geometry:?}");
    let finish = Shared(ending.finish(dst, geometry.planes, dst_plane));
    let keep = !winners.is_empty();
    let (dst, winners) = (Disjoint::new(dst), Disjoint::new(bytemuck::cast_slice_mut::<u32, u16>(winners)));
    super::windows::each_piece(
        geometry.planes,
        geometry.dst[0] * geometry.dst[1],
        geometry.dst[2],
        |plane, from, to| {
            let width = geometry.dst[2];
            let at = plane * dst_plane + from * width;
            let taps = geometry.taps();
            let call = Piece {
                geometry,
                pooling,
                lines: (from, to),
                src: src[plane * src_plane * LANES..(plane + 1) * src_plane * LANES].as_ptr(),
                // SAFETY: lines of a plane belong to one task.
                dst: unsafe { dst.part(at * LANES, (to - from) * width * LANES) }.as_mut_ptr(),
                // SAFETY: as above.
                winners: keep
                    .then(|| unsafe { winners.part(at * taps, (to - from) * width * taps) }.as_mut_ptr())
                    .unwrap_or(std::ptr::null_mut()),
                finish: finish.get(),
                mask: plane * super::mask_plane(dst_plane) + from * width,
            };
            // SAFETY: source and destination have what the geometry says (checked above).
            unsafe { run_piece(isa, &call) };
        },
    );
}

/// The gradient: adds to `dx`, or writes all of it.
///
/// # Panics
/// Where a slice does not fit.
pub fn pool_backward(
    isa: Isa,
    pooling: Pooling,
    geometry: &PoolGeometry,
    winners: &[u32],
    dy: &[f32],
    dx: &mut [f32],
    accumulate: bool,
    ending: &mut Ending<'_>,
) {
    let (src_plane, dst_plane) = (volume(geometry.src), volume(geometry.dst));
    assert_eq!(dx.len(), geometry.planes * src_plane * LANES, "source of {geometry:?}");
    assert_eq!(dy.len(), geometry.planes * dst_plane * LANES, "destination of {geometry:?}");
    assert!(pooling != Pooling::Max || winners.len() == winner_words(geometry), "winners of {geometry:?}");
    let finish = Shared(ending.finish(dx, geometry.planes, src_plane));
    let winners = bytemuck::cast_slice::<u32, u16>(winners);
    team::chunks(dx, (src_plane * LANES).max(1), |plane, dx| {
        if !accumulate {
            dx.fill(0.0);
        }
        let taps = geometry.taps();
        let call = Back {
            geometry,
            pooling,
            dy: dy[plane * dst_plane * LANES..(plane + 1) * dst_plane * LANES].as_ptr(),
            dx: dx.as_mut_ptr(),
            winners: match pooling {
                Pooling::Max => winners[plane * dst_plane * taps..(plane + 1) * dst_plane * taps].as_ptr(),
                Pooling::Average { .. } => std::ptr::null(),
            },
            finish: finish.get(),
            mask: plane * super::mask_plane(src_plane),
        };
        // SAFETY: source and destination have what the geometry says (checked above).
        unsafe { run_back(isa, &call) };
    });
}

/// Some lines of one plane.
struct Piece<'a> {
    geometry: &'a PoolGeometry,
    pooling: Pooling,
    lines: (usize, usize),
    src: *const f32,
    dst: *mut f32,
    winners: *mut u16,
    finish: Option<&'a Finish>,
    mask: usize,
}

struct Back<'a> {
    geometry: &'a PoolGeometry,
    pooling: Pooling,
    dy: *const f32,
    dx: *mut f32,
    winners: *const u16,
    finish: Option<&'a Finish>,
    mask: usize,
}

families! {
    /// Pools some lines.
    fn run_piece(&Piece<'_>) = piece
}

families! {
    /// The gradient of one plane.
    fn run_back(&Back<'_>) = back
}

/// The taps of a window that lie inside the source: (tap, position in the plane).
#[inline(always)]
fn window(geometry: &PoolGeometry, line: usize, x: usize, mut visit: impl FnMut(usize, usize)) {
    let [_, taps_y, taps_x] = geometry.kernel;
    let (oz, oy) = (line / geometry.dst[1], line % geometry.dst[1]);
    for kz in 0..geometry.kernel[0] {
        let Some(z) = geometry.inside(0, oz, kz) else { continue };
        for ky in 0..taps_y {
            let Some(y) = geometry.inside(1, oy, ky) else { continue };
            let row = (z * geometry.src[1] + y) * geometry.src[2];
            for kx in 0..taps_x {
                let Some(sx) = geometry.inside(2, x, kx) else { continue };
                visit((kz * taps_y + ky) * taps_x + kx, row + sx);
            }
        }
    }
}

/// One over the number that an average divides by.
#[inline(always)]
fn share(geometry: &PoolGeometry, line: usize, x: usize, count_padding: bool) -> f32 {
    let (oz, oy) = (line / geometry.dst[1], line % geometry.dst[1]);
    let count = geometry.count(0, oz, count_padding)
        * geometry.count(1, oy, count_padding)
        * geometry.count(2, x, count_padding);
    1.0 / count as f32
}

/// # Safety
/// The addresses of the call have what its geometry says.
#[inline(always)]
unsafe fn piece<X: Lanes>(call: &Piece<'_>) {
    let geometry = call.geometry;
    let (taps, width) = (geometry.taps(), geometry.dst[2]);
    // SAFETY: the caller's contract; `window` names positions of the source plane only.
    unsafe {
        let mut at = 0;
        for line in call.lines.0..call.lines.1 {
            for x in 0..width {
                let to = call.dst.add(at * LANES);
                let result = match call.pooling {
                    Pooling::Max => {
                        let mut best: Option<X> = None;
                        let mut beats = [0u16; MAX_TAPS];
                        window(geometry, line, x, |tap, from| {
                            let value = X::load(call.src.add(from * LANES));
                            match best {
                                None => (best, beats[tap]) = (Some(value), !0),
                                Some(old) => {
                                    let larger = value.exceeds(old);
                                    beats[tap] = larger;
                                    best = Some(old.blend(value, larger));
                                }
                            }
                        });
                        if !call.winners.is_null() {
                            // The last that beat what came before it has won.
                            let mut taken = 0;
                            for tap in (0..taps).rev() {
                                *call.winners.add(at * taps + tap) = beats[tap] & !taken;
                                taken |= beats[tap];
                            }
                        }
                        best.unwrap_or(X::splat(0.0))
                    }
                    Pooling::Average { count_padding } => {
                        let mut sum = X::splat(0.0);
                        window(geometry, line, x, |_, from| sum = sum.add(X::load(call.src.add(from * LANES))));
                        sum.mul(X::splat(share(geometry, line, x, count_padding)))
                    }
                };
                let result = match call.finish {
                    Some(finish) => finish.apply(result, to, call.mask + at),
                    None => result,
                };
                result.store(to);
                at += 1;
            }
        }
    }
}

/// # Safety
/// The addresses of the call have what its geometry says.
#[inline(always)]
unsafe fn back<X: Lanes>(call: &Back<'_>) {
    let geometry = call.geometry;
    let (taps, width) = (geometry.taps(), geometry.dst[2]);
    // SAFETY: the caller's contract; `window` names positions of the source plane only.
    unsafe {
        for line in 0..geometry.dst[0] * geometry.dst[1] {
            for x in 0..width {
                let at = line * width + x;
                let dy = X::load(call.dy.add(at * LANES));
                match call.pooling {
                    Pooling::Max => window(geometry, line, x, |tap, from| {
                        let won = *call.winners.add(at * taps + tap);
                        let dx = call.dx.add(from * LANES);
                        X::load(dx).add(dy.zero_where(!won)).store(dx);
                    }),
                    Pooling::Average { count_padding } => {
                        let dy = dy.mul(X::splat(share(geometry, line, x, count_padding)));
                        window(geometry, line, x, |_, from| {
                            let dx = call.dx.add(from * LANES);
                            X::load(dx).add(dy).store(dx);
                        });
                    }
                }
            }
        }
        if let Some(finish) = call.finish {
            for at in 0..volume(geometry.src) {
                let dx = call.dx.add(at * LANES);
                finish.apply(X::load(dx), dx, call.mask + at).store(dx);
            }
        }
    }
}
