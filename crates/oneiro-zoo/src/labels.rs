//! Lists of class labels, and the search for a class by its name.
//!
//! A list has one label a line, in class order. A line may hold several names of one class, separated by
//! commas (`tench, Tinca tinca`), and may begin with a WordNet id (`n01440764 tench`), which is ignored.

use std::fmt;

use thiserror::Error;

/// Names of the label lists that are built in and need no file.
pub const BUILTIN: [&str; 2] = ["imagenet1k", "cifar10"];

/// Number of similar labels that an error lists.
const SUGGESTIONS: usize = 5;

/// The text of a built-in label list, one label a line in class order; `None` for a name not in [`BUILTIN`].
pub fn builtin(name: &str) -> Option<&'static str> {
    match name {
        "imagenet1k" => Some(include_str!("../assets/imagenet1k.txt")),
        "cifar10" => Some(include_str!("../assets/cifar10.txt")),
        _ => None,
    }
}

/// Why a label list cannot be read, or a class not be found in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The list has no label at all.
    #[error("the label list is empty; it needs one label a line, in class order")]
    Empty,
    /// A blank line between labels: every class after it would be called by its neighbour's name.
    #[error(
        "line {line} of the label list is blank, and every line is a class; give that class a name or delete the line"
    )]
    Blank {
        /// The line, counted from 1.
        line: usize,
    },
    /// Several classes have the name asked for.
    #[error("`{name}` names {} classes: {}; give the index instead, such as {}", found.len(), Listed(found), found[0].0)]
    Ambiguous {
        /// The class name asked for.
        name: String,
        /// Index and label of each class that it may mean, in class order; at least two.
        found: Vec<(usize, String)>,
    },
    /// The class index asked for is beyond the end of the list.
    #[error("there is no class {index}: the list has {count} labels, with indices 0 to {}", count - 1)]
    OutOfRange {
        /// The class index asked for.
        index: usize,
        /// Number of labels in the list.
        count: usize,
    },
    /// No class has the name asked for.
    #[error("no class is called `{name}`; {}", hint(nearest, *count))]
    Unknown {
        /// The class name asked for.
        name: String,
        /// Index and label of the classes nearest in spelling, nearest first; may be empty.
        nearest: Vec<(usize, String)>,
        /// Number of labels in the list.
        count: usize,
    },
}

/// Formats classes as `134 (crane), 517 (crane)`.
struct Listed<'a>(&'a [(usize, String)]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (index, label)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{index} ({label})")?;
        }
        Ok(())
    }
}

fn hint(nearest: &[(usize, String)], count: usize) -> String {
    if nearest.is_empty() {
        format!("an index from 0 to {} works too", count.saturating_sub(1))
    } else {
        format!("the nearest are {}", Listed(nearest))
    }
}

/// A list of class labels in class order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The labels, by class index.
    pub names: Vec<String>,
}

impl Labels {
    /// Reads a list: one label a line, in class order. Blank lines at the end, a byte order mark and spaces
    /// around a label are dropped.
    ///
    /// # Errors
    ///
    /// [`LabelError::Empty`] and [`LabelError::Blank`].
    pub fn parse(text: &str) -> Result<Labels, LabelError> {
        let text = text.trim_start_matches('\u{feff}').trim_end();
        if text.is_empty() {
            return Err(LabelError::Empty);
        }
        let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        match names.iter().position(String::is_empty) {
            Some(blank) => Err(LabelError::Blank { line: blank + 1 }),
            None => Ok(Labels { names }),
        }
    }

    /// Returns the number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the list has no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the label of the class with this index, if there is one.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(String::as_str)
    }

    /// Returns the index of the class that `name` means. The first rule by which any label matches decides:
    ///
    /// 1. the label as it is written;
    /// 2. the same with underscores as spaces and a WordNet id in front ignored (`n02113186_Cardigan`);
    /// 3. the same, ignoring case;
    /// 4. one of a label's comma-separated names, ignoring case;
    /// 5. a class index (`88`).
    ///
    /// So `cardigan` and `Cardigan` are two classes of ImageNet, and `CARDIGAN` is ambiguous.
    ///
    /// # Errors
    ///
    /// [`LabelError::Ambiguous`] when the deciding rule matches several labels (ImageNet has two `crane`),
    /// [`LabelError::OutOfRange`] for an index past the end, else [`LabelError::Unknown`].
    pub fn find(&self, name: &str) -> Result<usize, LabelError> {
        let wanted = plain(name);
        let folded = wanted.to_lowercase();
        let rules: [&dyn Fn(&str) -> bool; 4] = [
            &|label| label == name,
            &|label| plain(label) == wanted,
            &|label| plain(label).to_lowercase() == folded,
            &|label| synonyms(label).any(|synonym| synonym == folded),
        ];
        for rule in rules {
            let mut found = self.names.iter().enumerate().filter(|(_, label)| rule(label));
            match (found.next(), found.next()) {
                (None, _) => continue,
                (Some((index, _)), None) => return Ok(index),
                (Some(first), Some(second)) => {
                    let found = [first, second].into_iter().chain(found);
                    let found = found.map(|(index, label)| (index, label.clone())).collect();
                    return Err(LabelError::Ambiguous { name: name.to_owned(), found });
                }
            }
        }
        match wanted.parse::<usize>() {
            Ok(index) if index < self.len() => Ok(index),
            Ok(index) if !self.is_empty() => Err(LabelError::OutOfRange { index, count: self.len() }),
            _ => Err(LabelError::Unknown {
                name: name.to_owned(),
                nearest: self.nearest(&folded),
                count: self.len(),
            }),
        }
    }

    /// Returns labels that contain the requested text, then labels whose edit distance to it is at most a
    /// third of its length (or 2 for a short text).
    fn nearest(&self, folded: &str) -> Vec<(usize, String)> {
        let length = folded.chars().count();
        let mut ranked: Vec<(usize, usize)> = Vec::new();
        for (index, label) in self.names.iter().enumerate() {
            let distance = synonyms(label).map(|synonym| {
                if length >= 3 && synonym.contains(folded) {
                    0
                } else {
                    strsim::levenshtein(&synonym, folded)
                }
            });
            let distance = distance.min().unwrap_or(usize::MAX);
            if distance <= (length / 3).max(2) && distance < length.max(1) {
                ranked.push((distance, index));
            }
        }
        ranked.sort_unstable();
        ranked.truncate(SUGGESTIONS);
        ranked.into_iter().map(|(_, index)| (index, self.names[index].clone())).collect()
    }
}

