//! A network with one objective, which computes values and gradients of display images. It is compiled for
//! each batch size that methods need.

use std::ops::Range;

use oneiro_net::{ReluRule, Rules};

use super::Baseline;
use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::input::{PictureInput, feed_all};
use crate::model::Model;
use crate::objective::Objective;
use crate::objective_session::ObjectiveSession;

/// A callback for progress: (passes done, passes needed). If it returns `false`, the work ends.
pub type Watch<'a> = dyn FnMut(usize, usize) -> bool + Send + 'a;

/// Number of images that go through the network together.
const BATCH: usize = 4;

/// The target of an attribution: an objective of a network, for images of one size, or for all inputs of
/// clips, flow and images on which the objective depends.
#[allow(missing_debug_implementations)]
pub struct AttributionTarget<'m> {
    pub(super) model: &'m Model,
    pub(super) objective: Objective,
    /// The inputs that take pictures. Their display values lie one behind the other.
    pub(super) inputs: Vec<PictureInput>,
    wanted: Option<[usize; 2]>,
    batch: usize,
    compiled: Vec<Compiled>,
}

struct Compiled {
    gradients: bool,
    batch: usize,
    session: ObjectiveSession,
}

impl<'m> AttributionTarget<'m> {
    /// Creates a target from a model and an objective, for images of the model's own size or another.
    ///
    /// # Errors
    /// If the model does not take single images, or the objective or the size does not fit it.
    pub fn new(model: &'m Model, objective: &Objective, size: Option<[usize; 2]>) -> Result<Self> {
        Self::of_image(model, objective, size)?.compiled()
    }

    /// Creates a target with all inputs of clips, flow and images on which the objective depends.
    ///
    /// # Errors
    /// If there is no such input, one of them takes bands, or the objective does not fit the model.
    pub fn of_clips(model: &'m Model, objective: &Objective) -> Result<Self> {
        Self::of_all(model, objective)?.compiled()
    }

    fn of_image(model: &'m Model, objective: &Objective, size: Option<[usize; 2]>) -> Result<Self> {
        let input = PictureInput::of_photographs(model, &model.input_shapes(1, size)?)?;
        Self::of_inputs(model, objective, size, vec![input])
    }

    fn of_all(model: &'m Model, objective: &Objective) -> Result<Self> {
        let shapes = model.input_shapes(1, None)?;
        let mut inputs = Vec::new();
        for index in model.inputs_of(objective)? {
            if model.card.input[index].kind != InputKind::Tensor {
                model.check_colors(index)?;
                inputs.push(PictureInput::new(model, index, &shapes)?);
            }
        }
        if inputs.is_empty() {
            return Err(Error::Settings(format!(
                "the objective {objective} depends on no input of pictures"
            )));
        }
        Self::of_inputs(model, objective, None, inputs)
    }

    /// Creates the target of an attribution for pictures of any kind, including bands.
    pub(crate) fn of_pictures(
        model: &'m Model,
        objective: &Objective,
        size: Option<[usize; 2]>,
    ) -> Result<Self> {
        let input = PictureInput::only(model, &model.input_shapes(1, size)?)?;
        Self::of_inputs(model, objective, size, vec![input])?.compiled()
    }

    fn of_inputs(
        model: &'m Model,
        objective: &Objective,
        size: Option<[usize; 2]>,
        inputs: Vec<PictureInput>,
    ) -> Result<Self> {
        objective.require_network_alone("an attribution")?;
        let read = model.values_of(objective)?;
        let apart = model.keeps_pictures_apart(&read, size);
        // Several clips at once would need much memory, and one fills the threads.
        let has_clips = inputs.iter().any(|input| input.kind == InputKind::Clip);
        let target = Self {
            model,
            objective: objective.clone(),
            inputs,
            wanted: size,
            batch: if apart && !has_clips { BATCH } else { 1 },
            compiled: Vec::new(),
        };
        Ok(target)
    }

    /// Compiles gradients, so that an objective that does not fit the model is found.
    fn compiled(mut self) -> Result<Self> {
        self.compile(true, 1)?;
        Ok(self)
    }

