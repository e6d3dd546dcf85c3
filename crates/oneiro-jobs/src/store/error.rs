//! The error of a scan's file that cannot be written or used.

use std::io::ErrorKind;
use std::path::PathBuf;

use oneiro_media::write_hint;

/// Why a scan's file cannot be written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be written.
    #[error("the scan's file cannot be written in {}: {why}; {}", folder.display(), write_hint(kind_of(why)))]
    Write {
        /// The folder in which it is put together.
        folder: PathBuf,
        /// Why.
        why: rusqlite::Error,
    },
    /// The database cannot be read.
    #[error("{}: the scan cannot be read: {why}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        why: rusqlite::Error,
    },
    /// A folder or file contains no scan.
    #[error("{}: there is no scan here", path.display())]
    NoScan {
        /// The folder or file.
        path: PathBuf,
    },
    /// A folder for the scanned images that is none.
    #[error("{}: there is no such folder; name the one that the scanned folder is now", folder.display())]
    NoImages {
        /// The folder.
        folder: PathBuf,
    },
    /// A scan in another form.
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
    /// A class that the network does not have.
    #[error("the network has no class \"{name}\"; {}", known_said(known))]
    Label {
        /// The name asked for.
        name: String,
        /// Names of classes, the nearest first.
        known: Vec<String>,
    },
    /// A unit that is not one channel of a layer.
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

/// The system's kind of an error of the database.
fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::StorageFull,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    }
}

fn known_said(known: &[String]) -> String {
    /// Names up to which all are listed.
    const FEW: usize = 12;
    /// Names of many that are listed.
    const LISTED: usize = 5;
    match known {
        [] => "there are none".to_owned(),
        [one] => format!("there is {one}"),
        _ if known.len() <= FEW => format!("there are {}", known.join(", ")),
        _ => format!("the nearest are {}", known[..LISTED].join(", ")),
    }
}