/// Normalises a label: underscores become spaces, spaces become single, and a leading WordNet id (`n` and
/// eight digits) is removed.
fn plain(label: &str) -> String {
    let spaced = label.replace('_', " ");
    let mut words = spaced.split_whitespace().peekable();
    if let Some(first) = words.peek()
        && is_wordnet_id(first)
    {
        words.next();
    }
    let joined = words.collect::<Vec<_>>().join(" ");
    // A label that consists of nothing but an id keeps the id.
    if joined.is_empty() { spaced.trim().to_owned() } else { joined }
}

fn is_wordnet_id(word: &str) -> bool {
    word.len() == 9 && word.starts_with('n') && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the comma-separated names of a label in lower case.
fn synonyms(label: &str) -> impl Iterator<Item = String> {
    let label = plain(label).to_lowercase();
    label
        .split(',')
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn imagenet() -> Labels {
        Labels::parse(builtin("imagenet1k").unwrap()).unwrap()
    }

    #[test]
    fn built_in_lists_have_their_classes() {
        for (name, count) in BUILTIN.into_iter().zip([1000, 10]) {
            assert_eq!(Labels::parse(builtin(name).unwrap()).unwrap().len(), count, "{name}");
        }
        assert_eq!(builtin("imagenet21k"), None);
        assert_eq!(imagenet().get(88), Some("macaw"));
        assert_eq!(imagenet().get(1000), None);
    }

    #[test]
    fn a_class_is_found_by_any_way_to_write_its_name() {
        let labels = imagenet();
        let cases = [
            ("macaw", 88),
            ("MACAW", 88),
            ("88", 88),
            (" macaw ", 88),
            ("great white shark", 2),
            ("great_white_shark", 2),
            ("n01484850_great_white_shark", 2),
            ("n02113186_Cardigan", 264),
            ("Cardigan", 264),
            ("cardigan", 474),
            ("0", 0),
            ("999", 999),
        ];
        for (name, index) in cases {
            assert_eq!(labels.find(name), Ok(index), "{name}");
        }
    }

    #[test]
    fn synonyms_after_commas_count_only_when_no_whole_label_matches() {
        let labels =
            Labels::parse("n01440764 tench, Tinca tinca\ncrane\ncock, rooster\ndrake, cock\nrooster\n")
                .unwrap();
        assert_eq!(labels.find("tinca_tinca"), Ok(0));
        assert_eq!(labels.find("tench, Tinca tinca"), Ok(0));
        assert_eq!(labels.find("rooster"), Ok(4));
        assert!(matches!(labels.find("cock"), Err(LabelError::Ambiguous { found, .. }) if found.len() == 2));
    }

    #[test]
    fn a_label_that_occurs_twice_is_an_error_with_the_indices() {
        let error = imagenet().find("crane").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`crane` names 2 classes: 134 (crane), 517 (crane); give the index instead, such as 134"
        );
        assert!(
            imagenet().find("CARDIGAN").unwrap_err().to_string().contains("264 (Cardigan), 474 (cardigan)")
        );
    }

    #[test]
    fn an_unknown_name_lists_the_nearest() {
        let labels = imagenet();
        let misspelt = labels.find("goldfihs").unwrap_err().to_string();
        assert!(
            misspelt.starts_with("no class is called `goldfihs`; the nearest are 1 (goldfish)"),
            "{misspelt}"
        );
        let part = labels.find("shark").unwrap_err().to_string();
        assert!(part.contains("2 (great white shark)") && part.contains("3 (tiger shark)"), "{part}");
        let far = labels.find("xqzwvy-kkkjjjj").unwrap_err().to_string();
        assert!(far.ends_with("an index from 0 to 999 works too"), "{far}");
        assert!(labels.find("").is_err());
        assert_eq!(labels.find("1000"), Err(LabelError::OutOfRange { index: 1000, count: 1000 }));
    }

    #[test]
    fn numbers_that_are_labels_are_names_first() {
        let labels = Labels::parse("1\n0\n").unwrap();
        assert_eq!(labels.find("0"), Ok(1));
    }

    #[test]
    fn windows_lines_a_byte_order_mark_and_final_blanks_are_dropped() {
        let labels = Labels::parse("\u{feff}cat\r\ndog\r\n\r\n").unwrap();
        assert_eq!(labels.names, ["cat", "dog"]);
        assert_eq!(Labels::parse(" \n"), Err(LabelError::Empty));
        assert_eq!(Labels::parse("cat\n\ndog"), Err(LabelError::Blank { line: 2 }));
    }
}
