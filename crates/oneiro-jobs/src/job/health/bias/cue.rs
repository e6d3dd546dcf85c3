//! Cues that a class may follow in place of its object: colours, marks, borders, textures.
//!
//! Each cue can be laid over a picture. None shows an object, so a class that a cue alone calls up follows
//! something else than its object.

use std::f64::consts::TAU;

use oneiro_media::Image;

/// A colour with its name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Color {
    pub name: &'static str,
    pub rgb: [f32; 3],
}

const fn color(name: &'static str, red: u8, green: u8, blue: u8) -> Color {
    Color { name, rgb: [red as f32 / 255.0, green as f32 / 255.0, blue as f32 / 255.0] }
}

/// Colours of marks and borders.
const STRONG: [Color; 9] = [
    color("red", 255, 0, 0),
    color("orange", 255, 140, 0),
    color("yellow", 255, 235, 0),
    color("green", 20, 215, 40),
    color("cyan", 0, 230, 230),
    color("blue", 20, 50, 240),
    color("magenta", 240, 0, 220),
    color("white", 255, 255, 255),
    color("black", 0, 0, 0),
];

/// Colours of backgrounds, beside the strong ones.
const SOFT: [Color; 7] = [
    color("sky blue", 135, 206, 235),
    color("dark blue", 10, 20, 90),
    color("dark green", 20, 90, 25),
    color("brown", 130, 80, 30),
    color("pink", 250, 170, 190),
    color("purple", 120, 30, 170),
    color("grey", 128, 128, 128),
];

/// Shares of the colour in a tinted picture.
const TINTS: [f32; 3] = [0.2, 0.35, 0.6];
/// Sides of marks and borders, as shares of the picture's shorter side.
const MARKS: [f64; 2] = [0.12, 0.18];
const BORDER: f64 = 0.07;
/// Periods of stripes and checkers in pixels of a picture whose shorter side is 64, and their angles in
/// degrees.
const PERIODS: [f64; 3] = [4.0, 8.0, 16.0];
const ANGLES: [u16; 4] = [0, 45, 90, 135];

/// A corner of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Corner {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl Corner {
    const ALL: [Self; 4] = [Self::TopLeft, Self::TopRight, Self::BottomLeft, Self::BottomRight];

    fn name(self) -> &'static str {
        match self {
            Self::TopLeft => "top left",
            Self::TopRight => "top right",
            Self::BottomLeft => "bottom left",
            Self::BottomRight => "bottom right",
        }
    }

    /// The first row and column of a square of this side, a little away from the edge.
    fn place(self, side: usize, [height, width]: [usize; 2]) -> [usize; 2] {
        let away = side.div_ceil(6);
        let [bottom, right] = [height, width].map(|extent| extent.saturating_sub(side + away));
        match self {
            Self::TopLeft => [away.min(bottom), away.min(right)],
            Self::TopRight => [away.min(bottom), right],
            Self::BottomLeft => [bottom, away.min(right)],
            Self::BottomRight => [bottom, right],
        }
    }
}

/// A cue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cue {
    /// The picture blended with a colour.
    Tint { color: Color, share: f32 },
    /// A square in a corner.
    Mark { color: Color, corner: Corner, side: f64 },
    /// A frame along the edges.
    Border { color: Color },
    /// Black and white stripes over the picture, at half strength.
    Stripes { angle: u16, period: f64 },
    /// Black and white squares over the picture, at half strength.
    Checker { period: f64 },
}

/// What cues have in common, without colour and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Color,
    Mark,
    Border,
    Texture,
}

impl Cue {
    /// All cues that are tried.
    pub(super) fn all() -> Vec<Self> {
        let colors = || STRONG.into_iter().chain(SOFT);
        let mut all: Vec<Self> =
            TINTS.iter().flat_map(|&share| colors().map(move |color| Self::Tint { color, share })).collect();
        for side in MARKS {
            for corner in Corner::ALL {
                all.extend(STRONG.map(|color| Self::Mark { color, corner, side }));
            }
        }
        all.extend(STRONG.map(|color| Self::Border { color }));
        for period in PERIODS {
            all.extend(ANGLES.map(|angle| Self::Stripes { angle, period }));
            all.push(Self::Checker { period });
        }
        all
    }

