//! Transposed convolution ("deconvolution"): its forward pass is the adjoint of a convolution.
//!
//! Its weights (C, M/groups, …) are those of a convolution from its output back to its input. The phases of
//! that convolution's gradient ([`Correlation::backward_of`]) compute the forward pass, and the convolution
//! itself computes the gradient.

use std::any::Any;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::{ConvGeometry, Correlation, Epilogue, Isa, PackedWeights};
use crate::ops::array::constant::{MAX_EXTENT, check_volume};
use crate::ops::cnn::window::{AutoPad, MAX_SPATIAL, filled, three};
use crate::ops::weight_form::WeightForm;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, batch_independence,
};
use crate::reads::Reads;
use crate::tensor::volume;

/// Largest product of strides. A file with more counts as damaged.
const MAX_PHASES: usize = 1 << 16;

/// ONNX `ConvTranspose`. Inputs: X (N,C,…), W (C,M/groups,…) and an optional bias B (M).
#[derive(Debug, Clone)]
pub struct ConvTranspose {
    groups: usize,
    kernel: Option<Vec<usize>>,
    stride: Option<Vec<usize>>,
    dilation: Option<Vec<usize>>,
    pads: Option<Vec<usize>>,
    output_padding: Option<Vec<usize>>,
    output_shape: Option<Vec<usize>>,
    auto_pad: AutoPad,
}

impl ConvTranspose {
    /// Number of groups of channels.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }
}

/// Reads the attributes of a `ConvTranspose` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let positive = |name: &str| match a.sizes(name)? {
        Some(v) if v.iter().any(|n| !(1..=MAX_EXTENT).contains(n)) => {
            Err(OpError::Refused(format!("attribute \"{name}\" holds {v:?}")))
        }
        v => Ok(v),
    };
    let groups = usize::try_from(a.int_or("group", 1)?).ok().filter(|&g| g > 0);
    Ok(Arc::new(ConvTranspose {
        groups: groups.ok_or("attribute \"group\" should be at least 1")?,
        kernel: positive("kernel_shape")?,
        stride: positive("strides")?,
        dilation: positive("dilations")?,
        pads: a.sizes("pads").map_err(|_| OpError::Refused("negative pads are not supported".into()))?,
        output_padding: a.sizes("output_padding")?,
        output_shape: a.sizes("output_shape")?,
        auto_pad: AutoPad::read(a)?,
    }))
}

impl ConvTranspose {
    /// Returns the convolution from the output back to the input.
    fn geometry(&self, inputs: Facts<'_>) -> Result<(ConvGeometry, Vec<usize>), OpError> {
        let (x, w) = (inputs.shape(0)?, inputs.shape(1)?);
        let rank = x.len().saturating_sub(2);
        if !(1..=MAX_SPATIAL).contains(&rank) || w.len() != x.len() || volume(w) == 0 {
            return Err(OpError::Refused(format!(
                "input {x:?} and weights {w:?} do not make a transposed convolution"
            )));
        }
        if x[1] != w[0] || !w[0].is_multiple_of(self.groups) {
            return Err(OpError::Refused(format!(
                "input {x:?} and weights {w:?} do not agree in {} group(s)",
                self.groups
            )));
        }
        if self.kernel.as_ref().is_some_and(|k| k[..] != w[2..]) {
            return Err(OpError::Refused(format!(
                "kernel_shape {:?} disagrees with the weights' {w:?}",
                self.kernel
            )));
        }
        let stride = filled(&self.stride, "strides", 1, rank)?;
        // Every remainder modulo the stride is a correlation of its own.
        if stride.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).is_none_or(|n| n > MAX_PHASES) {
            return Err(OpError::Refused(format!("strides {stride:?} are too large")));
        }
        let dilation = filled(&self.dilation, "dilations", 1, rank)?;
        let pads = filled(&self.pads, "pads", 0, 2 * rank)?;
        let extra = filled(&self.output_padding, "output_padding", 0, rank)?;
        let (mut out, mut before) = (Vec::new(), Vec::new());
        for i in 0..rank {
            let too_large = || OpError::Refused(format!("input {x:?} grows too large"));
            let full = x[i + 2]
                .checked_sub(1)
                .and_then(|n| n.checked_mul(stride[i]))
                .and_then(|n| n.checked_add(extra[i]))
                .and_then(|n| n.checked_add((w[i + 2] - 1).checked_mul(dilation[i])?.checked_add(1)?))
                .ok_or_else(too_large)?;
            // A given output extent determines the padding; otherwise the padding determines the extent.
            let wanted = match (&self.output_shape, self.auto_pad) {
                (Some(shape), _) => Some(
                    *shape
                        .get(shape.len().checked_sub(rank).ok_or("output_shape is too short")? + i)
                        .ok_or("output_shape is too short")?,
                ),
                (None, AutoPad::SameUpper | AutoPad::SameLower) => {
                    Some(x[i + 2].checked_mul(stride[i]).ok_or_else(too_large)?)
                }
                _ => None,
            };
            let (front, extent) = match wanted {
                Some(extent) => {
                    let total = full.saturating_sub(extent);
                    let front =
                        if self.auto_pad == AutoPad::SameUpper { total / 2 } else { total - total / 2 };
                    (front, extent)
                }
                None if self.auto_pad == AutoPad::Valid => (0, full),
                None => {
                    let cut = pads[i].checked_add(pads[rank + i]).ok_or_else(too_large)?;
                    (pads[i], full.checked_sub(cut).ok_or("the padding removes everything")?)
                }
            };
            out.push(extent);
            before.push(front);
        }
        let m = w[1].checked_mul(self.groups).ok_or("too many filters")?;
        let mut shape = vec![x[0], m];
        shape.extend(&out);
        check_volume(&shape)?;
        if volume(&shape) == 0 {
            return Err(OpError::Refused(format!("the result {shape:?} is empty")));
        }
        let geometry = ConvGeometry {
            batch: x[0],
            groups: self.groups,
            c_in: w[1],
            c_out: w[0] / self.groups,
            src: three(&out, 1),
            dst: three(&x[2..], 1),
            kernel: three(&w[2..], 1),
            stride: three(&stride, 1),
            dilation: three(&dilation, 1),
            pad_before: three(&before, 0),
        };
        Ok((geometry, shape))
    }
}

