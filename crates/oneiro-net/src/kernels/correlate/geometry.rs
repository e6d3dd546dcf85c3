//! From the geometry of a convolution to the correlations that compute it and its adjoint.

use super::{Correlation, PackedWeights};
use crate::kernels::isa::Isa;

/// A convolution as model files describe it. Sizes are in the order D, H, W; leading dimensions that a
/// network lacks are 1, with padding 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Number of images.
    pub batch: usize,
    /// Number of groups of channels.
    pub groups: usize,
    /// Number of input channels in each group.
    pub c_in: usize,
    /// Number of output channels in each group.
    pub c_out: usize,
    /// Extent of the input: depth, height, width.
    pub src: [usize; 3],
    /// Extent of the output: depth, height, width.
    pub dst: [usize; 3],
    /// Extent of the kernel in taps.
    pub kernel: [usize; 3],
    /// Distance between output positions, in input positions.
    pub stride: [usize; 3],
    /// Distance between taps, in input positions.
    pub dilation: [usize; 3],
    /// Zeros before the input along each dimension. The zeros after it follow from `dst`.
    pub pad_before: [usize; 3],
}

impl ConvGeometry {
    /// Number of taps in the kernel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Index of a weight in the layout of ONNX, `[groups · c_out, c_in, kd, kh, kw]`.
    pub fn weight_index(&self, group: usize, out: usize, input: usize, tap: usize) -> usize {
        ((group * self.c_out + out) * self.c_in + input) * self.taps() + tap
    }

    fn assert_weights(&self, weight: &[f32]) {
        let expected = self.groups * self.c_out * self.c_in * self.taps();
        assert_eq!(weight.len(), expected, "weights of {self:?}");
    }
}

/// One part of a backward-data pass: a dense correlation over dY that writes every stride-th element of dX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The correlation, which reads dY and writes dX. Without taps it writes zeros, or leaves dX unchanged if
    /// it accumulates.
    pub correlation: Correlation,
    /// Maps each tap of the correlation to a tap of the convolution's kernel.
    pub kernel_taps: Vec<usize>,
}

/// Returns every multi-index below `extent`; the last dimension varies fastest.
fn positions(extent: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [depth, height, width] = extent;
    (0..depth).flat_map(move |z| (0..height).flat_map(move |y| (0..width).map(move |x| [z, y, x])))
}

impl Correlation {
    /// Returns the convolution itself: taps at `t · dilation - pad`, and one output for each destination
    /// position.
    pub fn forward_of(geometry: &ConvGeometry) -> Correlation {
        let tap = |t: [usize; 3]| {
            std::array::from_fn(|d| (t[d] * geometry.dilation[d]) as isize - geometry.pad_before[d] as isize)
        };
        Correlation {
            batch: geometry.batch,
            groups: geometry.groups,
            c_in: geometry.c_in,
            c_out: geometry.c_out,
            src: geometry.src,
            dst: geometry.dst,
            grid: geometry.dst,
            src_step: geometry.stride,
            dst_start: [0; 3],
            dst_step: [1; 3],
            taps: positions(geometry.kernel).map(tap).collect(),
        }
    }

    /// Returns the convolution's adjoint with respect to the input, from dY (the convolution's `dst`) to dX
    /// (its `src`).
    ///
    /// Input i contributes to output o through tap t if `i + pad - t·dilation = o·stride`. Inputs of equal
    /// remainder modulo the stride use the same taps. So each remainder is one [`Phase`], which is dense and
    /// of step 1. The phases write disjoint parts of dX and together all of it. A transposed convolution
    /// computes its forward pass in this way.
    pub fn backward_of(geometry: &ConvGeometry) -> Vec<Phase> {
        let remainders = std::array::from_fn(|d| geometry.stride[d].min(geometry.src[d]));
        positions(remainders).map(|remainder| phase_of(geometry, remainder)).collect()
    }

    /// Packs a convolution's weights for its forward pass.
    ///
    /// # Panics
    /// If `weight` does not have the size of `geometry`.
    pub fn pack_forward(&self, isa: Isa, geometry: &ConvGeometry, weight: &[f32]) -> PackedWeights {
        geometry.assert_weights(weight);
        self.pack(isa, |group, out, input, tap| weight[geometry.weight_index(group, out, input, tap)])
    }
}

fn phase_of(geometry: &ConvGeometry, remainder: [usize; 3]) -> Phase {
    let mut taps = Vec::new();
    let mut kernel_taps = Vec::new();
    for (index, t) in positions(geometry.kernel).enumerate() {
        let reach: [isize; 3] = std::array::from_fn(|d| {
            (remainder[d] + geometry.pad_before[d]) as isize - (t[d] * geometry.dilation[d]) as isize
        });
        let stride = geometry.stride.map(|s| s as isize);
        if (0..3).all(|d| reach[d].rem_euclid(stride[d]) == 0) {
            taps.push(std::array::from_fn(|d| reach[d].div_euclid(stride[d])));
            kernel_taps.push(index);
        }
    }
    let correlation = Correlation {
        batch: geometry.batch,
        groups: geometry.groups,
        c_in: geometry.c_out,
        c_out: geometry.c_in,
        src: geometry.dst,
        dst: geometry.src,
        grid: std::array::from_fn(|d| (geometry.src[d] - remainder[d]).div_ceil(geometry.stride[d])),
        src_step: [1; 3],
        dst_start: remainder,
        dst_step: geometry.stride,
        taps,
    };
    Phase { correlation, kernel_taps }
}

impl Phase {
    /// Packs a convolution's weights for this phase of its backward pass.
    ///
    /// # Panics
    /// If `weight` does not have the size of `geometry`, the geometry of the phase's convolution.
    pub fn pack(&self, isa: Isa, geometry: &ConvGeometry, weight: &[f32]) -> PackedWeights {
        geometry.assert_weights(weight);
        self.correlation.pack(isa, |group, out, input, tap| {
            weight[geometry.weight_index(group, input, out, self.kernel_taps[tap])]
        })
    }
}
