//! `oneiro dream`: dream images.

use oneiro::dream::DreamPreset;
use serde_json::Value;

use crate::bad_input::refuse_all;
use crate::files::{picture, text_of};
use crate::onnx::Network;
use crate::place::Place;

/// A new folder with the tiny network, a network for pictures of 24x20 only, and photos.
fn place() -> Place {
    let place = Place::new();
    let card = "[[input]]\nname = \"x\"\nsize = [24, 20]\n";
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", card);
    place.write("dense.onnx", Network { dense: true, ..Network::default() }.bytes());
    place.write("dense.toml", card);
    place.write("photos/cat.png", picture(40, 30));
    place.write("guide.png", picture(31, 50));
    place.write("half.png", half());
    place
}

/// Returns a PNG that is white on the left and black on the right.
fn half() -> Vec<u8> {
    let rgb = (0..3 * 30 * 40).map(|i| if i % 40 < 20 { 1.0 } else { 0.0 }).collect();
    let image = oneiro_media::Image::rgb(40, 30, rgb).unwrap();
    oneiro_media::encode_png(&image, &oneiro_media::PngText::default()).unwrap()
}

const QUICK: &[&str] = &["--octaves", "2", "--steps", "2"];

/// Runs `oneiro dream` with two short octaves; returns its JSON.
fn dream(place: &Place, args: &[&str]) -> Value {
    place.json(&[&["dream"], args, QUICK, &["--json"]].concat())
}

#[test]
fn a_dream_of_the_embedded_network_rises_and_is_the_same_with_any_number_of_threads() {
    let place = place();
    let args = ["squeezenet1_1", "photos/cat.png", "--size", "64", "--layer", "fire4"];
    let said =
        dream(&place, &[&args[..], &["--out", "a.png", "--threads", "1", "--raw", "a.safetensors"]].concat());
    let unit = &said["units"][0];
    assert!(unit["value"].as_f64() > unit["value_at_start"].as_f64(), "{said:#}");
    assert_eq!((&unit["unit"], &unit["steps"]), (&"fire4".into(), &4.into()));
    assert_eq!(said["files"], serde_json::json!(["a.png", "a.safetensors"]));
    for threads in ["2", "8"] {
        dream(&place, &[&args[..], &["--out", "b.png", "--threads", threads]].concat());
        assert_eq!(place.read("a.png"), place.read("b.png"), "{threads} threads");
    }
    let raw = place.read("a.safetensors");
    let file = safetensors::SafeTensors::deserialize(&raw).unwrap();
    // The flag's size of 64 is the longer side of a photo of 40x30.
    assert_eq!(file.tensor("x/0").unwrap().shape(), [3, 48, 64]);
    let (_, header) = safetensors::SafeTensors::read_metadata(&raw).unwrap();
    let units: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["units"]).unwrap();
    assert_eq!(units[0]["value"], unit["value"]);
}

#[test]
fn everything_that_is_dreamt_is_made_again_byte_for_byte() {
    let place = place();
    let cat = "photos/cat.png";
    let made: &[(&str, &[&str])] = &[
        ("deep.png", &["net.onnx", cat, "--layer", "left.conv", "--seed", "5"]),
        ("layers.png", &["net.onnx", cat, "-l", "left.conv", "-l", "right.conv", "--weights", "1,-0.5"]),
        ("unit.png", &["net.onnx", cat, "--unit", "left.conv:2", "--strength", "0.5", "--jitter", "3"]),
        ("class.png", &["dense.onnx", cat, "--unit", "class:1"]),
        ("tiles.png", &["net.onnx", cat, "-l", "right.conv", "--tile", "32", "--size", "90x80"]),
        (
            "noise.png",
            &["net.onnx", "noise", "-l", "left.conv", "--preset", "conveiro-laplacian", "--size", "40"],
        ),
        (
            "ms.png",
            &["net.onnx", cat, "-l", "left.conv", "--preset", "conveiro-multiscale", "--mask", "half.png"],
        ),
        ("guided.png", &["net.onnx", cat, "-l", "left.conv", "--control", "guide.png"]),
    ];
    for (name, args) in made {
        dream(&place, &[args, &["--out", name][..]].concat());
        let again = place.json(&["again", name, "--out", "again.png", "--json"]);
        assert_eq!(again["identical"], true, "{name}");
        assert_eq!(place.read(name), place.read("again.png"), "{name}");
        assert!(place.succeed(&["info", name]).contains("command: dream"), "{name}");
    }
}

