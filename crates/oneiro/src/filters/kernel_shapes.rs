//! What the weights of convolutions look like over their taps, without running the network.

use oneiro_net::tensor::Tensor;

use super::FilterLayer;
use crate::model::Model;

/// The shape of one filter's kernel, over all the channels that it reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelShape {
    /// Share of the weights' energy that is in the mean over the taps, from 0 to 1. White noise of n taps has
    /// 1/n; kernels without a mean, such as a checkerboard, have 0.
    pub mean_share: f64,
    /// Correlation of neighbouring taps, from −1 (a checkerboard) over 0 (white noise) to 1 (constant).
    pub smoothness: f64,
    /// Number of taps.
    pub taps: usize,
}

/// Share of the mean, as a multiple of that of white noise, and smoothness below which a kernel counts as
/// flat or high-pass.
const FLAT: (f64, f64) = (2.0, 0.25);

impl KernelShape {
    /// Whether the spectrum over the taps is flat or high-pass: neither does the mean stand out, nor do
    /// neighbours agree.
    pub fn is_flat(&self) -> bool {
        self.mean_share < FLAT.0 / self.taps as f64 && self.smoothness < FLAT.1
    }
}

/// Returns the shape of each filter's kernel; `None` for layers without several taps, and for weights that
/// the graph computes. A filter whose weights are all zero has no shape.
pub fn kernel_shapes(model: &Model, layer: &FilterLayer) -> Option<Vec<Option<KernelShape>>> {
    let weights = layer.filter_weights(model)?;
    let taps = &weights.shape()[2..];
    if taps.iter().product::<usize>() <= 1 {
        return None;
    }
    let numbers = weights.as_floats().ok()?;
    let of_filter = numbers.len() / weights.shape()[0].max(1);
    Some(numbers.chunks_exact(of_filter.max(1)).map(|filter| shape(filter, taps)).collect())
}

impl FilterLayer {
    /// The weights of a convolution as (filters, channels, taps …), if the file holds them so.
    fn filter_weights<'m>(&self, model: &'m Model) -> Option<&'m Tensor> {
        let node = &model.graph.nodes[*self.chain.first()?];
        let weights = model.graph.values[self.weights.index()].constant.as_ref()?;
        (node.op.op_type() == "Conv" && weights.shape().len() > 2).then_some(weights)
    }
}

/// The shape of a filter from its weights, one channel's taps after another's.
fn shape(filter: &[f32], taps: &[usize]) -> Option<KernelShape> {
    let count: usize = taps.iter().product();
    let energy: f64 = filter.iter().map(|w| f64::from(*w).powi(2)).sum();
    if energy.is_nan() || energy <= 0.0 {
        return None;
    }
    let means: f64 = filter
        .chunks_exact(count)
        .map(|kernel| kernel.iter().map(|w| f64::from(*w)).sum::<f64>().powi(2) / count as f64)
        .sum();
    // Products of neighbours along each axis, each as a mean per pair, relative to the mean square.
    let (mut sum, mut axes) = (0.0, 0);
    let mut stride = count;
    for &extent in taps {
        stride /= extent;
        if extent < 2 {
            continue;
        }
        let products: f64 = filter
            .chunks_exact(count)
            .map(|kernel| {
                let pairs = (0..count).filter(|i| (i / stride) % extent + 1 < extent);
                pairs.map(|i| f64::from(kernel[i]) * f64::from(kernel[i + stride])).sum::<f64>()
            })
            .sum();
        sum += products / energy * extent as f64 / (extent - 1) as f64;
        axes += 1;
    }
    Some(KernelShape { mean_share: means / energy, smoothness: sum / f64::from(axes.max(1)), taps: count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart() {
        let constant = shape(&[2.0; 18], &[3, 3]).unwrap();
        assert!((constant.mean_share - 1.0).abs() < 1e-12 && (constant.smoothness - 1.0).abs() < 1e-12);
        assert!(!constant.is_flat());
        let checkerboard: Vec<f32> = (0..16).map(|i| if (i / 4 + i) % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let checkerboard = shape(&checkerboard, &[4, 4]).unwrap();
        assert_eq!((checkerboard.mean_share, checkerboard.smoothness), (0.0, -1.0));
        assert!(checkerboard.is_flat());
        let mut stream = crate::rng::Stream::new(1, 0);
        let noise: Vec<f32> = (0..9 * 4000).map(|_| stream.normal() as f32).collect();
        let noise = shape(&noise, &[3, 3]).unwrap();
        assert!((noise.mean_share - 1.0 / 9.0).abs() < 0.01 && noise.smoothness.abs() < 0.02, "{noise:?}");
        assert_eq!(shape(&[0.0; 9], &[3, 3]), None);
        // A derivative along one axis is smooth along the other.
        let edge = shape(&[1.0, 0.0, -1.0, 1.0, 0.0, -1.0, 1.0, 0.0, -1.0], &[3, 3]).unwrap();
        assert!(edge.mean_share == 0.0 && edge.smoothness == 0.5);
    }

    #[test]
    fn layers_without_taps_have_no_kernels() {
        let model = super::super::tests::network();
        let layers = model.filter_layers().unwrap();
        let found: Vec<bool> = layers.iter().map(|layer| kernel_shapes(&model, layer).is_some()).collect();
        assert_eq!(found, [true, false, false]);
    }
}
