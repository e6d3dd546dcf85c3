//! A compiled network with objectives: values and input gradients for a batch.

use std::sync::Arc;

use oneiro_net::plan::{self, PlanInput};
use oneiro_net::{CpuSession, MaxPoolRule, Plan, Request, Rules, Session, ValueId};

use crate::error::Result;
use crate::input::InputMemory;
use crate::model::{Activation, Model, Target};
use crate::objective::measure::{self, Coupling, Measure};
use crate::objective::{Objective, Reads, Term, TermKind};

mod features;
mod planned;
mod seeding;
mod shown;

use planned::{Planned, check_batch, check_terms, fixed_batch, planned};
use shown::Shown;

/// From where a term of an objective takes its value.
enum Bound {
    /// A measure of one batch entry of a target.
    Layer(usize, Arc<dyn Measure>),
    /// A coupling of all batch entries, by its index.
    Batch(usize),
    /// A penalty on the pictures shown, by its index.
    Input(usize),
}

/// An objective whose terms are bound to their sources.
struct BoundObjective {
    objective: Objective,
    terms: Vec<Bound>,
}

/// A term that couples the entries of a batch.
struct Coupled {
    term: Term,
    target: usize,
    coupling: Box<dyn Coupling>,
    value: f64,
    /// The sum of the weights with which all entries use the coupling's derivative.
    weight: f64,
}

/// A network compiled for objectives, ready to run.
#[allow(missing_debug_implementations)]
pub struct ObjectiveSession {
    session: CpuSession,
    bound: Vec<BoundObjective>,
    coupled: Vec<Coupled>,
    shown: Shown,
    /// The model's value and view for each target of the plan; captured values have no view.
    targets: Vec<Target>,
    /// The shape of one batch entry, for each target of the plan.
    shapes: Vec<Vec<usize>>,
    /// Number of targets that the caller captures. They come first.
    captured: usize,
    batch: usize,
    /// Reused between calls: values and derivatives of one objective's terms.
    values: Vec<f64>,
    weights: Vec<f64>,
}

impl ObjectiveSession {
    /// Compiles a model for objectives: one for every batch entry, or a single one for all entries.
    /// `captured` are further values to keep readable (see [`ObjectiveSession::captured`]).
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

    /// Compiles with gradients under a rule for max-pooling, or without gradients.
    pub fn with_max_pool(
        model: &Model,
        objectives: &[Objective],
        captured: &[ValueId],
        shapes: Vec<Vec<usize>>,
        gradients: Option<MaxPoolRule>,
    ) -> Result<Self> {
        Self::compile(model, objectives, captured, shapes, |request| Request {
            gradients: gradients.is_some(),
            max_pool: gradients.unwrap_or_default(),
            ..request
        })
    }

    /// Compiles for the gradient at a layer, which is captured ([`ObjectiveSession::inner_gradient`]).
    /// Gradients of the inputs are not computed.
    pub fn at_layer(
        model: &Model,
        objectives: &[Objective],
        layer: ValueId,
        shapes: Vec<Vec<usize>>,
    ) -> Result<Self> {
        Self::compile(model, objectives, &[layer], shapes, |request| Request {
            input_gradients: false,
            inner_gradients: vec![layer],
            ..request
        })
    }

    /// Checks by shape inference whether the network accepts these shapes and objectives.
    ///
    /// # Errors
    /// If shapes, batch or terms do not fit. Other problems appear only when [`ObjectiveSession::new`]
    /// compiles: missing kernels, memory, reference pictures, and integer targets.
    pub fn accepts(model: &Model, objectives: &[Objective], shapes: Vec<Vec<usize>>) -> Result<()> {
        let batch = model.batch(&shapes);
        let planned = planned(model, objectives, &[], shapes)?;
        let values: Vec<ValueId> = planned.targets.iter().map(|t| t.value).collect();
        let accepted = plan::accepts(&planned.graph, &planned.request)
            .map_err(|e| fixed_batch(model, batch, &values, e))?;
        let names = planned.request.targets.iter().map(|&v| planned.graph.name(v));
        check_batch(names.zip(accepted.targets.iter().map(Vec::as_slice)), batch)?;
        let shapes: Vec<Vec<usize>> =
            accepted.targets.iter().map(|shape| shape.get(1..).unwrap_or_default().to_vec()).collect();
        check_terms(objectives, &planned.read, &shapes)
    }

