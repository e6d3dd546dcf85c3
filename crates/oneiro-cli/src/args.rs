//! Flags that commands share, and the jobs that they stand for.

pub mod clips;
pub mod display;
pub mod materials;
pub mod model;
pub mod results;
pub mod settings;
pub mod size;
