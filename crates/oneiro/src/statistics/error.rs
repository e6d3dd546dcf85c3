//! The error of statistics that cannot be used or computed.

/// The reason why image statistics cannot be used or computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatisticsError {
    /// The picture and the statistics have different numbers of channels.
    #[error(
        "the statistics are of images with {statistics} channels, but the picture has {picture}; use statistics of such images"
    )]
    Channels {
        /// Number of channels of the images from which the statistics were computed.
        statistics: usize,
        /// Number of channels of the picture.
        picture: usize,
    },
    /// The bytes are no statistics. The text says why.
    #[error("these are no statistics of images ({0}); `oneiro statistics` makes them")]
    Unreadable(String),
    /// The statistics could not be encoded.
    #[error("the statistics could not be written: {0}")]
    Write(String),
    /// There were no images, all pixels were equal, or a value was not finite.
    #[error("there are no images, all of their pixels are alike, or some are no numbers")]
    Degenerate,
    /// The colours and the spectra were computed from different numbers of images.
    #[error("colours are of {colors} images, spectra of {spectra}; both should be of the same")]
    Counts {
        /// Number of images from which the colours were computed.
        colors: u64,
        /// Number of images from which the spectra were computed.
        spectra: u64,
    },
    /// The spectrum is zero at all frequencies.
    #[error("the spectrum of the statistics is 0 everywhere")]
    NoSpectrum,
    /// A parametrization needs statistics, but there are none.
    #[error(
        "the colours are to be decorrelated by data, but no statistics are given; `oneiro statistics` computes them from a \
         folder of images"
    )]
    Missing,
}
