//! The confusion matrix: for each class folder, the predicted classes of its photos.

use std::collections::BTreeMap;

use super::{Classified, Guess, Verdict};

/// A row of the confusion matrix: the photos of one class folder.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassRow {
    /// Name of the class folder.
    pub folder: String,
    /// The network's class that the folder's name means, if it is known.
    pub class: Option<usize>,
    /// Number of photos in the class folder.
    pub photos: usize,
    /// The predicted classes, each with its index, label and number of photos, most frequent first.
    pub named: Vec<(usize, String, usize)>,
}

/// Photos of one folder for which the network predicts the same wrong class.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Name of the class folder.
    pub folder: String,
    /// Number of photos in the class folder.
    pub of: usize,
    /// The class, wrong for this folder, that the network predicts.
    pub class: usize,
    /// Label of the predicted class.
    pub label: String,
    /// Number of the folder's photos for which this class is predicted.
    pub photos: usize,
}

impl Classified {
    /// Returns the confusion matrix, with a row for each folder of photos, sorted by name.
    pub fn rows(&self) -> Vec<ClassRow> {
        let mut folders: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
        for verdict in &self.photos {
            if let Some(folder) = &verdict.folder {
                folders.entry(folder).or_default().push(verdict);
            }
        }
        folders.into_iter().map(|(folder, verdicts)| row(folder, &verdicts)).collect()
    }

    /// Returns the wrong predictions of each class folder, most frequent first.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let of_row = |row: ClassRow| {
            let wrong =
                row.named.into_iter().filter(move |(class, ..)| row.class.is_some_and(|c| c != *class));
            let folder = row.folder;
            wrong.map(move |(class, label, photos)| Mistake {
                folder: folder.clone(),
                of: row.photos,
                class,
                label,
                photos,
            })
        };
        let mut mistakes: Vec<Mistake> = self.rows().into_iter().flat_map(of_row).collect();
        mistakes.sort_by_key(|mistake| std::cmp::Reverse(mistake.photos));
        mistakes
    }
}

fn row(folder: &str, verdicts: &[&Verdict]) -> ClassRow {
    let class = verdicts.iter().find_map(|verdict| verdict.truth);
    let mut named: BTreeMap<usize, (String, usize)> = BTreeMap::new();
    for Guess { class, label, .. } in verdicts.iter().filter_map(|verdict| verdict.top.first()) {
        named.entry(*class).or_insert_with(|| (label.clone(), 0)).1 += 1;
    }
    let mut named: Vec<(usize, String, usize)> =
        named.into_iter().map(|(class, (label, photos))| (class, label, photos)).collect();
    named.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
    ClassRow { folder: folder.to_owned(), class, photos: verdicts.len(), named }
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
        let rows = classified.rows();
        assert_eq!(rows[0].photos, 4);
        assert_eq!(rows[0].named, [(1, "c1".into(), 2), (0, "c0".into(), 1), (2, "c2".into(), 1)]);
        assert_eq!(rows[1].named, [(1, "c1".into(), 3)]);
        let mistakes = classified.mistakes();
        assert_eq!((mistakes.len(), mistakes[0].class, mistakes[0].photos, mistakes[0].of), (2, 1, 2, 4));
    }

    #[test]
    fn a_folder_of_no_class_has_no_mistakes() {
        let classified = Classified { photos: vec![verdict("x", None, 3)], unread: vec![] };
        assert_eq!((classified.right(1), classified.mistakes().len()), ((0, 0), 0));
        assert_eq!(classified.rows()[0].named, [(3, "c3".into(), 1)]);
    }
}
