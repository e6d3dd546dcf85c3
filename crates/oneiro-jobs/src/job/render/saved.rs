//! Pictures as 8-bit files hold them, and the objective's values after disturbances of such pictures.

use oneiro::card::InputKind;
use oneiro::preset::Preset;
use oneiro::regularizer::Shares;
use oneiro::render::{MIDDLE_GREY, Picture, Render, Rendered};
use oneiro::rng::Stream;
use oneiro::transform::Chain;
use oneiro_media::Image;

use super::report::Robustness;
use crate::error::Result;
use crate::job::error::JobError;

/// Quality of the JPEG file with which pictures are disturbed.
const QUALITY: u8 = 90;

/// Rounds a value as an 8-bit file does.
fn level(value: f32) -> f32 {
    f32::from((value.clamp(0.0, 1.0) * 255.0).round() as u8) / 255.0
}

/// Returns the values of a picture in the 256 levels of an 8-bit file. The levels go from black to white; for
/// flow, from the smallest to the largest value of each component.
pub(crate) fn levels_of(picture: &Picture) -> Vec<f32> {
    let mut data = picture.colors().to_vec();
    if picture.kind != InputKind::Flow {
        data.iter_mut().for_each(|x| *x = level(*x));
        return data;
    }
    let component = picture.image.extent().positions();
    for values in data.chunks_exact_mut(component) {
        let least = values.iter().copied().fold(f32::INFINITY, f32::min);
        let span = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - least;
        if span > 0.0 {
            values.iter_mut().for_each(|x| *x = least + span * level((*x - least) / span));
        }
    }
    data
}

/// Returns κ and γ, if a regularizer acts on a clip or on flow.
pub fn variation(preset: &Preset, pictures: &[Picture]) -> Option<[f64; 2]> {
    let moving = pictures.iter().filter(|picture| picture.image.frames > 1);
    let mut own = moving.filter_map(|picture| preset.of_input(&picture.input, picture.kind).regularizer);
    own.next().map(|regularizer| [regularizer.kappa, regularizer.gamma])
}

/// Returns how much objective and regularizer contributed, for each input with a regularizer.
pub fn shares(preset: &Preset, rendered: &Rendered) -> Vec<(String, Shares)> {
    let pictures = rendered.images.iter().zip(&rendered.shares);
    let regular = pictures.filter(|(p, _)| preset.of_input(&p.input, p.kind).regularizer.is_some());
    regular.map(|(picture, shares)| (picture.input.clone(), *shares)).collect()
}

/// Returns the drawn channels of the first input's picture, without clipping. Of a clip, it returns the
/// middle frame.
pub fn colors(pictures: &[Picture]) -> Result<Image> {
    let picture = first(pictures)?;
    let (h, w) = (picture.image.height, picture.image.width);
    Ok(Image::rgb(w, h, picture.rgb())?)
}

/// Returns the drawn channels of the first input's picture as an 8-bit file holds them.
pub fn saved(pictures: &[Picture]) -> Result<Image> {
    let image = colors(pictures)?;
    Ok(Image::from_rgb8(image.width, image.height, &image.to_rgb8())?)
}

fn first(pictures: &[Picture]) -> Result<&Picture> {
    pictures.first().ok_or_else(|| JobError::NoPicture.into())
}

/// The pictures of all inputs in 8-bit levels, with all channels that the network reads.
#[derive(Clone)]
pub struct SavedImage {
    /// Planes, height and width of the first input's picture.
    shape: [usize; 3],
    pub data: Vec<f32>,
    /// The first picture's opacity, if it has one.
    pub alpha: Option<Vec<f32>>,
    /// The pixel values of the further inputs' pictures.
    others: Vec<Vec<f32>>,
}

impl SavedImage {
    pub fn of(pictures: &[Picture]) -> Result<Self> {
        let picture = first(pictures)?;
        let (height, width) = (picture.image.height, picture.image.width);
        let data = levels_of(picture);
        let alpha = picture.opacity().map(|alpha| alpha.iter().copied().map(level).collect());
        let others = pictures[1..].iter().map(levels_of).collect();
        Ok(Self { shape: [data.len() / (height * width), height, width], data, alpha, others })
    }

    /// Returns the picture composited over middle grey.
    fn over_grey(&self) -> Self {
        let mut opaque = Self { alpha: None, ..self.clone() };
        if let Some(alpha) = &self.alpha {
            let pairs = opaque.data.iter_mut().zip(alpha.iter().cycle());
            pairs.for_each(|(x, a)| *x = a * *x + (1.0 - a) * MIDDLE_GREY);
        }
        opaque
    }

    /// Returns all planes: the channels, and the opacity if there is one.
    fn planes(&self) -> Vec<f32> {
        self.data.iter().chain(self.alpha.iter().flatten()).copied().collect()
    }

