//! Pictures of a layer's activations for a photo: a mosaic with a cell for each position, or a dictionary of
//! the strongest channels at some positions. The [`GridSettings`] are stored in the picture's metadata, so
//! that the picture can be recreated.

use oneiro::objective::Objective;
use oneiro::spatial_activations::SpatialActivations;
use oneiro_media::{Image, PngText};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{During as _, Result, Step};
use crate::job::error::{self, JobError};
use crate::job::render::limits::check_preset;
use crate::job::render::report::UnitReport;
use crate::job::render::text::{push_setting, setting};
use crate::job::render::{Finished, Options, RenderUnit, Setting, prepare, raw_bytes, render_all};
use crate::job::{Job, Place, Role, Run, Sink};
use crate::model::LoadedModel;
use crate::provenance::{json, required, seal, text_of_model, toml as toml_entry};
use crate::source::materials::Extras;
use crate::source::places;
use crate::source::places::SourceFile;
use crate::source::references::{self, Files, picture_size};

mod dictionary;
mod mosaic;

pub use dictionary::{Dictionary, Positions};
pub use mosaic::{Mosaic, Scale};

/// Key of the metadata entry with the settings, in files of version 0.1.0.
const KEY: &str = "grid";
/// Number of channels that are named for each cell.
const NAMED: usize = 5;

/// Pictures of a layer's activations for a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridJob {
    /// The layer, the photo, and the kind of pictures.
    pub recipe: GridSettings,
    /// The preset and random seed with which the pictures are rendered.
    pub setting: Setting,
}

/// The report on an activation grid.
#[derive(Debug, Clone, Serialize)]
pub struct GridReport {
    /// Name of the layer.
    pub layer: String,
    /// The cells of a mosaic, row by row, or the positions of a dictionary.
    pub cells: Vec<CellReport>,
}

impl Job for GridJob {
    const KIND: &'static str = "grid";
    type Report = GridReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<GridReport> {
        let model = run.model()?;
        let made = self.recipe.make(run, model, &self.setting)?;
        let place = Place::picture(0);
        if sink.wants(place) {
            let mut text = text_of_model(model)?;
            push_setting(&mut text, &self.setting)?;
            text.push(KEY, toml::to_string(&self.recipe)?);
            let files = places::hashed(std::slice::from_ref(&self.recipe.image), &model.places)?;
            text.push("sources", serde_json::to_string(&files)?);
            text.push("cells", serde_json::to_string(&made.cells)?);
            seal(run, &mut text, self, place)?;
            sink.take_bytes(place, "grid.png", &oneiro_media::encode_png(&made.sheet, &text)?)?;
        }
        let raw = Place::first(Role::Raw);
        if sink.wants(raw) {
            sink.take_bytes(raw, "raw.safetensors", &raw_bytes(&made.finished)?)?;
        }
        Ok(GridReport { layer: self.recipe.layer.clone(), cells: made.cells })
    }

    fn sources(&self) -> Vec<String> {
        vec![self.recipe.image.clone()]
    }

    fn check(&self) -> Result<()> {
        if self.recipe.side == 0 || self.recipe.side > mosaic::MAX_SIDE {
            let (setting, value) = (error::Setting::Cell, self.recipe.side);
            let needed = format!("a number from 1 to {}", mosaic::MAX_SIDE);
            return Err(JobError::Setting { setting, value, needed }.into());
        }
        check_preset(&self.setting.preset)
    }

    fn settings_mut(&mut self) -> Vec<&mut Setting> {
        vec![&mut self.setting]
    }
}

/// Reads a grid of version 0.1.0. Returns `None` for a picture of another kind.
pub(crate) fn legacy(text: &PngText) -> Result<Option<(GridJob, Vec<SourceFile>)>> {
    let Some(recipe) = text.get(KEY) else { return Ok(None) };
    let recipe: GridSettings = toml_entry("its recipe", recipe)?;
    let job = GridJob { recipe, setting: setting(text)? };
    job.check().during(|| Step::Settings)?;
    let sources = json("the list of files that it was made from", &required(text, "sources")?)?;
    Ok(Some((job, sources)))
}

/// The layer, the photo, and the kind of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridSettings {
    /// The title above the picture of the grid.
    pub title: String,
    /// Path of the photo's file.
    pub image: String,
    /// Name of the layer.
    pub layer: String,
    /// Size to which the photo is resized, if it is not the model's input size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<[usize; 2]>,
    /// Maximum rows and columns. Larger maps are averaged to this size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<[usize; 2]>,
    /// Whether activations below zero are used. Otherwise they are set to zero.
    #[serde(default)]
    pub signed: bool,
    /// The objective whose attribution weights cells and channels. Without one, activations weight them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toward: Option<String>,
    /// The objective's name as the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toward_unit: Option<String>,
    /// Side of a cell or an icon, in pixels.
    pub side: usize,
    /// The kind of pictures: a mosaic or a dictionary.
    pub show: Show,
}

/// The kind of pictures that show the map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Show {
    /// A picture with a cell for each position.
    Mosaic(Mosaic),
    /// A row for each of some positions, with pictures of their channels.
    Dictionary(Dictionary),
}

/// The photo at the network's size, and the layer's activations.
pub struct LayerView {
    /// The photo at the network's size.
    pub photo: Image,
    /// Rows and columns of the layer's map before averaging.
    pub map: [usize; 2],
    /// The layer's activations, averaged over cells.
    pub cells: SpatialActivations,
    /// The layer's name in objectives: the layer itself, or the ReLU after it.
    pub objective_layer: String,
}

