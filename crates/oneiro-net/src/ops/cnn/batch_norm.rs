//! `BatchNormalization` in inference mode: one scale and one shift for each channel.
//!
//! y = (x − mean)/√(var + ε)·scale + bias. A pass folds it into the convolution before it, unless the value
//! between them is requested ([`crate::passes`]). Otherwise the kernel below computes it.
//!
//! In training mode, mean and variance are computed from x (`statistics`), so batch entries depend on each
//! other. A node is in training mode
//!
//! - from operator set 14 on, if `training_mode` is 1,
//! - in operator sets 7 to 13, if it names a second result,
//! - in earlier operator sets, unless `is_test` is 1.
//!
//! Exporters also express weight standardisation this way, on constants (Qiao et al. 2019, "Micro-Batch
//! Training with Batch-Channel Normalization and Weight Standardization").

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::blocked::{Map, Per};
use crate::ops::Normalization;
use crate::ops::blocked::{Maps, padded};
use crate::ops::weight_form::WeightForm;
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, batch_independence,
    put_with,
};
use crate::tensor::volume;

mod statistics;

use statistics::Statistics;

/// First version of ONNX's operator set in which `BatchNormalization` has the attribute `training_mode`.
const OPSET_OF_TRAINING_MODE: i64 = 14;
/// First version of ONNX's operator set in which `BatchNormalization` lacks the attribute `is_test`.
const OPSET_WITHOUT_IS_TEST: i64 = 7;

/// ONNX `BatchNormalization`. Inputs: X (N,C,…), and scale, bias, mean and variance (C each).
#[derive(Debug, Clone)]
pub struct BatchNorm {
    epsilon: f32,
    /// Whether mean and variance are computed from x.
    training: bool,
}

/// Reads the attributes of a `BatchNormalization` node.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.int_or("spatial", 1)? != 1 {
        return Err(OpError::Refused("spatial = 0 is not supported".into()));
    }
    let training = match a.opset {
        OPSET_OF_TRAINING_MODE.. => a.int_or("training_mode", 0)? != 0,
        OPSET_WITHOUT_IS_TEST.. => a.named > 1,
        _ => a.int_or("is_test", 0)? == 0,
    };
    Ok(Arc::new(BatchNorm { epsilon: a.float_or("epsilon", 1e-5)?, training }))
}

impl BatchNorm {
    /// Returns one number for each channel, from input `i`.
    fn parameter(inputs: Facts<'_>, i: usize) -> Result<Vec<f32>, OpError> {
        let channels = *inputs.shape(0)?.get(1).ok_or("the input has no channel axis")?;
        let t = inputs.need_constant(i)?.as_floats()?.into_owned();
        if t.len() == channels {
            Ok(t)
        } else {
            Err(OpError::Refused(format!("input {i} has {} entries for {channels} channels", t.len())))
        }
    }

    /// Returns scale and shift of every channel, computed in f64. They are constant unless x itself decides
    /// them.
    pub fn scale_and_shift(&self, inputs: Facts<'_>) -> Result<(Vec<f32>, Vec<f32>), OpError> {
        let get = |i: usize| Self::parameter(inputs, i);
        let wide = |v: Vec<f32>| -> Vec<f64> { v.into_iter().map(f64::from).collect() };
        let (gamma, beta) = (get(1)?, get(2)?);
        let (mean, var) =
            if self.training { moments_of_constant(inputs)? } else { (wide(get(3)?), wide(get(4)?)) };
        let scale = |c: usize| f64::from(gamma[c]) / (var[c] + f64::from(self.epsilon)).sqrt();
        let shift = |c: usize| f64::from(beta[c]) - mean[c] * scale(c);
        Ok((0..gamma.len()).map(|c| (scale(c) as f32, shift(c) as f32)).unzip())
    }
}

