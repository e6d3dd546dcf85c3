//! Dense SIFT (Lowe 2004) on a regular grid without rotation. It computes what VLFeat's `vl_dsift` does with
//! flat windows on the luminance.

use oneiro_net::Graph;

use super::net::{DENSE, Net, Sweep, triangle};
use super::orientation::{Assignment, oriented};

/// Number of directed orientations (bins over the full circle).
pub const ORIENTATIONS: usize = 8;
/// Number of bins along each side of a descriptor.
pub const SIDE: usize = 4;
/// Side of a bin in pixels, which is also the step between neighbouring descriptors.
pub const BIN: usize = 8;
/// Standard deviation, in bins, of the Gaussian window over a descriptor.
pub const WINDOW: f64 = 1.5;
/// Limit to which normalised bins are clamped before the second normalisation.
pub const CLAMP: f32 = 0.2;
/// κ of Mahendran & Vedaldi's networks, added to the squared norm of a descriptor before the square root. A
/// patch without gradients then has the descriptor 0 and a finite derivative.
pub const NORM_EPSILON: f32 = 1e-6;
/// Number of output channels. The orientation varies fastest, then the bin along x, then the bin along y.
pub const CHANNELS: usize = ORIENTATIONS * SIDE * SIDE;

/// Returns the mean of the Gaussian window over the pixels of bin `i` along one axis, as `vl_dsift`'s flat
/// windows use it.
pub fn window(i: usize) -> f64 {
    let reach = BIN as i64 - 1;
    let centre = BIN as f64 * (i as f64 - (SIDE as f64 - 1.0) / 2.0);
    let sigma = WINDOW * BIN as f64;
    let gauss = |x: i64| (-0.5 * ((x as f64 + centre) / sigma).powi(2)).exp();
    (-reach..=reach).map(gauss).sum::<f64>() / (2 * reach + 1) as f64
}

/// Builds the network: `x` [N, 3, H, W] → `name` [N, 128, ⌊(H − 25) / 8⌋ + 1, ⌊(W − 25) / 8⌋ + 1].
///
/// # Errors
/// If `name` is the name of another layer.
pub fn graph(name: &str) -> oneiro_net::Result<Graph> {
    let (mut net, luminance) = Net::on_luminance()?;
    // VLFeat takes one-sided differences at the border. They equal central differences of the image
    // extrapolated linearly: 2·edge − reflection.
    let edge = net.pad("luminance.edge", luminance, 1, "edge")?;
    let reflected = net.pad("luminance.reflected", luminance, 1, "reflect")?;
    let twice = net.with("Mul", "luminance.edge.twice", edge, 2.0)?;
    let continued = net.node("Sub", "luminance.continued", &[twice, reflected])?;
    let gradient = net.gradient("gradient", continued, 0.5)?;
    let orientation = oriented(&mut net, gradient, ORIENTATIONS, Assignment::Bilinear)?;

    // Bin centres are the pixels 0, 8, 16, …. Beyond the border, the gradients at the border are repeated.
    let padded = net.pad("orientation.padded", orientation, BIN as i64 - 1, "edge")?;
    let sweep = Sweep { stride: BIN, pads: [0, 0], groups: ORIENTATIONS };
    let extent = 2 * BIN - 1;
    let weight = |i: usize| triangle((i as f32 - (BIN as f32 - 1.0)) / BIN as f32);
    let cells =
        net.conv("cells", padded, [ORIENTATIONS, 1, extent, extent], sweep, |_, _, row, column| {
            weight(row) * weight(column)
        })?;

    let blocks =
        net.conv("blocks", cells, [CHANNELS, ORIENTATIONS, SIDE, SIDE], DENSE, |o, i, row, column| {
            let (orientation, x, y) = (o % ORIENTATIONS, o / ORIENTATIONS % SIDE, o / ORIENTATIONS / SIDE);
            if (orientation, y, x) == (i, row, column) { (window(x) * window(y)) as f32 } else { 0.0 }
        })?;
    let normalised = normalised(&mut net, "normalised", blocks)?;
    let clamped = net.at_most("clamped", normalised, CLAMP)?;
    let dsift = self::normalised(&mut net, name, clamped)?;
    Ok(net.finish(dsift))
}

/// Divides each descriptor by its norm.
fn normalised(net: &mut Net, name: &str, x: oneiro_net::ValueId) -> oneiro_net::Result<oneiro_net::ValueId> {
    let energy = net.energy(&format!("{name}.energy"), x, CHANNELS)?;
    let above_zero = net.with("Add", &format!("{name}.above_zero"), energy, NORM_EPSILON)?;
    let norm = net.node("Sqrt", &format!("{name}.norm"), &[above_zero])?;
    net.node("Div", name, &[x, norm])
}
