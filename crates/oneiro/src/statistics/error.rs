//! Why statistics of pictures cannot be used, or made.

/// Why statistics of pictures cannot be used, or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatisticsError {
    /// A picture of another number of channels.
    #[error(
        "the statistics are of images with {statistics} channels, but the picture has {picture}; use statistics of such images"
    )]
    Channels {
        /// Channels of the images that the statistics are of.
        statistics: usize,
        /// Channels of the picture.
        picture: usize,
    },
    /// Bytes that are no statistics, and why not.
    #[error("these are no statistics of images ({0}); `oneiro statistics` makes them")]
    Unreadable(String),
    /// Statistics that could not be encoded.
    #[error("the statistics could not be written: {0}")]
    Write(String),
    /// Images that have no colours to speak of.
    #[error("there are no images, all of their pixels are alike, or some are no numbers")]
    Degenerate,
    /// Colours and spectra of different numbers of images.
    #[error("colours are of {colors} images, spectra of {spectra}; both should be of the same")]
    Counts {
        /// Images whose colours were taken.
        colors: u64,
        /// Images whose spectra were taken.
        spectra: u64,
    },
    /// A spectrum of zeros.
    #[error("the spectrum of the statistics is 0 everywhere")]
    NoSpectrum,
    /// A parametrization that needs statistics, without any.
    #[error(
        "the colours are to be decorrelated by data, but no statistics are given; `oneiro statistics` computes them from a \
         folder of images"
    )]
    Missing,
}
