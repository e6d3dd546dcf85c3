//! Colour maps: numbers to colours whose differences look as large as those of the numbers.
//!
//! Both maps are formulas in Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020; in
//! the public domain). Lightness is linear in the number, so equal steps look equal, in print and to
//! colour-blind readers too. A colour too strong for sRGB gets the largest chroma that sRGB has at its
//! lightness and hue.

use crate::Image;

/// Diverging map of −1…0…1: blue, white, red. Numbers beyond −1 and 1 are clamped; NaN is gray.
pub fn diverging(t: f32) -> [f32; 3] {
    /// Oklab lightness of the colours at −1 and 1.
    const END: f32 = 0.45;
    /// Oklab chroma at −1 and 1: the largest that sRGB has for both hues at this lightness.
    const CHROMA: f32 = 0.17;
    /// Oklab hue of blue in degrees. Most colour-blind people can tell it from the red.
    const BLUE: f32 = 258.0;
    const RED: f32 = 27.0;
    if t.is_nan() {
        return NOT_A_NUMBER;
    }
    let size = t.abs().min(1.0);
    let hue = if t < 0.0 { BLUE } else { RED };
    color(1.0 - (1.0 - END) * size, CHROMA * size, hue)
}

/// Sequential map of 0…1: black, purple, red, orange, pale yellow. Numbers beyond 0 and 1 are clamped; NaN is
/// gray.
pub fn sequential(t: f32) -> [f32; 3] {
    /// Oklab lightness of the colour at 1.
    const BRIGHT: f32 = 0.97;
    /// Oklab hues at 0 and 1 in degrees: purple, and yellow (105° plus a full turn, so that the map passes
    /// red).
    const HUES: [f32; 2] = [290.0, 465.0];
    /// Oklab chroma at 0.5, where sRGB has the strongest colours.
    const CHROMA: f32 = 0.22;
    /// Oklab chroma of the colour at 1.
    const END_CHROMA: f32 = 0.09;
    if t.is_nan() {
        return NOT_A_NUMBER;
    }
    let t = t.clamp(0.0, 1.0);
    let chroma = CHROMA * (4.0 * t * (1.0 - t)).sqrt();
    color(BRIGHT * t, chroma.max(END_CHROMA * t), HUES[0] + (HUES[1] - HUES[0]) * t)
}

const NOT_A_NUMBER: [f32; 3] = [0.5; 3];

/// Draws a map of numbers as a picture: each number is divided by `scale`, then coloured. A scale of 0 shows
/// every number as 0.
///
/// # Errors
/// [`crate::MediaError::Shape`] unless there are `width * height` numbers, and at least one.
pub fn colored(
    map: &[f32],
    width: usize,
    height: usize,
    scale: f64,
    color: impl Fn(f32) -> [f32; 3],
) -> crate::Result<Image> {
    let factor = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let colors: Vec<[f32; 3]> = map.iter().map(|&v| color((f64::from(v) * factor) as f32)).collect();
    Ok(Image::rgb(width, height, (0..3).flat_map(|c| colors.iter().map(move |color| color[c])).collect())?)
}

/// Lays a coloured map over a photo in grey. The photo shows where the map's numbers are small.
///
/// # Errors
/// [`crate::MediaError::Shape`] unless there is a number for each of the photo's pixels.
pub fn overlaid(
    photo: &Image,
    map: &[f32],
    scale: f64,
    color: impl Fn(f32) -> [f32; 3],
) -> crate::Result<Image> {
    /// Opacity of the colour of the largest magnitude.
    const HIDES: f32 = 0.9;
    /// Factor by which the photo's contrast is reduced, so that the colours stand out.
    const CONTRAST: f32 = 0.8;
    let mut out = colored(map, photo.width, photo.height, scale, color)?;
    let plane = map.len();
    for (i, &v) in map.iter().enumerate() {
        let size = if scale > 0.0 { ((f64::from(v) / scale).abs() as f32).clamp(0.0, 1.0) } else { 0.0 };
        let [r, g, b] = [0, 1, 2].map(|c| photo.data[c * plane + i].clamp(0.0, 1.0));
        // Rec. 601 luma.
        let grey = 0.5 + CONTRAST * (0.299 * r + 0.587 * g + 0.114 * b - 0.5);
        // The square root makes small magnitudes visible.
        let opacity = HIDES * size.sqrt();
        for c in 0..3 {
            let value = &mut out.data[c * plane + i];
            *value = grey + opacity * (*value - grey);
        }
    }
    Ok(out)
}

