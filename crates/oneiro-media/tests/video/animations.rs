//! Reads animated pictures and folders, which need no program `ffmpeg`.

use std::fs;
use std::path::Path;

use oneiro_media::{
    ApngWriter, ClipStart, Ffmpeg, Film, FilmFormat, FilmOptions, FrameChoice, FrameRate, Image, MediaError,
    PngText, Sampling, StillFormat, VideoReader, count_frames, encode_png, sample_video, sample_video_with,
    write_png,
};

use crate::{difference, film_of, frame, moving, text};

/// A path at which there is no `ffmpeg`, because these tests must work without it.
fn no_program() -> Ffmpeg {
    Ffmpeg::at("/nowhere/ffmpeg")
}

/// Film formats, with the mean difference that a round trip may make, in levels of 255.
const FORMATS: [(FilmFormat, f64); 3] =
    [(FilmFormat::Apng, 1e-4), (FilmFormat::WebP, 1e-4), (FilmFormat::Gif, 12.0)];

fn encoded(format: FilmFormat, clip: &Image) -> Vec<u8> {
    film_of(clip).encode(format, &text(), &FilmOptions::default()).unwrap()
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn reason(path: &Path) -> String {
    match VideoReader::open(path, &no_program()).map(|_| ()) {
        Ok(()) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn films_come_back_frame_by_frame_with_their_rate_and_text() {
    let folder = tempfile::tempdir().unwrap();
    for (frames, width, height) in [(7, 24, 20), (1, 24, 20), (3, 63, 65)] {
        let clip = moving(frames, width, height);
        for (format, most) in FORMATS {
            let name = format!("{} {frames} {width}x{height}", format.name());
            let bytes = encoded(format, &clip);
            assert_eq!(bytes, encoded(format, &clip), "{name}");
            assert_eq!(FilmFormat::of_bytes(&bytes), Some(format), "{name}");
            let read = oneiro_media::decode_text(&bytes, &name).unwrap();
            assert_eq!(
                (read.get("unit"), read.get("job")),
                (text().get("unit"), text().get("job")),
                "{name}"
            );

            // A wrong ending does not matter: formats are recognised by their content.
            let path = written(folder.path(), "film.mp4", &bytes);
            let mut reader = VideoReader::open(&path, &no_program()).unwrap();
            let info = reader.info().clone();
            assert_eq!((info.width, info.height, info.frames), (width, height, Some(frames)), "{name}");
            assert!((info.frames_per_second.unwrap() - 12.5).abs() < 1e-6, "{name}: {info:?}");
            assert!((info.duration.unwrap() - 0.08 * frames as f64).abs() < 1e-6, "{name}: {info:?}");
            let read: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
            assert_eq!((read.len(), reader.position(), reader.damage()), (frames, frames, None), "{name}");
            for (t, read) in read.iter().enumerate() {
                let error = difference(read, &frame(&clip, t));
                assert!(error < most, "{name}, frame {t}: {error}");
            }
            assert_eq!(count_frames(&path, &no_program()).unwrap(), (frames, None), "{name}");
        }
    }
}

#[test]
fn frames_are_also_handed_out_in_8_bits() {
    let folder = tempfile::tempdir().unwrap();
    let clip = moving(3, 5, 4);
    let path = written(folder.path(), "a.png", &encoded(FilmFormat::Apng, &clip));
    let mut reader = VideoReader::open(path, &no_program()).unwrap();
    assert_eq!(reader.skip_frames(2).unwrap(), 2);
    assert_eq!(reader.next_rgb8().unwrap().unwrap(), frame(&clip, 2).to_rgb8());
    assert!(reader.next_rgb8().is_none() && reader.next().is_none());
    assert_eq!(reader.skip_frames(4).unwrap(), 0);
}

#[test]
fn animations_that_are_cut_off_yield_the_frames_before_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let clip = moving(6, 24, 20);
    for (format, _) in FORMATS {
        // The film has no text, because text before the pixels would be most of the file.
        let bytes = film_of(&clip).encode(format, &PngText::default(), &FilmOptions::default()).unwrap();
        let mut counts = Vec::new();
        for cut in (1..bytes.len()).step_by(7) {
            let path = written(folder.path(), "cut", &bytes[..cut]);
            // If even the first frame is missing, opening the file gives an error, never a panic.
            let Ok(mut reader) = VideoReader::open(&path, &no_program()) else { continue };
            let read: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
            assert!(
                read.len() == 6 || reader.damage().is_some(),
                "{format:?} cut at {cut}: {} frames",
                read.len()
            );
            assert!(
                read.iter().enumerate().all(|(t, read)| difference(read, &frame(&clip, t)) < 20.0),
                "{format:?}"
            );
            counts.push(read.len());
        }
        assert!(counts.is_sorted() && counts.contains(&3), "{format:?}: {counts:?}");
    }
}

#[test]
fn damaged_animations_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for (format, _) in FORMATS {
        let bytes =
            film_of(&moving(3, 9, 7)).encode(format, &PngText::default(), &FilmOptions::default()).unwrap();
        for at in (0..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let path = written(folder.path(), "damaged", &damaged);
            if let Ok(reader) = VideoReader::open(&path, &no_program()) {
                assert!(reader.take(100).count() < 100);
            }
        }
    }
}

#[test]
fn still_pictures_are_videos_of_one_frame() {
    let folder = tempfile::tempdir().unwrap();
    let image = frame(&moving(1, 12, 9), 0);
    let png = encode_png(&image, &PngText::default()).unwrap();
    for format in [StillFormat::Png, StillFormat::Jpeg, StillFormat::WebP] {
        let path = written(folder.path(), "still", &format.transcode(&png).unwrap());
        let mut reader = VideoReader::open(&path, &no_program()).unwrap();
        assert_eq!((reader.info().frames, reader.info().frames_per_second), (Some(1), None));
        assert_eq!(reader.by_ref().count(), 1, "{format:?}");
    }
}

#[test]
fn a_folder_is_read_in_natural_order_and_needs_one_size() {
    let folder = tempfile::tempdir().unwrap();
    let clip = moving(12, 8, 6);
    for t in 0..12 {
        let path = folder.path().join(format!("frame_{t}.png"));
        write_png(path, &frame(&clip, t), &PngText::default()).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "no frame").unwrap();
    fs::write(folder.path().join(".frame_3.png"), "hidden").unwrap();
    let mut reader = VideoReader::open(folder.path(), &no_program()).unwrap();
    assert_eq!((reader.info().frames, reader.info().frames_per_second), (Some(12), None));
    let read: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(read.len(), 12);
    for (t, read) in read.iter().enumerate() {
        assert!(difference(read, &frame(&clip, t)) < 1e-4, "frame {t}");
    }
    assert_eq!(count_frames(folder.path(), &no_program()).unwrap(), (12, None));

    write_png(folder.path().join("frame_7.png"), &Image::filled(6, 8, [0.0; 3]), &PngText::default())
        .unwrap();
    let mut reader = VideoReader::open(folder.path(), &no_program()).unwrap();
    let error = reader.by_ref().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("frame_7.png") && error.contains("6×8") && error.contains("8×6"), "{error}");
    assert!(reader.next().is_none());
}

