//! Attributions: what in images speaks for a unit, as maps on a sheet.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use oneiro::attribution::{Attribution, Method, Settings, Subject, Summary, attribute, top_class};
use oneiro::objective::{Objective, Unit};
use oneiro_media::{Cell, Image, PngText, Sheet, colormap};
use serde::{Deserialize, Serialize};

use super::{Job, Place, Role, Run, Sink};
use crate::context::Context;
use crate::model::LoadedModel;
use crate::model::health::broken_weights;
use crate::numbers::short;
use crate::provenance::{required, seal, text_of_model};
use crate::source::framing::{Framing, framed};
use crate::source::places::{SourceFile, hash};
use crate::task::Task;
use crate::tensors::{RawTensor, to_bytes};

/// The entry that has the recipe.
const KEY: &str = "attribution";
/// Why an objective cannot name files.
const OF_THE_NETWORK: &str = "an attribution is of what the network does with the image alone";
/// The completeness gap beyond which a person is warned.
const GAP_WARNING: f64 = 0.05;
/// The entropy, of at most 1, beyond which a map points at nothing: less than that of a map whose one half is
/// twice as bright as the other.
const EVEN: f64 = 0.995;
/// The strongest value up to which a map holds rounding alone, such as that of a unit that is off.
const NOTHING: f64 = 1e-24;
/// Columns of the sheet at most: the photo and six maps.
const COLUMNS: usize = 7;
/// Pictures are drawn at least so wide, each pixel as a square.
const WIDTH: usize = 192;
/// Room for captions.
const CELL_WIDTH: usize = 224;

/// What in images speaks for a unit, by several methods.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributionJob {
    /// How all images are attributed.
    pub recipe: Recipe,
    /// The images, a row each.
    pub images: Vec<ImageRequest>,
}

/// An image to attribute, and to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest {
    /// The image's file.
    pub file: String,
    /// What the objective is called, or a unit if there is none. Without both it is the class that the network
    /// sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// An expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The caption's words for the unit, if they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// What is said of attributions.
#[derive(Debug, Clone, Serialize)]
pub struct AttributionReport {
    /// The images whose maps did not all fail.
    pub images: Vec<ImageReport>,
}

impl ImageRequest {
    /// What a row was asked for.
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
                    .with_context(|| format!("the objective {text} cannot be read"))?;
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
        let model = run.model()?;
        let mut photos = Vec::new();
        let mut asked = Vec::new();
        for image in &self.images {
            photos.push(Photo::read(model.places.of(&image.file), image.file.clone())?);
            asked.push((image.asked(model)?, image.label.clone()));
        }
        let rows = attribute_all(run.context, model, &self.recipe, &photos, &asked)?;
        let place = Place::picture(0);
        if sink.wants(place) {
            let (sheet, mut text) = sheet(model, &self.recipe, &rows)?;
            seal(run, &mut text, &self.done(&rows), place)?;
            sink.take_bytes(place, "attribution.png", &oneiro_media::encode_png(&sheet, &text)?)?;
        }
        let place = Place::first(Role::Raw);
        if sink.wants(place) {
            sink.take_bytes(place, "raw.safetensors", &raw(&rows)?)?;
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
        Ok(self.recipe.settings.check()?)
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
    let recipe: Recipe = toml::from_str(recipe).context("its recipe cannot be read")?;
    let images: Vec<ImageReport> =
        serde_json::from_str(&required(text, "images")?).context("its list of images cannot be read")?;
    let mut sources: Vec<SourceFile> = Vec::new();
    for report in &images {
        let file = SourceFile { path: report.file.clone(), sha256: report.sha256.clone() };
        if !sources.contains(&file) {
            sources.push(file);
        }
    }
    let job = AttributionJob { recipe, images: images.iter().map(ImageRequest::of).collect() };
    job.check().context("its settings cannot be used")?;
    Ok(Some((job, sources)))
}

/// How all images of a sheet are attributed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What stands above the sheet.
    pub title: String,
    /// The methods, a column each.
    pub methods: Vec<Method>,
    /// Height and width, if not the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Whether the network is shown the whole photo, whatever that does to its aspect, and not its centre as
    /// for `classify`.
    #[serde(default)]
    pub full: bool,
    /// The share of the scaled photo's shorter side that the centre is, if not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    /// Whether maps are drawn over the photo.
    pub overlay: bool,
    /// What the methods go by.
    pub settings: Settings,
}

/// An image to attribute.
struct Photo {
    /// As the person named it.
    pub file: String,
    pub sha256: String,
    image: Image,
    on_black: bool,
}

/// What is asked of an image: an objective and how it is called, or the class that the network itself sees.
#[derive(Clone)]
enum Asked {
    Unit { unit: String, objective: Objective },
    TopClass,
}

/// One image's row, as `--json` and the picture give it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageReport {
    /// The image's file.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// What was asked for.
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
    /// What the strongest colour stands for.
    pub scale: f64,
}

