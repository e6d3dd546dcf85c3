//! `BatchNormalization` of a frozen network: one scale and one shift a channel.
//!
//! y = (x − mean)/√(var + ε)·scale + bias. Passes fold it into the convolution before it where nobody asks for
//! the value in between ([`crate::passes`]); left alone it is the kernel below. In training mode mean and variance are those
//! of x itself, which is possible for constants: exporters write weight standardisation so (Qiao et al. 2019, "Micro-Batch
//! Training with Batch-Channel Normalization and Weight Standardization").

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::blocked::{Map, Per};
use crate::ops::maps::{Maps, padded};
use crate::ops::{
    Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site, entries, put_with,
};
use crate::tensor::volume;

/// The operator; inputs X (N,C,…), scale, bias, mean, variance (C each).
#[derive(Debug, Clone)]
pub struct BatchNorm {
    epsilon: f32,
    /// Whether mean and variance are those of x.
    training: bool,
}

/// Reads the attributes.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.int_or("spatial", 1)? != 1 {
        return Err(OpError("spatial = 0 is not supported".into()));
    }
    let training = a.int_or("training_mode", 0)? != 0;
    Ok(Arc::new(BatchNorm { epsilon: a.float_or("epsilon", 1e-5)?, training }))
}

impl BatchNorm {
    /// Scale and shift of every channel, computed in f64.
    pub fn scale_and_shift(&self, inputs: Facts<'_>) -> Result<(Vec<f32>, Vec<f32>), OpError> {
        let channels = *inputs.shape(0)?.get(1).ok_or("the input has no channel axis")?;
        let get = |i: usize| -> Result<Vec<f32>, OpError> {
            let t = inputs.need_constant(i)?.as_floats()?.into_owned();
            if t.len() == channels {
                Ok(t)
            } else {
                Err(OpError(format!("input {i} has {} entries for {channels} channels", t.len())))
            }
        };
        let (gamma, beta) = (get(1)?, get(2)?);
        let wide = |v: Vec<f32>| v.into_iter().map(f64::from).collect();
        let (mean, var): (Vec<f64>, Vec<f64>) =
            if self.training { statistics(inputs)? } else { (wide(get(3)?), wide(get(4)?)) };
        let scale = |c: usize| f64::from(gamma[c]) / (var[c] + f64::from(self.epsilon)).sqrt();
        Ok((0..channels).map(|c| (scale(c) as f32, (f64::from(beta[c]) - mean[c] * scale(c)) as f32)).unzip())
    }
}

/// Mean and (biased) variance of each channel of a constant x.
fn statistics(inputs: Facts<'_>) -> Result<(Vec<f64>, Vec<f64>), OpError> {
    let Some(x) = &inputs.need(0)?.value else {
        return Err("training_mode = 1 on data: export the network in evaluation mode (model.eval())".into());
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
            return Err(OpError(format!("input {x:?} has no channel axis")));
        }
        Ok(vec![Fact::float(x)])
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        entries::alone(site.inputs)
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let (scale, shift) = self.scale_and_shift(site.inputs)?;
        let plane = volume(&site.output.shape[2..]);
        Ok(Built::new(Affine { scale, shift, plane }, 1))
    }

    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        let (scale, shift) = self.scale_and_shift(site.inputs)?;
        let maps = Maps::over(site.isa, site.output);
        Ok(Some(Built::new(BlockedAffine { maps, scale: padded(&scale), shift: padded(&shift) }, 1)))
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        sources.kept_or_channels_first(&output.shape)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// y[n, c, …] = x[n, c, …]·scale[c] + shift[c].
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

/// The same in blocks of channels.
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

    fn applies_gates(&self, _operand: usize) -> bool {
        true
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let mut ending = io.ending();
        let (x, y) = io.io(0);
        let operands = [Per::Element(x), Per::Channel(&self.scale), Per::Channel(&self.shift)];
        self.maps.run(Map::Affine, operands, y, false, &mut ending);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        let (accumulate, mut ending) = (io.accumulate, io.ending());
        let (dy, dx) = io.io();
        let operands = [Per::Element(dy), Per::Channel(&self.scale), Per::None];
        self.maps.run(Map::Mul, operands, dx, accumulate, &mut ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, constant, data};
    use crate::tensor::Tensor;

    #[test]
    fn in_training_mode_a_constant_is_standardised() {
        let attributes = Attributes::new(15, vec![("training_mode", Attribute::Int(1))]);
        let per = |v: f32| Fact::constant(Tensor::floats(&[2], vec![v; 2]));
        let x = Tensor::floats(&[2, 2, 1], vec![1.0, 10.0, 3.0, 30.0]);
        let facts = [Fact::constant(x), per(2.0), per(0.5), per(9.0), per(9.0)];
        let inputs: Vec<Option<&Fact>> = facts.iter().map(Some).collect();
        let op = read(&attributes).unwrap();
        let op = op.as_any().downcast_ref::<BatchNorm>().unwrap();
        let (scale, shift) = op.scale_and_shift(Facts(&inputs)).unwrap();
        // Mean 2 and variance 1; mean 20 and variance 100.
        assert!((scale[0] - 2.0).abs() < 1e-4 && (scale[1] - 0.2).abs() < 1e-6, "{scale:?}");
        assert!((shift[0] + 3.5).abs() < 1e-4 && (shift[1] + 3.5).abs() < 1e-4, "{shift:?}");
        let data = [Some(&Fact::float([2, 2, 1])), inputs[1], inputs[2], inputs[3], inputs[4]];
        assert!(op.scale_and_shift(Facts(&data)).is_err());
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
