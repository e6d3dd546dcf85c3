//! Two units or layers side by side, and one in several networks.

use crate::bad_input::refuse_all;
use crate::onnx::{CLASSES, LEFT, Network, weights};
use crate::outside::shared;
use crate::place::Place;

const QUICK: [&str; 4] = ["--size", "24", "--steps", "6"];

/// A network with two equal filters (0 and 1), and a third (2) that is their opposite.
fn equal_filters(network: &[u8]) -> Vec<u8> {
    let left = weights(LEFT * 27, 1);
    let bytes = |filter: &[f32]| -> Vec<u8> { filter.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let first = bytes(&left[..27]);
    let at = network.windows(first.len()).position(|window| window == first).expect("the weights are there");
    let opposite: Vec<f32> = left[..27].iter().map(|x| -x).collect();
    let mut changed = network.to_vec();
    changed[at + first.len()..][..first.len()].copy_from_slice(&first);
    changed[at + 2 * first.len()..][..first.len()].copy_from_slice(&bytes(&opposite));
    changed
}

/// A place with a small network of four classes, images of two of them, and an earlier checkpoint.
fn place() -> Place {
    let place = Place::new();
    let card = "labels = \"labels.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 20]\n";
    for name in ["net", "other"] {
        place.write(&format!("{name}.toml"), card);
    }
    place.write("labels.txt", "cat\ndog\nfox\nowl\n");
    let bytes = equal_filters(&Network::default().bytes());
    place.write("net.onnx", &bytes);
    // The checkpoint differs in its last filter alone.
    let mut other = bytes;
    let left = weights(LEFT * 27, 1);
    let last: Vec<u8> = left[5 * 27..].iter().flat_map(|x| x.to_le_bytes()).collect();
    let at = other.windows(last.len()).position(|window| window == last).unwrap();
    let changed: Vec<u8> = left[4 * 27..5 * 27].iter().flat_map(|x| x.to_le_bytes()).collect();
    other[at..at + changed.len()].copy_from_slice(&changed);
    place.write("other.onnx", other);
    for (class, shade) in [("cat", 40), ("dog", 200)] {
        for i in 0..6u8 {
            let pixel = |y: usize, x: usize| (shade + (y * 7 + x * 3 + usize::from(i) * 11) % 50) as u8;
            let rgb: Vec<u8> = (0..24 * 20).flat_map(|at| [pixel(at / 20, at % 20); 3]).collect();
            let image = oneiro_media::Image::from_rgb8(20, 24, &rgb).unwrap();
            let png = oneiro_media::encode_png(&image, &oneiro_media::PngText::default()).unwrap();
            place.write(&format!("photos/{class}/{i}.png"), png);
        }
    }
    place
}

fn json(place: &Place, args: &[&str]) -> serde_json::Value {
    place.json(&[&["compare"], args, &QUICK, &["--json"]].concat())
}

fn near(value: &serde_json::Value, wanted: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - wanted).abs() < 1e-4)
}

#[test]
fn equal_filters_agree_and_opposite_ones_do_not() {
    let place = place();
    let with = |other: &str, data: &[&str]| {
        let units = ["net.onnx", "--unit", "left.conv:0", "--unit", other];
        json(&place, &[&units, data].concat())
    };
    for data in [&[][..], &["--data", "photos"]] {
        let equal = with("left.conv:1", data);
        assert!(near(&equal["weight_cosine"], 1.0), "{equal}");
        assert!(near(&equal["gradients"]["mean"], 1.0) && near(&equal["gradients"]["on_b"], 1.0), "{equal}");
        assert!(near(&equal["activations"]["largest"]["pearson"], 1.0), "{equal}");
        assert!(near(&equal["activations"]["mean"]["spearman"], 1.0), "{equal}");
        assert_eq!(equal["activations"]["synthetic"], data.is_empty());
        let opposite = with("left.conv:2", data);
        assert!(near(&opposite["weight_cosine"], -1.0), "{opposite}");
        assert!(near(&opposite["gradients"]["of_means"], -1.0), "{opposite}");
        assert!(near(&opposite["activations"]["mean"]["pearson"], -1.0), "{opposite}");
    }
    // Units of different layers weigh different inputs.
    let apart = with("right.conv:0", &[]);
    assert!(apart["weight_cosine"].is_null(), "{apart}");
}

