//! Lists of images with their classes: CSV and JSON.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::error::Result;
use crate::source::error::SourceError;

/// A list in JSON: entries with a file and a class, or a map from files to classes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    Entries(Vec<Entry>),
    Classes(BTreeMap<String, Option<String>>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    #[serde(default)]
    class: Option<String>,
}

/// Returns the files in a list, each with its class. A first line `file,class` in a `.csv` file is skipped.
///
/// # Errors
/// If the list cannot be read, or if it contains a file twice with different classes.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Option<String>>> {
    let bytes = oneiro_media::read_bytes(path)?;
    let bad = |why: String| SourceError::List { list: path.to_owned(), why };
    let entries: Vec<(String, Option<String>)> =
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            match serde_json::from_slice(&bytes).map_err(|_| {
                bad("neither a list of {\"file\": …, \"class\": …} nor an object {file: class}".into())
            })? {
                Json::Entries(entries) => entries.into_iter().map(|e| (e.file, e.class)).collect(),
                Json::Classes(classes) => classes.into_iter().collect(),
            }
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv")) {
            from_csv(&bytes).map_err(bad)?
        } else {
            return Err(bad("a folder, a .csv or a .json file is needed".into()).into());
        };
    let mut listed = BTreeMap::new();
    for (file, class) in entries {
        let class = class.filter(|class| !class.is_empty());
        match listed.get(&file) {
            Some(known) if *known != class => {
                return Err(bad(format!("{file} has two classes")).into());
            }
            _ => listed.insert(file, class),
        };
    }
    Ok(listed)
}

fn from_csv(bytes: &[u8]) -> Result<Vec<(String, Option<String>)>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let mut entries = Vec::new();
    for (i, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        let fields: Vec<&str> = record.iter().collect();
        match fields[..] {
            ["file", "class"] if i == 0 => {}
            [file] => entries.push((file.to_owned(), None)),
            [file, class] => entries.push((file.to_owned(), Some(class.to_owned()))),
            _ => return Err(format!("line {}: a file and a class are needed", i + 1)),
        }
    }
    Ok(entries)
}