/// Mean and (biased) variance of each channel of a constant x.
fn moments_of_constant(inputs: Facts<'_>) -> Result<(Vec<f64>, Vec<f64>), OpError> {
    let Some(x) = &inputs.need(0)?.value else {
        return Err(OpError::Data("mean and variance are the data's own".to_owned()));
    };
    let (values, shape) = (x.as_floats()?, x.shape());
    let (channels, plane) = (shape[1], volume(&shape[2..]));
    let each = |c: usize| {
        let rows = values.chunks(plane.max(1)).skip(c).step_by(channels);
        rows.flatten().map(|&v| f64::from(v))
    };
    let count = (values.len() / channels.max(1)).max(1) as f64;
    let moments = |c: usize| {
        let mean = each(c).sum::<f64>() / count;
        (mean, each(c).map(|v| (v - mean).powi(2)).sum::<f64>() / count)
    };
    Ok((0..channels).map(moments).unzip())
}

impl Operator for BatchNorm {
    fn op_type(&self) -> &str {
        "BatchNormalization"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let x = inputs.shape(0)?;
        if x.len() < 2 {
            return Err(OpError::Refused(format!("input {x:?} has no channel axis")));
        }
        Ok(vec![Fact::float(x)])
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        !self.training && batch_independence::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        if self.training && site.inputs.need(0)?.value.is_none() {
            let [scale, bias] = [Self::parameter(site.inputs, 1)?, Self::parameter(site.inputs, 2)?];
            let (epsilon, plane) = (f64::from(self.epsilon), volume(&site.output.shape[2..]));
            return Ok(Built::new(Statistics { scale, bias, epsilon, plane }, 1));
        }
        let (scale, shift) = self.scale_and_shift(site.inputs)?;
        let plane = volume(&site.output.shape[2..]);
        Ok(Built::new(Affine { scale, shift, plane }, 1))
    }

    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        if self.training {
            return Ok(None);
        }
        let (scale, shift) = self.scale_and_shift(site.inputs)?;
        let maps = Maps::over(site.isa, site.output);
        Ok(Some(Built::new(BlockedAffine { maps, scale: padded(&scale), shift: padded(&shift) }, 1)))
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.kept_or_channels_first(&output.shape)
    }

    fn mixes_along(&self, inputs: Facts<'_>) -> Vec<usize> {
        let rank = inputs.shape(0).map_or(0, <[usize]>::len);
        if self.training { (0..rank).filter(|&axis| axis != 1).collect() } else { Vec::new() }
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        if self.training { Reach::Whole } else { Reach::Point }
    }

    fn weight_form(&self) -> Option<WeightForm> {
        Some(WeightForm::Channelwise)
    }

    fn normalization(&self) -> Option<Normalization> {
        Some(Normalization::Batch)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The kernel of y[n, c, …] = x[n, c, …]·scale[c] + shift[c].
#[derive(Debug)]
struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
    plane: usize,
}

