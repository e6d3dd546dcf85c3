//! The pictures that penalties on the input read: display units, before any transform.

use std::sync::Arc;

use oneiro_image::Extent;
use oneiro_net::Plan;

use crate::card::InputKind;
use crate::model::Model;
use crate::objective::measure::{self, Measure};
use crate::objective::{Term, TermError};
use crate::preprocess::Preprocess;

/// One picture a network input and entry, and the gradient of penalties on it.
#[allow(missing_debug_implementations)]
pub struct Shown {
    inputs: Vec<ShownInput>,
    /// The penalties that objectives have, each once.
    terms: Vec<Term>,
    batch: usize,
}

struct ShownInput {
    /// Channels first; empty if the input is no picture, which penalties leave out.
    shape: Vec<usize>,
    /// Whether the last channel is opacity.
    has_alpha: bool,
    preprocess: Option<Preprocess>,
    /// One a term, or why there is none for this shape.
    measures: Vec<Result<Arc<dyn Measure>, TermError>>,
    /// All entries, one after another.
    data: Vec<f32>,
    gradient: Vec<f32>,
}

impl Shown {
    /// For a plan's picture inputs, of the size that the network sees.
    pub(super) fn of_inputs(model: &Model, plan: &Plan, batch: usize) -> Self {
        let inputs = plan.inputs.iter().zip(&model.card.input).map(|(planned, card)| {
            let of_picture = card.kind != InputKind::Tensor && planned.used && planned.shape.len() > 3;
            let preprocess = of_picture.then(|| Preprocess::from_card(card));
            let mut shape = planned.shape.get(1..).unwrap_or_default().to_vec();
            match (&preprocess, card.kind) {
                (None, _) => shape.clear(),
                (_, InputKind::Flow) => {}
                (Some(preprocess), _) => shape[0] = preprocess.channels(),
            }
            ShownInput {
                shape,
                has_alpha: false,
                preprocess,
                measures: Vec::new(),
                data: Vec::new(),
                gradient: Vec::new(),
            }
        });
        Self { inputs: inputs.collect(), terms: Vec::new(), batch }
    }

    /// Whether any penalty reads the pictures. If none does, nothing needs to be shown.
    pub fn is_read(&self) -> bool {
        !self.terms.is_empty()
    }

    /// The number of a penalty.
    pub(super) fn bind(&mut self, term: &Term) -> usize {
        if let Some(known) = self.terms.iter().position(|t| t == term) {
            return known;
        }
        for input in self.inputs.iter_mut().filter(|i| !i.shape.is_empty()) {
            input.bind(term, self.batch);
        }
        self.terms.push(term.clone());
        self.terms.len() - 1
    }

    /// Changes the extent of an input's picture: one with a margin, or with opacity as its last channel.
    pub fn reshape(&mut self, input: usize, extent: Extent, has_alpha: bool) {
        let shown = &mut self.inputs[input];
        let shape = extent.axes();
        if (&shown.shape, shown.has_alpha) != (&shape, has_alpha) {
            (shown.shape, shown.has_alpha) = (shape, has_alpha);
            shown.measures.clear();
            self.terms.iter().for_each(|term| shown.bind(term, self.batch));
        }
    }

    /// An error if a penalty does not fit what is shown.
    pub fn check(&self) -> crate::Result<()> {
        let why = self.inputs.iter().flat_map(|i| &i.measures).find_map(|m| m.as_ref().err());
        why.map_or(Ok(()), |why| Err(why.clone().into()))
    }

    /// Shows a picture to the penalties.
    pub fn show(&mut self, entry: usize, input: usize, picture: &[f32]) {
        if self.is_read() {
            self.inputs[input].entry_mut(entry).0.copy_from_slice(picture);
        }
    }

    /// Shows what stands in a network's input.
    pub(super) fn show_network(&mut self, entry: usize, input: usize, data: &[f32]) {
        let shown = &mut self.inputs[input];
        if let Some(preprocess) = shown.preprocess.clone() {
            preprocess.display(data, shown.entry_mut(entry).0);
        }
    }

    /// The gradient of the penalties on a picture.
    pub fn gradient(&self, entry: usize, input: usize) -> &[f32] {
        let shown = &self.inputs[input];
        &shown.gradient[shown.range(entry)]
    }

    /// Adds the gradient of the penalties to that on a network's input.
    pub(super) fn add_network_gradient(&self, entry: usize, input: usize, gradient: &mut [f32]) {
        if let Some(preprocess) = &self.inputs[input].preprocess {
            preprocess.display_adjoint(self.gradient(entry, input), gradient);
        }
    }

    pub(super) fn clear_gradients(&mut self) {
        self.inputs.iter_mut().for_each(|i| i.gradient.fill(0.0));
    }

    /// A penalty's value, summed over the inputs.
    pub(super) fn value(&self, index: usize, entry: usize) -> f64 {
        let of = |i: &ShownInput| match i.measures.get(index) {
            Some(Ok(measure)) => measure.value(&i.data[i.range(entry)]),
            Some(Err(_)) => f64::NAN,
            None => 0.0,
        };
        self.inputs.iter().map(of).sum()
    }

    pub(super) fn seed(&mut self, index: usize, entry: usize, weight: f64) {
        for input in &mut self.inputs {
            let Some(Ok(measure)) = input.measures.get(index).cloned() else { continue };
            let (data, gradient) = input.entry_mut(entry);
            measure.seed(data, weight, gradient);
        }
    }
}

impl ShownInput {
    fn bind(&mut self, term: &Term, batch: usize) {
        self.measures.push(measure::of_input(term, &self.shape, self.has_alpha));
        let len = batch * self.shape.iter().product::<usize>();
        self.data.resize(len, 0.0);
        self.gradient.resize(len, 0.0);
    }

    fn range(&self, entry: usize) -> std::ops::Range<usize> {
        let n: usize = self.shape.iter().product();
        entry * n..(entry + 1) * n
    }

    fn entry_mut(&mut self, entry: usize) -> (&mut [f32], &mut [f32]) {
        let range = self.range(entry);
        (&mut self.data[range.clone()], &mut self.gradient[range])
    }
}
