//! Films as files, and back.

use oneiro_media::{
    Chroma, Ffmpeg, FilmFormat, FilmOptions, VideoReader, VideoWriter, decode_text, write_atomic,
};

use crate::{difference, film_of, frame, moving, outside, text};

/// Films of each format that `ffmpeg` writes, with the mean difference that a round trip may make, in levels.
const VIDEOS: [(FilmFormat, Chroma, f64); 4] = [
    (FilmFormat::Mp4, Chroma::Half, 1.5),
    (FilmFormat::Mp4, Chroma::Full, 1.5),
    (FilmFormat::WebM, Chroma::Half, 1.5),
    (FilmFormat::WebM, Chroma::Full, 1.5),
];

#[test]
fn a_film_comes_back_from_a_video_nearly_unchanged() {
    let Some(program) = outside::ffmpeg() else { return };
    let ffmpeg = Ffmpeg::at(program);
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(64, 48), (63, 65)] {
        let clip = moving(10, width, height);
        for (format, chroma, most) in VIDEOS {
            let name = format!("{format:?} {chroma:?} {width}x{height}");
            let options = FilmOptions { ffmpeg: ffmpeg.clone(), chroma };
            let bytes = film_of(&clip).encode(format, &text(), &options).unwrap();
            assert_eq!(bytes, film_of(&clip).encode(format, &text(), &options).unwrap(), "{name}");
            assert_eq!(FilmFormat::of_bytes(&bytes), Some(format), "{name}");
            assert_eq!(decode_text(&bytes, &name).unwrap(), text(), "{name}");

            let path = folder.path().join("film");
            write_atomic(&path, &bytes).unwrap();
            let mut reader = VideoReader::open(&path, &ffmpeg).unwrap();
            let info = reader.info().clone();
            assert_eq!(
                (info.width, info.height),
                VideoWriter::encoded_size(format, chroma, (width, height)),
                "{name}"
            );
            assert!((info.frames_per_second.unwrap() - 12.5).abs() < 1e-6, "{name}: {info:?}");
            assert!((info.duration.unwrap() - 0.8).abs() < 1e-3, "{name}: {info:?}");
            let frames: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
            assert_eq!((frames.len(), reader.damage()), (10, None), "{name}");
            for (t, read) in frames.iter().enumerate() {
                let error = difference(&read.crop(0, 0, width, height).unwrap(), &frame(&clip, t));
                if t == 5 {
                    println!("{name}: {error:.3}, {} bytes", bytes.len());
                }
                assert!(error < most, "{name}, frame {t}: {error}");
            }
        }
    }
}