impl Operator for ConvTranspose {
    fn op_type(&self) -> &str {
        "ConvTranspose"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        Ok(vec![Fact::float(self.geometry(inputs)?.1)])
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let (geometry, shape) = self.geometry(site.inputs)?;
        let weights = site.inputs.need_constant(1)?.as_floats()?;
        let bias = site.inputs.constant(2)?.map(|b| b.as_floats().map(|b| b.into_owned())).transpose()?;
        if bias.as_ref().is_some_and(|b| b.len() != shape[1]) {
            return Err(OpError::Refused(format!(
                "the bias does not have one entry for each of {} filters",
                shape[1]
            )));
        }
        let isa = site.isa;
        let forward = Correlation::backward_of(&geometry)
            .into_iter()
            .map(|phase| {
                let packed = phase.pack(isa, &geometry, &weights);
                (phase.correlation, packed)
            })
            .collect();
        let backward = site.gradients.then(|| {
            let correlation = Correlation::forward_of(&geometry);
            let packed = correlation.pack_forward(isa, &geometry, &weights);
            (correlation, packed)
        });
        Ok(Built::new(Transposed { isa, forward, backward, bias }, 1))
    }

    fn flops(&self, inputs: Facts<'_>, _output: &Fact) -> u64 {
        let per_input = inputs.shape(1).map_or(0, |w| w[1..].iter().product::<usize>());
        2 * (inputs.need(0).map_or(0, Fact::len) * per_input) as u64
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        let Ok((g, shape)) = self.geometry(inputs) else { return Reach::Whole };
        let first = MAX_SPATIAL + 2 - shape.len();
        let reads = |at: usize| {
            let d = first + at - 2;
            (at, Reads::spread(g.kernel[d], g.stride[d], g.dilation[d], g.pad_before[d]))
        };
        Reach::Axes((2..shape.len()).map(reads).collect())
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        Some(sources.convolved(&output.shape, false))
    }

    fn weight_form(&self) -> Option<WeightForm> {
        Some(WeightForm::Transposed { groups: self.groups() })
    }

    fn takes_large_constants(&self) -> bool {
        true
    }

    fn reads_channels_first(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Transposed {
    isa: Isa,
    forward: Vec<(Correlation, PackedWeights)>,
    backward: Option<(Correlation, PackedWeights)>,
    bias: Option<Vec<f32>>,
}

impl Kernel for Transposed {
    fn forward(&self, io: &mut Forward<'_>) {
        let (x, y) = io.io(0);
        for (correlation, weights) in &self.forward {
            correlation.run(self.isa, weights, self.bias.as_deref(), x, y, false, Epilogue::none());
        }
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        if let Some((correlation, weights)) = &self.backward {
            correlation.run(self.isa, weights, None, dy, dx, accumulate, Epilogue::none());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, constant_data, data};

    /// Shapes of input and weights, groups, strides, dilations, pads and output padding.
    type Geometry = (
        &'static [usize],
        &'static [usize],
        i64,
        &'static [i64],
        &'static [i64],
        &'static [i64],
        &'static [i64],
    );

    #[test]
    fn gradients_agree_with_differences() {
        #[rustfmt::skip]
        let cases: &[Geometry] = &[
            (&[2, 3, 4, 5], &[3, 4, 3, 3], 1, &[1, 1], &[1, 1], &[0, 0, 0, 0], &[0, 0]),
            (&[1, 3, 4, 3], &[3, 2, 4, 4], 1, &[2, 2], &[1, 1], &[1, 1, 1, 1], &[0, 0]),
            (&[1, 4, 3, 4], &[4, 3, 3, 2], 2, &[2, 3], &[2, 1], &[1, 0, 2, 1], &[1, 2]),
            (&[1, 2, 5], &[2, 3, 3], 1, &[4], &[1], &[0, 0], &[1]),
            (&[1, 2, 3, 2, 2], &[2, 2, 2, 2, 2], 1, &[1, 2, 2], &[1, 1, 1], &[0; 6], &[0; 3]),
        ];
        for &(x, w, groups, strides, dilations, pads, output) in cases {
            let filters = w[1] * groups as usize;
            Case::new("ConvTranspose", vec![data(x), constant_data(w), constant_data(&[filters])])
                .attribute("group", Attribute::Int(groups))
                .attribute("strides", Attribute::Ints(strides.to_vec()))
                .attribute("dilations", Attribute::Ints(dilations.to_vec()))
                .attribute("pads", Attribute::Ints(pads.to_vec()))
                .attribute("output_padding", Attribute::Ints(output.to_vec()))
                .check();
        }
    }
}
