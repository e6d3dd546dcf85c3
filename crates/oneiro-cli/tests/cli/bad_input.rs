//! Whatever is wrong gives one message that names it, exit code 1 or 2, and nothing else: no result, no file,
//! no panic.

use crate::files::{Tensors, npy, picture, safetensors, wave};
use crate::onnx::{CLASSES, Network};
use crate::place::{Place, Report, check, fixture};

/// What is wrong, the command (words in single quotes stay together), and what the message has to say.
pub type Case<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Splits a command at spaces, except in single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in command.split('\'').enumerate() {
        match i % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Runs a command that has to fail, and says what is wrong with how it fails.
pub fn refuse(place: &Place, command: &str, says: &[&str]) -> Result<(), String> {
    let before = place.listing();
    let words = words(command);
    let args: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = place.run(&args);
    let shown = || format!("oneiro {command}\n{outcome:#?}");
    check(matches!(outcome.code, Some(1 | 2)), || format!("exit code {:?} of {}", outcome.code, shown()))?;
    check(outcome.stdout.is_empty(), || format!("something on standard output of {}", shown()))?;
    check(!outcome.stderr.contains("panicked"), || format!("a panic in {}", shown()))?;
    let errors = outcome.stderr.lines().filter(|l| l.starts_with("error: ")).count();
    check(errors == 1, || format!("{errors} messages in {}", shown()))?;
    for part in says {
        check(outcome.stderr.contains(part), || format!("no word of \"{part}\" in {}", shown()))?;
    }
    let after = place.listing();
    let left: Vec<&String> = after.keys().filter(|name| before.get(*name) != after.get(*name)).collect();
    check(left.is_empty() && before.len() == after.len(), || format!("left {left:?} behind: {}", shown()))
}

/// Runs commands that have to fail.
pub fn refuse_all(place: &Place, cases: &[Case<'_>]) {
    let mut report = Report::default();
    for (name, command, says) in cases {
        report.case(name, refuse(place, command, says));
    }
    report.finish();
}

/// A folder with the tiny network `net.onnx`, its card and its labels.
fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "labels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("classes.txt", "goldfish\ncrane\nmacaw\ncrane\n");
    place.write("folder/inside.txt", "");
    place
}

#[test]
fn models_that_are_none() {
    let place = place();
    let whole = Network::default().bytes();
    place.write("empty.onnx", "");
    place.write("cut.onnx", &whole[..whole.len() / 2]);
    place.write("text.onnx", "This is a text about networks.\n");
    place.write("picture.onnx", picture(8, 8));
    place.write("shell.onnx", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123\n");
    refuse_all(
        &place,
        &[
            ("missing", "layers nowhere.onnx", &["nowhere.onnx", "squeezenet1_1"]),
            ("a name that no network has", "layers resnet", &["resnet", "squeezenet1_1"]),
            ("a folder", "layers folder", &["folder is a folder"]),
            ("empty", "layers empty.onnx", &["empty.onnx", "empty"]),
            ("cut off", "layers cut.onnx", &["cut.onnx", "truncated"]),
            ("a text", "layers text.onnx", &["text.onnx", "not an ONNX model"]),
            ("a picture", "layers picture.onnx", &["picture.onnx", "not an ONNX model"]),
            ("a pointer of git-lfs", "layers shell.onnx", &["shell.onnx", "not an ONNX model"]),
            ("its own card", "layers net.toml", &["net.toml"]),
            ("none given", "layers", &["MODEL"]),
            ("a command that does not exist", "paint net.onnx", &["paint"]),
        ],
    );
    // Wherever a file is cut off, and whatever a byte of it becomes, the program says so or works.
    let mut report = Report::default();
    for cut in (0..whole.len()).step_by(whole.len() / 24) {
        place.write("cut.onnx", &whole[..cut]);
        let outcome = place.run(&["layers", "cut.onnx", "--preprocess", "unit"]);
        let fine = matches!(outcome.code, Some(0 | 1)) && !outcome.stderr.contains("panicked");
        report.case(&format!("cut at {cut}"), check(fine, || format!("{outcome:?}")));
        let mut damaged = whole.clone();
        damaged[cut] ^= 0x55;
        place.write("cut.onnx", &damaged);
        let outcome = place.run(&["layers", "cut.onnx", "--preprocess", "unit"]);
        let fine = matches!(outcome.code, Some(0 | 1)) && !outcome.stderr.contains("panicked");
        report.case(&format!("damaged at {cut}"), check(fine, || format!("{outcome:?}")));
    }
    report.finish();
}

#[test]
fn cards_and_labels_that_do_not_fit() {
    let place = place();
    let card = |lines: &str| format!("[[input]]\nname = \"x\"\n{lines}\n");
    place.write("not.toml", "this is = = not TOML\n");
    place.write("binary.toml", [0xff, 0xfe, 0x00]);
    place.write("other.toml", "[[input]]\nname = \"pixels\"\n");
    place.write("none.toml", "name = \"empty\"\n");
    place.write("means.toml", card("mean = [0.5, 0.5]"));
    place.write("std.toml", card("std = [1.0, 0.0, 1.0]"));
    place.write("word.toml", card("colour = \"rgb\""));
    place.write("kind.toml", card("kind = \"movie\""));
    place.write("size.toml", card("size = [0, 24]"));
    place.write("gray.toml", card("order = \"gray\""));
    place.write("twice.toml", card("[[input]]\nname = \"x\""));
    place.write("layers.toml", card("[layers]\n\"eye\" = \"/left/eye/Conv\""));
    place.write("lost.toml", format!("labels = \"lost.txt\"\n{}", card("")));
    place.write("blank.txt", "\n\n");
    refuse_all(
        &place,
        &[
            ("missing", "layers net.onnx --card nowhere.toml", &["nowhere.toml"]),
            ("a folder", "layers net.onnx --card folder", &["folder"]),
            ("no TOML", "layers net.onnx --card not.toml", &["not.toml", "line 1"]),
            ("no text", "layers net.onnx --card binary.toml", &["binary.toml", "UTF-8"]),
            ("another input", "layers net.onnx --card other.toml", &["\"pixels\"", "it has x"]),
            (
                "labels of another network",
                "render net.onnx -u class:cat --card none.toml --preprocess unit --labels cifar10 --size 16",
                &["10 class labels", "--labels"],
            ),
            ("two means", "layers net.onnx --card means.toml", &["means.toml", "`mean`", "2 numbers", "3"]),
            ("a deviation of 0", "layers net.onnx --card std.toml", &["std.toml", "`std`", "above 0"]),
            ("an unknown key", "layers net.onnx --card word.toml", &["word.toml", "colour"]),
            ("an unknown kind", "layers net.onnx --card kind.toml", &["kind.toml", "movie", "`clip`"]),
            ("a size of 0", "layers net.onnx --card size.toml", &["size.toml", "`size`"]),
            ("the input twice", "layers net.onnx --card twice.toml", &["twice.toml", "two inputs named `x`"]),
            (
                "one channel",
                "render net.onnx --card gray.toml -u left.conv:1",
                &["\"x\"", "3 channels", "prepared with 1"],
            ),
            (
                "one channel, to classify",
                "classify net.onnx --card gray.toml net.onnx",
                &["\"x\"", "3 channels", "prepared with 1"],
            ),
            (
                "a short name for nothing",
                "render net.onnx --card layers.toml -u eye:1",
                &["\"eye\" stands for nothing", "/left/eye/Conv"],
            ),
            ("lost labels", "layers net.onnx --card lost.toml", &["lost.txt", "imagenet1k"]),
            ("unknown labels", "layers net.onnx --labels imagenet22k", &["imagenet22k", "imagenet1k"]),
            ("a folder of labels", "layers net.onnx --labels folder", &["folder"]),
            ("labels without one", "layers net.onnx --labels blank.txt", &["blank.txt"]),
            ("means as flags", "layers net.onnx --mean 1,2", &["`mean`", "2 numbers"]),
            ("a mean that is none", "layers net.onnx --mean 1,x,2", &["--mean", "'x'"]),
            ("a mean beyond numbers", "layers net.onnx --mean 1,nan,2", &["`mean`", "NaN"]),
            ("a negative deviation", "layers net.onnx --std -1,1,1", &["`std`", "-1"]),
            ("a range of 0", "layers net.onnx --range 0", &["`range`", "above 0"]),
            ("unknown preparation", "layers net.onnx --preprocess torch", &["torch", "imagenet", "caffe"]),
            ("unknown order", "layers net.onnx --order grb", &["grb", "bgr"]),
        ],
    );
}

#[test]
fn units_that_do_not_exist() {
    let place = place();
    place.write("bare.toml", "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    refuse_all(
        &place,
        &[
            ("a layer", "render net.onnx -u left.con:1", &["\"left.con\"", "\"left.conv\"", "oneiro layers"]),
            (
                "a layer, after one that exists",
                "render net.onnx -u left.conv:1 -u rigth.conv:1 --out pictures/",
                &["\"rigth.conv\"", "\"right.conv\""],
            ),
            (
                "an ambiguous layer",
                "render net.onnx -u conv:1",
                &["\"conv\" is ambiguous", "left.conv", "right.conv"],
            ),
            ("a weight", "render net.onnx -u left.weight:1", &["\"left.weight\" is a constant"]),
            ("a channel", "render net.onnx -u left.conv:6", &["channel 6", "left.conv", "0 to 5"]),
            (
                "a channel, after one that exists",
                "render net.onnx -u left.conv:1 -u left.conv:60 --out pictures/",
                &["channel 60", "0 to 5"],
            ),
            (
                "a channel, before one that exists elsewhere",
                "render net.onnx -u left.conv:60 -u right.conv:1 --out pictures/",
                &["channel 60", "0 to 5"],
            ),
            ("a huge channel", "render net.onnx -u left.conv:99999999999999999999", &["whole number"]),
            ("a position", "render net.onnx -u left.conv:1@128,0", &["[128, 0]", "left.conv", "[128, 128]"]),
            ("a position of three", "render net.onnx -u left.conv:1@0,0,0", &["[0, 0, 0]", "[128, 128]"]),
            ("a class", "render net.onnx -u class:goldfihs", &["goldfihs", "0 (goldfish)"]),
            ("a class that is two", "render net.onnx -u class:crane", &["crane", "1 (crane)", "3 (crane)"]),
            ("ImageNet's cranes", "render squeezenet1_1 -u class:crane", &["134 (crane)", "517 (crane)"]),
            ("a class beyond the last", "render net.onnx -u class:4", &["4"]),
            (
                "a class without labels",
                "render net.onnx --card bare.toml -u class:cat",
                &["\"cat\"", "--labels"],
            ),
            (
                "a class's index without labels",
                "render net.onnx --card bare.toml -u class:9",
                &["class 9", "0 to 3"],
            ),
            (
                "a class that the labels have and the network has not",
                "render net.onnx --labels imagenet1k -u class:daisy",
                &["class 985", "0 to 3"],
            ),
            ("classes of a sheet", "sheet net.onnx --class daisy", &["daisy"]),
            ("a layer of a sheet", "sheet net.onnx --layer left.con", &["\"left.con\"", "\"left.conv\""]),
            ("channels of a sheet", "sheet net.onnx --layer left.conv --units 4-7", &["channel 6", "0 to 5"]),
            (
                "channels of a sheet's first layer",
                "sheet net.onnx --layer right.conv --layer left.conv --units 0-5",
                &["channel 4", "right.conv", "0 to 3"],
            ),
            ("a layer to time", "bench net.onnx --capture left.con", &["\"left.con\"", "\"left.conv\""]),
        ],
    );
}

#[test]
fn words_that_cannot_be_read() {
    refuse_all(
        &place(),
        &[
            ("nothing to render", "render net.onnx", &["--unit", "--objective"]),
            ("nothing to show", "sheet net.onnx", &["--layer", "--class"]),
            (
                "nothing to store",
                "run net.onnx --input x=a.npy --out a.safetensors",
                &["--capture", "--grad"],
            ),
            ("an empty unit", "render net.onnx -u ''", &["a unit is"]),
            (
                "no channel",
                "render net.onnx -u left.conv:",
                &["\"left.conv:\"", "the channel is missing", "a unit is"],
            ),
            (
                "a channel in words",
                "render net.onnx -u left.conv:five",
                &["\"left.conv:five\"", "whole number"],
            ),
            ("a negative channel", "render net.onnx -u left.conv:-1", &["\"left.conv:-1\"", "whole number"]),
            ("no position", "render net.onnx -u left.conv:1@", &["\"left.conv:1@\"", "position"]),
            ("an open quote", "render net.onnx -u '\"left.conv:1'", &["quote"]),
            ("no class", "render net.onnx -u class:", &["class is missing"]),
            (
                "an unknown term",
                "render net.onnx --objective 'chanel(a,1)'",
                &["\"chanel\"", "channel(LAYER,C)"],
            ),
            ("an open parenthesis", "render net.onnx --objective 'channel(left.conv,1'", &["not closed"]),
            ("no term", "render net.onnx --objective 1.5", &["1.5", "nothing"]),
            (
                "an unknown transform",
                "render net.onnx -u left.conv:1 --transform 'shake(3)'",
                &["`shake`", "jitter"],
            ),
            (
                "a bad argument of a transform",
                "render net.onnx -u left.conv:1 --transform 'pad(12)|scale(2..1)'",
                &["`scale(2..1)`", "2 is above 1"],
            ),
            ("size 0", "render net.onnx -u left.conv:1 --size 0", &["--size", "\"0\""]),
            ("half a size", "render net.onnx -u left.conv:1 --size 32x", &["--size", "\"\""]),
            ("a size in words", "render net.onnx -u left.conv:1 --size big", &["--size", "\"big\""]),
            (
                "a size beyond memory",
                "render net.onnx -u left.conv:1 --size 100000",
                &["--size", "\"100000\"", "8192"],
            ),
            ("a negative size", "render net.onnx -u left.conv:1 --size -32", &["--size", "-32"]),
            ("negative steps", "render net.onnx -u left.conv:1 --steps -1", &["--steps", "-1"]),
            ("steps in words", "render net.onnx -u left.conv:1 --steps many", &["--steps", "many"]),
            ("a negative seed", "render net.onnx -u left.conv:1 --seed -1", &["--seed", "-1"]),
            (
                "a rate that is no number",
                "render net.onnx -u left.conv:1 --learning-rate NaN",
                &["--learning-rate", "NaN"],
            ),
            ("a rate of 0", "render net.onnx -u left.conv:1 --lr 0", &["--learning-rate", "positive"]),
            ("a negative rate", "render net.onnx -u left.conv:1 --lr -0.5", &["--learning-rate", "-0.5"]),
            ("an infinite rate", "render net.onnx -u left.conv:1 --lr inf", &["--learning-rate", "inf"]),
            (
                "a fraction above 1",
                "render net.onnx -u left.conv:1 --until-converged 2",
                &["--until-converged", "2"],
            ),
            (
                "a fraction that is none",
                "render net.onnx -u left.conv:1 --until-converged nan",
                &["--until-converged"],
            ),
            ("an unknown preset", "render net.onnx -u left.conv:1 --preset dali", &["dali", "lucid"]),
            (
                "an unknown optimiser",
                "render net.onnx -u left.conv:1 --optimizer newton",
                &["newton", "adam", "lbfgs"],
            ),
            (
                "momentum for an optimiser that has none",
                "render net.onnx -u left.conv:1 --momentum 0.9",
                &["--momentum 0.9", "adam has no momentum", "beta1"],
            ),
            (
                "a momentum of 1",
                "render net.onnx -u left.conv:1 --optimizer sgd --momentum 1",
                &["--momentum 1", "less than 1"],
            ),
            (
                "a schedule that is none",
                "render net.onnx -u left.conv:1 --schedule linear",
                &["--schedule", "linear", "inverse-time(K)"],
            ),
            (
                "an unknown parametrization",
                "render net.onnx -u left.conv:1 --param voxel",
                &["cppn", "fourier"],
            ),
            ("an unknown flag", "render net.onnx -u left.conv:1 --colour", &["--colour"]),
            (
                "units that run backwards",
                "sheet net.onnx --layer left.conv --units 3-1",
                &["--units", "3-1", "backwards"],
            ),
            ("units in words", "sheet net.onnx --layer left.conv --units some", &["--units", "some"]),
            ("no units", "sheet net.onnx --layer left.conv --units ''", &["--units"]),
            (
                "too many units",
                "sheet net.onnx --layer left.conv --units 0-4000000000",
                &["--units", "too long"],
            ),
            ("no columns", "sheet net.onnx --layer left.conv --columns 0", &["--columns", "0"]),
            ("no threads", "layers net.onnx --threads 0", &["--threads", "0"]),
            ("too many threads", "layers net.onnx --threads 1000000", &["--threads", "1000000"]),
            ("another device", "layers net.onnx --device cuda", &["--device", "cuda", "cpu"]),
            ("no batch", "bench net.onnx --batch 0", &["--batch", "0"]),
            ("no classes named", "classify net.onnx a.png --top 0", &["--top", "0"]),
            ("all cut away", "classify net.onnx a.png --crop 0", &["--crop 0"]),
            ("a negative crop", "classify net.onnx a.png --crop -1", &["--crop", "-1"]),
            ("a negative tolerance", "check net.onnx a.safetensors --rtol -1", &["--rtol", "-1"]),
            (
                "a tolerance that is none",
                "check net.onnx a.safetensors --grad-rtol nan",
                &["--grad-rtol", "NaN"],
            ),
        ],
    );
}

#[test]
fn sizes_that_a_network_does_not_accept() {
    let place = place();
    place.borrow("plain2d.legacy.onnx", "plain.onnx");
    place.write("plain.toml", "[[input]]\nname = \"x\"\n");
    refuse_all(
        &place,
        &[
            (
                "a picture without a window",
                "render net.onnx -u right.conv:1 --size 2",
                &["/right/conv/Conv", "Conv"],
            ),
            (
                "a unit after one that fits",
                "render net.onnx -u left.conv:1 -u right.conv:1 --size 2 --out pictures/",
                &["/right/conv/Conv"],
            ),
            (
                "a unit before one that fits",
                "render net.onnx -u right.conv:1 -u left.conv:1 --size 2 --out pictures/",
                &["/right/conv/Conv"],
            ),
            (
                "a class of the embedded network",
                "render squeezenet1_1 -u class:goldfish --size 8",
                &["pool", "Pool"],
            ),
            ("to time", "bench net.onnx --size 1x24", &["/right/conv/Conv"]),
            ("a sheet beyond memory", "sheet squeezenet1_1 -l conv1 --units 0-63 --size 8000", &["8000"]),
        ],
    );
}

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
    // Not even root can write here.
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

#[test]
fn images_that_are_none() {
    let place = place();
    let whole = picture(20, 30);
    place.write("photo.png", &whole);
    place.write("cut.png", &whole[..whole.len() / 2]);
    place.write("empty.png", "");
    place.write("text.png", "not a picture");
    place.write("photos/goldfish/a.png", &whole);
    place.write("photos/macaw/a.png", &whole[..60]);
    place.write("nothing/readme.txt", "no picture here");
    place.borrow("clip3d.legacy.onnx", "clip.onnx");
    place.borrow("two_stream.legacy.onnx", "streams.onnx");
    place.write("gray.onnx", Network { channels: 1, ..Network::default() }.bytes());
    refuse_all(
        &place,
        &[
            ("missing", "classify net.onnx nowhere.png", &["nowhere.png", "no such file"]),
            ("a folder without images", "classify net.onnx nothing", &["no image", "nothing"]),
            ("a folder without images in it", "classify net.onnx folder", &["no image", "folder"]),
            ("cut off", "classify net.onnx cut.png", &["cut.png", "cut off"]),
            ("empty", "classify net.onnx empty.png", &["empty.png", "empty"]),
            ("a text", "classify net.onnx text.png", &["text.png", "unknown format"]),
            ("a model", "classify net.onnx net.onnx", &["net.onnx", "unknown format"]),
            ("none", "classify net.onnx", &["IMAGE"]),
            (
                "for a network of one channel",
                "classify gray.onnx --order rgb photo.png",
                &["1 channel", "prepared with 3"],
            ),
            (
                "for a network of three",
                "classify net.onnx --order gray photo.png",
                &["3 channels", "prepared with 1"],
            ),
            (
                "for a network of clips",
                "classify clip.onnx --preprocess unit photo.png",
                &["\"clip\"", "takes clips"],
            ),
            (
                "for two streams",
                "classify streams.onnx --preprocess unit photo.png",
                &["streams.onnx", "single images"],
            ),
        ],
    );
    // Small pictures are enlarged.
    for (name, width, height) in [("one.png", 1, 1), ("wide.png", 300, 1), ("high.png", 1, 300)] {
        place.write(name, picture(width, height));
        assert!(place.succeed(&["classify", "net.onnx", name]).contains('%'), "{name}");
    }
}

#[test]
fn networks_that_see_no_images() {
    let place = Place::new();
    place.borrow("clip3d.legacy.onnx", "clip.onnx");
    place.write("clip.toml", "[[input]]\nname = \"clip\"\nkind = \"clip\"\nframes = 5\n");
    place.borrow("two_stream.legacy.onnx", "streams.onnx");
    place.write(
        "streams.toml",
        "[[input]]\nname = \"rgb\"\n[[input]]\nname = \"flow\"\nkind = \"flow\"\nrange = 20.0\nframes = 3\n",
    );
    refuse_all(
        &place,
        &[
            ("a clip", "render clip.onnx -u temporal:1", &["\"clip\"", "not an image"]),
            ("a clip on a sheet", "sheet clip.onnx -l temporal", &["\"clip\"", "not an image"]),
            ("flow", "render streams.onnx -u flow_act:1", &["\"flow\"", "not an image"]),
            (
                "four channels",
                "render streams.onnx -u rgb_act:1",
                &["\"rgb\"", "4 channels", "prepared with 3"],
            ),
        ],
    );
}

#[test]
fn weights_that_are_no_numbers() {
    let place = place();
    place.write("sick.onnx", Network { poisoned: true, ..Network::default() }.bytes());
    place.write("sick.toml", "[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("photo.png", picture(24, 24));
    refuse_all(
        &place,
        &[
            ("a unit", "render sick.onnx -u left.conv:0", &["left.weight channel 0", "left.conv:0 depends"]),
            ("no steps", "render sick.onnx -u left.conv:0 --steps 0", &["left.conv:0", "finite"]),
            (
                "one of several",
                "render sick.onnx -u left.conv:1 -u left.conv:0 --out p/",
                &["left.weight channel 0", "left.conv:0 depends"],
            ),
            ("a class", "render sick.onnx -u class:1", &["class:1 depends", "finite"]),
            ("a sheet", "sheet sick.onnx -l right.conv", &["right.conv:3 depend", "finite"]),
            ("classes", "classify sick.onnx photo.png", &["photo.png", "left.weight channel 0"]),
            (
                "a rate that throws the picture out of the numbers",
                "render net.onnx -u left.conv:1 --lr 1e38 --steps 9",
                &["channel(left.conv,1)", "finite", "learning rate"],
            ),
            (
                "the same in the last step",
                "render net.onnx -u left.conv:1 --lr 1e38 --steps 1",
                &["channel(left.conv,1)", "finite", "learning rate"],
            ),
        ],
    );
}

#[test]
fn operators_that_are_missing() {
    let place = place();
    place.write("odd.onnx", Network { middle: "Hoist", ..Network::default() }.bytes());
    refuse_all(
        &place,
        &[
            (
                "behind it",
                "render odd.onnx --preprocess unit -u right.conv:1",
                &["Hoist", "/middle/Op", "layers before"],
            ),
            ("a class", "render odd.onnx --preprocess unit -u class:1", &["Hoist", "/middle/Op"]),
            ("a sheet", "sheet odd.onnx --preprocess unit -l right.conv", &["Hoist", "/middle/Op"]),
            ("to time", "bench odd.onnx --preprocess unit", &["Hoist", "/middle/Op"]),
        ],
    );
    place.succeed(&["render", "odd.onnx", "-u", "left.conv:1", "--size", "24", "--steps", "1"]);
    let outcome = place.run(&["layers", "odd.onnx", "--preprocess", "unit"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("left.conv") && outcome.stderr.contains("Hoist"), "{outcome:?}");
}

/// Numbers for the tiny network: a true input and whatever else is given.
fn golden(tensors: &[(&str, &[usize])], objectives: &str) -> Vec<u8> {
    let mut file = Tensors::from([("input/x".to_owned(), (vec![1, 3, 8, 8], wave(192)))]);
    for (name, shape) in tensors {
        let shape = shape.to_vec();
        file.insert((*name).to_owned(), (shape.clone(), wave(shape.iter().product())));
    }
    safetensors(&file, &[("objectives", objectives)])
}

#[test]
fn reference_numbers_that_do_not_fit() {
    let place = place();
    let act: (&str, &[usize]) = ("act/left.conv", &[1, 6, 8, 8]);
    let whole = golden(&[act], "{}");
    let one = "{\"a\": \"channel(left.conv,1)\"}";
    place.write("cut.st", &whole[..whole.len() - 7]);
    place.write("header.st", &whole[..20]);
    place.write("empty.st", "");
    place.write("input.st", golden(&[act, ("input/flow", &[1, 2, 8, 8])], "{}"));
    place.write("bare.st", safetensors(&Tensors::from([(act.0.into(), (act.1.to_vec(), wave(384)))]), &[]));
    place.write("layer.st", golden(&[("act/left.con", &[1, 6, 8, 8])], "{}"));
    place.write("nothing.st", golden(&[], "{}"));
    place.write("json.st", golden(&[act], "{a: b}"));
    place.write("list.st", golden(&[act], "[\"channel(left.conv,1)\"]"));
    place.write("expression.st", golden(&[act, ("value/a", &[1])], "{\"a\": \"chanel(left.conv,1)\"}"));
    place.write("channel.st", golden(&[act, ("value/a", &[1])], "{\"a\": \"channel(left.conv,77)\"}"));
    place.write("id.st", golden(&[act, ("value/b", &[1])], one));
    place.write("stray.st", golden(&[act, ("weights", &[1])], one));
    place.write("gradient.st", golden(&[act, ("grad/a/flow", &[1, 3, 8, 8])], one));
    let input = |shape: &[usize]| {
        let x = ("input/x".to_owned(), (shape.to_vec(), wave(shape.iter().product())));
        safetensors(&Tensors::from([x, (act.0.into(), (act.1.to_vec(), wave(384)))]), &[])
    };
    place.write("axes.st", input(&[3, 8, 8]));
    place.write("channels.st", input(&[1, 4, 8, 8]));
    place.write("zero.st", input(&[0, 3, 8, 8]));
    place.write("small.st", input(&[1, 3, 0, 8]));
    refuse_all(
        &place,
        &[
            ("missing", "check net.onnx nowhere.st", &["nowhere.st"]),
            ("a folder", "check net.onnx folder", &["folder is a folder"]),
            ("empty", "check net.onnx empty.st", &["empty.st", "safetensors"]),
            ("cut off", "check net.onnx cut.st", &["cut.st", "safetensors"]),
            ("cut off in its header", "check net.onnx header.st", &["header.st", "safetensors"]),
            ("a model", "check net.onnx net.onnx", &["net.onnx", "safetensors"]),
            ("an unknown input", "check net.onnx input.st", &["input.st", "\"flow\"", "it has x"]),
            ("no input", "check net.onnx bare.st", &["bare.st", "\"x\""]),
            ("an unknown layer", "check net.onnx layer.st", &["\"left.con\"", "\"left.conv\""]),
            ("nothing to compare", "check net.onnx nothing.st", &["nothing.st", "nothing"]),
            ("objectives that are no JSON", "check net.onnx json.st", &["json.st", "objectives"]),
            ("objectives in a list", "check net.onnx list.st", &["list.st", "objectives"]),
            (
                "an expression that cannot be read",
                "check net.onnx expression.st",
                &["expression.st", "\"chanel\""],
            ),
            ("a channel out of range", "check net.onnx channel.st", &["channel 77", "0 to 5"]),
            ("a value without an objective", "check net.onnx id.st", &["id.st", "value/b"]),
            ("a stray tensor", "check net.onnx stray.st", &["stray.st", "weights"]),
            ("a gradient of another input", "check net.onnx gradient.st", &["grad/a/flow", "\"flow\""]),
            ("an input with an axis less", "check net.onnx axes.st", &["\"x\"", "[3, 8, 8]"]),
            (
                "an input with a channel more",
                "check net.onnx channels.st",
                &["/left/conv/Conv", "[1, 4, 8, 8]"],
            ),
            ("an input without entries", "check net.onnx zero.st", &["\"x\"", "[0, 3, 8, 8]", "empty"]),
            ("an input without pixels", "check net.onnx small.st", &["\"x\"", "[1, 3, 0, 8]", "empty"]),
        ],
    );
}

#[test]
fn arrays_that_do_not_fit() {
    let place = place();
    let whole = npy(&[1, 3, 8, 8], &wave(192));
    place.write("x.npy", &whole);
    place.write("cut.npy", &whole[..whole.len() - 5]);
    place.write("header.npy", &whole[..9]);
    place.write("empty.npy", "");
    place.write("text.npy", "1 2 3");
    place.write("long.npy", [&whole[..], &[0; 8]].concat());
    place.write("channels.npy", npy(&[1, 4, 8, 8], &wave(256)));
    place.write("axes.npy", npy(&[3, 8, 8], &wave(192)));
    place.write("zero.npy", npy(&[0, 3, 8, 8], &[]));
    place.write("pixels.npy", npy(&[1, 3, 8, 0], &[]));
    place.write("scalar.npy", npy(&[], &[1.0]));
    place.write("small.npy", npy(&[1, 3, 1, 1], &wave(3)));
    std::fs::copy(fixture("two_stream.legacy.onnx"), place.path("streams.onnx")).unwrap();
    place.write("rgb.npy", npy(&[2, 4, 8, 7], &wave(448)));
    place.write("flow.npy", npy(&[3, 6, 8, 7], &wave(1008)));
    refuse_all(
        &place,
        &[
            (
                "no equals sign",
                "run net.onnx --input x.npy --capture left.conv --out r.st",
                &["--input x.npy", "NAME=FILE.npy"],
            ),
            (
                "no name",
                "run net.onnx --input =x.npy --capture left.conv --out r.st",
                &["--input =x.npy", "NAME=FILE.npy"],
            ),
            ("no file", "run net.onnx --input x= --capture left.conv --out r.st", &["--input x="]),
            ("another name", "run net.onnx --input y=x.npy --capture left.conv --out r.st", &["\"x\"", "y"]),
            (
                "one input too many",
                "run net.onnx --input x=x.npy --input y=x.npy --capture left.conv --out r.st",
                &["no input \"y\"", "it has x"],
            ),
            (
                "an input twice",
                "run net.onnx --input x=x.npy --input x=cut.npy --capture left.conv --out r.st",
                &["cut.npy"],
            ),
            (
                "an input twice, both fine",
                "run net.onnx --input x=x.npy --input x=x.npy --capture left.conv --out r.st",
                &["\"x\"", "twice"],
            ),
            (
                "missing",
                "run net.onnx --input x=no.npy --capture left.conv --out r.st",
                &["no.npy", "no such file"],
            ),
            (
                "a folder",
                "run net.onnx --input x=folder --capture left.conv --out r.st",
                &["`folder`", "it is a folder"],
            ),
            (
                "empty",
                "run net.onnx --input x=empty.npy --capture left.conv --out r.st",
                &["empty.npy", ".npy"],
            ),
            ("cut off", "run net.onnx --input x=cut.npy --capture left.conv --out r.st", &["cut.npy", "192"]),
            (
                "cut off in its header",
                "run net.onnx --input x=header.npy --capture left.conv --out r.st",
                &["header.npy", "header"],
            ),
            (
                "a text",
                "run net.onnx --input x=text.npy --capture left.conv --out r.st",
                &["text.npy", ".npy"],
            ),
            (
                "too long",
                "run net.onnx --input x=long.npy --capture left.conv --out r.st",
                &["long.npy", "192"],
            ),
            (
                "a channel more",
                "run net.onnx --input x=channels.npy --capture left.conv --out r.st",
                &["/left/conv/Conv", "[1, 4, 8, 8]"],
            ),
            (
                "an axis less",
                "run net.onnx --input x=axes.npy --capture left.conv --out r.st",
                &["\"x\"", "4 axes", "[3, 8, 8]"],
            ),
            (
                "no entries",
                "run net.onnx --input x=zero.npy --capture left.conv --out r.st",
                &["\"x\"", "[0, 3, 8, 8]"],
            ),
            (
                "no pixels",
                "run net.onnx --input x=pixels.npy --grad 'logit(1)' --out r.st",
                &["\"x\"", "[1, 3, 8, 0]"],
            ),
            (
                "a number",
                "run net.onnx --input x=scalar.npy --capture left.conv --out r.st",
                &["\"x\"", "[]"],
            ),
            (
                "too small",
                "run net.onnx --input x=small.npy --capture right.conv --out r.st",
                &["/right/conv/Conv"],
            ),
            (
                "an unknown layer",
                "run net.onnx --input x=x.npy --capture left.con --out r.st",
                &["\"left.con\"", "\"left.conv\""],
            ),
            (
                "a class out of range",
                "run net.onnx --input x=x.npy --grad 'logit(4)' --out r.st",
                &["class 4", "0 to 3"],
            ),
            ("a bad expression", "run net.onnx --input x=x.npy --grad 'logit(' --out r.st", &["\"logit(\""]),
            (
                "batches that differ",
                "run streams.onnx --preprocess unit --input rgb=rgb.npy --input flow=flow.npy --grad 'logit(1)' --out r.st",
                &["[2, 6, 4, 4]", "[3, 6, 4, 4]"],
            ),
        ],
    );
    assert_eq!(CLASSES, 4, "the messages above count on it");
}