/// An image with its maps.
struct Row {
    pub report: ImageReport,
    /// What the network was shown.
    shown: Image,
    maps: Vec<Attribution>,
}

impl Photo {
    /// Reads an image file; `file` is what it is called.
    fn read(path: &Path, file: String) -> Result<Self> {
        let bytes = oneiro_media::read_bytes(path)?;
        let (image, on_black) = oneiro_media::decode_image_on_black(&bytes, path)?;
        let sha256 = hash(&bytes);
        Ok(Self { file, sha256, image, on_black })
    }

    /// What the network is shown of it.
    fn framed(&self, size: [usize; 2], recipe: &Recipe) -> Result<(Image, Framing)> {
        let Image { height, width, .. } = self.image;
        let framed = if recipe.full {
            oneiro_media::resize(&self.image, size[0], size[1], oneiro_media::Filter::Triangle)
                .map(|shown| (shown, Framing::squeezed([height, width], size)))
                .map_err(anyhow::Error::from)
        } else {
            framed(&self.image, size, recipe.crop)
        };
        framed.with_context(|| format!("could not scale {}", self.file))
    }
}

/// Attributes every photo by every method. `asked` has one entry a photo, with the caption's words if they
/// are known.
///
/// A method that fails on a photo is named in a note and leaves the other maps; so does a photo on which all
/// fail.
///
/// # Errors
///
/// The first failure, if no map of any photo is left, or if a layer was named for Grad-CAM, which then
/// failed.
fn attribute_all(
    context: &Context,
    model: &LoadedModel,
    recipe: &Recipe,
    photos: &[Photo],
    asked: &[(Asked, Option<String>)],
) -> Result<Vec<Row>> {
    let mut progress = Task::new(context, "attributing", (photos.len() * recipe.methods.len()) as u64);
    let mut compiled: Option<Subject<'_>> = None;
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    // The size is the same for every objective.
    let size = context.compute(|| shown_size(model, recipe))?;
    for (photo, (asked, label)) in photos.iter().zip(asked) {
        let (shown, framing) = photo.framed(size, recipe)?;
        model.framings.add(&photo.file, framing.on_black(photo.on_black));
        let (unit, objective, default_label) = match asked {
            Asked::Unit { unit, objective } => (unit.clone(), objective.clone(), unit.clone()),
            Asked::TopClass => {
                let class = context.compute(|| top_class(&model.model, &shown.data, recipe.size))?;
                let name = model.class_name(class);
                let unique = model.labels.as_ref().is_some_and(|l| l.find(&name).is_ok());
                let unit = if unique { format!("class:{name}") } else { format!("class:{class}") };
                (unit, Objective::logit(class), format!("{name} (top class)"))
            }
        };
        let mut subject = match compiled.take().filter(|s| *s.objective() == objective) {
            Some(subject) => subject,
            None => context.compute(|| Subject::new(&model.model, &objective, recipe.size))?,
        };
        let mut maps = Vec::new();
        for &method in &recipe.methods {
            context.check()?;
            progress.label(method.name());
            let watch = &mut |done, count| {
                progress.within_step(done, count);
                !context.is_cancelled()
            };
            let map =
                context.compute(|| attribute(&mut subject, &shown.data, method, &recipe.settings, watch));
            progress.advance(1);
            let named = method == Method::GradCam && recipe.settings.cam_layer.is_some();
            match map {
                Ok(map) => maps.push(map),
                Err(why) if named || matches!(why, oneiro::Error::Stopped) => {
                    return Err(why).with_context(|| format!("could not attribute {}", photo.file));
                }
                Err(why) => failures.push((&photo.file, method, why)),
            }
        }
        compiled = Some(subject);
        if maps.is_empty() {
            continue;
        }
        let report = ImageReport {
            file: photo.file.clone(),
            sha256: photo.sha256.clone(),
            unit,
            objective: objective.to_string(),
            label: label.clone().unwrap_or(default_label),
            value: maps.first().map_or(f64::NAN, |m| m.value),
            maps: maps.iter().map(report_of).collect(),
        };
        rows.push(Row { report, shown, maps });
    }
    drop(progress);
    if rows.is_empty() && !failures.is_empty() {
        let (file, _, why) = failures.swap_remove(0);
        let objectives = asked.iter().filter_map(|(asked, _)| match asked {
            Asked::Unit { objective, .. } => Some(objective),
            Asked::TopClass => None,
        });
        let weights = broken_weights(model, objectives)
            .map_or(String::new(), |w| format!("; weights of the network are not finite: {w}"));
        return Err(why).with_context(|| format!("could not attribute {file}{weights}"));
    }
    for (file, method, why) in failures {
        context.note(&format!("{file}: {method} is left out: {why}"));
    }
    model.say_output(context);
    model.framings.say(context);
    for row in &rows {
        warn(context, row, &recipe.settings);
    }
    Ok(rows)
}

