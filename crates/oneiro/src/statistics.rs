//! Statistics of a set of images: mean colour, covariance of the channels, mean spectrum.
//!
//! Interface: every image is passed twice. [`ColorAccumulator::add`] takes images of any size, and
//! [`ColorAccumulator::finish`] computes the colours and the decorrelated channels. Then
//! [`SpectrumAccumulator::add`] takes the same images, cropped and resized to one size, for the channels'
//! spectra. [`SpectrumAccumulator::finish`] returns the [`Statistics`]. Sums are in f64, in the order of the
//! calls.
//!
//! With x an image and M its [`Mixing`], the spectrum is the mean of |rfft2(M⁻¹·(x − mean colour))|, without
//! normalisation and without a window.

pub(crate) mod error;

pub use error::StatisticsError;

mod radial;

pub use radial::radial_power;

use crate::color::Mixing;
use crate::error::{Error, Result};
use crate::preprocess::FLOW_COMPONENTS;
use crate::spectrum::{Spectrum, SpectrumWork};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Key of the number of images in the file's metadata.
const IMAGES: &str = "images";
/// Key of the kind of images in the file's metadata, and its value for optical flow.
const KIND: &str = "kind";
const FLOW: &str = "flow";

/// Statistics of 1000 photographs, one of each class of ImageNet, computed by
/// `oneiro statistics FOLDER --size 128 --out photographs.safetensors`.
static PHOTOGRAPHS: &[u8] = include_bytes!("../assets/photographs.safetensors");

static IMAGENET: LazyLock<Arc<Statistics>> = LazyLock::new(|| {
    // The file is embedded in the program, and a test reads it.
    Arc::new(Statistics::from_bytes(PHOTOGRAPHS).expect("the embedded statistics can be read"))
});

/// Statistics of the colours and spectra of a set of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    images: u64,
    mean: Vec<f64>,
    covariance: Vec<f64>,
    mixing: Mixing,
    size: [usize; 2],
    spectrum: Vec<f32>,
    is_flow: bool,
}

impl Statistics {
    /// Returns statistics of photographs in RGB, from a sample of ImageNet's validation images.
    pub fn imagenet() -> Arc<Statistics> {
        IMAGENET.clone()
    }

    /// Returns the number of images in the statistics.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Returns the number of channels of the images.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// Returns the mean of each channel, in display units.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Returns the covariance of the channels over all pixels of all images, row-major.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }

    /// Returns the map from decorrelated coordinates to channels: U·√Λ of the covariance
    /// ([`Mixing::from_covariance`]).
    pub fn mixing(&self) -> &Mixing {
        &self.mixing
    }

    /// Returns the height and width of the images whose spectrum was computed.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Returns the mean magnitudes of the decorrelated channels' spectra, `[C, H, W/2 + 1]`.
    pub fn spectrum(&self) -> &[f32] {
        &self.spectrum
    }

    /// Whether these are statistics of optical flow: horizontal and vertical motion in pixels per frame.
    pub fn is_flow(&self) -> bool {
        self.is_flow
    }

    /// Marks statistics of two channels as those of optical flow, in pixels per frame.
    ///
    /// # Errors
    /// If there are not two channels.
    pub fn of_flow(self) -> Result<Statistics> {
        self.require_channels(FLOW_COMPONENTS)?;
        Ok(Statistics { is_flow: true, ..self })
    }

    /// Returns the statistics of factor · x + offset. Decorrelated channels, and thus the spectrum, stay.
    ///
    /// # Errors
    /// If the covariance becomes that of no images.
    pub(crate) fn rescaled(&self, factor: f64, offset: f64) -> Result<Statistics> {
        let mean = self.mean.iter().map(|m| factor * m + offset).collect();
        let covariance: Vec<f64> = self.covariance.iter().map(|c| factor * factor * c).collect();
        let mixing = Mixing::from_covariance(self.channels(), &covariance).ok_or_else(|| {
            Error::from(StatisticsError::Unreadable("the covariance belongs to no images".to_owned()))
        })?;
        Ok(Statistics { mean, covariance, mixing, ..self.clone() })
    }

    /// Returns an error unless the images have this number of channels.
    pub(crate) fn require_channels(&self, channels: usize) -> Result<()> {
        if self.channels() == channels {
            return Ok(());
        }
        Err(StatisticsError::Channels { statistics: self.channels(), picture: channels }.into())
    }