/// The report on a cell, in `--json` and in the picture's metadata.
#[derive(Debug, Clone, Serialize)]
pub struct CellReport {
    /// Row of the cell, from 0.
    pub y: usize,
    /// Column of the cell, from 0.
    pub x: usize,
    /// Norm of the cell's activation vector.
    pub magnitude: f64,
    /// The cell's attribution for the objective of `--toward`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<f64>,
    /// The channels with the largest attribution or activation.
    pub top: Vec<ChannelReport>,
    /// The objective's value before the first step, if the cell has its own picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_at_start: Option<f64>,
    /// The objective's value for the cell's picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The objective's value for the cell's 8-bit picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_saved: Option<f64>,
}

/// The report on one channel at a cell.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelReport {
    /// Index of the channel in the layer.
    pub channel: usize,
    /// The channel's activation at the cell.
    pub activation: f64,
    /// The channel's attribution for the objective of `--toward`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<f64>,
}

/// The picture and the cells of a grid.
pub struct Made {
    /// The picture of the whole grid.
    pub sheet: Image,
    /// The reports on all cells.
    pub cells: Vec<CellReport>,
    /// The rendered pictures from which it was assembled.
    pub finished: Vec<Finished>,
}

impl GridSettings {
    /// Runs the photo through the network up to the layer.
    pub fn see(&self, context: &Context, model: &LoadedModel) -> Result<LayerView> {
        let size = picture_size(model, self.image_size)?;
        let photo = Files::of_size(model, size).reference(&self.image)?;
        let toward = self.toward.as_ref().map(|text| text.parse::<Objective>()).transpose()?;
        toward.iter().try_for_each(|objective| model.check_labels_of(objective))?;
        let objective_layer = if self.signed { self.layer.clone() } else { rectified(model, &self.layer)? };
        let cells = context
            .compute(|| match &toward {
                None => {
                    SpatialActivations::of(&model.model, &objective_layer, photo.image.colors(), Some(size))
                }
                Some(objective) => SpatialActivations::toward(
                    &model.model,
                    &objective_layer,
                    objective,
                    photo.image.colors(),
                    Some(size),
                ),
            })
            .during(|| Step::LookAt { image: self.image.clone(), model: model.source.clone() })?;
        let [_, rows, columns] = cells.shape();
        let cells = if self.signed { cells } else { cells.rectified() };
        let cells = self.cells.map(|most| cells.averaged(most)).unwrap_or(cells);
        if cells.positions().all(|at| cells.magnitude(at) == 0.0) {
            let (layer, image) = (self.layer.clone(), self.image.clone());
            return Err(JobError::SilentLayer { layer, image }.into());
        }
        let photo = references::drawn(model, &photo)?;
        Ok(LayerView { photo, map: [rows, columns], cells, objective_layer })
    }

    /// Renders the cells and assembles them to one picture.
    pub fn make(&self, run: &Run<'_>, model: &LoadedModel, setting: &Setting) -> Result<Made> {
        let seen = self.see(run.context, model)?;
        match &self.show {
            Show::Mosaic(mosaic) => mosaic.make(run, model, self, setting, &seen),
            Show::Dictionary(dictionary) => dictionary.make(run, model, self, setting, &seen),
        }
    }

    /// Describes the size of the layer's map in words.
    fn map_in_words(&self, seen: &LayerView) -> String {
        let [h, w] = seen.map;
        let [_, rows, columns] = seen.cells.shape();
        let averaged =
            if [rows, columns] == [h, w] { String::new() } else { format!(", averaged to {rows}x{columns}") };
        format!("{}, {h}x{w} positions{averaged}", self.layer)
    }
}

/// Returns the name of the ReLU after a layer, if only this ReLU reads the layer; otherwise the layer's name.
/// Before a ReLU, a direction without negative parts is far from all activation vectors, so its cosine would
/// be meaningless.
fn rectified(model: &LoadedModel, layer: &str) -> Result<String> {
    let behind = model.relu_behind(model.model.resolve(layer)?);
    Ok(behind.map_or_else(|| layer.to_owned(), |value| model.model.graph.name(value).to_owned()))
}

/// Renders the pictures from which a mosaic or a dictionary is assembled.
fn render_units(
    run: &Run<'_>,
    model: &LoadedModel,
    setting: &Setting,
    units: Vec<RenderUnit>,
) -> Result<Vec<Finished>> {
    let work = prepare(run.context, model, vec![setting.clone()], units, Extras::default(), false)?;
    render_all(run, &work, &Options::default())
}

impl LayerView {
    /// Returns the report on one cell of the grid.
    fn report(&self, at: [usize; 2], channels: usize, of: Option<&UnitReport>) -> CellReport {
        let vector = self.cells.vector(at);
        let channel = |channel: usize| ChannelReport {
            channel,
            activation: f64::from(vector[channel]),
            attribution: self.cells.share_of(at, channel),
        };
        CellReport {
            y: at[0],
            x: at[1],
            magnitude: self.cells.magnitude(at),
            attribution: self.cells.share(at),
            top: self.cells.top(at, channels).into_iter().map(channel).collect(),
            value_at_start: of.map(|r| r.value_at_start),
            value: of.map(|r| r.value),
            value_saved: of.map(|r| r.value_saved),
        }
    }
}
