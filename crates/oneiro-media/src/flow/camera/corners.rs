//! Detects corners: J. Shi, C. Tomasi, "Good Features to Track", CVPR 1994.

use crate::flow::Luminance;

/// How many pixels the window, over which the structure tensor is summed, reaches to each side.
const REACH: usize = 2;
/// Width of the border, in pixels, without corners: the patches around corners must lie inside the frame.
pub(super) const MARGIN: usize = 6;
/// The lowest response that counts as a corner, relative to the strongest response of the frame.
const QUALITY: f32 = 0.001;
/// Two corners are farther apart than this many pixels, along at least one axis.
const DISTANCE: usize = 4;

/// A corner: a pixel where brightness changes in both directions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Corner {
    pub x: usize,
    pub y: usize,
    /// The response's maximum with subpixel precision, from a parabola along each axis: column, row.
    pub exact: [f64; 2],
}

/// Returns at most `count` corners of a frame, the strongest first.
pub(super) fn corners(frame: &Luminance, count: usize) -> Vec<Corner> {
    let (height, width) = (frame.height, frame.width);
    if height.min(width) <= 2 * MARGIN {
        return Vec::new();
    }
    let response = response(frame);
    let at = |x: usize, y: usize| response[y * width + x];
    let inside = (MARGIN..height - MARGIN).flat_map(|y| (MARGIN..width - MARGIN).map(move |x| (x, y)));
    let peaks = inside.filter(|&(x, y)| {
        let here = at(x, y);
        let near = (y - 1..=y + 1).flat_map(|y| (x - 1..=x + 1).map(move |x| (x, y)));
        here > 0.0 && near.into_iter().all(|(x, y)| at(x, y) <= here)
    });
    let mut peaks: Vec<(usize, usize)> = peaks.collect();
    // A stable sort keeps equal responses in reading order.
    peaks.sort_by(|&(ax, ay), &(bx, by)| at(bx, by).total_cmp(&at(ax, ay)));
    let least = peaks.first().map_or(0.0, |&(x, y)| QUALITY * at(x, y));
    let mut taken = vec![false; response.len()];
    let mut corners = Vec::new();
    for (x, y) in peaks {
        if corners.len() == count || at(x, y) < least {
            break;
        }
        if taken[y * width + x] {
            continue;
        }
        for row in y.saturating_sub(DISTANCE)..(y + DISTANCE + 1).min(height) {
            let from = row * width + x.saturating_sub(DISTANCE);
            taken[from..row * width + (x + DISTANCE + 1).min(width)].fill(true);
        }
        let exact = [
            x as f64 + peak_offset(at(x - 1, y), at(x, y), at(x + 1, y)),
            y as f64 + peak_offset(at(x, y - 1), at(x, y), at(x, y + 1)),
        ];
        corners.push(Corner { x, y, exact });
    }
    corners
}

/// Returns the maximum of the parabola through three values, as an offset from the middle one.
fn peak_offset(before: f32, here: f32, after: f32) -> f64 {
    let curvature = f64::from(before) + f64::from(after) - 2.0 * f64::from(here);
    if curvature < 0.0 {
        (0.5 * (f64::from(before) - f64::from(after)) / curvature).clamp(-0.5, 0.5)
    } else {
        0.0
    }
}

/// Returns the smaller eigenvalue of each pixel's structure tensor, summed over a window; 0 at the border.
fn response(frame: &Luminance) -> Vec<f32> {
    let (height, width) = (frame.height, frame.width);
    let mut tensor = vec![[0.0f32; 3]; height * width];
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = y * width + x;
            let right = 0.5 * (frame.data[at + 1] - frame.data[at - 1]);
            let down = 0.5 * (frame.data[at + width] - frame.data[at - width]);
            tensor[at] = [right * right, right * down, down * down];
        }
    }
    let add = |a: [f32; 3], b: &[f32; 3]| std::array::from_fn(|i| a[i] + b[i]);
    let mut rows = vec![[0.0f32; 3]; height * width];
    for y in 0..height {
        for x in REACH..width - REACH {
            let at = y * width + x;
            rows[at] = tensor[at - REACH..=at + REACH].iter().fold([0.0; 3], add);
        }
    }
    let mut response = vec![0.0; height * width];
    for at in REACH * width..(height - REACH) * width {
        let column = (0..=2 * REACH).map(|i| &rows[at + i * width - REACH * width]);
        let [xx, xy, yy] = column.fold([0.0; 3], add);
        let half = 0.5 * (xx - yy);
        response[at] = 0.5 * (xx + yy) - (half * half + xy * xy).sqrt();
    }
    response
}
