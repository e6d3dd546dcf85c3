//! Misbehaviour of `ffmpeg` and `ffprobe`. Shell scripts stand for them, so these tests need neither program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use oneiro_media::{
    Ffmpeg, FilmFormat, FilmOptions, FrameRate, Image, MediaError, PngText, VideoReader, VideoWriter,
    count_frames,
};

/// A script that prints a description as `ffprobe` does.
const DESCRIPTION: &str = r#"echo 'streams.stream.0.width=2
streams.stream.0.height=1
streams.stream.0.avg_frame_rate="25/1"
streams.stream.0.nb_frames="7"
format.format_name="mov,mp4"'"#;
/// A script that prints a frame of 2×1 pixels as `ffmpeg` does.
const FRAME: &str = r"printf 'P6\n2 1\n255\nabcdef'";

/// A folder with scripts in place of both programs, and a file that is no picture.
struct Scripts {
    folder: tempfile::TempDir,
}

impl Scripts {
    fn new(ffprobe: &str, ffmpeg: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, body) in [("ffprobe", ffprobe), ("ffmpeg", ffmpeg)] {
            // Another process writes the script. A child process of a parallel test could otherwise inherit
            // the open file, and a program that is open for writing cannot be started.
            let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
            let path = folder.path().join(name);
            let status = Command::new("sh").args(["-c", write, "sh", body]).arg(path).status().unwrap();
            assert!(status.success());
        }
        fs::write(folder.path().join("a.mp4"), "no picture, but a video for these scripts").unwrap();
        Self { folder }
    }

    fn video(&self) -> PathBuf {
        self.folder.path().join("a.mp4")
    }

    fn ffmpeg(&self) -> Ffmpeg {
        Ffmpeg::at(self.folder.path().join("ffmpeg"))
    }

    fn open(&self) -> Result<VideoReader, MediaError> {
        VideoReader::open(self.video(), &self.ffmpeg())
    }
}

#[test]
fn frames_are_read_and_the_description_is_kept() {
    let scripts = Scripts::new(DESCRIPTION, &format!("{FRAME}; {FRAME}"));
    let mut reader = scripts.open().unwrap();
    let info = reader.info().clone();
    assert_eq!((info.width, info.height, info.frames), (2, 1, Some(7)));
    assert_eq!((info.frames_per_second, info.duration), (Some(25.0), None));
    assert_eq!(reader.next_rgb8().unwrap().unwrap(), b"abcdef");
    assert_eq!((reader.by_ref().count(), reader.damage()), (1, None));
}

#[test]
fn a_program_that_is_ended_from_outside_is_an_error_and_no_end_of_the_video() {
    for body in [
        format!("{FRAME}; kill -9 $$"),
        format!("{FRAME}; printf 'P6\\n2 1\\n'; kill -9 $$"),
        format!("{FRAME}; exit 255"),
    ] {
        let mut reader = Scripts::new(DESCRIPTION, &body).open().unwrap();
        assert!(reader.next().unwrap().is_ok());
        let error = reader.next().unwrap().unwrap_err();
        assert!(matches!(error, MediaError::Ffmpeg { .. }), "{body}: {error}");
        assert!(error.to_string().contains("ended from outside"), "{body}: {error}");
        assert!(reader.next().is_none());
    }
    let scripts = Scripts::new(DESCRIPTION, "echo frame=3; kill -9 $$");
    assert!(matches!(count_frames(scripts.video(), &scripts.ffmpeg()), Err(MediaError::Ffmpeg { .. })));
    assert!(matches!(Scripts::new(DESCRIPTION, "kill -9 $$").open(), Err(MediaError::Ffmpeg { .. })));
    assert!(matches!(Scripts::new("kill -9 $$", FRAME).open(), Err(MediaError::Ffmpeg { .. })));
}

