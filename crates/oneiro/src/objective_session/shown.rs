//! The pictures that penalties on the input read: in display units, before any transform.

use std::sync::Arc;

use oneiro_image::Extent;
use oneiro_net::Plan;

use crate::card::{InputCard, InputKind};
use crate::model::{InputError, Model};
use crate::objective::measure::{self, Measure};
use crate::objective::{Term, TermError};
use crate::preprocess::Preprocess;

/// One picture for each network input and batch entry, and the gradient of the penalties on it.
#[allow(missing_debug_implementations)]
pub struct Shown {
    inputs: Vec<ShownInput>,
    /// The penalties of all objectives, each once.
    terms: Vec<Term>,
    batch: usize,
    /// The error of a picture input that does not fit its card.
    unfit: Option<InputError>,
    /// An input that may be a picture, although its card says that it is none: its name and the extent of its
    /// axis 1.
    maybe_bands: Option<(String, usize)>,
}

struct ShownInput {
    /// Shape of a picture, channels first; empty if the input is no picture, which penalties ignore.
    shape: Vec<usize>,
    /// Number of channels, if the network's input is channels last.
    last_channels: Option<usize>,
    /// Whether the picture's last channel is opacity.
    has_alpha: bool,
    preprocess: Option<Preprocess>,
    /// One measure for each penalty, or the reason why there is none for this shape.
    measures: Vec<Result<Arc<dyn Measure>, TermError>>,
    /// The pictures of all batch entries, one after another.
    data: Vec<f32>,
    gradient: Vec<f32>,
}

impl Shown {
    /// Creates pictures for a plan's picture inputs, of the size that the network sees.
    pub(super) fn of_inputs(model: &Model, plan: &Plan, batch: usize) -> Self {
        let last = model.reads_channels_last();
        let mut unfit = None;
        let inputs = plan.inputs.iter().zip(&model.card.input).map(|(planned, card)| {
            let mut shape = planned.shape.get(1..).unwrap_or_default().to_vec();
            if let Some(channels) = shape.pop_if(|_| last) {
                shape.insert(0, channels);
            }
            let mut preprocess = None;
            if card.kind != InputKind::Tensor && planned.used {
                let of_card = Preprocess::from_card(card);
                match fit(card, &of_card, &shape, &planned.shape) {
                    Ok(()) => preprocess = Some(of_card),
                    Err(why) => unfit = unfit.take().or(Some(why)),
                }
            }
            let last_channels = shape.first().copied().filter(|_| last);
            match (&preprocess, card.kind) {
                (None, _) => shape.clear(),
                (_, InputKind::Flow) => {}
                (Some(preprocess), _) => shape[0] = preprocess.channels(),
            }
            ShownInput {
                shape,
                last_channels,
                has_alpha: false,
                preprocess,
                measures: Vec::new(),
                data: Vec::new(),
                gradient: Vec::new(),
            }
        });
        let inputs = inputs.collect();
        let four = plan.inputs.iter().find(|planned| planned.used && planned.shape.len() == 4);
        let channels = if last { 3 } else { 1 };
        let maybe_bands = four.map(|planned| (planned.name.clone(), planned.shape[channels]));
        Self { inputs, terms: Vec::new(), batch, unfit, maybe_bands }
    }

    /// Whether any penalty reads the pictures. Otherwise they need not be shown.
    pub fn is_read(&self) -> bool {
        !self.terms.is_empty()
    }

    /// Returns the index of a penalty, which is added if it is new.
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

    /// Changes the extent of an input's picture, for a picture with a margin or with opacity as its last
    /// channel.
    pub fn reshape(&mut self, input: usize, extent: Extent, has_alpha: bool) {
        let shown = &mut self.inputs[input];
        let shape = extent.axes();
        if (&shown.shape, shown.has_alpha) != (&shape, has_alpha) {
            (shown.shape, shown.has_alpha) = (shape, has_alpha);
            shown.measures.clear();
            self.terms.iter().for_each(|term| shown.bind(term, self.batch));
        }
    }

