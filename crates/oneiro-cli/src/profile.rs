//! Where the time of a pass goes: each step forward and back, by the clock.

use std::time::Instant;

use oneiro::objective_session::ObjectiveSession;
use oneiro_net::{Plan, Rules};

/// Steps that a table shows.
const SHOWN: usize = 40;

/// Seconds of every step of every pass so far.
pub struct Profile {
    forward: Vec<Vec<f64>>,
    backward: Vec<Vec<f64>>,
}

/// A step with its median times.
pub struct Timed {
    name: String,
    op_type: String,
    method: String,
    forward: f64,
    backward: f64,
    /// Floating-point operations forward and back.
    flops: u64,
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

    /// The median of each step, the slowest first.
    pub fn medians(self, plan: &Plan) -> Vec<Timed> {
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(0.0)
        };
        let mut steps: Vec<Timed> = plan
            .schedule()
            .zip(self.forward.into_iter().zip(self.backward))
            .map(|(step, (forward, backward))| Timed {
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

/// Seconds of the steps of one pass; of all turns, where a batch takes several.
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

impl Timed {
    fn gflops(&self) -> f64 {
        self.flops as f64 / (self.forward + self.backward) / 1e9
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name,
            "op": self.op_type,
            "method": self.method,
            "forward_seconds": self.forward,
            "backward_seconds": self.backward,
            "flops": self.flops,
        })
    }
}

/// Two tables: by operator and method, and the slowest steps.
pub fn table(steps: &[Timed]) -> String {
    let all: f64 = steps.iter().map(|s| s.forward + s.backward).sum();
    let mut groups: Vec<Timed> = Vec::new();
    for step in steps {
        let same = |g: &&mut Timed| g.op_type == step.op_type && g.method == step.method;
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.forward += step.forward;
                group.backward += step.backward;
                group.flops += step.flops;
            }
            None => groups.push(Timed {
                name: String::new(),
                op_type: step.op_type.clone(),
                method: step.method.clone(),
                ..*step
            }),
        }
    }
    groups.sort_by(|a, b| (b.forward + b.backward).total_cmp(&(a.forward + a.backward)));
    let line = |s: &Timed| {
        let gflops = if s.flops > 0 { format!("{:.0}", s.gflops()) } else { String::new() };
        format!(
            "{:>9.3} {:>9.3} {:>5.1} % {gflops:>7}  {:<20} {:<32} {}\n",
            s.forward * 1e3,
            s.backward * 1e3,
            (s.forward + s.backward) / all * 100.0,
            s.op_type,
            s.method,
            s.name
        )
    };
    let head = format!(
        "{:>9} {:>9} {:>7} {:>7}  {:<20} {}\n",
        "forward", "back", "share", "GFLOP/s", "operator", "method"
    );
    let mut text = format!("ms by operator and method\n{head}");
    groups.iter().for_each(|g| text.push_str(&line(g)));
    text.push_str(&format!("\nms of the slowest steps ({} in all)\n{head}", steps.len()));
    steps.iter().take(SHOWN).for_each(|s| text.push_str(&line(s)));
    text
}