    /// Height and width of the images of the first input.
    pub fn size(&self) -> [usize; 2] {
        self.inputs[0].extent.size()
    }

    /// The inputs of clips, flow and images, in the network's order.
    pub fn inputs(&self) -> &[PictureInput] {
        &self.inputs
    }

    /// Each input, with the range of its display values.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&PictureInput, Range<usize>)> {
        parts(&self.inputs)
    }

    /// Number of display values of all inputs.
    fn len(&self) -> usize {
        self.inputs.iter().map(|input| input.extent.values()).sum()
    }

    /// Returns an error unless there is a value for each display value of all inputs.
    pub(super) fn check(&self, display: &[f32]) -> Result<()> {
        match &self.inputs[..] {
            [input] => input.check(display),
            _ if display.len() == self.len() => Ok(()),
            inputs => {
                let needed: Vec<String> = inputs.iter().map(|input| input.extent.to_string()).collect();
                let (what, values) = ("the inputs' values".to_owned(), display.len());
                Err(Error::Values { what, values, needed: needed.join(" and ") })
            }
        }
    }

    /// Writes the display values of all inputs into a session of batch size 1.
    pub(super) fn feed(&self, session: &mut ObjectiveSession, display: &[f32]) {
        let parts: Vec<Range<usize>> = self.parts().map(|(_, part)| part).collect();
        feed_all(&self.inputs, session, 1, |_, input| &display[parts[input].clone()]);
    }

    /// Returns the baseline of the display values of all inputs.
    pub(super) fn baseline(&self, baseline: Baseline, display: &[f32], seed: u64) -> Vec<f32> {
        let mut out = vec![0.0; display.len()];
        let mut stream = Baseline::stream(seed);
        for (input, part) in self.parts() {
            baseline.write(input, &display[part.clone()], &mut stream, &mut out[part]);
        }
        out
    }

    /// The objective whose value is attributed.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Computes the objective on the display values of all inputs.
    pub fn value(&mut self, display: &[f32]) -> Result<f64> {
        self.check(display)?;
        Ok(self.values(1, |_, out| out.copy_from_slice(display), |_| true)?[0])
    }

    /// Shapes of all network inputs for a batch of this size.
    pub(super) fn shapes(&self, batch: usize) -> Result<Vec<Vec<usize>>> {
        self.model.input_shapes(batch, self.wanted)
    }

    /// Computes the objective on `count` images. `write` writes the image of each index.
    pub(super) fn values(
        &mut self,
        count: usize,
        mut write: impl FnMut(usize, &mut [f32]) + Send,
        mut watch: impl FnMut(usize) -> bool + Send,
    ) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(count);
        self.run(count, None, &mut write, &mut |_, value, _| values.push(value), &mut watch)?;
        Ok(values)
    }

    /// Computes the objective and its gradient with respect to the display image, for `count` images. `write`
    /// writes the image of each index; `read` gets the results in order.
    pub(super) fn gradients(
        &mut self,
        count: usize,
        rule: ReluRule,
        mut write: impl FnMut(usize, &mut [f32]) + Send,
        mut read: impl FnMut(usize, f64, &[f32]) + Send,
        mut watch: impl FnMut(usize) -> bool + Send,
    ) -> Result<()> {
        self.run(count, Some(rule), &mut write, &mut read, &mut watch)
    }

    fn run(
        &mut self,
        count: usize,
        rule: Option<ReluRule>,
        write: &mut (dyn FnMut(usize, &mut [f32]) + Send),
        read: &mut (dyn FnMut(usize, f64, &[f32]) + Send),
        watch: &mut (dyn FnMut(usize) -> bool + Send),
    ) -> Result<()> {
        self.model.threads().run(|| self.run_here(count, rule, write, read, watch))
    }

    fn run_here(
        &mut self,
        count: usize,
        rule: Option<ReluRule>,
        write: &mut dyn FnMut(usize, &mut [f32]),
        read: &mut dyn FnMut(usize, f64, &[f32]),
        watch: &mut dyn FnMut(usize) -> bool,
    ) -> Result<()> {
        let at = self.compile(rule.is_some(), if count == 1 { 1 } else { self.batch })?;
        let len = self.len();
        let Self { compiled, inputs, objective, .. } = self;
        let Compiled { session, batch, .. } = &mut compiled[at];
        let parts: Vec<Range<usize>> = parts(inputs).map(|(_, part)| part).collect();
        let (mut images, mut gradient) = (vec![0.0; *batch * len], vec![0.0; len]);
        for start in (0..count).step_by(*batch) {
            let filled = (*batch).min(count - start);
            for (e, image) in images.chunks_exact_mut(len).take(filled).enumerate() {
                write(start + e, image);
            }
            // Unused entries of the batch keep earlier images, which is harmless, because entries are
            // independent.
            feed_all(inputs, session, *batch, |e, input| &images[e * len..][..len][parts[input].clone()]);
            session.forward();
            let values: Vec<f64> = (0..filled).map(|e| session.value(e)).collect();
            if let Some(value) = values.iter().find(|v| !v.is_finite()) {
                let what =
                    format!("the objective {objective} is {value} on this image, which is no finite number");
                return Err(Error::NotFiniteHere { what });
            }
            if let Some(rule) = rule {
                (0..filled).for_each(|e| session.seed(e, 1.0));
                session.backward(&Rules { relu: rule });
            }
            for (e, &value) in values.iter().enumerate() {
                if rule.is_some() {
                    for (input, part) in inputs.iter().zip(&parts) {
                        let picture = &images[e * len..][..len][part.clone()];
                        input.gradient(session, [e, *batch], picture, &mut gradient[part.clone()]);
                    }
                }
                read(start + e, value, &gradient);
            }
            if !watch(start + filled) {
                return Err(Error::Stopped);
            }
        }
        Ok(())
    }

    /// Returns the index of a session for a batch size, which is compiled on first use. A network that does
    /// not accept the batch gets images one at a time.
    fn compile(&mut self, gradients: bool, batch: usize) -> Result<usize> {
        let known =
            |s: &Self, batch| s.compiled.iter().position(|c| c.gradients == gradients && c.batch == batch);
        if let Some(at) = known(self, batch) {
            return Ok(at);
        }
        let objective = std::slice::from_ref(&self.objective);
        let session =
            self.shapes(batch).and_then(|s| ObjectiveSession::new(self.model, objective, &[], s, gradients));
        match session {
            Ok(session) => {
                self.compiled.push(Compiled { gradients, batch, session });
                Ok(self.compiled.len() - 1)
            }
            Err(_) if batch > 1 => {
                self.batch = 1;
                self.compile(gradients, 1)
            }
            Err(error) => Err(error),
        }
    }
}

