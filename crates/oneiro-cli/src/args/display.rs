//! How pictures are shown: `--display`.

use oneiro_jobs::job::render::display::Display;

/// How the pictures of a command are shown.
#[derive(clap::Args)]
pub struct DisplayArgs {
    /// Values that are shown as black and white: 0 and 1 (clip); those around 99 % of a picture's values
    /// (auto), or of all pictures' (auto-shared); those that make the mean .5 and the deviation .3
    /// (standardize); or LOW..HIGH, as in -0.2..1.2
    ///
    /// It changes the pixels of pictures, sheets and films, and no number: value, value_saved and errors
    /// are those of the picture whose black is 0 and whose white is 1, and --raw holds the values
    /// themselves. The picture names its levels (`oneiro info`). The frames of a film are stretched each
    /// by itself.
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
