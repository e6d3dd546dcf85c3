//! A network with one objective, which computes values and gradients of display images. It is compiled for
//! each batch size that methods need.

use oneiro_net::{ReluRule, Rules};

use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::model::Model;
use crate::objective::Objective;
use crate::objective_session::ObjectiveSession;

/// A callback for progress: (passes done, passes needed). If it returns `false`, the work ends.
pub type Watch<'a> = dyn FnMut(usize, usize) -> bool + Send + 'a;

/// Number of images that go through the network together.
const BATCH: usize = 4;

/// The target of an attribution: an objective of a network, for images of one size.
#[allow(missing_debug_implementations)]
pub struct AttributionTarget<'m> {
    pub(super) model: &'m Model,
    pub(super) objective: Objective,
    /// The network's input that takes the image.
    pub(super) input: PictureInput,
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
        let input = PictureInput::of_photographs(model, &model.input_shapes(1, size)?)?;
        Self::of_input(model, objective, size, input)
    }

    /// Creates the target of an attribution for pictures of any kind, including bands.
    pub(crate) fn of_pictures(
        model: &'m Model,
        objective: &Objective,
        size: Option<[usize; 2]>,
    ) -> Result<Self> {
        let input = PictureInput::only(model, &model.input_shapes(1, size)?)?;
        Self::of_input(model, objective, size, input)
    }

    fn of_input(
        model: &'m Model,
        objective: &Objective,
        size: Option<[usize; 2]>,
        input: PictureInput,
    ) -> Result<Self> {
        objective.require_network_alone("an attribution")?;
        let read = model.values_of(objective)?;
        let apart = model.keeps_pictures_apart(&read, size);
        let mut target = Self {
            model,
            objective: objective.clone(),
            input,
            wanted: size,
            batch: if apart { BATCH } else { 1 },
            compiled: Vec::new(),
        };
        target.compile(true, 1)?;
        Ok(target)
    }

    /// Height and width of the images.
    pub fn size(&self) -> [usize; 2] {
        self.input.extent.size()
    }

    /// The objective whose value is attributed.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Computes the objective's value for an image.
    pub fn value(&mut self, image: &[f32]) -> Result<f64> {
        self.input.check(image)?;
        Ok(self.values(1, |_, out| out.copy_from_slice(image), |_| true)?[0])
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
        let Self { compiled, input, objective, .. } = self;
        let Compiled { session, batch, .. } = &mut compiled[at];
        let len = input.extent.values();
        let (mut images, mut gradient) = (vec![0.0; *batch * len], vec![0.0; len]);
        for start in (0..count).step_by(*batch) {
            let filled = (*batch).min(count - start);
            for (e, image) in images.chunks_exact_mut(len).take(filled).enumerate() {
                write(start + e, image);
            }
            // Unused entries of the batch keep earlier images, which is harmless, because entries are
            // independent.
            input.feed(session, *batch, |e| &images[e * len..][..len]);
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
                    input.gradient(session, [e, *batch], &images[e * len..][..len], &mut gradient);
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

/// Returns the class with the largest logit on an image, the first of equal ones. `size` is that of
/// [`AttributionTarget::new`].
pub fn top_class(model: &Model, image: &[f32], size: Option<[usize; 2]>) -> Result<usize> {
    let logits = model.logits()?;
    let shapes = model.input_shapes(1, size)?;
    let input = PictureInput::of_photographs(model, &shapes)?;
    input.check(image)?;
    let mut session = ObjectiveSession::new(model, &[Objective::logit(0)], &[logits], shapes, false)?;
    model.threads().run(|| input.feed(&mut session, 1, |_| image));
    session.forward();
    let logits = session.captured(0).1;
    if logits.iter().any(|x| !x.is_finite()) {
        return Err(Error::NotFiniteHere { what: "the network's output is not finite".into() });
    }
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    Ok((0..logits.len()).fold(0, better))
}
