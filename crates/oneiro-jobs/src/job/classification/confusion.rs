//! The confusion matrix: for each class folder, the predicted classes of its photos.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Classified, Guess, Verdict};
use crate::model::LoadedModel;

/// How many images of class folders are named rightly, and which classes the others are taken for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// Number of images whose class is known.
    pub known: usize,
    /// Number of them for which the network's first prediction is right.
    pub right: usize,
    /// Number of predictions that `right_among_top` looks at.
    pub top: usize,
    /// Number of images whose class is among the first `top` predictions.
    pub right_among_top: usize,
    /// The rows of the confusion matrix, sorted by the folders' names.
    pub folders: Vec<ClassFolder>,
}

/// A row of the confusion matrix: the images of one class folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFolder {
    /// Name of the class folder.
    pub folder: String,
    /// The network's class that the folder's name means, if it is known.
    pub class: Option<usize>,
    /// The name of this class.
    pub label: Option<String>,
    /// Number of images in the class folder.
    pub images: usize,
    /// Number of them that are named rightly.
    pub right: usize,
    /// The predicted classes, most frequent first.
    pub named: Vec<NamedClass>,
}

/// A class that the network predicts for images of a folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedClass {
    /// Index of the class.
    pub class: usize,
    /// Name of the class.
    pub label: String,
    /// Number of images for which it is predicted.
    pub images: usize,
    /// The mean of its probability for these images, from 0 to 1.
    pub probability: f64,
}

impl ClassFolder {
    /// Returns the share of the images that are named rightly, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.right as f64 / self.images.max(1) as f64
    }
}

/// Images of one folder for which the network predicts the same wrong class.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Name of the class folder.
    pub folder: String,
    /// Number of images in the class folder.
    pub of: usize,
    /// The class that is predicted, which is wrong for this folder.
    pub named: NamedClass,
}

impl Classified {
    /// Returns the confusion matrix. `top` is the number of predictions that each image has.
    pub fn confusion(&self, model: &LoadedModel, top: usize) -> Confusion {
        self.confusion_named(|class| model.class_name(class), top)
    }

    fn confusion_named(&self, name: impl Fn(usize) -> String, top: usize) -> Confusion {
        let mut folders: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
        for verdict in &self.photos {
            if let Some(folder) = &verdict.folder {
                folders.entry(folder).or_default().push(verdict);
            }
        }
        let folders = folders.into_iter().map(|(folder, verdicts)| row(folder, &verdicts, &name)).collect();
        let (right, known) = self.right(1);
        Confusion { known, right, top, right_among_top: self.right(top).0, folders }
    }
}

