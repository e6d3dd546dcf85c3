//! Files that are no models, cards and labels that do not fit the model, and unusable weights and operators.

use crate::bad_input::{place, refuse_all};
use crate::files::picture;
use crate::onnx::Network;
use crate::place::{Report, check};

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
    // A model file that is cut off anywhere, or has any byte changed, gives an error or works; it never
    // panics.
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
