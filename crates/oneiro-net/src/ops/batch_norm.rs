//! `BatchNormalization` of a frozen network: one scale and one shift a channel.
//!
//! y = (x − mean)/√(var + ε)·scale + bias. Passes fold it into the convolution before it where nobody asks for
//! the value in between ([`crate::passes`]); left alone it is the kernel below.

use std::any::Any;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::OpError;
use crate::ops::{Attributes, Backward, Built, Fact, Facts, Forward, Kernel, Operator, Site, put_with};
use crate::tensor::volume;

/// The operator; inputs X (N,C,…), scale, bias, mean, variance (C each).
#[derive(Debug, Clone)]
pub struct BatchNorm {
    epsilon: f32,
    /// Whether mean and variance are those of X. A frozen network does that to its weights only (weight
    /// standardisation, Qiao et al. 2019, which PyTorch's older exporter leaves in the graph).
    training: bool,
}

/// Reads the attributes.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.int_or("spatial", 1)? != 1 {
        return Err(OpError("spatial = 0 is not supported".into()));
    }
    Ok(Arc::new(BatchNorm {
        epsilon: a.float_or("epsilon", 1e-5)?,
        training: a.int_or("training_mode", 0)? != 0,
    }))
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
        let (mean, var) = if self.training {
            let x = inputs
                .need(0)?
                .value
                .as_ref()
                .ok_or("training_mode = 1: export the network in evaluation mode")?;
            moments(x.shape(), &x.as_floats()?)
        } else {
            let widen = |v: Vec<f32>| v.into_iter().map(f64::from).collect();
            (widen(get(3)?), widen(get(4)?))
        };
        let scale = |c: usize| f64::from(gamma[c]) / (var[c] + f64::from(self.epsilon)).sqrt();
        Ok((0..channels).map(|c| (scale(c) as f32, (f64::from(beta[c]) - mean[c] * scale(c)) as f32)).unzip())
    }
}

/// Mean and variance (of the whole, not of a sample) of every channel.
fn moments(shape: &[usize], x: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let (channels, plane) = (shape[1], volume(&shape[2..]));
    let count = (shape[0] * plane) as f64;
    let sum = |c: usize, f: &dyn Fn(f64) -> f64| -> f64 {
        let rows = x.chunks(plane.max(1)).skip(c).step_by(channels);
        rows.flatten().map(|&x| f(f64::from(x))).sum::<f64>() / count
    };
    (0..channels)
        .map(|c| {
            let mean = sum(c, &|x| x);
            (mean, sum(c, &|x| (x - mean) * (x - mean)))
        })
        .unzip()
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

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let (scale, shift) = self.scale_and_shift(site.inputs)?;
        let plane = volume(&site.output.shape[2..]);
        Ok(Built::new(Affine { scale, shift, plane }, 1))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, constant, data};
    use crate::tensor::Tensor;

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

    #[test]
    fn weights_are_standardised_by_their_own_moments() {
        let weights = Tensor::floats(&[2, 2, 2], vec![1.0, 2.0, 0.0, 10.0, 3.0, 6.0, 0.0, -10.0]);
        let each = |a: f32, b: f32| Fact::constant(Tensor::floats(&[2], vec![a, b]));
        let given = [Fact::constant(weights), each(1.0, 2.0), each(0.5, 0.0), each(7.0, 7.0), each(7.0, 7.0)];
        let inputs: Vec<Option<&Fact>> = given.iter().map(Some).collect();
        let norm = BatchNorm { epsilon: 0.0, training: true };
        let (scale, shift) = norm.scale_and_shift(Facts(&inputs)).unwrap();
        // Channel 0 holds 1, 2, 3, 6 (mean 3, variance 3.5); channel 1 holds 0, 10, 0, −10 (0, 50).
        for (ours, expected) in scale.iter().chain(&shift).zip([
            3.5f64.powf(-0.5),
            2.0 * 50f64.powf(-0.5),
            0.5 - 3.0 * 3.5f64.powf(-0.5),
            0.0,
        ]) {
            assert!((f64::from(*ours) - expected).abs() < 1e-6, "{ours} instead of {expected}");
        }
    }

    #[test]
    fn an_export_in_training_mode_is_refused() {
        let each = Fact::constant(Tensor::floats(&[2], vec![1.0, 2.0]));
        let data = Fact::float(&[1, 2, 3]);
        let inputs = [Some(&data), Some(&each), Some(&each), Some(&each), Some(&each)];
        let norm = BatchNorm { epsilon: 1e-5, training: true };
        let error = norm.scale_and_shift(Facts(&inputs)).unwrap_err();
        assert!(error.0.contains("evaluation mode"), "{}", error.0);
    }
}
