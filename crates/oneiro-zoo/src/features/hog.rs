//! Histograms of oriented gradients (Dalal & Triggs 2005) in the variant of Felzenszwalb et al. 2010
//! (UoCTTI). They are computed as VLFeat's `vl_hog` does, on the luminance in 0–1.

use oneiro_net::Graph;

use super::net::{DENSE, Net, Sweep, identity, triangle};
pub use super::orientation::Assignment;
use super::orientation::oriented;

/// Number of undirected orientations in [0, π); there are twice as many directed ones.
pub const ORIENTATIONS: usize = 9;
/// Side of a HOG cell in pixels.
pub const CELL: usize = 8;
/// Limit to which normalised bins are clamped.
pub const CLAMP: f32 = 0.2;
/// Added to the energy of a block before the square root, in squared units of the luminance, as in `vl_hog`.
pub const BLOCK_EPSILON: f32 = 1e-4;
/// Number of output channels: directed and undirected orientations, then a texture term for each of the four
/// blocks.
pub const CHANNELS: usize = 3 * ORIENTATIONS + BLOCKS;

const DIRECTIONS: usize = 2 * ORIENTATIONS;
/// Number of orientation bins: directed and undirected ones.
const BINS: usize = 3 * ORIENTATIONS;
/// Number of blocks of 2×2 cells that contain a given cell.
const BLOCKS: usize = 4;

/// Returns the weight of the directed orientation `direction` in bin `bin`. The first bins are the directed
/// orientations, the others the sums of two opposite ones.
fn bin(bin: usize, direction: usize) -> f32 {
    if bin < DIRECTIONS {
        identity(bin, direction)
    } else {
        identity(bin - DIRECTIONS, direction % ORIENTATIONS)
    }
}

/// Builds the network: `x` [N, 3, H, W] → `name` [N, 31, ⌊(H + 4) / 8⌋, ⌊(W + 4) / 8⌋].
///
/// # Errors
/// If `name` is the name of another layer.
pub fn graph(name: &str, assignment: Assignment) -> oneiro_net::Result<Graph> {
    let (mut net, luminance) = Net::on_luminance()?;
    let gradient = net.gradient("gradient", luminance, 1.0)?;
    let orientation = oriented(&mut net, gradient, DIRECTIONS, assignment)?;

    // Cell b covers the pixels 8b − 4 to 8b + 11; the gradient map begins at pixel 1. At least half of the
    // last cell lies inside the image.
    let sweep = Sweep { stride: CELL, pads: [CELL / 2 + 1, CELL + 1], groups: DIRECTIONS };
    let centre = CELL as f32 - 0.5;
    let weight = |i: usize| triangle((i as f32 - centre) / CELL as f32);
    let cells =
        net.conv("cells", orientation, [DIRECTIONS, 1, 2 * CELL, 2 * CELL], sweep, |_, _, row, column| {
            weight(row) * weight(column)
        })?;

    // Norms of the blocks, of which there are one more than cells along each axis. Blocks that reach beyond
    // the border repeat the cells there.
    let undirected =
        net.conv("undirected", cells, [ORIENTATIONS, DIRECTIONS, 1, 1], DENSE, |o, i, _, _| {
            bin(DIRECTIONS + o, i)
        })?;
    let energy = net.energy("energy", undirected, ORIENTATIONS)?;
    let padded = net.pad("energy.padded", energy, 1, "edge")?;
    let sums = net.conv("norm.energy", padded, [1, 1, 2, 2], DENSE, |_, _, _, _| 1.0)?;
    let above_zero = net.with("Add", "norm.above_zero", sums, BLOCK_EPSILON)?;
    let norm = net.node("Sqrt", "norm", &[above_zero])?;

    let bins = net.conv("bins", cells, [BINS, DIRECTIONS, 1, 1], DENSE, |o, i, _, _| bin(o, i))?;
    let axes = net.ints("block.axes", &[2, 3])?;
    let mut blocks = Vec::with_capacity(BLOCKS);
    for (block, [y, x]) in [[0, 0], [0, 1], [1, 0], [1, 1]].into_iter().enumerate() {
        let starts = net.ints(&format!("block{block}.starts"), &[y, x])?;
        // Each of the four blocks drops either the last or the first row or column of the norms.
        let end = |start: i64| if start == 0 { -1 } else { i64::MAX };
        let ends = net.ints(&format!("block{block}.ends"), &[end(y), end(x)])?;
        let norm = net.node("Slice", &format!("block{block}.norm"), &[norm, starts, ends, axes])?;
        let normalised = net.node("Div", &format!("block{block}.normalised"), &[bins, norm])?;
        blocks.push(net.at_most(&format!("block{block}"), normalised, CLAMP)?);
    }
    let blocks = net.concat("blocks", &blocks)?;

    // Weights: half the sum over the four blocks, and for each block the sum of its undirected bins over √18.
    let texture = 1.0 / (DIRECTIONS as f32).sqrt();
    let hog = net.conv(name, blocks, [CHANNELS, BLOCKS * BINS, 1, 1], DENSE, |o, i, _, _| {
        let (block, bin) = (i / BINS, i % BINS);
        if o < BINS {
            0.5 * identity(o, bin)
        } else if bin < DIRECTIONS {
            0.0
        } else {
            texture * identity(o - BINS, block)
        }
    })?;
    Ok(net.finish(hog))
}
