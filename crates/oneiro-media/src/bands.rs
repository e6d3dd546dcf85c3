//! Images with any number of bands (channels), such as satellite or depth images, from NumPy's `.npy` files.

use std::path::Path;

use crate::npy::{Array, read_array};
use crate::{Image, MediaError, Result};

/// Reads a `.npy` file of shape B,H,W as a picture of B bands. Floats are taken as they are and must lie in
/// 0–1; 8- and 16-bit unsigned integers are divided by 255 and 65535.
///
/// # Errors
///
/// If the file cannot be read, has another shape or type, or a value is no number or outside 0–1.
pub fn read_bands(path: impl AsRef<Path>) -> Result<Image> {
    let path = path.as_ref();
    of(read_array(path)?).map_err(|reason| MediaError::NoBands { path: path.into(), reason })
}

/// Converts a `B,H,W` array to an image of B bands; the error says what is wrong with the array.
fn of(array: Array) -> Result<Image, String> {
    let &[count, height, width] = &array.shape[..] else {
        return Err(format!("its shape is {:?}; three axes are needed: bands, height, width", array.shape));
    };
    if array.values.is_empty() {
        return Err(format!("its shape is {:?}: it is empty", array.shape));
    }
    let mut data = array.values;
    match array.kind.as_str() {
        "|u1" => data.iter_mut().for_each(|x| *x /= f32::from(u8::MAX)),
        "<u2" => data.iter_mut().for_each(|x| *x /= f32::from(u16::MAX)),
        "<f4" | "<f8" => {}
        kind => {
            return Err(format!("its elements are of type \"{kind}\"; save float32 in 0-1, uint8 or uint16"));
        }
    }
    if data.iter().any(|x| !x.is_finite()) {
        return Err("some of its numbers are not finite; fill the holes first".into());
    }
    let low = data.iter().copied().fold(f32::INFINITY, f32::min);
    let high = data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if low < 0.0 || high > 1.0 {
        return Err(format!(
            "its values run from {low} to {high}; divide by the value of white and clip them to 0-1"
        ));
    }
    Image::new([count, height, width], data).map_err(|error| error.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, shape: &[usize], values: &[f32]) -> Result<Image, String> {
        super::of(Array { shape: shape.to_vec(), values: values.to_vec(), kind: kind.to_owned() })
    }

    #[test]
    fn integers_are_shares_of_the_largest() {
        let bands = of("|u1", &[2, 1, 1], &[0.0, 255.0]).unwrap();
        assert_eq!((bands.channels, bands.height, bands.width), (2, 1, 1));
        assert_eq!(bands.data, [0.0, 1.0]);
        assert_eq!(of("<u2", &[1, 1, 1], &[32768.0]).unwrap().data, [32768.0 / 65535.0]);
        assert_eq!(of("<f4", &[1, 1, 2], &[0.0, 0.25]).unwrap().data, [0.0, 0.25]);
    }

    #[test]
    fn what_is_no_picture_of_bands_is_refused() {
        let cases: [(&str, &[usize], &[f32], &str); 5] = [
            ("<f4", &[2], &[0.0, 1.0], "three axes"),
            ("<f4", &[1, 0, 4], &[], "empty"),
            ("<f8", &[1, 1, 1], &[f32::NAN], "not finite"),
            ("<f4", &[1, 1, 2], &[-0.5, 3000.0], "from -0.5 to 3000"),
            ("<i4", &[1, 1, 1], &[1.0], "\"<i4\""),
        ];
        for (kind, shape, values, problem) in cases {
            let message = of(kind, shape, values).unwrap_err();
            assert!(message.contains(problem), "{message}");
        }
    }

    #[test]
    fn every_band_is_resized_as_a_colour_is() {
        let values: Vec<f32> = (0..5 * 6 * 9).map(|i| (i * 7 % 11) as f32 / 11.0).collect();
        let bands = Image::new([5, 6, 9], values.clone()).unwrap();
        let fitted = crate::fit_center_crop(&bands, 4, 4).unwrap();
        for band in 0..5 {
            let plane = &values[band * 54..(band + 1) * 54];
            let image = Image::rgb(9, 6, plane.repeat(3)).unwrap();
            let expected = crate::fit_center_crop(&image, 4, 4).unwrap();
            assert_eq!(fitted.data[band * 16..(band + 1) * 16], *expected.plane(2));
        }
    }
}
