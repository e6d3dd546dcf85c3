//! Regularization of pixels after each step (Yosinski et al. 2015, §3, and their code): blur, setting pixels
//! with small norm or contribution to the mean colour, and clipping to valid colours.

use oneiro_image::Extent;

use crate::preset::Upkeep;
use crate::transform::blur::Blur;

/// Applies [`Upkeep`] to pictures of one shape. The parameters are pixels minus the mean colour.
pub(super) struct Keeper {
    upkeep: Upkeep,
    extent: Extent,
    blur: Option<Blur>,
    /// Mean colour of each channel, in 0–1. `levels` is the value of white in the parameters' units.
    mean: Vec<f32>,
    levels: f32,
}

impl Keeper {
    /// `mean` is the mean colour in 0–1: one value for all channels, or one for each. `levels` is the value
    /// of white in the parameters' units.
    pub fn new(upkeep: Upkeep, extent: impl Into<Extent>, mean: &[f32], levels: f32) -> Self {
        let extent = extent.into();
        let blur = (upkeep.blur > 0.0).then(|| Blur::new(upkeep.blur.into(), extent.size()));
        let mean = (0..extent.channels).map(|c| mean[c * mean.len() / extent.channels]).collect();
        Self { upkeep, extent, blur, mean, levels }
    }

    /// Regularizes the parameters after a step. `steps_done` counts the steps before this one.
    pub fn after_step(&mut self, params: &mut [f32], gradient: &[f32], steps_done: usize) {
        let (plane, positions) = (self.extent.plane(), self.extent.positions());
        let every = self.upkeep.blur_every.max(1);
        if let Some(blur) = self.blur.as_mut().filter(|_| (steps_done + 1).is_multiple_of(every)) {
            params.chunks_exact_mut(plane).for_each(|plane| blur.apply(plane));
        }
        if self.upkeep.small_values > 0.0 {
            let square = |i: usize| params[i..].iter().step_by(positions).map(|x| x * x).sum::<f32>();
            let norms: Vec<f32> = (0..positions).map(square).collect();
            forget(params, &norms, self.upkeep.small_values);
        }
        if self.upkeep.small_contributions > 0.0 {
            let share = |i: usize| {
                let pairs =
                    params[i..].iter().step_by(positions).zip(gradient[i..].iter().step_by(positions));
                pairs.map(|(x, g)| x * g).sum::<f32>().abs()
            };
            let shares: Vec<f32> = (0..positions).map(share).collect();
            forget(params, &shares, self.upkeep.small_contributions);
        }
        if self.upkeep.clip {
            for (plane, mean) in params.chunks_exact_mut(positions).zip(&self.mean) {
                let [black, white] = [-mean, 1.0 - mean].map(|bound| bound * self.levels);
                plane.iter_mut().for_each(|x| *x = x.clamp(black, white));
            }
        }
    }
}

/// Sets each pixel whose measure lies below the given percentile of all measures to the mean colour, which is
/// 0 in the parameters. `measured` has one value for each pixel.
fn forget(params: &mut [f32], measured: &[f32], percentage: f32) {
    let positions = measured.len();
    let mut sorted = measured.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let rank = ((positions as f32 * percentage / 100.0) as usize).min(positions - 1);
    let threshold = sorted[rank];
    for (i, value) in measured.iter().enumerate() {
        if *value < threshold {
            params[i..].iter_mut().step_by(positions).for_each(|x| *x = 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_keeps_what_is_even_and_spreads_a_point() {
        let upkeep = Upkeep { blur: 1.0, blur_every: 4, ..Upkeep::default() };
        let mut keeper = Keeper::new(upkeep, [1, 17, 17], &[0.5], 255.0);
        let mut even = vec![3.0; 289];
        keeper.after_step(&mut even, &[0.0; 289], 3);
        assert!(even.iter().all(|x| (x - 3.0).abs() < 1e-5));
        let mut point = vec![0.0; 289];
        point[144] = 1.0;
        keeper.after_step(&mut point, &[0.0; 289], 2);
        assert_eq!(point[144], 1.0, "not every step blurs");
        keeper.after_step(&mut point, &[0.0; 289], 3);
        // 1 / (2πσ²) at the centre of a Gaussian.
        assert!((point[144] - 0.159).abs() < 2e-3 && (point.iter().sum::<f32>() - 1.0).abs() < 1e-4);
    }

    #[test]
    fn the_smallest_pixels_are_forgotten() {
        let upkeep = Upkeep { small_values: 50.0, ..Upkeep::default() };
        let mut keeper = Keeper::new(upkeep, [2, 1, 4], &[0.5], 255.0);
        let mut params = vec![1.0, 0.1, -3.0, 0.2, 1.0, 0.1, 3.0, 0.2];
        keeper.after_step(&mut params, &[0.0; 8], 0);
        assert_eq!(params, [1.0, 0.0, -3.0, 0.0, 1.0, 0.0, 3.0, 0.0]);
        let upkeep = Upkeep { small_contributions: 50.0, ..Upkeep::default() };
        let mut keeper = Keeper::new(upkeep, [1, 1, 4], &[0.5], 255.0);
        let mut params = vec![1.0, 2.0, 3.0, 4.0];
        keeper.after_step(&mut params, &[1.0, -1.0, 1.0, -1.0], 0);
        assert_eq!(params, [0.0, 0.0, 3.0, 4.0], "a pixel that counts against the objective matters too");
    }
    #[test]
    fn pixels_are_kept_between_black_and_white() {
        let upkeep = Upkeep { clip: true, ..Upkeep::default() };
        let mut keeper = Keeper::new(upkeep, [2, 1, 3], &[0.2, 0.6], 255.0);
        let mut params = vec![-60.0, 10.0, 300.0, -160.0, 10.0, 110.0];
        keeper.after_step(&mut params, &[0.0; 6], 0);
        let expected = [-51.0, 10.0, 204.0, -153.0, 10.0, 102.0];
        assert!(params.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{params:?}");
    }
}
