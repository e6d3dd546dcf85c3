//! Command-line flags that several commands share, and their conversion to parts of jobs.

pub mod assignment;
pub mod clips;
pub mod display;
pub mod materials;
pub mod model;
pub mod recipe;
pub mod results;
pub mod settings;
pub mod size;
