//! RANSAC (M. Fischler, R. Bolles, "Random Sample Consensus", Communications of the ACM 1981) for
//! homographies.

use super::{CameraOptions, Homography, Match};

/// Number of matches that determine a homography.
const SAMPLE: usize = 4;
/// How many reweighted least-squares fits to the agreeing matches follow the random search.
const REFINEMENTS: usize = 10;
/// Distance at which a match has a quarter of its weight, as a share of the tolerance. Matches on slowly
/// moving objects lie within the tolerance, and must not pull the estimate with them.
const SCALE: f64 = 0.25;

/// Returns the homography with which matches agree best, fitted to all that agree, or `None` if too few do.
///
/// Random homographies, and a camera at rest, are compared by the robust cost of all matches, as in P. Torr,
/// A. Zisserman, "MLESAC", CVIU 2000. The final fit minimizes that cost by reweighted least squares.
pub(super) fn fit(matches: &[Match], options: &CameraOptions) -> Option<Homography> {
    if matches.len() < SAMPLE {
        return None;
    }
    let mut random = SplitMix(options.seed);
    let mut best = (cost(matches, &Homography::IDENTITY, options.tolerance), Homography::IDENTITY);
    for _ in 0..options.iterations {
        let sample = sample(matches, &mut random);
        let Some(homography) = Homography::fit(&sample, |_| 1.0) else { continue };
        let cost = cost(matches, &homography, options.tolerance);
        if cost < best.0 {
            best = (cost, homography);
        }
    }
    let mut homography = best.1;
    for _ in 0..REFINEMENTS {
        let inliers: Vec<Match> = agreeing(matches, &homography, options.tolerance).copied().collect();
        if inliers.len() < options.least_agreeing.max(SAMPLE) {
            return None;
        }
        let weight = |m: &Match| {
            let relative = relative_error(m, &homography, options.tolerance);
            m.weight / ((1.0 + relative) * (1.0 + relative))
        };
        homography = Homography::fit(&inliers, weight)?;
    }
    Some(homography)
}

/// Draws four different matches at random.
fn sample(matches: &[Match], random: &mut SplitMix) -> [Match; SAMPLE] {
    let mut chosen = [0; SAMPLE];
    for i in 0..SAMPLE {
        // The index counts only matches that are not yet chosen; skip the chosen ones.
        let mut index = random.below(matches.len() - i);
        chosen[..i].sort_unstable();
        for &before in &chosen[..i] {
            index += usize::from(index >= before);
        }
        chosen[i] = index;
    }
    chosen.map(|index| matches[index])
}

fn agreeing<'a>(
    matches: &'a [Match],
    homography: &'a Homography,
    tolerance: f64,
) -> impl Iterator<Item = &'a Match> {
    matches.iter().filter(move |m| squared_error(m, homography) <= tolerance * tolerance)
}

/// The robust cost of Geman and McClure ("Statistical methods for tomographic image reconstruction", 1987),
/// summed over matches. A match costs 0 if it agrees exactly, and at most its weight.
fn cost(matches: &[Match], homography: &Homography, tolerance: f64) -> f64 {
    let cost = |m: &Match| {
        let relative = relative_error(m, homography, tolerance);
        m.weight * if relative.is_finite() { relative / (1.0 + relative) } else { 1.0 }
    };
    matches.iter().map(cost).sum()
}

/// Returns the squared error of a match in units of (`SCALE` · tolerance)².
fn relative_error(m: &Match, homography: &Homography, tolerance: f64) -> f64 {
    squared_error(m, homography) / (SCALE * tolerance).powi(2)
}

/// Returns the squared distance, in pixels, of a match from the homography's prediction.
fn squared_error(m: &Match, homography: &Homography) -> f64 {
    let [x, y] = homography.apply(m.from);
    let (x, y) = (x - m.to[0], y - m.to[1]);
    x * x + y * y
}

/// The random number generator SplitMix: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014.
struct SplitMix(u64);

impl SplitMix {
    /// Returns a random number from 0 up to but not including `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((u128::from(bits) * end as u128) >> 64) as usize
    }
}
