//! The results of a rendering, and its state.

use oneiro_image::Image;

use crate::card::InputKind;
use crate::objective::Objective;
use crate::regularizer::Shares;

/// The reason why the optimisation of a picture ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// All steps of the preset are done.
    Steps,
    /// The objective stopped rising.
    Converged,
    /// The caller stopped the optimisation.
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

/// The optimised picture of one network input.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Name of the network's input.
    pub input: String,
    /// What that input takes: images, clips or flow.
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

    /// Returns the planes that are drawn, `[3, H, W]`. Of a clip, these are the planes of its middle frame.
    /// Of flow, they are the components of the middle field as red and green, grey where nothing moves, and
    /// the length as blue.
    pub fn rgb(&self) -> Vec<f32> {
        let frames = self.image.frames;
        let plane = |channel: usize| self.image.plane(channel * frames + frames / 2);
        if self.kind != InputKind::Flow {
            return self.shown.iter().flat_map(|&channel| plane(channel)).copied().collect();
        }
        let (u, v) = (plane(0), plane(1));
        let length: Vec<f32> = u.iter().zip(v).map(|(u, v)| u.hypot(*v)).collect();
        let largest = length.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let signed = |x: &f32| 0.5 + 0.5 * x / largest;
        u.iter().map(signed).chain(v.iter().map(signed)).chain(length.iter().map(|x| x / largest)).collect()
    }

    /// Returns the shape of [`Picture::raw_data`]: `[C, H, W]`, `[C, T, H, W]`, or `[2T, H, W]` of flow.
    pub fn raw_shape(&self) -> Vec<usize> {
        let Image { channels, frames, height, width, .. } = self.image;
        match self.kind {
            InputKind::Flow => vec![channels * frames, height, width],
            InputKind::Clip if !self.image.has_alpha => vec![channels, frames, height, width],
            _ => self.image.shape(),
        }
    }

    /// Returns the values in the order of tensor files: flow as u0, v0, u1, v1, …, others unchanged.
    pub fn raw_data(&self) -> Vec<f32> {
        if self.kind != InputKind::Flow {
            return self.image.data.clone();
        }
        let frames = self.image.frames;
        let planes = (0..2 * frames).map(|i| self.image.plane(i % 2 * frames + i / 2));
        planes.flatten().copied().collect()
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
        if self.kind == InputKind::Flow || self.image.frames > 1 {
            let what =
                format!("input \"{}\" is no still picture; films are of the crate oneiro-media", self.input);
            return Err(oneiro_media::MediaError::Shape { what }.into());
        }
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

/// The result of a rendering for one objective.
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
    /// How much objective and regularizer contributed for each picture in the last step.
    pub shares: Vec<Shares>,
    /// Number of optimisation steps taken.
    pub steps: usize,
    /// The reason why the optimisation ended.
    pub stop: Stop,
}

/// The state of a running optimisation, for callbacks.
#[derive(Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Number of optimisation steps that are done.
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