    /// Its kind.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Tint { .. } => Kind::Color,
            Self::Mark { .. } => Kind::Mark,
            Self::Border { .. } => Kind::Border,
            Self::Stripes { .. } | Self::Checker { .. } => Kind::Texture,
        }
    }

    /// Its colour, if it has one.
    pub(super) fn color(&self) -> Option<&'static str> {
        match self {
            Self::Tint { color, .. } | Self::Mark { color, .. } | Self::Border { color } => Some(color.name),
            _ => None,
        }
    }

    /// Whether another cue differs from this one in strength or size alone.
    pub(super) fn is_same_thing(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stripes { angle: a, .. }, Self::Stripes { angle: b, .. }) => a == b,
            (Self::Checker { .. }, Self::Checker { .. }) => true,
            _ => self.is_like(other) && self.color() == other.color(),
        }
    }

    /// Whether another cue differs from this one in colour and strength alone.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mark { corner: a, .. }, Self::Mark { corner: b, .. }) => a == b,
            _ => self.kind() == other.kind() && self.kind() != Kind::Texture,
        }
    }

    /// Words for people; `color` in place of its own where several do.
    pub(super) fn words(&self, color: Option<&str>) -> String {
        let own = |own: &Color| color.unwrap_or(own.name).to_owned();
        match self {
            Self::Tint { color, .. } => format!("{} background or colour cast", own(color)),
            Self::Mark { color, corner, .. } => {
                format!("{} mark in the {} corner", own(color), corner.name())
            }
            Self::Border { color } => format!("{} border along the edges", own(color)),
            Self::Stripes { angle, .. } => {
                let name = match angle {
                    0 => "vertical",
                    90 => "horizontal",
                    _ => "oblique",
                };
                format!("{name} stripes as texture")
            }
            Self::Checker { .. } => "checkered texture".to_owned(),
        }
    }

    /// Lays the cue over a colour picture.
    pub(super) fn laid_over(&self, picture: &Image) -> Image {
        let mut made = picture.clone();
        let size = [picture.height, picture.width];
        let shorter = size[0].min(size[1]) as f64;
        match *self {
            Self::Tint { color, share } => made.blend(|_, _| (color.rgb, share)),
            Self::Mark { color, corner, side } => {
                let side = ((side * shorter).round() as usize).clamp(1, size[0].min(size[1]));
                let [top, left] = corner.place(side, size);
                let is_inside = move |y: usize, x: usize| {
                    (top..top + side).contains(&y) && (left..left + side).contains(&x)
                };
                made.blend(|y, x| (color.rgb, if is_inside(y, x) { 1.0 } else { 0.0 }));
            }
            Self::Border { color } => {
                let width = ((BORDER * shorter).round() as usize).max(1);
                made.blend(|y, x| (color.rgb, if in_border([y, x], size, width) { 1.0 } else { 0.0 }));
            }
            Self::Stripes { angle, period } => {
                let angle = f64::from(angle).to_radians();
                let step = TAU / (period * shorter / 64.0);
                made.blend(|y, x| {
                    let phase = step * (x as f64 * angle.cos() + y as f64 * angle.sin());
                    ([if phase.sin() > 0.0 { 1.0 } else { 0.0 }; 3], 0.5)
                });
            }
            Self::Checker { period } => {
                let half = square(period, shorter);
                made.blend(|y, x| ([((y / half + x / half) % 2) as f32; 3], 0.5));
            }
        }
        made
    }

    /// How much a picture looks as if it carried the cue, as a number to compare with that of other pictures.
    pub(super) fn measured_in(&self, picture: &Image) -> f64 {
        let size = [picture.height, picture.width];
        let shorter = size[0].min(size[1]) as f64;
        match *self {
            Self::Tint { color, .. } => -distance(picture, color, &|_, _| true),
            Self::Mark { color, corner, side } => {
                let side = ((side * shorter).round() as usize).clamp(1, size[0].min(size[1]));
                let [top, left] = corner.place(side, size);
                -distance(picture, color, &|y, x| {
                    (top..top + side).contains(&y) && (left..left + side).contains(&x)
                })
            }
            Self::Border { color } => {
                let width = ((BORDER * shorter).round() as usize).max(1);
                -distance(picture, color, &|y, x| in_border([y, x], size, width))
            }
            Self::Stripes { angle, period } => {
                let angle = f64::from(angle).to_radians();
                let step = TAU / (period * shorter / 64.0);
                power(picture, &|y, x| step * (x as f64 * angle.cos() + y as f64 * angle.sin()))
            }
            Self::Checker { period } => {
                let step = TAU / (2 * square(period, shorter)) as f64;
                power(picture, &|y, x| step * (x + y) as f64)
                    + power(picture, &|y, x| step * (x as f64 - y as f64))
            }
        }
    }

    /// Takes the cue out of a picture, with what is at its place in another picture.
    pub(super) fn taken_out(&self, picture: &Image, donor: &Image) -> Image {
        let mut made = picture.clone();
        let size = [picture.height, picture.width];
        let shorter = size[0].min(size[1]) as f64;
        let mut paste = |is_inside: &dyn Fn(usize, usize) -> bool| {
            made.blend(|y, x| (donor.pixel(x, y), if is_inside(y, x) { 1.0 } else { 0.0 }));
        };
        match *self {
            Self::Tint { .. } => return with_colors_of(picture, donor),
            Self::Mark { corner, .. } => {
                // Half as large again as the largest mark that is tried.
                let side = (1.5 * MARKS[1] * shorter).round() as usize;
                let [height, width] = size;
                let [below, right] = match corner {
                    Corner::TopLeft => [false, false],
                    Corner::TopRight => [false, true],
                    Corner::BottomLeft => [true, false],
                    Corner::BottomRight => [true, true],
                };
                paste(&|y, x| {
                    let row = if below { y + side >= height } else { y < side };
                    row && if right { x + side >= width } else { x < side }
                });
            }
            Self::Border { .. } => {
                let width = ((1.5 * BORDER * shorter).round() as usize).max(1);
                paste(&|y, x| in_border([y, x], size, width));
            }
            Self::Stripes { period, .. } | Self::Checker { period } => {
                let side = ((period * shorter / 64.0).round() as usize).max(2);
                return smoothed(picture, side);
            }
        }
        made
    }
}

