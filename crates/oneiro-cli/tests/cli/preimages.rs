//! Inversion, caricature and accentuation with a user's own presets, from pictures, and made again.

use serde_json::Value;

use crate::bad_input::{Case, refuse_all};
use crate::files::{npy, picture, text_of};
use crate::place::Place;

const MODEL: &str = "squeezenet1_1";

/// A new folder with photos, a mask that is white on its left half, and a direction.
fn place() -> Place {
    let place = Place::new();
    place.write("photos/cat.png", picture(70, 60));
    place.write("photos/dog.png", picture(60, 80));
    let rgb = (0..3 * 64 * 64).map(|i| if i % 64 < 32 { 1.0 } else { 0.0 }).collect();
    let half = oneiro_media::Image::rgb(64, 64, rgb).unwrap();
    place.write("half.png", oneiro_media::encode_png(&half, &oneiro_media::PngText::default()).unwrap());
    let numbers: Vec<f32> = (0..128).map(|i| f32::from(u8::from(i % 5 == 0))).collect();
    place.write("direction.npy", npy(&[128], &numbers));
    place
}

/// Runs a command on small pictures with few steps; returns its JSON.
fn run(place: &Place, args: &[&str]) -> Value {
    place.json(&[args, &["--size", "48", "--steps", "3", "--json"]].concat())
}

/// Makes a picture again and checks that the bytes are equal.
fn again(place: &Place, file: &str) {
    place.succeed(&["again", file, "--out", "again.png"]);
    assert_eq!(place.read(file), place.read("again.png"), "{file}");
}

#[test]
fn an_inversion_says_how_near_it_came_and_is_the_same_with_any_number_of_threads() {
    let place = place();
    let layers = ["--layer", "fire2", "--layer", "fire4"];
    let further =
        ["--out", "a.png", "--table", "t.csv", "--plot", "p.png", "--raw", "r.safetensors", "--threads", "1"];
    let said = run(&place, &[&["invert", MODEL, "photos"][..], &layers, &further].concat());
    let units = said["units"].as_array().unwrap();
    assert_eq!(units.len(), 4, "two layers of two pictures: {said:#}");
    for unit in units {
        let error = unit["relative_error"].as_f64().unwrap();
        assert!(error > 0.0 && unit["psnr"].as_f64().unwrap() > 0.0, "{unit:#}");
        assert!((error * error + unit["value"].as_f64().unwrap()).abs() < 1e-9, "{unit:#}");
        assert!(unit["value"].as_f64() > unit["value_at_start"].as_f64(), "{unit:#}");
        assert!(unit["image"].as_str().unwrap().starts_with("photos/"));
    }
    assert_eq!(said["files"], serde_json::json!(["a.png", "r.safetensors", "t.csv", "p.png"]));
    let table = String::from_utf8(place.read("t.csv")).unwrap();
    assert_eq!(table.lines().count(), 5, "{table}");
    run(&place, &[&["invert", MODEL, "photos", "--out", "b.png", "--threads", "2"][..], &layers].concat());
    assert_eq!(place.read("a.png"), place.read("b.png"));
    again(&place, "a.png");
}

