//! Optical flow with the camera's motion removed ("warped flow").
//!
//! H. Wang, C. Schmid, "Action Recognition with Improved Trajectories", ICCV 2013, section 3.1: RANSAC fits a
//! homography to matches of features and samples of the flow. The second frame is warped back by the
//! homography, and the flow is computed again. L. Wang et al., "Temporal Segment Networks", ECCV 2016, feed
//! such flow to networks.
//!
//! Here features are corners (J. Shi, C. Tomasi, "Good Features to Track", CVPR 1994), matched by the
//! correlation of their patches. The flow is sampled at corners and also on a grid. People are not masked
//! out, and often have more corners than the background.

mod corners;
mod homography;
mod matches;
mod ransac;

use rayon::prelude::*;

use super::tvl1::warp::Target;
use super::tvl1::{Plane, flow_of_pairs};
use super::{Flow, Luminance, TvL1Options, flow_of_frames};
use crate::{MediaError, Result};

pub use homography::Homography;

/// A point of the first frame and the matching point of the second one, in pixels: column, row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Match {
    from: [f64; 2],
    to: [f64; 2],
    weight: f64,
}

impl Match {
    fn new(from: [f64; 2], to: [f64; 2]) -> Match {
        Match { from, to, weight: 1.0 }
    }
}

/// Settings of the estimation of the camera's motion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameraOptions {
    /// How many corners of each frame are used at most.
    pub corners: usize,
    /// About how many samples of the flow are taken on a regular grid, besides those at corners. A background
    /// without texture has no corners.
    pub samples: usize,
    /// How far from a corner's place in the first frame its match is searched in the second, in pixels.
    pub reach: f32,
    /// The lowest correlation (up to 1) of two patches that counts as a match.
    pub correlation: f32,
    /// How many random homographies RANSAC tries.
    pub iterations: usize,
    /// The largest distance in pixels, between a match and the homography's prediction, at which they agree.
    pub tolerance: f64,
    /// How many matches must agree with the homography. With fewer, the camera is taken to be at rest.
    pub least_agreeing: usize,
    /// Seed of RANSAC's random numbers.
    pub seed: u64,
}

impl Default for CameraOptions {
    fn default() -> Self {
        CameraOptions {
            corners: 500,
            samples: 500,
            reach: 24.0,
            correlation: 0.8,
            iterations: 500,
            tolerance: 1.0,
            least_agreeing: 25,
            seed: 0,
        }
    }
}

/// Optical flow with the camera's motion removed, and that motion.
#[derive(Debug, Clone, PartialEq)]
pub struct CompensatedFlow {
    /// The flow from each frame to the next one after the next one was warped back by the camera's motion.
    pub flow: Flow,
    /// The camera's motion for each flow field: the homography that maps the frame's background to the next
    /// frame's.
    pub cameras: Vec<Homography>,
}

/// Computes the flow from each frame to the next, with the camera's motion removed: about 0 in the
/// background.
///
/// # Errors
///
/// The errors of [`flow_of_frames`], and [`MediaError::Shape`] if an option is out of range.
pub fn compensated_flow(
    frames: &[Luminance],
    options: &TvL1Options,
    camera: &CameraOptions,
) -> Result<CompensatedFlow> {
    let raw = flow_of_frames(frames, options)?;
    let pairs: Vec<_> = frames.windows(2).zip(0..).collect();
    let estimated = pairs.par_iter().with_max_len(1).map(|&(pair, t)| {
        let homography = estimate_camera(&pair[0], &pair[1], &raw.field(t), camera)?;
        Ok((homography, warped_back(&pair[0], &pair[1], &homography)))
    });
    let (cameras, warped): (Vec<_>, Vec<_>) = estimated.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let pairs: Vec<_> = frames.iter().zip(&warped).collect();
    Ok(CompensatedFlow { flow: flow_of_pairs(&pairs, options)?, cameras })
}

