//! Files that are no images, and networks without an image input.

use crate::bad_input::{place, refuse_all};
use crate::files::picture;
use crate::onnx::Network;
use crate::place::Place;

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
                "for two streams",
                "classify streams.onnx --preprocess unit photo.png",
                &["streams.onnx", "single images"],
            ),
        ],
    );
    // Pictures smaller than the network's input are enlarged, not refused.
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
            ("a clip", "render clip.onnx -u temporal:1", &["\"clip\"", "takes clips"]),
            ("a clip on a sheet", "sheet clip.onnx -l temporal", &["\"clip\"", "takes clips"]),
            ("flow", "render streams.onnx -u flow_act:1", &["\"flow\"", "optical flow"]),
            (
                "four channels",
                "render streams.onnx -u rgb_act:1",
                &["\"rgb\"", "4 channels", "prepared with 3"],
            ),
        ],
    );
}
