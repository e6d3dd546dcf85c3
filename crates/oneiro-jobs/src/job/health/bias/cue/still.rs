//! Cues in still pictures: laid over one, measured in it, taken out of it.

use std::f64::consts::TAU;

use oneiro_media::Image;

use super::{BORDER, Color, Corner, Cue, MARKS};

/// Waves whose periods differ by at most this factor count as the same texture.
const NEAR: f64 = 1.2;

impl Cue {
    /// Lays the cue over a colour picture. A still picture has no motion.
    pub(in super::super) fn laid_over(&self, picture: &Image) -> Image {
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
            Self::Texture(texture) => made.blend(|y, x| texture.at([y, x], size)),
            Self::Motion(_) => {}
        }
        made
    }

    /// How much a picture looks as if it carried the cue, as a number to compare with that of other pictures.
    pub(in super::super) fn measured_in(&self, picture: &Image) -> f64 {
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
            Self::Texture(texture) => texture.measured_in(picture),
            Self::Motion(_) => 0.0,
        }
    }

    /// Takes the cue out of a picture, with what is at its place in another picture.
    pub(in super::super) fn taken_out(&self, picture: &Image, donor: &Image) -> Image {
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
            Self::Texture(texture) => return texture.taken_out(picture),
            Self::Motion(_) => {}
        }
        made
    }
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

/// The amplitude of the strongest wave in a picture's lightness along a direction (y, x), with about this
/// period in pixels.
pub(super) fn power(picture: &Image, period: f64, [down, across]: [f64; 2]) -> f64 {
    let (height, width) = (picture.height, picture.width);
    let lightness: Vec<f64> = (0..height * width)
        .map(|at| (0..3).map(|channel| f64::from(picture.plane(channel)[at])).sum::<f64>() / 3.0)
        .collect();
    let extent = height.max(width) as f64;
    // A wave with half a cycle more or less over the picture would be missed.
    let cycles = extent / period;
    let steps = (cycles * (NEAR - 1.0 / NEAR)).ceil() as usize;
    let tried = (0..=steps).map(|i| cycles / NEAR + i as f64);
    let amplitude = |cycles: f64| {
        let step = TAU * cycles / extent;
        let mut sums = [0.0f64; 2];
        for (y, row) in lightness.chunks_exact(width).enumerate() {
            for (x, lightness) in row.iter().enumerate() {
                let (sine, cosine) = (step * (y as f64 * down + x as f64 * across)).sin_cos();
                sums[0] += lightness * sine;
                sums[1] += lightness * cosine;
            }
        }
        sums[0].hypot(sums[1]) / lightness.len() as f64
    };
    tried.map(amplitude).fold(0.0, f64::max)
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

/// Offsets of `count` positions, a pixel apart along a direction (y, x), around a pixel.
pub(super) fn along([down, across]: [f64; 2], count: usize) -> Vec<[f64; 2]> {
    let middle = (count as f64 - 1.0) / 2.0;
    (0..count).map(|i| [down, across].map(|part| part * (i as f64 - middle))).collect()
}

/// The mean over these offsets around each pixel. Between pixels, their four neighbours are mixed; beyond the
/// edges, the nearest pixel counts.
pub(super) fn smoothed(picture: &Image, offsets: &[[f64; 2]]) -> Image {
    let mut made = picture.clone();
    let (height, width) = (picture.height, picture.width);
    let part = |at: f64, len: usize| {
        let at = at.clamp(0.0, len as f64 - 1.0);
        let low = at.floor() as usize;
        (low, (low + 1).min(len - 1), (at - low as f64) as f32)
    };
    for channel in 0..3 {
        let plane = picture.plane(channel);
        for y in 0..height {
            for x in 0..width {
                let value = |[dy, dx]: &[f64; 2]| {
                    let (top, bottom, down) = part(y as f64 + dy, height);
                    let (left, right, across) = part(x as f64 + dx, width);
                    let row = |y: usize| {
                        plane[y * width + left] * (1.0 - across) + plane[y * width + right] * across
                    };
                    row(top) * (1.0 - down) + row(bottom) * down
                };
                let sum: f32 = offsets.iter().map(value).sum();
                made.data[channel * height * width + y * width + x] = sum / offsets.len() as f32;
            }
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::super::STRONG;
    use super::super::texture::{Pattern, Place, Texture};
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
        let stripes = |place| Cue::Texture(Texture { pattern: Pattern::Stripes(0), period: 8.0, place });
        assert_eq!(changed(stripes(Place::Whole)).len(), 24 * 32);
        let inside = changed(stripes(Place::Middle));
        assert!(inside.contains(&(12, 16)) && !inside.contains(&(12, 2)), "{inside:?}");
    }

    #[test]
    fn a_cue_that_was_laid_over_can_be_taken_out() {
        let donor = Image::filled(32, 24, [0.2, 0.3, 0.4]);
        for cue in Cue::all(false) {
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
                Cue::Texture(Texture { place: Place::Middle, .. }) => {}
                _ => {
                    let [before, after] = [&marked, &made].map(|image| moments(image.plane(0))[1]);
                    assert!(after < 0.6 * before, "{cue:?}: {before} {after}");
                }
            }
        }
    }

    #[test]
    fn pictures_with_a_cue_are_told_from_those_without() {
        let gray = Image::filled(80, 64, [0.4; 3]);
        for cue in Cue::all(false).into_iter().filter(|cue| cue.color() != Some("grey")) {
            let marked = cue.laid_over(&gray);
            let (with, without) = (cue.measured_in(&marked), cue.measured_in(&gray));
            let least = match cue {
                // Bricks in the middle are told from a red spot by little.
                Cue::Texture(Texture { place: Place::Middle, .. }) => 0.0,
                _ => 0.02,
            };
            assert!(with > without + least, "{cue:?}: {with} {without}");
            if let Cue::Texture(texture @ Texture { pattern: Pattern::Stripes(_), .. }) = cue {
                let left = texture.measured_in(&texture.taken_out(&marked));
                assert!(left < 0.8 * with, "{cue:?}: {with} {left}");
            }
        }
    }
}
