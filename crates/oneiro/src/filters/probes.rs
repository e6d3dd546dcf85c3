//! Test pictures that need no data set: noise, and pictures with the statistics of photographs.

use oneiro_image::Extent;

use crate::card::InputKind;
use crate::input::PictureInput;
use crate::rng::Stream;

/// A kind of test picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Each number drawn by itself, uniformly from 0 to 1.
    WhiteNoise,
    /// Discs of many sizes that occlude each other ("dead leaves"), which have the edges, the colours and the
    /// spectrum of photographs (Lee, Mumford & Huang 2001, "Occlusion Models for Natural Images").
    DeadLeaves,
}

/// Discs of a picture of dead leaves.
const LEAVES: usize = 220;
/// Mean colour of the discs, and the standard deviation of their lightness and of each colour by itself:
/// about those of photographs.
const MEAN: [f64; 3] = [0.47, 0.45, 0.41];
const LIGHTNESS: f64 = 0.22;
const COLOR: f64 = 0.07;
/// Least radius in pixels. Larger radii are as frequent as their inverse cube, which makes the picture look
/// alike at all scales.
const LEAST_RADIUS: f64 = 1.5;

/// Returns a test picture as the display image of an input. Flow fills the range of the input's card.
pub fn probe_of(kind: Probe, input: &PictureInput, number: u64) -> Vec<f32> {
    let mut picture = probe(kind, &input.extent, number);
    if input.kind == InputKind::Flow {
        let span = input.preprocess.span();
        picture.iter_mut().for_each(|value| *value = (*value - 0.5) * span);
    }
    picture
}

/// Returns a test picture of this extent with numbers from 0 to 1. The number is that of the picture
/// among those of its kind; the same number always gives the same picture.
pub fn probe(kind: Probe, extent: &Extent, number: u64) -> Vec<f32> {
    match kind {
        Probe::WhiteNoise => {
            let mut stream = Stream::new(number, 1);
            (0..extent.values()).map(|_| stream.uniform() as f32).collect()
        }
        Probe::DeadLeaves => dead_leaves(extent, Stream::new(number, 2)),
    }
}

/// Draws discs until each is almost surely hidden by a later one. Over the frames of a clip every disc moves
/// evenly, by about a pixel a frame.
fn dead_leaves(extent: &Extent, mut stream: Stream) -> Vec<f32> {
    let [height, width] = extent.size().map(|side| side as f64);
    let largest = (height.min(width) / 2.0).max(LEAST_RADIUS);
    let mut picture = vec![0.5; extent.values()];
    for _ in 0..LEAVES {
        let radius = (LEAST_RADIUS / (1.0 - stream.uniform()).sqrt()).min(largest);
        let lightness = LIGHTNESS * stream.normal();
        let color: Vec<f32> = (0..extent.channels)
            .map(|channel| (MEAN[channel % 3] + lightness + COLOR * stream.normal()).clamp(0.0, 1.0) as f32)
            .collect();
        let center = [stream.uniform_in(0.0, height), stream.uniform_in(0.0, width)];
        let speed = [stream.normal(), stream.normal()];
        for frame in 0..extent.frames {
            let [y, x] = [0, 1].map(|axis| center[axis] + speed[axis] * frame as f64);
            let rows = (y - radius).ceil().max(0.0) as usize
                ..((y + radius).floor() + 1.0).clamp(0.0, height) as usize;
            for row in rows {
                let half = (radius.powi(2) - (row as f64 - y).powi(2)).max(0.0).sqrt();
                let from = (x - half).ceil().max(0.0) as usize;
                let to = ((x + half).floor() + 1.0).clamp(0.0, width) as usize;
                for (channel, &value) in color.iter().enumerate() {
                    let line = ((channel * extent.frames + frame) * extent.height + row) * extent.width;
                    if from < to {
                        picture[line + from..line + to].fill(value);
                    }
                }
            }
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_the_same_each_time() {
        let extent = Extent::still(3, 20, 30);
        for kind in [Probe::WhiteNoise, Probe::DeadLeaves] {
            let picture = probe(kind, &extent, 4);
            assert_eq!(picture, probe(kind, &extent, 4));
            assert_ne!(picture, probe(kind, &extent, 5));
            assert!(picture.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }

    #[test]
    fn leaves_are_smooth_and_noise_is_not() {
        let extent = Extent::still(1, 64, 64);
        let roughness = |kind| {
            let picture = probe(kind, &extent, 0);
            let mean = picture.iter().sum::<f32>() / picture.len() as f32;
            let variance = picture.iter().map(|x| (x - mean).powi(2)).sum::<f32>();
            let steps = picture.chunks_exact(64).flat_map(|line| line.windows(2));
            steps.map(|pair| (pair[1] - pair[0]).powi(2)).sum::<f32>() / variance
        };
        assert!(roughness(Probe::DeadLeaves) < 0.5 && roughness(Probe::WhiteNoise) > 1.5);
    }

    #[test]
    fn leaves_move() {
        let clip = Extent { frames: 4, ..Extent::still(3, 32, 32) };
        let picture = probe(Probe::DeadLeaves, &clip, 1);
        let frame = |t: usize| picture[t * 32 * 32..][..32 * 32].to_vec();
        assert_ne!(frame(0), frame(3));
    }
}