#[test]
fn differences_raise_one_unit_and_not_the_other() {
    let place = place();
    let report = json(&place, &["net.onnx", "--unit", "left.conv:0", "--unit", "left.conv:2"]);
    let pictures = report["pictures"].as_array().unwrap();
    let names: Vec<&str> = pictures.iter().map(|picture| picture["kind"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "a-b", "b-a", "a+b"]);
    let value = |i: usize, unit: &str| pictures[i][unit].as_f64().unwrap();
    assert!(value(2, "a") > value(3, "a") && value(3, "b") > value(2, "b"), "{report}");
    assert!(near(&pictures[0]["share_a"], 1.0) && near(&pictures[1]["share_b"], 1.0), "{report}");
    // What a picture is for is kept, or the caption says that it is not.
    let share = |i: usize, unit: &str| pictures[i][format!("share_{unit}")].as_f64().unwrap();
    for (i, kept) in [
        (2, share(2, "a") >= 0.5 && share(2, "b") <= 0.3),
        (3, share(3, "b") >= 0.5 && share(3, "a") <= 0.3),
        (4, share(4, "a").min(share(4, "b")) >= 0.5),
    ] {
        assert_eq!(pictures[i]["missed"].is_null(), kept, "{report}");
    }
}

#[test]
fn data_shows_images_confusions_and_shared_drivers() {
    let place = place();
    place.succeed(&["scan", "net.onnx", "photos", "--out", "photos.scan"]);
    let units = ["net.onnx", "--unit", "class:cat", "--unit", "class:dog", "--data"];
    let report = json(&place, &[&units[..], &["photos", "--html", "a.html"]].concat());
    let confusions = report["confusions"].as_array().unwrap();
    assert_eq!(confusions.len(), 2, "{report}");
    assert!(confusions.iter().all(|of| of["images"] == 6), "{report}");
    assert_eq!(report["best_a"].as_array().unwrap().len(), 9, "{report}");
    let best: Vec<f64> =
        report["best_a"].as_array().unwrap().iter().map(|image| image["a"].as_f64().unwrap()).collect();
    assert!(best.windows(2).all(|pair| pair[0] >= pair[1]), "{best:?}");
    // Images of one unit and not the other are told by their standard scores.
    let score = |image: &serde_json::Value, of: &str| image[of].as_f64().unwrap();
    for (list, own, other) in [("a_not_b", "score_a", "score_b"), ("b_not_a", "score_b", "score_a")] {
        let list = report[list].as_array().into_iter().flatten();
        assert!(list.clone().all(|image| score(image, own) > 1.0 && score(image, other) < 0.0), "{report}");
    }
    let both = report["both"].as_array().into_iter().flatten();
    assert!(both.clone().all(|image| score(image, "score_a") > 0.0 && score(image, "score_b") > 0.0));
    for confusion in confusions {
        let count = confusion["count"].as_u64().unwrap().min(9);
        let examples = confusion["examples"].as_array().unwrap();
        assert_eq!(examples.len() as u64, count, "{confusion}");
        let letters = if confusion["class"] == "class:cat" { ["b", "a"] } else { ["a", "b"] };
        assert!(examples.iter().all(|of| score(of, letters[0]) >= score(of, letters[1])), "{confusion}");
    }
    // A scan of the same images says the same.
    let scanned = json(&place, &[&units[..], &["photos.scan"]].concat());
    for key in ["confusions", "best_a", "both", "activations", "gradients", "shared"] {
        assert_eq!(report[key], scanned[key], "{key}");
    }
    let page = String::from_utf8(place.read("a.html")).unwrap();
    assert!(page.contains("A and not B") && page.contains("cosine of weights"));
    assert!(page.contains("In short: A and B answer ") && page.contains(" sd)"), "{page}");
    let said = place.succeed(&[&["compare"], &units[..], &["photos"], &QUICK].concat());
    assert!(said.contains("\nIn short: ") && said.contains("100 % is the unit's own picture"), "{said}");
    assert!(said.contains("\ndrive both (adds to A's score") && said.contains("\nboth: "), "{said}");
    // Units that tell one class from the other add more to it on its own images.
    let number = |of: &serde_json::Value, key: &str| of[key].as_f64().unwrap();
    for (list, own, other) in [("drive_a", "a", "b"), ("drive_b", "b", "a")] {
        let units = report[list].as_array().unwrap();
        let by: Vec<f64> = units.iter().map(|of| number(of, own) - number(of, other)).collect();
        assert!(by.iter().all(|by| *by > 0.0) && by.windows(2).all(|pair| pair[0] >= pair[1]), "{report}");
    }
    assert!(page.contains("drive A more than B") && page.contains("drive B more than A"), "{page}");
    for confusion in confusions {
        let of = &confusion["probabilities"];
        assert_eq!(of["images"], 6, "{confusion}");
        let sum = number(of, "own") + number(of, "other");
        assert!(number(of, "own") > 0.0 && sum > 0.0 && sum <= 1.0, "{confusion}");
    }
    assert!(said.contains("the mean probability of "), "{said}");
}

