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
    /// Number of classes that the network tells apart.
    #[serde(skip)]
    pub classes: usize,
    /// Whether they are clips.
    #[serde(skip)]
    pub is_of_clips: bool,
}

impl WithoutColor {
    /// Says it in a sentence.
    pub fn words(&self) -> String {
        let share = |count: usize| 100.0 * count as f64 / self.images.max(1) as f64;
        let needs = if 2 * self.right_in_gray < self.right {
            ": the network needs pictures in colour, which does not say that a class goes with a certain colour"
        } else {
            ""
        };
        format!(
            "of {} {}, {:.0} % are named rightly as they are, {:.0} % without their colours (by chance: \
             {:.0} %){needs}",
            self.images,
            if self.is_of_clips { "clips" } else { "images" },
            share(self.right),
            share(self.right_in_gray),
            100.0 / self.classes.max(1) as f64
        )
    }
}
