//! Patterns as cues: over the whole picture, or fading out around its middle, as on an object.

use std::f64::consts::{PI, TAU};

use oneiro_media::Image;

use super::still::{along, power, smoothed};

/// Share of a pattern in a picture.
const SHARE: f64 = 0.5;
/// Distances from the middle up to which a pattern in the middle has its full share, and from which it has
/// none, as shares of the picture's shorter side. It has no outline that could be an object's.
const FADE: [f64; 2] = [0.15, 0.4];

/// A pattern with its size and place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Texture {
    pub pattern: Pattern,
    /// Its period in pixels of a picture whose shorter side is 64.
    pub period: f64,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Pattern {
    /// Black and white stripes across this angle in degrees.
    Stripes(u16),
    /// Black and white squares.
    Checker,
    /// A brick wall.
    Bricks,
    /// White dots on black.
    Dots,
    /// Upright and level black lines on white.
    Grid,
}

/// Where a pattern lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Place {
    Whole,
    Middle,
}

impl Pattern {
    /// Words for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Stripes(0) => "vertical stripes as texture",
            Self::Stripes(90) => "horizontal stripes as texture",
            Self::Stripes(_) => "oblique stripes as texture",
            Self::Checker => "checkered texture",
            Self::Bricks => "bricks as texture",
            Self::Dots => "dots as texture",
            Self::Grid => "grid of lines as texture",
        }
    }

    /// The colour at a pixel, for a period in pixels.
    fn color(self, [y, x]: [usize; 2], period: f64) -> [f32; 3] {
        let light = |is_light: bool| [if is_light { 1.0 } else { 0.0 }; 3];
        match self {
            Self::Stripes(angle) => {
                let angle = f64::from(angle).to_radians();
                let phase = TAU / period * (x as f64 * angle.cos() + y as f64 * angle.sin());
                light(phase.sin() > 0.0)
            }
            Self::Checker => {
                let side = square(period);
                light((y / side + x / side) % 2 == 1)
            }
            Self::Bricks => brick(y as f64, x as f64, period),
            Self::Dots => {
                let from_center = |at: usize| (at as f64 % period - period / 2.0) / period;
                light(from_center(y).hypot(from_center(x)) < 0.3)
            }
            Self::Grid => {
                let is_line = |at: usize| at as f64 % period < (period / 4.0).max(1.0);
                light(!is_line(y) && !is_line(x))
            }
        }
    }
}

impl Place {
    /// The share of a pattern at a pixel of a picture of this height and width.
    fn share(self, [y, x]: [usize; 2], [height, width]: [usize; 2]) -> f32 {
        if self == Self::Whole {
            return SHARE as f32;
        }
        let from_middle = |at: usize, extent: usize| at as f64 - (extent as f64 - 1.0) / 2.0;
        let distance = from_middle(y, height).hypot(from_middle(x, width)) / height.min(width) as f64;
        let faded = ((distance - FADE[0]) / (FADE[1] - FADE[0])).clamp(0.0, 1.0);
        (SHARE * (0.5 + 0.5 * (PI * faded).cos())) as f32
    }
}

impl Texture {
    /// The pattern's colour at a pixel, and its share there.
    pub(super) fn at(&self, pixel: [usize; 2], size: [usize; 2]) -> ([f32; 3], f32) {
        let share = self.place.share(pixel, size);
        (self.pattern.color(pixel, self.period_in(size)), share)
    }

    /// How much a picture looks as if it carried the pattern anywhere.
    pub(super) fn measured_in(&self, picture: &Image) -> f64 {
        let period = self.period_in([picture.height, picture.width]);
        match self.pattern {
            Pattern::Stripes(angle) => {
                let angle = f64::from(angle).to_radians();
                power(picture, period, [angle.sin(), angle.cos()])
            }
            Pattern::Checker => {
                let period = 2.0 * square(period) as f64;
                // The diagonals of a checker with squares of half a period.
                power(picture, period, [1.0, 1.0]) + power(picture, period, [1.0, -1.0])
            }
            // The joints between rows of bricks.
            Pattern::Bricks => power(picture, period / 2.0, [1.0, 0.0]),
            Pattern::Dots | Pattern::Grid => {
                power(picture, period, [1.0, 0.0]) + power(picture, period, [0.0, 1.0])
            }
        }
    }

    /// The picture without the pattern, wherever it is.
    pub(super) fn taken_out(&self, picture: &Image) -> Image {
        let period = self.period_in([picture.height, picture.width]);
        let count = period.round().max(2.0) as usize;
        match self.pattern {
            // A mean over one period across the stripes leaves what lies along them.
            Pattern::Stripes(angle) => {
                let angle = f64::from(angle).to_radians();
                smoothed(picture, &along([angle.sin(), angle.cos()], count))
            }
            _ => smoothed(&smoothed(picture, &along([1.0, 0.0], count)), &along([0.0, 1.0], count)),
        }
    }

    fn period_in(&self, [height, width]: [usize; 2]) -> f64 {
        self.period * height.min(width) as f64 / 64.0
    }
}

/// The side in pixels of a checker's squares.
fn square(period: f64) -> usize {
    ((period / 2.0).round() as usize).max(1)
}

/// The colour of a brick wall: red bricks twice as long as high, every second row shifted by half a brick,
/// with pale joints.
fn brick(y: f64, x: f64, period: f64) -> [f32; 3] {
    let (height, joint) = (period / 2.0, (period / 10.0).max(1.0));
    let row = (y / height).floor();
    let shift = if row.rem_euclid(2.0) < 1.0 { 0.0 } else { period / 2.0 };
    let is_joint = y - row * height < joint || (x + shift).rem_euclid(period) < joint;
    if is_joint { [0.82, 0.80, 0.76] } else { [0.62, 0.24, 0.17] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_in_the_middle_fades_out() {
        let share = |y, x| Place::Middle.share([y, x], [65, 97]);
        assert_eq!([share(32, 48), share(32, 0), share(0, 48), share(64, 96)], [0.5, 0.0, 0.0, 0.0]);
        assert!(share(32, 48 + 18) > 0.1 && share(32, 48 + 18) < 0.4);
        assert_eq!(Place::Whole.share([0, 0], [65, 97]), 0.5);
    }
}
