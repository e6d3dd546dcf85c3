//! A node's attributes, read with defaults and type errors.

use crate::error::OpError;
use crate::tensor::Tensor;

/// The value of an attribute.
#[derive(Debug, Clone)]
pub enum Attribute {
    /// A number.
    Float(f32),
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
    /// A tensor.
    Tensor(Tensor),
    /// Numbers.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
    /// Something that no supported operator reads (a graph, a type, strings).
    Other(&'static str),
}

/// The attributes of one node, with the operator-set version that decides their meaning.
#[derive(Debug, Clone, Default)]
pub struct Attributes<'a> {
    entries: Vec<(&'a str, Attribute)>,
    /// Version of the operator set that the model imports.
    pub opset: i64,
    /// Number of results that the node lists; 0 if not known.
    pub outputs: usize,
    /// Number of those that it gives a name, which asks for them.
    pub named: usize,
}

impl<'a> Attributes<'a> {
    /// From names and values.
    pub fn new(opset: i64, entries: Vec<(&'a str, Attribute)>) -> Self {
        Self { entries, opset, outputs: 0, named: 0 }
    }

    fn get(&self, name: &str) -> Option<&Attribute> {
        self.entries.iter().find(|(n, _)| *n == name).map(|(_, a)| a)
    }

    fn wrong(name: &str, wanted: &str) -> OpError {
        OpError::Refused(format!("attribute \"{name}\" should be {wanted}"))
    }

    /// Whether the attribute is given.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Result<Option<i64>, OpError> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Int(i)) => Ok(Some(*i)),
            Some(_) => Err(Self::wrong(name, "an integer")),
        }
    }

    /// An integer, with a default.
    pub fn int_or(&self, name: &str, default: i64) -> Result<i64, OpError> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// A number, with a default.
    pub fn float_or(&self, name: &str, default: f32) -> Result<f32, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Float(f)) => Ok(*f),
            Some(_) => Err(Self::wrong(name, "a number")),
        }
    }

    /// A text, with a default.
    pub fn text_or<'s>(&'s self, name: &str, default: &'s str) -> Result<&'s str, OpError> {
        match self.get(name) {
            None => Ok(default),
            Some(Attribute::Text(t)) => Ok(t),
            Some(_) => Err(Self::wrong(name, "a text")),
        }
    }

    /// Integers.
    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, OpError> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v)),
            Some(_) => Err(Self::wrong(name, "a list of integers")),
        }
    }

    /// Numbers.
    pub fn floats(&self, name: &str) -> Result<Option<&[f32]>, OpError> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(v)) => Ok(Some(v)),
            Some(_) => Err(Self::wrong(name, "a list of numbers")),
        }
    }

    /// Non-negative integers.
    pub fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>, OpError> {
        self.ints(name)?
            .map(|v| {
                v.iter()
                    .map(|&i| usize::try_from(i).map_err(|_| Self::wrong(name, "a list of sizes")))
                    .collect()
            })
            .transpose()
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Result<Option<&Tensor>, OpError> {
        match self.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(t)) => Ok(Some(t)),
            Some(_) => Err(Self::wrong(name, "a tensor")),
        }
    }
}