    /// Returns the planes after saving as JPEG. Three planes are saved as one picture in colour. For another
    /// number of planes, each is saved as a picture in grey.
    fn as_jpeg(&self) -> Result<Vec<f32>> {
        let [channels, h, w] = self.shape;
        let again = |rgb: Vec<f32>| -> Result<Image> {
            Ok(oneiro_media::jpeg_round_trip(&Image::rgb(w, h, rgb)?, QUALITY)?)
        };
        if channels == 3 {
            return Ok(again(self.data.clone())?.data);
        }
        let mut out = Vec::with_capacity(self.data.len());
        for plane in self.data.chunks_exact(h * w) {
            out.extend_from_slice(again(plane.repeat(3))?.plane(0));
        }
        Ok(out)
    }

    /// Returns the planes shifted right and down, with the border repeated.
    fn shifted(&self, by: usize) -> Vec<f32> {
        let [_, h, w] = self.shape;
        (0..self.data.len())
            .map(|i| {
                let (plane, y, x) = (i / (w * h), i / w % h, i % w);
                self.data[plane * w * h + y.saturating_sub(by) * w + x.saturating_sub(by)]
            })
            .collect()
    }

    /// Returns the planes rotated about their centre, with grey outside.
    fn turned(&self, degrees: f64) -> Result<Vec<f32>> {
        let chain = Chain::parse(&format!("rotate({degrees})|fill(0.5)"))?;
        let mut sampled = chain.sample(&mut Stream::new(0, 0), self.shape);
        let mut out = vec![0.0; self.data.len()];
        sampled.apply(&self.data, &mut out);
        Ok(out)
    }
}

/// Computes the objectives' values. `planes` returns the picture of the first input.
fn values(
    render: &mut Render,
    levels: &[SavedImage],
    planes: impl Fn(&SavedImage) -> Result<Vec<f32>>,
) -> Result<Vec<f64>> {
    let pictures = levels
        .iter()
        .map(|levels| {
            let rest = levels.others.iter().cloned();
            Ok(std::iter::once(planes(levels)?).chain(rest).collect())
        })
        .collect::<Result<Vec<Vec<Vec<f32>>>>>()?;
    Ok(render.evaluate(Some(&pictures))?)
}

/// Computes the objectives' values for the pictures as 8-bit files hold them.
pub fn values_saved(render: &mut Render, levels: &[SavedImage]) -> Result<Vec<f64>> {
    values(render, levels, |l| Ok(l.planes()))
}

/// Computes the objectives' values after JPEG, a shift and a rotation of the pictures composited over grey.
pub fn robustness(render: &mut Render, levels: &[SavedImage]) -> Result<Vec<Robustness>> {
    let opaque: Vec<SavedImage> = levels.iter().map(SavedImage::over_grey).collect();
    let jpeg90 = values(render, &opaque, SavedImage::as_jpeg)?;
    let shift4 = values(render, &opaque, |l| Ok(l.shifted(4)))?;
    let turn5 = values(render, &opaque, |l| l.turned(5.0))?;
    let each = |i: usize| Robustness { jpeg90: jpeg90[i], shift4: shift4[i], turn5: turn5[i] };
    Ok((0..levels.len()).map(each).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_that_are_not_drawn_are_rounded_and_disturbed_too() {
        let data = [0.1, 1.7, -0.2, 0.5].map(|v| [v; 64]).concat();
        let picture = Picture {
            input: "x".into(),
            kind: InputKind::Image,
            image: Image::new([4, 8, 8], data).unwrap(),
            shown: [3, 3, 3],
        };
        let levels = SavedImage::of(std::slice::from_ref(&picture)).unwrap();
        let expected = [26.0, 255.0, 0.0, 128.0].map(|v| [v / 255.0; 64]).concat();
        assert_eq!(levels.data, expected);
        assert_eq!(levels.as_jpeg().unwrap(), expected, "JPEG keeps even planes");
        assert_eq!(levels.shifted(4), expected);
        assert_eq!(levels.turned(5.0).unwrap().len(), 4 * 64);
        assert_eq!(saved(&[picture]).unwrap().pixel(0, 0), [128.0 / 255.0; 3]);
    }

    #[test]
    fn a_disturbance_moves_opacity_with_the_colours() {
        // All pixels are white; only the left half is opaque.
        let opacity = |i: usize| if i % 8 < 4 { 1.0 } else { 0.0 };
        let data = [vec![1.0; 3 * 64], (0..64).map(opacity).collect()].concat();
        let image = Image::transparent([3, 8, 8], data).unwrap();
        let picture = Picture { input: "x".into(), kind: InputKind::Image, image, shown: [0, 1, 2] };
        let levels = SavedImage::of(&[picture]).unwrap();
        assert_eq!(levels.planes().len(), 4 * 64);
        let seen = levels.over_grey();
        assert_eq!(&seen.shifted(2)[..8], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]);
        assert_eq!(seen.planes().len(), 3 * 64);
    }
}
