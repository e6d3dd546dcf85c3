//! What images are named without their colours.

use serde::Serialize;

/// How many images are named rightly with and without their colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WithoutColor {
    /// Number of images.
    pub images: usize,
    /// How many of them are named rightly as they are.
    pub right: usize,
    /// How many are named rightly if they are grey.
    pub right_in_gray: usize,
}

impl WithoutColor {
    /// Says it in a sentence.
    pub fn words(&self) -> String {
        let share = |count: usize| 100.0 * count as f64 / self.images.max(1) as f64;
        format!(
            "of {} images, {:.0} % are named rightly as they are, {:.0} % without their colours",
            self.images,
            share(self.right),
            share(self.right_in_gray)
        )
    }
}
