//! Reads model cards from the metadata of model files.
//!
//! These sources are tried in order: the key `oneiro.card`, whose value is a model card; the keys of
//! ultralytics; ONNX's keys for images, `Image.BitmapPixelFormat` and `Image.NominalPixelRange` (ONNX,
//! `docs/MetadataProps.md`).

use std::collections::BTreeMap;

use super::{Card, CardError, ChannelOrder, InputCard};

/// The key under which a file may carry a whole model card.
pub const CARD_KEY: &str = "oneiro.card";
/// ONNX's key for the order of colours (ONNX, `docs/MetadataProps.md`).
pub const PIXEL_FORMAT_KEY: &str = "Image.BitmapPixelFormat";

/// A card and class labels found in the metadata of a model file.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The card that the metadata describe.
    pub card: Card,
    /// Class labels in the file itself, in class order.
    pub labels: Vec<String>,
    /// The keys that were read, for notes to the user.
    pub source: &'static str,
}

/// Reads a card from a file's metadata, for inputs of these names. Returns `None` if no known key describes
/// images.
pub fn read(metadata: &BTreeMap<String, String>, inputs: &[String]) -> Result<Option<Found>, CardError> {
    if let Some(text) = metadata.get(CARD_KEY) {
        return Ok(Some(Found { card: Card::parse(text)?, labels: vec![], source: CARD_KEY }));
    }
    let get = |key: &str| metadata.get(key).map(String::as_str);
    let ultralytics = get("author") == Some("Ultralytics")
        || get("description").is_some_and(|d| d.starts_with("Ultralytics"));
    if ultralytics && let [input] = inputs {
        let card = Card {
            name: get("description").unwrap_or_default().to_owned(),
            input: vec![InputCard::preset("unit", input)?],
            ..Card::default()
        };
        let labels = get("names").and_then(python_names).unwrap_or_default();
        return Ok(Some(Found { card, labels, source: "ultralytics' metadata" }));
    }
    let (format, range) = (get(PIXEL_FORMAT_KEY), get("Image.NominalPixelRange"));
    if format.is_none() && range.is_none() {
        return Ok(None);
    }
    let order = match format.unwrap_or("Rgb8") {
        "Rgb8" => ChannelOrder::Rgb,
        "Bgr8" => ChannelOrder::Bgr,
        "Gray8" => ChannelOrder::Gray,
        other => return Err(unknown(PIXEL_FORMAT_KEY, other, "Rgb8, Bgr8 and Gray8")),
    };
    let preset = match range.unwrap_or("NominalRange_0_255") {
        "NominalRange_0_255" => "none",
        "Normalized_0_1" => "unit",
        "Normalized_1_1" => "tf",
        other => {
            let known = "NominalRange_0_255, Normalized_0_1 and Normalized_1_1";
            return Err(unknown("Image.NominalPixelRange", other, known));
        }
    };
    let input = inputs
        .iter()
        .map(|name| {
            let mut input = InputCard::preset(preset, name)?;
            input.order = order;
            let channels = input.channels();
            input.mean.truncate(channels);
            input.std.truncate(channels);
            Ok(input)
        })
        .collect::<Result<_, CardError>>()?;
    Ok(Some(Found {
        card: Card { input, ..Card::default() },
        labels: vec![],
        source: "ONNX's image metadata",
    }))
}

fn unknown(key: &str, value: &str, known: &str) -> CardError {
    CardError::Syntax(format!(
        "the model's metadata say {key} = {value}, and only {known} are known; write a model card instead"
    ))
}

/// Parses the names in the text of a Python dictionary from 0, 1, … to strings, as ultralytics writes it.
fn python_names(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (key, value) = rest.split_once(':')?;
        if key.trim().parse::<usize>().ok()? != names.len() {
            return None;
        }
        let value = value.trim_start();
        let quote = value.chars().next().filter(|q| matches!(q, '\'' | '"'))?;
        let mut name = String::new();
        let mut chars = value[1..].char_indices();
        let end = loop {
            match chars.next()? {
                (at, c) if c == quote => break at + 2,
                (_, '\\') => name.push(chars.next()?.1),
                (_, c) => name.push(c),
            }
        };
        names.push(name);
        rest = value[end..].trim_start().trim_start_matches(',').trim_start();
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(&str, &str)]) -> Result<Option<Found>, CardError> {
        let metadata = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        read(&metadata, &["images".to_owned()])
    }

    #[test]
    fn onnx_keys_say_order_and_range() {
        let pairs = [("Image.BitmapPixelFormat", "Bgr8"), ("Image.NominalPixelRange", "Normalized_1_1")];
        let input = found(&pairs).unwrap().unwrap().card.input.remove(0);
        assert_eq!((input.order, input.mean), (ChannelOrder::Bgr, vec![0.5; 3]));
        let gray = found(&[("Image.BitmapPixelFormat", "Gray8")]).unwrap().unwrap().card.input.remove(0);
        assert_eq!((gray.range, gray.mean), (255.0, vec![0.0]));
        assert!(found(&[("Image.NominalPixelRange", "NominalRange_16_235")]).is_err());
        assert_eq!(found(&[("author", "somebody")]), Ok(None));
    }

    #[test]
    fn ultralytics_names_its_classes() {
        let names = r#"{0: 'person', 1: "driver's seat", 2: 'hat\'s, {x}'}"#;
        let found = found(&[("author", "Ultralytics"), ("names", names)]).unwrap().unwrap();
        assert_eq!(found.labels, ["person", "driver's seat", "hat's, {x}"]);
        assert_eq!(found.card.input[0].name, "images");
        for bad in ["", "{", "{0: person}", "{1: 'a'}", "{0: 'a"] {
            assert_eq!(python_names(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_whole_card_may_stand_in_the_file() {
        let card = found(&[(CARD_KEY, "name = \"mine\"")]).unwrap().unwrap().card;
        assert_eq!(card.name, "mine");
        assert!(found(&[(CARD_KEY, "nonsense = 1")]).is_err());
    }
}
