//! A compiled network with objectives: values and input gradients of a batch.

use std::sync::Arc;

use oneiro_net::graph::Dim;
use oneiro_net::plan::{MAX_BYTES, PlanInput};
use oneiro_net::{CpuSession, MaxPoolRule, Plan, Request, Rules, Session, ValueId};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::{Objective, Term};

/// An objective whose terms know which target of the plan they read.
#[derive(Debug)]
struct Bound {
    objective: Objective,
    terms: Vec<(Term, usize)>,
}

/// A network compiled for objectives, ready to run.
#[allow(missing_debug_implementations)]
pub struct Probe {
    session: CpuSession,
    bound: Vec<Bound>,
    /// The value of the model that each target is.
    targets: Vec<ValueId>,
    /// Shape of one entry of each target.
    shapes: Vec<Vec<usize>>,
    batch: usize,
    /// Reused from call to call: values and derivatives of one objective's terms.
    values: Vec<f64>,
    weights: Vec<f64>,
}

impl Probe {
    /// Compiles a model for objectives: either one for every entry of the batch, or one that holds for all entries.
    /// `captured` are further values to keep readable (see [`Probe::captured`]).
    pub fn new(
        model: &Model,
        objectives: &[Objective],
        captured: &[ValueId],
        shapes: Vec<Vec<usize>>,
        gradients: bool,
    ) -> Result<Self> {
        let max_pool = gradients.then_some(MaxPoolRule::Exact);
        Self::with_max_pool(model, objectives, captured, shapes, max_pool)
    }

    /// The same with gradients under a rule for max-pooling, or without gradients.
    pub fn with_max_pool(
        model: &Model,
        objectives: &[Objective],
        captured: &[ValueId],
        shapes: Vec<Vec<usize>>,
        gradients: Option<MaxPoolRule>,
    ) -> Result<Self> {
        let batch = shapes.first().and_then(|s| s.first()).copied().unwrap_or(0);
        if objectives.len() > 1 && objectives.len() != batch {
            return Err(Error::Settings(format!("{} objectives for a batch of {batch}", objectives.len())));
        }
        let mut targets: Vec<ValueId> = captured.to_vec();
        let mut bound = Vec::new();
        for objective in objectives {
            if objective.terms().is_empty() {
                return Err(Error::Unit(format!(
                    "the objective \"{objective}\" asks for nothing of the network"
                )));
            }
            let mut terms = Vec::new();
            for term in objective.terms() {
                let value = model.value_of(term)?;
                let known = targets.iter().skip(captured.len()).position(|&t| t == value);
                let target = known.map(|i| i + captured.len()).unwrap_or_else(|| {
                    targets.push(value);
                    targets.len() - 1
                });
                terms.push((term.clone(), target));
            }
            bound.push(Bound { objective: objective.clone(), terms });
        }
        let values = targets.clone();
        // Captured values stay as they are in the graph; objectives read channels on axis 1.
        let (graph, turned) = model.channels_first(&targets[captured.len()..], &shapes)?;
        targets.splice(captured.len().., turned);
        let request = Request {
            shapes,
            targets,
            gradients: gradients.is_some(),
            max_pool: gradients.unwrap_or_default(),
            isa: oneiro_net::Isa::detect(),
            max_bytes: MAX_BYTES,
        };
        let plan = Plan::compile(&graph, &request).map_err(|e| fixed_batch(model, batch, e))?;
        for target in &plan.targets[captured.len()..] {
            if target.shape.first() != Some(&batch) {
                return Err(Error::Unit(format!(
                    "layer \"{}\" has shape {:?}, whose first axis is not the batch of {batch}",
                    target.name, target.shape
                )));
            }
        }
        let shapes: Vec<Vec<usize>> =
            plan.targets.iter().map(|t| t.shape.get(1..).unwrap_or_default().to_vec()).collect();
        for b in &bound {
            for (term, target) in &b.terms {
                term.check(&shapes[*target]).map_err(Error::Unit)?;
            }
        }
        let session = CpuSession::new(Arc::new(plan))?;
        Ok(Self { session, bound, targets: values, shapes, batch, values: Vec::new(), weights: Vec::new() })
    }

