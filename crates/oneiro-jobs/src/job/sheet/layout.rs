//! How the pictures of a sheet are laid out.

use serde::{Deserialize, Serialize};

use crate::numbers::{is_zero, short};

/// How the pictures of a sheet are laid out. Their order is that of the units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetLayout {
    /// The title above the sheet.
    pub title: String,
    /// The subtitle.
    #[serde(default)]
    pub subtitle: String,
    /// The line below the caption of each unit.
    #[serde(default)]
    pub measure: Measure,
    /// Pictures side by side.
    pub columns: usize,
    /// Least side of a picture in pixels: smaller ones are enlarged by a whole factor. 0 enlarges none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tile: usize,
    /// A scan, or images: those that excite a unit most stand beside its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
    /// The rows.
    pub rows: Vec<LayoutRow>,
}

impl SheetLayout {
    /// Number of units.
    pub fn cells(&self) -> usize {
        self.rows.iter().map(|row| row.captions.len()).sum()
    }

    /// Leaves out the cells of units that are not kept, and rows that have none left.
    pub fn keep(&mut self, kept: &[bool]) {
        let mut kept = kept.iter();
        for row in &mut self.rows {
            row.captions.retain(|_| *kept.next().unwrap_or(&true));
        }
        self.rows.retain(|row| !row.captions.is_empty() || !row.photos.is_empty());
    }
}

/// The text of a unit's value on a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Measure {
    /// The objective.
    #[default]
    Value,
    /// The relative error of an inversion, ‖Φ − Φ0‖/‖Φ0‖.
    RelativeError,
}

impl Measure {
    /// In words, of a unit's objective.
    pub fn caption(self, value: f64) -> String {
        match self {
            Self::Value => short(value),
            Self::RelativeError => format!("error {:.3}", relative_error(value)),
        }
    }
}

/// ‖Φ − Φ0‖/‖Φ0‖ of an inversion, whose objective is minus the square of it.
pub fn relative_error(value: f64) -> f64 {
    (-value).max(0.0).sqrt()
}

/// A row of a sheet: what stands beside it, and below each of its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutRow {
    /// The label beside the row.
    pub title: String,
    /// Pictures that are shown as they are, before the units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub photos: Vec<SheetPhoto>,
    /// The text below its pictures; lines are separated by newlines.
    pub captions: Vec<String>,
}

/// A picture of a sheet that was not made but read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetPhoto {
    /// The picture's file.
    pub path: String,
    /// The text below the picture.
    pub caption: String,
}
