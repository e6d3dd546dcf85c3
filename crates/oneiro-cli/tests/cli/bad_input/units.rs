//! Units that do not exist, and sizes that a network does not accept.

use crate::bad_input::{place, refuse_all};

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
