//! `Conv`: 1-D to 3-D convolution with groups, strides, dilation and any padding.
//!
//! The forward pass correlates the input with the weights. The gradient of the input is a set of correlations
//! of the output's gradient with the flipped weights, one for every phase of the stride
//! ([`Correlation::backward_of`]). Weights are packed once for both passes.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::{ConvGeometry, Correlation, Epilogue, Isa, PackedWeights};
use crate::ops::cnn::conv::blocked::{BlockedConv, FirstConv};
use crate::ops::cnn::window::{Window, WindowAttributes, three};
use crate::ops::weight_form::WeightForm;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Layout, Operator, Reach, Site,
    batch_independence, put,
};

mod blocked;

/// ONNX `Conv`. Inputs: X (N,C,…), W (M,C/groups,…) and an optional bias B (M).
#[derive(Debug, Clone)]
pub struct Conv {
    /// Size, stride, dilation and padding of the kernel.
    pub window: WindowAttributes,
    /// Number of groups into which the channels are divided.
    pub groups: usize,
    /// Whether input 3 is added to the result. This is not in ONNX: a pass merges a sum into the convolution.
    pub adds: bool,
    /// Factors of the filters, which a pass takes from a later normalisation. The file's weights stay
    /// unchanged until they are packed.
    pub scale: Option<Arc<Vec<f32>>>,
}

/// Reads the attributes of a `Conv` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    let groups = usize::try_from(a.int_or("group", 1)?).ok().filter(|&g| g > 0);
    let groups = groups.ok_or_else(|| OpError::Refused("attribute \"group\" should be at least 1".into()))?;
    Ok(Arc::new(Conv { window: WindowAttributes::read(a)?, groups, adds: false, scale: None }))
}

impl Conv {
    /// Whether every result depends on a single position.
    pub(crate) fn is_pointwise(&self, inputs: Facts<'_>) -> Result<bool, OpError> {
        let window = self.resolve(inputs)?;
        let all = |values: &[usize], value: usize| values.iter().all(|&v| v == value);
        Ok(all(&window.kernel, 1)
            && all(&window.stride, 1)
            && all(&window.before, 0)
            && all(&window.after, 0))
    }

    fn resolve(&self, inputs: Facts<'_>) -> Result<Window, OpError> {
        let (x, w) = (inputs.shape(0)?, inputs.shape(1)?);
        if x.len() < 3 || w.len() != x.len() {
            return Err(OpError::Refused(format!("input {x:?} and weights {w:?} do not make a convolution")));
        }
        let channels = w[1].saturating_mul(self.groups);
        if x[1] != channels {
            return Err(OpError::Refused(format!(
                "the input has {} channels (shape {x:?}), the weights {w:?} in {} group(s) take {}",
                x[1], self.groups, channels
            )));
        }
        if w[0] % self.groups != 0 {
            return Err(OpError::Refused(format!(
                "{} filters do not split into {} groups",
                w[0], self.groups
            )));
        }
        self.window.resolve(&x[2..], Some(&w[2..]))
    }
}

/// Index of the weights among a convolution's inputs.
pub(crate) const WEIGHTS: usize = 1;
pub(crate) const BIAS: usize = 2;
/// Index of the input that is added to the result, if there is one.
pub(crate) const ADDED: usize = 3;

/// A convolution at fixed input shapes.
struct Parts<'a> {
    geometry: ConvGeometry,
    /// The filters, of shape `[M, C / groups, …]`.
    data: Cow<'a, [f32]>,
    bias: Option<Vec<f32>>,
}

/// Whether there are several groups with one input and one output channel each.
fn is_depthwise(geometry: &ConvGeometry) -> bool {
    geometry.groups > 1 && geometry.c_in == 1 && geometry.c_out == 1
}