#[test]
fn frames_up_to_the_damage_are_handed_out_with_a_word() {
    let body =
        format!("{FRAME}; {FRAME}; printf 'P6\\n2 1\\n255\\nab'; echo '[mov @ 0x5] it broke' >&2; exit 1");
    let mut reader = Scripts::new(DESCRIPTION, &body).open().unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 2);
    assert_eq!(reader.damage(), Some("ffmpeg says: [mov] it broke"));
}

#[test]
fn a_flood_of_messages_blocks_nothing() {
    let flood = "i=0; while [ $i -lt 3000 ]; do echo \"message $i of some sixty-four bytes, so that a pipe is full soon\" >&2; i=$((i+1)); done";
    let mut reader =
        Scripts::new(DESCRIPTION, &format!("{flood}; {FRAME}; {flood}; {FRAME}")).open().unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 2);
    assert!(reader.damage().unwrap().contains("messages before"), "{:?}", reader.damage());
}

#[test]
fn older_versions_get_the_older_flag() {
    let body = format!(
        "case \"$*\" in *fps_mode*) echo \"Unrecognized option 'fps_mode'.\" >&2; exit 1;; esac; {FRAME}"
    );
    assert_eq!(Scripts::new(DESCRIPTION, &body).open().unwrap().map(Result::unwrap).count(), 1);
}

#[test]
fn a_dropped_reader_ends_and_reaps_the_program() {
    let scripts =
        Scripts::new(DESCRIPTION, &format!("echo $$ > \"${{0%/*}}/pid\"; while {FRAME}; do :; done"));
    let mut reader = scripts.open().unwrap();
    assert_eq!(reader.skip_frames(3).unwrap(), 3);
    let pid = fs::read_to_string(scripts.folder.path().join("pid")).unwrap();
    let process = Path::new("/proc").join(pid.trim());
    let has_proc = process.exists();
    drop(reader);
    assert!(has_proc || !Path::new("/proc/self").exists());
    // The process is neither running nor a zombie.
    assert!(!process.exists());
}

#[test]
fn words_are_not_awaited_from_what_the_program_has_started() {
    let started = Instant::now();
    let mut reader =
        Scripts::new(DESCRIPTION, &format!("{FRAME}; sleep 20 >/dev/null & exit 0")).open().unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 1);
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_is_no_video_and_what_has_no_pictures_says_so() {
    let broken = Scripts::new("echo 'Invalid data found' >&2; exit 1", FRAME)
        .open()
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        broken.contains("it is no video that ffmpeg reads") && broken.contains("Invalid data found"),
        "{broken}"
    );
    let sound =
        Scripts::new("echo 'format.format_name=\"mp3\"'", FRAME).open().map(|_| ()).unwrap_err().to_string();
    assert!(sound.contains("perhaps only sound"), "{sound}");
    let text =
        Scripts::new("echo 'format.format_name=\"tty\"'", FRAME).open().map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("it is no video"), "{text}");
    let huge = DESCRIPTION.replace("width=2", "width=4000000000");
    assert!(matches!(Scripts::new(&huge, FRAME).open(), Err(MediaError::TooLarge { .. })));
    let none = Scripts::new(DESCRIPTION, "exit 0").open().map(|_| ()).unwrap_err().to_string();
    assert!(none.contains("has no frames"), "{none}");
}

#[test]
fn a_program_that_cannot_encode_says_why() {
    let scripts = Scripts::new(DESCRIPTION, "echo \"Unknown encoder 'libx264'\" >&2; exit 1");
    let options = FilmOptions { ffmpeg: scripts.ffmpeg(), ..FilmOptions::default() };
    let rate = FrameRate::new(10.0).unwrap();
    let mut writer =
        VideoWriter::new(FilmFormat::Mp4, (64, 64), rate, &PngText::default(), &options).unwrap();
    // These are more bytes than a pipe can hold.
    let frame = Image::filled(64, 64, [0.5; 3]);
    let pushed: Result<(), MediaError> = (0..100).try_for_each(|_| writer.push(&frame));
    let error = pushed.and_then(|()| writer.finish(&mut Vec::new())).unwrap_err();
    assert!(error.to_string().contains("Unknown encoder 'libx264'"), "{error}");
}
