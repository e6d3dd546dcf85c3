//! A network compiled for one tile.

use oneiro_net::{CpuSession, Rules, Session};

use super::goal::{DreamGoal, Guided};
use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::model::Model;
use crate::objective::Objective;
use crate::objective_session::ObjectiveSession;

/// A goal for which networks of any size can be compiled.
#[derive(Debug, Clone)]
pub(super) enum PreparedGoal {
    Objective(Objective),
    Guided(Guided),
}

impl PreparedGoal {
    /// Prepares a goal. Computes the features of its guide, if it has one.
    pub fn new(model: &Model, goal: &DreamGoal) -> Result<Self> {
        Ok(match goal {
            DreamGoal::Objective(objective) => Self::Objective(objective.clone()),
            DreamGoal::Guide(guide) => Self::Guided(Guided::new(model, guide)?),
        })
    }

    /// Checks by shape inference whether the network accepts pictures of a size.
    pub fn accepts(&self, model: &Model, size: [usize; 2]) -> Result<()> {
        match self {
            Self::Objective(objective) => {
                let shapes = model.input_shapes(1, Some(size))?;
                ObjectiveSession::accepts(model, std::slice::from_ref(objective), shapes)
            }
            Self::Guided(guided) => guided.accepts(model, size),
        }
    }
}

enum Run {
    Objective(Box<ObjectiveSession>),
    Guided(Guided, Box<CpuSession>),
}

/// A network compiled for tiles of one size.
pub(super) struct Network {
    pub size: [usize; 2],
    input: PictureInput,
    run: Run,
    /// The tile as the network sees it, RGB in 0–1. Below, the gradient with respect to it.
    pub seen: Vec<f32>,
    pub gradient: Vec<f32>,
}

impl Network {
    pub fn new(model: &Model, prepared: &PreparedGoal, size: [usize; 2]) -> Result<Self> {
        let shapes = model.input_shapes(1, Some(size))?;
        let input = PictureInput::of_photographs(model, &shapes)?;
        let run = match prepared {
            PreparedGoal::Objective(objective) => {
                objective.require_network_alone("a dream")?;
                let objectives = std::slice::from_ref(objective);
                Run::Objective(Box::new(ObjectiveSession::new(model, objectives, &[], shapes, true)?))
            }
            PreparedGoal::Guided(guided) => {
                Run::Guided(guided.clone(), Box::new(guided.session(model, size)?))
            }
        };
        let used = match &run {
            Run::Objective(objective) => objective.inputs()[input.index].used,
            Run::Guided(_, session) => session.plan().inputs[input.index].used,
        };
        if !used {
            return Err(Error::Settings(format!(
                "what is dreamt of does not depend on input \"{}\"",
                input.name
            )));
        }
        let n = input.extent.values();
        Ok(Self { size, input, run, seen: vec![0.0; n], gradient: vec![0.0; n] })
    }

    /// Bytes of memory for activations and gradients.
    pub fn arena_bytes(&self) -> usize {
        match &self.run {
            Run::Objective(objective) => objective.plan().arena_bytes(),
            Run::Guided(_, session) => session.plan().arena_bytes(),
        }
    }

    /// Removes from a picture what the network cannot see, such as colours.
    pub fn visible(&self, picture: &mut [f32]) {
        self.input.preprocess.visible(picture);
    }

    /// Computes the goal's value for the tile in [`Network::seen`], and its gradient if requested. If the
    /// network sees only brightness, the gradient changes brightness only.
    pub fn look(&mut self, gradient: bool) -> f64 {
        let Self { input, run, seen, .. } = self;
        let value = match run {
            Run::Objective(objective) => {
                input.feed(&mut **objective, 1, |_| seen);
                objective.forward();
                let value = objective.value(0);
                if gradient {
                    objective.seed(0, 1.0);
                    objective.backward(&Rules::default());
                }
                value
            }
            Run::Guided(guided, session) => {
                input.feed(&mut **session, 1, |_| seen);
                session.forward();
                let value = guided.value(session, gradient);
                if gradient {
                    session.backward(&Rules::default());
                }
                value
            }
        };
        if gradient {
            let out = &mut self.gradient;
            match run {
                Run::Objective(objective) => input.gradient(&**objective, [0, 1], seen, out),
                Run::Guided(_, session) => input.gradient(&**session, [0, 1], seen, out),
            }
            // Otherwise a network that sees no colours would tint the picture.
            input.preprocess.brightness_gradient(out);
        }
        value
    }
}
