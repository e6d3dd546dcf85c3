//! What every picture carries about how it was made, and the same as JSON.
//!
//! A picture holds all that it takes to make it again ([`Record`]): the model with its hash, how its inputs were
//! prepared, the settings, the seed, the objectives. A sheet holds its [`Layout`] beside, a film a word about its frames.

use anyhow::{Context as _, Result, anyhow, bail};
use oneiro::card::Card;
use oneiro::preset::Preset;
use oneiro_media::PngText;
use serde::{Deserialize, Serialize};

use crate::model::LoadedModel;
use crate::settings::check_preset;

/// One result of an optimisation, as `--json` and the metadata of `--raw` give it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitReport {
    pub unit: String,
    pub objective: String,
    pub preset: String,
    pub seed: u64,
    pub steps: usize,
    pub stop: String,
    /// The objective on the unclipped picture, transforms off.
    pub value: f64,
    pub value_at_start: f64,
    /// The objective on the 8-bit picture.
    pub value_saved: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robustness: Option<Robustness>,
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
    pub columns: usize,
    pub rows: Vec<LayoutRow>,
}

/// A row of a sheet: what stands beside it, and below each of its pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutRow {
    pub title: String,
    pub captions: Vec<String>,
}

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The kernels of this machine, which decide the last bits.
pub fn kernels() -> &'static str {
    oneiro_net::Isa::detect().name()
}

/// The text chunks of any picture: what made it, and of which model.
pub fn text_of_model(model: &LoadedModel) -> Result<PngText> {
    let mut text = PngText::default();
    text.push("version", VERSION);
    text.push("kernels", kernels());
    text.push("model", &model.source);
    text.push("model-sha256", &model.hash);
    text.push("preparation", model.model.card.to_toml()?);
    Ok(text)
}

fn push_settings(text: &mut PngText, preset: &Preset, seed: u64) -> Result<()> {
    text.push("preset", &preset.name);
    text.push("settings", toml::to_string(preset)?);
    text.push("seed", seed.to_string());
    Ok(())
}

/// The text chunks of a picture.
pub fn png_text(model: &LoadedModel, preset: &Preset, report: &UnitReport) -> Result<PngText> {
    let mut text = text_of_model(model)?;
    text.push("unit", &report.unit);
    text.push("objective", &report.objective);
    push_settings(&mut text, preset, report.seed)?;
    text.push("steps", report.steps.to_string());
    text.push("value", report.value.to_string());
    text.push("value-at-start", report.value_at_start.to_string());
    text.push("value-saved", report.value_saved.to_string());
    Ok(text)
}

/// The text chunks of a sheet.
pub fn sheet_text(
    model: &LoadedModel,
    preset: &Preset,
    seed: u64,
    layout: &Layout,
    reports: &[&UnitReport],
) -> Result<PngText> {
    let mut text = text_of_model(model)?;
    push_settings(&mut text, preset, seed)?;
    text.push("units", serde_json::to_string(reports)?);
    text.push("layout", serde_json::to_string(layout)?);
    Ok(text)
}

/// What a picture shows, as its text says.
#[derive(Debug, Clone)]
pub enum Shown {
    Picture,
    Film,
    Sheet(Layout),
}

/// What made a picture, and of which model.
#[derive(Debug, Clone)]
pub struct Origin {
    pub version: String,
    pub kernels: String,
    pub model: String,
    pub hash: String,
    pub card: Card,
}

impl Origin {
    /// Reads what a picture carries.
    pub fn read(text: &PngText) -> Result<Self> {
        let get = |key| said(text, key);
        Ok(Self {
            version: get("version")?,
            kernels: get("kernels")?,
            model: get("model")?,
            hash: get("model-sha256")?,
            card: Card::parse(&get("preparation")?).context("how its inputs were prepared cannot be read")?,
        })
    }
}

fn said(text: &PngText, key: &str) -> Result<String> {
    text.get(key).map(str::to_owned).ok_or_else(|| anyhow!("it does not say its \"{key}\""))
}

/// All that it takes to make an optimised picture again, beside its [`Origin`].
#[derive(Debug, Clone)]
pub struct Record {
    pub preset: Preset,
    pub seed: u64,
    /// Name and objective of each unit.
    pub units: Vec<(String, String)>,
    /// Whether it says what of the units' values survives disturbances.
    pub robustness: bool,
    pub shown: Shown,
}

impl Record {
    /// Reads what a picture carries.
    pub fn read(text: &PngText) -> Result<Self> {
        let get = |key| said(text, key);
        let (units, robustness, shown) = match text.get("layout") {
            Some(layout) => {
                let layout: Layout = serde_json::from_str(layout).context("its layout cannot be read")?;
                let units: Vec<UnitReport> =
                    serde_json::from_str(&get("units")?).context("its list of units cannot be read")?;
                if layout.rows.iter().map(|r| r.captions.len()).sum::<usize>() != units.len() {
                    bail!("its layout is not one of {} units", units.len());
                }
                let robustness = units.iter().any(|u| u.robustness.is_some());
                let units = units.into_iter().map(|u| (u.unit, u.objective)).collect();
                (units, robustness, Shown::Sheet(layout))
            }
            None => {
                let shown = if text.get("film").is_some() { Shown::Film } else { Shown::Picture };
                (vec![(get("unit")?, get("objective")?)], false, shown)
            }
        };
        let preset = toml::from_str(&get("settings")?).context("its settings cannot be read")?;
        check_preset(&preset).context("its settings cannot be used")?;
        Ok(Self {
            preset,
            seed: get("seed")?.parse().context("its seed cannot be read")?,
            units,
            robustness,
            shown,
        })
    }
}
