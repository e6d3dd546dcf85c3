//! The recipes of results: presets and seeds, read from their metadata.

use std::path::Path;

use oneiro::dream::DreamPreset;
use serde_json::Value;

use super::{Kinds, Original, Provenance};
use crate::error::{During as _, Result, Step};
use crate::job::Job as _;
use crate::job::dream::{self, DreamJob};
use crate::job::film_kind::FilmKind;
use crate::job::render::Setting;
use crate::provenance::{self, JOB, ProvenanceError, SCHEMA, Sealed};

/// Returns the preset and the seed with which a picture, film or page was optimised.
///
/// # Errors
/// If the file has no metadata, if nothing was optimised for it, or if its parts have different presets.
pub fn setting_of(path: &Path) -> Result<Setting> {
    let original = Original::read(path)?;
    let reading = || Step::Recipe { path: path.display().to_string() };
    let format = FilmKind::of_bytes(&original.bytes);
    let mut provenance = Provenance::read(&original.text, &Kinds::default(), format).during(reading)?;
    let kind = provenance.job.kind();
    let settings = provenance.job.settings_mut();
    let Some((first, others)) = settings.split_first() else {
        return Err(ProvenanceError::NoRecipe { kind }).during(reading);
    };
    if others.iter().any(|other| other.preset != first.preset) {
        let names = settings.iter().map(|setting| setting.preset.name.clone()).collect();
        return Err(ProvenanceError::SeveralRecipes { names }).during(reading);
    }
    Ok((**first).clone())
}

/// Returns the preset of a dream image or dreamt film.
///
/// # Errors
/// If the file has no metadata, or if it is no dream.
pub fn dream_preset_of(path: &Path) -> Result<DreamPreset> {
    let original = Original::read(path)?;
    let reading = || Step::Recipe { path: path.display().to_string() };
    let format = FilmKind::of_bytes(&original.bytes);
    if let Some((job, _)) = dream::legacy(&original.text, format).during(reading)? {
        return Ok(job.preset);
    }
    if let Some(json) = original.text.get(JOB) {
        let sealed: Sealed<Value> = provenance::json("its job", json).during(reading)?;
        if sealed.schema > SCHEMA {
            let newer = ProvenanceError::NewerSchema { schema: sealed.schema, known: SCHEMA };
            return Err(newer).during(reading);
        }
        if sealed.kind == DreamJob::KIND {
            let job: DreamJob = serde_json::from_value(sealed.job)
                .map_err(|source| ProvenanceError::Json { what: "its settings", source })
                .during(reading)?;
            return Ok(job.preset);
        }
    }
    Err(ProvenanceError::NoDream).during(reading)
}
