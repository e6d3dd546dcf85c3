//! Identities of pictures, which determine their random numbers. An objective gets the same noise under any
//! layer name and in any batch.

use std::path::Path;

use crate::error::Result;
use crate::model::Model;
use crate::objective::{Objective, Reads};

/// The 64-bit FNV-1a hash of a text and a purpose: the number of a random stream.
pub(super) fn stream_id(text: &str, purpose: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    text.bytes().chain([0]).chain(purpose.bytes()).fold(OFFSET, |h, b| (h ^ u64::from(b)).wrapping_mul(PRIME))
}

/// Returns the text that determines the random stream of an objective: with the first name of each layer, and
/// with files without their folders. So equal pictures have equal random numbers.
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

/// Returns the text that determines an entry's random streams: the objective's, with a number if it is not
/// the first equal objective.
pub(super) fn numbered(identities: &[String], entry: usize, copies: &[usize]) -> String {
    let text = identities[entry].clone();
    let before = || identities[..entry].iter().filter(|o| **o == text).count();
    match copies.get(entry).copied().unwrap_or_else(before) {
        0 => text,
        n => format!("{text} #{n}"),
    }
}