/// The side in pixels of a checker's squares.
fn square(period: f64, shorter: f64) -> usize {
    ((period * shorter / 128.0).round() as usize).max(1)
}

/// The distance of the mean colour of some pixels from a colour.
fn distance(picture: &Image, color: Color, is_inside: &dyn Fn(usize, usize) -> bool) -> f64 {
    let (mut sum, mut count) = ([0.0f64; 3], 0usize);
    for y in 0..picture.height {
        for x in (0..picture.width).filter(|x| is_inside(y, *x)) {
            sum.iter_mut().zip(picture.pixel(x, y)).for_each(|(sum, value)| *sum += f64::from(value));
            count += 1;
        }
    }
    let mean = sum.map(|sum| sum / count.max(1) as f64);
    mean.iter().zip(color.rgb).map(|(mean, own)| (mean - f64::from(own)).powi(2)).sum::<f64>().sqrt()
}

/// The power of a wave in a picture's lightness. `phase` is that of a pixel.
fn power(picture: &Image, phase: &dyn Fn(usize, usize) -> f64) -> f64 {
    let mut sums = [0.0f64; 2];
    for y in 0..picture.height {
        for x in 0..picture.width {
            let lightness = picture.pixel(x, y).iter().map(|value| f64::from(*value)).sum::<f64>() / 3.0;
            let (sine, cosine) = phase(y, x).sin_cos();
            sums[0] += lightness * sine;
            sums[1] += lightness * cosine;
        }
    }
    sums[0].hypot(sums[1]) / (picture.height * picture.width) as f64
}

fn in_border([y, x]: [usize; 2], [height, width]: [usize; 2], border: usize) -> bool {
    y < border || x < border || y + border >= height || x + border >= width
}

/// Blends a picture's pixels with colours.
trait Blend {
    /// `of(y, x)` is a colour and its share.
    fn blend(&mut self, of: impl Fn(usize, usize) -> ([f32; 3], f32));
}

impl Blend for Image {
    fn blend(&mut self, of: impl Fn(usize, usize) -> ([f32; 3], f32)) {
        let (height, width) = (self.height, self.width);
        let plane = height * width;
        for y in 0..height {
            for x in 0..width {
                let (color, share) = of(y, x);
                if share > 0.0 {
                    for (channel, color) in color.iter().enumerate() {
                        let value = &mut self.data[channel * plane + y * width + x];
                        *value += share * (color - *value);
                    }
                }
            }
        }
    }
}

