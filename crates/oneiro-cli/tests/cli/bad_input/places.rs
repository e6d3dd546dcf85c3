//! Output paths to which no result can be written.

use crate::bad_input::{place, refuse, refuse_all};
use crate::files::{npy, wave};
use crate::onnx::Network;
use crate::place::{Place, Report};

#[test]
fn places_where_no_picture_can_go() {
    let place = place();
    place.write("old.png", "an older picture");
    place.write("plain", "a file");
    let long = "x".repeat(300);
    refuse_all(
        &place,
        &[
            (
                "no folder",
                "render net.onnx -u left.conv:1 --out no/where/a.png",
                &["no/where", "does not exist"],
            ),
            ("no folder for raw", "render net.onnx -u left.conv:1 --raw no/a.safetensors", &["folder no"]),
            ("a folder for raw", "render net.onnx -u left.conv:1 --raw folder", &["folder is a folder"]),
            (
                "the same file twice",
                "render net.onnx -u left.conv:1 --out a.png --raw a.png",
                &["--raw a.png"],
            ),
            (
                "the same file twice for a sheet",
                "sheet net.onnx -l left.conv --out a.png --raw a.png",
                &["--raw a.png"],
            ),
            (
                "another format",
                "render net.onnx -u left.conv:1 --out a.tif",
                &["a.tif", ".png, .jpg or .webp"],
            ),
            (
                "transparency in a JPEG",
                "render net.onnx -u left.conv:1 --alpha --out a.jpg",
                &["a.jpg", "transparent", ".webp"],
            ),
            ("no format", "render net.onnx -u left.conv:1 --out picture", &["picture", ".png"]),
            (
                "two pictures in one file",
                "render net.onnx -u left.conv:1 -u left.conv:2 --out old.png",
                &["old.png", "2 pictures", "oneiro sheet"],
            ),
            (
                "two pictures in one file of another format",
                "render net.onnx -u left.conv:1 -u left.conv:2 --out a.jpg",
                &["a.jpg", "2 pictures"],
            ),
            (
                "a folder that is a file",
                "render net.onnx -u left.conv:1 -u left.conv:2 --out plain",
                &["plain is a file"],
            ),
            (
                "a folder in a file",
                "render net.onnx -u left.conv:1 -u left.conv:2 --out plain/pictures",
                &["plain/pictures"],
            ),
            ("a file in a file", "render net.onnx -u left.conv:1 --out plain/a.png", &["plain"]),
            ("a folder for a sheet", "sheet net.onnx --layer left.conv --out folder", &["folder", ".png"]),
            (
                "another format for a sheet",
                "sheet net.onnx --layer left.conv --out a.gif",
                &["a.gif", ".png"],
            ),
            ("no folder for a sheet", "sheet net.onnx --layer left.conv --out no/a.png", &["folder no"]),
            (
                "no folder for numbers",
                "run net.onnx --input x=a.npy --capture left.conv --out no/a",
                &["folder no"],
            ),
            ("a file for the demo", "demo --out plain", &["plain is a file"]),
        ],
    );
    let mut report = Report::default();
    let command = format!("render net.onnx -u left.conv:1 --size 24 --steps 1 --out {long}.png");
    report.case("a name too long", refuse(&place, &command, &["xxx"]));
    // Not even the root user can write to `/proc`.
    #[cfg(target_os = "linux")]
    {
        let command = "render net.onnx -u left.conv:1 --out /proc/a.png";
        report.case("a read-only place", refuse(&place, command, &["/proc"]));
        let command = "render net.onnx -u left.conv:1 -u left.conv:2 --out /proc/pictures";
        report.case("a folder in a read-only place", refuse(&place, command, &["/proc/pictures"]));
        let command = "run net.onnx --input x=a.npy --capture left.conv --out /dev/full";
        place.write("a.npy", npy(&[1, 3, 8, 8], &wave(192)));
        report.case("a full disk", refuse(&place, command, &["/dev/full", "No space"]));
    }
    report.finish();
}

#[cfg(unix)]
#[test]
#[allow(clippy::print_stderr)]
fn a_folder_without_permission_is_refused_before_the_work() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    std::fs::create_dir(place.path("locked")).unwrap();
    std::fs::set_permissions(place.path("locked"), std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(place.path("locked/session"), "").is_ok() {
        std::fs::remove_file(place.path("locked/session")).unwrap();
        eprintln!("skipped: a folder without permission, in which root may write");
        return;
    }
    refuse(&place, "render net.onnx -u left.conv:1 --out locked/a.png", &["locked"]).unwrap();
}

/// The process's limit on file size makes later writes fail, as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_midway_leaves_no_half_picture() {
    const LIMITED: &str = "ulimit -f 64; trap '' XFSZ; exec \"$0\" \"$@\"";
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [256, 256]\n");
    std::fs::create_dir(place.path("full")).unwrap();
    let picture = ["--size", "512", "--steps", "0", "--out", "full/a.png"];
    for what in [["render", "net.onnx", "-u", "left.conv:0"], ["sheet", "net.onnx", "-l", "left.conv"]] {
        let program = place.command(&[&what[..], &picture].concat());
        let output = std::process::Command::new("sh")
            .args(["-c", LIMITED])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(place.path(""))
            .env("ONEIRO_CONFIG", "")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("a.png") && stderr.contains("ile too large"), "{stderr}");
        assert_eq!(stderr.lines().filter(|l| l.starts_with("error: ")).count(), 1, "{stderr}");
        let left: Vec<_> =
            std::fs::read_dir(place.path("full")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}
