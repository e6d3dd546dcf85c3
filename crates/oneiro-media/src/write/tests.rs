use super::*;

/// An empty folder of this test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("oneiro-media-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(entries: &[(&str, &str)]) -> PngText {
    PngText(entries.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
}

#[test]
fn a_picture_comes_back_with_its_text() {
    let folder = Folder::new("roundtrip");
    let path = folder.0.join("a.png");
    let image = Image::from_rgb8(3, 2, &(0..18).map(|i| i * 14).collect::<Vec<u8>>()).unwrap();
    let how = text(&[
        ("model", "squeezenet1_1"),
        ("unit", "fire8:12"),
        ("empty", ""),
        ("lines", "one\ntwo"),
        ("latin", "Größe ±½"),
        ("greek", "κ = 0.5, γ → 10 ✓"),
    ]);
    write_png(&path, &image, &how).unwrap();
    assert_eq!(crate::read_image(&path).unwrap(), image);
    assert_eq!(read_text(&path).unwrap(), how);
    assert_eq!(how.get("unit"), Some("fire8:12"));
    assert_eq!(how.get("seed"), None);
    assert_eq!(folder.names(), ["a.png"]);

    let bytes = fs::read(&path).unwrap();
    let chunks = |kind: &[u8]| bytes.windows(4).filter(|window| *window == kind).count();
    assert_eq!((chunks(b"tEXt"), chunks(b"iTXt"), chunks(b"tIME")), (5, 1, 0));
    assert!(bytes.windows(12).any(|window| window == b"oneiro:model"));
}

#[test]
fn a_transparent_picture_comes_back_with_its_colours_and_text() {
    let image = Image::from_rgb8(3, 2, &(0..18).map(|i| i * 14).collect::<Vec<u8>>()).unwrap();
    let alpha = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    let how = text(&[("seed", "7")]);
    let bytes = encode_png_alpha(&image, &alpha, &how).unwrap();
    assert_eq!(crate::decode_image_alpha(&bytes, "a.png").unwrap(), (image.clone(), Some(alpha.to_vec())));
    assert_eq!(decode_text(&bytes, "a.png").unwrap(), how);
    assert_eq!(bytes[25], 6, "the colour type RGBA");
    let clamped = encode_png_alpha(&image, &[-1.0, 2.0, f32::NAN, 1.0, 1.0, 1.0], &how).unwrap();
    let (_, alpha) = crate::decode_image_alpha(&clamped, "b.png").unwrap();
    assert_eq!(alpha.unwrap()[..3], [0.0, 1.0, 0.0]);
    let error = encode_png_alpha(&image, &[1.0; 5], &how).unwrap_err().to_string();
    assert_eq!(error, "an image of 3×2 pixels needs one alpha value a pixel; 5 were given");
}

#[test]
fn the_same_picture_and_text_give_the_same_bytes() {
    let image = Image::rgb(32, 32, (0..3 * 1024).map(|i| (i * 37 % 256) as f32 / 255.0).collect()).unwrap();
    let how = text(&[("seed", "7")]);
    assert_eq!(encode_png(&image, &how).unwrap(), encode_png(&image, &how).unwrap());
}

#[test]
fn keywords_and_texts_that_png_cannot_hold_are_errors() {
    let image = Image::filled(1, 1, [0.0; 3]);
    let long = "k".repeat(73);
    for (key, value) in
        [("", "x"), (long.as_str(), "x"), ("größe", "x"), ("a  b", "x"), ("a ", "x"), ("a", "x\0y")]
    {
        let error = encode_png(&image, &text(&[(key, value)])).unwrap_err();
        assert!(matches!(error, MediaError::Text { .. }), "{key}: {error:?}");
    }
    assert!(encode_png(&image, &text(&[(&long[..72], "x")])).is_ok());
    assert!(encode_png(&Image::filled(0, 0, [0.0; 3]), &PngText::default()).is_err());
}

#[test]
fn text_is_read_from_png_and_gif_files_alone() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    assert_eq!(read_text(format!("{data}rgb.png")).unwrap(), PngText::default());
    let error = read_text(format!("{data}upright.jpg")).unwrap_err().to_string();
    assert!(
        error.contains("upright.jpg` was made: it is no PNG or GIF file; only PNG and GIF files"),
        "{error}"
    );

    let folder = Folder::new("cut");
    let path = folder.0.join("cut.png");
    fs::write(&path, &fs::read(format!("{data}rgb.png")).unwrap()[..30]).unwrap();
    assert!(matches!(read_text(&path), Err(MediaError::NoText { .. })));
}

#[test]
fn an_older_file_is_replaced_and_a_link_is_followed() {
    let folder = Folder::new("replace");
    let path = folder.0.join("report.html");
    write_atomic(&path, b"first, and longer").unwrap();
    write_atomic(&path, b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    let name_of_255_bytes = folder.0.join("n".repeat(255));
    write_atomic(&name_of_255_bytes, b"long name").unwrap();
    fs::remove_file(name_of_255_bytes).unwrap();

    #[cfg(unix)]
    {
        let link = folder.0.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_atomic(&link, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(folder.names(), ["link", "report.html"]);
    }
}

#[cfg(unix)]
#[test]
fn a_device_is_written_to_and_stays_a_device() {
    write_atomic("/dev/null", b"gone").unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn each_path_that_cannot_be_written_has_its_message_and_leaves_nothing_behind() {
    let folder = Folder::new("refused");
    fs::write(folder.0.join("file"), b"").unwrap();
    let too_long = "n".repeat(300);
    let cases = [
        (".", "it is a folder; add a file name"),
        ("missing/a.png", "missing` does not exist; make it first (mkdir -p '"),
        ("file/a.png", "file` is not a folder; choose another path"),
        ("new/", "the path has no file name"),
        (too_long.as_str(), "choose a shorter file name"),
    ];
    for (name, expected) in cases {
        let path = folder.0.join(name);
        let error = write_atomic(&path, b"x").unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write `{}`", path.display())), "{name}: {error}");
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert_eq!(folder.names(), ["file"]);
}

#[test]
fn writers_of_the_same_name_at_the_same_time_leave_one_complete_file() {
    let folder = Folder::new("race");
    let path = folder.0.join("a.bin");
    std::thread::scope(|scope| {
        for value in 0..8u8 {
            let path = &path;
            scope.spawn(move || write_atomic(path, &vec![value; 100_000]).unwrap());
        }
    });
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 100_000);
    assert!(bytes.iter().all(|byte| *byte == bytes[0]));
    assert_eq!(folder.names(), ["a.bin"]);
}