    /// The plan that runs.
    pub fn plan(&self) -> &Plan {
        self.session.plan()
    }

    /// What is fed.
    pub fn inputs(&self) -> &[PlanInput] {
        &self.session.plan().inputs
    }

    /// The data of an input, to be written before every forward.
    pub fn input_mut(&mut self, input: usize) -> &mut [f32] {
        self.session.input_mut(input)
    }

    /// Shape of one entry of a value that an objective reads, channels first; `None` if none reads it.
    pub fn shape_of(&self, value: ValueId) -> Option<&[usize]> {
        // The last one, as captured values stand before those of objectives.
        self.targets.iter().rposition(|&t| t == value).map(|i| self.shapes[i].as_slice())
    }

    /// Runs forward.
    pub fn forward(&mut self) {
        self.session.forward();
    }

    /// Shape (with the batch) and data of a captured value.
    pub fn captured(&self, index: usize) -> (&[usize], &[f32]) {
        (&self.session.plan().targets[index].shape, self.session.activation(index))
    }

    /// The objective's value for an entry of the batch.
    pub fn value(&self, entry: usize) -> f64 {
        let Some(bound) = self.bound.get(entry).or(self.bound.first()) else { return f64::NAN };
        let mut terms = bound.terms.iter().map(|(term, target)| {
            let shape = &self.shapes[*target];
            term.value(entry_of(self.session.activation(*target), entry, self.batch), shape)
        });
        bound.objective.value(&mut terms)
    }

    /// Mean of the objective over the batch.
    pub fn mean_value(&self) -> f64 {
        (0..self.batch).map(|e| self.value(e)).sum::<f64>() / self.batch.max(1) as f64
    }

    /// Adds `weight` times the derivative of an entry's objective to the seeds.
    pub fn seed(&mut self, entry: usize, weight: f64) {
        let Some(bound) = self.bound.get(entry).or(self.bound.first()) else { return };
        self.values.clear();
        for (term, target) in &bound.terms {
            let activations = entry_of(self.session.activation(*target), entry, self.batch);
            self.values.push(term.value(activations, &self.shapes[*target]));
        }
        self.weights.clear();
        bound.objective.derivatives(&self.values, weight, &mut self.weights);
        for ((term, target), weight) in bound.terms.iter().zip(&self.weights) {
            let (activations, seed) = self.session.seed(*target);
            let n = activations.len() / self.batch;
            let range = entry * n..(entry + 1) * n;
            term.seed(&activations[range.clone()], &self.shapes[*target], *weight, &mut seed[range]);
        }
    }

    /// Runs back from the seeds.
    pub fn backward(&mut self, rules: &Rules) {
        self.session.backward(rules);
    }

    /// [`Probe::forward`] that calls `observe` after each step, with its place in the plan's schedule.
    pub fn forward_observed(&mut self, observe: &mut dyn FnMut(usize)) {
        self.session.forward_observed(observe);
    }

    /// [`Probe::backward`] that calls `observe` after each step, with its place in the plan's schedule.
    pub fn backward_observed(&mut self, rules: &Rules, observe: &mut dyn FnMut(usize)) {
        self.session.backward_observed(rules, observe);
    }

    /// The gradient with respect to an input.
    pub fn input_gradient(&self, input: usize) -> &[f32] {
        self.session.input_gradient(input)
    }
}

/// An error of compiling, with a word about the batch if the file fixes it to another.
fn fixed_batch(model: &Model, batch: usize, error: oneiro_net::Error) -> Error {
    let fixed = model.graph.inputs.iter().find_map(|i| match i.dims.as_ref()?.first()? {
        Dim::Fixed(n) if *n > 1 && *n != batch && i.dims.as_ref().is_some_and(|d| d.len() > 3) => Some(*n),
        _ => None,
    });
    match fixed {
        Some(n) => Error::Settings(format!(
            "{error}; the file fixes its batch to {n} and this needs {batch}: export it with a batch of 1 or a free one"
        )),
        None => error.into(),
    }
}

fn entry_of(data: &[f32], entry: usize, batch: usize) -> &[f32] {
    let n = data.len() / batch.max(1);
    &data[entry * n..(entry + 1) * n]
}
