//! `--display`: the values shown as black and white, on which nothing else depends.

use serde_json::Value;

use crate::bad_input::refuse_all;
use crate::files::{picture, read_safetensors, text_of};
use crate::onnx::Network;
use crate::place::{Place, Report, check};

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "[[input]]\nname = \"x\"\nsize = [24, 20]\n");
    place.write("photo.png", picture(40, 30));
    place
}

/// Flags that make a faint picture: few small steps on pixels.
const FAINT: &[&str] = &["--size", "20", "--steps", "3", "--param", "pixel", "--lr", "0.002"];

fn bytes_of(place: &Place, name: &str) -> Vec<u8> {
    oneiro_media::read_image(place.path(name)).unwrap().to_rgb8()
}

fn contrast(bytes: &[u8]) -> u8 {
    bytes.iter().max().unwrap() - bytes.iter().min().unwrap()
}

fn render(place: &Place, args: &[&str]) -> Value {
    place.json(&[&["render", "net.onnx", "--json", "--quiet"], FAINT, args].concat())
}

/// Returns the reported numbers of all units, except those about the display.
fn numbers(said: &Value) -> Vec<String> {
    let units = said["units"].as_array().unwrap();
    let keys = ["value", "value_at_start", "value_saved", "robustness"];
    units.iter().flat_map(|u| keys.map(|k| u[k].to_string())).collect()
}

#[test]
fn pixels_change_with_the_display_and_numbers_do_not() {
    let place = place();
    let unit = ["-u", "left.conv:1", "--raw", "r.safetensors", "--out", "a.png", "--robustness"];
    let plain = render(&place, &unit);
    let (png, raw) = (place.read("a.png"), read_safetensors(&place.read("r.safetensors")).0);
    let faint = bytes_of(&place, "a.png");
    assert!(contrast(&faint) < 100, "{}", contrast(&faint));
    assert!(text_of(&place.path("a.png")).get("display").is_none());
    assert!(plain["units"][0].get("display").is_none(), "{plain:#}");
    render(&place, &[&unit[..], &["--display", "clip"]].concat());
    assert_eq!(place.read("a.png"), png);
    for display in ["auto", "auto-shared", "standardize", "-0.5..1.5"] {
        let said = render(&place, &[&unit[..], &["--display", display]].concat());
        assert_eq!(numbers(&said), numbers(&plain), "{display}");
        let (tensors, _) = read_safetensors(&place.read("r.safetensors"));
        assert_eq!(tensors, raw, "{display}");
        // Each pixel is the stored value, mapped by the reported black and white.
        let [black, white] = [0, 1].map(|i| said["units"][0]["display_range"][i].as_f64().unwrap());
        let (_, values) = &tensors["x/0"];
        let shown = bytes_of(&place, "a.png");
        for (i, value) in values.iter().enumerate() {
            let expected = 255.0 * ((f64::from(*value) - black) / (white - black)).clamp(0.0, 1.0);
            let byte = f64::from(shown[i % 400 * 3 + i / 400]);
            assert!((byte - expected).abs() < 0.51, "{display} {i}: {byte} {expected}");
        }
        let text = text_of(&place.path("a.png"));
        assert_eq!(text.get("display-range").unwrap(), format!("{}..{}", black as f32, white as f32));
    }
    let said = render(&place, &[&unit[..], &["--display", "auto"]].concat());
    assert_eq!(said["units"][0]["display"], "auto");
    let shown = bytes_of(&place, "a.png");
    // Of the picture's 1200 values, six lie beyond each level.
    let cut = |level: u8| shown.iter().filter(|v| **v == level).count();
    assert!((6..40).contains(&cut(0)) && (6..40).contains(&cut(255)), "{} {}", cut(0), cut(255));
}

