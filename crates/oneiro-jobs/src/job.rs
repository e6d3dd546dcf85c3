//! What a person can ask for, one module a kind.

pub mod attribution;
pub mod dream;
pub mod grid;
pub mod render;
pub mod sheet;
