//! May a unit's optimised picture be believed? Two answers, each one number.
//!
//! - [`path`]: whether the picture reaches the unit through the channels of earlier layers through which
//!   natural images reach it (after Geirhos et al., "Don't trust your eyes", ICML 2024).
//! - [`predictability`]: whether the picture, or natural examples, tell which other images excite the unit
//!   (the machine interpretability score of Zimmermann et al., "Measuring Mechanistic Interpretability at
//!   Scale Without Humans", NeurIPS 2024). The similarity of images is [`perceptual`].
//!
//! Interface: sessions turn pictures into vectors; pure functions turn vectors and similarities into scores.

pub mod path;
pub mod perceptual;
pub mod predictability;