/// Converts an Oklab lightness, chroma and hue (degrees) to sRGB, with less chroma if sRGB has no such
/// colour.
fn color(lightness: f32, chroma: f32, hue: f32) -> [f32; 3] {
    /// Bisection steps in the search for the largest chroma that sRGB has; finer than an 8-bit step.
    const HALVINGS: usize = 16;
    let (sin, cos) = hue.to_radians().sin_cos();
    let at = |chroma: f32| linear(lightness, chroma * cos, chroma * sin);
    // How negative a component of linear sRGB may be, as a share of the grey of this lightness (its cube): a
    // fixed limit would exceed nearly black colours.
    let least = -1e-4 * lightness.powi(3);
    let inside = |rgb: [f32; 3]| rgb.iter().all(|v| (least..=1.0001).contains(v));
    let mut best = chroma;
    if !inside(at(chroma)) {
        let (mut low, mut high) = (0.0, chroma);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if inside(at(middle)) { low = middle } else { high = middle }
        }
        best = low;
    }
    at(best).map(|v| encode(v.clamp(0.0, 1.0)))
}

/// Converts an Oklab colour to linear sRGB (Ottosson 2020).
fn linear(lightness: f32, a: f32, b: f32) -> [f32; 3] {
    let l = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let m = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let s = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_38 * s,
        -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ]
}

/// Converts a linear value to an sRGB value (IEC 61966-2-1).
fn encode(v: f32) -> f32 {
    if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the Oklab lightness of an sRGB colour.
    fn lightness(rgb: [f32; 3]) -> f32 {
        let [r, g, b] = rgb.map(|v| if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) });
        let l = (0.412_221_47 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
        let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
        let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s
    }

    #[test]
    fn lightness_is_linear_in_the_number() {
        for i in 0..=100 {
            let t = i as f32 / 100.0;
            assert!((lightness(sequential(t)) - 0.97 * t).abs() < 4e-3, "{t}: {:?}", sequential(t));
            for sign in [1.0, -1.0] {
                let wanted = 1.0 - 0.55 * t;
                assert!((lightness(diverging(sign * t)) - wanted).abs() < 4e-3, "{}", sign * t);
            }
        }
    }

    #[test]
    fn colours_are_those_that_they_are_called() {
        let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-3);
        assert!(close(diverging(0.0), [1.0; 3]) && close(sequential(0.0), [0.0; 3]));
        let ([r, g, b], [r2, g2, b2]) = (diverging(1.0), diverging(-1.0));
        assert!(r > 2.0 * g && r > 2.0 * b && b2 > 1.5 * g2 && b2 > 2.0 * r2);
        let [r, g, b] = sequential(1.0);
        assert!(r > 0.9 && g > 0.9 && b < g);
        assert_eq!((diverging(7.0), sequential(-1.0)), (diverging(1.0), sequential(0.0)));
        assert_eq!((diverging(f32::NAN), sequential(f32::NAN)), ([0.5; 3], [0.5; 3]));
    }

    #[test]
    fn neighbours_are_close() {
        for map in [diverging as fn(f32) -> [f32; 3], sequential] {
            for i in -255..255 {
                let (a, b) = (map(i as f32 / 255.0), map((i + 1) as f32 / 255.0));
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.06), "{i}: {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn maps_become_pictures() {
        let picture = colored(&[0.0, 2.0, -2.0, 8.0], 2, 2, 2.0, diverging).unwrap();
        assert_eq!(picture.pixel(0, 0), diverging(0.0));
        assert_eq!(picture.pixel(0, 1), diverging(-1.0));
        assert_eq!(picture.pixel(1, 1), diverging(1.0));
        assert_eq!(colored(&[3.0], 1, 1, 0.0, sequential).unwrap().pixel(0, 0), sequential(0.0));
        assert!(colored(&[0.0; 3], 2, 2, 1.0, diverging).is_err());
    }

    #[test]
    fn a_photo_shows_where_a_map_says_nothing() {
        let photo = Image::filled(2, 1, [1.0, 0.0, 0.0]);
        let out = overlaid(&photo, &[0.0, -1.0], 1.0, diverging).unwrap();
        let [r, g, b] = out.pixel(0, 0);
        assert!(r == g && g == b && (r - (0.5 + 0.8 * (0.299 - 0.5))).abs() < 1e-6);
        let [r, _, b] = out.pixel(1, 0);
        assert!(b > r);
        assert!(overlaid(&photo, &[0.0; 3], 1.0, diverging).is_err());
    }
}
