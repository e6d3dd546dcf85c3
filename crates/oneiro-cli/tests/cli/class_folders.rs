//! Photos in class folders: which class a folder means, and which photos are found.

use crate::files::picture;
use crate::onnx::{CLASSES, Network};
use crate::place::Place;

/// A new folder with a network with these class labels, and a photo in each of these subfolders of `photos`.
fn place(labels: [&str; CLASSES], folders: &[&str]) -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place.write("net.toml", "labels = \"labels.txt\"\n[[input]]\nname = \"x\"\nsize = [24, 24]\n");
    place.write("labels.txt", labels.join("\n"));
    folders.iter().for_each(|folder| place.write(&format!("photos/{folder}/p.png"), picture(24, 24)));
    place
}

/// Returns the true class of each photo by its file, and the text of standard error.
fn truths(place: &Place) -> (Vec<(String, Option<u64>)>, String) {
    let outcome = place.run(&["classify", "net.onnx", "photos", "--json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let list: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let verdict =
        |v: &serde_json::Value| (v["file"].as_str().unwrap().replace('\\', "/"), v["truth"].as_u64());
    (list.as_array().unwrap().iter().map(verdict).collect(), outcome.stderr)
}

#[test]
fn the_names_of_folders_count_more_than_their_order() {
    const LABELS: [&str; CLASSES] = ["airplane", "automobile", "bird", "cat"];
    let of = |classes: [Option<u64>; CLASSES], folders: [&str; CLASSES], says: &str| {
        let (truths, stderr) = truths(&place(LABELS, &folders));
        let found: Vec<_> = truths.into_iter().map(|(_, class)| class).collect();
        assert_eq!(found, classes, "{folders:?}");
        assert!(stderr.contains(says), "{stderr}");
    };
    // `bird` has another place among the sorted folders than among the classes, so the sorted order is not
    // used.
    let unknown = "\"plane\" is not";
    of([Some(1), Some(2), Some(3), None], ["automobile", "bird", "cat", "plane"], unknown);
    // Here the sorted order agrees with every folder name that is a class.
    of(
        [Some(0), Some(1), Some(2), Some(3)],
        ["airplane", "automobile", "birds", "cat"],
        "alphabetical order",
    );
    of([Some(0), Some(1), Some(2), Some(3)], ["a", "b", "c", "d"], "alphabetical order");
}

#[test]
fn photos_beside_folders_of_classes_are_found() {
    let place = place(["airplane", "automobile", "bird", "cat"], &["bird"]);
    place.write("photos/loose.png", picture(24, 24));
    place.write("photos/empty/text.txt", "");
    let (found, stderr) = truths(&place);
    let expected = [("photos/loose.png", None), ("photos/bird/p.png", Some(2))];
    assert_eq!(found, expected.map(|(file, class)| (file.to_owned(), class)), "{stderr}");
    // A folder without images, beside the photos, does not hide them.
    std::fs::remove_dir_all(place.path("photos/bird")).unwrap();
    assert_eq!(truths(&place).0, [("photos/loose.png".to_owned(), None)]);
}

#[test]
fn conditions_on_class_folders_decide_the_exit_code_and_the_matrix_is_written() {
    let place = place(["airplane", "automobile", "bird", "cat"], &["airplane", "automobile", "bird", "cat"]);
    let classify = |flags: &[&str]| place.run(&[&["classify", "net.onnx", "photos"], flags].concat());
    // All four photos are equal, so exactly one folder is named rightly.
    let outcome = classify(&["--fail-on", "right<25%", "--fail-on", "images<4", "--confusion", "c.json"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let written: serde_json::Value = serde_json::from_slice(&place.read("c.json")).unwrap();
    assert_eq!((&written["known"], &written["right"]), (&4.into(), &1.into()));
    assert_eq!(written["folders"][3]["folder"], "cat");
    assert_eq!(written["folders"][3]["label"], "cat");
    let outcome = classify(&["--fail-on", "right<=25%"]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("1 of 4 images are named rightly, 25.0 %"), "{}", outcome.stderr);
    let outcome = classify(&["--fail-on", "each<50%", "--confusion", "c.csv", "--json"]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("0 of 1 images are named rightly"), "{}", outcome.stderr);
    let csv = String::from_utf8(place.read("c.csv")).unwrap();
    assert_eq!((csv.lines().count(), csv.starts_with("folder,class,label,")), (5, true), "{csv}");
    for (flags, code, says) in [
        (&["--fail-on", "right>3"][..], 2, "write it as right<90%"),
        (&["--confusion", "c.txt"], 1, "ends in .json or .csv"),
    ] {
        let outcome = classify(flags);
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
    }
    place.write("one.png", picture(24, 24));
    place.write("wide.png", picture(48, 24));
    let shown = place.json(&["classify", "net.onnx", "wide.png", "--full", "--json"])[0]["shown"].clone();
    assert_eq!(shown, serde_json::json!({ "from": [24, 48], "resized": [24, 24] }));
    let outcome = place.run(&["classify", "net.onnx", "one.png", "--fail-on", "right<90%"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("no image lies in a folder"), "{}", outcome.stderr);
}
