//! Identities of pictures, which choose their random numbers: an objective has its noise under any name and
//! in any batch.

use std::path::Path;

use crate::error::Result;
use crate::model::Model;
use crate::objective::{Objective, Reads};

/// 64-bit FNV-1a of a text: the identity of a random stream.
pub(super) fn stream_id(text: &str, purpose: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    text.bytes().chain([0]).chain(purpose.bytes()).fold(OFFSET, |h, b| (h ^ u64::from(b)).wrapping_mul(PRIME))
}

/// The text of an objective that seeds its random stream, with the first name of each layer and files without
/// their folders. So equal pictures have equal seeds.
pub(super) fn identities(model: &Model, objectives: &[Objective]) -> Result<Vec<String>> {
    let names = model.names();
    let identity = |objective: &Objective| {
        let mut objective = objective.clone();
        for term in objective.terms_mut() {
            if matches!(term.reads(), Reads::Layer | Reads::Batch)
                && let Some(name) = names.of(model.value_of(term)?).into_iter().next()
            {
                term.layer = name;
            }
            term.for_each_file(|name| {
                let file = Path::new(name.as_str()).file_name().map(|f| f.to_string_lossy().into_owned());
                *name = file.unwrap_or_else(|| std::mem::take(name));
            });
        }
        Ok(objective.to_string())
    };
    objectives.iter().map(identity).collect()
}

/// The text that seeds an entry's random streams: the objective's, with a number if it is not the first of
/// its kind.
pub(super) fn numbered(identities: &[String], entry: usize, copies: &[usize]) -> String {
    let text = identities[entry].clone();
    let before = || identities[..entry].iter().filter(|o| **o == text).count();
    match copies.get(entry).copied().unwrap_or_else(before) {
        0 => text,
        n => format!("{text} #{n}"),
    }
}
