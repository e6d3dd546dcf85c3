//! Reads and writes image and video files, and draws contact sheets, HTML pages and plots.
//!
//! It reads photos as networks were trained on them, and writes pictures with a record of how they were made.
//! It also lays pictures out with captions, and makes films, plots and pages.
//!
//! An [`Image`] is the input of a network and the output of a renderer: three planes of `f32` in 0–1.
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
//! PNG is always included; the features `jpeg`, `webp`, `tiff`, `bmp` and `gif` (all on by default) add other
//! formats. A build without a format reports such files with [`MediaError::LeftOut`].
//!
//! Pixel values are sRGB as stored in the file, as networks are trained on them. Nothing converts them to
//! linear light, and colour profiles are ignored.

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
