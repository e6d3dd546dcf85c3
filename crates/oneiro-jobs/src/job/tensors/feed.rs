//! Assigns tensors to a network's inputs, and runs the network on them.

use oneiro::Model;
use oneiro::objective_session::ObjectiveSession;
use oneiro_net::Rules;

use super::FeedError;
use crate::tensors::RawTensor;

/// Shapes and data of a network's inputs, in the graph's order.
pub(super) struct Fed {
    pub shapes: Vec<Vec<usize>>,
    pub data: Vec<Vec<f32>>,
}

impl Fed {
    /// Assigns tensors to inputs by name. Tensors of inputs that no node reads may be missing.
    pub fn new(model: &Model, mut given: Vec<RawTensor>) -> Result<Self, FeedError> {
        let inputs: Vec<&str> = model.card.input.iter().map(|i| i.name.as_str()).collect();
        let names: Vec<String> = given.iter().map(|t| t.name.clone()).collect();
        let mut fed = Self { shapes: Vec::new(), data: Vec::new() };
        for (i, &input) in inputs.iter().enumerate() {
            let at = given.iter().position(|t| t.name == input);
            let (shape, data) = match at.map(|at| given.swap_remove(at)) {
                Some(tensor) => (tensor.shape, tensor.data),
                None if !model.is_read(i) => {
                    let shape = model.graph.default_shape(i).unwrap_or_default();
                    let data = vec![0.0; shape.iter().product()];
                    (shape, data)
                }
                None => return Err(FeedError::Missing { input: input.to_owned(), given: names }),
            };
            fed.shapes.push(shape);
            fed.data.push(data);
        }
        if let Some(twice) = given.iter().find(|t| inputs.contains(&t.name.as_str())) {
            return Err(FeedError::Twice { input: twice.name.clone() });
        }
        match given.first() {
            Some(extra) => Err(FeedError::NoInput {
                name: extra.name.clone(),
                inputs: inputs.into_iter().map(str::to_owned).collect(),
            }),
            None => Ok(fed),
        }
    }
}

/// Runs a session on data and returns the mean of its objective over the batch. With rules for gradients,
/// also computes the gradient of this mean.
pub(super) fn value_and_gradient(
    session: &mut ObjectiveSession,
    data: &[Vec<f32>],
    gradient: Option<&Rules>,
) -> oneiro::Result<f64> {
    for (i, data) in data.iter().enumerate() {
        session.input_mut(i).copy_from_slice(data);
    }
    session.show_inputs()?;
    session.forward();
    let batch = session.batch();
    let value = session.mean_value();
    if let Some(rules) = gradient {
        for entry in 0..batch {
            session.seed(entry, 1.0 / batch as f64);
        }
        session.backward(rules);
    }
    Ok(value)
}