    /// Encodes the statistics as a safetensors file: `mean` `[C]` and `covariance` `[C, C]` (float64),
    /// `spectrum` `[C, H, W/2 + 1]` (float32), `size` `[2]` (float64). The number of images is in the
    /// metadata.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let channels = self.channels();
        let [height, width] = self.size;
        let wide = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let spectrum: Vec<u8> = self.spectrum.iter().flat_map(|v| v.to_le_bytes()).collect();
        let (mean, covariance) = (wide(&self.mean), wide(&self.covariance));
        let size = wide(&[height as f64, width as f64]);
        let parts = [
            ("mean", Dtype::F64, vec![channels], &mean),
            ("covariance", Dtype::F64, vec![channels, channels], &covariance),
            ("size", Dtype::F64, vec![2], &size),
            ("spectrum", Dtype::F32, vec![channels, height, width / 2 + 1], &spectrum),
        ];
        let views = parts
            .into_iter()
            .map(|(name, kind, shape, bytes)| Ok((name, TensorView::new(kind, shape, bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        let mut metadata = HashMap::from([(IMAGES.to_owned(), self.images.to_string())]);
        if self.is_flow {
            metadata.insert(KIND.to_owned(), FLOW.to_owned());
        }
        views
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|error| StatisticsError::Write(error.to_string()).into())
    }

    /// Decodes a file that [`Statistics::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// If the bytes are no such file, or if the values cannot be statistics.
    pub fn from_bytes(bytes: &[u8]) -> Result<Statistics> {
        let wrong = |what: &str| Error::from(StatisticsError::Unreadable(what.to_owned()));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| wrong(&e.to_string()))?;
        let images = header.metadata().as_ref().and_then(|m| m.get(IMAGES)?.parse().ok());
        let images = images.ok_or_else(|| wrong("the count of images is missing"))?;
        let kind = header.metadata().as_ref().and_then(|m| m.get(KIND));
        let is_flow = kind.is_some_and(|kind| kind == FLOW);
        let file = SafeTensors::deserialize(bytes).map_err(|e| wrong(&e.to_string()))?;
        let tensor = |name: &str, kind: Dtype, rank: usize| {
            let view = file.tensor(name).map_err(|e| wrong(&e.to_string()))?;
            if view.dtype() != kind || view.shape().len() != rank {
                return Err(wrong(&format!("\"{name}\" has another type or shape")));
            }
            Ok((view.shape().to_vec(), view.data().to_vec()))
        };
        let wide =
            |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect::<Vec<_>>();
        let (shape, mean) = tensor("mean", Dtype::F64, 1)?;
        let channels = shape[0];
        let (square, covariance) = tensor("covariance", Dtype::F64, 2)?;
        let (two, size) = tensor("size", Dtype::F64, 1)?;
        let (of_spectrum, spectrum) = tensor("spectrum", Dtype::F32, 3)?;
        let size = wide(&size);
        // `as` saturates, so an impossible size fails the comparison of shapes below.
        let size = if two == [2] { [size[0] as usize, size[1] as usize] } else { [0, 0] };
        if square != [channels, channels]
            || size.contains(&0)
            || of_spectrum != [channels, size[0], size[1] / 2 + 1]
        {
            return Err(wrong("the shapes do not fit each other"));
        }
        let (mean, covariance) = (wide(&mean), wide(&covariance));
        let spectrum: Vec<f32> = spectrum.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        if mean.iter().any(|v| !v.is_finite()) || spectrum.iter().any(|v| !(v.is_finite() && *v >= 0.0)) {
            return Err(wrong("a number is not finite, or a magnitude is negative"));
        }
        let mixing = Mixing::from_covariance(channels, &covariance)
            .ok_or_else(|| wrong("the covariance belongs to no images"))?;
        let statistics = Statistics { images, mean, covariance, mixing, size, spectrum, is_flow: false };
        if is_flow { statistics.of_flow() } else { Ok(statistics) }
    }
}

/// Sums of colours and of products of colours, for their mean and covariance.
#[derive(Debug, Clone)]
pub struct ColorAccumulator {
    images: u64,
    pixels: f64,
    sums: Vec<f64>,
    products: Vec<f64>,
}

impl ColorAccumulator {
    /// Creates empty sums for images with this number of channels.
    pub fn new(channels: usize) -> ColorAccumulator {
        assert!(channels > 0, "images have channels");
        ColorAccumulator {
            images: 0,
            pixels: 0.0,
            sums: vec![0.0; channels],
            products: vec![0.0; channels * channels],
        }
    }