#[test]
fn levels_in_common_keep_pictures_comparable() {
    let place = place();
    let units = ["-u", "left.conv:0", "-u", "left.conv:1", "-u", "left.conv:2", "--out", "all"];
    let ranges = |display: &str| {
        let said = render(&place, &[&units[..], &["--display", display]].concat());
        let units = said["units"].as_array().unwrap().clone();
        units.iter().map(|u| u["display_range"].clone()).collect::<Vec<_>>()
    };
    let shared = ranges("auto-shared");
    assert!(shared[0].is_array() && shared.iter().all(|r| *r == shared[0]), "{shared:?}");
    let own = ranges("auto");
    assert!(own[0] != own[1], "{own:?}");
    // The common levels are those of all values, so they lie between the extremes of the individual pictures'
    // levels.
    let of = |ranges: &[Value], i: usize| ranges.iter().map(|r| r[i].as_f64().unwrap()).collect::<Vec<_>>();
    let (low, high) = (of(&own, 0), of(&own, 1));
    let least = |v: &[f64]| v.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |v: &[f64]| v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let [black, white] = [0, 1].map(|i| of(&shared, i)[0]);
    assert!(least(&low) <= black && black <= most(&low), "{shared:?} {own:?}");
    assert!(least(&high) <= white && white <= most(&high), "{shared:?} {own:?}");
}

#[test]
fn what_is_shown_otherwise_is_made_again_byte_for_byte() {
    let place = place();
    let unit = ["-u", "left.conv:1"];
    let several = ["-u", "left.conv:0", "-u", "left.conv:1", "--out", "all"];
    let sheet = ["--layer", "left.conv", "--units", "0-2", "--out", "a.png"];
    let photo = ["photo.png", "--layer", "left.conv", "--out", "a.png"];
    let accentuate = ["photo.png", "--unit", "left.conv:1", "--out", "a.png"];
    let walk = ["--from-unit", "left.conv:0", "--to-unit", "left.conv:1", "--frames", "3", "--out", "a.png"];
    let cases: &[(&str, &[&str], &str, &str)] = &[
        ("render", &[&unit[..], &["--out", "a.png"]].concat(), "auto", "a.png"),
        ("render", &[&unit[..], &["--out", "a.png"]].concat(), "0.3..0.7", "a.png"),
        ("render", &[&unit[..], &["--out", "a.png", "--alpha"]].concat(), "standardize", "a.png"),
        ("render", &several, "auto-shared", "all/left.conv-1.png"),
        ("render", &[&unit[..], &["--out", "b.png", "--film", "a.png"]].concat(), "auto", "a.png"),
        ("sheet", &sheet, "auto", "a.png"),
        ("sheet", &sheet, "auto-shared", "a.png"),
        ("invert", &photo, "auto-shared", "a.png"),
        ("caricature", &photo, "standardize", "a.png"),
        ("accentuate", &accentuate, "auto", "a.png"),
        ("interpolate", &walk, "auto-shared", "a.png"),
        ("interpolate", &[&walk[..], &["--film", "f.gif"]].concat(), "auto-shared", "f.gif"),
    ];
    let mut report = Report::default();
    for (command, args, display, file) in cases {
        let of_display = |display: &str| {
            let settings = if *command == "accentuate" { &FAINT[..4] } else { FAINT };
            place.succeed(&[&[command, "net.onnx"], settings, args, &["--display", display]].concat());
            place.read(file)
        };
        let (plain, made) = (of_display("clip"), of_display(display));
        let out = if file.ends_with("gif") { "again.gif" } else { "again.png" };
        place.succeed(&["again", file, "--out", out]);
        let name = format!("{command} {display}");
        report.case(&name, check(place.read(out) == made, || "other bytes".into()));
        report.case(&name, check(plain != made, || "the display changes nothing".into()));
    }
    report.finish();
}

#[test]
fn a_film_ends_on_the_picture_as_it_is_shown() {
    let place = place();
    render(&place, &["-u", "left.conv:1", "--out", "a.png", "--film", "f.png", "--display", "auto"]);
    let last = |name: &str| oneiro_media::read_image(place.path(name)).unwrap();
    assert_eq!(last("f.png"), last("a.png"));
}

#[test]
fn displays_that_cannot_be_are_refused_before_any_work() {
    refuse_all(
        &place(),
        &[
            (
                "no such",
                "render net.onnx -u left.conv:1 --display fixed",
                &["--display", "auto", "LOW..HIGH"],
            ),
            ("backwards", "sheet net.onnx --layer left.conv --display 1..0", &["black at 1", "white at 0"]),
            ("no number", "render net.onnx -u left.conv:1 --display 0..x", &["--display", "-0.2..1.2"]),
            (
                "a film of what is not known yet",
                "render net.onnx -u left.conv:1 --film a.png --display auto-shared",
                &["--film a.png", "--display auto"],
            ),
        ],
    );
}
