//! Image and video files to tensors and back, sheets and pages of pictures, plots of numbers.
//!
//! One can read photos as networks were trained on them, write pictures that carry how they were made, lay
//! them out with captions, and make films, plots and pages of them.
//!
//! An [`Image`] is what a network eats and what a renderer makes: three planes of `f32` in 0–1.
//!
//! ```text
//! file ─ read_image ─► Image ─ resize, fit_center_crop, classify_crop ─► Image ─► the network
//! the renderer ─► Image ─ write_png (with how it was made) ─► file ─ read_text ─► how it was made
//!                   ├─ encode_png ─ StillFormat ─► JPEG, WebP
//!                   ├─ Film (animated PNG, GIF, WebP, MP4, WebM) ─► file
//!                   └─ Sheet (a grid with captions) ─► Image      └─ Page (one HTML file beside the pictures)
//! video ─ VideoReader, sample_video ─► stills and clips ─► the network
//! numbers ─ Plot (lines, bars, histograms) ─► Image
//! ```
//!
//! ```
//! use oneiro_media::{Cell, Image, PngText, Sheet, encode_png};
//!
//! let mut sheet = Sheet::new(2).title("conv1");
//! for channel in 0..4 {
//!     let picture = Image::filled(64, 64, [channel as f32 / 4.0, 0.5, 0.5]);
//!     sheet = sheet.cell(Cell::new(picture).caption(format!("channel {channel}")));
//! }
//! let how = PngText(vec![("model".into(), "squeezenet1_1".into()), ("seed".into(), "7".into())]);
//! let png = encode_png(&sheet.render()?, &how)?;
//! assert!(png.starts_with(b"\x89PNG"));
//! # Ok::<(), oneiro_media::MediaError>(())
//! ```
//!
//! PNG is always there; the features `jpeg`, `webp`, `tiff`, `bmp` and `gif` (all of them by default) are the
//! other formats. A build without one says so when such a file comes ([`MediaError::LeftOut`]).
//!
//! Values are sRGB as stored in the file, as networks are trained on them: nothing here converts to linear
//! light, and colour profiles are ignored.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod alpha;
mod atomic;
mod bands;
pub mod colormap;
mod disturb;
mod error;
mod ffmpeg;
mod film;
pub mod flow;
mod font;
mod formats;
mod levels;
mod metadata;
mod mosaic;
mod npy;
mod page;
mod plot;
mod read;
mod sheet;
mod still;
mod text;
mod video;
mod write;

pub use atomic::{write_atomic, write_atomic_with, write_hint};
pub use bands::read_bands;
pub use disturb::jpeg_round_trip;
pub use error::{MediaError, Result};
pub use ffmpeg::Ffmpeg;
pub use film::{
    ApngWriter, Chroma, Film, FilmFormat, FilmOptions, FrameRate, TICKS_PER_SECOND, VideoWriter, WRITES_GIF,
    enlarge_pixels,
};
pub use levels::{LEAST_CONTRAST, Levels};
pub use metadata::{decode_text, read_text};
pub use mosaic::{TileLook, mosaic};
pub use npy::read_npy;
pub use oneiro_image::{
    CLASSIFY_CROP_FRACTION, Filter, Image, MAX_PIXELS, classify_crop, classify_scale, fit_center_crop, resize,
};
pub use page::{Figure, Number, Page, Section};
pub use plot::{Plot, Series};
pub use read::{
    IMAGE_EXTENSIONS, decode_image, decode_image_alpha, decode_image_on_black, has_image_name, read_bytes,
    read_image, read_image_alpha,
};
pub use sheet::{Cell, Sheet};
pub use still::StillFormat;
pub use text::PngText;
pub use video::{
    ChosenFrames, ClipStart, FrameChoice, SampledClip, SampledVideo, Sampling, VIDEO_EXTENSIONS, VideoInfo,
    VideoReader, choose_frames, count_frames, has_video_name, is_animation, sample_video, sample_video_with,
};
pub use write::{encode_png, encode_png_alpha, write_png};