    /// Adds an image `[C, H, W]` of any size. Every pixel has equal weight, so larger images have more
    /// weight.
    pub fn add(&mut self, image: &[f32]) {
        let channels = self.sums.len();
        let plane = image.len() / channels;
        assert_eq!(image.len(), channels * plane, "the image must have {channels} channels");
        self.images += 1;
        self.pixels += plane as f64;
        let planes: Vec<&[f32]> = image.chunks_exact(plane.max(1)).collect();
        for (i, a) in planes.iter().enumerate() {
            self.sums[i] += a.iter().map(|v| f64::from(*v)).sum::<f64>();
            for (j, b) in planes.iter().enumerate().skip(i) {
                let product: f64 = a.iter().zip(*b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                self.products[i * channels + j] += product;
                if i != j {
                    self.products[j * channels + i] += product;
                }
            }
        }
    }

    /// Computes mean and covariance. Next, [`SpectrumAccumulator::add`] takes the same images at this height
    /// and width.
    ///
    /// # Errors
    ///
    /// If there was no image, a value was not finite, or all pixels were equal.
    pub fn finish(self, [height, width]: [usize; 2]) -> Result<SpectrumAccumulator> {
        assert!(height > 0 && width > 0, "images have pixels");
        let channels = self.sums.len();
        let mean: Vec<f64> = self.sums.iter().map(|s| s / self.pixels).collect();
        let entry = |k: usize| self.products[k] / self.pixels - mean[k / channels] * mean[k % channels];
        let covariance: Vec<f64> = (0..channels * channels).map(entry).collect();
        let mixing = Mixing::from_covariance(channels, &covariance)
            .ok_or_else(|| Error::from(StatisticsError::Degenerate))?;
        let spectrum = Spectrum::unscaled(height, width);
        Ok(SpectrumAccumulator {
            expected: self.images,
            images: 0,
            mean,
            covariance,
            mixing,
            size: [height, width],
            sums: vec![0.0; channels * spectrum.len()],
            magnitudes: vec![0.0; spectrum.len()],
            work: spectrum.work(),
            spectrum,
        })
    }
}

/// Sums of the magnitudes of images' spectra.
#[allow(missing_debug_implementations)]
pub struct SpectrumAccumulator {
    expected: u64,
    images: u64,
    mean: Vec<f64>,
    covariance: Vec<f64>,
    mixing: Mixing,
    size: [usize; 2],
    sums: Vec<f64>,
    magnitudes: Vec<f32>,
    work: SpectrumWork,
    spectrum: Spectrum,
}

impl SpectrumAccumulator {
    /// Adds an image `[C, H, W]` of the size given to [`ColorAccumulator::finish`].
    pub fn add(&mut self, image: &[f32]) {
        let plane = self.size[0] * self.size[1];
        assert_eq!(image.len(), self.mean.len() * plane, "an image of {:?}", self.size);
        self.images += 1;
        let mut image = image.to_vec();
        for (plane, mean) in image.chunks_exact_mut(plane).zip(&self.mean) {
            plane.iter_mut().for_each(|v| *v -= *mean as f32);
        }
        self.mixing.unapply(&mut image);
        for (plane, sums) in
            image.chunks_exact_mut(plane).zip(self.sums.chunks_exact_mut(self.spectrum.len()))
        {
            self.spectrum.magnitudes_of(plane, &mut self.work, &mut self.magnitudes);
            sums.iter_mut().zip(&self.magnitudes).for_each(|(s, m)| *s += f64::from(*m));
        }
    }

