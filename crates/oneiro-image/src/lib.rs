//! The picture type of this workspace, for stills and clips with any number of channels, with or without
//! opacity, and its resizing.
//!
//! One can make pictures from planes, pixels or a colour, look at their planes, turn them into 8-bit pixels,
//! and bring them to a network's size as in training.
//!
//! ```
//! use oneiro_image::{Extent, Image};
//!
//! let still = Image::filled(4, 3, [0.2, 0.5, 0.8]);
//! assert_eq!((still.channels, still.frames, still.plane(2)[0]), (3, 1, 0.8));
//! let clip = Image::new(Extent { channels: 3, frames: 8, height: 3, width: 4 }, vec![0.5; 288])?;
//! assert_eq!(clip.extent().planes(), 24);
//! # Ok::<(), oneiro_image::ShapeError>(())
//! ```
//!
//! A photo as ImageNet networks see it when they are evaluated:
//!
//! ```
//! use oneiro_image::{CLASSIFY_CROP_FRACTION, Image, classify_crop};
//!
//! let photo = Image::filled(640, 480, [0.2, 0.5, 0.8]);
//! let seen = classify_crop(&photo, 224, 224, CLASSIFY_CROP_FRACTION)?;
//! assert_eq!(seen.shape(), [3, 224, 224]);
//! # Ok::<(), oneiro_image::ShapeError>(())
//! ```
//!
//! Values are sRGB as stored in files, 0 black to 1 white, as networks are trained on them. Values outside
//! 0–1 are kept until a file is written.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod extent;
mod image;
mod resize;

pub use extent::Extent;
pub use image::{Image, quantize};
pub use resize::{CLASSIFY_CROP_FRACTION, Filter, classify_crop, classify_scale, fit_center_crop, resize};

/// The most pixels that an image may have when it is read or made: 128 megapixels, 1.5 GiB as three planes of
/// `f32`.
pub const MAX_PIXELS: u64 = 1 << 27;

/// The error of sizes or numbers that do not make a picture; its text says which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{0}")]
pub struct ShapeError(pub String);