#[test]
fn a_zoom_is_a_film_whose_last_frame_is_the_picture() {
    let place = place();
    for film in ["film.png", "film.gif"] {
        let args = [
            "net.onnx",
            "photos/cat.png",
            "-l",
            "left.conv",
            "--zoom",
            film,
            "--frames",
            "3",
            "--rotate",
            "5",
        ];
        let said = dream(&place, &[&args[..], &["--out", "last.png"]].concat());
        assert_eq!(
            (&said["files"], &said["units"][0]["steps"]),
            (&serde_json::json!(["last.png", film]), &12.into())
        );
        for name in [film, "last.png"] {
            let again = place.json(&["again", name, "--json"]);
            assert_eq!(again["identical"], true, "{name}");
        }
    }
    assert!(place.succeed(&["info", "film.png"]).contains("film: 3 frames of"));
    let still = |name: &str| oneiro_media::read_image(place.path(name)).unwrap();
    assert_ne!(
        still("film.png"),
        still("last.png"),
        "a film that is written as it comes shows its first frame"
    );
}

#[test]
fn a_mask_keeps_what_is_black() {
    let place = place();
    dream(&place, &["net.onnx", "photos/cat.png", "-l", "left.conv", "--mask", "half.png", "--out", "a.png"]);
    let (before, after) = (place.read("photos/cat.png"), place.read("a.png"));
    let image = |bytes: &[u8]| oneiro_media::decode_image(bytes, "x.png").unwrap();
    let (before, after) = (image(&before), image(&after));
    let changed = |columns: std::ops::Range<usize>| {
        columns.filter(|&x| before.pixel(x, 15) != after.pixel(x, 15)).count()
    };
    assert!(changed(0..18) > 9 && changed(24..40) == 0, "{} {}", changed(0..18), changed(24..40));
}

#[test]
fn a_preset_may_be_a_file_as_a_picture_says_it() {
    let place = place();
    let args = ["net.onnx", "photos/cat.png", "-l", "left.conv"];
    place.succeed(
        &[
            &["dream"],
            &args[..],
            &["--octaves", "2", "--steps", "3", "--normalize", "laplacian", "--out", "a.png"],
        ]
        .concat(),
    );
    let text = text_of(&place.path("a.png"));
    let settings = text.get("settings").unwrap();
    assert_eq!(toml::from_str::<DreamPreset>(settings).unwrap().steps, 3);
    place.write("mine.toml", settings);
    place.succeed(&[&["dream"], &args[..], &["--preset", "mine.toml", "--out", "b.png"]].concat());
    assert_eq!(place.read("a.png"), place.read("b.png"));
    // Without `--out`, the picture is written into the current folder, under the photo's name.
    place.succeed(&[&["dream"], &args[..], &["--preset", "mine.toml"]].concat());
    assert_eq!(place.read("a.png"), place.read("cat.dream.png"));
}

#[test]
fn an_image_that_moved_is_found_by_its_content_and_another_is_refused() {
    let place = place();
    dream(&place, &["net.onnx", "photos/cat.png", "-l", "left.conv", "--out", "a.png"]);
    std::fs::rename(place.path("photos/cat.png"), place.path("moved.png")).unwrap();
    refuse_all(&place, &[("gone", "again a.png", &["photos/cat.png", "--image"])]);
    let args = ["again", "a.png", "--image", "guide.png", "--image", "moved.png", "--json"];
    assert_eq!(place.json(&args)["identical"], true);
    place.write("photos/cat.png", picture(41, 30));
    refuse_all(&place, &[("another", "again a.png --out c.png", &["photos/cat.png", "SHA-256", "--image"])]);
}