fn shown_size(model: &LoadedModel, recipe: &Recipe) -> Result<[usize; 2]> {
    let shapes = model.model.input_shapes(1, recipe.size)?;
    let image = |card: &oneiro::card::InputCard| card.kind == oneiro::card::InputKind::Image;
    match model.model.card.input.iter().position(image) {
        Some(at) if shapes[at].len() == 4 => {
            model.model.check_colors(at)?;
            Ok([shapes[at][2], shapes[at][3]])
        }
        Some(at) => Ok(model.model.check_picture(at, &shapes[at]).map(|()| [0; 2])?),
        None => bail!("{} has no input for images; attributions are of single images", model.source),
    }
}

fn report_of(map: &Attribution) -> MapReport {
    let Summary { positive_share, centroid, entropy, scale } = Summary::of(map);
    MapReport {
        method: map.method,
        layer: map.layer.clone(),
        baseline_value: map.completeness.map(|c| c.baseline_value),
        sum: map.completeness.map(|c| c.sum),
        completeness_gap: map.completeness.map(|c| c.gap).filter(|g| g.is_finite()),
        positive_share,
        centroid,
        entropy,
        scale,
    }
}

/// Says where a map should not be believed, or is empty.
fn warn(context: &Context, row: &Row, settings: &Settings) {
    let file = &row.report.file;
    for map in &row.report.maps {
        if let (Method::IntegratedGradients, Some(gap)) = (map.method, map.completeness_gap)
            && gap > GAP_WARNING
        {
            context.note(&format!(
                "{file}: integrated gradients add up to {}, the objective rises by {} from {} to the image: a gap of \
                 {:.0} %; more --steps than {} bring them together",
                short(map.sum.unwrap_or_default()),
                short(row.report.value - map.baseline_value.unwrap_or_default()),
                settings.baseline,
                100.0 * gap,
                settings.steps
            ));
        }
        if map.scale <= NOTHING {
            let why = match map.method {
                Method::GradCam if settings.cam_layer.is_some() => {
                    "nothing of that layer's map speaks for the unit here, or nothing behind it reads its positions"
                }
                Method::GradCam => {
                    "nothing of that layer's map speaks for the unit here; --cam-layer names another layer"
                }
                _ => {
                    "the unit does not depend on this image, or its gradient is stopped on the way (a unit that is off)"
                }
            };
            context.note(&format!("{file}: {} is zero everywhere: {why}", map.method));
        } else if map.method == Method::GradCam && map.entropy > EVEN {
            context.note(&format!(
                "{file}: {} is nearly even: it points at nothing; --cam-layer names another layer",
                map.method
            ));
        }
    }
}

/// The sheet as a PNG that says how it was made.
fn sheet(model: &LoadedModel, recipe: &Recipe, rows: &[Row]) -> Result<(Image, PngText)> {
    let widest = rows.iter().map(|r| r.shown.width.max(r.shown.height)).max().unwrap_or(1);
    let mut sheet = Sheet::new((recipe.methods.len() + 1).min(COLUMNS))
        .title(&recipe.title)
        .subtitle("red speaks for the unit, blue against it; maps without a sign run from black to yellow")
        .zoom((WIDTH / widest).max(1))
        .min_cell_width(CELL_WIDTH);
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
                    .caption(remark(report, &recipe.settings, map.size)),
            );
        }
    }
    let mut text = text_of_model(model)?;
    text.push(KEY, toml::to_string(recipe)?);
    let reports: Vec<&ImageReport> = rows.iter().map(|r| &r.report).collect();
    text.push("images", serde_json::to_string(&reports)?);
    Ok((sheet.render()?, text))
}

fn file_name(file: &str) -> String {
    Path::new(file).file_name().map_or_else(|| file.to_owned(), |n| n.to_string_lossy().into_owned())
}

/// The settings that a map depends on, and how well it adds up.
fn remark(report: &MapReport, settings: &Settings, size: [usize; 2]) -> String {
    let gap = report.completeness_gap.map_or(String::new(), |g| format!(", gap {:.1} %", 100.0 * g));
    match report.method {
        Method::Gradient | Method::Guided | Method::Deconv => String::new(),
        Method::GradientXInput => format!("from {}{gap}", settings.baseline),
        Method::IntegratedGradients => format!("from {}, {} steps{gap}", settings.baseline, settings.steps),
        Method::SmoothGrad | Method::SmoothGradSquared | Method::VarGrad => {
            format!("{} samples, noise {}", settings.samples, settings.noise)
        }
        Method::GradCam => format!("at {}", report.layer.as_deref().unwrap_or_default()),
        Method::Occlusion => {
            let ([h, w], [down, along]) = settings.windows(size);
            let stride = if down == along { down.to_string() } else { format!("{down}x{along}") };
            format!("{h}x{w} in {}, stride {stride}", settings.fill)
        }
    }
}

/// Maps, signed values and the image as shown, as `IMAGE/METHOD/map`, `IMAGE/METHOD/values` and
/// `IMAGE/image`.
fn raw(rows: &[Row]) -> Result<Vec<u8>> {
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
    to_bytes(&tensors, metadata)
}