#[test]
fn strengths_and_seeds_make_a_column_each() {
    let place = place();
    let args =
        ["invert", MODEL, "photos/cat.png", "--layer", "fire4", "--strength", "1,300", "--seeds", "0-1"];
    let said = run(&place, &[&args[..], &["--center", "1", "--channels", "0-31", "--out", "a.png"]].concat());
    let settings: Vec<(f64, u64)> = said["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|u| (u["strength"].as_f64().unwrap(), u["seed"].as_u64().unwrap()))
        .collect();
    assert_eq!(settings, [(1.0, 0), (1.0, 1), (300.0, 0), (300.0, 1)]);
    let plain = place.succeed(&[&args[..], &["--size", "48", "--steps", "3"]].concat());
    assert!(plain.contains("seeds") && plain.contains("apart"), "{plain}");
    again(&place, "a.png");
}

#[test]
fn hog_is_inverted_in_grey() {
    let place = place();
    run(
        &place,
        &["invert", "hog", "photos/cat.png", "--layer", "hog", "--out", "a.png", "--raw", "r.safetensors"],
    );
    let raw = place.read("r.safetensors");
    let file = safetensors::SafeTensors::deserialize(&raw).unwrap();
    let tensor = file.tensor("x/0").unwrap();
    assert_eq!(tensor.shape(), [3, 48, 48]);
    let third = tensor.data().len() / 3;
    assert_eq!(tensor.data()[..third], tensor.data()[third..2 * third]);
    again(&place, "a.png");
}

#[test]
fn caricature_and_accentuation_start_from_the_picture() {
    let place = place();
    let said = run(&place, &["caricature", MODEL, "photos/cat.png", "--layer", "fire4", "--out", "c.png"]);
    let unit = &said["units"][0];
    // The objective of a caricature is 1 for the photo itself. The optimisation starts from the photo,
    // clamped to the preset's bound.
    assert!((unit["value_at_start"].as_f64().unwrap() - 1.0).abs() < 1e-4, "{unit:#}");
    assert_eq!(unit["start"], "photos/cat.png");
    again(&place, "c.png");
    let args = ["accentuate", MODEL, "photos/cat.png", "--unit", "class:goldfish", "--near", "fire2"];
    let said = run(&place, &[&args[..], &["--strength", "0,10", "--views", "2", "--out", "d.png"]].concat());
    assert_eq!(said["units"].as_array().unwrap().len(), 2);
    assert_eq!(said["units"][1]["objective"], "logit(1) + 10*inversion(fire2,photos/cat.png)");
    again(&place, "d.png");
}

#[test]
fn pictures_made_from_files_are_made_again_unless_a_file_has_changed() {
    let place = place();
    let unit = ["render", MODEL, "--unit", "fire4:3"];
    run(&place, &[&unit[..], &["--from", "photos/cat.png", "--mask", "half.png", "--out", "m.png"]].concat());
    again(&place, "m.png");
    let direction = "direction(fire2,direction.npy,p=1) - 0.1*tv";
    run(&place, &["render", MODEL, "--objective", direction, "--alpha", "--out", "v.png"]);
    again(&place, "v.png");
    assert!(text_of(&place.path("v.png")).get("sources").is_some_and(|s| s.contains("direction.npy")));
    let coupled = "channel(fire4,3) - 5*diversity(fire2)";
    run(&place, &["render", MODEL, "--objective", coupled, "--batch", "2", "--out", "batch"]);
    let mut files = place.listing();
    files.retain(|name, content| name.starts_with("batch/") && content.is_some());
    assert_eq!(files.len(), 2);
    files.keys().for_each(|file| again(&place, file));
    run(&place, &[&unit[..], &["--unit", "fire4:5", "--param", "shared", "--out", "shared"]].concat());
    again(&place, "shared/fire4-5.png");
    place.write("half.png", picture(64, 64));
    let refused = place.run(&["again", "m.png"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("half.png: its content is not what"), "{}", refused.stderr);
    std::fs::remove_file(place.path("direction.npy")).unwrap();
    let refused = place.run(&["again", "v.png"]);
    assert!(refused.stderr.contains("direction.npy") && refused.code == Some(1), "{refused:?}");
}

#[test]
fn recipes_are_listed_changed_kept_and_compared() {
    let place = place();
    let all = place.json(&["presets", "--json"]);
    for name in ["lucid", "conveiro", "mahendran16", "mahendran15", "keras-dense", "maco", "yosinski"] {
        assert_eq!(all[name]["name"], name);
    }
    let one = place.succeed(&["presets", "mahendran16"]);
    assert!(one.contains("bound = 160") && one.contains("jitter = \"stride/4\""), "{one}");
    let change = ["--set", "param.fourier.decay=0.85", "--set", "optimizer.learning_rate=0.1"];
    let unit = ["render", MODEL, "--unit", "fire4:3"];
    run(&place, &[&unit[..], &change, &["--save-preset", "mine.toml", "--out", "a.png"]].concat());
    let kept = String::from_utf8(place.read("mine.toml")).unwrap();
    assert!(kept.contains("decay = 0.85"), "{kept}");
    run(&place, &[&unit[..], &["--preset", "mine.toml", "--out", "b.png"]].concat());
    assert_eq!(place.read("a.png"), place.read("b.png"));
    again(&place, "b.png");
    let sheet = ["sheet", MODEL, "--layer", "fire4", "--units", "1-2", "--presets", "lucid,mahendran16"];
    let said = run(&place, &[&sheet[..], &["--out", "s.png"]].concat());
    let presets: Vec<&str> =
        said["units"].as_array().unwrap().iter().map(|u| u["preset"].as_str().unwrap()).collect();
    assert_eq!(presets, ["lucid", "lucid", "mahendran16", "mahendran16"]);
    again(&place, "s.png");
}

#[test]
fn the_largest_activation_is_measured_on_pictures() {
    let place = place();
    let args = ["render", MODEL, "--unit", "fire4:3", "--preset", "mahendran16", "--data", "photos"];
    run(&place, &[&args[..], &["--out", "a.png"]].concat());
    let settings = text_of(&place.path("a.png")).get("settings").unwrap().to_owned();
    assert!(settings.contains("max_activation = "), "{settings}");
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let place = place();
    place.write("cut.png", &picture(40, 40)[..100]);
    place.write("one.png", picture(1, 1));
    place.write("short.npy", npy(&[5], &[1.0; 5]));
    place.write("bad.toml", "name = \"x\"\nnonsense = 1\n");
    std::fs::create_dir(place.path("empty")).unwrap();
    let cases: &[Case<'_>] = &[
        (
            "none.png",
            "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --from none.png",
            &["none.png"],
        ),
        ("photos", "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --from photos", &["photos"]),
        ("cut.png", "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --from cut.png", &["cut.png"]),
        ("--from", "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --mask half.png", &["--from"]),
        (
            "steps=many",
            "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --set steps=many",
            &["steps=many"],
        ),
        (
            "decy",
            "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --set param.fourier.decy=1",
            &["decy"],
        ),
        ("KEY=VALUE", "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --set steps", &["KEY=VALUE"]),
        (
            "there is no preset lucy",
            "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --preset lucy",
            &["there is no preset \"lucy\""],
        ),
        (
            "none.toml",
            "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --preset none.toml",
            &["none.toml"],
        ),
        (
            "bad.toml",
            "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --preset bad.toml",
            &["bad.toml"],
        ),
        ("views", "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --views 0", &["views"]),
        ("stride/4", "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --jitter often", &["stride/4"]),
        (
            "empty",
            "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --data empty --preset mahendran16",
            &["empty"],
        ),
        (
            "5 numbers",
            "render squeezenet1_1 --size 48 --steps 1 --objective direction(fire2,short.npy)",
            &["5 numbers"],
        ),
        (
            "--batch 2",
            "render squeezenet1_1 --size 48 --steps 1 --objective 'layer(fire2) - diversity(fire2)'",
            &["--batch 2"],
        ),
        (
            "--alpha",
            "render squeezenet1_1 --size 48 --steps 1 --objective 'layer(fire2) - opacity'",
            &["--alpha"],
        ),
        (
            "none.png",
            "render squeezenet1_1 --size 48 --steps 1 --objective inversion(fire2,none.png)",
            &["none.png"],
        ),
        (
            "cannot start from a picture",
            "render squeezenet1_1 --unit fire4:3 --size 48 --steps 1 --param cppn --from photos/cat.png",
            &["cannot start from a picture"],
        ),
        ("no layer is given", "invert squeezenet1_1 photos/cat.png", &["no layer is given"]),
        (
            "no picture in this folder",
            "invert squeezenet1_1 empty --layer fire2",
            &["no picture in this folder"],
        ),
        ("fire22", "invert squeezenet1_1 photos/cat.png --layer fire22", &["fire22"]),
        (
            "--strength -1",
            "invert squeezenet1_1 photos/cat.png --layer fire2 --strength -1",
            &["--strength -1"],
        ),
        ("empty", "invert squeezenet1_1 photos/cat.png --layer fire2 --out empty", &["empty"]),
        ("9-3", "invert squeezenet1_1 photos/cat.png --layer fire2 --channels 9-3", &["9-3"]),
        ("--power 99", "caricature squeezenet1_1 photos/cat.png --layer fire2 --power 99", &["--power 99"]),
        ("nothing to accentuate", "accentuate squeezenet1_1 photos/cat.png", &["nothing to accentuate"]),
        ("lucy", "presets lucy", &["lucy"]),
    ];
    refuse_all(&place, cases);
}

#[test]
fn the_way_between_two_units_is_a_strip_and_a_film() {
    let place = place();
    let ends =
        ["interpolate", MODEL, "--from-unit", "fire4:3", "--to-unit", "class:goldfish", "--frames", "3"];
    let further = ["--align", "fire2=0.1", "--out", "strip.png", "--film", "film.gif"];
    let said = run(&place, &[&ends[..], &further].concat());
    let units: Vec<&str> =
        said["units"].as_array().unwrap().iter().map(|u| u["unit"].as_str().unwrap()).collect();
    assert_eq!(units, ["0 %", "50 %", "100 %"]);
    assert!(place.read("film.gif").starts_with(b"GIF8"));
    again(&place, "strip.png");
    refuse_all(
        &place,
        &[
            (
                "align",
                "interpolate squeezenet1_1 --from-unit fire4:3 --to-unit fire4:5 --align fire2",
                &["LAYER=WEIGHT"],
            ),
            (
                "film",
                "interpolate squeezenet1_1 --from-unit fire4:3 --to-unit fire4:5 --film a.avi",
                &["a.avi"],
            ),
        ],
    );
}
