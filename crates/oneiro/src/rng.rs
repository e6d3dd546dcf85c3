//! A generator of reproducible random numbers.
//!
//! Interface: a [`Stream`] is created from a random seed and a stream id, and every draw takes `&mut self`.
//! There is no global generator, and nothing is seeded from the clock or the operating system.
//!
//! ```
//! # use oneiro::rng::Stream;
//! let mut a = Stream::new(7, 0);
//! let mut b = Stream::new(7, 0);
//! assert_eq!(a.uniform(), b.uniform());
//! ```

use rand_core::Rng;
use rand_pcg::Pcg64;
use std::f64::consts::TAU;

/// Golden-ratio increment of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
const SPLITMIX_INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2⁻⁵³: the step between uniform numbers in [0, 1) that have 53 random bits, the precision of an `f64`.
const UNIFORM_STEP: f64 = 1.0 / (1u64 << 53) as f64;

/// A deterministic stream of random numbers, fixed by `(seed, id)`.
///
/// Streams of different ids (or seeds) are independent: both values are mixed into the state and the
/// increment of a PCG64 generator. Give an image the id of its unit, never its index in a batch. Its random
/// numbers are then the same whether it is rendered alone or among others, and on any number of threads.
///
/// Integers and uniform numbers are the same on every platform; [`Stream::normal`] is as reproducible as the
/// platform's `ln`, `sin` and `cos`.
#[derive(Debug, Clone)]
pub struct Stream {
    generator: Pcg64,
    /// The second number of a Box–Muller pair, until the next call of [`Stream::normal`] returns it.
    spare: Option<f64>,
}

impl Stream {
    /// Creates the stream of this random seed and id.
    pub fn new(seed: u64, id: u64) -> Stream {
        // The id is mixed before it is combined with the seed, so that the streams (1, 0) and (0, 1) are
        // unrelated.
        let mut word = seed ^ splitmix(&mut id.wrapping_add(SPLITMIX_INCREMENT));
        let mut wide = || (u128::from(splitmix(&mut word)) << 64) | u128::from(splitmix(&mut word));
        let (state, increment) = (wide(), wide());
        Stream { generator: Pcg64::new(state, increment), spare: None }
    }

    /// Returns the next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Draws a number uniformly from [0, 1), in steps of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * UNIFORM_STEP
    }

    /// Draws a number uniformly from [low, high).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Draws an integer uniformly from `low..=high`. An empty range (`high < low`) gives `low`.
    ///
    /// Every call consumes one draw (multiply and shift, with a bias below 2⁻³²), so the number of draws
    /// never depends on values.
    pub fn range_i32(&mut self, low: i32, high: i32) -> i32 {
        let count = (i64::from(high) - i64::from(low) + 1).max(1) as u64;
        (i64::from(low) + self.below(count) as i64) as i32
    }

    /// Draws an index below `len`; returns 0 if `len` is 0. Every call consumes one draw.
    pub fn choice(&mut self, len: usize) -> usize {
        self.below(len.max(1) as u64) as usize
    }

    /// Draws from the standard normal distribution by the Box–Muller transform. From two uniform numbers u
    /// and v it computes √(−2 ln(1 − u)) · (cos 2πv, sin 2πv). The second of the two is returned by the next
    /// call.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // 1 − u lies in (0, 1], so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sin, cos) = (TAU * self.uniform()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }

    fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(count)) >> 64) as u64
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(SPLITMIX_INCREMENT);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_id_give_the_same_numbers() {
        let draw = |seed, id| {
            let mut s = Stream::new(seed, id);
            (0..8).map(|_| s.bits()).collect::<Vec<_>>()
        };
        assert_eq!(draw(3, 4), draw(3, 4));
        assert_ne!(draw(3, 4), draw(4, 3));
        assert_ne!(draw(0, 1), draw(1, 0));
        assert_ne!(draw(0, 0), draw(0, 1));
    }

    #[test]
    fn the_first_numbers_never_change() {
        // The first numbers of the stream must never change: pictures are reproduced from their stored random
        // seed.
        let mut s = Stream::new(0, 0);
        assert_eq!([s.bits(), s.bits()], [8269314324346413556, 14022277507826849158]);
    }

    #[test]
    fn streams_of_neighbouring_ids_are_uncorrelated() {
        let n = 20_000;
        let (mut a, mut b) = (Stream::new(1, 10), Stream::new(1, 11));
        let product: f64 = (0..n).map(|_| a.normal() * b.normal()).sum::<f64>() / n as f64;
        assert!(product.abs() < 4.0 / (n as f64).sqrt(), "correlation {product}");
    }

    #[test]
    fn normal_numbers_have_the_moments_of_a_normal_distribution() {
        let mut s = Stream::new(5, 0);
        let x: Vec<f64> = (0..200_000).map(|_| s.normal()).collect();
        let moment = |p: i32| x.iter().map(|v| v.powi(p)).sum::<f64>() / x.len() as f64;
        for (power, expected, tolerance) in [(1, 0.0, 0.01), (2, 1.0, 0.02), (3, 0.0, 0.05), (4, 3.0, 0.1)] {
            assert!((moment(power) - expected).abs() < tolerance, "moment {power}: {}", moment(power));
        }
    }

    #[test]
    fn whole_numbers_cover_their_range_evenly() {
        let mut s = Stream::new(9, 2);
        let mut counts = [0usize; 11];
        for _ in 0..11_000 {
            counts[(s.range_i32(-5, 5) + 5) as usize] += 1;
        }
        assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
        assert_eq!(s.range_i32(4, 4), 4);
        assert_eq!(s.choice(1), 0);
        s.range_i32(i32::MIN, i32::MAX);
        assert!((0..1000).map(|_| s.uniform()).all(|u| (0.0..1.0).contains(&u)));
    }
}