impl Conv {
    fn parts<'a>(&self, site: Site<'a>) -> Result<Parts<'a>, OpError> {
        let window = self.resolve(site.inputs)?;
        let x = site.inputs.shape(0)?;
        let weights = site.inputs.need_constant(1)?;
        let filters = weights.shape()[0];
        let bias = site.inputs.constant(2)?.map(|b| b.as_floats().map(|b| b.into_owned())).transpose()?;
        if bias.as_ref().is_some_and(|b| b.len() != filters) {
            return Err(OpError::Refused(format!(
                "the bias does not have one entry for each of {filters} filters"
            )));
        }
        let geometry = ConvGeometry {
            batch: x[0],
            groups: self.groups,
            c_in: weights.shape()[1],
            c_out: filters / self.groups,
            src: three(&x[2..], 1),
            dst: three(&window.out, 1),
            kernel: three(&window.kernel, 1),
            stride: three(&window.stride, 1),
            dilation: three(&window.dilation, 1),
            pad_before: three(&window.before, 0),
        };
        let mut data = weights.as_floats()?;
        if let Some(scale) = &self.scale {
            let per_filter = data.len() / scale.len().max(1);
            for (filter, scale) in data.to_mut().chunks_mut(per_filter.max(1)).zip(scale.iter()) {
                filter.iter_mut().for_each(|w| *w = (f64::from(*w) * f64::from(*scale)) as f32);
            }
        }
        Ok(Parts { geometry, data, bias })
    }
}

impl Operator for Conv {
    fn op_type(&self) -> &str {
        "Conv"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let window = self.resolve(inputs)?;
        let mut shape = vec![inputs.shape(0)?[0], inputs.shape(1)?[0]];
        shape.extend(&window.out);
        Ok(vec![Fact::float(shape)])
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        batch_independence::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let Parts { geometry, data, bias } = self.parts(site)?;
        let kernel = ConvKernel::new(site, &geometry, is_depthwise(&geometry), &data, bias);
        Ok(if self.adds { Built::over(AddingConv(kernel), vec![0, ADDED]) } else { Built::new(kernel, 1) })
    }

    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        let Parts { geometry, data, bias } = self.parts(site)?;
        if !self.adds
            && let Some(first) = FirstConv::new(site, &geometry, &data, bias.as_deref())
        {
            return Ok(Some(Built { operand_layout: Layout::Plain, ..Built::new(first, 1) }));
        }
        let operands = if self.adds { vec![0, ADDED] } else { vec![0] };
        let kernel = BlockedConv::new(site, &geometry, is_depthwise(&geometry), &data, bias);
        Ok(kernel.map(|k| Built::over(k, operands)))
    }

    fn wants_blocks(&self) -> bool {
        true
    }

    fn flops(&self, inputs: Facts<'_>, output: &Fact) -> u64 {
        let per_output = inputs.shape(1).map_or(0, |w| w[1..].iter().product::<usize>());
        2 * (output.len() * per_output) as u64
    }

    fn reach(&self, inputs: Facts<'_>) -> Reach {
        self.resolve(inputs).map_or(Reach::Whole, |w| w.reach())
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        let pointwise = self.resolve(sources.facts).is_ok_and(|w| w.kernel.iter().all(|&k| k == 1));
        Some(sources.convolved(&output.shape, pointwise))
    }

    fn weight_form(&self) -> Option<WeightForm> {
        Some(WeightForm::Filters)
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

/// A correlation with its weights in the form that the kernel needs.
#[derive(Debug)]
struct Weighted {
    correlation: Correlation,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    /// Weights of a convolution that is computed as a matrix product, for many channels.
    Dense(PackedWeights),
    /// One input and one output channel for each group.
    Depthwise(Vec<f32>),
}

impl Weighted {
    fn run(
        &self,
        isa: Isa,
        bias: Option<&[f32]>,
        src: &[f32],
        dst: &mut [f32],
        accumulate: bool,
        epilogue: Epilogue<'_>,
    ) {
        let c = &self.correlation;
        match &self.weights {
            Weights::Dense(w) => c.run(isa, w, bias, src, dst, accumulate, epilogue),
            Weights::Depthwise(w) => c.run_depthwise(isa, w, bias, src, dst, accumulate, epilogue),
        }
    }
}

#[derive(Debug)]
struct ConvKernel {
    isa: Isa,
    forward: Weighted,
    /// The backward-data correlations, one for every phase of the stride; empty if no gradient is wanted.
    backward: Vec<Weighted>,
    bias: Option<Vec<f32>>,
}

impl ConvKernel {
    fn new(
        site: Site<'_>,
        geometry: &ConvGeometry,
        depthwise: bool,
        data: &[f32],
        bias: Option<Vec<f32>>,
    ) -> Self {
        let isa = site.isa;
        let correlation = Correlation::forward_of(geometry);
        let weights = if depthwise {
            Weights::Depthwise(data.to_vec())
        } else {
            Weights::Dense(correlation.pack_forward(isa, geometry, data))
        };
        let phases = if site.gradients { Correlation::backward_of(geometry) } else { Vec::new() };
        let backward = phases
            .into_iter()
            .map(|phase| {
                let weights = if depthwise {
                    Weights::Depthwise(phase.depthwise_weights(geometry, data))
                } else {
                    Weights::Dense(phase.pack(isa, geometry, data))
                };
                Weighted { correlation: phase.correlation, weights }
            })
            .collect();
        Self { isa, forward: Weighted { correlation, weights }, backward, bias }
    }
}

impl Kernel for ConvKernel {
    fn applies_clip(&self) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let epilogue = io.epilogue();
        let (x, y) = io.io(0);
        self.forward.run(self.isa, self.bias.as_deref(), x, y, false, epilogue);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        for phase in &self.backward {
            phase.run(self.isa, None, dy, dx, accumulate, Epilogue::none());
        }
    }
}

