//! Draws maps on a sheet, and encodes them as tensors.

use std::collections::HashMap;
use std::path::Path;

use oneiro::attribution::{Method, Settings};
use oneiro_image::Extent;
use oneiro_media::{Cell, Image, PngText, Sheet, colormap};

use super::maps::Row;
use super::{AttributionSettings, ImageReport, KEY, MapReport};
use crate::error::Result;
use crate::model::LoadedModel;
use crate::numbers::short;
use crate::provenance::text_of_model;
use crate::tensors::{RawTensor, to_bytes};

/// Maximum number of columns of the sheet: the photo and six maps.
const COLUMNS: usize = 7;
/// Minimum width of drawn pictures, with each pixel as a square.
const WIDTH: usize = 192;
/// Width of a cell, wide enough for captions.
const CELL_WIDTH: usize = 224;
/// Lines into which a line of a caption wraps at most, such as an expression.
const CAPTION_LINES: usize = 3;

/// Returns the sheet as a PNG with metadata.
pub(super) fn sheet(
    model: &LoadedModel,
    recipe: &AttributionSettings,
    rows: &[Row],
) -> Result<(Image, PngText)> {
    let widest = rows.iter().map(|r| r.shown.width.max(r.shown.height)).max().unwrap_or(1);
    let mut sheet = Sheet::new((recipe.methods.len() + 1).min(COLUMNS))
        .title(&recipe.title)
        .subtitle("red adds to the value, blue takes from it; maps without a sign run from black to yellow")
        .zoom((WIDTH / widest).max(1))
        .min_cell_width(CELL_WIDTH)
        .caption_lines(CAPTION_LINES);
    for row in rows {
        let photo = Cell::new(row.shown.clone())
            .caption(file_name(&row.report.file))
            .caption(&row.report.label)
            .caption(format!("value {}", short(row.report.value)));
        sheet = sheet.row("").cell(photo);
        for (map, report) in row.maps.iter().zip(&row.report.maps) {
            let color = if map.method.is_signed() { colormap::diverging } else { colormap::sequential };
            let [h, w] = map.size;
            let picture = if recipe.overlay {
                colormap::overlaid(&row.shown, &map.map, report.scale, color)?
            } else {
                colormap::colored(&map.map, w, h, report.scale, color)?
            };
            let range = if map.method.is_signed() { "\u{b1}" } else { "0 to " };
            sheet = sheet.cell(
                Cell::new(picture)
                    .caption(map.method.name())
                    .caption(format!("{range}{} (99th percentile)", short(report.scale)))
                    .caption(remark(report, &recipe.settings, Extent::still(3, h, w))),
            );
        }
    }
    let mut text = text_of_model(model)?;
    text.push(KEY, toml::to_string(recipe)?);
    let reports: Vec<&ImageReport> = rows.iter().map(|r| &r.report).collect();
    text.push("images", serde_json::to_string(&reports)?);
    Ok((sheet.render()?, text))
}

/// Returns the last component of a path.
pub(super) fn file_name(file: &str) -> String {
    Path::new(file).file_name().map_or_else(|| file.to_owned(), |n| n.to_string_lossy().into_owned())
}

/// Describes the settings on which a map depends, and how well its values add up.
pub(super) fn remark(report: &MapReport, settings: &Settings, extent: Extent) -> String {
    let gap = report.completeness_gap.map_or(String::new(), |g| format!(", gap {:.1} %", 100.0 * g));
    match report.method {
        Method::GradientXInput => format!("from {}{gap}", settings.baseline),
        Method::IntegratedGradients => format!("from {}, {} steps{gap}", settings.baseline, settings.steps),
        Method::SmoothGrad | Method::SmoothGradSquared | Method::VarGrad => {
            format!("{} samples, noise {}", settings.samples, settings.noise)
        }
        Method::GradCam => format!("at {}", report.layer.as_deref().unwrap_or_default()),
        Method::Occlusion => {
            let ([frames, h, w], [_, down, along]) = settings.windows(extent);
            let stride = if down == along { down.to_string() } else { format!("{down}x{along}") };
            let frames = if extent.frames > 1 { format!("{frames}x") } else { String::new() };
            format!("{frames}{h}x{w} in {}, stride {stride}", settings.fill)
        }
        _ => String::new(),
    }
}

/// Encodes maps, signed values and the image that the network read as `IMAGE/METHOD/map`,
/// `IMAGE/METHOD/values` and `IMAGE/image`.
pub(super) fn raw(rows: &[Row]) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let [h, w] = [row.shown.height, row.shown.width];
        tensors.push(RawTensor {
            name: format!("{i}/image"),
            shape: vec![3, h, w],
            data: row.shown.data.clone(),
        });
        for map in &row.maps {
            let name = |what: &str| format!("{i}/{}/{what}", map.method);
            tensors.push(RawTensor { name: name("map"), shape: vec![h, w], data: map.map.clone() });
            let shape = vec![map.channels(), h, w];
            tensors.push(RawTensor { name: name("values"), shape, data: map.values.clone() });
        }
    }
    let reports: Vec<&ImageReport> = rows.iter().map(|r| &r.report).collect();
    let metadata = HashMap::from([("images".to_owned(), serde_json::to_string(&reports)?)]);
    Ok(to_bytes(&tensors, metadata)?)
}
