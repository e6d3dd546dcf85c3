//! The metadata of dreams, written and read.

use oneiro_media::PngText;
use serde::{Deserialize, Serialize};

use super::{DreamJob, FRAME_TICKS};
use crate::error::{During as _, Result, Step};
use crate::job::Job as _;
use crate::job::film_kind::FilmKind;
use crate::job::render::display::Display;
use crate::job::render::report::UnitReport;
use crate::model::LoadedModel;
use crate::provenance::{json, number, required, text_of_model, toml as toml_entry};
use crate::source::places::SourceFile;

/// Value of the entry "command" in a dream's metadata.
const COMMAND: &str = "dream";

/// The files from which a dream was made, as stored in its metadata.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inputs {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<SourceFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guide: Option<SourceFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) guide_layers: Vec<(String, f64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mask: Option<SourceFile>,
}

/// The metadata of a dream other than its job.
pub(super) struct Text<'a> {
    pub(super) job: &'a DreamJob,
    pub(super) model: &'a LoadedModel,
    pub(super) inputs: Inputs,
    pub(super) objective: String,
}

impl Text<'_> {
    /// Returns the metadata. Without a report, they are those of a film, which begins before the dream has
    /// ended.
    pub(super) fn of(&self, report: Option<&UnitReport>) -> Result<PngText> {
        let job = self.job;
        let mut text = text_of_model(self.model)?;
        text.push("command", COMMAND);
        text.push("unit", &job.unit);
        text.push("objective", &self.objective);
        text.push("inputs", serde_json::to_string(&self.inputs)?);
        text.push("preset", &job.preset.name);
        text.push("settings", toml::to_string(&job.preset)?);
        text.push("seed", job.seed.to_string());
        if let Some(zoom) = &job.zoom {
            text.push("zoom", toml::to_string(zoom)?);
        }
        match (report, &job.zoom) {
            (Some(report), _) => {
                text.push("steps", report.steps.to_string());
                text.push("value", report.value.to_string());
                text.push("value-at-start", report.value_at_start.to_string());
                text.push("value-saved", report.value_saved.to_string());
            }
            (None, Some(zoom)) => {
                let seconds = f64::from(FRAME_TICKS) / f64::from(oneiro_media::TICKS_PER_SECOND);
                let pace = match job.rate {
                    Some(rate) => format!("at {rate} a second"),
                    None => format!("of {seconds} s"),
                };
                text.push("film", format!("{} frames {pace}", zoom.frames));
            }
            (None, None) => {}
        }
        Ok(text)
    }

    /// Returns the report on a dream in this many steps with these values: as optimised, at its start, and as
    /// saved.
    pub(super) fn report(&self, steps: usize, [value, value_at_start, value_saved]: [f64; 3]) -> UnitReport {
        let job = self.job;
        UnitReport {
            unit: job.unit.clone(),
            objective: self.objective.clone(),
            start: None,
            copy: 0,
            setting: 0,
            preset: job.preset.name.clone(),
            seed: job.seed,
            steps,
            stop: oneiro::render::Stop::Steps.describe().into(),
            value,
            value_at_start,
            value_saved,
            kappa: None,
            gamma: None,
            shares: Vec::new(),
            named: None,
            robustness: None,
            display: Display::Clip,
            display_range: None,
            belief: None,
        }
    }
}

/// Reads a dream of version 0.1.0 from a file of this format. Returns `None` for a picture of another kind.
pub(crate) fn legacy(text: &PngText, format: FilmKind) -> Result<Option<(DreamJob, Vec<SourceFile>)>> {
    if text.get("command") != Some(COMMAND) {
        return Ok(None);
    }
    let get = |key: &str| required(text, key);
    let inputs: Inputs = json("the list of files that it was made from", &get("inputs")?)?;
    let Inputs { image, guide, guide_layers, mask } = inputs;
    let sources = [&image, &guide, &mask].into_iter().flatten().cloned().collect();
    let path = |file: Option<SourceFile>| file.map(|f| f.path);
    let job = DreamJob {
        preset: toml_entry("its settings", &get("settings")?)?,
        unit: get("unit")?,
        objective: if guide.is_some() { None } else { Some(get("objective")?) },
        image: path(image),
        guide: path(guide),
        guide_layers,
        mask: path(mask),
        zoom: text.get("zoom").map(|zoom| toml_entry("its zoom", zoom)).transpose()?,
        rate: None,
        film: text.get("film").map(|_| format),
        video: None,
        seed: number("its seed", &get("seed")?)?,
    };
    job.check().during(|| Step::Settings)?;
    Ok(Some((job, sources)))
}