#[test]
fn layers_are_aligned_with_themselves() {
    let place = place();
    let of = |b: &str| json(&place, &["net.onnx", "--layer", "left.conv", "--layer", b, "--data", "photos"]);
    let same = of("left.conv");
    assert!(near(&same["cka"], 1.0), "{same}");
    // Each unit is matched with another one, and each pair is listed once.
    let pairs: Vec<_> = same["matches"].as_array().unwrap().iter().map(|of| [&of["a"], &of["b"]]).collect();
    assert!(pairs.iter().all(|[a, b]| a != b && !pairs.contains(&[b, a])), "{same}");
    // The second channel is a copy of the first.
    assert_eq!(pairs[0], [&serde_json::json!(0), &serde_json::json!(1)], "{same}");
    let other = of("right.conv");
    assert!(other["cka"].as_f64().unwrap() < 1.0, "{other}");
    assert_eq!(other["channels"], serde_json::json!([LEFT, CLASSES]));
}

#[test]
fn filters_that_moved_come_first() {
    let place = place();
    let report = json(&place, &["other.onnx", "net.onnx", "--layer", "left.conv", "--top", "2"]);
    let filters = report["filters"].as_array().unwrap();
    assert_eq!(filters[0]["channel"], LEFT - 1, "{report}");
    assert!(filters[0]["change"].as_f64().unwrap() > 0.1, "{report}");
    assert!(filters[1..].iter().all(|filter| near(&filter["change"], 0.0)), "{report}");
    assert!(filters[1..].iter().all(|filter| near(&filter["correlations"][1], 1.0)), "{report}");
    let unit = json(&place, &["other.onnx", "net.onnx", "--unit", "left.conv:3", "--data", "photos"]);
    let models = unit["models"].as_array().unwrap();
    assert!(near(&models[1]["weight_cosines"][0], 1.0), "{unit}");
    assert!(near(&models[1]["correlations"][0]["pearson"], 1.0), "{unit}");
    // The filter is the same in both, and so are its pictures.
    assert_eq!(models[0]["values"], models[1]["values"], "{unit}");
}

