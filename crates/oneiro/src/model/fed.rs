//! Values of inputs that are no pictures, and the beginning of the network.

use std::collections::BTreeMap;

use oneiro_net::beginning::fixed_input;
use oneiro_net::tensor::DType;

use super::{InputError, Model};
use crate::card::{Card, InputKind};
use crate::error::Result;

/// Numbers for an input: one for all of it (no axes), or a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Fed {
    /// Extents; empty for one number.
    pub shape: Vec<usize>,
    /// The numbers, in C order.
    pub data: Vec<f32>,
}

impl Model {
    /// The network with these inputs fed for good: each becomes a constant, repeated for the batch where it
    /// has one, and is no input any more. So are single truth values and integers that a node reads, which
    /// may decide what runs: 0 if nothing is said of them.
    ///
    /// # Errors
    /// If there is no such input, it is a picture, or the numbers do not fit it.
    pub fn fed(mut self, values: &BTreeMap<String, Fed>) -> Result<Self> {
        let zero = Fed { shape: vec![], data: vec![0.0] };
        if let Some(name) = values.keys().find(|name| self.card.input(name).is_none()) {
            let names = self.card.input.iter().map(|i| i.name.clone()).collect();
            return Err(InputError::NoSuchInput { input: name.clone(), known: names }.into());
        }
        let mut at = 0;
        while at < self.graph.inputs.len() {
            let card = &self.card.input[at];
            let dims = self.graph.inputs[at].dims.as_deref();
            let is_flag = card.kind == InputKind::Tensor
                && self.graph.inputs[at].dtype != DType::Float
                && dims.is_some_and(<[_]>::is_empty)
                && self.is_read(at);
            let value = match values.get(&card.name) {
                Some(value) => value,
                None if is_flag && self.graph.inputs.len() > 1 => &zero,
                None => {
                    at += 1;
                    continue;
                }
            };
            if card.kind != InputKind::Tensor {
                return Err(InputError::IsPicture { input: card.name.clone() }.into());
            }
            let picture = self.card.input.iter().position(|i| i.kind != InputKind::Tensor);
            let picture =
                picture.or_else(|| (0..self.graph.inputs.len()).find(|&i| i != at && self.is_read(i)));
            if self.graph.inputs.len() == 1 {
                return Err(InputError::OnlyInput { input: card.name.clone() }.into());
            }
            fixed_input(&mut self.graph, at, &value.shape, &value.data, picture)?;
            let card = self.card.input.remove(at);
            self.constant.push(card);
        }
        Ok(self)
    }

    /// The card with all that it takes to prepare the network again: also the inputs that are fed for good.
    pub fn whole_card(&self) -> Card {
        let mut card = self.card.clone();
        card.input.extend(self.constant.iter().cloned());
        card
    }
}
