//! Units to render, as plain data that files can store.

use oneiro::objective::{AnyNames, Objective, Unit};
use serde::{Deserialize, Serialize};

use super::display::Display;
use super::limits::check_preset;
use super::{Options, PreparedUnits, RenderUnit, Setting, prepare};
use crate::error::{During as _, Result, Step};
use crate::job::Run;
use crate::job::error::JobError;
use crate::job::film_kind::FilmKind;
use crate::model::LoadedModel;
use crate::numbers::is_zero;
use crate::source::materials;
use crate::source::references;

/// A unit to render: its name, objective and start picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRequest {
    /// The name. Without an expression, the name is a unit such as `conv4:5` or `class:goldfish`.
    pub unit: String,
    /// An expression to maximise instead of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The start picture; noise if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The index among units of the same objective. Each has its own random noise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: usize,
    /// Index of the unit's setting among those of the work.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub setting: usize,
}

impl UnitRequest {
    /// Creates a unit that starts from noise, with the first setting.
    pub fn new(unit: impl Into<String>) -> Self {
        Self { unit: unit.into(), objective: None, start: None, copy: 0, setting: 0 }
    }

    /// Converts a resolved unit back to plain data.
    pub fn of(unit: &RenderUnit) -> Self {
        Self {
            unit: unit.unit.clone(),
            objective: Some(unit.objective.to_string()),
            start: unit.start.as_ref().map(|s| s.name.clone()),
            copy: unit.copy,
            setting: unit.setting,
        }
    }

    /// Finds what the unit's names mean in a network.
    fn resolve(&self, model: &LoadedModel, settings: &[Setting]) -> Result<RenderUnit> {
        let Some(Setting { preset, .. }) = settings.get(self.setting) else {
            let (unit, setting) = (self.unit.clone(), self.setting);
            return Err(JobError::NoSuchSetting { unit, setting }.into());
        };
        let objective = match &self.objective {
            Some(text) => {
                model.expression(text, preset.size).during(|| Step::Objective { of: self.unit.clone() })?
            }
            None => model.objective(&self.unit.parse::<Unit>()?)?,
        };
        let start = self.start.as_ref().map(|path| materials::start(model, preset, path)).transpose()?;
        let of_unit = RenderUnit::new(self.unit.clone(), objective);
        Ok(RenderUnit { start, copy: self.copy, setting: self.setting, ..of_unit })
    }
}

/// Units to render, with everything on which their pictures depend except for the network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// The units to render.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<UnitRequest>,
    /// Presets with random seeds. Units refer to them by index.
    pub settings: Vec<Setting>,
    /// File of a picture that is white where start pictures may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// File of image statistics that replace those of photographs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<String>,
    /// Whether a size that the network does not accept is an error. Otherwise the network's own size is used.
    #[serde(default)]
    pub keep_size: bool,
    /// Whether to measure the objectives' values after disturbances.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub robustness: bool,
    /// How pixel values are displayed as colours.
    #[serde(default, skip_serializing_if = "Display::is_clip")]
    pub display: Display,
}

impl Work {
    /// Checks all units against the network, before any work is done.
    ///
    /// # Errors
    /// The error names the unit, and what does not fit.
    pub(crate) fn prepare<'m>(&self, run: &Run<'m>) -> Result<PreparedUnits<'m>> {
        let model = run.model()?;
        let mut units = self.resolve(model)?;
        if self.settings.is_empty() {
            return Err(JobError::NoSettings.into());
        }
        if let Some(path) = &self.mask {
            let mask = |s: &Setting| materials::mask(model, &s.preset, path);
            let masks = self.settings.iter().map(mask).collect::<Result<Vec<_>>>()?;
            units.iter_mut().for_each(|unit| unit.mask = Some(masks[unit.setting].clone()));
        }
        let extras = materials::extras(model, self.statistics.clone())?;
        prepare(run.context, model, self.settings.clone(), units, extras, self.keep_size)
    }

    /// Finds what the names of all units mean in a network.
    ///
    /// # Errors
    /// The error names a unit whose objective cannot be parsed.
    pub fn resolve(&self, model: &LoadedModel) -> Result<Vec<RenderUnit>> {
        self.units.iter().map(|u| u.resolve(model, &self.settings)).collect()
    }

    /// Returns what to compute in addition to pictures.
    pub(crate) fn options(&self, film: Option<FilmKind>) -> Options {
        Options { robustness: self.robustness, film, display: self.display, all_inputs: false }
    }

    /// Returns the names of the files from which units are made, once each.
    pub fn sources(&self) -> Vec<String> {
        let texts = self.units.iter().filter_map(|u| u.objective.as_deref());
        // An objective that cannot be parsed is reported when the job runs.
        let objectives: Vec<Objective> =
            texts.filter_map(|text| Objective::parse(text, &AnyNames).ok()).collect();
        let mut names = references::named(&objectives);
        let starts = self.units.iter().filter_map(|u| u.start.clone());
        for name in starts.chain(self.mask.clone()).chain(self.statistics.clone()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns an error if no network could be used with the settings.
    ///
    /// # Errors
    /// An error that names the setting.
    pub fn check(&self) -> Result<()> {
        if let Some(of) = self.units.iter().find(|u| u.setting >= self.settings.len()) {
            return Err(JobError::NoSuchSetting { unit: of.unit.clone(), setting: of.setting }.into());
        }
        self.settings.iter().try_for_each(|setting| check_preset(&setting.preset))
    }
}
