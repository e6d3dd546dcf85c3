//! `--input-axes`: picture inputs whose number of axes is not 4.

use crate::bad_input::refuse_all;
use crate::files::picture;
use crate::onnx::{ints, message, node, number, tensor, text, value, weights};
use crate::place::Place;

const SIDE: usize = 16;
const CLASSES: usize = 4;

/// Returns a network for pictures of one channel, given as (H, W). Nothing in its graph tells the picture
/// from a matrix.
fn matrix() -> Vec<u8> {
    let graph = [
        node("MatMul", "left", &["x", "left.weight"], "left", &[]),
        node("Flatten", "flat", &["left"], "flat", &[]),
        node("ReduceMean", "output", &["flat"], "output", &[ints("axes", &[0])]),
        text(2, "matrix"),
        tensor("left.weight", &[SIDE, CLASSES], &weights(SIDE * CLASSES, 1)),
        value(11, "x", &[Some(SIDE), Some(SIDE)]),
        value(12, "output", &[Some(CLASSES)]),
    ];
    let opset = [text(1, ""), number(2, 13)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat()
}

#[test]
fn a_tensor_that_becomes_a_picture_says_how_it_is_prepared() {
    let place = Place::new();
    place.write("net.onnx", matrix());
    place.write("photo.png", picture(SIDE, SIDE));
    let said = |card: &str, more: &[&str]| {
        place.write("card.toml", card);
        let args = ["classify", "net.onnx", "photo.png", "--card", "card.toml", "--input-axes", "H,W"];
        let outcome = place.run(&[&args[..], more].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stderr
    };
    let tensor = "[[input]]\nname = \"x\"\nkind = \"tensor\"\n";
    let guessed = said(tensor, &[]);
    assert!(
        guessed.contains("grey in 0-1, mean .449, std .226") && guessed.contains("--preprocess"),
        "{guessed}"
    );
    assert!(guessed.contains("turned to grey"), "{guessed}");
    let given = said(tensor, &["--preprocess", "unit"]);
    assert!(!given.contains(".449") && given.contains("turned to grey"), "{given}");
    let described = said("[[input]]\nname = \"x\"\norder = \"gray\"\naxes = \"H,W\"\n", &[]);
    assert!(!described.contains(".449"), "{described}");
}

#[test]
fn axes_of_another_number_name_both_numbers() {
    let place = Place::new();
    place.write("net.onnx", matrix());
    place.write("photo.png", picture(SIDE, SIDE));
    let command = "classify net.onnx photo.png --input-axes N,H,W,C";
    refuse_all(
        &place,
        &[("four axes", command, &["N,H,W,C", "4 are given, input \"x\" has 2", "--input-axes"])],
    );
}
