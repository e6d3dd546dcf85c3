//! What every picture carries about how it was made, and the same as JSON.

use oneiro::preset::Preset;
use oneiro_media::PngText;
use serde::Serialize;

use crate::model::LoadedModel;

/// One result of an optimisation, as `--json` and the metadata of `--raw` give it.
#[derive(Debug, Clone, Serialize)]
pub struct UnitReport {
    pub unit: String,
    pub objective: String,
    pub preset: String,
    pub seed: u64,
    pub steps: usize,
    pub stop: &'static str,
    /// The objective on the unclipped picture, transforms off.
    pub value: f64,
    pub value_at_start: f64,
    /// The objective on the 8-bit picture.
    pub value_saved: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robustness: Option<Robustness>,
}

/// The objective after disturbances that a real feature survives.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Robustness {
    /// After saving as JPEG of quality 90.
    pub jpeg90: f64,
    /// After a shift by 4 pixels right and down.
    pub shift4: f64,
    /// After a turn by 5 degrees.
    pub turn5: f64,
}

/// The text chunks of a picture.
pub fn png_text(model: &LoadedModel, preset: &Preset, report: &UnitReport) -> anyhow::Result<PngText> {
    let mut text = PngText::default();
    text.push("version", env!("CARGO_PKG_VERSION"));
    text.push("kernels", oneiro_net::Isa::detect().name());
    text.push("model", &model.source);
    text.push("model-sha256", &model.hash);
    text.push("preparation", model.model.card.to_toml()?);
    text.push("unit", &report.unit);
    text.push("objective", &report.objective);
    text.push("preset", &preset.name);
    text.push("settings", toml::to_string(preset)?);
    text.push("seed", report.seed.to_string());
    text.push("steps", report.steps.to_string());
    text.push("value", report.value.to_string());
    text.push("value-at-start", report.value_at_start.to_string());
    text.push("value-saved", report.value_saved.to_string());
    Ok(text)
}
