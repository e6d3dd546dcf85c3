//! What every picture carries about how it was made, and the same as JSON.
//!
//! A picture holds all that it takes to make it again ([`Record`]): the model with its hash, how its inputs
//! were prepared, the settings, the seed, the objectives. A sheet holds its [`Layout`] beside, a film a word
//! about its frames.

mod record;

use anyhow::{Context as _, Result, anyhow};
use oneiro::objective::Objective;
use oneiro_media::PngText;
use serde::{Deserialize, Serialize};

use crate::job::render::display::Display;
use crate::job::render::limits::check_preset;
use crate::job::render::{Job, Prepared, Setting};
use crate::model::LoadedModel;
use crate::numbers::short;
use crate::source::references;

pub use record::{Origin, Record, Shown, UnitRecord};

/// One result of an optimisation, as `--json` and the metadata of `--raw` give it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitReport {
    pub unit: String,
    pub objective: String,
    /// The picture that it started from, if not from noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Its number among pictures of the same objective.
    #[serde(default, skip_serializing_if = "is_first")]
    pub copy: usize,
    pub preset: String,
    /// Which of a sheet's settings.
    #[serde(default, skip_serializing_if = "is_first")]
    pub setting: usize,
    pub seed: u64,
    pub steps: usize,
    pub stop: String,
    /// The objective on the unclipped picture, transforms off.
    pub value: f64,
    pub value_at_start: f64,
    /// The objective on the 8-bit picture whose black is 0 and whose white is 1, however it is shown; bands
    /// count whether they are drawn or not.
    pub value_saved: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robustness: Option<Robustness>,
    /// How the picture is shown.
    #[serde(default, skip_serializing_if = "Display::is_clip")]
    pub display: Display,
    /// The values that are black and white in it, if not 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_range: Option<[f32; 2]>,
}

impl UnitReport {
    /// How far the unit has come, in words.
    pub fn line(&self) -> String {
        format!("{}: {} -> {}", self.unit, short(self.value_at_start), short(self.value))
    }
}

fn is_first(number: &usize) -> bool {
    *number == 0
}

/// The objective after disturbances that a real feature survives.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Robustness {
    /// After saving as JPEG of quality 90.
    pub jpeg90: f64,
    /// After a shift by 4 pixels right and down.
    pub shift4: f64,
    /// After a turn by 5 degrees.
    pub turn5: f64,
}

/// How the pictures of a sheet are laid out. Their order is that of the units.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    pub title: String,
    #[serde(default)]
    pub subtitle: String,
    /// What stands below the caption of each unit.
    #[serde(default)]
    pub measure: Measure,
    pub columns: usize,
    pub rows: Vec<LayoutRow>,
}

/// What a sheet says of how far a unit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutRow {
    pub title: String,
    /// Pictures that are shown as they are, before the units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub photos: Vec<Photo>,
    pub captions: Vec<String>,
}

/// A picture of a sheet that was not made but read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Photo {
    pub path: String,
    pub caption: String,
}

/// The key under which a plot says what it is of.
pub const PLOT: &str = "plot";
/// The key under which the picture of a spectrum says what it is of.
pub const SPECTRUM: &str = "spectrum";

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The kernels of this machine, which decide the last bits.
pub fn kernels() -> &'static str {
    oneiro_net::Isa::detect().name()
}

/// The text that every picture begins with: version, kernels, the model and how its inputs were prepared.
pub fn text_of_model(model: &LoadedModel) -> Result<PngText> {
    let mut text = PngText::default();
    text.push("version", VERSION);
    text.push("kernels", kernels());
    text.push("model", &model.source);
    text.push("model-sha256", &model.hash);
    text.push("preparation", model.recorded_card().to_toml()?);
    Ok(text)
}

/// Adds a recipe with its seed.
pub fn push_setting(text: &mut PngText, setting: &Setting) -> Result<()> {
    text.push("preset", &setting.preset.name);
    text.push("settings", toml::to_string(&setting.preset)?);
    text.push("seed", setting.seed.to_string());
    Ok(())
}

