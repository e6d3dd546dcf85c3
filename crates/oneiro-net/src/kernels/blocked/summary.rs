//! Summarizes each channel over its positions in one pass: maximum, means, variances and a few samples.

use super::isa_dispatch::isa_dispatch;
use super::lanes::{LANES, Lanes};
use crate::kernels::isa::Isa;
use crate::kernels::team;

/// Positions of one partial sum. After as many positions, their maximum is compared with the largest value so
/// far.
const CHAIN: usize = 64;

/// Number of values in a summary, samples not counted.
pub(crate) const NUMBERS: usize = 8;
/// The place of each statistic in a channel's summary.
pub(crate) const LARGEST: usize = 0;
pub(crate) const PLACE: usize = 1;
pub(crate) const MEAN: usize = 2;
pub(crate) const VARIANCE: usize = 3;
pub(crate) const CLIPPED_MEAN: usize = 4;
pub(crate) const CLIPPED_VARIANCE: usize = 5;
pub(crate) const ACTIVE: usize = 6;
pub(crate) const NOT_FINITE: usize = 7;

/// The bounds `[low, high]` to which an activation function clips the values of a channel.
pub(crate) type Clip = [f32; 2];

/// Returns the position of sample number `sample` among `positions`. It depends on a random seed of the
/// image.
pub(crate) fn sampled_place(seed: u32, sample: usize, positions: usize) -> usize {
    // SplitMix64 (Steele, Lea & Flood 2014) of a counter that differs between samples.
    let mut z = (u64::from(seed) << 20 | sample as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    ((u128::from(z) * positions as u128) >> 64) as usize
}

/// Writes a summary of each row of sixteen channels. `x` is `[blocks][batch][plane][16]`, `dst`
/// `[blocks][batch][NUMBERS + samples][16]`. `seeds` has one random seed for each image.
///
/// # Panics
/// If a slice has the wrong length.
pub(crate) fn summarize(
    isa: Isa,
    [plane, samples]: [usize; 2],
    clip: Clip,
    x: &[f32],
    seeds: &[f32],
    dst: &mut [f32],
) {
    let (row, len) = (plane * LANES, (NUMBERS + samples) * LANES);
    assert_eq!(x.len() / row * len, dst.len(), "rows of {plane} positions");
    assert!(!seeds.is_empty() && (x.len() / row).is_multiple_of(seeds.len()), "{} seeds", seeds.len());
    team::chunks(dst, len, |at, dst| {
        summarize_row(isa, clip, &x[at * row..][..row], seeds[at % seeds.len()] as u32, dst);
    });
}

/// Computes the summaries of sixteen channels of one image. `x` is `[plane][16]`.
pub(crate) fn summarize_row(isa: Isa, clip: Clip, x: &[f32], seed: u32, dst: &mut [f32]) {
    let plane = x.len() / LANES;
    assert!(
        plane > 0
            && x.len() == plane * LANES
            && dst.len() >= NUMBERS * LANES
            && dst.len().is_multiple_of(LANES)
    );
    let mut sums = Sums::new(x, plane, clip);
    // SAFETY: the address has `count` positions of sixteen elements.
    unsafe { run(isa, &mut sums) };
    let Sums { largest, active, plain, clipped, chunks, .. } = &sums;
    for lane in 0..LANES {
        let mut put = |number: usize, value: f32| dst[number * LANES + lane] = value;
        if ![plain, clipped].iter().all(|of| of.mean[lane].is_finite() && of.spread[lane].is_finite()) {
            careful(x, lane, clip, &mut put);
            continue;
        }
        let chunk = chunks[lane] as usize * CHAIN;
        let place = (chunk..plane).find(|&at| x[at * LANES + lane] == largest[lane]).unwrap_or(chunk);
        let variance = |of: &Moments| (of.spread[lane] / plane as f64).max(0.0) as f32;
        put(LARGEST, largest[lane]);
        put(PLACE, place as f32);
        put(MEAN, plain.mean[lane] as f32);
        put(VARIANCE, variance(plain));
        put(CLIPPED_MEAN, clipped.mean[lane] as f32);
        put(CLIPPED_VARIANCE, variance(clipped));
        put(ACTIVE, active[lane]);
        put(NOT_FINITE, 0.0);
    }
    for (sample, dst) in dst.chunks_exact_mut(LANES).skip(NUMBERS).enumerate() {
        dst.copy_from_slice(&x[sampled_place(seed, sample, plane) * LANES..][..LANES]);
    }
}

fn clipped_to(x: f32, [low, high]: Clip) -> f32 {
    x.max(low).min(high)
}

/// Summarizes a channel some of whose values are not finite, or whose squares overflow f32. Only finite
/// values count.
fn careful(x: &[f32], lane: usize, clip: Clip, put: &mut impl FnMut(usize, f32)) {
    let all = || x.iter().skip(lane).step_by(LANES).copied().enumerate();
    let finite = || all().filter(|(_, value)| value.is_finite());
    let count = finite().count();
    let moments = |of: &dyn Fn(f32) -> f32| {
        let values = || finite().map(|(_, value)| f64::from(of(value)));
        let mean = values().sum::<f64>() / count as f64;
        (mean as f32, (values().map(|v| (v - mean).powi(2)).sum::<f64>() / count as f64) as f32)
    };
    let largest = finite().reduce(|a, b| if b.1 > a.1 { b } else { a });
    let (place, value) = largest.unwrap_or((0, f32::NAN));
    let ((mean, variance), (clipped_mean, clipped_variance)) =
        (moments(&|x| x), moments(&|x| clipped_to(x, clip)));
    put(LARGEST, value);
    put(PLACE, place as f32);
    put(MEAN, mean);
    put(VARIANCE, variance);
    put(CLIPPED_MEAN, clipped_mean);
    put(CLIPPED_VARIANCE, clipped_variance);
    put(ACTIVE, finite().filter(|(_, value)| *value > 0.0).count() as f32);
    put(NOT_FINITE, (all().count() - count) as f32);
}

struct Sums {
    x: *const f32,
    count: usize,
    clip: Clip,
    /// For each channel, the index of the first chain that holds the largest value.
    chunks: [u32; LANES],
    /// The largest value of each channel.
    largest: [f32; LANES],
    /// Number of values above zero, for each channel.
    active: [f32; LANES],
    /// Mean, and sum of squared distances from it, of the values before clipping.
    plain: Moments,
    /// Mean, and sum of squared distances from it, of the values after clipping.
    clipped: Moments,
}

/// Means, and sums of squared distances from the mean.
#[derive(Default)]
struct Moments {
    mean: [f64; LANES],
    spread: [f64; LANES],
}

impl Moments {
    /// Adds `count` further values to the moments of `before` values. Given are a reference value near them,
    /// and the sums of their differences from it and of the squares of these differences (Chan, Golub &
    /// LeVeque 1983, formula 1.5).
    #[inline(always)]
    fn take(&mut self, near: &[f32; LANES], sums: [&[f32; LANES]; 2], [before, count]: [f64; 2]) {
        let share = count / (before + count);
        for lane in 0..LANES {
            let (sum, squares) = (f64::from(sums[0][lane]), f64::from(sums[1][lane]));
            let apart = f64::from(near[lane]) + sum / count - self.mean[lane];
            self.mean[lane] += apart * share;
            self.spread[lane] += squares - sum * sum / count + apart * apart * before * share;
        }
    }
}

impl Sums {
    fn new(x: &[f32], count: usize, clip: Clip) -> Self {
        Self {
            x: x.as_ptr(),
            count,
            clip,
            chunks: [0; LANES],
            largest: [0.0; LANES],
            active: [0.0; LANES],
            plain: Moments::default(),
            clipped: Moments::default(),
        }
    }
}

isa_dispatch! {
    /// Updates the sums of sixteen channels with the positions of one row.
    fn run(&mut Sums) = sums_of
}

/// # Safety
/// The address of the call has `count` positions, at least one.
#[inline(always)]
unsafe fn sums_of<X: Lanes>(call: &mut Sums) {
    // SAFETY: the caller keeps the contract of this function; the arrays have sixteen elements.
    unsafe {
        let zero = X::splat(0.0);
        let (low, high) = (X::splat(call.clip[0]), X::splat(call.clip[1]));
        // Even the smallest normal number times `huge` is above 1, so `min(x · huge, 1)` counts a positive x
        // as 1.
        let (huge, one) = (X::splat(f32::MAX), X::splat(1.0));
        let (mut largest, mut active) = (X::splat(f32::NEG_INFINITY), zero);
        let (mut from, mut chunk) = (0, 0);
        while from < call.count {
            let end = call.count.min(from + CHAIN);
            let first = X::load(call.x.add(from * LANES));
            let clipped_first = first.max(low).min(high);
            let (mut top, mut chain) = (X::splat(f32::NEG_INFINITY), [zero; 5]);
            for at in from..end {
                let x = X::load(call.x.add(at * LANES));
                let clipped = x.max(low).min(high);
                let (d, c) = (x.sub(first), clipped.sub(clipped_first));
                top = top.max(x);
                chain[0] = chain[0].add(d);
                chain[1] = chain[1].multiply_add(d, d);
                chain[2] = chain[2].add(c);
                chain[3] = chain[3].multiply_add(c, c);
                chain[4] = chain[4].add(x.max(zero).mul(huge).min(one));
            }
            let mut higher = top.exceeds(largest);
            while higher != 0 {
                call.chunks[higher.trailing_zeros() as usize] = chunk;
                higher &= higher - 1;
            }
            largest = largest.max(top);
            active = active.add(chain[4]);
            let mut stored = [[0.0f32; LANES]; 6];
            first.store(stored[0].as_mut_ptr());
            clipped_first.store(stored[1].as_mut_ptr());
            for i in 0..4 {
                chain[i].store(stored[i + 2].as_mut_ptr());
            }
            let counts = [from as f64, (end - from) as f64];
            call.plain.take(&stored[0], [&stored[2], &stored[3]], counts);
            call.clipped.take(&stored[1], [&stored[4], &stored[5]], counts);
            (from, chunk) = (end, chunk + 1);
        }
        largest.store(call.largest.as_mut_ptr());
        active.store(call.active.as_mut_ptr());
    }
}