    fn compile(
        model: &Model,
        objectives: &[Objective],
        captured: &[ValueId],
        shapes: Vec<Vec<usize>>,
        set: impl FnOnce(Request) -> Request,
    ) -> Result<Self> {
        let batch = model.batch(&shapes);
        let Planned { graph, request, targets, read } = planned(model, objectives, captured, shapes)?;
        let request = set(request);
        let values: Vec<ValueId> = targets.iter().map(|t| t.value).collect();
        let plan = model.compile(&graph, &request).map_err(|e| fixed_batch(model, batch, &values, e))?;
        let at_output = objectives.iter().flat_map(Objective::terms).any(Term::at_output);
        let head = at_output.then(|| model.head()).transpose()?;
        let behind = plan.targets.iter().skip(captured.len());
        check_batch(behind.map(|t| (t.name.as_str(), t.shape.as_slice())), batch)?;
        let shapes: Vec<Vec<usize>> =
            plan.targets.iter().map(|t| t.shape.get(1..).unwrap_or_default().to_vec()).collect();
        check_terms(objectives, &read, &shapes)?;
        let mut session = CpuSession::new(Arc::new(plan))?;
        let features = features::of_pictures(model, &mut session, objectives, &read, batch)?;
        let shown = Shown::of_inputs(model, session.plan(), batch);
        let mut compiled = Self {
            session,
            bound: Vec::new(),
            coupled: Vec::new(),
            shown,
            targets,
            shapes,
            captured: captured.len(),
            batch,
            values: Vec::new(),
            weights: Vec::new(),
        };
        compiled.bind(objectives, &read, &features, head.map_or(Activation::None, |h| h.activation))?;
        Ok(compiled)
    }

    /// Creates a measure for every term. Equal terms share one measure.
    fn bind(
        &mut self,
        objectives: &[Objective],
        read: &[Vec<Option<usize>>],
        features: &features::Features,
        activation: Activation,
    ) -> Result<()> {
        let mut made: Vec<(Term, Arc<dyn Measure>)> = Vec::new();
        for (objective, read) in objectives.iter().zip(read) {
            let mut terms = Vec::new();
            for (term, target) in objective.terms().into_iter().zip(read) {
                terms.push(match *target {
                    None => Bound::Input(self.shown.bind(term)),
                    Some(target) if term.reads() == Reads::Batch => {
                        let known = self.coupled.iter().position(|c| c.term == *term);
                        Bound::Batch(match known {
                            Some(index) => index,
                            None => {
                                let coupling = measure::of_batch(term, &self.shapes[target])?;
                                let term = term.clone();
                                self.coupled.push(Coupled {
                                    term,
                                    target,
                                    coupling,
                                    value: 0.0,
                                    weight: 0.0,
                                });
                                self.coupled.len() - 1
                            }
                        })
                    }
                    Some(target) => {
                        let known = made.iter().find(|(t, _)| t == term).map(|(_, m)| m.clone());
                        let measure = match known {
                            Some(measure) => measure,
                            None => {
                                let features = features.of(term, target);
                                let shape = &self.shapes[target];
                                let made_now = match term.kind {
                                    TermKind::Probability(class) => {
                                        Ok(measure::probability(class, activation, shape.iter().product()))
                                    }
                                    _ => measure::of_layer(term, shape, &features),
                                };
                                let measure = made_now.map_err(|why| why.of(term))?;
                                made.push((term.clone(), measure.clone()));
                                measure
                            }
                        };
                        Bound::Layer(target, measure)
                    }
                });
            }
            self.bound.push(BoundObjective { objective: objective.clone(), terms });
        }
        Ok(())
    }

    /// Returns the plan that this session runs.
    pub fn plan(&self) -> &Plan {
        self.session.plan()
    }

    /// Returns the inputs to feed.
    pub fn inputs(&self) -> &[PlanInput] {
        &self.session.plan().inputs
    }

    /// Number of entries in the batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Returns the data of an input, which must be written before every forward pass.
    pub fn input_mut(&mut self, input: usize) -> &mut [f32] {
        self.session.input_mut(input)
    }

    /// Returns the gradient of an input after the backward pass.
    pub fn input_gradient(&self, input: usize) -> &[f32] {
        self.session.input_gradient(input)
    }

    /// Returns the shape of one batch entry of a target, channels first. Returns `None` if no objective reads
    /// the target.
    pub fn shape_of(&self, target: Target) -> Option<&[usize]> {
        // The last match is taken, because captured values come before those of objectives.
        self.targets.iter().rposition(|&t| t == target).map(|i| self.shapes[i].as_slice())
    }

    /// Runs the forward pass, which computes all terms' activations.
    pub fn forward(&mut self) {
        self.forward_observed(&mut |_| {});
    }

    /// Returns the pictures that penalties on the input read.
    pub fn shown(&mut self) -> &mut Shown {
        &mut self.shown
    }

    /// Shows the current network inputs to the penalties, in display units.
    ///
    /// # Errors
    /// If a penalty does not fit the network's inputs.
    pub fn show_inputs(&mut self) -> Result<()> {
        self.shown.check()?;
        if self.shown.is_read() {
            for input in 0..self.inputs().len() {
                let n = self.session.plan().inputs[input].shape.iter().product::<usize>() / self.batch.max(1);
                for entry in 0..self.batch {
                    let data = self.session.input_mut(input);
                    self.shown.show_network(entry, input, &data[entry * n..(entry + 1) * n]);
                }
            }
        }
        Ok(())
    }

