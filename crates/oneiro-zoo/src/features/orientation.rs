//! Divides gradients among orientation bins: one map for each orientation, in which each pixel's gradient
//! magnitude goes to the bins nearest to its direction.
//!
//! There are K directions, at angles 2πk/K. Since y points down, they go clockwise from the x axis.
//!
//! **Hard**: all of the magnitude ‖g‖ goes to the direction with the largest projection, as in Mahendran &
//! Vedaldi's networks.
//!
//! **Bilinear**: let a = θ·K/2π be the direction in units of bins. Bin k gets ‖g‖·max(0, 1 − |a − k|), with a
//! taken around the circle. The triangle is the second difference of ramps, and ‖g‖ ≥ 0 can be moved into
//! them. A layer of rectified linear units and a linear layer thus compute it from ‖g‖·a and ‖g‖: Σ
//! ±relu(‖g‖·a − j·‖g‖). The angle is exact, tan(θ/2) = g_y / (‖g‖ + g_x), and its derivative is finite
//! everywhere. The arc cosine of a projection lacks a finite derivative.

use std::f64::consts::{FRAC_PI_2, PI};

use oneiro_net::graph::Attribute;
use oneiro_net::graph::ValueId;

use super::net::{DENSE, Net};

/// How a gradient is divided among orientation bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// The whole gradient goes to the bin nearest to its direction; halfway between two bins, to the one of
    /// lower index.
    Hard,
    /// The gradient is divided between the two nearest bins, by its distance from them.
    Bilinear,
}

/// ε in √(‖g‖² + ε), which replaces ‖g‖ as a divisor. The magnitude is ‖g‖²/√(‖g‖² + ε), which has derivative
/// 0 at g = 0, where ‖g‖ has none. For one step of an 8-bit image, 1/255, this magnitude is too small by a
/// relative 3·10⁻⁶.
pub const MAGNITUDE_EPSILON: f32 = 1e-10;

/// Adds the layers from `gradient` [N, 2, H, W] to the value `orientation` [N, `directions`, H, W]: ‖g‖ times
/// the share of each direction. The number of directions must be even.
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

/// Adds the half angle θ/2, between −π/4 and 3π/4, computed from the gradient and √(‖g‖² + ε).
fn half_angle(net: &mut Net, gradient: ValueId, root: ValueId) -> oneiro_net::Result<ValueId> {
    let axis = net.ints("angle.axis", &[1])?;
    let [zero, one, two] = [0, 1, 2].map(|i| net.ints(&format!("angle.channel{i}"), &[i]));
    let (zero, one, two) = (zero?, one?, two?);
    let x = net.node("Slice", "gradient.x", &[gradient, zero, one, axis])?;
    let y = net.node("Slice", "gradient.y", &[gradient, one, two, axis])?;
    // The left half plane is treated as the mirror image of the right one. `Abs` would have no derivative at
    // x = 0.
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

/// Adds the shares of the K directions, computed from `both`: ‖g‖·a and ‖g‖, with a between −K/4 and 3K/4.
fn triangles(net: &mut Net, both: ValueId, directions: usize) -> oneiro_net::Result<ValueId> {
    let k = directions as i64;
    // Bins from the last one at or below −K/4 to the first one at or above 3K/4, with one more ramp on each
    // side.
    let (low, high) = ((-k).div_euclid(4), (3 * k + 3).div_euclid(4));
    let ramps = (high - low + 3) as usize;
    let start = |ramp: usize| low - 1 + ramp as i64;
    let ramped = net.conv("ramps.linear", both, [ramps, 2, 1, 1], DENSE, |ramp, i, _, _| {
        if i == 0 { 1.0 } else { -(start(ramp) as f32) }
    })?;
    let ramped = net.node("Relu", "ramps", &[ramped])?;
    let shares =
        net.conv("orientation.linear", ramped, [directions, ramps, 1, 1], DENSE, |o, ramp, _, _| {
            // The bins of this direction: one, or two where the ends of the range of angles meet.
            let bins = (low..=high).filter(|bin| bin.rem_euclid(k) == o as i64);
            bins.map(|bin| match (start(ramp) - bin).abs() {
                0 => -2.0,
                1 => 1.0,
                _ => 0.0,
            })
            .sum()
        })?;
    // Rounding may leave shares slightly below zero.
    net.node("Relu", "orientation", &[shares])
}
