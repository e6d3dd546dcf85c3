//! One module a command.

pub mod again;
pub mod attribute;
pub mod bench;
pub mod check;
pub mod classify;
pub mod completions;
pub mod demo;
pub mod info;
pub mod layers;
pub mod render;
pub mod run;
pub mod sheet;