    /// Returns the gradient of the penalties with respect to the picture shown for a batch entry. Returns
    /// `None` if there are no penalties.
    pub fn penalty_gradient(&self, entry: usize, input: usize) -> Option<&[f32]> {
        self.shown.is_read().then(|| self.shown.gradient(entry, input))
    }

    /// Returns the gradient of an input, including the gradient of penalties on the pictures of
    /// [`ObjectiveSession::show_inputs`].
    pub fn whole_input_gradient(&self, input: usize) -> Vec<f32> {
        let mut gradient = self.session.input_gradient(input).to_vec();
        if self.shown.is_read() {
            let n = gradient.len() / self.batch.max(1);
            for (entry, gradient) in gradient.chunks_exact_mut(n.max(1)).enumerate() {
                self.shown.add_network_gradient(entry, input, gradient);
            }
        }
        gradient
    }

    /// Returns shape (with the batch) and data of a captured value.
    pub fn captured(&self, index: usize) -> (&[usize], &[f32]) {
        (&self.session.plan().targets[index].shape, self.session.activation(index))
    }

    /// Computes the objective's value for one batch entry.
    pub fn value(&self, entry: usize) -> f64 {
        let Some(bound) = self.bound.get(entry).or(self.bound.first()) else { return f64::NAN };
        bound.objective.value(&mut bound.terms.iter().map(|term| self.term_value(term, entry)))
    }

    fn term_value(&self, term: &Bound, entry: usize) -> f64 {
        match term {
            Bound::Layer(target, measure) => {
                measure.value(entry_of(self.session.activation(*target), entry, self.batch))
            }
            Bound::Batch(index) => self.coupled[*index].value,
            Bound::Input(index) => self.shown.value(*index, entry),
        }
    }

    /// Computes the mean of the objective over the batch.
    pub fn mean_value(&self) -> f64 {
        (0..self.batch).map(|e| self.value(e)).sum::<f64>() / self.batch.max(1) as f64
    }

    /// Adds `weight` times the derivative of a batch entry's objective to the seeds.
    pub fn seed(&mut self, entry: usize, weight: f64) {
        let Some(bound) = self.bound.get(entry).or(self.bound.first()) else { return };
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        values.extend(bound.terms.iter().map(|term| self.term_value(term, entry)));
        self.weights.clear();
        bound.objective.derivatives(&values, weight, &mut self.weights);
        self.values = values;
        for (term, weight) in bound.terms.iter().zip(&self.weights) {
            match term {
                Bound::Layer(target, measure) => {
                    let (activations, seed) = self.session.seed(*target);
                    let n = activations.len() / self.batch;
                    let range = entry * n..(entry + 1) * n;
                    measure.seed(&activations[range.clone()], *weight, &mut seed[range]);
                }
                // A coupling is seeded once for all entries, since it depends on all of them.
                Bound::Batch(index) => self.coupled[*index].weight += weight,
                Bound::Input(index) => self.shown.seed(*index, entry, *weight),
            }
        }
    }

    fn seed_coupled(&mut self) {
        for coupled in self.coupled.iter_mut().filter(|c| c.weight != 0.0) {
            let (activations, seed) = self.session.seed(coupled.target);
            coupled.coupling.seed(activations, self.batch, coupled.weight, seed);
            coupled.weight = 0.0;
        }
    }

    /// Runs the backward pass, which computes gradients from the seeds.
    pub fn backward(&mut self, rules: &Rules) {
        self.seed_coupled();
        self.session.backward(rules);
    }

    /// Runs [`ObjectiveSession::forward`] and calls `observe` after each step with its index in the plan's
    /// schedule.
    pub fn forward_observed(&mut self, observe: &mut (dyn FnMut(usize) + Send)) {
        self.session.forward_observed(observe);
        self.shown.clear_gradients();
        for coupled in &mut self.coupled {
            coupled.value = coupled.coupling.value(self.session.activation(coupled.target), self.batch);
            coupled.weight = 0.0;
        }
    }

    /// Runs [`ObjectiveSession::backward`] and calls `observe` after each step with its index in the plan's
    /// schedule.
    pub fn backward_observed(&mut self, rules: &Rules, observe: &mut (dyn FnMut(usize) + Send)) {
        self.seed_coupled();
        self.session.backward_observed(rules, observe);
    }

    /// Returns the gradient of the layer of [`ObjectiveSession::at_layer`], in the network's layout.
    pub fn inner_gradient(&self) -> &[f32] {
        self.session.inner_gradient(0)
    }
}

impl InputMemory for ObjectiveSession {
    fn input_count(&self) -> usize {
        self.inputs().len()
    }

    fn data_mut(&mut self, input: usize) -> &mut [f32] {
        self.input_mut(input)
    }

    fn gradient_of(&self, input: usize) -> &[f32] {
        self.input_gradient(input)
    }
}

fn entry_of(data: &[f32], entry: usize, batch: usize) -> &[f32] {
    let n = data.len() / batch.max(1);
    &data[entry * n..(entry + 1) * n]
}
