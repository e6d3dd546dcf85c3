//! RANSAC: M. Fischler, R. Bolles, "Random Sample Consensus", Communications of the ACM 1981.

use super::{CameraOptions, Homography, Match};

/// Matches that determine a homography.
const SAMPLE: usize = 4;
/// Fits of least squares to all agreeing matches, after the search.
const REFINEMENTS: usize = 5;

/// The homography that most matches agree with, fitted to all of them; `None` if too few agree.
pub(super) fn fit(matches: &[Match], options: &CameraOptions) -> Option<Homography> {
    if matches.len() < SAMPLE {
        return None;
    }
    let mut random = SplitMix(options.seed);
    let mut best: Option<(usize, Homography)> = None;
    for _ in 0..options.iterations {
        let sample = sample(matches, &mut random);
        let Some(homography) = Homography::fit(&sample) else { continue };
        let count = agreeing(matches, &homography, options.tolerance).count();
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, homography));
        }
    }
    let mut homography = best?.1;
    for _ in 0..REFINEMENTS {
        let inliers: Vec<Match> = agreeing(matches, &homography, options.tolerance).copied().collect();
        if inliers.len() < options.least_agreeing.max(SAMPLE) {
            return None;
        }
        homography = Homography::fit(&inliers)?;
    }
    Some(homography)
}

/// Four different matches.
fn sample(matches: &[Match], random: &mut SplitMix) -> [Match; SAMPLE] {
    let mut chosen = [0; SAMPLE];
    for i in 0..SAMPLE {
        // The remaining matches are numbered without those chosen before.
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
    matches.iter().filter(move |m| {
        let [x, y] = homography.apply(m.from);
        let (x, y) = (x - m.to[0], y - m.to[1]);
        x * x + y * y <= tolerance * tolerance
    })
}

/// G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
struct SplitMix(u64);

impl SplitMix {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((u128::from(bits) * end as u128) >> 64) as usize
    }
}