#[test]
fn filters_of_all_layers_are_one_list() {
    let place = place();
    let networks = ["other.onnx", "net.onnx"];
    let all = json(&place, &[&networks[..], &["--data", "photos", "--layer", "all"]].concat());
    let plain = json(&place, &[&networks[..], &["--data", "photos"]].concat());
    assert_eq!(all["filters"], plain["filters"]);
    assert_eq!(all["by"], "answers");
    let layers = all["layers"].as_array().unwrap();
    assert!(layers.len() > 1, "{all}");
    let channels: u64 = layers.iter().map(|of| of["channels"].as_u64().unwrap()).sum();
    let filters = all["filters"].as_array().unwrap();
    assert_eq!(filters.len() as u64, channels);
    let changes: Vec<f64> = filters.iter().filter_map(|of| of["change"].as_f64()).collect();
    assert!(changes.windows(2).all(|pair| pair[0] >= pair[1]), "{changes:?}");
    // Layers that are run together have the numbers that they have alone.
    for of in layers {
        let name = of["layer"].as_str().unwrap();
        let alone = json(&place, &[&networks[..], &["--data", "photos", "--layer", name]].concat());
        // Networks that are run up to other layers round differently.
        assert_eq!(alone["layers"][0]["channels"], of["channels"], "{name}");
        let own: Vec<_> = filters.iter().filter(|filter| filter["layer"] == name).collect();
        for (own, alone) in own.into_iter().zip(alone["filters"].as_array().unwrap()) {
            assert_eq!(own["channel"], alone["channel"], "{name}");
            let change = |of: &serde_json::Value| of["change"].as_f64().unwrap_or(-1.0);
            assert!((change(own) - change(alone)).abs() < 1e-4, "{name}: {own} {alone}");
        }
    }
    // Without data the weights decide; as many filters are listed as are asked for.
    let said = place.succeed(&[&["compare"], &networks[..], &["--top", "3"], &QUICK].concat());
    assert!(said.contains("one less the cosine of a filter's weights"), "{said}");
    let listed = said.lines().skip_while(|line| !line.starts_with("filter ")).skip(1);
    assert_eq!(listed.take_while(|line| !line.starts_with("and ")).count(), 3, "{said}");
    let weights = json(&place, &[&networks[..], &["--data", "photos", "--by", "weights"]].concat());
    assert_eq!(weights["filters"][0]["channel"], LEFT - 1, "{weights}");
}

#[test]
fn a_remark_on_a_layer_is_made_once_for_all_networks() {
    let place = place();
    let args = [&["compare", "other.onnx", "net.onnx", "--layer", "left.conv"], &QUICK[..]].concat();
    let outcome = place.run(&args);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("is linear in the picture").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("behind it, shows"), "{}", outcome.stderr);
}

