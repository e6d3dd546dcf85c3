//! Errors of a scan's SQLite file that cannot be written or used.

use std::io::ErrorKind;
use std::path::PathBuf;

use oneiro_media::write_hint;

/// Why a scan's file cannot be written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The scan's SQLite file cannot be written.
    #[error("the scan's file cannot be written in {}: {why}; {}", folder.display(), write_hint(kind_of(why)))]
    Write {
        /// The folder in which the file is being written.
        folder: PathBuf,
        /// The database's error.
        why: rusqlite::Error,
    },
    /// The scan's SQLite file cannot be read.
    #[error("{}: the scan cannot be read: {why}", path.display())]
    Read {
        /// Path of the scan's file.
        path: PathBuf,
        /// The database's error.
        why: rusqlite::Error,
    },
    /// A folder or file contains no scan.
    #[error("{}: there is no scan here", path.display())]
    NoScan {
        /// The folder or file that was given as a scan.
        path: PathBuf,
    },
    /// The folder given for the scanned images does not exist.
    #[error("{}: there is no such folder; name the one that the scanned folder is now", folder.display())]
    NoImages {
        /// The folder that does not exist.
        folder: PathBuf,
    },
    /// The scan's file has another version of the schema.
    #[error("{}: the scan has form {found}, this program reads form {}: scan again", path.display(), super::SCHEMA_VERSION)]
    Version {
        /// Path of the scan's file.
        path: PathBuf,
        /// The schema version of the file.
        found: i64,
    },
    /// The requested layer was not scanned.
    #[error("layer \"{name}\" is not in this scan; {}", known_said(known))]
    Layer {
        /// The layer's name as requested.
        name: String,
        /// Names of scanned layers, most similar first.
        known: Vec<String>,
    },
    /// The requested channel is beyond the layer's channels.
    #[error("layer \"{layer}\" has {channels} channels, 0 to {}; there is no channel {channel}", channels - 1)]
    Channel {
        /// Name of the layer.
        layer: String,
        /// Number of the layer's channels.
        channels: usize,
        /// The requested channel.
        channel: usize,
    },
    /// The requested channel is beyond the channels of a layer that a scanned layer joins with others.
    #[error(
        "layer \"{form}\" has {channels} channels, 0 to {}, which are {first} to {} of \"{layer}\"; there is no channel {channel}",
        channels - 1,
        first + channels - 1
    )]
    FormChannel {
        /// The layer's name as requested.
        form: String,
        /// Name of the scanned layer.
        layer: String,
        /// The channel of the scanned layer that is the requested layer's first.
        first: usize,
        /// Number of channels of the requested layer.
        channels: usize,
        /// The requested channel.
        channel: usize,
    },
    /// The data set does not have a class.
    #[error("the scanned images have no class \"{name}\"; {}", known_said(known))]
    Class {
        /// The class name as requested.
        name: String,
        /// Names of the data set's classes, most similar first.
        known: Vec<String>,
    },
    /// The network does not have the requested class.
    #[error("the network has no class \"{name}\"; {}", known_said(known))]
    Label {
        /// The class name as requested.
        name: String,
        /// Names of the network's classes, most similar first.
        known: Vec<String>,
    },
    /// The requested unit is not a single channel of a layer.
    #[error("\"{unit}\": a scan knows units LAYER:CHANNEL and class:NAME{why}")]
    Unit {
        /// The unit as requested.
        unit: String,
        /// The reason, or an empty text if there is nothing to add.
        why: String,
    },
    /// The scan is of another network.
    #[error("the scan is of another network: {scanned}, SHA-256 {}…; this is {model}", sha256.get(..12).unwrap_or(sha256))]
    OtherModel {
        /// File name of the network that was scanned.
        scanned: String,
        /// The scanned network's hash in hexadecimal.
        sha256: String,
        /// File name of the network that is used now.
        model: String,
    },
}

/// Returns the kind of I/O error that corresponds to a database error.
fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    }
}

fn known_said(known: &[String]) -> String {
    /// Up to this number of names, an error lists all of them.
    const FEW: usize = 12;
    /// Of a larger number of names, an error lists this many.
    const LISTED: usize = 5;
    match known {
        [] => "there are none".to_owned(),
        [one] => format!("there is {one}"),
        _ if known.len() <= FEW => format!("there are {}", known.join(", ")),
        _ => format!("the nearest are {}", known[..LISTED].join(", ")),
    }
}
