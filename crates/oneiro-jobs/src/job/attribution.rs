//! Attributions: what in images speaks for a unit, as maps on a sheet.

mod maps;
mod sheet;

use oneiro::attribution::{Method, Settings};
use oneiro::objective::Unit;
use oneiro_media::PngText;
use serde::{Deserialize, Serialize};

use self::maps::{Asked, InputImage, Row, attribute_all};
use super::{Job, Place, Role, Run, Sink};
use crate::error::{During as _, Result, Step};
use crate::model::LoadedModel;
use crate::provenance::{json, required, seal, toml as toml_entry};
use crate::source::framing::check_crop;
use crate::source::places::SourceFile;

/// The entry that has the recipe.
const KEY: &str = "attribution";
/// Why an objective cannot name files.
const OF_THE_NETWORK: &str = "an attribution is of what the network does with the image alone";
/// Heat maps of the evidence for a unit in images, by several methods.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributionJob {
    /// How all images are attributed.
    pub recipe: AttributionSettings,
    /// The images, a row each.
    pub images: Vec<ImageRequest>,
}

/// An image to attribute, and to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest {
    /// The image's file.
    pub file: String,
    /// The name of the objective; without an objective, a unit. Without both it is the class that the
    /// network sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// An expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The caption's words for the unit, if they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// The report on attributions.
#[derive(Debug, Clone, Serialize)]
pub struct AttributionReport {
    /// The images whose maps did not all fail.
    pub images: Vec<ImageReport>,
}

impl ImageRequest {
    /// The target of a row.
    fn of(report: &ImageReport) -> Self {
        Self {
            file: report.file.clone(),
            unit: Some(report.unit.clone()),
            objective: Some(report.objective.clone()),
            label: Some(report.label.clone()),
        }
    }

    fn asked(&self, model: &LoadedModel) -> Result<Asked> {
        Ok(match (&self.unit, &self.objective) {
            (None, None) => Asked::TopClass,
            (Some(unit), None) => {
                let objective = model.objective(&unit.parse::<Unit>()?)?;
                Asked::Unit { unit: unit.clone(), objective }
            }
            (unit, Some(text)) => {
                let objective = model
                    .expression_of_classes(text, OF_THE_NETWORK)
                    .during(|| Step::Objective { of: text.clone() })?;
                objective.require_network_alone("an attribution")?;
                let unit = unit.clone().unwrap_or_else(|| objective.to_string());
                Asked::Unit { unit, objective }
            }
        })
    }
}

impl Job for AttributionJob {
    const KIND: &'static str = "attribution";
    type Report = AttributionReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<AttributionReport> {
        self.check()?;
        let model = run.model()?;
        let mut photos = Vec::new();
        let mut asked = Vec::new();
        for image in &self.images {
            photos.push(InputImage::read(model.places.of(&image.file), image.file.clone())?);
            asked.push((image.asked(model)?, image.label.clone()));
        }
        let rows = attribute_all(run.context, model, &self.recipe, &photos, &asked)?;
        let place = Place::picture(0);
        if sink.wants(place) {
            let (sheet, mut text) = sheet::sheet(model, &self.recipe, &rows)?;
            seal(run, &mut text, &self.done(&rows), place)?;
            sink.take_bytes(place, "attribution.png", &oneiro_media::encode_png(&sheet, &text)?)?;
        }
        let place = Place::first(Role::Raw);
        if sink.wants(place) {
            sink.take_bytes(place, "raw.safetensors", &sheet::raw(&rows)?)?;
        }
        Ok(AttributionReport { images: rows.into_iter().map(|row| row.report).collect() })
    }

    fn sources(&self) -> Vec<String> {
        let mut files: Vec<String> = Vec::new();
        for image in &self.images {
            if !files.contains(&image.file) {
                files.push(image.file.clone());
            }
        }
        files
    }

    fn check(&self) -> Result<()> {
        check_crop(self.recipe.crop)?;
        Ok(self.recipe.settings.check_for(&self.recipe.methods)?)
    }
}

impl AttributionJob {
    /// As it was done: classes by number, with their captions.
    fn done(&self, rows: &[Row]) -> Self {
        let request = |row: &Row| ImageRequest::of(&row.report);
        Self { recipe: self.recipe.clone(), images: rows.iter().map(request).collect() }
    }
}

/// Reads a sheet of version 0.1.0; `None` for a picture of another kind.
pub(crate) fn legacy(text: &PngText) -> Result<Option<(AttributionJob, Vec<SourceFile>)>> {
    let Some(recipe) = text.get(KEY) else { return Ok(None) };
    let recipe: AttributionSettings = toml_entry("its recipe", recipe)?;
    let images: Vec<ImageReport> = json("its list of images", &required(text, "images")?)?;
    let mut sources: Vec<SourceFile> = Vec::new();
    for report in &images {
        let file = SourceFile { path: report.file.clone(), sha256: report.sha256.clone() };
        if !sources.contains(&file) {
            sources.push(file);
        }
    }
    let job = AttributionJob { recipe, images: images.iter().map(ImageRequest::of).collect() };
    job.check().during(|| Step::Settings)?;
    Ok(Some((job, sources)))
}

/// How all images of a sheet are attributed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributionSettings {
    /// The title above the sheet.
    pub title: String,
    /// The methods, a column each.
    pub methods: Vec<Method>,
    /// Height and width, if not the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Whether the network is shown the whole photo, resized without keeping its aspect, instead of its
    /// centre as for `classify`.
    #[serde(default)]
    pub full: bool,
    /// The share of the scaled photo's shorter side that the centre is, if not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    /// Whether maps are drawn over the photo.
    pub overlay: bool,
    /// Settings of the methods.
    pub settings: Settings,
}

/// One image's row, as `--json` and the picture give it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageReport {
    /// The image's file.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The requested target.
    pub unit: String,
    /// The objective, written out.
    pub objective: String,
    /// The caption's words for the unit.
    pub label: String,
    /// The objective on the image.
    pub value: f64,
    /// The maps, in the order of the methods.
    pub maps: Vec<MapReport>,
}

/// One map.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MapReport {
    /// The method.
    pub method: Method,
    /// The layer of Grad-CAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// The objective on the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_value: Option<f64>,
    /// The sum of the map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// Absent where the objective is the same on image and baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completeness_gap: Option<f64>,
    /// The share of the map that speaks for the unit.
    pub positive_share: f64,
    /// y and x, from 0 to 1.
    pub centroid: [f64; 2],
    /// From 0 (one pixel) to 1 (even).
    pub entropy: f64,
    /// The value at the end of the colour scale.
    pub scale: f64,
}
