//! What a network is shown: a picture for each of its inputs, with cues laid over it or taken out.

use oneiro::card::InputKind;
use oneiro::preprocess::luma;
use oneiro_media::Image;

use super::cue::Cue;
use crate::error::Result;
use crate::job::tiles::beside;

/// A picture, clip or flow for each input of a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    pub inputs: Vec<(InputKind, Image)>,
}

impl Shown {
    /// A still picture for the only input.
    pub(super) fn picture(picture: Image) -> Self {
        Self { inputs: vec![(InputKind::Image, picture)] }
    }

    /// Lays a cue over all inputs: a still cue over every frame, motion over clips and flow.
    pub(super) fn laid_over(&self, cue: &Cue) -> Self {
        self.mapped(|kind, picture| match (cue, kind) {
            (Cue::Motion(direction), InputKind::Clip) => direction.of_clip(picture),
            (Cue::Motion(direction), InputKind::Flow) => direction.of_flow(picture),
            (Cue::Motion(_), _) | (_, InputKind::Flow | InputKind::Tensor) => picture.clone(),
            _ => by_frame(picture, |_, frame| cue.laid_over(frame)),
        })
    }

    /// Takes a cue out, with what is at its place in another example. Motion is turned round by a mirror,
    /// unless it goes the other way already.
    pub(super) fn taken_out(&self, cue: &Cue, donor: &Self) -> Self {
        if let Cue::Motion(direction) = cue {
            let mirrored = self.mapped(|kind, picture| match kind {
                InputKind::Flow => direction.against_in_flow(picture),
                InputKind::Tensor => picture.clone(),
                _ => direction.against_in_clip(picture),
            });
            return if mirrored.measured(cue) < self.measured(cue) { mirrored } else { self.clone() };
        }
        let mut donors = donor.inputs.iter();
        self.mapped(|kind, picture| {
            let donor = donors.next().map_or(picture, |(_, donor)| donor);
            match kind {
                InputKind::Flow | InputKind::Tensor => picture.clone(),
                _ => by_frame(picture, |t, frame| {
                    cue.taken_out(frame, &frame_of(donor, t.min(donor.frames.max(1) - 1)))
                }),
            }
        })
    }

    /// Covers the middle, where objects mostly are, with the mean colour of each frame: a disc whose diameter
    /// is this share of the shorter side. Flow is left as it is.
    pub(super) fn without_middle(&self, share: f64) -> Self {
        self.mapped(|kind, picture| match kind {
            InputKind::Flow | InputKind::Tensor => picture.clone(),
            _ => by_frame(picture, |_, frame| covered(frame, share)),
        })
    }

    /// Takes the colours out: all channels of pictures and clips become their luma. Flow is left as it is.
    pub(super) fn without_color(&self) -> Self {
        self.mapped(|kind, picture| match kind {
            InputKind::Flow | InputKind::Tensor => picture.clone(),
            _ if picture.channels != 3 => picture.clone(),
            _ => {
                let plane = picture.data.len() / 3;
                let of = |at: usize| luma([0, 1, 2].map(|channel| picture.data[channel * plane + at]));
                let gray: Vec<f32> = (0..plane).map(of).collect();
                Image { data: gray.repeat(3), ..picture.clone() }
            }
        })
    }

    /// How much the inputs look as if they carried the cue, as a number to compare with that of others.
    pub(super) fn measured(&self, cue: &Cue) -> f64 {
        let measure = |(kind, picture): &(InputKind, Image)| match (cue, kind) {
            (Cue::Motion(direction), InputKind::Clip) => Some(direction.in_clip(picture)),
            (Cue::Motion(direction), InputKind::Flow) => Some(direction.in_flow(picture)),
            (Cue::Motion(_), _) | (_, InputKind::Flow | InputKind::Tensor) => None,
            _ => Some(cue.measured_in(&frame_of(picture, picture.frames / 2))),
        };
        self.inputs.iter().filter_map(measure).sum()
    }

    /// A picture for people: the still, or the first, middle and last frame of a clip side by side. Flow
    /// alone has none.
    ///
    /// # Errors
    /// If a picture has no pixels.
    pub(super) fn strip(&self) -> Result<Option<Image>> {
        let seen = self.inputs.iter().filter(|(kind, _)| matches!(kind, InputKind::Image | InputKind::Clip));
        let Some((_, picture)) = seen.max_by_key(|(_, picture)| picture.frames) else { return Ok(None) };
        if picture.frames <= 1 {
            return Ok(Some(picture.clone()));
        }
        let frame = |t| frame_of(picture, t);
        let first = beside(&frame(0), &frame(picture.frames / 2))?;
        Ok(Some(beside(&first, &frame(picture.frames - 1))?))
    }

