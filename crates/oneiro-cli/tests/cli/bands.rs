//! Images with any number of bands: the network detects a stripe in band 7, with the opposite sign in band 2,
//! of 8 bands.

use oneiro_media::Image;

use crate::bad_input::{refuse, refuse_all};
use crate::files::{npy, picture, read_safetensors, wave};
use crate::onnx::{message, node, number, tensor, text, value};
use crate::place::{Place, Report, check};

const BANDS: usize = 8;
const SIDE: usize = 24;
const PLANE: usize = SIDE * SIDE;

/// An ONNX network. Channel 0 of the layer `stripe` detects a bright column between dark ones in band 7, with
/// the opposite sign in band 2. Channel 1 reads band 4. `output` has the channels' means.
fn network() -> Vec<u8> {
    let mut weights = vec![0.0; 2 * BANDS * 9];
    for (x, value) in [-0.5, 1.0, -0.5].into_iter().enumerate() {
        for y in 0..3 {
            weights[(7 * 3 + y) * 3 + x] = value;
            weights[(2 * 3 + y) * 3 + x] = -value;
        }
    }
    weights[(BANDS + 4) * 9 + 4] = 1.0;
    let graph = [
        node("Conv", "stripe", &["x", "weight"], "stripe", &[]),
        node("Relu", "active", &["stripe"], "active", &[]),
        node("GlobalAveragePool", "mean", &["active"], "mean", &[]),
        node("Flatten", "flat", &["mean"], "output", &[]),
        text(2, "stripes"),
        tensor("weight", &[2, BANDS, 3, 3], &weights),
        value(11, "x", &[None, Some(BANDS), None, None]),
        value(12, "output", &[None, Some(2)]),
    ];
    let opset = [text(1, ""), number(2, 17)].concat();
    [number(1, 8), message(8, &opset), message(7, &graph.concat())].concat()
}

/// A new folder with the network and no card.
fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", network());
    place
}

const FLAGS: [&str; 6] = ["--order", "bands", "--mean", "0.5", "--size", "24"];

fn render(place: &Place, more: &[&str]) -> serde_json::Value {
    let start = ["render", "net.onnx", "--unit", "active:0", "--json"];
    place.json(&[&start[..], &FLAGS, more].concat())
}

/// Returns the bands stored in a file that `--raw` wrote.
fn raw(place: &Place, name: &str) -> Vec<f32> {
    let (shape, data) = read_safetensors(&place.read(name)).0["x/0"].clone();
    assert_eq!(shape, [BANDS, SIDE, SIDE]);
    data
}

fn png(place: &Place, name: &str) -> Image {
    oneiro_media::read_image(place.path(name)).unwrap()
}

/// Returns the mean absolute second difference of a plane along x.
fn change(plane: &[f32]) -> f32 {
    let second = |r: &[f32]| (r[0] - 2.0 * r[1] + r[2]).abs();
    plane.chunks_exact(SIDE).flat_map(|row| row.windows(3)).map(second).sum::<f32>() / PLANE as f32
}

fn levels(plane: &[f32]) -> Vec<f32> {
    plane.iter().map(|x| (x.clamp(0.0, 1.0) * 255.0).round() / 255.0).collect()
}

#[test]
fn a_unit_s_stripes_are_found_in_its_bands_and_shown() {
    let place = place();
    let how = ["--steps", "64", "--raw", "r.safetensors"];
    let first = render(&place, &[&how[..], &["--show", "7,2,0", "--out", "a.png"]].concat());
    let bands = raw(&place, "r.safetensors");
    let changes: Vec<f32> = bands.chunks_exact(PLANE).map(change).collect();
    let most = (0..BANDS).filter(|b| ![2, 7].contains(b)).map(|b| changes[b]).fold(0.0, f32::max);
    assert!(changes[2] > 2.0 * most && changes[7] > 2.0 * most, "{changes:?}");
    let shown = png(&place, "a.png");
    for (color, band) in [7, 2, 0].into_iter().enumerate() {
        assert_eq!(shown.plane(color), levels(&bands[band * PLANE..(band + 1) * PLANE]), "band {band}");
    }
    // The choice of drawn bands changes the drawing only: values on the saved picture count all bands.
    let gray = render(&place, &[&how[..], &["--show", "7", "--out", "b.png"]].concat());
    assert_eq!(png(&place, "b.png").plane(1), shown.plane(0));
    let usual = render(&place, &[&how[..], &["--out", "c.png"]].concat());
    for (color, band) in [0, 1, 2].into_iter().enumerate() {
        assert_eq!(png(&place, "c.png").plane(color), levels(&bands[band * PLANE..(band + 1) * PLANE]));
    }
    assert_eq!(raw(&place, "r.safetensors"), bands);
    let [value, saved] = ["value", "value_saved"].map(|key| first["units"][0][key].as_f64().unwrap());
    assert!((value - saved).abs() < 0.01 * value && value != saved, "{value} {saved}");
    for other in [gray, usual] {
        assert_eq!(other["units"], first["units"]);
    }
}