/// A picture with the mean and the deviation of each colour of another.
fn with_colors_of(picture: &Image, donor: &Image) -> Image {
    let mut made = picture.clone();
    let plane = picture.height * picture.width;
    for channel in 0..3 {
        let [own, other] = [picture, donor].map(|image| moments(image.plane(channel)));
        let scale = if own[1] > 0.0 { (other[1] / own[1]).min(4.0) } else { 1.0 };
        for value in &mut made.data[channel * plane..][..plane] {
            *value = (other[0] + scale * (*value - own[0])).clamp(0.0, 1.0);
        }
    }
    made
}

fn moments(plane: &[f32]) -> [f32; 2] {
    let mean = plane.iter().sum::<f32>() / plane.len() as f32;
    let variance = plane.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / plane.len() as f32;
    [mean, variance.sqrt()]
}

/// The mean over squares of this side around each pixel.
fn smoothed(picture: &Image, side: usize) -> Image {
    let mut made = picture.clone();
    let (height, width) = (picture.height, picture.width);
    for channel in 0..3 {
        let plane = picture.plane(channel);
        for y in 0..height {
            for x in 0..width {
                let rows = y.saturating_sub(side / 2)..(y + side.div_ceil(2)).min(height);
                let columns = x.saturating_sub(side / 2)..(x + side.div_ceil(2)).min(width);
                let count = (rows.len() * columns.len()) as f32;
                let sum: f32 = rows.flat_map(|row| &plane[row * width..][columns.clone()]).sum();
                made.data[channel * height * width + y * width + x] = sum / count;
            }
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray() -> Image {
        Image::filled(32, 24, [0.4; 3])
    }

    #[test]
    fn each_cue_changes_what_it_says() {
        let changed = |cue: Cue| {
            let made = cue.laid_over(&gray());
            let pixels = (0..24).flat_map(|y| (0..32).map(move |x| (y, x)));
            pixels.filter(|&(y, x)| made.pixel(x, y) != [0.4; 3]).collect::<Vec<_>>()
        };
        let red = STRONG[0];
        assert_eq!(changed(Cue::Tint { color: red, share: 0.5 }).len(), 24 * 32);
        let mark = changed(Cue::Mark { color: red, corner: Corner::TopRight, side: 0.12 });
        assert_eq!(mark.len(), 9);
        assert!(mark.iter().all(|&(y, x)| y < 8 && x > 24));
        let border = changed(Cue::Border { color: red });
        assert!(border.contains(&(0, 5)) && border.contains(&(23, 31)) && !border.contains(&(12, 16)));
        assert_eq!(changed(Cue::Stripes { angle: 0, period: 8.0 }).len(), 24 * 32);
    }

    #[test]
    fn a_cue_that_was_laid_over_can_be_taken_out() {
        let donor = Image::filled(32, 24, [0.2, 0.3, 0.4]);
        for cue in Cue::all() {
            let marked = cue.laid_over(&gray());
            let made = cue.taken_out(&marked, &donor);
            match cue {
                Cue::Tint { .. } => assert!((made.pixel(3, 3)[1] - 0.3).abs() < 1e-5),
                Cue::Mark { .. } | Cue::Border { .. } => {
                    let pixels = (0..24).flat_map(|y| (0..32).map(move |x| (y, x)));
                    let is_one_of = |p: [f32; 3]| {
                        let near = |q: [f32; 3]| p.iter().zip(q).all(|(a, b)| (a - b).abs() < 1e-5);
                        near([0.4; 3]) || near([0.2, 0.3, 0.4])
                    };
                    let left = pixels.map(|(y, x)| made.pixel(x, y)).filter(|p| !is_one_of(*p));
                    assert_eq!(left.count(), 0, "{cue:?}");
                }
                _ => {
                    let [before, after] = [&marked, &made].map(|image| moments(image.plane(0))[1]);
                    assert!(after < 0.6 * before, "{cue:?}: {before} {after}");
                }
            }
        }
    }

    #[test]
    fn pictures_with_a_cue_are_told_from_those_without() {
        for cue in Cue::all().into_iter().filter(|cue| cue.color() != Some("grey")) {
            assert!(cue.measured_in(&cue.laid_over(&gray())) > cue.measured_in(&gray()) + 0.02, "{cue:?}");
        }
    }

    #[test]
    fn words_name_the_cue() {
        let green = STRONG[3];
        assert_eq!(Cue::Tint { color: green, share: 0.6 }.words(None), "green background or colour cast");
        let mark = Cue::Mark { color: green, corner: Corner::BottomLeft, side: 0.12 };
        assert_eq!(mark.words(Some("any")), "any mark in the bottom left corner");
    }
}