impl Kernel for Affine {
    fn forward(&self, io: &mut Forward<'_>) {
        let channels = self.scale.len();
        let (x, y) = io.io(0);
        y.par_chunks_mut(self.plane).zip(x.par_chunks(self.plane)).enumerate().for_each(|(row, (y, x))| {
            let (scale, shift) = (self.scale[row % channels], self.shift[row % channels]);
            for (y, x) in y.iter_mut().zip(x) {
                *y = x * scale + shift;
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (channels, accumulate) = (self.scale.len(), io.accumulate);
        let (dy, dx) = io.io();
        dx.par_chunks_mut(self.plane).zip(dy.par_chunks(self.plane)).enumerate().for_each(
            |(row, (dx, dy))| {
                let scale = self.scale[row % channels];
                put_with(dx, accumulate, |i| dy[i] * scale);
            },
        );
    }
}

/// The normalisation's affine map over blocks of channels: scale and shift of every channel.
#[derive(Debug)]
struct BlockedAffine {
    maps: Maps,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Kernel for BlockedAffine {
    fn joins_team(&self) -> bool {
        true
    }

    fn applies_clip(&self) -> bool {
        true
    }

    fn applies_activation_mask(&self, _operand: usize) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let mut epilogue = io.epilogue();
        let (x, y) = io.io(0);
        let operands = [Per::Element(x), Per::Channel(&self.scale), Per::Channel(&self.shift)];
        self.maps.run(Map::Affine, operands, y, false, &mut epilogue);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, mut epilogue) = (io.accumulate, io.epilogue());
        let (dy, dx) = io.io();
        let operands = [Per::Element(dy), Per::Channel(&self.scale), Per::None];
        self.maps.run(Map::Mul, operands, dx, accumulate, &mut epilogue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;
    use crate::kernels::{Arena, Isa, Region};
    use crate::ops::Operand;
    use crate::ops::testing::{Case, constant, data};
    use crate::tensor::Tensor;

    /// Whether a node with these attributes computes statistics of its data.
    fn trains(opset: i64, outputs: usize, attributes: Vec<(&'static str, Attribute)>) -> bool {
        let mut attributes = Attributes::new(opset, attributes);
        attributes.named = outputs;
        read(&attributes).unwrap().as_any().downcast_ref::<BatchNorm>().unwrap().training
    }

    #[test]
    fn every_operator_set_says_training_in_its_own_way() {
        let one = |name| vec![(name, Attribute::Int(1))];
        assert!(trains(15, 1, one("training_mode")) && !trains(15, 1, vec![]) && !trains(14, 3, vec![]));
        assert!(trains(9, 5, vec![]) && trains(13, 2, vec![]) && !trains(9, 1, vec![]));
        assert!(trains(6, 1, vec![]) && !trains(6, 1, one("is_test")) && trains(1, 5, vec![]));
    }

    #[test]
    fn in_training_mode_a_tensor_is_standardised() {
        let attributes = Attributes::new(15, vec![("training_mode", Attribute::Int(1))]);
        let per = |v: f32| Fact::constant(Tensor::floats(&[2], vec![v; 2]));
        let facts = [Fact::float([2, 2, 1]), per(2.0), per(0.5), per(9.0), per(9.0)];
        let inputs: Vec<Option<&Fact>> = facts.iter().map(Some).collect();
        let op = read(&attributes).unwrap();
        let output = &op.infer(Facts(&inputs)).unwrap()[0];
        let site =
            Site { inputs: Facts(&inputs), output, output_index: 0, isa: Isa::detect(), gradients: false };
        assert!(!op.by_entry(site) && op.blocked(site).unwrap().is_none());
        let built = op.kernel(site).unwrap();
        let x = Operand::Constant(Arc::new(vec![1.0, 10.0, 3.0, 30.0]));
        let mut arena = Arena::new(4);
        let (reader, [y]) = arena.frame([Region::new(0, 4)]);
        built.kernel.forward(&mut Forward {
            reader,
            operands: &[x],
            output: y,
            saved: &mut [],
            epilogue: crate::kernels::Epilogue::none(),
            in_place: &[],
        });
        // The means are 2 and 20, the deviations 1 and 10.
        let expected = [-1.5, -1.5, 2.5, 2.5];
        assert!(y.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{y:?}");
    }

    #[test]
    fn gradients_pass_through_the_statistics() {
        for shape in [&[2, 3, 4, 5][..], &[4, 2], &[1, 2, 6]] {
            let c = shape[1];
            let per = |f: fn(f32) -> f32| constant(&[c], (0..c).map(|i| f(i as f32)).collect());
            Case::new(
                "BatchNormalization",
                vec![data(shape), per(|i| 1.0 - i), per(|i| i), per(|i| i), per(|i| i)],
            )
            .attribute("training_mode", Attribute::Int(1))
            .attribute("epsilon", Attribute::Float(1e-2))
            .check();
        }
    }

    #[test]
    fn gradients_agree_with_differences() {
        for shape in [&[2, 3, 4, 5][..], &[1, 2], &[2, 2, 3], &[1, 2, 2, 3, 2]] {
            let c = shape[1];
            let per = |f: fn(f32) -> f32| constant(&[c], (0..c).map(|i| f(i as f32)).collect());
            Case::new(
                "BatchNormalization",
                vec![data(shape), per(|i| 1.0 - i), per(|i| i), per(|i| 0.5 * i), per(|i| 1.0 + i)],
            )
            .attribute("epsilon", Attribute::Float(1e-3))
            .check();
        }
    }
}
