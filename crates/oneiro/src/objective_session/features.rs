//! The network's activations for the pictures with which objectives compare.

use std::sync::Arc;

use oneiro_net::plan::PlanInput;
use oneiro_net::{CpuSession, Session};

use crate::card::{InputCard, InputKind};
use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::model::Model;
use crate::objective::{Objective, Reference, Term};

/// Activations of pictures, for each target. They belong to a single batch entry.
pub(super) struct Features {
    known: Vec<(Reference, usize, Arc<[f32]>)>,
}

impl Features {
    /// Returns the activations at a target for a term's reference pictures, in the term's order.
    pub fn of(&self, term: &Term, target: usize) -> Vec<Arc<[f32]>> {
        let of = |r: &Reference| self.known.iter().find(|(known, t, _)| known == r && *t == target);
        term.references().into_iter().filter_map(|r| of(r).map(|(_, _, data)| data.clone())).collect()
    }
}

/// Runs every reference picture of the objectives through the network, and keeps the activations that terms
/// read.
pub(super) fn of_pictures(
    model: &Model,
    session: &mut CpuSession,
    objectives: &[Objective],
    read: &[Vec<Option<usize>>],
    batch: usize,
) -> Result<Features> {
    let mut known: Vec<(Reference, usize, Arc<[f32]>)> = Vec::new();
    let mut fed: Option<Reference> = None;
    for (objective, read) in objectives.iter().zip(read) {
        for (term, target) in objective.terms().into_iter().zip(read) {
            let Some(target) = *target else { continue };
            for picture in term.references() {
                if known.iter().any(|(k, t, _)| k == picture && *t == target) {
                    continue;
                }
                if fed.as_ref() != Some(picture) {
                    feed(model, session, picture, batch)?;
                    session.forward();
                    fed = Some(picture.clone());
                }
                let data = session.activation(target);
                let entry = Arc::from(&data[..data.len() / batch.max(1)]);
                known.push((picture.clone(), target, entry));
            }
        }
    }
    Ok(Features { known })
}

/// Feeds a picture to every batch entry of the network's only picture input, and zeros to the other inputs.
fn feed(model: &Model, session: &mut CpuSession, picture: &Reference, batch: usize) -> Result<()> {
    let fail = |why: String| Error::Reference { picture: picture.name.clone(), why };
    let planned = &session.plan().inputs;
    let takes_image =
        |(card, planned): (&InputCard, &PlanInput)| card.kind == InputKind::Image && planned.used;
    if model.reads_channels_last() && model.card.input.iter().zip(planned).any(takes_image) {
        return Err(fail("it cannot be given to a raw input with channels last".into()));
    }
    let images = PictureInput::used(model, planned)?;
    let [input] = &images[..] else {
        return Err(fail(format!(
            "the layer depends on {} picture inputs; an objective can compare with a picture where there is one",
            images.len()
        )));
    };
    input.check_picture(&picture.name, &picture.image)?;
    input.feed(session, batch, |_| picture.image.colors());
    Ok(())
}
