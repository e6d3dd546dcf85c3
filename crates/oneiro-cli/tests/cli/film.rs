//! Films of an optimisation, written by `--film`.

use crate::bad_input::refuse_all;
use crate::onnx::Network;
use crate::place::Place;

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    place
}

const RENDER: &[&str] = &["render", "net.onnx", "--size", "20", "--steps", "70"];

#[test]
fn a_film_ends_on_the_picture_and_changes_nothing_of_it() {
    let place = place();
    place.succeed(&[RENDER, &["-u", "left.conv:1", "--out", "alone.png"]].concat());
    for film in ["film.png", "film.apng", "film.gif"] {
        let args = [RENDER, &["-u", "left.conv:1", "--out", "unit.png", "--film", film]].concat();
        let stdout = place.succeed(&args);
        assert!(stdout.contains(&format!("the film to {film}")), "{stdout}");
        assert_eq!(place.read("unit.png"), place.read("alone.png"), "{film}");
    }
    assert_eq!(place.read("film.png"), place.read("film.apng"));
    let still = |name: &str| oneiro_media::read_image(place.path(name)).unwrap();
    assert_eq!(still("film.png"), still("unit.png"));
    // The first frame of the GIF is the start of the optimisation, not its result.
    assert_ne!(still("film.gif"), still("unit.png"));
}

#[test]
fn films_of_several_units_go_into_a_folder_and_are_the_same_as_alone() {
    let place = place();
    // One of the units converges before the other, and its film ends then.
    let units = ["-u", "left.conv:1", "-u", "left.conv:2", "--until-converged", "0.2", "--transform", "none"];
    let args = [RENDER, &units[..], &["--out", "all", "--film", "films/", "--json"]].concat();
    let said = place.json(&args);
    let files: Vec<&str> = said["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert_eq!(
        files,
        ["all/left.conv-1.png", "all/left.conv-2.png", "films/left.conv-1.apng", "films/left.conv-2.apng"]
    );
    for (unit, film) in ["left.conv:1", "left.conv:2"].iter().zip(&files[2..]) {
        let alone = ["-u", unit, "--until-converged", "0.2", "--transform", "none", "--out", "one.png"];
        place.succeed(&[RENDER, &alone, &["--film", "one.png.apng", "--threads", "3"]].concat());
        assert_eq!(place.read("one.png.apng"), place.read(film), "{unit}");
    }
}

#[test]
fn no_steps_make_a_film_of_one_frame() {
    let place = place();
    place.succeed(&[
        "render",
        "net.onnx",
        "-u",
        "left.conv:1",
        "--steps",
        "0",
        "--film",
        "film.gif",
        "--out",
        "a.png",
    ]);
    assert!(place.succeed(&["info", "film.gif"]).contains("film: 1 frames of"));
}

#[test]
fn films_that_cannot_be_are_errors_before_any_work() {
    let place = place();
    place.write("taken", "a file");
    refuse_all(
        &place,
        &[
            ("no format", "render net.onnx -u left.conv:1 --film a.avi", &["--film a.avi", ".gif"]),
            ("no ending", "render net.onnx -u left.conv:1 --film a", &["--film a", ".apng"]),
            (
                "several in one",
                "render net.onnx -u left.conv:1 -u left.conv:2 --out all --film a.gif",
                &["--film a.gif", "name a folder"],
            ),
            (
                "over the picture",
                "render net.onnx -u left.conv:1 --out a.png --film a.png",
                &["--film a.png", "name another file"],
            ),
            ("no folder", "render net.onnx -u left.conv:1 --film none/a.gif", &["none", "does not exist"]),
            (
                "a file for a folder",
                "render net.onnx -u left.conv:1 -u left.conv:2 --out all --film taken/",
                &["taken", "is a file"],
            ),
            (
                "too large",
                "render net.onnx -u left.conv:1 --size 4000 --steps 500 --film a.gif",
                &["4000x4000", "--size"],
            ),
        ],
    );
}