/// Estimates the motion of the background from frame `a` to frame `b`: the homography with which most corner
/// matches and flow samples agree. It is the identity if too few agree.
///
/// `flow` is the flow from `a` to `b`, one field. Equal arguments give equal bits with any number of threads.
///
/// # Errors
///
/// [`MediaError::Shape`] if the sizes differ or an option is out of range.
pub fn estimate_camera(
    a: &Luminance,
    b: &Luminance,
    flow: &Flow,
    options: &CameraOptions,
) -> Result<Homography> {
    let refused = |what: String| Err(MediaError::Shape { what });
    if !(options.tolerance > 0.0 && options.reach >= 0.0 && options.correlation <= 1.0) {
        return refused(format!(
            "the camera's motion cannot be estimated: the tolerance is {}, the reach {}, the correlation {}; they \
             have to be above 0, at least 0, and at most 1",
            options.tolerance, options.reach, options.correlation
        ));
    }
    let size = (a.width, a.height);
    if size != (b.width, b.height) || size != (flow.width, flow.height) || flow.frames != 1 {
        return refused(format!(
            "the camera's motion needs two frames and one flow field of one size; these have {}×{} and {}×{} \
             pixels, and {} fields of {}×{}",
            a.width, a.height, b.width, b.height, flow.frames, flow.width, flow.height
        ));
    }
    let (from, to) = (corners::corners(a, options.corners), corners::corners(b, options.corners));
    let mut matches = matches::matches(a, &from, b, &to, options);
    let at_corners = from.iter().map(|corner| (corner.x, corner.y));
    matches.extend(at_corners.chain(grid(a.width, a.height, options.samples)).filter_map(|(x, y)| {
        let [u, v] = flow.at(0, x, y).map(f64::from);
        let at = [x as f64, y as f64];
        (u.is_finite() && v.is_finite()).then_some(Match::new(at, [at[0] + u, at[1] + v]))
    }));
    weigh_by_area(&mut matches, a.width, a.height);
    Ok(ransac::fit(&matches, options).unwrap_or(Homography::IDENTITY))
}

/// Gives each cell of a grid over the picture the same total weight. The background is the motion that fills
/// most of the area, not the one with most corners.
fn weigh_by_area(matches: &mut [Match], width: usize, height: usize) {
    /// Number of grid cells along each side of the picture.
    const CELLS: usize = 8;
    let cell = |m: &Match| {
        let along = |at: f64, side: usize| ((at * CELLS as f64 / side as f64) as usize).min(CELLS - 1);
        along(m.from[1], height) * CELLS + along(m.from[0], width)
    };
    let mut counts = [0.0; CELLS * CELLS];
    matches.iter().for_each(|m| counts[cell(m)] += 1.0);
    matches.iter_mut().for_each(|m| m.weight = 1.0 / counts[cell(m)]);
}

/// Iterates over a regular grid of about `count` pixels, without the border, where flow is less certain.
fn grid(width: usize, height: usize, count: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = ((width * height) as f64 / count.max(1) as f64).sqrt().ceil().max(1.0) as usize;
    let along =
        move |side: usize| (step.div_ceil(2)..(side + 1).saturating_sub(step.div_ceil(2))).step_by(step);
    let rows = if count == 0 { 0 } else { height };
    along(rows).flat_map(move |y| along(width).map(move |x| (x, y)))
}

/// Warps frame `b` back: reads it at the places to which the homography maps the pixels of `a`. Places
/// outside `b` get the pixel of `a`, which means no motion there.
fn warped_back(a: &Luminance, b: &Luminance, homography: &Homography) -> Luminance {
    let target = Target::new(&Plane { height: b.height, width: b.width, data: b.data.clone() });
    let (right, bottom) = ((b.width - 1) as f64, (b.height - 1) as f64);
    let data = (0..a.height).flat_map(|y| (0..a.width).map(move |x| (x, y))).map(|(x, y)| {
        let [to_x, to_y] = homography.apply([x as f64, y as f64]);
        // The cubic interpolation kernel reads one pixel to the left and two to the right.
        let inside = |at: f64, last: f64| {
            at == at.round() && (0.0..=last).contains(&at) || at >= 1.0 && at <= last - 1.0
        };
        if inside(to_x, right) && inside(to_y, bottom) {
            target.sample(to_x as f32, to_y as f32)[0]
        } else {
            a.data[y * a.width + x]
        }
    });
    Luminance { height: a.height, width: a.width, data: data.collect() }
}

#[cfg(test)]
mod tests;
