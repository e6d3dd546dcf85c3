//! Commands that start from pictures: `invert`, `caricature`, `accentuate`, and `render` with `--from` and
//! `--mask`.

use serde_json::{Value, json};

use crate::bad_input::refuse_all;
use crate::files::{npy, picture, read_safetensors, wave};
use crate::place::{Place, Report, check};

const NET: &str = "squeezenet1_1";
/// Flags for small pictures and few steps, since the quality of the results is not tested.
const QUICK: &[&str] = &["--size", "48", "--steps", "2"];
/// Number of channels of the layer fire2.
const FIRE2: usize = 128;

/// A new folder with two photographs, of which the second has more detail, a mask, and a direction.
fn place() -> Place {
    let place = Place::new();
    place.write("cat.png", picture(70, 60));
    place.write("more/dog.png", waves(60, 80));
    place.write("half.png", picture_of(40, 40, |i| if i % 40 < 20 { 1.0 } else { 0.0 }));
    place.write("way.npy", npy(&[FIRE2], &wave(FIRE2)));
    place
}

fn picture_of(width: usize, height: usize, value: impl Fn(usize) -> f32) -> Vec<u8> {
    let rgb = (0..3 * width * height).map(value).collect();
    let image = oneiro_media::Image::rgb(width, height, rgb).unwrap();
    oneiro_media::encode_png(&image, &oneiro_media::PngText::default()).unwrap()
}

fn waves(width: usize, height: usize) -> Vec<u8> {
    picture_of(width, height, |i| 0.5 + 0.4 * (i as f32 * 0.61).sin())
}

fn image(place: &Place, name: &str) -> oneiro_media::Image {
    oneiro_media::read_image(place.path(name)).unwrap()
}

/// Runs a command on the embedded network with [`QUICK`] settings; returns its JSON.
#[track_caller]
fn quick(place: &Place, command: &str, args: &[&str]) -> Value {
    place.json(&[&[command, NET], args, QUICK, &["--json", "--quiet"]].concat())
}

