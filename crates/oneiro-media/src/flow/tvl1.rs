//! TV-L1 optical flow, by the dual (duality-based) method.
//!
//! C. Zach, T. Pock, H. Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007; J.
//! Sánchez, E. Meinhardt-Llopis, G. Facciolo, "TV-L1 Optical Flow Estimation", IPOL 2013. Options, borders,
//! interpolation and the stopping rule are those of OpenCV's `DualTVL1OpticalFlow` (contrib, `optflow`).
//!
//! The result's bits depend neither on the number of threads nor on the division of rows among them. Each
//! value is computed by one formula, and the stopping rule sums rows in a fixed order.

mod band;
mod median;
mod pyramid;
pub(super) mod warp;

use rayon::prelude::*;

use crate::flow::{Flow, Luminance, luminance};
use crate::{Image, MediaError, Result};
use band::Bands;
pub(super) use pyramid::Plane;

/// Parameters of TV-L1. The defaults are OpenCV's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TvL1Options {
    /// Step size of the dual variable, at most 0.25.
    pub tau: f32,
    /// Weight of the data term (brightness difference, intensities 0–255). A smaller weight gives smoother
    /// flow.
    pub lambda: f32,
    /// θ, the coupling of the data term and the smoothness term: the smaller, the tighter.
    pub theta: f32,
    /// Number of pyramid levels, at least 1. Levels with a side below 16 pixels are left out.
    pub scales: usize,
    /// Size of a pyramid level relative to the next finer one, between 0 and 1.
    pub scale_step: f64,
    /// How often the second frame is warped and linearized around the current flow on each level.
    pub warps: usize,
    /// The iterations of a warp stop when the flow's root mean square change, in pixels, is below this.
    pub epsilon: f64,
    /// Iterations between two median filterings of the flow.
    pub inner_iterations: usize,
    /// Largest number of rounds for each warp. A round is a median filtering and the inner iterations.
    pub outer_iterations: usize,
    /// Side of the median filter in pixels: 1 (no filter), 3 or 5.
    pub median: usize,
}

impl Default for TvL1Options {
    fn default() -> Self {
        TvL1Options {
            tau: 0.25,
            lambda: 0.15,
            theta: 0.3,
            scales: 5,
            scale_step: 0.8,
            warps: 5,
            epsilon: 0.01,
            inner_iterations: 30,
            outer_iterations: 10,
            median: 5,
        }
    }
}

impl TvL1Options {
    /// Checks that all TV-L1 parameters are within their ranges.
    ///
    /// # Errors
    ///
    /// [`MediaError::Shape`], which names the parameter that is out of range.
    pub fn check(&self) -> Result<()> {
        let positive = |x: f32| x.is_finite() && x > 0.0;
        let problem = if !(positive(self.tau) && self.tau <= 0.25) {
            format!("tau is {}; the iterations converge for 0 < tau <= 0.25", self.tau)
        } else if !positive(self.lambda) || !positive(self.theta) {
            format!("lambda is {} and theta {}; both have to be above 0", self.lambda, self.theta)
        } else if self.scales == 0 {
            "it needs at least one scale".into()
        } else if !(self.scale_step > 0.0 && self.scale_step < 1.0) {
            format!("the step between scales is {}; it has to lie between 0 and 1", self.scale_step)
        } else if !(self.epsilon.is_finite() && self.epsilon >= 0.0) {
            format!("epsilon is {}; it has to be at least 0", self.epsilon)
        } else if ![1, 3, 5].contains(&self.median) {
            format!("the median filter's side is {}; it can be 1 (none), 3 or 5", self.median)
        } else {
            return Ok(());
        };
        Err(MediaError::Shape { what: format!("TV-L1 flow cannot be computed: {problem}") })
    }
}

/// Computes the flow from frame `a` to frame `b`, one field. Runs on the current thread pool of `rayon`.
///
/// # Errors
///
/// [`MediaError::Shape`] if the sizes differ, a side has fewer than 3 pixels, or an option is out of range.
pub fn tvl1(a: &Luminance, b: &Luminance, options: &TvL1Options) -> Result<Flow> {
    options.check()?;
    check_sizes(a, b)?;
    // Started from inside the pool, each of the many small parallel loops need not wake another thread first.
    Ok(in_pool(|| pair(a, b, options, rayon::current_num_threads())))
}

