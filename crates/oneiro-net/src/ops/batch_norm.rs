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
}

/// Reads the attributes. Training mode is not something a frozen network can do.
pub fn read(a: &Attributes<'_>) -> Result<Arc<dyn Operator>, OpError> {
    if a.int_or("training_mode", 0)? != 0 {
        return Err(OpError("training_mode = 1: export the network in evaluation mode".into()));
    }
    if a.int_or("spatial", 1)? != 1 {
        return Err(OpError("spatial = 0 is not supported".into()));
    }
    Ok(Arc::new(BatchNorm { epsilon: a.float_or("epsilon", 1e-5)? }))
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
        let (gamma, beta, mean, var) = (get(1)?, get(2)?, get(3)?, get(4)?);
        let scale = |c: usize| f64::from(gamma[c]) / (f64::from(var[c]) + f64::from(self.epsilon)).sqrt();
        Ok((0..channels)
            .map(|c| (scale(c) as f32, (f64::from(beta[c]) - f64::from(mean[c]) * scale(c)) as f32))
            .unzip())
    }
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
    use crate::attributes::Attribute;
    use crate::ops::testing::{Case, constant, data};

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