    fn mapped(&self, mut of: impl FnMut(InputKind, &Image) -> Image) -> Self {
        Self { inputs: self.inputs.iter().map(|(kind, picture)| (*kind, of(*kind, picture))).collect() }
    }
}

fn covered(picture: &Image, share: f64) -> Image {
    let mut made = picture.clone();
    let (height, width) = (picture.height, picture.width);
    let radius = 0.5 * share * height.min(width) as f64;
    let from_middle = |at: usize, extent: usize| at as f64 - (extent as f64 - 1.0) / 2.0;
    for channel in 0..picture.channels {
        let plane = picture.plane(channel);
        let mean = plane.iter().sum::<f32>() / plane.len() as f32;
        for y in 0..height {
            for x in (0..width).filter(|&x| from_middle(y, height).hypot(from_middle(x, width)) < radius) {
                made.data[channel * height * width + y * width + x] = mean;
            }
        }
    }
    made
}

/// A frame of a clip in colour.
fn frame_of(clip: &Image, t: usize) -> Image {
    let planes = (0..clip.channels).flat_map(|channel| clip.plane(channel * clip.frames + t));
    let data = planes.copied().collect();
    Image {
        channels: clip.channels,
        frames: 1,
        height: clip.height,
        width: clip.width,
        has_alpha: false,
        data,
    }
}

/// Changes a picture, or each frame of a clip.
fn by_frame(picture: &Image, mut change: impl FnMut(usize, &Image) -> Image) -> Image {
    if picture.frames <= 1 {
        return change(0, picture);
    }
    let mut made = picture.clone();
    let plane = picture.height * picture.width;
    for t in 0..picture.frames {
        let frame = change(t, &frame_of(picture, t));
        for channel in 0..picture.channels {
            made.data[(channel * picture.frames + t) * plane..][..plane]
                .copy_from_slice(frame.plane(channel));
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::super::cue::Direction;
    use super::*;

    fn clip() -> Shown {
        let of = |t: usize, x: usize| 0.5 + 0.3 * ((x as f32 - t as f32) * 0.4).cos();
        let plane = |t: usize| (0..16 * 24).map(move |at| of(t, at % 24));
        let data: Vec<f32> = (0..3).flat_map(|_| (0..5).flat_map(plane)).collect();
        let flow = Image::new([2, 4, 16, 24], [[1.0; 4 * 16 * 24], [0.0; 4 * 16 * 24]].concat()).unwrap();
        let clip = Image::new([3, 5, 16, 24], data).unwrap();
        Shown { inputs: vec![(InputKind::Clip, clip), (InputKind::Flow, flow)] }
    }

    #[test]
    fn motion_is_turned_unless_it_is_turned_already() {
        let shown = clip();
        let [right, left] = [Direction::Right, Direction::Left].map(Cue::Motion);
        assert!(shown.measured(&right) > 1.5 && shown.measured(&left) < -1.5);
        assert!(shown.taken_out(&right, &shown).measured(&right) < -1.5);
        assert_eq!(shown.taken_out(&left, &shown), shown);
        assert!(shown.laid_over(&left).measured(&left) > 0.5);
    }

    #[test]
    fn the_middle_is_covered_with_the_mean_colour() {
        let data: Vec<f32> = (0..3 * 10 * 10).map(|i| (i % 2) as f32).collect();
        let made = Shown::picture(Image::rgb(10, 10, data).unwrap()).without_middle(0.6);
        let picture = &made.inputs[0].1;
        assert_eq!([picture.pixel(5, 5), picture.pixel(1, 0)], [[0.5; 3], [1.0; 3]]);
    }

    #[test]
    fn still_cues_are_laid_over_every_frame_but_not_over_flow() {
        let shown = clip();
        for cue in Cue::all(false) {
            let laid = shown.laid_over(&cue);
            assert_eq!(laid.inputs[1], shown.inputs[1]);
            for t in 0..5 {
                let frame = frame_of(&shown.inputs[0].1, t);
                assert_eq!(frame_of(&laid.inputs[0].1, t), cue.laid_over(&frame), "{cue:?}");
            }
        }
        let strip = shown.strip().unwrap().unwrap();
        assert_eq!([strip.height, strip.width], [16, 3 * 24 + 8]);
    }
}
