//! Units to render as plain data.

use oneiro::objective::{AnyNames, Objective, Unit};
use serde::{Deserialize, Serialize};

use super::display::Display;
use super::film::Format;
use super::limits::check_preset;
use super::{Options, PreparedUnits, RenderUnit, Setting, prepare};
use crate::error::{During as _, Result, Step};
use crate::job::Run;
use crate::job::error::JobError;
use crate::model::LoadedModel;
use crate::numbers::is_zero;
use crate::source::materials;
use crate::source::references;

/// A unit to render: what to call it, what is maximised, and from where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitRequest {
    /// The name: a unit such as `conv4:5` or `class:goldfish`, if no objective is given.
    pub unit: String,
    /// An expression to maximise, instead of the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The picture to start from; noise if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Its number among pictures of the same objective, which have noise of their own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: usize,
    /// Which of the settings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub setting: usize,
}

impl UnitRequest {
    /// A unit from noise, by the first of the settings.
    pub fn new(unit: impl Into<String>) -> Self {
        Self { unit: unit.into(), objective: None, start: None, copy: 0, setting: 0 }
    }

    /// A unit that stands for an objective.
    pub fn of(unit: &RenderUnit) -> Self {
        Self {
            unit: unit.unit.clone(),
            objective: Some(unit.objective.to_string()),
            start: unit.start.as_ref().map(|s| s.name.clone()),
            copy: unit.copy,
            setting: unit.setting,
        }
    }

    /// The unit for a network.
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

/// Units to render, with all that their pictures depend on beside the network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// The units.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<UnitRequest>,
    /// Recipes with seeds, which units name by number.
    pub settings: Vec<Setting>,
    /// A picture that is white where pictures to start from may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// Statistics of pictures other than photographs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<String>,
    /// Whether the size stays though the network does not accept it, which is an error then; else its own is
    /// taken.
    #[serde(default)]
    pub keep_size: bool,
    /// Whether to measure what of the objectives survives disturbances.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub robustness: bool,
    /// How pictures are shown.
    #[serde(default, skip_serializing_if = "Display::is_clip")]
    pub display: Display,
}

impl Work {
    /// Checks all units against the network, before any work.
    ///
    /// # Errors
    /// Names the unit, and what does not fit.
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

    /// The units for a network.
    ///
    /// # Errors
    /// Names the unit whose objective can't be read.
    pub fn resolve(&self, model: &LoadedModel) -> Result<Vec<RenderUnit>> {
        self.units.iter().map(|u| u.resolve(model, &self.settings)).collect()
    }

    /// Results to make in addition to pictures.
    pub(crate) fn options(&self, film: Option<Format>) -> Options {
        Options { robustness: self.robustness, film, display: self.display }
    }

    /// Names of the files that units are made from, each once.
    pub fn sources(&self) -> Vec<String> {
        let texts = self.units.iter().filter_map(|u| u.objective.as_deref());
        // What can't be read is refused when the job is run.
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

    /// An error if the settings can't be used with any network.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> Result<()> {
        if let Some(of) = self.units.iter().find(|u| u.setting >= self.settings.len()) {
            return Err(JobError::NoSuchSetting { unit: of.unit.clone(), setting: of.setting }.into());
        }
        self.settings.iter().try_for_each(|setting| check_preset(&setting.preset))
    }
}
