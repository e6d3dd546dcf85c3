//! A network that computes the logits of its classes.

use oneiro::input::{PictureInput, feed_all};
use oneiro::model::{Target, View};
use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;

use super::LoadedModel;
use crate::context::Context;
use crate::error::Result;

/// A network that is compiled to compute logits, with the inputs that are shown something.
pub(crate) struct LogitNetwork<'a> {
    context: &'a Context,
    session: ObjectiveSession,
    inputs: Vec<PictureInput>,
    batch: usize,
    classes: usize,
}

impl<'a> LogitNetwork<'a> {
    /// Compiles a network for a batch of this size. Networks of images have one input, that of photographs;
    /// networks of clips have all that their logits depend on.
    ///
    /// # Errors
    /// If the network names no classes, or takes neither photographs nor clips.
    pub(crate) fn new(context: &'a Context, model: &LoadedModel, batch: usize) -> Result<Self> {
        let shapes = model.model.input_shapes(batch, None)?;
        let photographs = match model.takes_clips() {
            true => None,
            false => Some(PictureInput::of_photographs(&model.model, &shapes)?),
        };
        let network = Self::compile(context, model, batch, shapes)?;
        Ok(match photographs {
            Some(input) => Self { inputs: vec![input], ..network },
            None => network,
        })
    }

    /// Compiles a network for one picture of this size, or the network's own, in each of its inputs.
    ///
    /// # Errors
    /// If the network names no classes, or does not accept the size.
    pub(crate) fn of_size(
        context: &'a Context,
        model: &LoadedModel,
        size: Option<[usize; 2]>,
    ) -> Result<Self> {
        Self::compile(context, model, 1, model.model.input_shapes(1, size)?)
    }

    fn compile(
        context: &'a Context,
        model: &LoadedModel,
        batch: usize,
        shapes: Vec<Vec<usize>>,
    ) -> Result<Self> {
        let logits = model.model.logits()?;
        // A session needs objectives to compile; these are never used. Only the logits are read.
        let objectives = vec![Objective::logit(0); batch];
        let session =
            context.compute(|| ObjectiveSession::new(&model.model, &objectives, &[logits], shapes, false))?;
        let target = Target { value: logits, view: View::Classes };
        let classes = session.shape_of(target).map_or(0, |shape| shape.iter().product());
        let inputs = PictureInput::used(&model.model, session.inputs())?;
        Ok(Self { context, session, inputs, batch, classes })
    }

    /// The inputs that are shown something.
    pub(crate) fn inputs(&self) -> &[PictureInput] {
        &self.inputs
    }

    /// Size of the batch.
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// Computes the logits of a batch, entry by entry. `shown` returns the display values of an entry for an
    /// input, both by index.
    pub(crate) fn run<'s>(&mut self, shown: impl Fn(usize, usize) -> &'s [f32] + Sync + Send) -> &[f32] {
        let (session, inputs, batch) = (&mut self.session, &self.inputs, self.batch);
        self.context.compute(|| {
            feed_all(inputs, session, batch, shown);
            session.forward();
        });
        self.session.captured(0).1
    }
}