#[test]
fn what_is_no_video_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(reason(&written(folder.path(), "empty.mp4", b"")).contains("it is empty"));
    assert!(reason(&path("missing.mp4")).contains("there is no such file"));
    fs::create_dir(path("none")).unwrap();
    assert!(reason(&path("none")).contains("the folder has no pictures"));
    let error = reason(&written(folder.path(), "a.mp4", b"\0\0\0\x18ftypisom"));
    for part in ["`/nowhere/ffprobe`", "apt install ffmpeg", "folders of frames need no such program"] {
        assert!(error.contains(part), "{error}");
    }
    #[cfg(unix)]
    assert!(reason(Path::new("/dev/null")).contains("it is a pipe or a device"));
}

#[test]
fn samples_are_the_frames_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let clip = moving(9, 8, 6);
    let path = written(folder.path(), "a.webp", &encoded(FilmFormat::WebP, &clip));
    let sample = |sampling: Sampling| sample_video(&path, &sampling, &no_program()).unwrap();

    let middle = sample(Sampling::Frame(FrameChoice::Middle));
    assert_eq!((middle.clips.len(), middle.total), (1, Some(9)));
    assert_eq!((middle.clips[0].indices.as_slice(), middle.clips[0].repeated), (&[4][..], 0));
    assert_eq!(middle.clips[0].image.shape(), [3, 6, 8]);
    assert!(difference(&middle.clips[0].image, &frame(&clip, 4)) < 1e-4);

    let long = sample(Sampling::Clip { frames: 6, stride: 2, start: ClipStart::At(3) });
    assert_eq!((&long.clips[0].indices[..], long.clips[0].repeated), (&[3, 5, 7, 8, 8, 8][..], 3));
    assert_eq!(long.clips[0].image.shape(), [3, 6, 6, 8]);
    assert_eq!(long.total, Some(9));
    for (t, index) in [3, 5, 7, 8, 8, 8].into_iter().enumerate() {
        assert!(difference(&frame(&long.clips[0].image, t), &frame(&clip, index)) < 1e-4, "{t}");
    }
    let clips = sample(Sampling::Clips { count: 3, frames: 2, stride: 1 });
    let indices: Vec<_> = clips.clips.iter().map(|clip| clip.indices.clone()).collect();
    assert_eq!(indices, [[1, 2], [4, 5], [6, 7]]);
    // A clip that begins at a given frame does not need the number of frames.
    assert_eq!(sample(Sampling::Clip { frames: 2, stride: 1, start: ClipStart::At(0) }).total, None);

    let error = sample_video(&path, &Sampling::Frame(FrameChoice::At(9)), &no_program()).unwrap_err();
    assert!(
        matches!(error, MediaError::Video { .. }) && error.to_string().contains("it has 9 frames"),
        "{error}"
    );
}

