//! The commands of the program, one module for each.

pub mod accentuate;
pub mod again;
pub mod attribute;
pub mod bench;
pub mod caricature;
pub mod check;
pub mod classify;
pub mod compare;
pub mod completions;
pub mod demo;
pub mod dream;
pub mod flow;
pub mod grid;
pub mod health;
pub mod info;
pub mod interpolate;
pub mod invert;
pub mod layers;
pub mod presets;
pub mod render;
pub mod run;
pub mod scan;
pub mod sheet;
pub mod statistics;
pub mod units;
pub mod video;
