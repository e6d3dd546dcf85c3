//! From gradients to one map for every orientation: each pixel's gradient magnitude, in the bins nearest to its direction.
//!
//! With K = 2·`axes` directions u_k at angles 2πk/K (y points down), projections p_k = ⟨g, u_k⟩ and
//! q_k = ⟨g, u_k⊥⟩, the angle between g and the axis of u_k has the tangent t_k = |q_k| / |p_k|. That is exact, and unlike
//! the arc cosine of p_k/‖g‖ its arc tangent has a finite slope where both meet. Direction k + axes is the other end of
//! axis k, so all is computed for `axes` axes, and the sign of p_k says which end.

use std::f64::consts::PI;

use oneiro_net::graph::ValueId;
use oneiro_net::ops::Attribute;

use super::net::{DENSE, Net, identity};

/// How a gradient goes into the orientation bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// All of it into the bin nearest to its direction; between two, into that of the lower index below π.
    Hard,
    /// Into the two nearest bins, by its distance to them.
    Bilinear,
}

/// Under the root of the magnitude ‖g‖²/√(‖g‖² + ε) of the hard assignment, which has the slope 0 where g is 0, while the
/// exact ‖g‖ has none: one step of an 8-bit image, 1/255, comes out too small by 3·10⁻⁶ of itself.
pub const MAGNITUDE_EPSILON: f32 = 1e-10;

/// The least |p_k| by which |q_k| is divided: below it the gradient is at a right angle to the axis, or zero.
const SMALLEST_PROJECTION: f32 = 1e-10;

/// `gradient` [N, 2, H, W] → [N, 2·axes, H, W], called `orientation`: ‖g‖ times the share of each direction.
pub(super) fn oriented(
    net: &mut Net,
    gradient: ValueId,
    axes: usize,
    assignment: Assignment,
) -> oneiro_net::Result<ValueId> {
    let direction = |k: usize| (PI * k as f64 / axes as f64).sin_cos();
    let along = net.conv("orientation.along", gradient, [axes, 2, 1, 1], DENSE, |k, i, _, _| {
        let (sin, cos) = direction(k);
        (if i == 0 { cos } else { sin }) as f32
    })?;
    let projection = net.node("Abs", "orientation.projection", &[along])?;
    let signed = match assignment {
        Assignment::Hard => {
            let share = net.node_with(
                "Hardmax",
                "orientation.share",
                &[projection],
                vec![("axis", Attribute::Int(1))],
            )?;
            let end = net.node("Sign", "orientation.end", &[along])?;
            let magnitude = magnitude(net, gradient)?;
            let share = net.node("Mul", "orientation.share.signed", &[share, end])?;
            net.node("Mul", "orientation.signed", &[share, magnitude])?
        }
        Assignment::Bilinear => {
            let across = net.conv("orientation.across", gradient, [axes, 2, 1, 1], DENSE, |k, i, _, _| {
                let (sin, cos) = direction(k);
                (if i == 0 { -sin } else { cos }) as f32
            })?;
            let shared = shared(net, projection, across, axes)?;
            net.node("Mul", "orientation.signed", &[along, shared])?
        }
    };
    // Rectification: the two ends of an axis.
    let ends = net.conv("orientation.ends", signed, [2 * axes, axes, 1, 1], DENSE, |k, axis, _, _| {
        if k < axes { identity(k, axis) } else { -identity(k - axes, axis) }
    })?;
    net.node("Relu", "orientation", &[ends])
}

/// ‖g‖, smooth at zero: [N, 1, H, W].
fn magnitude(net: &mut Net, gradient: ValueId) -> oneiro_net::Result<ValueId> {
    let channels = net.ints("magnitude.axes", &[1])?;
    let energy = net.node("ReduceSumSquare", "magnitude.energy", &[gradient, channels])?;
    let above_zero = net.with("Add", "magnitude.above_zero", energy, MAGNITUDE_EPSILON)?;
    let root = net.node("Sqrt", "magnitude.root", &[above_zero])?;
    net.node("Div", "magnitude", &[energy, root])
}

/// ‖g‖/|p_k| = √(1 + t²), times the share: 1 on the axis, falling with the angle to 0 at the next ones.
fn shared(net: &mut Net, projection: ValueId, across: ValueId, axes: usize) -> oneiro_net::Result<ValueId> {
    let across = net.node("Abs", "orientation.distance", &[across])?;
    let projection = net.at_least("orientation.projection.safe", projection, SMALLEST_PROJECTION)?;
    let tangent = net.node("Div", "orientation.tangent", &[across, projection])?;
    let angle = net.node("Atan", "orientation.angle", &[tangent])?;
    let bins = net.with("Mul", "orientation.bins", angle, -(axes as f64 / PI) as f32)?;
    let share = net.with("Add", "orientation.share.unbounded", bins, 1.0)?;
    let share = net.node("Relu", "orientation.share", &[share])?;
    let square = net.node("Mul", "orientation.tangent.square", &[tangent, tangent])?;
    let square = net.with("Add", "orientation.secant.square", square, 1.0)?;
    let secant = net.node("Sqrt", "orientation.secant", &[square])?;
    net.node("Mul", "orientation.share.secant", &[share, secant])
}
