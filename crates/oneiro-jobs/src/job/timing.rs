//! Measures the time of a forward pass and of the gradient with respect to the inputs.

use std::time::{Duration, Instant};

use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro_net::Rules;
use serde::{Deserialize, Serialize};

use super::error::JobError;
use super::{Job, Run, Sink};
use crate::context::Context;
use crate::error::Result;

mod profile;

use profile::Profile;
pub use profile::StepTime;

/// Number of passes that run before the measurement.
const WARM_UP: usize = 2;
/// Fewest passes that are measured.
const MIN_PASSES: usize = 5;
/// Time after which no further passes are measured.
const BUDGET: Duration = Duration::from_secs(3);
/// The channel whose mean is differentiated; the first one if there are fewer channels.
const CHANNEL: usize = 5;

/// Measures forward passes with the gradient of the mean of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingJob {
    /// The layer up to which the network runs; by default the network's first output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// Number of images in the batch.
    pub batch: usize,
    /// Height and width of the images, if they are not the network's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Whether the time of each step is measured.
    pub steps: bool,
}

/// The measured times of passes through a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timing {
    /// Name of the layer up to which the network runs.
    pub layer: String,
    /// Median time of one pass in seconds.
    pub seconds: f64,
    /// Number of passes that were measured.
    pub passes: usize,
    /// Floating-point operations of a pass. Convolutions are counted as if computed directly.
    pub flops: u64,
    /// Peak performance: 10⁹ floating-point operations per second, for multiply-adds on data in the
    /// first-level cache. A multiply-add counts as two operations.
    pub peak_gflops: f64,
    /// Bytes of memory for activations and gradients.
    pub arena_bytes: usize,
    /// The steps, slowest first, if they were measured.
    pub steps: Vec<StepTime>,
}

impl Timing {
    /// Returns the performance in 10⁹ floating-point operations per second.
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / self.seconds / 1e9
    }
}

impl Job for TimingJob {
    const KIND: &'static str = "timing";
    type Report = Timing;

    fn run(&self, run: &Run<'_>, _: &mut dyn Sink) -> Result<Timing> {
        self.check()?;
        let (context, model) = (run.context, run.model()?);
        let layer = match (&self.layer, model.model.graph.outputs.first()) {
            (Some(layer), _) => layer.clone(),
            (None, Some(&output)) => model.model.graph.name(output).to_owned(),
            (None, None) => return Err(JobError::NoOutput.into()),
        };
        let shapes = model.model.input_shapes(self.batch, self.size)?;
        let session = |channel: usize| {
            let objective = Objective::channel(&layer, channel);
            ObjectiveSession::new(&model.model, &[objective], &[], shapes.clone(), true)
        };
        context.compute(|| {
            let session = match session(CHANNEL) {
                Err(oneiro::Error::Term(_)) => session(0)?,
                session => session?,
            };
            self.time(context, layer.clone(), session)
        })
    }

    fn check(&self) -> Result<()> {
        if self.batch == 0 { Err(JobError::NoUnits.into()) } else { Ok(()) }
    }
}

impl TimingJob {
    fn time(&self, context: &Context, layer: String, mut session: ObjectiveSession) -> Result<Timing> {
        let mut profile = Profile::new(session.plan());
        let mut pass = || {
            for input in 0..session.inputs().len() {
                fill(session.input_mut(input));
            }
            let started = Instant::now();
            if self.steps {
                profile.forward(&mut session);
            } else {
                session.forward();
            }
            for entry in 0..self.batch {
                session.seed(entry, 1.0 / self.batch as f64);
            }
            if self.steps {
                profile.backward(&mut session);
            } else {
                session.backward(&Rules::default());
            }
            started.elapsed().as_secs_f64()
        };
        for _ in 0..WARM_UP {
            context.check()?;
            pass();
        }
        let before = peak_rate();
        let started = Instant::now();
        let mut times = Vec::new();
        while times.len() < MIN_PASSES || started.elapsed() < BUDGET {
            context.check()?;
            times.push(pass());
        }
        times.sort_by(f64::total_cmp);
        let plan = session.plan();
        Ok(Timing {
            layer,
            seconds: times[times.len() / 2],
            passes: times.len(),
            flops: plan.forward_flops() + plan.backward_flops(),
            peak_gflops: before.max(peak_rate()),
            arena_bytes: plan.arena_bytes(),
            steps: if self.steps { profile.medians(plan) } else { Vec::new() },
        })
    }
}

/// Returns the peak performance on all threads, in 10⁹ floating-point operations per second: the best of
/// several short runs of multiply-adds on data in the first-level cache.
fn peak_rate() -> f64 {
    /// Number of tiles in a run, for a few milliseconds.
    const TILES: usize = 4000;
    const RUNS: usize = 5;
    (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            let flops = oneiro_net::analysis::multiply_in_cache(oneiro_net::Isa::detect(), TILES);
            flops as f64 / started.elapsed().as_secs_f64() / 1e9
        })
        .fold(0.0, f64::max)
}

/// Writes fixed pseudo-random values of about unit variance.
fn fill(data: &mut [f32]) {
    let mut state = 0x2545_F491u32;
    for x in data {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *x = (state as f32 / u32::MAX as f32 - 0.5) * 3.4;
    }
}
