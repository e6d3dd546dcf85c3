//! An error in a part of an expression, before the whole text is added to it.

use crate::objective::LookupError;

/// An error in a part of an expression.
#[derive(Debug)]
pub(super) struct Fault {
    pub why: String,
    pub name: Option<Box<LookupError>>,
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { why, name: None }
    }
}

impl From<&str> for Fault {
    fn from(why: &str) -> Self {
        why.to_owned().into()
    }
}
