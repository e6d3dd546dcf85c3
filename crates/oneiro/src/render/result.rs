//! The results of a rendering, and its state.

use oneiro_image::Image;

use crate::card::InputKind;
use crate::objective::Objective;
use crate::regularizer::Shares;

/// The reason why the optimisation of a picture ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// All steps are done.
    Steps,
    /// The objective stopped rising.
    Converged,
    /// The caller stopped it.
    Asked,
}

impl Stop {
    /// Describes the reason in words.
    pub fn describe(self) -> &'static str {
        match self {
            Stop::Steps => "all steps done",
            Stop::Converged => "converged",
            Stop::Asked => "stopped on request",
        }
    }
}

/// An optimised input.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Name of the network's input.
    pub input: String,
    /// What that input takes.
    pub kind: InputKind,
    /// RGB in 0–1, or bands, not clipped; flow in pixels per frame, `[2, T, H, W]`.
    pub image: Image,
    /// The planes that are drawn as red, green and blue.
    pub shown: [usize; 3],
}

impl Picture {
    /// Returns all planes but opacity, as the network reads them.
    pub fn colors(&self) -> &[f32] {
        self.image.colors()
    }

    /// The plane of opacity, if there is one.
    pub fn opacity(&self) -> Option<&[f32]> {
        self.image.opacity()
    }

    /// Returns the planes that are drawn, `[3, H, W]`.
    pub fn rgb(&self) -> Vec<f32> {
        self.shown.iter().flat_map(|&channel| self.image.plane(channel)).copied().collect()
    }

    /// Writes the planes that are drawn, with opacity, as PNG, JPEG or WebP by the file's extension. An
    /// existing file is replaced when the new one is complete.
    ///
    /// # Errors
    /// [`Error::Write`](crate::Error::Write) for another extension, a transparent picture as JPEG, a clip, or
    /// a file that cannot be written.
    #[cfg(feature = "files")]
    pub fn save(&self, path: impl AsRef<std::path::Path>) -> crate::Result<()> {
        let path = path.as_ref();
        let format = oneiro_media::StillFormat::for_name(path)?;
        let text = oneiro_media::PngText::default();
        let extent = oneiro_image::Extent { channels: self.shown.len(), ..self.image.extent() };
        let drawn = Image::new(extent, self.rgb()).map_err(oneiro_media::MediaError::from)?;
        let png = match self.opacity() {
            Some(alpha) => oneiro_media::encode_png_alpha(&drawn, alpha, &text)?,
            None => oneiro_media::encode_png(&drawn, &text)?,
        };
        Ok(oneiro_media::write_atomic(path, &format.transcode(&png)?)?)
    }
}

/// The result for one objective.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The objective that was maximised.
    pub objective: Objective,
    /// One picture for each image input on which the objective depends.
    pub images: Vec<Picture>,
    /// The objective's value for the final pictures without random transforms.
    pub value: f64,
    /// The objective's value before the first step.
    pub value_at_start: f64,
    /// What the objective counts beside regularizers.
    pub weight: f64,
    /// What the regularizer of each picture counted in the last step.
    pub shares: Vec<Shares>,
    /// Steps taken.
    pub steps: usize,
    /// The reason why the optimisation ended.
    pub stop: Stop,
}

/// The state of a running optimisation, for callbacks.
#[derive(Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Number of steps that are done.
    pub step: usize,
    /// The largest number of steps that the run may take.
    pub steps: usize,
    /// The value of each objective in this step, under the step's random transforms.
    pub values: &'a [f64],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_bands_is_drawn_by_three_of_them() {
        let data: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let image = Image::transparent([4, 1, 2], data).unwrap();
        let picture = Picture { input: "x".into(), kind: InputKind::Image, image, shown: [3, 0, 0] };
        assert_eq!(picture.rgb(), [6.0, 7.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(picture.opacity(), Some(&[8.0, 9.0][..]));
    }
}