#[test]
fn what_cannot_be_dreamt_is_one_error_that_names_it() {
    let place = place();
    place.write("dot.png", picture(1, 1));
    place.write("text.png", "no picture");
    place.write("bad.toml", "steps = \"many\"");
    std::fs::create_dir(place.path("folder")).unwrap();
    let cat = "net.onnx photos/cat.png --layer left.conv";
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("no goal", "net.onnx photos/cat.png".into(), &["--layer"]),
        ("no photo", "net.onnx none.jpg -l left.conv".into(), &["none.jpg"]),
        ("no picture", "net.onnx text.png -l left.conv".into(), &["text.png"]),
        ("one pixel", "net.onnx dot.png -l left.conv".into(), &["1x1", "size"]),
        ("no layer", "net.onnx photos/cat.png -l rigth.conv".into(), &["rigth.conv", "right"]),
        ("no channel", "net.onnx photos/cat.png -u left.conv:99".into(), &["99"]),
        ("no unit", "net.onnx photos/cat.png -u left.conv:x".into(), &["left.conv:x"]),
        ("objective", format!("{cat} --objective logit(1)"), &["--objective"]),
        ("weights", format!("{cat} --weights 1,2"), &["--weights"]),
        ("another format", format!("{cat} --out still.tif"), &["still.tif", ".png"]),
        ("over the photo", format!("{cat} --out photos/cat.png"), &["is made from"]),
        ("penalty", "net.onnx photos/cat.png --objective 'layer(left.conv) - tv'".into(), &["tv", "penalty"]),
        (
            "coupled",
            "net.onnx photos/cat.png --objective 'layer(left.conv) - diversity(left.conv)'".into(),
            &["diversity(left.conv)", "batch"],
        ),
        ("raw over out", format!("{cat} --out a.png --raw a.png"), &["another result"]),
        ("no folder", format!("{cat} --out none/a.png"), &["none", "does not exist"]),
        ("film", format!("{cat} --zoom a.avi"), &["a.avi", ".gif"]),
        ("film folder", format!("{cat} --zoom folder"), &["folder"]),
        ("frames", format!("{cat} --zoom a.gif --frames 0"), &["frames is 0"]),
        ("factor", format!("{cat} --zoom a.gif --zoom-factor 9"), &["zoom factor is 9"]),
        ("frames alone", format!("{cat} --frames 3"), &["--zoom"]),
        ("preset", format!("{cat} --preset lucid"), &["lucid", "deepdream"]),
        ("preset file", format!("{cat} --preset bad.toml"), &["bad.toml"]),
        ("no preset file", format!("{cat} --preset none.toml"), &["none.toml"]),
        ("octaves", format!("{cat} --octaves 0"), &["octaves is 0"]),
        ("scale", format!("{cat} --octave-scale 1"), &["octave_scale is 1"]),
        ("step", format!("{cat} --step-size -1"), &["step_size is -1"]),
        ("tile", format!("{cat} --tile 3"), &["tile is 3"]),
        ("overlap", format!("{cat} --tile 64 --overlap 60"), &["overlap is 60"]),
        ("mask of noise", "net.onnx noise -l left.conv --mask half.png".into(), &["noise"]),
        ("strength of noise", "net.onnx noise -l left.conv --strength 0.5".into(), &["noise"]),
        ("black mask", format!("{cat} --size 24 --mask black.png"), &["black"]),
        ("guided unit", format!("{cat} -u left.conv:1 --guide guide.png"), &["--guide"]),
    ];
    place.write("black.png", {
        let image = oneiro_media::Image::filled(4, 4, [0.0; 3]);
        oneiro_media::encode_png(&image, &oneiro_media::PngText::default()).unwrap()
    });
    let commands: Vec<(&str, String, &[&str])> =
        cases.into_iter().map(|(name, args, says)| (name, format!("dream {args}"), says)).collect();
    let cases: Vec<_> =
        commands.iter().map(|(name, command, says)| (*name, command.as_str(), *says)).collect();
    refuse_all(&place, &cases);
}

#[test]
fn a_folder_for_the_picture_is_used_and_an_existing_one_for_a_file_is_not() {
    let place = place();
    dream(&place, &["net.onnx", "photos/cat.png", "-l", "left.conv", "--out", "new/"]);
    assert!(place.path("new/cat.dream.png").is_file());
    let said = place.json(&["again", "new/cat.dream.png", "--json"]);
    assert_eq!(said["identical"], true);
}

#[test]
fn a_network_of_one_size_dreams_on_any_picture() {
    let place = place();
    let args =
        ["dream", "dense.onnx", "photos/cat.png", "--unit", "class:2", "--size", "70", "--out", "a.png"];
    let outcome = place.run(&[&args[..], QUICK].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("24x20"), "{}", outcome.stderr);
}

#[test]
fn a_recipe_is_saved_and_a_dream_is_a_recipe_of_others() {
    let place = place();
    let of = ["dream", "net.onnx", "photos/cat.png", "--layer", "left.conv"];
    let changed = ["--octaves", "2", "--steps", "3", "--step-size", "2", "--save-preset", "mine.toml"];
    place.succeed(&[&of[..], &changed, &["--out", "a.png"]].concat());
    for recipe in ["mine.toml", "a.png"] {
        place.succeed(&[&of[..], &["--preset", recipe, "--out", "b.png"]].concat());
        assert_eq!(place.read("a.png"), place.read("b.png"), "{recipe}");
    }
    place.succeed(&["render", "net.onnx", "--unit", "class:1", "--steps", "1", "--out", "unit.png"]);
    let outcome = place.run(&[&of[..], &["--preset", "unit.png"]].concat());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("it is no dream"), "{}", outcome.stderr);
}

#[test]
fn the_rate_of_a_zoom_can_be_chosen() {
    let place = place();
    let zoom = |fps: &[&str], out: &str| {
        let of =
            ["dream", "net.onnx", "photos/cat.png", "--layer", "left.conv", "--zoom", out, "--frames", "3"];
        place.succeed(&[&of[..], QUICK, fps].concat());
        text_of(&place.path(out)).get("film").unwrap().to_owned()
    };
    assert_eq!(zoom(&[], "usual.apng"), "3 frames of 0.1 s");
    assert_eq!(zoom(&["--fps", "25"], "fast.apng"), "3 frames at 25 a second");
    assert!(place.succeed(&["again", "fast.apng"]).contains("identical"));
    let outcome = place.run(&["dream", "net.onnx", "photos/cat.png", "--layer", "left.conv", "--fps", "5"]);
    assert!(outcome.stderr.contains("--fps is for --zoom and for videos"), "{}", outcome.stderr);
}
