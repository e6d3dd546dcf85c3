//! Writes films to files with `ffmpeg`, and reads them back.

use oneiro_media::{
    Chroma, Ffmpeg, Film, FilmFormat, FilmOptions, FrameRate, Image, MediaError, PngText, VideoReader,
    VideoWriter, decode_text, write_atomic,
};

use crate::{difference, film_of, frame, moving, outside, text};

/// Formats that `ffmpeg` writes, with the mean difference that a round trip may make, in levels of 255.
const VIDEOS: [(FilmFormat, Chroma, f64); 4] = [
    (FilmFormat::Mp4, Chroma::Half, 3.0),
    (FilmFormat::Mp4, Chroma::Full, 1.5),
    (FilmFormat::WebM, Chroma::Half, 3.0),
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
                assert!(error < most, "{name}, frame {t}: {error}");
            }
        }
    }
}

#[test]
fn a_video_needs_frames_of_one_size_and_a_format_of_videos() {
    let Some(program) = outside::ffmpeg() else { return };
    let options = FilmOptions { ffmpeg: Ffmpeg::at(program), ..FilmOptions::default() };
    let (rate, text) = (FrameRate::new(10.0).unwrap(), PngText::default());
    let new = |format, size| VideoWriter::new(format, size, rate, &text, &options);
    assert!(new(FilmFormat::Gif, (8, 8)).is_err());
    assert!(new(FilmFormat::Mp4, (0, 8)).is_err());
    let mut writer = new(FilmFormat::WebM, (8, 8)).unwrap();
    assert!(writer.push(&Image::filled(8, 9, [0.5; 3])).is_err());
    let error = writer.finish(&mut Vec::new()).unwrap_err();
    assert!(matches!(error, MediaError::Shape { .. }), "{error}");
    let text = PngText(vec![("a".into(), "x\0y".into())]);
    let refused = VideoWriter::new(FilmFormat::Mp4, (8, 8), rate, &text, &options);
    assert!(matches!(refused, Err(MediaError::Text { .. })));
}

#[test]
fn a_longer_last_frame_stays_as_long_in_a_video() {
    let Some(program) = outside::ffmpeg() else { return };
    let options = FilmOptions { ffmpeg: Ffmpeg::at(program), ..FilmOptions::default() };
    let mut film = Film::new();
    (0..3).for_each(|_| film.push(&Image::filled(16, 16, [0.5; 3]), 1).unwrap());
    film.set_times(10, 150);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    write_atomic(&path, &film.encode(FilmFormat::Mp4, &PngText::default(), &options).unwrap()).unwrap();
    let reader = VideoReader::open(&path, &options.ffmpeg).unwrap();
    assert_eq!((reader.info().duration, reader.info().frames), (Some(1.7), Some(17)));
}

#[test]
fn the_version_of_the_program_is_told() {
    let Some(program) = outside::ffmpeg() else { return };
    assert!(Ffmpeg::at(program).version().unwrap().starts_with("ffmpeg version "));
    assert!(matches!(Ffmpeg::at("/nowhere/ffmpeg").version(), Err(MediaError::NoFfmpeg { .. })));
}