    /// Returns an error if a penalty does not fit the pictures, or there is no picture for it.
    pub fn check(&self) -> crate::Result<()> {
        let Some(term) = self.terms.first() else { return Ok(()) };
        if let Some(why) = &self.unfit {
            return Err(why.clone().into());
        }
        if self.inputs.iter().all(|input| input.shape.is_empty()) {
            let (objective, maybe_bands) = (term.to_string(), self.maybe_bands.clone());
            return Err(InputError::NoPicture { objective, maybe_bands }.into());
        }
        let why = self.inputs.iter().flat_map(|i| &i.measures).find_map(|m| m.as_ref().err());
        why.map_or(Ok(()), |why| Err(why.clone().into()))
    }

    /// Stores a picture for the penalties to read.
    pub fn show(&mut self, entry: usize, input: usize, picture: &[f32]) {
        if self.is_read() {
            self.inputs[input].entry_mut(entry).0.copy_from_slice(picture);
        }
    }

    /// Sets the picture from the data of a network input.
    pub(super) fn show_network(&mut self, entry: usize, input: usize, data: &[f32]) {
        let shown = &mut self.inputs[input];
        let Some(preprocess) = shown.preprocess.clone() else { return };
        match shown.last_channels {
            None => preprocess.display(data, shown.entry_mut(entry).0),
            Some(channels) => {
                let planar = transposed(data, data.len() / channels.max(1), channels);
                preprocess.display(&planar, shown.entry_mut(entry).0);
            }
        }
    }

    /// Returns the gradient of the penalties on a picture.
    pub fn gradient(&self, entry: usize, input: usize) -> &[f32] {
        let shown = &self.inputs[input];
        &shown.gradient[shown.range(entry)]
    }

    /// Adds the gradient of the penalties to the gradient of a network input.
    pub(super) fn add_network_gradient(&self, entry: usize, input: usize, gradient: &mut [f32]) {
        let shown = &self.inputs[input];
        let Some(preprocess) = &shown.preprocess else { return };
        match shown.last_channels {
            None => preprocess.display_adjoint(self.gradient(entry, input), gradient),
            Some(channels) => {
                let mut planar = vec![0.0; gradient.len()];
                preprocess.display_adjoint(self.gradient(entry, input), &mut planar);
                let own = transposed(&planar, channels, gradient.len() / channels.max(1));
                gradient.iter_mut().zip(own).for_each(|(sum, g)| *sum += g);
            }
        }
    }

    pub(super) fn clear_gradients(&mut self) {
        self.inputs.iter_mut().for_each(|i| i.gradient.fill(0.0));
    }

    /// Computes a penalty's value, summed over the inputs.
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

/// Returns an error unless an input of shape `shape` (N, …, in the network's layout) takes the pictures of
/// its card. `entry` is the shape of one batch entry, channels first.
fn fit(
    card: &InputCard,
    preprocess: &Preprocess,
    entry: &[usize],
    shape: &[usize],
) -> Result<(), InputError> {
    let input = || card.name.clone();
    match (card.kind, shape.len()) {
        (InputKind::Clip, 5) | (InputKind::Image | InputKind::Flow, 4) => {}
        (InputKind::Clip, _) => {
            return Err(InputError::NotFiveAxes { input: input(), shape: shape.to_vec() });
        }
        _ => return Err(InputError::NotFourAxes { input: input(), shape: shape.to_vec() }),
    }
    let channels = entry[0];
    let prepared = match card.kind {
        InputKind::Flow => preprocess.planes_of_flow().unwrap_or(channels),
        _ => card.channels(),
    };
    if channels == prepared {
        return Ok(());
    }
    let maybe_last = shape[1] == channels && shape.last() == Some(&prepared);
    Err(InputError::Channels { input: input(), channels, prepared, maybe_last })
}

/// Returns the transpose of a matrix with `rows` × `columns` elements.
fn transposed(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| data[r * columns + c])).collect()
}
