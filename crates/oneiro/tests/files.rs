//! `Model::open` and `Picture::save`: what they read and write, and their errors for missing files.

#![cfg(feature = "files")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use oneiro::card::{ChannelOrder, InputKind};
use oneiro::model::files::OpenError;
use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro::render::{Picture, render};
use oneiro::{Error, Image, Model};
use oneiro_zoo::embedded;
use tempfile::{TempDir, tempdir};

/// Returns a protocol buffer field that holds bytes, in the wire format.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// Returns a protocol buffer field that holds a number below 128.
fn number(number: u8, value: u8) -> Vec<u8> {
    assert!(value < 0x80);
    vec![number << 3, value]
}

fn pair(key: &str, value: &str) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, value.as_bytes())].concat()
}

/// Returns an ONNX input or output with four floating-point axes; 0 is a free axis.
fn value(name: &str, dims: [u8; 4]) -> Vec<u8> {
    let dims: Vec<u8> =
        dims.iter().flat_map(|&n| field(1, &if n == 0 { vec![] } else { number(1, n) })).collect();
    let tensor = [number(1, 1), field(2, &dims)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

/// Returns an ONNX model of one convolution, `x` to `conv`: one input colour, and two 1×1 filters whose
/// weights lie in `weights.bin`.
fn with_weights_beside(more: &[u8]) -> Vec<u8> {
    let node = [field(1, b"x"), field(1, b"w"), field(2, b"conv"), field(3, b"conv"), field(4, b"Conv")];
    let dims = [number(1, 2), number(1, 1), number(1, 1), number(1, 1)].concat();
    let beside = [field(13, &pair("location", "weights.bin")), number(14, 1)].concat();
    let weight = [dims, number(2, 1), field(8, b"w"), beside].concat();
    let graph = [
        field(1, &node.concat()),
        field(5, &weight),
        field(11, &value("x", [0, 1, 0, 0])),
        field(12, &value("conv", [0, 2, 0, 0])),
    ];
    let opset = [field(1, b""), number(2, 17)].concat();
    [number(1, 8), field(7, &graph.concat()), field(8, &opset), more.to_vec()].concat()
}

/// Returns an entry of an ONNX model's metadata, to be appended to the model's bytes.
fn metadata(key: &str, value: &str) -> Vec<u8> {
    field(14, &pair(key, value))
}

/// Returns a new folder with a model file in it.
fn folder(model: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, model).unwrap();
    (folder, path)
}

fn refusal(path: &Path) -> OpenError {
    match Model::open(path) {
        Err(Error::Open(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_with_its_card_renders_and_its_picture_is_saved() {
    let (folder, path) = folder(embedded::model());
    fs::write(path.with_extension("toml"), embedded::card()).unwrap();
    let model = Model::open(&path).unwrap();
    let preset = Preset { size: Some([64, 80]), steps: 2, ..Preset::default() };
    let rendered = render(&model, &preset, &[Objective::channel("fire2", 3)], 0, |_| true).unwrap();
    let picture = &rendered[0].images[0];
    for (name, format) in [("a.png", "PNG"), ("b.JPG", "JPEG"), ("c.webp", "WebP")] {
        let file = folder.path().join(name);
        picture.save(&file).unwrap();
        let bytes = fs::read(&file).unwrap();
        assert_eq!(oneiro_media::StillFormat::of_bytes(&bytes).map(|f| f.name()), Some(format));
        assert_eq!(oneiro_media::read_image(&file).unwrap().shape(), [3, 64, 80]);
    }
    let message = picture.save(folder.path().join("d.gif")).unwrap_err().to_string();
    assert!(message.contains("d.gif") && message.contains(".webp"), "{message}");
    // No partly written file may be left behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
}

#[test]
fn the_bands_that_are_drawn_are_saved_with_their_opacity() {
    let folder = tempdir().unwrap();
    let image = Image::transparent([4, 1, 1], vec![0.0, 0.2, 0.4, 1.0, 0.6]).unwrap();
    let picture = Picture { input: "x".into(), kind: InputKind::Image, image, shown: [3, 1, 0] };
    let file = folder.path().join("bands.png");
    picture.save(&file).unwrap();
    let (colors, alpha) = oneiro_media::read_image_alpha(&file).unwrap();
    assert_eq!((colors.data, alpha), (vec![1.0, 0.2, 0.0], Some(vec![0.6])));
    let message = picture.save(folder.path().join("bands.jpg")).unwrap_err().to_string();
    assert!(message.contains("transparent"), "{message}");
}

#[test]
fn weights_may_lie_beside_the_model() {
    let card = metadata("oneiro.card", "[[input]]\nname = \"x\"\norder = \"gray\"\nsize = [8, 8]");
    let (folder, path) = folder(&with_weights_beside(&card));
    let weights = folder.path().join("weights.bin");
    fs::write(&weights, [1.0f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat()).unwrap();
    let model = Model::open(&path).unwrap();
    let preset = Preset { steps: 2, size: None, ..Preset::default() };
    let units = [Objective::channel("conv", 0), Objective::channel("conv", 1)];
    let [bright, dark] = &render(&model, &preset, &units, 0, |_| true).unwrap()[..] else { panic!() };
    // The filters' weights are 1 and -2, so the values are the picture's mean and -2 times the mean.
    assert!(bright.value > 0.0 && dark.value < 0.0, "{} {}", bright.value, dark.value);

    fs::remove_file(&weights).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Network { .. }), "{error:?}");
    assert!(error.to_string().contains("weights.bin"), "{error}");
}

#[test]
fn a_file_may_say_itself_how_pictures_are_prepared() {
    let model = [embedded::model(), &metadata("Image.BitmapPixelFormat", "Bgr8")].concat();
    let (_folder, path) = folder(&model);
    let input = Model::open(&path).unwrap().card.input.remove(0);
    assert_eq!((input.kind, input.order, input.range), (InputKind::Image, ChannelOrder::Bgr, 255.0));
    // A card without inputs takes their description from the file's metadata.
    fs::write(path.with_extension("toml"), "name = \"mine\"\n[layers]\nfirst = \"fire2\"").unwrap();
    let card = Model::open(&path).unwrap().card;
    assert_eq!((card.name.as_str(), card.input[0].order), ("mine", ChannelOrder::Bgr));
    assert_eq!(card.layers["first"], "fire2");
}

#[test]
fn without_a_card_the_error_has_one_to_begin_with() {
    let (_folder, path) = folder(embedded::model());
    let error = refusal(&path);
    let OpenError::NoCard { card, example, .. } = &error else { panic!("{error:?}") };
    assert!(error.to_string().contains("model.toml") && error.to_string().contains(example), "{error}");
    fs::write(card, example).unwrap();
    let input = Model::open(&path).unwrap().card.input.remove(0);
    assert_eq!((input.kind, input.std.len()), (InputKind::Image, 3));
}

#[test]
fn a_card_inside_a_model_file_opens_no_other_file() {
    let card = "[[input]]\nname = \"x\"\nvalue = \"secret.npy\"";
    let (folder, path) = folder(&with_weights_beside(&metadata("oneiro.card", card)));
    fs::write(folder.path().join("weights.bin"), [0; 8]).unwrap();
    let error = refusal(&path);
    assert!(matches!(&error, OpenError::Value { input, .. } if input == "x"), "{error:?}");
}

#[test]
fn what_is_no_model_is_refused_by_its_name() {
    let (folder, path) = folder(b"no model");
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Network { .. }), "{error:?}");
    let error = refusal(folder.path());
    assert!(matches!(error, OpenError::IsFolder { .. }), "{error:?}");
    let error = refusal(Path::new("net.pth"));
    assert!(error.to_string().contains("torch.onnx.export"), "{error}");
    let error = refusal(&folder.path().join("none.onnx"));
    assert!(error.to_string().contains("none.onnx"), "{error}");
    fs::write(path.with_extension("toml"), "sizes = 3").unwrap();
    fs::write(&path, embedded::model()).unwrap();
    let error = refusal(&path);
    assert!(matches!(&error, OpenError::Card { path, .. } if path.ends_with("model.toml")), "{error:?}");
}
