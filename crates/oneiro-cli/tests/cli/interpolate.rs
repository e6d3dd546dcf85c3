//! `oneiro interpolate`: pictures on the way from one unit to another.

use crate::bad_input::refuse_all;
use crate::onnx::Network;
use crate::place::Place;

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "labels = \"classes.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    place.write("classes.txt", "goldfish\ncrane\nmacaw\ncrane\n");
    place
}

const WAY: &[&str] = &[
    "interpolate",
    "net.onnx",
    "--from-unit",
    "left.conv:1",
    "--to-unit",
    "class:macaw",
    "--size",
    "24",
    "--steps",
    "20",
];

#[test]
fn films_and_strips_are_made_again_byte_for_byte() {
    let place = place();
    let align = ["--align", "left.conv=0.1", "--frames", "4"];
    for (strip, film) in [("a.png", "a.gif"), ("b.png", "b.apng")] {
        place.succeed(&[WAY, &align, &["--out", strip, "--film", film]].concat());
        for made in [strip, film] {
            let out = format!("again.{}", made.rsplit('.').next().unwrap());
            let said = place.succeed(&["again", made, "--out", &out]);
            assert!(said.contains("identical"), "{made}: {said}");
            assert_eq!(place.read(made), place.read(&out), "{made}");
        }
    }
    assert_eq!(place.read("a.png"), place.read("b.png"));
    // The film has four pictures forwards and two backwards.
    assert!(place.succeed(&["info", "a.gif"]).contains("interpolation: there and back in 6 frames"));
}

#[test]
fn the_ends_are_their_units_and_the_way_leads_from_one_to_the_other() {
    let place = place();
    let units = |frames: &str| {
        let said = place.json(&[WAY, &["--frames", frames, "--out", "a.png", "--json"]].concat());
        said["units"]
            .as_array()
            .unwrap()
            .iter()
            .map(|u| u["objective"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let objectives = units("3");
    assert_eq!(objectives.len(), 3);
    assert!(objectives[0].starts_with("1*channel(left.conv,1) + 0*"), "{objectives:?}");
    assert!(objectives[1].starts_with("0.5*channel(left.conv,1) + 0.5*logit(2)"), "{objectives:?}");
    assert!(objectives[2].starts_with("0*channel(left.conv,1) + 1*"), "{objectives:?}");
    assert_eq!(units("2").len(), 2);
}

#[test]
fn neighbours_share_what_is_coarse() {
    let place = place();
    let mean_distance = |param: &str, raw: &str| {
        place.succeed(&[WAY, &["--frames", "3", "--param", param, "--out", "a.png", "--raw", raw]].concat());
        let bytes = place.read(raw);
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let numbers = |i: usize| -> Vec<f32> {
            let tensor = file.tensor(&format!("x/{i}")).unwrap();
            tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        let distance = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        distance(numbers(0), numbers(1)) + distance(numbers(1), numbers(2))
    };
    let (shared, apart) =
        (mean_distance("shared", "s.safetensors"), mean_distance("fourier", "f.safetensors"));
    assert!(shared < apart, "{shared} {apart}");
}

#[test]
fn ways_that_cannot_be_are_errors() {
    let place = place();
    refuse_all(
        &place,
        &[
            ("no end", "interpolate net.onnx --from-unit left.conv:1", &["--to-unit"]),
            ("no channel", "interpolate net.onnx --from-unit left.conv:1 --to-unit left.conv:99", &["99"]),
            (
                "one frame",
                "interpolate net.onnx --from-unit left.conv:1 --to-unit left.conv:2 --frames 1",
                &["--frames"],
            ),
            (
                "align",
                "interpolate net.onnx --from-unit left.conv:1 --to-unit left.conv:2 --align x",
                &["LAYER=WEIGHT"],
            ),
            (
                "align to nothing",
                "interpolate net.onnx --from-unit left.conv:1 --to-unit left.conv:2 --align no=1",
                &["no"],
            ),
            (
                "film",
                "interpolate net.onnx --from-unit left.conv:1 --to-unit left.conv:2 --film a.avi",
                &["a.avi", ".gif"],
            ),
            (
                "same file",
                "interpolate net.onnx --from-unit left.conv:1 --to-unit left.conv:2 --out a.png --film a.png",
                &["a.png"],
            ),
        ],
    );
}
