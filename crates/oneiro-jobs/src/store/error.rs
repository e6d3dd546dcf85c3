//! The error of a scan's file that cannot be written or used.

use std::path::PathBuf;

/// The reason why a scan's file cannot be written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be written.
    #[error("the scan's file cannot be written: {0}")]
    Write(rusqlite::Error),
    /// The database cannot be read.
    #[error("{}: the scan cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The database's error.
        source: rusqlite::Error,
    },
    /// A folder or file contains no scan.
    #[error("{}: there is no scan here", path.display())]
    NoScan {
        /// The folder or file.
        path: PathBuf,
    },
    /// The scan has another version of the schema.
    #[error("{}: the scan has form {found}, this program reads form {}: scan again", path.display(), super::SCHEMA_VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of the file's schema.
        found: i64,
    },
    /// A layer was not scanned.
    #[error("layer \"{name}\" is not in this scan; {}", known_said(known))]
    Layer {
        /// The requested name.
        name: String,
        /// Names of scanned layers, most similar first.
        known: Vec<String>,
    },
    /// A layer does not have a channel.
    #[error("layer \"{layer}\" has {channels} channels, 0 to {}; there is no channel {channel}", channels - 1)]
    Channel {
        /// The layer.
        layer: String,
        /// Number of the layer's channels.
        channels: usize,
        /// The requested channel.
        channel: usize,
    },
    /// The data set does not have a class.
    #[error("the scanned images have no class \"{name}\"; {}", known_said(known))]
    Class {
        /// The requested name.
        name: String,
        /// Names of the data set's classes, most similar first.
        known: Vec<String>,
    },
    /// The requested unit is not one channel of a layer.
    #[error("\"{unit}\": a scan knows units LAYER:CHANNEL and class:NAME{why}")]
    Unit {
        /// The unit.
        unit: String,
        /// The reason, or an empty text.
        why: String,
    },
    /// The scan is of another network.
    #[error("the scan is of another network: {scanned}, SHA-256 {}…; this is {model}", sha256.get(..12).unwrap_or(sha256))]
    OtherModel {
        /// The network that was scanned.
        scanned: String,
        /// The scanned network's hash in hexadecimal.
        sha256: String,
        /// The network that is used.
        model: String,
    },
}

fn known_said(known: &[String]) -> String {
    /// Number of names that a message lists.
    const LISTED: usize = 5;
    match known {
        [] => "there are none".to_owned(),
        _ if known.len() <= LISTED => format!("there are {}", known.join(", ")),
        _ => format!("the nearest are {}", known[..LISTED].join(", ")),
    }
}
