//! Values of inputs that are no pictures: from the request, and from the card's entry `value`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oneiro::card::{Card, FeedValue, HashedFile, InputCard, InputKind};
use oneiro::model::Fed;
use oneiro_net::Graph;
use serde::{Deserialize, Serialize};

use super::error::{FeedProblem, ModelError};
use crate::error::{During as _, Result, Step};
use crate::source::places;
use crate::source::places::Places;

/// A value that is given for a network's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feed {
    name: String,
    value: FeedValue,
}

impl Feed {
    /// Name of the input.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Parses `NAME=VALUE` or `NAME=FILE.npy`. The name may contain `=`, the value may not.
pub fn parse_feed(text: &str) -> Result<Feed, String> {
    let form = "write it as NAME=VALUE (a number, true or false) or NAME=FILE.npy";
    let (name, value) = text.rsplit_once('=').filter(|(n, v)| !n.is_empty() && !v.is_empty()).ok_or(form)?;
    let value = match (value, value.parse::<f32>()) {
        ("true", _) => FeedValue::Number(1.0),
        ("false", _) => FeedValue::Number(0.0),
        (_, Ok(number)) if number.is_finite() => FeedValue::Number(number),
        (_, Ok(_)) => return Err(format!("{value} is no finite number")),
        (file, Err(_)) if Path::new(file).extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) => {
            FeedValue::File(file.to_owned())
        }
        (other, Err(_)) => return Err(format!("\"{other}\" is no number and ends in no .npy; {form}")),
    };
    Ok(Feed { name: name.to_owned(), value })
}

/// Adds the values that a user gives for inputs to the card.
pub fn apply(card: &mut Card, feeds: &[Feed], graph: &Graph) -> Result<(), ModelError> {
    let refuse = |feed: &Feed, problem| Err(ModelError::Feed { input: feed.name.clone(), problem });
    for (i, feed) in feeds.iter().enumerate() {
        if feeds[..i].iter().any(|other| other.name == feed.name) {
            return refuse(feed, FeedProblem::Twice);
        }
        let names: Vec<&str> = graph.inputs.iter().map(|i| graph.name(i.value)).collect();
        if !names.contains(&feed.name.as_str()) {
            let known = names.into_iter().map(str::to_owned).collect();
            return refuse(feed, FeedProblem::NoSuchInput { known });
        }
        let mut others = card.input.iter().filter(|i| i.name != feed.name);
        let picture = card.input.iter().any(|i| i.name == feed.name && i.kind != InputKind::Tensor);
        if picture && others.all(|i| i.kind == InputKind::Tensor) {
            return refuse(feed, FeedProblem::IsPicture);
        }
        let input = InputCard { value: Some(feed.value.clone()), ..InputCard::tensor(&feed.name) };
        match card.input.iter_mut().find(|i| i.name == feed.name) {
            Some(known) => *known = input,
            None => card.input.push(input),
        }
    }
    Ok(())
}

/// Reads the value of every input that has one, by the input's name. Files are appended to `files`, and their
/// hashes are stored in the card.
///
/// `folder` contains the card's files. The paths of files given as flags (`feeds`) are used as they are.
pub fn read(
    card: &mut Card,
    feeds: &[Feed],
    folder: &Path,
    places: &Places,
    files: &mut Vec<PathBuf>,
) -> Result<BTreeMap<String, Fed>> {
    let mut values = BTreeMap::new();
    for input in card.input.iter_mut().filter(|i| i.kind == InputKind::Tensor) {
        let Some(value) = &input.value else { continue };
        let (named, hash) = match value {
            FeedValue::File(file) => match feeds.iter().any(|f| f.name == input.name) {
                true => (file.clone(), None),
                false => (folder.join(file).to_string_lossy().into_owned(), None),
            },
            FeedValue::Hashed(HashedFile { file, sha256 }) => (file.clone(), Some(sha256.clone())),
            number => {
                let data = number.number().into_iter().collect();
                values.insert(input.name.clone(), Fed { shape: vec![], data });
                continue;
            }
        };
        let path = places.of(&named).to_owned();
        let refuse = |problem| Err(ModelError::Feed { input: input.name.clone(), problem }.into());
        let reading = || Step::Feed { input: input.name.clone() };
        let (shape, data) = oneiro_media::read_npy(&path).during(reading)?;
        if let Some(&value) = data.iter().find(|x| !x.is_finite()) {
            return refuse(FeedProblem::NotFinite { path, value });
        }
        let now = places::hash(&oneiro_media::read_bytes(&path)?);
        if hash.is_some_and(|hash| hash != now) {
            return refuse(FeedProblem::OtherContent { path });
        }
        values.insert(input.name.clone(), Fed { shape, data });
        files.push(path);
        input.value = Some(FeedValue::Hashed(HashedFile { file: named, sha256: now }));
    }
    Ok(values)
}

/// Returns the files that are the values of inputs.
pub fn sources(card: &Card) -> Vec<places::SourceFile> {
    let hashed = card.input.iter().filter_map(|i| match &i.value {
        Some(FeedValue::Hashed(file)) => Some(file),
        _ => None,
    });
    hashed.map(|file| places::SourceFile { path: file.file.clone(), sha256: file.sha256.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_truth_values_and_files_are_read() {
        for (text, value) in [
            ("keep_prob=1.0", FeedValue::Number(1.0)),
            ("keep_prob:0=-2e-1", FeedValue::Number(-0.2)),
            ("is_training=false", FeedValue::Number(0.0)),
            ("z=latent.npy", FeedValue::File("latent.npy".into())),
        ] {
            assert_eq!(parse_feed(text).unwrap().value, value, "{text}");
        }
        for (text, words) in
            [("keep", "NAME=VALUE"), ("k=", "NAME=VALUE"), ("k=inf", "finite"), ("k=z.png", "z.png")]
        {
            assert!(parse_feed(text).unwrap_err().contains(words), "{text}");
        }
    }
}