/// The files that jobs are made from, each once.
pub fn source_names(work: &Prepared<'_>, jobs: &[&Job]) -> Vec<String> {
    let objectives: Vec<Objective> = jobs.iter().map(|j| j.objective.clone()).collect();
    let mut names = references::named(&objectives);
    let mask = work.materials.mask.as_ref().map(|m| m.name.clone());
    let starts = jobs.iter().filter_map(|j| j.start.as_ref()).map(|s| s.name.clone());
    for name in starts.chain(mask).chain(work.statistics_path.clone()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Files that pictures were made from, with their hashes; the mask and the statistics among them by name.
fn push_sources(text: &mut PngText, work: &Prepared<'_>, names: &[String]) -> Result<()> {
    if let Some(mask) = &work.materials.mask {
        text.push("mask", &mask.name);
    }
    if let Some(path) = &work.statistics_path {
        text.push("statistics", path);
    }
    if !names.is_empty() {
        text.push("sources", serde_json::to_string(&references::hashed(names, &work.model.places)?)?);
    }
    Ok(())
}

/// The text chunks of a picture.
pub fn png_text(work: &Prepared<'_>, job: usize, report: &UnitReport) -> Result<PngText> {
    let mut text = text_of_model(work.model)?;
    text.push("unit", &report.unit);
    text.push("objective", &report.objective);
    if let Some(start) = &report.start {
        text.push("start", start);
    }
    if report.copy > 0 {
        text.push("copy", report.copy.to_string());
    }
    let companions = work.companions(job);
    if companions.len() > 1 {
        let units: Vec<UnitRecord> = companions.iter().map(|&i| UnitRecord::of(&work.jobs[i])).collect();
        let place = companions.iter().position(|&i| i == job).unwrap_or(0);
        text.push("batch", serde_json::to_string(&units)?);
        text.push("place", place.to_string());
    }
    let companions: Vec<&Job> = companions.iter().map(|&i| &work.jobs[i]).collect();
    push_sources(&mut text, work, &source_names(work, &companions))?;
    push_setting(&mut text, &work.settings[report.setting])?;
    text.push("steps", report.steps.to_string());
    text.push("value", report.value.to_string());
    text.push("value-at-start", report.value_at_start.to_string());
    text.push("value-saved", report.value_saved.to_string());
    push_display(&mut text, report);
    Ok(text)
}

/// How pictures are shown, if not as they are; and between which values, where that is known.
fn push_display(text: &mut PngText, report: &UnitReport) {
    if !report.display.is_clip() {
        text.push("display", report.display.to_string());
        if let Some([black, white]) = report.display_range {
            text.push("display-range", Display::Range(black, white).to_string());
        }
    }
}

/// The files that a sheet is made from: those of its units, and the pictures that it shows as they are.
pub fn sheet_sources(work: &Prepared<'_>, layout: &Layout) -> Vec<String> {
    let mut names = source_names(work, &work.jobs.iter().collect::<Vec<_>>());
    for photo in layout.rows.iter().flat_map(|r| &r.photos) {
        if !names.contains(&photo.path) {
            names.push(photo.path.clone());
        }
    }
    names
}

/// The text chunks of a sheet.
pub fn sheet_text(work: &Prepared<'_>, layout: &Layout, reports: &[&UnitReport]) -> Result<PngText> {
    let mut text = text_of_model(work.model)?;
    push_setting(&mut text, &work.settings[0])?;
    if work.settings.len() > 1 {
        let all = work.settings.iter().map(StoredSetting::of).collect::<Result<Vec<_>>>()?;
        text.push("all-settings", serde_json::to_string(&all)?);
    }
    push_sources(&mut text, work, &sheet_sources(work, layout))?;
    if let Some(report) = reports.first().filter(|r| !r.display.is_clip()) {
        // Between which values is each unit's own.
        text.push("display", report.display.to_string());
    }
    text.push("units", serde_json::to_string(reports)?);
    text.push("layout", serde_json::to_string(layout)?);
    Ok(text)
}

/// One of several settings of a sheet.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSetting {
    settings: String,
    seed: u64,
}

impl StoredSetting {
    fn of(setting: &Setting) -> Result<Self> {
        Ok(Self { settings: toml::to_string(&setting.preset)?, seed: setting.seed })
    }

    fn read(&self) -> Result<Setting> {
        let preset = toml::from_str(&self.settings).context("its settings cannot be read")?;
        check_preset(&preset).context("its settings cannot be used")?;
        Ok(Setting { preset, seed: self.seed })
    }
}

/// The recipe that [`push_setting`] added.
pub fn setting_of(text: &PngText) -> Result<Setting> {
    let seed = required(text, "seed")?.parse().context("its seed cannot be read")?;
    StoredSetting { settings: required(text, "settings")?, seed }.read()
}

/// The keyword that a film between two units has.
pub const INTERPOLATION: &str = "interpolation";

/// The text under a keyword that every picture has.
pub fn required(text: &PngText, key: &str) -> Result<String> {
    text.get(key).map(str::to_owned).ok_or_else(|| anyhow!("it does not say its \"{key}\""))
}
