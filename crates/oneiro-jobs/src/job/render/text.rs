//! The metadata that a rendered picture carries.

use oneiro::objective::Objective;
use oneiro_media::PngText;
use serde::{Deserialize, Serialize};

use super::display::Display;
use super::limits::check_preset;
use super::report::UnitReport;
use super::work::UnitRequest;
use super::{PreparedUnits, RenderUnit, Setting};
use crate::error::{During as _, Result, Step};
use crate::job::{Place, Role};
use crate::provenance::{number, required, text_of_model, toml as toml_entry};
use crate::source::places;
use crate::source::references;

/// Adds a preset and its random seed to the metadata.
pub fn push_setting(text: &mut PngText, setting: &Setting) -> Result<()> {
    text.push("preset", &setting.preset.name);
    text.push("settings", toml::to_string(&setting.preset)?);
    text.push("seed", setting.seed.to_string());
    Ok(())
}

/// Returns the names of the files from which units are made, once each.
pub fn source_names(work: &PreparedUnits<'_>, units: &[&RenderUnit]) -> Vec<String> {
    let objectives: Vec<Objective> = units.iter().map(|u| u.objective.clone()).collect();
    let mut names = references::named(&objectives);
    let mask = work.mask().map(str::to_owned);
    let starts = units.iter().filter_map(|u| u.start.as_ref()).map(|s| s.name.clone());
    for name in starts.chain(mask).chain(work.statistics_path.clone()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Adds the files from which pictures were made, with their hashes. The mask and the statistics are also
/// added by name.
pub fn push_sources(text: &mut PngText, work: &PreparedUnits<'_>, names: &[String]) -> Result<()> {
    if let Some(mask) = work.mask() {
        text.push("mask", mask);
    }
    if let Some(path) = &work.statistics_path {
        text.push("statistics", path);
    }
    if !names.is_empty() {
        text.push("sources", serde_json::to_string(&places::hashed(names, &work.model.places)?)?);
    }
    Ok(())
}

/// Returns the metadata of a unit's picture or film.
pub fn png_text(work: &PreparedUnits<'_>, unit: usize, report: &UnitReport, role: Role) -> Result<PngText> {
    let mut text = text_of_model(work.model)?;
    text.push("unit", &report.unit);
    text.push("objective", &report.objective);
    if let Some(start) = &report.start {
        text.push("start", start);
    }
    if report.copy > 0 {
        text.push("copy", report.copy.to_string());
    }
    let members = work.companions(unit);
    let place = members.iter().position(|&i| i == unit).unwrap_or(0);
    if members.len() > 1 {
        // A picture's metadata hold one setting, so its index becomes 0.
        let of = |&i: &usize| UnitRequest { setting: 0, ..UnitRequest::of(&work.units[i]) };
        text.push("batch", serde_json::to_string(&members.iter().map(of).collect::<Vec<_>>())?);
        text.push("place", place.to_string());
    }
    let companions: Vec<&RenderUnit> = members.iter().map(|&i| &work.units[i]).collect();
    push_sources(&mut text, work, &source_names(work, &companions))?;
    push_setting(&mut text, &work.settings[report.setting])?;
    text.push("steps", report.steps.to_string());
    text.push("value", report.value.to_string());
    text.push("value-at-start", report.value_at_start.to_string());
    text.push("value-saved", report.value_saved.to_string());
    push_display(&mut text, report);
    if let Some(seal) = &work.seal {
        seal(work, &mut text, &members, Place { role, index: place }, report)?;
    }
    Ok(text)
}

/// Adds how values become colours, unless the picture is shown unchanged, and the values of black and white
/// if they are known.
fn push_display(text: &mut PngText, report: &UnitReport) {
    if !report.display.is_clip() {
        text.push("display", report.display.to_string());
        if let Some([black, white]) = report.display_range {
            text.push("display-range", Display::Range(black, white).to_string());
        }
    }
}

/// One of several settings in the metadata of a sheet.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredSetting {
    /// The preset's settings in TOML.
    pub settings: String,
    /// The random seed of the setting.
    pub seed: u64,
}

impl StoredSetting {
    pub(crate) fn of(setting: &Setting) -> Result<Self> {
        Ok(Self { settings: toml::to_string(&setting.preset)?, seed: setting.seed })
    }

    /// Parses the preset of the stored setting.
    pub(crate) fn read(&self) -> Result<Setting> {
        let preset = toml_entry("its settings", &self.settings)?;
        check_preset(&preset).during(|| Step::Settings)?;
        Ok(Setting { preset, seed: self.seed })
    }
}

/// Reads the setting that [`push_setting`] added to the metadata.
pub(crate) fn setting(text: &PngText) -> Result<Setting> {
    let seed = number("its seed", &required(text, "seed")?)?;
    StoredSetting { settings: required(text, "settings")?, seed }.read()
}
