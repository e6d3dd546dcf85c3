//! A network that looks at one tile.

use oneiro_net::{CpuSession, Rules, Session};

use super::goal::{DreamGoal, Guided};
use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::objective::Objective;
use crate::objective_session::ObjectiveSession;
use crate::preprocess::Preprocess;

/// A goal that networks of any size can be compiled for.
#[derive(Debug, Clone)]
pub(super) enum PreparedGoal {
    Objective(Objective),
    Guided(Guided),
}

impl PreparedGoal {
    /// Looks at the guide, if there is one. A network that takes no free size sees it at its own.
    pub fn new(model: &Model, goal: &DreamGoal, input: usize) -> Result<Self> {
        Ok(match goal {
            DreamGoal::Objective(objective) => Self::Objective(objective.clone()),
            DreamGoal::Guide(guide) => Self::Guided(match Guided::new(model, guide, input, None) {
                Err(Error::Network(error)) => {
                    let own = own_size(model, input)?;
                    Guided::new(model, guide, input, Some(own)).map_err(|_| error)?
                }
                guided => guided?,
            }),
        })
    }
}

/// Height and width of an input as the card or the file says.
pub(super) fn own_size(model: &Model, input: usize) -> Result<[usize; 2]> {
    let shapes = model.input_shapes(1, None)?;
    model.check_picture(input, &shapes[input])?;
    Ok([shapes[input][2], shapes[input][3]])
}

/// The one input that takes pictures.
pub(super) fn picture_input(model: &Model) -> Result<usize> {
    let inputs = model.card.input.iter().enumerate();
    let pictures: Vec<_> = inputs.filter(|(_, card)| card.kind != InputKind::Tensor).collect();
    match pictures[..] {
        [(at, card)] if card.kind == InputKind::Image => model.check_colors(at).map(|()| at),
        [(_, card)] => Err(Error::Settings(format!(
            "dreams are made of single images, but input \"{}\" of this network takes {}",
            card.name,
            if card.kind == InputKind::Clip { "clips" } else { "optical flow" }
        ))),
        _ => Err(Error::Settings(format!(
            "dreams are made of one image, but {} inputs of this network take pictures",
            pictures.len()
        ))),
    }
}

enum Run {
    Objective(Box<ObjectiveSession>),
    Guided(Guided, Box<CpuSession>),
}

/// A network compiled for tiles of one size.
pub(super) struct Network {
    pub size: [usize; 2],
    input: usize,
    preprocess: Preprocess,
    run: Run,
    /// The tile as seen, RGB in 0–1, and the gradient with respect to it.
    pub seen: Vec<f32>,
    pub gradient: Vec<f32>,
}

impl Network {
    pub fn new(model: &Model, prepared: &PreparedGoal, input: usize, size: [usize; 2]) -> Result<Self> {
        let shapes = model.input_shapes(1, Some(size))?;
        model.check_picture(input, &shapes[input])?;
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
            Run::Objective(probe) => probe.inputs()[input].used,
            Run::Guided(_, session) => session.plan().inputs[input].used,
        };
        if !used {
            return Err(Error::Settings(format!(
                "what is dreamt of does not depend on input \"{}\"",
                model.card.input[input].name
            )));
        }
        let n = 3 * size[0] * size[1];
        let preprocess = Preprocess::from_card(&model.card.input[input]);
        Ok(Self { size, input, preprocess, run, seen: vec![0.0; n], gradient: vec![0.0; n] })
    }

    /// Bytes of activations and gradients.
    pub fn arena_bytes(&self) -> usize {
        match &self.run {
            Run::Objective(probe) => probe.plan().arena_bytes(),
            Run::Guided(_, session) => session.plan().arena_bytes(),
        }
    }

    /// The goal's value for the tile in [`Network::seen`], whose gradient is computed if wanted.
    pub fn look(&mut self, gradient: bool) -> f64 {
        let Self { input, preprocess, run, seen, .. } = self;
        let feed = |i: usize, data: &mut [f32]| match i == *input {
            true => preprocess.apply(seen, data),
            false => data.fill(0.0),
        };
        let value = match run {
            Run::Objective(probe) => {
                (0..probe.inputs().len()).for_each(|i| feed(i, probe.input_mut(i)));
                probe.forward();
                let value = probe.value(0);
                if gradient {
                    probe.seed(0, 1.0);
                    probe.backward(&Rules::default());
                }
                value
            }
            Run::Guided(guided, session) => {
                (0..session.plan().inputs.len()).for_each(|i| feed(i, session.input_mut(i)));
                session.forward();
                let value = guided.value(session, gradient);
                if gradient {
                    session.backward(&Rules::default());
                }
                value
            }
        };
        if gradient {
            let of_input = match run {
                Run::Objective(probe) => probe.input_gradient(*input),
                Run::Guided(_, session) => session.input_gradient(*input),
            };
            self.preprocess.adjoint(&self.seen, of_input, &mut self.gradient);
        }
        value
    }
}
