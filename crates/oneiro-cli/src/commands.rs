//! One module a command.

pub mod bench;
pub mod check;
pub mod classify;
pub mod demo;
pub mod layers;
pub mod render;
pub mod run;
pub mod sheet;
