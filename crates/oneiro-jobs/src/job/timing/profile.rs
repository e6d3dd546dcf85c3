//! Measures the time of each step of a pass, forward and backward.

use std::time::Instant;

use oneiro::objective_session::ObjectiveSession;
use oneiro_net::{Plan, Rules};
use serde::Serialize;

/// Seconds of every step in all passes so far.
pub(super) struct Profile {
    forward: Vec<Vec<f64>>,
    backward: Vec<Vec<f64>>,
}

/// A step of the network's plan, with its median times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepTime {
    /// Name of the value that the step computes.
    pub name: String,
    /// ONNX operator type of the step.
    #[serde(rename = "op")]
    pub op_type: String,
    /// The kernel, and what is fused into it.
    pub method: String,
    /// Seconds that the step takes in the forward pass.
    #[serde(rename = "forward_seconds")]
    pub forward: f64,
    /// Seconds that the step takes in the backward pass.
    #[serde(rename = "backward_seconds")]
    pub backward: f64,
    /// Floating-point operations of the step in both passes.
    pub flops: u64,
}

impl Profile {
    pub fn new(plan: &Plan) -> Self {
        let steps = plan.schedule().count();
        Self { forward: vec![Vec::new(); steps], backward: vec![Vec::new(); steps] }
    }

    pub fn forward(&mut self, session: &mut ObjectiveSession) {
        let mut pass = Pass::new(self.forward.len());
        session.forward_observed(&mut |step| pass.note(step));
        pass.end(&mut self.forward);
    }

    pub fn backward(&mut self, session: &mut ObjectiveSession) {
        let mut pass = Pass::new(self.backward.len());
        session.backward_observed(&Rules::default(), &mut |step| pass.note(step));
        pass.end(&mut self.backward);
    }

    /// Returns the median times of each step, slowest first.
    pub fn medians(self, plan: &Plan) -> Vec<StepTime> {
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(0.0)
        };
        let mut steps: Vec<StepTime> = plan
            .schedule()
            .zip(self.forward.into_iter().zip(self.backward))
            .map(|(step, (forward, backward))| StepTime {
                name: step.name.to_owned(),
                op_type: step.op_type.to_owned(),
                method: step.method,
                flops: step.flops * if backward.is_empty() { 1 } else { 2 },
                forward: median(forward),
                backward: median(backward),
            })
            .collect();
        steps.sort_by(|a, b| (b.forward + b.backward).total_cmp(&(a.forward + a.backward)));
        steps
    }
}

/// Seconds of the steps in one pass. If a batch is computed in several micro-batches, their times are added.
struct Pass {
    seconds: Vec<Option<f64>>,
    last: Instant,
}

impl Pass {
    fn new(steps: usize) -> Self {
        Self { seconds: vec![None; steps], last: Instant::now() }
    }

    fn note(&mut self, step: usize) {
        let now = Instant::now();
        *self.seconds[step].get_or_insert(0.0) += (now - self.last).as_secs_f64();
        self.last = now;
    }

    fn end(self, times: &mut [Vec<f64>]) {
        let ran = times.iter_mut().zip(self.seconds);
        ran.for_each(|(times, seconds)| times.extend(seconds));
    }
}