#[test]
fn bands_that_vary_but_are_not_drawn_are_named() {
    let place = place();
    let said = |show: &str| {
        let start =
            ["render", "net.onnx", "--unit", "active:0", "--steps", "64", "--out", "a.png", "--show", show];
        let outcome = place.run(&[&start[..], &FLAGS].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stderr
    };
    let even = said("0,1,3");
    assert!(even.contains("--show 7,2,2") || even.contains("--show 2,7,7"), "{even}");
    assert!(!said("0,1,7").contains("--show"));
}

#[test]
fn value_saved_is_that_of_all_bands_rounded() {
    let place = place();
    let report = render(&place, &["--steps", "8", "--show", "0", "--raw", "r.safetensors", "--out", "a.png"]);
    let network: Vec<f32> = levels(&raw(&place, "r.safetensors")).iter().map(|x| x - 0.5).collect();
    place.write("x.npy", npy(&[1, BANDS, SIDE, SIDE], &network));
    let grad = "channel(active,0)";
    place.succeed(&["run", "net.onnx", "--input", "x=x.npy", "--grad", grad, "--out", "v.st"]);
    let expected = f64::from(read_safetensors(&place.read("v.st")).0["value"].1[0]);
    let saved = report["units"][0]["value_saved"].as_f64().unwrap();
    assert!((expected - saved).abs() < 1e-6 * expected.abs(), "{expected} {saved}");
}

#[test]
fn a_card_says_what_flags_say() {
    let place = place();
    let how = ["--steps", "3", "--out"];
    render(&place, &[&how[..], &["flags.png", "--show", "7,2,0"]].concat());
    place.write(
        "net.toml",
        "[[input]]\nname = \"x\"\norder = \"bands\"\nshow = [7, 2, 0]\nmean = [0.5]\nsize = [24, 24]\n",
    );
    place.succeed(&[
        "render", "net.onnx", "--unit", "active:0", "--steps", "3", "--size", "24", "--out", "card.png",
    ]);
    assert_eq!(png(&place, "card.png"), png(&place, "flags.png"));
    let shown = place.succeed(&[
        "render", "net.onnx", "--unit", "active:0", "--steps", "3", "--show", "4", "--out", "g.png",
    ]);
    assert!(shown.contains("g.png"));
    let gray = png(&place, "g.png");
    assert_eq!(gray.plane(0), gray.plane(2));
}

#[test]
fn pictures_films_and_sheets_of_bands_are_made_again() {
    let place = place();
    let show = ["--show", "7,2,0", "--steps", "4"];
    render(&place, &[&show[..], &["--out", "a.png", "--film", "f.png", "--robustness"]].concat());
    let sheet = ["sheet", "net.onnx", "--layer", "active", "--units", "0,1", "--out", "s.png"];
    place.succeed(&[&sheet[..], &FLAGS, &show].concat());
    let alpha = ["--set", "alpha=true", "--out", "t.png"];
    render(&place, &[&show[..], &alpha].concat());
    place.write(
        "start.npy",
        npy(&[BANDS, 30, 40], &wave(BANDS * 1200).iter().map(|x| x.abs()).collect::<Vec<_>>()),
    );
    place.write("mask.png", picture(SIDE, SIDE));
    let from = ["--from", "start.npy", "--mask", "mask.png", "--param", "pixel", "--out", "m.png"];
    render(&place, &[&show[..], &from].concat());
    let mut report = Report::default();
    for file in ["a.png", "f.png", "s.png", "t.png", "m.png"] {
        let said = place.json(&["again", file, "--json"]);
        report.case(file, check(said["identical"] == true, || format!("{said}")));
    }
    report.finish();
}

#[test]
fn files_of_bands_that_moved_are_found_beside_the_picture_and_by_name() {
    let place = place();
    let bands: Vec<f32> = wave(BANDS * PLANE).iter().map(|x| x.abs()).collect();
    place.write("data/start.npy", npy(&[BANDS, SIDE, SIDE], &bands));
    place.write("data/mask.npy", npy(&[1, SIDE, SIDE], &bands[..PLANE]));
    let from = ["--from", "data/start.npy", "--mask", "data/mask.npy", "--param", "pixel", "--steps", "2"];
    let near = ["--objective", "channel(active,0) - 0.1*inversion(active,data/start.npy)", "--size", "24"];
    place.succeed(&[&["render", "net.onnx", "--out", "a.png"][..], &near, &FLAGS[..4], &from].concat());
    for (name, folder) in [("start.npy", "kept"), ("mask.npy", "kept"), ("start.npy", "."), ("mask.npy", ".")]
    {
        place.write(&format!("{folder}/{name}"), place.read(&format!("data/{name}")));
    }
    std::fs::remove_dir_all(place.path("data")).unwrap();
    assert_eq!(place.json(&["again", "a.png", "--json"])["identical"], true);
    for name in ["start.npy", "mask.npy"] {
        std::fs::remove_file(place.path(name)).unwrap();
    }
    refuse(&place, "again a.png", &["start.npy", "--image"]).unwrap();
    let named = ["again", "a.png", "--json", "--image", "kept/mask.npy", "--image", "kept/start.npy"];
    assert_eq!(place.json(&named)["identical"], true);
}

#[test]
fn a_picture_of_bands_can_be_the_start() {
    let place = place();
    let data: Vec<f32> = (0..BANDS * PLANE).map(|i| 0.1 + (i % 201) as f32 / 250.0).collect();
    place.write("start.npy", npy(&[BANDS, SIDE, SIDE], &data));
    let how = ["--from", "start.npy", "--steps", "0", "--param", "pixel"];
    render(&place, &[&how[..], &["--raw", "r.safetensors", "--show", "5", "--out", "a.png"]].concat());
    // Zero steps change nothing but the rounding of a sigmoid and its inverse.
    let made = raw(&place, "r.safetensors");
    assert!(made.iter().zip(&data).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(png(&place, "a.png").plane(0), levels(&made[5 * PLANE..6 * PLANE]));
    let mut report = Report::default();
    let flags = FLAGS.join(" ");
    for (command, layer) in [
        ("invert", "--layer active"),
        ("caricature", "--layer active"),
        ("accentuate", "--unit active:0"),
        ("grid", "--layer active --cells 1"),
    ] {
        // A picture of a grid has the size of its cells, so the flag for the photo's size differs.
        let flags = if command == "grid" { flags.replace("--size", "--image-size") } else { flags.clone() };
        let line = format!(
            "{command} net.onnx start.npy {layer} {flags} --steps 2 --show 7,2,0 --out {command}.png"
        );
        // `oneiro grid` has one size for its photo and one for its cells.
        let line = if command == "grid" { line.replace("--size", "--image-size") } else { line };
        place.succeed(&line.split(' ').collect::<Vec<_>>());
        let said = place.json(&["again", &format!("{command}.png"), "--json"]);
        report.case(command, check(said["identical"] == true, || format!("{said}")));
    }
    report.finish();
}

/// Writes tiles in which bands 0 and 1 are correlated and band 2 is independent.
fn write_tiles(place: &Place) {
    for k in 0..6 {
        let noise: Vec<f32> = wave(2 * 256 + k)[k..].to_vec();
        let tile = |i: usize| match i / 256 {
            0 => 0.5 + 0.2 * noise[i],
            1 => 0.4 + 0.1 * noise[i - 256],
            _ => 0.3 + 0.2 * noise[(i * 37) % 256 + 256],
        };
        let data: Vec<f32> = (0..3 * 256).map(tile).collect();
        place.write(&format!("tiles/{k}.npy"), npy(&[3, 16, 16], &data));
    }
}

#[test]
fn statistics_of_bands_have_their_covariance() {
    let place = Place::new();
    write_tiles(&place);
    let said = place.json(&["statistics", "tiles", "--size", "16", "--out", "t.safetensors", "--json"]);
    assert_eq!(said["images"], 6);
    let covariance = |i: usize, j: usize| said["covariance"][i][j].as_f64().unwrap();
    // A sine has the variance 1/2.
    for (i, j, expected) in [(0, 0, 0.02), (1, 1, 0.005), (0, 1, 0.01), (2, 2, 0.02)] {
        assert!((covariance(i, j) - expected).abs() < 0.1 * expected, "{i} {j}: {}", covariance(i, j));
    }
    assert!(
        covariance(0, 2).abs() < 2e-3 && said["mean"][1].as_f64().is_some_and(|m| (m - 0.4).abs() < 0.01)
    );
}

#[test]
fn statistics_of_bands_decorrelate_them() {
    let place = place();
    let tile = |k: usize| {
        let noise = wave(PLANE * BANDS + k)[k..].to_vec();
        (0..BANDS * PLANE)
            .map(|i| 0.5 + 0.3 * noise[if i / PLANE == 2 { i + 5 * PLANE } else { i }])
            .collect::<Vec<_>>()
    };
    (0..4).for_each(|k| place.write(&format!("tiles/{k}.npy"), npy(&[BANDS, SIDE, SIDE], &tile(k))));
    place.succeed(&["statistics", "tiles", "--size", "24", "--out", "t.safetensors"]);
    let by_data =
        ["--set", "param.fourier.decorrelate=data", "--statistics", "t.safetensors", "--steps", "8"];
    render(&place, &[&by_data[..], &["--raw", "d.safetensors", "--out", "d.png"]].concat());
    render(&place, &["--steps", "8", "--raw", "p.safetensors", "--out", "p.png"]);
    let contrast = |name: &str| {
        let bands = raw(&place, name);
        change(&bands[7 * PLANE..]) + change(&bands[2 * PLANE..3 * PLANE])
    };
    // Bands 2 and 7 are perfectly correlated in the data, so they cannot become opposites.
    assert!(contrast("d.safetensors") < 0.5 * contrast("p.safetensors"));
    assert_eq!(place.json(&["again", "d.png", "--json"])["identical"], true);
    write_tiles(&place);
    std::fs::remove_dir_all(place.path("tiles")).unwrap();
    write_tiles(&place);
    place.succeed(&["statistics", "tiles", "--size", "16", "--out", "three.safetensors"]);
    let flags = FLAGS.join(" ");
    let start = format!("render net.onnx --unit active:0 {flags} --out x.png --statistics");
    refuse_all(
        &place,
        &[
            (
                "statistics of three bands",
                &format!("{start} three.safetensors --set param.fourier.decorrelate=data"),
                &["3 channels", "has 8"],
            ),
            (
                "statistics that nothing reads",
                &format!("{start} t.safetensors --set param.fourier.decorrelate=imagenet"),
                &["decorrelate=data"],
            ),
            (
                "pixels read none",
                &format!("{start} t.safetensors --param pixel"),
                &["t.safetensors", "pixel"],
            ),
            (
                "statistics of colours for magnitudes",
                &format!("render net.onnx --unit active:0 {flags} --out x.png --param maco"),
                &["3 channels", "has 8"],
            ),
        ],
    );
}

#[test]
fn what_is_wrong_with_bands_is_said() {
    let place = place();
    let bands = |b: usize| vec![0.5; b * 16];
    place.write("three.npy", npy(&[3, 4, 4], &bands(3)));
    place.write("flat.npy", npy(&[4, 4], &bands(1)));
    place.write("last.npy", npy(&[4, 4, BANDS], &bands(BANDS)));
    place.write("large.npy", npy(&[BANDS, 4, 4], &vec![3000.0; BANDS * 16]));
    place.write("nan.npy", npy(&[BANDS, 4, 4], &vec![f32::NAN; BANDS * 16]));
    place.write("photo.png", picture(8, 8));
    place.write("empty/readme.txt", "nothing");
    place.write("nan/a.npy", npy(&[1, 4, 4], &[f32::NAN; 16]));
    place.write("mixed/a.npy", npy(&[1, 4, 4], &wave(16).iter().map(|x| x.abs()).collect::<Vec<_>>()));
    place.write("mixed/b.png", picture(8, 8));
    place.write("counts/a.npy", npy(&[1, 4, 4], &bands(1)));
    place.write("counts/b.npy", npy(&[2, 4, 4], &bands(2)));
    let bare = "render net.onnx --unit active:0 --size 24 --out x.png";
    let start = format!("render net.onnx --unit active:0 {} --out x.png", FLAGS.join(" "));
    let with = |more: &str| format!("{start} {more}");
    let out = "--out s.safetensors";
    let cases: &[(&str, String, &[&str])] = &[
        ("no word of bands", bare.into(), &["8 bands", "--order bands", "--mean"]),
        ("colours", format!("{bare} --order rgb --preprocess unit"), &["bands"]),
        ("three means", format!("{bare} --order bands --mean 1,2,3"), &["3 numbers", "8 channels", "--mean"]),
        (
            "deviations",
            format!("{bare} --order bands --mean 0.5 --std 1,2"),
            &["`mean` or `std`", "8 channels"],
        ),
        ("both", format!("{bare} --order bands --mean 1,2,3 --std 1,2"), &["`std` has 2", "3 or 1"]),
        (
            "a preset of colours",
            format!("{bare} --order bands --preprocess imagenet"),
            &["`imagenet`", "one a band"],
        ),
        ("a band too far", with("--show 7,8,0"), &["band 8", "0 to 7", "--show"]),
        ("two bands", with("--show 1,2"), &["`show` has 2", "grey"]),
        ("no band", with("--show x"), &["--show"]),
        ("a band below", with("--show -1"), &["--show"]),
        (
            "show without bands",
            "render squeezenet1_1 --unit conv1:1 --show 1 --out x.png".into(),
            &["--show 1", "--order bands"],
        ),
        ("too few bands", with("--from three.npy"), &["three.npy", "[3, 4, 4]", "8 bands"]),
        ("no bands", with("--from flat.npy"), &["flat.npy", "three axes"]),
        ("bands last", with("--from last.npy"), &["last.npy", "moveaxis"]),
        ("not 0 to 1", with("--from large.npy"), &["large.npy", "3000"]),
        ("no numbers", with("--from nan.npy"), &["nan.npy", "finite"]),
        ("a photograph", with("--from photo.png"), &["photo.png", "[8, height, width]", ".npy"]),
        ("a mask of bands", with("--from large.npy --mask three.npy"), &["large.npy"]),
        ("not there", with("--from nowhere.npy"), &["nowhere.npy", "no such file"]),
        (
            "three fills",
            with("--transform 'pad(2)|fill(0.1,0.2,0.3)'"),
            &["3 values", "8 channels", "fill(VALUE)"],
        ),
        (
            "a dream",
            format!("dream net.onnx noise --unit active:0 {} --out x.png", FLAGS.join(" ")),
            &["8 bands", "photographs"],
        ),
        (
            "heat maps",
            format!("attribute net.onnx photo.png --unit active:0 {} --out x.png", FLAGS.join(" ")),
            &["8 bands", "photographs"],
        ),
        ("classes", "classify net.onnx photo.png --order bands".into(), &["8 bands", "photographs"]),
        ("a folder of nothing", format!("statistics empty {out}"), &["no image in empty", ".npy"]),
        ("no numbers in a folder", format!("statistics nan {out}"), &["a.npy", "finite"]),
        ("two kinds", format!("statistics mixed {out}"), &["1 .npy files and 1 pictures"]),
        ("two counts", format!("statistics counts {out}"), &["b.npy has 2 bands", "a.npy has 1"]),
        ("grey bands", format!("statistics nan --gray {out}"), &["--gray"]),
    ];
    let mut report = Report::default();
    for (name, command, says) in cases {
        report.case(name, refuse(&place, command, says));
    }
    report.finish();
}
