//! Fuzz target: texts that users write (units, objectives, transforms, model cards) give a value or an error,
//! never a panic.

use oneiro::card::Card;
use oneiro::objective::{Objective, Unit};
use oneiro::transform::Chain;

/// Parses a text in each of the library's languages.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(unit) = text.parse::<Unit>() {
        _ = unit.to_string().parse::<Unit>().expect("what is written can be read");
    }
    if let Ok(objective) = text.parse::<Objective>() {
        let written = objective.to_string();
        _ = written.parse::<Objective>().expect("what is written can be read");
        let ones = vec![1.0; objective.terms().len()];
        _ = objective.value(&mut ones.iter().copied());
        objective.derivatives(&ones, 1.0, &mut Vec::new());
    }
    if let Ok(chain) = text.parse::<Chain>() {
        _ = chain.to_string().parse::<Chain>().expect("what is written can be read");
    }
    if let Ok(card) = Card::parse(text) {
        let written = card.to_toml().expect("a card that was read can be written");
        _ = Card::parse(&written).expect("what is written can be read");
    }
    let metadata = text.split('\n').filter_map(|line| line.split_once('='));
    let metadata = metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    _ = oneiro::card::metadata::read(&metadata, &["x".to_owned()]);
}
