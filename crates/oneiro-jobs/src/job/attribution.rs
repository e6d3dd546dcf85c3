//! Attributions: which pixels of images contribute to a unit, as maps on a sheet.

mod asked;
mod cautions;
pub mod clips;
mod maps;
mod sheet;

use oneiro::attribution::{Method, Settings};
use oneiro_media::PngText;
use serde::{Deserialize, Serialize};

use self::asked::Asked;
use self::maps::{InputImage, Row, attribute_all};
use super::{Job, Place, Role, Run, Sink};
use crate::error::{During as _, Result, Step};
use crate::model::LoadedModel;
use crate::provenance::{json, required, seal, toml as toml_entry};
use crate::source::framing::check_crop;
use crate::source::places::SourceFile;

/// Key of the metadata entry with the settings, in files of version 0.1.0.
const KEY: &str = "attribution";
/// Maps of each pixel's contribution to a unit, for images and several methods.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributionJob {
    /// Settings for all images.
    pub recipe: AttributionSettings,
    /// The images; each is a row of the sheet.
    pub images: Vec<ImageRequest>,
}

/// An image and the objective to which it is attributed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest {
    /// The image's file.
    pub file: String,
    /// The name of the objective or, without `objective`, a unit. Without both, the image is attributed to
    /// the class that the network predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// An objective as an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The unit's name in the caption, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// The report on attributions.
#[derive(Debug, Clone, Serialize)]
pub struct AttributionReport {
    /// The images for which at least one method succeeded.
    pub images: Vec<ImageReport>,
}

impl ImageRequest {
    /// Returns the request that gives a row of this report.
    fn of(report: &ImageReport) -> Self {
        Self {
            file: report.file.clone(),
            unit: Some(report.unit.clone()),
            objective: Some(report.objective.clone()),
            label: Some(report.label.clone()),
        }
    }

    fn asked(&self, model: &LoadedModel) -> Result<Asked> {
        Asked::read(model, self.unit.as_deref(), self.objective.as_deref())
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
    /// Returns the job as it was done: classes are given by index, with their captions.
    fn done(&self, rows: &[Row]) -> Self {
        let request = |row: &Row| ImageRequest::of(&row.report);
        Self { recipe: self.recipe.clone(), images: rows.iter().map(request).collect() }
    }
}

/// Reads a sheet of version 0.1.0. Returns `None` for a picture of another kind.
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

/// Settings for all images of a sheet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributionSettings {
    /// The title above the sheet.
    pub title: String,
    /// The methods; each is a column of the sheet.
    pub methods: Vec<Method>,
    /// Height and width, if they are not the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Whether the network reads the whole photo, resized without keeping its aspect ratio. Otherwise it
    /// reads the photo's centre, as for `classify`.
    #[serde(default)]
    pub full: bool,
    /// Side of the centre crop as a share of the scaled photo's shorter side, if it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    /// Whether maps are drawn over the photo.
    pub overlay: bool,
    /// Settings of the methods.
    pub settings: Settings,
}

/// The report on one image, in `--json` and in the picture's metadata.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageReport {
    /// The image's file.
    pub file: String,
    /// SHA-256 of the file in hexadecimal.
    pub sha256: String,
    /// The requested target.
    pub unit: String,
    /// The objective as an expression.
    pub objective: String,
    /// The unit's name in the caption.
    pub label: String,
    /// The objective's value for the image.
    pub value: f64,
    /// The maps, in the order of the methods.
    pub maps: Vec<MapReport>,
}

/// The report on one map.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MapReport {
    /// The method.
    pub method: Method,
    /// The layer that Grad-CAM uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// The objective's value for the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_value: Option<f64>,
    /// The sum of the map's values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    /// How far the sum is from the objective's rise between baseline and image. Absent if there is no rise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completeness_gap: Option<f64>,
    /// The share of the map that is positive, that is, contributes to the unit.
    pub positive_share: f64,
    /// Centroid (y, x), from 0 to 1.
    pub centroid: [f64; 2],
    /// Entropy, from 0 (one pixel) to 1 (uniform).
    pub entropy: f64,
    /// The value at the end of the colour scale.
    pub scale: f64,
}
