use super::*;

/// An empty folder for one test, removed when the test ends.
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

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_with_the_file_whatever_the_writer_makes_of_it() {
    // Linux's device `/dev/full` refuses every write with "no space left".
    let path = Path::new("/dev/full");
    let says = |error: MediaError| {
        let said = error.to_string();
        assert!(said.starts_with("cannot write `/dev/full`"), "{said}");
        assert!(said.ends_with("free some space or choose another disk"), "{said}");
    };
    says(write_atomic(path, b"x").unwrap_err());
    let lost = |file: &mut dyn Write| -> Result<()> {
        let _ = file.write_all(b"x");
        Err(MediaError::Shape { what: "something else".into() })
    };
    says(write_atomic_with(path, lost).unwrap_err());
}

#[test]
fn errors_do_not_name_the_temporary_file() {
    let wrapped = io::Error::new(io::ErrorKind::StorageFull, "no space at path \"/tmp/.a.png.x.tmp\"");
    let said = write_refused(Path::new("a.png"), wrapped).to_string();
    assert!(said.starts_with("cannot write `a.png`: ") && !said.contains("tmp"), "{said}");
    let other = write_refused(Path::new("a.png"), io::Error::other("the encoder stopped")).to_string();
    assert!(other.contains("the encoder stopped"), "{other}");
}