/// Each input, with the range of its display values.
fn parts(inputs: &[PictureInput]) -> impl Iterator<Item = (&PictureInput, Range<usize>)> {
    inputs.iter().scan(0, |start, input| {
        let part = *start..*start + input.extent.values();
        *start = part.end;
        Some((input, part))
    })
}

/// Returns the class with the largest logit on an image, the first of equal ones. `size` is that of
/// [`AttributionTarget::new`].
pub fn top_class(model: &Model, image: &[f32], size: Option<[usize; 2]>) -> Result<usize> {
    largest_logit(&AttributionTarget::of_image(model, &Objective::logit(0), size)?, image)
}

/// Returns the class with the largest logit on the display values of all inputs of
/// [`AttributionTarget::of_clips`], the first of equal ones.
pub fn top_class_of_clips(model: &Model, display: &[f32]) -> Result<usize> {
    largest_logit(&AttributionTarget::of_all(model, &Objective::logit(0))?, display)
}

fn largest_logit(target: &AttributionTarget<'_>, display: &[f32]) -> Result<usize> {
    let model = target.model;
    let logits = model.logits()?;
    target.check(display)?;
    let objective = std::slice::from_ref(&target.objective);
    let mut session = ObjectiveSession::new(model, objective, &[logits], target.shapes(1)?, false)?;
    model.threads().run(|| target.feed(&mut session, display));
    session.forward();
    let logits = session.captured(0).1;
    if logits.iter().any(|x| !x.is_finite()) {
        return Err(Error::NotFiniteHere { what: "the network's output is not finite".into() });
    }
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    Ok((0..logits.len()).fold(0, better))
}