/// Computes the flow from each frame to the next one. Pairs of frames run in parallel if there are enough of
/// them for all threads; the rows of remaining pairs do otherwise.
///
/// # Errors
///
/// The errors of [`tvl1`], and [`MediaError::Shape`] for fewer than two frames.
pub fn flow_of_frames(frames: &[Luminance], options: &TvL1Options) -> Result<Flow> {
    let pairs: Vec<_> = frames.windows(2).map(|pair| (&pair[0], &pair[1])).collect();
    if pairs.is_empty() {
        return Err(MediaError::Shape {
            what: format!("optical flow needs two frames at least; {} was given", frames.len()),
        });
    }
    flow_of_pairs(&pairs, options)
}

/// Computes the flow from each pair's first frame to its second frame. `pairs` must not be empty.
pub(super) fn flow_of_pairs(pairs: &[(&Luminance, &Luminance)], options: &TvL1Options) -> Result<Flow> {
    options.check()?;
    pairs.iter().try_for_each(|(a, b)| check_sizes(a, b))?;
    let fields = in_pool(|| {
        let threads = rayon::current_num_threads();
        let (whole, rest) = pairs.split_at(pairs.len() / threads * threads);
        let mut fields: Vec<_> =
            whole.par_iter().with_max_len(1).map(|(a, b)| pair(a, b, options, 1)).collect();
        fields.extend(rest.iter().map(|(a, b)| pair(a, b, options, threads)));
        fields
    });
    Flow::stack(&fields)
}

/// Computes the flow from each frame of a gray or RGB clip to the next one; see [`luminance`].
///
/// # Errors
///
/// The errors of [`flow_of_frames`] and [`luminance`].
pub fn flow_of_clip(clip: &Image, options: &TvL1Options) -> Result<Flow> {
    flow_of_frames(&luminance(clip)?, options)
}

/// Runs a function on a thread of the current `rayon` pool.
fn in_pool<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| run())
}

fn check_sizes(a: &Luminance, b: &Luminance) -> Result<()> {
    if (a.width, a.height) != (b.width, b.height) {
        return Err(MediaError::Shape {
            what: format!(
                "optical flow needs frames of one size; these have {}×{} and {}×{} pixels",
                a.width, a.height, b.width, b.height
            ),
        });
    }
    if a.width.min(a.height) < 3 {
        return Err(MediaError::Shape {
            what: format!(
                "optical flow needs frames of 3×3 pixels at least; these have {}×{}; enlarge them",
                a.width, a.height
            ),
        });
    }
    Ok(())
}

/// Computes the flow of one pair of frames, from the coarsest pyramid level to the finest. Rows are divided
/// among `bands` parallel tasks.
fn pair(a: &Luminance, b: &Luminance, options: &TvL1Options, bands: usize) -> Flow {
    let levels = pyramid::pyramid(a, options);
    let targets = pyramid::pyramid(b, options);
    let coarsest = &levels[levels.len() - 1];
    let mut u =
        [Plane::zeros(coarsest.height, coarsest.width), Plane::zeros(coarsest.height, coarsest.width)];
    for (a, b) in levels.iter().zip(&targets).rev() {
        if u[0].width != a.width || u[0].height != a.height {
            let factor = (1.0 / options.scale_step) as f32;
            for plane in &mut u {
                *plane = plane.enlarged(a.height, a.width, factor);
            }
        }
        level(a, b, &mut u, options, bands);
    }
    let [u, v] = u;
    let mut data = u.data;
    data.extend(v.data);
    Flow { frames: 1, height: a.height, width: a.width, data }
}

/// Improves the flow `u` on one pyramid level.
fn level(a: &Plane, b: &Plane, u: &mut [Plane; 2], options: &TvL1Options, bands: usize) {
    let target = warp::Target::new(b);
    let mut bands = Bands::new(a.height, a.width, bands);
    // The iterations stop when the sum of squared changes is below this.
    let enough = (options.epsilon * options.epsilon * (a.height * a.width) as f64) as f32;
    for _ in 0..options.warps {
        bands.linearize(a, &target, u);
        bands.load(u);
        let mut change = f32::MAX;
        for _ in 0..options.outer_iterations {
            if change <= enough {
                break;
            }
            if options.median > 1 {
                bands.store(u);
                bands.median(u, options.median);
            }
            for _ in 0..options.inner_iterations {
                if change <= enough {
                    break;
                }
                change = bands.iterate(options);
            }
        }
        bands.store(u);
    }
}

#[cfg(test)]
mod tests;
