//! `oneiro classify`: its JSON, and the classes of folders.

use std::collections::BTreeSet;

use crate::contracts::{keys, place, set};
use crate::files::picture;
use crate::onnx::CLASSES;

#[test]
fn classify_names_classes_with_their_probabilities() {
    let place = place();
    place.write("photo.png", picture(40, 30));
    let verdicts = place.json(&["classify", "net.onnx", "photo.png", "photo.png", "--top", "9", "--json"]);
    let verdicts = verdicts.as_array().unwrap();
    assert_eq!(verdicts.len(), 2);
    assert_eq!(keys(&verdicts[0]), set(&["file", "shown", "top"]));
    assert_eq!(verdicts[0], verdicts[1]);
    assert_eq!(verdicts[0]["file"], "photo.png");
    let top = verdicts[0]["top"].as_array().unwrap();
    assert_eq!(top.len(), CLASSES, "there are no more classes than that");
    assert!(top.iter().all(|g| keys(g) == set(&["class", "label", "probability"])), "{top:#?}");
    let labels: BTreeSet<&str> = top.iter().map(|g| g["label"].as_str().unwrap()).collect();
    assert_eq!(labels, set(&["cat", "dog", "red fox", "owl"]));
    let probabilities: Vec<f64> = top.iter().map(|g| g["probability"].as_f64().unwrap()).collect();
    assert!(probabilities.windows(2).all(|p| p[0] >= p[1]));
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-6);
}

#[test]
fn folders_of_classes_are_scored_by_name_else_by_position_with_a_word_about_it() {
    let truths = |folders: &[&str]| {
        let place = place();
        folders.iter().for_each(|f| place.write(&format!("photos/{f}/1.png"), picture(30, 30)));
        let list = place.json(&["classify", "net.onnx", "photos", "--top", "1", "--json"]);
        let truth: Vec<Option<u64>> = list.as_array().unwrap().iter().map(|v| v["truth"].as_u64()).collect();
        let outcome = place.run(&["classify", "net.onnx", "photos", "--top", "1"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(
            outcome.stdout.contains("tiny: right at first") == truth.iter().any(Option::is_some),
            "{outcome:?}"
        );
        (truth, outcome.stderr)
    };
    let (truth, said) = truths(&["dog", "n02119022_red_fox", "OWL"]);
    // Folders are listed in sorted order: OWL, dog, n02119022_red_fox.
    let shown = "note: 3 images: resized from 30x30 to 28x28, cropped about the centre to 24x20\n";
    assert_eq!((truth, said.as_str()), (vec![Some(3), Some(1), Some(2)], shown));
    let (truth, said) = truths(&["c1", "c2", "c3", "c4"]);
    assert_eq!(truth, [Some(0), Some(1), Some(2), Some(3)]);
    assert!(said.contains("c1") && said.contains("alphabetical"), "{said}");
    let (truth, said) = truths(&["dog", "wolf"]);
    assert_eq!(truth, [Some(1), None]);
    assert!(said.contains("wolf"), "{said}");
}