#[test]
fn an_inversion_says_how_near_it_came_for_each_picture_and_layer() {
    let place = place();
    let args = ["cat.png", "more", "--layer", "fire2", "--layer", "fire5", "--out", "a.png"];
    let files = ["--table", "t.csv", "--plot", "p.png", "--raw", "r.safetensors", "--save-preset", "s.toml"];
    let said = quick(&place, "invert", &[&args[..], &files].concat());
    assert!(said["seconds"].as_f64().is_some_and(|s| s > 0.0), "{said:#}");
    let mut listed: Vec<&str> = said["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    listed.sort_unstable();
    assert_eq!(listed, ["a.png", "p.png", "r.safetensors", "s.toml", "t.csv"]);
    let units = said["units"].as_array().unwrap();
    let of = |u: &Value| (u["layer"].as_str().unwrap().to_owned(), u["image"].as_str().unwrap().to_owned());
    let expected =
        [("fire2", "cat.png"), ("fire2", "more/dog.png"), ("fire5", "cat.png"), ("fire5", "more/dog.png")];
    assert_eq!(units.iter().map(of).collect::<Vec<_>>(), expected.map(|(a, b)| (a.into(), b.into())));
    let mut rows = vec!["layer,image,strength,seed,relative_error,psnr".to_owned()];
    for unit in units {
        // The objective's value is -||F(x) - F0||² / ||F0||², for features F of the picture x and F0 of the
        // photo.
        let (error, value) = (unit["relative_error"].as_f64().unwrap(), unit["value"].as_f64().unwrap());
        assert!((error * error + value).abs() < 1e-9, "{unit:#}");
        assert!(value > unit["value_at_start"].as_f64().unwrap() && error < 1.0, "{unit:#}");
        assert!(unit["psnr"].as_f64().is_some_and(|p| p > 5.0), "{unit:#}");
        let (layer, image) = of(unit);
        let row = [&unit["strength"], &unit["seed"], &unit["relative_error"], &unit["psnr"]];
        let numbers = row.map(|n| format!("{:.9}", n.as_f64().unwrap())).join(",");
        rows.push(format!("{layer},{image},{numbers}"));
    }
    let table = String::from_utf8(place.read("t.csv")).unwrap();
    let rounded = |field: &str| field.parse::<f64>().map_or(field.to_owned(), |n| format!("{n:.9}"));
    let table: Vec<String> =
        table.lines().map(|line| line.split(',').map(rounded).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(table, rows);
    let plot = image(&place, "p.png");
    assert_eq!((plot.width, plot.height), (800, 500));
    let (tensors, _) = read_safetensors(&place.read("r.safetensors"));
    assert_eq!(tensors.len(), 4);
    assert!(
        tensors.values().all(|(shape, data)| shape == &[3, 48, 48] && data.iter().all(|x| x.is_finite()))
    );
    // The text output has a line for each layer.
    let words = place.succeed(&[&["invert", NET], &args[..], QUICK, &["-q"]].concat());
    let starts = ["fire2: relative error 0.", "fire5: relative error 0.", "written to a.png"];
    assert_eq!(words.lines().count(), 3, "{words}");
    assert!(words.lines().zip(starts).all(|(line, start)| line.starts_with(start)), "{words}");
    assert!(words.contains(" ± "), "no standard error of two pictures in {words}");
}

#[test]
fn several_strengths_and_seeds_are_cells_of_their_own() {
    let place = place();
    let args = ["cat.png", "-l", "fire2", "--strength", "1,100", "--seeds", "3-4", "--out", "a.png"];
    let said = quick(&place, "invert", &args);
    let cells: Vec<_> =
        said["units"].as_array().unwrap().iter().map(|u| (&u["strength"], &u["seed"])).collect();
    let n = |x: f64| json!(x);
    assert_eq!(
        cells,
        [(&n(1.0), &json!(3)), (&n(1.0), &json!(4)), (&n(100.0), &json!(3)), (&n(100.0), &json!(4))]
    );
    let errors: Vec<f64> =
        said["units"].as_array().unwrap().iter().filter_map(|u| u["relative_error"].as_f64()).collect();
    assert!(errors[2] < errors[0] && errors[3] < errors[1], "strength 100 comes nearer than 1: {errors:?}");
    assert_ne!(errors[2], errors[3], "seeds differ");
}

#[test]
fn an_inversion_is_the_same_with_any_number_of_threads() {
    let place = place();
    let args = ["cat.png", "more/dog.png", "-l", "fire2", "-l", "fire4"];
    for threads in ["1", "2"] {
        let [png, raw] = ["png", "safetensors"].map(|end| format!("{threads}.{end}"));
        quick(&place, "invert", &[&args[..], &["--threads", threads, "--out", &png, "--raw", &raw]].concat());
    }
    assert!(place.read("1.safetensors") == place.read("2.safetensors"), "other numbers");
    assert!(place.read("1.png") == place.read("2.png"), "other bytes");
}

#[test]
fn a_caricature_starts_at_one_and_rises() {
    let place = place();
    let args = ["cat.png", "-l", "fire5", "--strength", "20,100", "--out", "a.png", "--raw", "a.safetensors"];
    let said = quick(&place, "caricature", &args);
    assert_eq!(said["files"], json!(["a.png", "a.safetensors"]));
    let units = said["units"].as_array().unwrap();
    assert_eq!(units.len(), 2);
    for unit in units {
        let (start, end) = (unit["value_at_start"].as_f64().unwrap(), unit["value"].as_f64().unwrap());
        assert!((start - 1.0).abs() < 1e-5 && end > 1.2, "{unit:#}");
        assert_eq!(unit["start"], "cat.png");
    }
    let noise = quick(&place, "caricature", &["cat.png", "-l", "fire5", "--from-noise", "--power", "2"]);
    assert_eq!(noise["files"], json!(["caricature.png"]));
    assert!(noise["units"][0]["value_at_start"].as_f64().is_some_and(|v| v < 0.9), "{noise:#}");
}

#[test]
fn an_accentuation_near_the_picture_moves_the_features_less() {
    let place = place();
    // This test needs more steps than others, because the first ones overshoot.
    let args = ["accentuate", NET, "cat.png", "-u", "class:tabby", "--near", "fire5", "--strength", "0,50"];
    let settings = ["--size", "48", "--steps", "8", "--out", "a.png", "--raw", "r", "--json", "-q"];
    let said = place.json(&[&args[..], &settings].concat());
    assert_eq!(said["files"], json!(["a.png", "r"]));
    let units = said["units"].as_array().unwrap();
    let objectives: Vec<_> = units.iter().map(|u| u["objective"].as_str().unwrap()).collect();
    assert_eq!(objectives, ["logit(281)", "logit(281) + 50*inversion(fire5,cat.png)"]);
    let rises = |i: usize| units[i]["value"].as_f64() > units[i]["value_at_start"].as_f64();
    assert!(rises(0), "{said:#}");
    // The distance of the features is the other term of the objective, computed on its own.
    let (tensors, _) = read_safetensors(&place.read("r"));
    let nearness = ["x/0", "x/1"].map(|name| {
        let (shape, data) = &tensors[name];
        // Prepares the pictures as the network's card says: blue first, values 0-255, minus the mean.
        let planes = [(2, 103.939), (1, 116.779), (0, 123.68)];
        let plane = |(c, mean): (usize, f32)| {
            data.chunks(48 * 48).nth(c).unwrap().iter().map(move |v| 255.0 * v - mean)
        };
        let prepared: Vec<f32> = planes.into_iter().flat_map(plane).collect();
        place.write("x.npy", npy(&[&[1], &shape[..]].concat(), &prepared));
        let run = ["run", NET, "--input", "x=x.npy", "--out", "g", "-q"];
        place.succeed(&[&run[..], &["--grad", "inversion(fire5,cat.png)"]].concat());
        read_safetensors(&place.read("g")).0["value"].1[0]
    });
    assert!(nearness[0] < nearness[1], "{nearness:?}");
}

#[test]
fn where_the_mask_is_black_the_picture_stays() {
    let place = place();
    let unit = ["--unit", "fire2:3"];
    quick(&place, "render", &[&unit[..], &["--from", "more/dog.png", "--out", "all.png"]].concat());
    let args = ["--from", "more/dog.png", "--mask", "half.png", "--out", "half-changed.png"];
    quick(&place, "render", &[&unit[..], &args].concat());
    let still = ["--from", "more/dog.png", "--steps", "0", "--size", "48", "--out", "still.png", "-q"];
    place.succeed(&[&["render", NET], &unit[..], &still].concat());
    let [all, half, still] = ["all.png", "half-changed.png", "still.png"].map(|name| image(&place, name));
    let differ = |a: &oneiro_media::Image, b: &oneiro_media::Image, columns: std::ops::Range<usize>| {
        let levels = |x: f32, y: f32| (255.0 * (x - y)).abs();
        columns
            .flat_map(|x| (0..48).map(move |y| (x, y)))
            .filter(|&(x, y)| (0..3).any(|c| levels(a.pixel(x, y)[c], b.pixel(x, y)[c]) > 1.5))
            .count()
    };
    let [white, black] = [0..22, 26..48];
    assert!(differ(&half, &still, white.clone()) > 100, "{}", differ(&half, &still, white));
    assert_eq!(differ(&half, &still, black.clone()), 0);
    assert!(differ(&all, &still, black.clone()) > 100, "{}", differ(&all, &still, black));
}

#[test]
fn commands_that_start_from_their_own_picture_take_a_mask_for_it() {
    let place = place();
    place.write("black.png", picture_of(40, 40, |_| 0.0));
    for (command, args) in [("caricature", ["--layer", "fire2"]), ("accentuate", ["--unit", "fire2:3"])] {
        let values = |mask: &[&str]| {
            let out = ["--size", "48", "--steps", "2", "--out", "a.png", "--raw", "r.safetensors", "-q"];
            place.succeed(&[&[command, NET, "cat.png"], &args[..], &out, mask].concat());
            if !mask.is_empty() {
                place.succeed(&["again", "a.png", "--out", "again.png"]);
                assert!(place.read("a.png") == place.read("again.png"), "{command}");
            }
            let (tensors, _) = read_safetensors(&place.read("r.safetensors"));
            tensors.into_values().next().unwrap().1
        };
        let [start, half] = ["black.png", "half.png"].map(|mask| values(&["--mask", mask]));
        let all = values(&[]);
        let moved = |v: &[f32], columns: std::ops::Range<usize>| {
            let of = (0..v.len()).filter(|i| columns.contains(&(i % 48)));
            of.map(|i| (v[i] - start[i]).abs()).fold(0.0, f32::max)
        };
        assert!(moved(&half, 0..22) > 1e-3, "{command} {}", moved(&half, 0..22));
        assert!(moved(&half, 26..48) < 1e-5, "{command} {}", moved(&half, 26..48));
        assert!(moved(&all, 26..48) > 1e-3, "{command} {}", moved(&all, 26..48));
    }
}

#[test]
fn everything_that_is_made_of_files_is_made_again_byte_for_byte() {
    let place = place();
    let unit = ["--unit", "fire2:3"];
    let made: &[(&str, &str, &[&str])] = &[
        ("from.png", "render", &["-u", "fire2:3", "--from", "cat.png", "--mask", "half.png"]),
        ("alpha.png", "render", &["-u", "fire2:3", "--alpha", "--seed", "3"]),
        ("views.png", "render", &["-u", "fire2:3", "--views", "2", "--jitter", "3"]),
        ("data.png", "render", &["-u", "fire2:3", "--preset", "mahendran16", "--data", "more"]),
        ("way.png", "render", &["--objective", "direction(fire2,way.npy)"]),
        ("style.png", "render", &["--objective", "inversion(fire2,cat.png) - 0.1*tv - 0.2*l2"]),
        ("from-sheet.png", "sheet", &["-l", "fire2", "--units", "1-2", "--from", "cat.png"]),
        (
            "inversion.png",
            "invert",
            &["cat.png", "more", "-l", "fire2", "-l", "fire4", "--strength", "1,100", "--seeds", "0-1"],
        ),
        (
            "region.png",
            "invert",
            &["cat.png", "-l", "fire2", "--center", "3", "--channels", "0-63", "--feature-mask", "half.png"],
        ),
        (
            "started.png",
            "invert",
            &["cat.png", "-l", "fire2", "--from", "more/dog.png", "--mask", "half.png"],
        ),
        ("caricature.png", "caricature", &["cat.png", "more", "-l", "fire4", "--strength", "20,100"]),
        (
            "accentuation.png",
            "accentuate",
            &["cat.png", "-u", "fire2:3", "-u", "class:tabby", "--near", "fire4", "--strength", "0,1"],
        ),
    ];
    let mut report = Report::default();
    for (name, command, args) in made {
        quick(&place, command, &[args, &["--out", name][..]].concat());
        report.case(name, again_is_identical(&place, name));
    }
    // Pictures that depend on each other are each made again together with the others.
    let joined: &[(&str, &[&str])] = &[
        ("batch/", &["--objective", "channel(fire2,3) - 0.1*diversity(fire2)", "--batch", "2"]),
        ("shared/", &[&unit[..], &["--unit", "fire2:4", "--param", "shared"]].concat()),
        ("apart/", &[&unit[..], &["--batch", "2"]].concat()),
    ];
    for (folder, args) in joined {
        let said = quick(&place, "render", &[args, &["--out", folder][..]].concat());
        let files: Vec<&str> = said["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(files.len(), 2, "{said:#}");
        assert_ne!(
            image(&place, files[0]).data,
            image(&place, files[1]).data,
            "{folder}: twice the same picture"
        );
        for file in files {
            report.case(file, again_is_identical(&place, file));
        }
    }
    report.finish();
}

fn again_is_identical(place: &Place, name: &str) -> Result<(), String> {
    let said = place.json(&["again", name, "--out", "again.png", "--json", "-q", "--threads", "2"]);
    let same = place.read(name) == place.read("again.png");
    check(same && said["identical"] == true, || said.to_string())
}

#[test]
fn a_source_that_changed_or_is_gone_is_named_when_a_picture_is_made_again() {
    let place = place();
    let unit = ["-u", "fire2:3"];
    quick(
        &place,
        "render",
        &[&unit[..], &["--from", "cat.png", "--mask", "half.png", "--out", "a.png"]].concat(),
    );
    quick(&place, "invert", &["cat.png", "-l", "fire2", "--out", "b.png"]);
    quick(&place, "render", &["--objective", "direction(fire2,way.npy)", "--out", "c.png"]);
    // The sheet shows the photo beside the result, so the photo is a source even if the optimisation started
    // elsewhere.
    let from = ["cat.png", "-u", "fire2:3", "--from", "more/dog.png", "--out", "d.png"];
    quick(&place, "accentuate", &from);
    place.write("cat.png", waves(70, 60));
    std::fs::remove_file(place.path("half.png")).unwrap();
    std::fs::remove_file(place.path("way.npy")).unwrap();
    refuse_all(
        &place,
        &[
            ("changed", "again b.png", &["cat.png", "its content is not what"]),
            ("changed beside", "again d.png", &["cat.png", "its content is not what"]),
            ("gone", "again c.png", &["way.npy", "not there"]),
            ("start changed", "again a.png", &["cat.png", "its content is not what"]),
        ],
    );
    place.write("cat.png", picture(70, 60));
    refuse_all(&place, &[("mask gone", "again a.png", &["half.png", "not there"])]);
    assert_eq!(again_is_identical(&place, "b.png"), Ok(()));
}

#[test]
fn what_cannot_be_made_of_pictures_is_one_message_that_names_it() {
    let place = place();
    let whole = place.read("cat.png");
    place.write("cut.png", &whole[..whole.len() / 2]);
    place.write("text.png", "no picture");
    place.write("short.npy", npy(&[5], &wave(5)));
    place.write("square.npy", npy(&[2, 64], &wave(FIRE2)));
    std::fs::create_dir(place.path("empty")).unwrap();
    std::fs::create_dir(place.path("taken.png")).unwrap();
    let cases: &[(&str, &str, &[&str])] = &[
        ("missing", "invert NET none.png -l fire2", &["none.png"]),
        ("missing start", "render NET -u fire2:3 --from none.png", &["none.png"]),
        ("missing mask", "render NET -u fire2:3 --from cat.png --mask none.png", &["none.png"]),
        ("missing in an expression", "render NET --objective inversion(fire2,none.png)", &["none.png"]),
        ("a folder to start from", "render NET -u fire2:3 --from more", &["more", "folder"]),
        ("cut off", "invert NET cut.png -l fire2", &["cut.png"]),
        ("cut off start", "render NET -u fire2:3 --from cut.png", &["cut.png"]),
        ("no picture", "caricature NET text.png -l fire2", &["text.png"]),
        ("empty folder", "invert NET empty -l fire2", &["empty", "no picture"]),
        ("no picture is wanted", "invert NET more -l fire2 --limit 0", &["--limit 0"]),
        ("mask alone", "render NET -u fire2:3 --mask half.png", &["--mask half.png", "--from"]),
        ("a mask of noise", "invert NET cat.png -l fire2 --mask half.png", &["--mask half.png", "--from"]),
        (
            "a mask of a caricature from noise",
            "caricature NET cat.png -l fire2 --from-noise --mask half.png",
            &["--mask half.png", "--from"],
        ),
        (
            "more than the map has",
            "invert NET cat.png -l fire2 --center 12",
            &["fire2 is 11x11", "12x12", "center=11"],
        ),
        ("wrong length", "render NET --objective direction(fire2,short.npy)", &["short.npy", "5", "128"]),
        ("a matrix", "render NET --objective direction(fire2,square.npy)", &["square.npy", "[2, 64]"]),
        ("no such direction", "render NET --objective direction(fire2,none.npy)", &["none.npy"]),
        ("no layer", "invert NET cat.png", &["--layer"]),
        ("no layer to exaggerate", "caricature NET cat.png", &["--layer"]),
        ("nothing to accentuate", "accentuate NET cat.png", &["--unit"]),
        ("unknown layer", "invert NET cat.png -l fire22", &["fire22", "fire2"]),
        ("unknown layer to exaggerate", "caricature NET cat.png -l fire22", &["fire22", "fire2"]),
        ("near nothing", "accentuate NET cat.png -u fire2:3 --near fire22", &["fire22", "fire2"]),
        ("a single one", "render NET --objective '-1*diversity(fire2)'", &["diversity", "--batch"]),
        ("strength", "invert NET cat.png -l fire2 --strength -1", &["--strength -1"]),
        ("strength of a caricature", "caricature NET cat.png -l fire2 --strength -1", &["--strength -1"]),
        (
            "strength of nearness",
            "accentuate NET cat.png -u fire2:3 --near fire2 --strength -1",
            &["--strength -1"],
        ),
        ("strength of nothing", "accentuate NET cat.png -u fire2:3 --strength 1", &["--near"]),
        ("power", "caricature NET cat.png -l fire2 --power -1", &["--power -1"]),
        ("seeds", "invert NET cat.png -l fire2 --seeds 3-1", &["--seeds 3-1"]),
        ("center", "invert NET cat.png -l fire2 --center 0", &["--center 0"]),
        ("channels", "invert NET cat.png -l fire2 --channels 0-999", &["999", "fire2"]),
        ("a folder for the sheet", "invert NET cat.png -l fire2 --out taken.png", &["taken.png", "folder"]),
        ("a folder by its name", "invert NET cat.png -l fire2 --out more", &["more", ".png"]),
        ("a folder for the table", "invert NET cat.png -l fire2 --table more", &["more", "folder"]),
        ("twice one file", "invert NET cat.png -l fire2 --out a.png --raw a.png", &["a.png"]),
        ("over the picture", "invert NET cat.png -l fire2 --out cat.png", &["cat.png", "made from"]),
        ("table over it", "invert NET cat.png -l fire2 --table ./cat.png", &["cat.png", "made from"]),
        ("over the start", "render NET -u fire2:3 --from cat.png --out cat.png", &["cat.png", "made from"]),
        (
            "over the mask",
            "render NET -u fire2:3 --from cat.png --mask half.png --raw half.png",
            &["half.png"],
        ),
        ("over the photo", "caricature NET cat.png -l fire2 --out cat.png", &["cat.png", "made from"]),
        ("no images beside", "render NET -u fire2:3 --data empty", &["no images"]),
        ("no data", "render NET -u fire2:3 --preset mahendran16 --data none", &["none"]),
        ("no pictures in data", "render NET -u fire2:3 --preset mahendran16 --data empty", &["empty"]),
        ("no copies", "render NET -u fire2:3 --batch 0", &["--batch"]),
        ("no views", "render NET -u fire2:3 --views 0", &["views is 0"]),
        ("no jitter", "render NET -u fire2:3 --jitter much", &["much", "stride"]),
    ];
    let commands: Vec<String> =
        cases.iter().map(|(_, command, _)| command.replace("NET", NET) + " --size 48").collect();
    let cases: Vec<_> = cases
        .iter()
        .zip(&commands)
        .map(|((name, _, says), command)| (*name, command.as_str(), *says))
        .collect();
    refuse_all(&place, &cases);
}
