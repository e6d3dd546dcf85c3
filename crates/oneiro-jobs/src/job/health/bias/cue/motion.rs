//! Motion as a cue: the whole scene moves one way.

use oneiro_media::Image;

/// Distance that the scene moves from frame to frame, as a share of the shorter side.
const SPEED: f64 = 0.025;

/// Where the scene moves. y points down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Direction {
    Left,
    Right,
    Up,
    Down,
}

impl Direction {
    pub(in super::super) const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Up, Self::Down];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Left => "to the left",
            Self::Right => "to the right",
            Self::Up => "upwards",
            Self::Down => "downwards",
        }
    }

    /// Horizontal and vertical share of the motion.
    fn unit(self) -> [f64; 2] {
        match self {
            Self::Left => [-1.0, 0.0],
            Self::Right => [1.0, 0.0],
            Self::Up => [0.0, -1.0],
            Self::Down => [0.0, 1.0],
        }
    }

    fn is_horizontal(self) -> bool {
        matches!(self, Self::Left | Self::Right)
    }

    /// A clip in which the middle frame moves this way. What enters at an edge is the frame's mirror image.
    pub(in super::super) fn of_clip(self, clip: &Image) -> Image {
        let (frames, height, width) = (clip.frames, clip.height, clip.width);
        let middle = frames / 2;
        let step = SPEED * height.min(width) as f64;
        let mut made = clip.clone();
        for t in 0..frames {
            let [dx, dy] = self.unit().map(|part| (part * step * (t as f64 - middle as f64)).round() as i64);
            for channel in 0..clip.channels {
                let still = clip.plane(channel * frames + middle);
                let moved = &mut made.data[(channel * frames + t) * height * width..][..height * width];
                for y in 0..height {
                    let row = mirrored(y as i64 - dy, height) * width;
                    for x in 0..width {
                        moved[y * width + x] = still[row + mirrored(x as i64 - dx, width)];
                    }
                }
            }
        }
        made
    }

    /// Flow of a scene that moves this way, in pixels per frame.
    pub(in super::super) fn of_flow(self, flow: &Image) -> Image {
        let step = SPEED * flow.height.min(flow.width) as f64;
        let mut made = flow.clone();
        let component = made.data.len() / 2;
        for (values, part) in made.data.chunks_exact_mut(component).zip(self.unit()) {
            values.fill((part * step) as f32);
        }
        made
    }

    /// A clip mirrored along the motion, which therefore goes the other way.
    pub(in super::super) fn against_in_clip(self, clip: &Image) -> Image {
        let mut made = clip.clone();
        for plane in made.data.chunks_exact_mut(clip.height * clip.width) {
            self.mirror(plane, clip.width);
        }
        made
    }

    /// Flow mirrored along the motion, which therefore goes the other way.
    pub(in super::super) fn against_in_flow(self, flow: &Image) -> Image {
        let mut made = self.against_in_clip(flow);
        let component = made.data.len() / 2;
        let along = if self.is_horizontal() { 0 } else { 1 };
        made.data[along * component..][..component].iter_mut().for_each(|value| *value = -*value);
        made
    }

    fn mirror(self, plane: &mut [f32], width: usize) {
        if self.is_horizontal() {
            plane.chunks_exact_mut(width).for_each(<[f32]>::reverse);
            return;
        }
        let height = plane.len() / width;
        for y in 0..height / 2 {
            for x in 0..width {
                plane.swap(y * width + x, (height - 1 - y) * width + x);
            }
        }
    }

    /// How much flow goes this way: its mean, in pixels per frame.
    pub(in super::super) fn in_flow(self, flow: &Image) -> f64 {
        let component = flow.data.len() / 2;
        let means = flow.data.chunks_exact(component).map(|values| {
            values.iter().map(|value| f64::from(*value)).sum::<f64>() / component.max(1) as f64
        });
        means.zip(self.unit()).map(|(mean, part)| mean * part).sum()
    }

    /// How much a clip goes this way, by one displacement for all its pixels (Lucas & Kanade 1981).
    pub(in super::super) fn in_clip(self, clip: &Image) -> f64 {
        let (frames, height, width) = (clip.frames, clip.height, clip.width);
        let lightness = |t: usize, y: usize, x: usize| -> f64 {
            let at = y * width + x;
            let sum: f32 = (0..clip.channels).map(|channel| clip.plane(channel * frames + t)[at]).sum();
            f64::from(sum) / clip.channels as f64
        };
        let (mut along, mut squares) = (0.0, 0.0);
        let horizontal = self.is_horizontal();
        for t in 1..frames {
            for y in 1..height.saturating_sub(1) {
                for x in 1..width.saturating_sub(1) {
                    let slope = |t| match horizontal {
                        true => (lightness(t, y, x + 1) - lightness(t, y, x - 1)) / 2.0,
                        false => (lightness(t, y + 1, x) - lightness(t, y - 1, x)) / 2.0,
                    };
                    let slope = (slope(t) + slope(t - 1)) / 2.0;
                    along -= slope * (lightness(t, y, x) - lightness(t - 1, y, x));
                    squares += slope * slope;
                }
            }
        }
        let [dx, dy] = self.unit();
        if squares > 0.0 { (dx + dy) * along / squares } else { 0.0 }
    }
}

/// A position of an axis of this length; beyond its ends the axis is mirrored.
fn mirrored(at: i64, len: usize) -> usize {
    let len = len as i64;
    let period = 2 * len;
    let at = at.rem_euclid(period);
    (if at < len { at } else { period - 1 - at }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waves in both directions, [1, 5, 24, 40].
    fn clip() -> Image {
        let of = |y: usize, x: usize| 0.5 + 0.2 * (y as f32 * 0.3).sin() + 0.2 * (x as f32 * 0.4).cos();
        let frame = (0..24).flat_map(|y| (0..40).map(move |x| of(y, x)));
        let frame: Vec<f32> = frame.collect();
        Image::new([3, 5, 24, 40], frame.repeat(15)).unwrap()
    }

    #[test]
    fn a_moved_clip_goes_where_it_should() {
        for direction in Direction::ALL {
            let moved = direction.of_clip(&clip());
            let along: Vec<f64> = Direction::ALL.iter().map(|of| of.in_clip(&moved)).collect();
            let at = Direction::ALL.iter().position(|of| *of == direction).unwrap();
            // 2.5 % of 24 pixels is .6 of a pixel, which is rounded to whole ones frame by frame.
            assert!((along[at] - 0.6).abs() < 0.2, "{direction:?}: {along:?}");
            assert!(along.iter().enumerate().all(|(i, v)| i == at || v.abs() < 0.2 || *v < 0.0));
            assert!(direction.in_clip(&direction.against_in_clip(&moved)) < -0.4);
            assert_eq!(direction.in_clip(&clip()), 0.0);
        }
    }

    #[test]
    fn flow_goes_where_it_should() {
        let flow = Image::new([2, 3, 8, 8], vec![0.0; 2 * 3 * 64]).unwrap();
        let right = Direction::Right.of_flow(&flow);
        assert!((Direction::Right.in_flow(&right) - 0.2).abs() < 1e-6);
        assert!((Direction::Left.in_flow(&right) + 0.2).abs() < 1e-6);
        assert_eq!(Direction::Down.in_flow(&right), 0.0);
        assert!(Direction::Right.in_flow(&Direction::Right.against_in_flow(&right)) < 0.0);
    }

    #[test]
    fn axes_are_mirrored_beyond_their_ends() {
        assert_eq!([-2, -1, 0, 3, 4, 5].map(|at| mirrored(at, 4)), [1, 0, 0, 3, 3, 2]);
    }
}
