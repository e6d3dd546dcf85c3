//! The metadata that a sheet carries.

use std::ops::Range;

use oneiro_media::PngText;

use super::layout::SheetLayout;
use crate::error::Result;
use crate::job::render::PreparedUnits;
use crate::job::render::report::UnitReport;
use crate::job::render::text::{StoredSetting, push_setting, push_sources, source_names};
use crate::provenance::text_of_model;

/// Names of the files that a sheet is made from: those of its units, and the pictures that it shows
/// unchanged.
fn sheet_sources(work: &PreparedUnits<'_>, layout: &SheetLayout, units: Range<usize>) -> Vec<String> {
    let mut names = source_names(work, &work.units[units].iter().collect::<Vec<_>>());
    for photo in layout.rows.iter().flat_map(|r| &r.photos) {
        if !names.contains(&photo.path) {
            names.push(photo.path.clone());
        }
    }
    names
}

/// Returns the metadata of a sheet of these units.
pub fn sheet_text(
    work: &PreparedUnits<'_>,
    layout: &SheetLayout,
    units: Range<usize>,
    reports: &[&UnitReport],
) -> Result<PngText> {
    let mut text = text_of_model(work.model)?;
    push_setting(&mut text, &work.settings[0])?;
    if work.settings.len() > 1 {
        let all = work.settings.iter().map(StoredSetting::of).collect::<Result<Vec<_>>>()?;
        text.push("all-settings", serde_json::to_string(&all)?);
    }
    push_sources(&mut text, work, &sheet_sources(work, layout, units))?;
    if let Some(report) = reports.first().filter(|r| !r.display.is_clip()) {
        // The values of black and white differ between units and are not stored here.
        text.push("display", report.display.to_string());
    }
    text.push("units", serde_json::to_string(reports)?);
    text.push("layout", serde_json::to_string(layout)?);
    Ok(text)
}