    /// Computes the statistics of all images.
    ///
    /// # Errors
    ///
    /// If the number of images differs from the number whose colours were added.
    pub fn finish(self) -> Result<Statistics> {
        if self.images != self.expected {
            return Err(StatisticsError::Counts { colors: self.expected, spectra: self.images }.into());
        }
        let spectrum = self.sums.iter().map(|s| (s / self.images as f64) as f32).collect();
        Ok(Statistics {
            images: self.images,
            mean: self.mean,
            covariance: self.covariance,
            mixing: self.mixing,
            size: self.size,
            spectrum,
            is_flow: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Images whose channels are mixed from independent noise.
    fn images(rng: &mut Stream, count: usize, pixels: usize) -> Vec<Vec<f32>> {
        (0..count)
            .map(|_| {
                let mut image = vec![0.0; 2 * pixels];
                for k in 0..pixels {
                    let (a, b) = (rng.normal() as f32, rng.normal() as f32);
                    (image[k], image[pixels + k]) = (0.5 + 0.2 * a, 0.3 + 0.1 * a + 0.05 * b);
                }
                image
            })
            .collect()
    }

    fn statistics(images: &[Vec<f32>], size: [usize; 2]) -> Result<Statistics> {
        let mut colors = ColorAccumulator::new(2);
        images.iter().for_each(|i| colors.add(i));
        let mut spectra = colors.finish(size)?;
        images.iter().for_each(|i| spectra.add(i));
        spectra.finish()
    }

    #[test]
    fn noise_has_the_statistics_that_it_was_made_with() {
        let size = [16, 15];
        let found = statistics(&images(&mut Stream::new(1, 0), 200, 240), size).unwrap();
        let near = |a: f64, b: f64, tolerance: f64| assert!((a - b).abs() < tolerance, "{a} {b}");
        near(found.mean()[0], 0.5, 0.005);
        near(found.mean()[1], 0.3, 0.005);
        for (a, b) in found.covariance().iter().zip([0.04, 0.02, 0.02, 0.0125]) {
            near(*a, b, 0.001);
        }
        // White noise in the decorrelated channels has the same flat spectrum in both. An entry is a sum of
        // HW independent values of variance s², so its magnitude has the mean s·√(HW·π/4).
        let half = found.spectrum().len() / 2;
        let inside = |channel: usize| {
            let entries = (1..8).flat_map(|y| (1..8).map(move |x| channel * half + y * 8 + x));
            entries.map(|k| f64::from(found.spectrum()[k])).sum::<f64>() / 49.0
        };
        // M·t = x with the covariance of x; the largest column norm of U√Λ is √λ₁, so t has the variance λ₁.
        let largest = (0.0525 + (0.0525f64.powi(2) - 4.0 * (0.04 * 0.0125 - 0.0004)).sqrt()) / 2.0;
        let expected = (largest * 240.0 * std::f64::consts::FRAC_PI_4).sqrt();
        near(inside(0) / expected, 1.0, 0.03);
        near(inside(1) / expected, 1.0, 0.03);
    }

    #[test]
    fn bytes_bring_the_same_statistics_back() {
        let found = statistics(&images(&mut Stream::new(2, 0), 3, 20), [4, 5]).unwrap();
        let bytes = found.to_bytes().unwrap();
        assert_eq!(Statistics::from_bytes(&bytes).unwrap(), found);
        assert_eq!(found.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn what_is_no_file_of_statistics_is_refused() {
        let bytes = statistics(&images(&mut Stream::new(2, 0), 3, 20), [4, 5]).unwrap().to_bytes().unwrap();
        let mut nan = bytes.clone();
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        for (name, wrong) in [("empty", &[][..]), ("cut", &bytes[..end - 5]), ("nan", &nan)] {
            let error = Statistics::from_bytes(wrong).unwrap_err().to_string();
            assert!(error.contains("oneiro statistics"), "{name}: {error}");
        }
    }

    #[test]
    fn sets_without_images_or_without_contrast_are_refused() {
        assert!(ColorAccumulator::new(3).finish([4, 4]).is_err());
        let mut colors = ColorAccumulator::new(1);
        colors.add(&[0.5; 16]);
        assert!(colors.finish([4, 4]).is_err());
        let mut colors = ColorAccumulator::new(1);
        colors.add(&[0.0, 1.0]);
        assert!(colors.finish([1, 2]).unwrap().finish().is_err());
    }

    #[test]
    fn the_embedded_statistics_are_of_photographs() {
        let photographs = Statistics::imagenet();
        assert_eq!((photographs.channels(), photographs.images()), (3, 1000));
        let mixing = photographs.mixing().rows();
        // The matrix is Lucid's up to signs and sampling: brightness first, then blue against red or yellow.
        assert!(mixing[0] > 0.5 && mixing[3] > 0.5 && mixing[6] > 0.5, "{mixing:?}");
        // Magnitudes fall about as 1/f: they are about four times as large at a quarter of the frequency.
        let [height, width] = photographs.size();
        let half = width / 2 + 1;
        let ring = |k: usize| photographs.spectrum()[k * half + k];
        let fall = ring(height / 32) / ring(height / 8);
        assert!((2.5..7.0).contains(&fall), "{fall}");
    }
}
