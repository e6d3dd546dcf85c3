//! Constant values for inputs that are no pictures.

use std::collections::BTreeMap;

use oneiro_net::beginning::fixed_input;
use oneiro_net::tensor::DType;

use super::{InputError, Model};
use crate::card::{Card, InputKind};
use crate::error::Result;

/// A value for an input: one number for the whole input (no axes), or a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Fed {
    /// Extents of the tensor's axes; empty for one number.
    pub shape: Vec<usize>,
    /// The tensor's numbers, in row-major order.
    pub data: Vec<f32>,
}

impl Model {
    /// Replaces these inputs by constants, which repeat along the batch axis if there is one. Inputs that are
    /// single booleans or integers become constants, too, because they may decide what is computed. Their
    /// default is 0.
    ///
    /// # Errors
    /// If an input does not exist or is a picture, or its numbers do not fit it.
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

    /// Returns the card with everything needed to prepare the network again, including inputs that became
    /// constants.
    pub fn whole_card(&self) -> Card {
        let mut card = self.card.clone();
        card.input.extend(self.constant.iter().cloned());
        card
    }
}
