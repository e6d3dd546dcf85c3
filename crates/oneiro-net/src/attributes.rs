//! A node's attributes, read with defaults and type checks.

use crate::error::OpError;
use crate::tensor::Tensor;

/// The value of a node's attribute in a model file.
#[derive(Debug, Clone)]
pub enum Attribute {
    /// An attribute with one float.
    Float(f32),
    /// An attribute with one integer.
    Int(i64),
    /// An attribute with a text.
    Text(String),
    /// An attribute with a tensor.
    Tensor(Tensor),
    /// An attribute with a list of floats.
    Floats(Vec<f32>),
    /// An attribute with a list of integers.
    Ints(Vec<i64>),
    /// A type that no supported operator reads (a graph, a type, strings).
    Other(&'static str),
}

/// The attributes of one node, with the operator-set version that determines their meaning.
#[derive(Debug, Clone, Default)]
pub struct Attributes<'a> {
    entries: Vec<(&'a str, Attribute)>,
    /// The operator-set version that the model imports.
    pub opset: i64,
    /// The number of outputs that the node lists; 0 if not known.
    pub outputs: usize,
    /// The number of outputs that have a name. Only named outputs are requested.
    pub named: usize,
}

impl<'a> Attributes<'a> {
    /// Creates a node's attributes from names and values.
    pub fn new(opset: i64, entries: Vec<(&'a str, Attribute)>) -> Self {
        Self { entries, opset, outputs: 0, named: 0 }
    }

    fn get(&self, name: &str) -> Option<&Attribute> {
        self.entries.iter().find(|(n, _)| *n == name).map(|(_, a)| a)
    }

    fn wrong(name: &str, wanted: &str) -> OpError {
        OpError::Refused(format!("attribute \"{name}\" should be {wanted}"))
    }

    /// Whether the node has an attribute of this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns an integer attribute.
    pub fn int(&self, name: &str) -> Result<Option<i64>, OpError> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Int(i)) => Ok(Some(*i)),
            Some(_) => Err(Self::wrong(name, "an integer")),
        }
    }

    /// Returns an integer attribute or its default.
    pub fn int_or(&self, name: &str, default: i64) -> Result<i64, OpError> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// Returns a float attribute or its default.
    pub fn float_or(&self, name: &str, default: f32) -> Result<f32, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Float(f)) => Ok(*f),
            Some(_) => Err(Self::wrong(name, "a number")),
        }
    }

    /// Returns a text attribute or its default.
    pub fn text_or<'s>(&'s self, name: &str, default: &'s str) -> Result<&'s str, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Text(t)) => Ok(t),
            Some(_) => Err(Self::wrong(name, "a text")),
        }
    }

    /// Returns a list of integers.
    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, OpError> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v)),
            Some(_) => Err(Self::wrong(name, "a list of integers")),
        }
    }

    /// Returns a list of floats.
    pub fn floats(&self, name: &str) -> Result<Option<&[f32]>, OpError> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(v)) => Ok(Some(v)),
            Some(_) => Err(Self::wrong(name, "a list of numbers")),
        }
    }

    /// Returns a list of non-negative integers.
    pub fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>, OpError> {
        self.ints(name)?
            .map(|v| {
                v.iter()
                    .map(|&i| usize::try_from(i).map_err(|_| Self::wrong(name, "a list of sizes")))
                    .collect()
            })
            .transpose()
    }

    /// Returns a tensor attribute.
    pub fn tensor(&self, name: &str) -> Result<Option<&Tensor>, OpError> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(t)) => Ok(Some(t)),
            Some(_) => Err(Self::wrong(name, "a tensor")),
        }
    }
}
