//! The flag `--display`: which values of a picture are shown as black and white.

use oneiro_jobs::job::render::display::Display;

/// The flag `--display`, which chooses the values of a picture that are shown as black and white.
#[derive(clap::Args)]
pub struct DisplayArgs {
    /// Values that are shown as black and white: 0 and 1 (clip); the bounds of the middle 99 % of a picture's
    /// values (auto), or of all pictures' values (auto-shared); values that make the mean .5 and the standard
    /// deviation .3 (standardize); or LOW..HIGH, as in -0.2..1.2
    ///
    /// The display changes the pixels of pictures, sheets and films only. value, value_saved and errors
    /// belong to the picture with black at 0 and white at 1, and --raw writes the unchanged values. The
    /// picture names its levels (`oneiro info`). Each frame of a film has its own black and white.
    #[arg(
        id = "display",
        long = "display",
        value_name = "clip|auto|auto-shared|standardize|LOW..HIGH",
        default_value = "clip",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub how: Display,
}