impl Confusion {
    /// Returns the wrong predictions of each class folder, most frequent first, and among equally frequent
    /// ones the surest first.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let of_folder = |row: &ClassFolder| {
            let wrong = row.named.iter().filter(|named| row.class.is_some_and(|class| class != named.class));
            let mistake = |named: &NamedClass| Mistake {
                folder: row.folder.clone(),
                of: row.images,
                named: named.clone(),
            };
            wrong.map(mistake).collect::<Vec<_>>()
        };
        let mut mistakes: Vec<Mistake> = self.folders.iter().flat_map(of_folder).collect();
        mistakes.sort_by(|a, b| {
            let (a, b) = (&a.named, &b.named);
            b.images.cmp(&a.images).then(b.probability.total_cmp(&a.probability))
        });
        mistakes
    }

    /// Returns a table in CSV: a row for each class folder and each class that is predicted for its images.
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let head = ["folder", "class", "label", "named_class", "named_label", "images", "probability"];
        let mut write = |record: [String; 7]| writer.write_record(record).expect("memory can be written");
        write(head.map(str::to_owned));
        for row in &self.folders {
            for named in &row.named {
                write([
                    row.folder.clone(),
                    row.class.map_or(String::new(), |class| class.to_string()),
                    row.label.clone().unwrap_or_default(),
                    named.class.to_string(),
                    named.label.clone(),
                    named.images.to_string(),
                    format!("{:.6}", named.probability),
                ]);
            }
        }
        let bytes = writer.into_inner().expect("memory can be written");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn row(folder: &str, verdicts: &[&Verdict], name: impl Fn(usize) -> String) -> ClassFolder {
    let class = verdicts.iter().find_map(|verdict| verdict.truth);
    let mut named: BTreeMap<usize, NamedClass> = BTreeMap::new();
    for Guess { class, label, probability } in verdicts.iter().filter_map(|verdict| verdict.top.first()) {
        let new = || NamedClass { class: *class, label: label.clone(), images: 0, probability: 0.0 };
        let named = named.entry(*class).or_insert_with(new);
        named.images += 1;
        named.probability += probability;
    }
    let right = class.and_then(|class| named.get(&class)).map_or(0, |named| named.images);
    let mut named: Vec<NamedClass> = named.into_values().collect();
    named.iter_mut().for_each(|named| named.probability /= named.images as f64);
    named.sort_by(|a, b| b.images.cmp(&a.images).then(a.class.cmp(&b.class)));
    ClassFolder {
        folder: folder.to_owned(),
        class,
        label: class.map(name),
        images: verdicts.len(),
        right,
        named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::framing::Framing;

    fn verdict(folder: &str, truth: Option<usize>, class: usize) -> Verdict {
        Verdict {
            file: "a.png".into(),
            folder: Some(folder.into()),
            truth,
            shown: Framing::squeezed([2, 2], [2, 2]),
            output: None,
            independent: false,
            video: None,
            top: vec![Guess { class, label: format!("c{class}"), probability: 1.0 }],
        }
    }

    #[test]
    fn mistakes_are_counted_by_folder_and_class() {
        let of = |folder, truth: usize, classes: &[usize]| {
            classes.iter().map(|&class| verdict(folder, Some(truth), class)).collect::<Vec<_>>()
        };
        let photos = [of("cat", 0, &[0, 1, 1, 2]), of("dog", 1, &[1, 1, 1])].concat();
        let classified = Classified { photos, unread: vec![] };
        assert_eq!(classified.right(1), (4, 7));
        let confusion = classified.confusion_named(|class| format!("c{class}"), 1);
        let named = |row: usize| -> Vec<(usize, usize)> {
            confusion.folders[row].named.iter().map(|named| (named.class, named.images)).collect()
        };
        assert_eq!((confusion.folders[0].images, confusion.folders[0].right), (4, 1));
        assert_eq!((named(0), named(1)), (vec![(1, 2), (0, 1), (2, 1)], vec![(1, 3)]));
        let mistakes = confusion.mistakes();
        assert_eq!((mistakes.len(), mistakes[0].named.class), (2, 1));
        assert_eq!((mistakes[0].named.images, mistakes[0].of), (2, 4));
        let csv = confusion.csv();
        assert!(csv.contains("cat,0,c0,1,c1,2,1.000000\n"), "{csv}");
        assert_eq!(csv.lines().count(), 5);
    }

    #[test]
    fn among_equally_frequent_mistakes_the_surest_comes_first() {
        let mut photos = vec![verdict("cat", Some(0), 1), verdict("dog", Some(1), 0)];
        photos[0].top[0].probability = 0.3;
        let classified = Classified { photos, unread: vec![] };
        let mistakes = classified.confusion_named(|class| format!("c{class}"), 1).mistakes();
        assert_eq!(mistakes.iter().map(|m| &m.folder[..]).collect::<Vec<_>>(), ["dog", "cat"]);
    }

    #[test]
    fn a_folder_of_no_class_has_no_mistakes() {
        let classified = Classified { photos: vec![verdict("x", None, 3)], unread: vec![] };
        let confusion = classified.confusion_named(|class| format!("c{class}"), 1);
        assert_eq!((confusion.known, confusion.mistakes().len()), (0, 0));
        assert_eq!(confusion.folders[0].named[0].class, 3);
    }
}
