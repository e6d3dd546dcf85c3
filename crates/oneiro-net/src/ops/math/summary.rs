//! A summary of each channel over its positions ([`crate::summary`]). It is no ONNX operator: a scan adds it
//! to a graph.

use std::any::Any;

use crate::axes::{Axes, Sources};
use crate::error::OpError;
use crate::kernels::blocked::summary::{self, Clip, NUMBERS, summarize_row};
use crate::kernels::blocked::{BLOCK, blocks_of};
use crate::kernels::{Isa, team};
use crate::ops::blocked::plane_of;
use crate::ops::{Backward, Built, Fact, Facts, Forward, Kernel, Operator, Reach, Site, exact_positions};
use crate::tensor::volume;

/// The operator. Inputs: a value (N, C, positions …), and a random seed for each image, (N, 1, 1).
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    /// The bounds of the activation function after the value; infinite if there is none.
    pub(crate) clip: Clip,
    /// Number of positions that are sampled from each channel.
    pub(crate) samples: usize,
}

impl Operator for Summary {
    fn op_type(&self) -> &str {
        "Summary"
    }

    fn infer(&self, inputs: Facts<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, seeds) = (inputs.shape(0)?, inputs.shape(1)?);
        if x.len() < 2 || volume(x) == 0 {
            return Err(OpError::Refused(format!("a value of shape {x:?} has no channels with positions")));
        }
        if seeds != [x[0], 1, 1] {
            return Err(OpError::Refused(format!("seeds of shape {seeds:?} for {} images", x[0])));
        }
        exact_positions(volume(&x[2..]))?;
        Ok(vec![Fact::float(vec![x[0], x[1], NUMBERS + self.samples])])
    }

    fn kernel(&self, site: Site<'_>) -> Result<Built, OpError> {
        let x = site.inputs.need(0)?;
        let [batch, channels] = [x.shape[0], x.shape[1]];
        Ok(Built::new(Plain { isa: site.isa, summary: self.clone(), batch, channels, plane: plane_of(x) }, 2))
    }

    fn blocked(&self, site: Site<'_>) -> Result<Option<Built>, OpError> {
        let x = site.inputs.need(0)?;
        let (plane, batch) = (plane_of(x), x.shape[0]);
        Ok(Some(Built::new(Blocked { isa: site.isa, summary: self.clone(), batch, plane }, 2)))
    }

    fn by_entry(&self, site: Site<'_>) -> bool {
        (0..2).all(|i| site.inputs.get(i).is_some_and(|fact| fact.shape.first() == site.output.shape.first()))
    }

    fn reach(&self, _inputs: Facts<'_>) -> Reach {
        Reach::Whole
    }

    fn axes(&self, sources: &Sources<'_>, output: &Fact, _index: usize) -> Option<Axes> {
        Some(sources.resized(&output.shape))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The kernel for a value in blocks of channels.
#[derive(Debug)]
struct Blocked {
    isa: Isa,
    summary: Summary,
    batch: usize,
    plane: usize,
}

impl Kernel for Blocked {
    fn joins_team(&self) -> bool {
        true
    }

    fn differentiable(&self, _operand: usize) -> bool {
        false
    }

    fn forward(&self, io: &mut Forward<'_>) {
        // The seeds, too, are in blocks of channels: the first of sixteen lanes holds the seed of an image.
        let seeds: Vec<f32> = io.input(1).iter().step_by(BLOCK).copied().take(self.batch).collect();
        let (x, y) = io.io(0);
        summary::summarize(self.isa, [self.plane, self.summary.samples], self.summary.clip, x, &seeds, y);
    }

    fn backward(&self, io: &mut Backward<'_>) {
        without_gradient(io);
    }
}

/// The kernel for a value in plain order. It reorders sixteen channels at a time.
#[derive(Debug)]
struct Plain {
    isa: Isa,
    summary: Summary,
    batch: usize,
    channels: usize,
    plane: usize,
}

impl Kernel for Plain {
    fn joins_team(&self) -> bool {
        true
    }

    fn differentiable(&self, _operand: usize) -> bool {
        false
    }

    fn forward(&self, io: &mut Forward<'_>) {
        let seeds = io.input(1).to_vec();
        assert_eq!(seeds.len(), self.batch, "a seed for each image");
        let (x, y) = io.io(0);
        let Self { channels, plane, .. } = *self;
        let len = NUMBERS + self.summary.samples;
        team::chunks(y, channels * len, |image, y| {
            let x = &x[image * channels * plane..][..channels * plane];
            let (mut row, mut of_row) = (vec![0.0; plane * BLOCK], vec![0.0; len * BLOCK]);
            for block in 0..blocks_of(channels) {
                let held = (channels - block * BLOCK).min(BLOCK);
                for lane in 0..held {
                    let channel = &x[(block * BLOCK + lane) * plane..][..plane];
                    row.iter_mut().skip(lane).step_by(BLOCK).zip(channel).for_each(|(to, from)| *to = *from);
                }
                summarize_row(self.isa, self.summary.clip, &row, seeds[image] as u32, &mut of_row);
                for lane in 0..held {
                    let to = &mut y[(block * BLOCK + lane) * len..][..len];
                    to.iter_mut()
                        .zip(of_row.iter().skip(lane).step_by(BLOCK))
                        .for_each(|(to, from)| *to = *from);
                }
            }
        });
    }

    fn backward(&self, io: &mut Backward<'_>) {
        without_gradient(io);
    }
}

fn without_gradient(io: &mut Backward<'_>) {
    if !io.accumulate {
        io.gradient.fill(0.0);
    }
}
