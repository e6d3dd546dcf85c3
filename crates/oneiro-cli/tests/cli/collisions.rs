//! No result overwrites an input file or another result, however the paths are written.

use crate::bad_input::refuse_all;
use crate::files::{npy, picture, wave};
use crate::onnx::Network;
use crate::place::Place;

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "labels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("classes.txt", "goldfish\ncrane\nmacaw\ncrane\n");
    place.write("recipe.toml", "");
    place.write("cat.png", picture(30, 26));
    place.write("photos/dog.png", picture(26, 30));
    place.write("x.npy", npy(&[1, 3, 24, 24], &wave(1728)));
    place
}

#[test]
fn nothing_that_a_result_is_made_from_is_lost() {
    let place = place();
    place.succeed(&[
        "render",
        "net.onnx",
        "-u",
        "left.conv:1",
        "--steps",
        "1",
        "--out",
        "a.png",
        "--save-preset",
        "recipe.toml",
    ]);
    std::fs::remove_file(place.path("a.png")).unwrap();
    let made_from = &["is made from"][..];
    let unit = "-u left.conv:1 --steps 1";
    let cases = [
        ("layers: model", "layers net.onnx --dot net.onnx".to_owned()),
        ("layers: card", "layers net.onnx --dot ./net.toml".into()),
        ("run: model", "run net.onnx --input x=x.npy --grad logit(1) --out net.onnx".into()),
        ("run: array", "run net.onnx --input x=x.npy --grad logit(1) --out ./x.npy".into()),
        ("render: model", format!("render net.onnx {unit} --out a.png --raw net.onnx")),
        ("render: card", format!("render net.onnx {unit} --out a.png --save-preset net.toml")),
        ("render: labels", format!("render net.onnx {unit} --out a.png --raw photos/../classes.txt")),
        ("render: recipe", format!("render net.onnx {unit} --out a.png --preset recipe.toml --save-preset recipe.toml")),
        ("render: photo", format!("render net.onnx {unit} --preset mahendran16 --from cat.png --out cat.png")),
        (
            "render: data",
            format!("render net.onnx {unit} --preset mahendran16 --data photos --out photos/dog.png"),
        ),
        ("sheet: model", "sheet net.onnx -l left.conv --steps 1 --raw net.onnx".into()),
        ("sheet: recipe", "sheet net.onnx -l left.conv --steps 1 --presets lucid,recipe.toml --raw recipe.toml".into()),
        ("attribute: photo", "attribute net.onnx cat.png -m gradient --out cat.png".into()),
        ("attribute: model", "attribute net.onnx cat.png -m gradient --out a.png --raw net.onnx".into()),
        ("dream: photo", "dream net.onnx cat.png -l left.conv --out cat.png".into()),
        ("dream: guide", "dream net.onnx cat.png -l left.conv --guide photos/dog.png --out photos/dog.png".into()),
        ("dream: model", "dream net.onnx cat.png -l left.conv --out a.png --raw net.onnx".into()),
        ("grid: card", "grid net.onnx cat.png -l left.conv --steps 1 --out a.png --save-preset net.toml".into()),
        ("invert: photo", "invert net.onnx cat.png -l left.conv --steps 1 --plot cat.png".into()),
        ("caricature: model", "caricature net.onnx cat.png -l left.conv --steps 1 --raw net.onnx".into()),
        ("accentuate: photo", format!("accentuate net.onnx cat.png {unit} --out cat.png")),
        (
            "interpolate: card",
            "interpolate net.onnx --from-unit left.conv:1 --to-unit left.conv:2 --steps 1 --save-preset net.toml".into(),
        ),
        ("statistics: picture", "statistics photos --out s.safetensors --picture photos/dog.png".into()),
    ];
    let cases: Vec<_> = cases.iter().map(|(name, command)| (*name, command.as_str(), made_from)).collect();
    refuse_all(&place, &cases);
}

#[test]
fn two_results_in_one_place_are_refused_however_it_is_written() {
    let place = place();
    let another = &["another result"][..];
    let cases = [
        ("render", "render net.onnx -u left.conv:1 --steps 1 --out a.png --raw ./a.png"),
        (
            "render film",
            "render net.onnx -u left.conv:1 --steps 1 --out photos/a.png --film photos/../photos/a.png",
        ),
        ("attribute", "attribute net.onnx cat.png -m gradient --out a.png --raw ./a.png"),
        ("dream", "dream net.onnx cat.png -l left.conv --out a.png --zoom ./a.png"),
        ("invert", "invert net.onnx cat.png -l left.conv --steps 1 --out a.png --plot ./a.png"),
        (
            "interpolate",
            "interpolate net.onnx --from-unit left.conv:1 --to-unit left.conv:2 --steps 1 --out a.png --film ./a.png",
        ),
        ("sheet", "sheet net.onnx -l left.conv --steps 1 --out a.png --raw ./a.png"),
    ];
    refuse_all(&place, &cases.iter().map(|(name, command)| (*name, *command, another)).collect::<Vec<_>>());
}

#[test]
fn a_picture_is_not_made_again_over_its_photo() {
    let place = place();
    place.succeed(&[
        "dream",
        "net.onnx",
        "cat.png",
        "-l",
        "left.conv",
        "--octaves",
        "1",
        "--steps",
        "1",
        "--out",
        "a.png",
    ]);
    refuse_all(
        &place,
        &[
            ("photo", "again a.png --out cat.png", &["is made from"]),
            ("model", "again a.png --out net.onnx", &["is made from"]),
        ],
    );
}
