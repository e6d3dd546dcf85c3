//! From the geometry of a convolution to the correlations that compute it and its adjoint.

use super::{Correlation, PackedWeights};
use crate::kernels::isa::Isa;

/// A convolution as model files describe it. Sizes run D, H, W; leading dimensions that a network lacks are 1
/// (pad 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Images.
    pub batch: usize,
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// Input channels of one group.
    pub c_in: usize,
    /// Output channels of one group.
    pub c_out: usize,
    /// Input plane.
    pub src: [usize; 3],
    /// Output plane.
    pub dst: [usize; 3],
    /// Kernel extent in taps.
    pub kernel: [usize; 3],
    /// Steps between output positions, in input positions.
    pub stride: [usize; 3],
    /// Steps between taps, in input positions.
    pub dilation: [usize; 3],
    /// Zeros in front of the input. Zeros behind it follow from `dst`.
    pub pad_before: [usize; 3],
}

impl ConvGeometry {
    /// Taps of the kernel.
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
    /// Reads dY, writes dX. It may have no taps; it then writes zeros (or leaves dX, accumulating).
    pub correlation: Correlation,
    /// The tap of the convolution's kernel behind each tap of the correlation.
    pub kernel_taps: Vec<usize>,
}

/// Every multi-index below `extent`, the last dimension fastest.
fn positions(extent: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [depth, height, width] = extent;
    (0..depth).flat_map(move |z| (0..height).flat_map(move |y| (0..width).map(move |x| [z, y, x])))
}

impl Correlation {
    /// The convolution itself: taps at `t · dilation - pad`, one output for each destination position.
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

    /// Its adjoint with respect to the input, from dY (the convolution's `dst`) to dX (its `src`).
    ///
    /// An input at i meets tap t in output o where `i + pad - t·dilation = o·stride`. Inputs of the same
    /// remainder modulo the stride meet the same taps: each remainder is one [`Phase`], dense and of step 1.
    /// The phases write disjoint parts of dX and together all of it. This is also the forward pass of a
    /// transposed convolution.
    pub fn backward_of(geometry: &ConvGeometry) -> Vec<Phase> {
        let remainders = std::array::from_fn(|d| geometry.stride[d].min(geometry.src[d]));
        positions(remainders).map(|remainder| phase_of(geometry, remainder)).collect()
    }

    /// Packs a convolution's weights for its forward pass.
    ///
    /// # Panics
    /// Unless `weight` has the size of `geometry`.
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
    /// Packs a convolution's weights for this part of its backward pass.
    ///
    /// # Panics
    /// Unless `weight` has the size of `geometry`, the geometry that the phase came from.
    pub fn pack(&self, isa: Isa, geometry: &ConvGeometry, weight: &[f32]) -> PackedWeights {
        geometry.assert_weights(weight);
        self.correlation.pack(isa, |group, out, input, tap| {
            weight[geometry.weight_index(group, input, out, self.kernel_taps[tap])]
        })
    }
}
