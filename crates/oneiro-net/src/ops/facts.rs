//! Facts: types, shapes and constants of a node's inputs and outputs, for given shapes of the network's
//! inputs.

use crate::error::OpError;
use crate::tensor::{DType, Tensor, volume};

/// Type, shape and, if constant, content of a value, for given shapes of the network's inputs.
#[derive(Debug, Clone)]
pub struct Fact {
    /// Element type of the value.
    pub dtype: DType,
    /// Extent of every axis of the value.
    pub shape: Vec<usize>,
    /// The content, if it does not depend on any input's data.
    pub value: Option<Tensor>,
}

impl Fact {
    /// A float value that depends on the inputs.
    pub fn float(shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype: DType::Float, shape: shape.into(), value: None }
    }

    /// The fact about a constant, which includes its content.
    pub fn constant(value: Tensor) -> Self {
        Self { dtype: value.dtype(), shape: value.shape().to_vec(), value: Some(value) }
    }

    /// Number of elements of the value.
    pub fn len(&self) -> usize {
        volume(&self.shape)
    }

    /// Whether the value has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A node's inputs as facts, with methods for shape rules.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a>(pub &'a [Option<&'a Fact>]);

impl<'a> Facts<'a> {
    /// Returns the fact about input `i`, if the node has that input.
    pub fn get(&self, i: usize) -> Option<&'a Fact> {
        self.0.get(i).copied().flatten()
    }

    /// Returns input `i`; an error if it is omitted.
    pub fn need(&self, i: usize) -> Result<&'a Fact, OpError> {
        self.get(i).ok_or_else(|| OpError::Refused(format!("input {i} is missing")))
    }

    /// Returns the shape of input `i`; an error if it is omitted.
    pub fn shape(&self, i: usize) -> Result<&'a [usize], OpError> {
        Ok(&self.need(i)?.shape)
    }

    /// Returns the constant at input `i`, if it is given. An input that depends on the data is an error.
    pub fn constant(&self, i: usize) -> Result<Option<&'a Tensor>, OpError> {
        match self.get(i) {
            None => Ok(None),
            Some(Fact { value: Some(t), .. }) => Ok(Some(t)),
            Some(_) => {
                Err(OpError::Data(format!("input {i} depends on the data; only a constant is supported")))
            }
        }
    }

    /// Returns the constant at input `i`; an error if it is omitted or depends on the data.
    pub fn need_constant(&self, i: usize) -> Result<&'a Tensor, OpError> {
        self.constant(i)?.ok_or_else(|| OpError::Refused(format!("input {i} is missing")))
    }

    /// The constant integers at input `i`, if it is given.
    pub fn ints(&self, i: usize) -> Result<Option<&'a [i64]>, OpError> {
        self.constant(i)?.map(Tensor::as_ints).transpose()
    }

    /// A constant with a single float at input `i`, if it is given.
    pub fn scalar(&self, i: usize) -> Result<Option<f32>, OpError> {
        match self.constant(i)? {
            None => Ok(None),
            Some(t) if t.len() == 1 => Ok(Some(t.as_floats()?[0])),
            Some(t) => {
                Err(OpError::Refused(format!("input {i} should be one number, its shape is {:?}", t.shape())))
            }
        }
    }
}