/// A convolution to whose result another value is added.
#[derive(Debug)]
struct AddingConv(ConvKernel);

impl Kernel for AddingConv {
    fn passes_gradient(&self, operand: usize) -> bool {
        operand == 1
    }

    fn forward(&self, io: &mut Forward<'_>) {
        self.0.forward(io);
        let (_, added, y) = io.io2(0, 1);
        y.iter_mut().zip(added).for_each(|(y, a)| *y += a);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        if io.operand == 0 {
            return self.0.backward(io);
        }
        let accumulate = io.accumulate;
        let (dy, dx) = io.io();
        put(dy, dx, accumulate);
    }
}

#[cfg(test)]
mod tests {
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, constant_data, data};

    /// Shapes of input and weights, groups, strides, dilations and pads.
    type Geometry = (&'static [usize], &'static [usize], i64, &'static [i64], &'static [i64], &'static [i64]);

    #[test]
    fn gradients_agree_with_differences() {
        #[rustfmt::skip]
        let cases: &[Geometry] = &[
            (&[2, 3, 6, 7], &[4, 3, 3, 3], 1, &[1, 1], &[1, 1], &[1, 1, 1, 1]),
            (&[1, 3, 9, 8], &[5, 3, 3, 2], 1, &[2, 3], &[1, 2], &[0, 1, 2, 0]),
            (&[1, 4, 5, 5], &[6, 2, 1, 1], 2, &[2, 2], &[1, 1], &[0, 0, 0, 0]),
            (&[2, 5, 6, 6], &[5, 1, 3, 3], 5, &[2, 1], &[1, 1], &[1, 1, 1, 1]),
            (&[1, 3, 6, 6], &[6, 1, 3, 3], 3, &[1, 1], &[2, 2], &[2, 2, 2, 2]),
            (&[1, 2, 8], &[3, 2, 4], 1, &[3], &[1], &[2, 1]),
            (&[1, 2, 4, 5, 4], &[3, 2, 3, 3, 3], 1, &[1, 2, 1], &[1, 1, 1], &[1, 1, 1, 1, 0, 1]),
            (&[1, 2, 6, 3, 3], &[3, 2, 3, 1, 1], 1, &[1, 1, 1], &[2, 1, 1], &[2, 0, 0, 2, 0, 0]),
            (&[2, 18, 6, 7], &[20, 18, 3, 3], 1, &[1, 1], &[1, 1], &[1, 1, 1, 1]),
            (&[1, 17, 5, 6], &[33, 17, 1, 1], 1, &[2, 2], &[1, 1], &[0, 0, 0, 0]),
            (&[1, 16, 4, 9], &[16, 16, 1, 7], 1, &[1, 1], &[1, 1], &[0, 3, 0, 3]),
            (&[1, 17, 4, 3, 3], &[16, 17, 3, 3, 3], 1, &[1, 1, 1], &[1, 1, 1], &[1, 1, 1, 1, 1, 1]),
            (&[1, 32, 4, 5], &[32, 16, 3, 3], 2, &[1, 1], &[1, 1], &[1, 1, 1, 1]),
        ];
        for &(x, w, groups, strides, dilations, pads) in cases {
            Case::new("Conv", vec![data(x), constant_data(w), constant_data(&w[..1])])
                .attribute("group", Attribute::Int(groups))
                .attribute("strides", Attribute::Ints(strides.to_vec()))
                .attribute("dilations", Attribute::Ints(dilations.to_vec()))
                .attribute("pads", Attribute::Ints(pads.to_vec()))
                .check();
        }
    }
}