#[test]
fn frames_are_prepared_one_by_one_before_they_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "a.png", &encoded(FilmFormat::Apng, &moving(9, 8, 6)));
    let mut prepared = 0;
    let sampling = Sampling::Clip { frames: 3, stride: 3, start: ClipStart::Center };
    let sampled = sample_video_with(&path, &sampling, &no_program(), |frame| {
        prepared += 1;
        Ok::<_, MediaError>(frame.crop(1, 1, 4, 4)?)
    });
    assert_eq!((sampled.unwrap().clips[0].image.shape(), prepared), (vec![3, 3, 4, 4], 3));
}

#[test]
fn a_film_of_ten_thousand_frames_is_counted_and_sampled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.png");
    let mut writer =
        ApngWriter::new(fs::File::create(&path).unwrap(), 4, 4, 10_000, &PngText::default()).unwrap();
    for t in 0..10_000 {
        writer.push(&Image::filled(4, 4, [(t % 256) as f32 / 255.0, 0.0, 0.0]), 4).unwrap();
    }
    writer.finish().unwrap();
    let sampled = sample_video(&path, &Sampling::Frame(FrameChoice::Middle), &no_program()).unwrap();
    assert_eq!((sampled.total, sampled.info.frames), (Some(10_000), Some(10_000)));
    assert_eq!(sampled.clips[0].image.pixel(0, 0)[0], (5_000 % 256) as f32 / 255.0);
}

#[test]
fn videos_without_the_program_say_what_is_missing() {
    let mut film = Film::at_rate(FrameRate::new(10.0).unwrap());
    film.push(&Image::filled(4, 4, [0.5; 3]), 1).unwrap();
    let options = FilmOptions { ffmpeg: no_program(), ..FilmOptions::default() };
    for format in FilmFormat::ALL {
        let written = film.encode(format, &PngText::default(), &options);
        assert_eq!(written.is_err(), format.needs_ffmpeg(), "{format:?}");
        assert!(!written.is_err_and(|error| !matches!(error, MediaError::NoFfmpeg { .. })), "{format:?}");
    }
}