#[test]
fn comparisons_are_made_again_byte_for_byte() {
    let place = place();
    let cases: [(&str, &[&str]); 6] = [
        ("all.png", &["other.onnx", "net.onnx", "--data", "photos"]),
        ("units.png", &["net.onnx", "--unit", "class:cat", "--unit", "class:dog", "--data", "photos"]),
        ("plain.png", &["net.onnx", "--unit", "left.conv:0", "--unit", "right.conv:2", "--seed", "3"]),
        ("layers.png", &["net.onnx", "--layer", "left.conv", "--layer", "right.conv"]),
        ("unit.png", &["other.onnx", "net.onnx", "--unit", "class:dog", "--data", "photos"]),
        ("filters.png", &["other.onnx", "net.onnx", "--layer", "left.conv", "--preset", "lucid"]),
    ];
    for (name, args) in cases {
        let html = name.replace("png", "html");
        place.succeed(&[&["compare"], args, &QUICK, &["--out", name, "--html", &html]].concat());
        for made in [name, &html] {
            let out = format!("again-{made}");
            let said = place.succeed(&["again", made, "--out", &out]);
            assert!(said.contains("identical"), "{made}: {said}");
            assert_eq!(place.read(made), place.read(&out), "{made}");
        }
        assert!(place.succeed(&["info", name]).contains("compares:"), "{name}");
    }
    // Another network of the comparison is recognised by its content.
    std::fs::rename(place.path("net.onnx"), place.path("moved.onnx")).unwrap();
    let outcome = place.run(&["again", "unit.png", "--out", "b.png"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("net.onnx"), "{}", outcome.stderr);
    place.succeed(&["again", "unit.png", "--image", "moved.onnx", "--out", "b.png"]);
    assert_eq!(place.read("unit.png"), place.read("b.png"));
}

#[test]
fn comparisons_that_cannot_be_are_errors() {
    let place = place();
    place.write("wide.onnx", Network { channels: 3, ..Network::default() }.bytes());
    refuse_all(
        &place,
        &[
            ("nothing", "compare net.onnx", &["--unit", "--layer"]),
            ("no order", "compare net.onnx other.onnx --by size", &["answers or weights"]),
            ("order of units", "compare net.onnx other.onnx --unit left.conv:0 --by weights", &["--by"]),
            (
                "order of layers",
                "compare net.onnx --layer left.conv --layer left.conv --by weights",
                &["--by"],
            ),
            ("one unit", "compare net.onnx --unit left.conv:0", &["twice"]),
            (
                "two units, two networks",
                "compare net.onnx other.onnx --unit left.conv:0 --unit left.conv:1",
                &["once"],
            ),
            (
                "unit and layer",
                "compare net.onnx --unit left.conv:0 --layer left.conv",
                &["cannot be used with"],
            ),
            ("no channel", "compare net.onnx --unit left.conv:0 --unit left.conv:99", &["99"]),
            ("no layer", "compare net.onnx --layer left.conv --layer nowhere", &["nowhere"]),
            (
                "whole layer",
                "compare net.onnx --unit left.conv --unit left.conv:1",
                &["left.conv", "LAYER:CHANNEL"],
            ),
            ("no data", "compare net.onnx --unit left.conv:0 --unit left.conv:1 --data none", &["none"]),
            ("no network", "compare net.onnx gone.onnx --unit left.conv:0", &["gone.onnx"]),
            (
                "layers differ",
                "compare net.onnx squeezenet1_1 --layer left.conv",
                &["left.conv", "squeezenet1_1"],
            ),
            (
                "over the network",
                "compare other.onnx net.onnx --layer left.conv --out net.onnx",
                &["net.onnx"],
            ),
            ("no list", "compare net.onnx --unit left.conv:0 --unit left.conv:1 --top 3", &["--top"]),
        ],
    );
}

#[test]
fn planted_networks_tell_what_is_known_of_them() {
    let Some(folder) = shared("models/planted/shapes_biased") else { return };
    let place = Place::new();
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (early, last, images) = (path("epoch8.onnx"), path("final.legacy-op17.bn.onnx"), path("images"));
    let steps = ["--steps", "16", "--json"];
    let units = ["compare", &last, "--unit", "class:circle", "--unit", "class:square", "--data", &images];
    let report = place.json(&[&units[..], &steps].concat());
    // Numbers of PyTorch, numpy and scipy: of 100 circles 9 are named squares, and of 100 squares 9 circles.
    let confusions = report["confusions"].as_array().unwrap();
    assert!(confusions.iter().all(|of| of["images"] == 100 && of["count"] == 9), "{confusions:?}");
    assert!(near(&report["weight_cosine"], 0.21528), "{report}");
    let largest = &report["activations"]["largest"];
    assert!(near(&largest["pearson"], 0.46116) && near(&largest["spearman"], 0.46158), "{largest}");
    let best = report["best_a"].as_array().unwrap();
    assert_eq!(best[0]["file"], "circle/031.png");
    assert!((best[0]["a"].as_f64().unwrap() - 6.38362).abs() < 1e-3, "{best:?}");
    // Units are put beside the others of their layer.
    let units = ["compare", &last, "--unit", "conv2:3", "--unit", "conv2:4", "--data", &images];
    let report = place.json(&[&units[..], &steps].concat());
    for baseline in [&report["activations"]["baseline"], &report["weight_baseline"]] {
        assert_eq!(baseline["of"], "channels", "{report}");
        assert!(baseline["others"].as_u64().unwrap() >= baseline["smaller"].as_u64().unwrap(), "{report}");
    }
    let filters =
        ["compare", &early, &last, "--layer", "conv2", "--top", "1", "--by", "weights", "--data", &images];
    let report = place.json(&[&filters[..], &steps].concat());
    let filters = report["filters"].as_array().unwrap();
    let moved: Vec<u64> = filters.iter().map(|filter| filter["channel"].as_u64().unwrap()).collect();
    assert_eq!(moved[..4], [15, 6, 21, 13]);
    assert!(near(&filters[0]["change"], 0.018438), "{report}");
}
