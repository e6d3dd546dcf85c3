//! How the pictures of a sheet are laid out.

use serde::{Deserialize, Serialize};

use crate::numbers::{is_zero, short};

/// How the pictures of a sheet are arranged. Their order is that of the units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetLayout {
    /// The title above the sheet.
    pub title: String,
    /// The subtitle below the title of the sheet.
    #[serde(default)]
    pub subtitle: String,
    /// What the line below each unit's caption shows.
    #[serde(default)]
    pub measure: Measure,
    /// Number of pictures side by side in the sheet.
    pub columns: usize,
    /// Minimum side of a picture in pixels. Smaller ones are enlarged by an integer factor; 0 enlarges none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tile: usize,
    /// Path of a scan, or of images. The images that excite a unit most are shown beside its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// Whether captions say if the pictures may be believed, by the images of `data`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub belief: bool,
    /// The rows.
    pub rows: Vec<LayoutRow>,
}

impl SheetLayout {
    /// Returns the number of units in the sheet.
    pub fn cells(&self) -> usize {
        self.rows.iter().map(|row| row.captions.len()).sum()
    }

    /// Removes the cells of units that are not kept, and rows that become empty.
    pub fn keep(&mut self, kept: &[bool]) {
        let mut kept = kept.iter();
        for row in &mut self.rows {
            row.captions.retain(|_| *kept.next().unwrap_or(&true));
        }
        self.rows.retain(|row| !row.captions.is_empty() || !row.photos.is_empty());
    }
}

/// What a sheet shows of a unit's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Measure {
    /// The value of the objective.
    #[default]
    Value,
    /// The relative error of an inversion, ‖Φ − Φ0‖/‖Φ0‖.
    RelativeError,
}

impl Measure {
    /// Returns the text for the value of a unit's objective.
    pub fn caption(self, value: f64) -> String {
        match self {
            Self::Value => short(value),
            Self::RelativeError => format!("error {:.3}", relative_error(value)),
        }
    }
}

/// Returns ‖Φ − Φ0‖/‖Φ0‖ of an inversion, whose objective is minus the square of this value.
pub fn relative_error(value: f64) -> f64 {
    (-value).max(0.0).sqrt()
}

/// A row of a sheet: the label beside it, and the text below each of its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutRow {
    /// The label beside the row of pictures.
    pub title: String,
    /// Pictures that are shown unchanged, before the units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub photos: Vec<SheetPhoto>,
    /// The text below each picture; lines are separated by newlines.
    pub captions: Vec<String>,
}

/// A picture that a sheet shows unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetPhoto {
    /// Path of the picture's file.
    pub path: String,
    /// The text below the picture.
    pub caption: String,
}
