//! From gradients to one map for every orientation: each pixel's gradient magnitude, in the bins nearest to
//! its direction.
//!
//! K directions at angles 2πk/K; y points down, so they go clockwise from the x axis.
//!
//! **Hard**: all of ‖g‖ goes to the direction with the largest projection, as in Mahendran & Vedaldi's
//! networks.
//!
//! **Bilinear**: with a = θ·K/2π, the direction in bins, bin k gets ‖g‖·max(0, 1 − |a − k|), around the
//! circle. The triangle is the second difference of ramps, and ‖g‖ ≥ 0 may go into them, so a layer of
//! rectified linear units and a linear one compute it from ‖g‖·a and ‖g‖: Σ ±relu(‖g‖·a − j·‖g‖). The angle
//! is exact, tan(θ/2) = g_y / (‖g‖ + g_x), with a finite slope everywhere, which the arc cosine of a
//! projection does not have.

use std::f64::consts::{FRAC_PI_2, PI};

use oneiro_net::graph::Attribute;
use oneiro_net::graph::ValueId;

use super::net::{DENSE, Net};

/// How a gradient goes into the orientation bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// All of it into the bin nearest to its direction; between two, into that of the lower index.
    Hard,
    /// Into the two nearest bins, by its distance to them.
    Bilinear,
}

/// ε in √(‖g‖² + ε), which stands for ‖g‖ where it is a divisor, and in the magnitude ‖g‖²/√(‖g‖² + ε), which
/// has the slope 0 where g is 0, while the exact one has none. One step of an 8-bit image, 1/255, comes out
/// too small by 3·10⁻⁶ of itself.
pub const MAGNITUDE_EPSILON: f32 = 1e-10;

/// `gradient` [N, 2, H, W] → [N, `directions`, H, W], called `orientation`: ‖g‖ times the share of each
/// direction. The number of directions is even.
pub(super) fn oriented(
    net: &mut Net,
    gradient: ValueId,
    directions: usize,
    assignment: Assignment,
) -> oneiro_net::Result<ValueId> {
    let energy = net.energy("magnitude.energy", gradient, 2)?;
    let above_zero = net.with("Add", "magnitude.above_zero", energy, MAGNITUDE_EPSILON)?;
    let root = net.node("Sqrt", "magnitude.root", &[above_zero])?;
    let magnitude = net.node("Div", "magnitude", &[energy, root])?;
    match assignment {
        Assignment::Hard => {
            let projection =
                net.conv("projection", gradient, [directions, 2, 1, 1], DENSE, |k, i, _, _| {
                    let (sin, cos) = (2.0 * PI * k as f64 / directions as f64).sin_cos();
                    (if i == 0 { cos } else { sin }) as f32
                })?;
            let across = vec![("axis", Attribute::Int(1))];
            let nearest = net.node_with("Hardmax", "nearest", &[projection], across)?;
            net.node("Mul", "orientation", &[nearest, magnitude])
        }
        Assignment::Bilinear => {
            let angle = half_angle(net, gradient, root)?;
            let bins = net.with("Mul", "angle.bins", angle, (directions as f64 / PI) as f32)?;
            let weighted = net.node("Mul", "angle.weighted", &[bins, magnitude])?;
            let both = net.concat("polar", &[weighted, magnitude])?;
            triangles(net, both, directions)
        }
    }
}

/// θ/2 between −π/4 and 3π/4, from the gradient and √(‖g‖² + ε).
fn half_angle(net: &mut Net, gradient: ValueId, root: ValueId) -> oneiro_net::Result<ValueId> {
    let axis = net.ints("angle.axis", &[1])?;
    let [zero, one, two] = [0, 1, 2].map(|i| net.ints(&format!("angle.channel{i}"), &[i]));
    let (zero, one, two) = (zero?, one?, two?);
    let x = net.node("Slice", "gradient.x", &[gradient, zero, one, axis])?;
    let y = net.node("Slice", "gradient.y", &[gradient, one, two, axis])?;
    // The left half plane is the mirror image of the right one. `Abs` would have no slope where x is 0.
    let nothing = net.number("angle.zero", 0.0)?;
    let right = net.node("GreaterOrEqual", "angle.right", &[x, nothing])?;
    let opposite = net.node("Neg", "angle.opposite", &[x])?;
    let distance = net.node("Where", "angle.distance", &[right, x, opposite])?;
    let beside = net.node("Add", "angle.beside", &[root, distance])?;
    let tangent = net.node("Div", "angle.tangent", &[y, beside])?;
    let half = net.node("Atan", "angle.mirrored", &[tangent])?;
    let turned = net.node("Neg", "angle.turned", &[half])?;
    let turned = net.with("Add", "angle.left", turned, FRAC_PI_2 as f32)?;
    net.node("Where", "angle", &[right, half, turned])
}

/// `both` holds ‖g‖·a and ‖g‖, with a between −K/4 and 3K/4 → the shares of the K directions.
fn triangles(net: &mut Net, both: ValueId, directions: usize) -> oneiro_net::Result<ValueId> {
    let k = directions as i64;
    // Bins from the last at or below −K/4 to the first at or above 3K/4, and a ramp to each side of them.
    let (low, high) = ((-k).div_euclid(4), (3 * k + 3).div_euclid(4));
    let ramps = (high - low + 3) as usize;
    let start = |ramp: usize| low - 1 + ramp as i64;
    let ramped = net.conv("ramps.linear", both, [ramps, 2, 1, 1], DENSE, |ramp, i, _, _| {
        if i == 0 { 1.0 } else { -(start(ramp) as f32) }
    })?;
    let ramped = net.node("Relu", "ramps", &[ramped])?;
    let shares =
        net.conv("orientation.linear", ramped, [directions, ramps, 1, 1], DENSE, |o, ramp, _, _| {
            // The bins of this direction: one, or two where the circle closes.
            let bins = (low..=high).filter(|bin| bin.rem_euclid(k) == o as i64);
            bins.map(|bin| match (start(ramp) - bin).abs() {
                0 => -2.0,
                1 => 1.0,
                _ => 0.0,
            })
            .sum()
        })?;
    // Rounding may leave them a little below zero.
    net.node("Relu", "orientation", &[shares])
}
