//! Arrays and reference values ("golden" files) that do not fit the network.

use crate::bad_input::{place, refuse_all};
use crate::files::{Tensors, npy, safetensors, wave};
use crate::onnx::CLASSES;
use crate::place::fixture;

/// Returns a file of reference values for the tiny network: a valid input, and the given tensors.
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
