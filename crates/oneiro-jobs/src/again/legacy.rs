//! Reconstructs the jobs of files that version 0.1.0 wrote from their metadata entries.

use oneiro_media::PngText;

use super::Provenance;
use crate::error::Result;
use crate::job::film_kind::FilmKind;
use crate::job::interpolation::{INTERPOLATION, SheetFilm};
use crate::job::render::RenderJob;
use crate::job::render::display::Display;
use crate::job::render::report::UnitReport;
use crate::job::render::text::{StoredSetting, setting};
use crate::job::render::work::{UnitRequest, Work};
use crate::job::sheet::SheetJob;
use crate::job::sheet::layout::SheetLayout;
use crate::job::{AnyJob, Job, Place, Role, attribution, dream, grid};
use crate::provenance::error::Drawing;
use crate::provenance::{ProvenanceError, json, number, required};
use crate::source::places::SourceFile;

/// Drawings that version 0.1.0 could not recreate, by the key of their metadata entry.
const DRAWINGS: [(&str, Drawing); 2] = [("plot", Drawing::Plot), ("spectrum", Drawing::Spectrum)];

/// A job, which of its results the file is, and the files that the job is made from.
type Found = (Box<dyn AnyJob>, Place, Vec<SourceFile>);

/// Reconstructs the job of a file of version 0.1.0.
pub(super) fn read(text: &PngText, format: FilmKind) -> Result<Provenance> {
    for (key, drawing) in DRAWINGS {
        if text.get(key).is_some() {
            return Err(ProvenanceError::Drawing { drawing }.into());
        }
    }
    let picture = Place::picture(0);
    let (job, output, sources): Found = if let Some((job, sources)) = grid::legacy(text)? {
        (Box::new(job), picture, sources)
    } else if let Some((job, sources)) = attribution::legacy(text)? {
        (Box::new(job), picture, sources)
    } else if let Some((job, sources)) = dream::legacy(text, format)? {
        let is_film = text.get("film").is_some();
        (Box::new(job), if is_film { Place::film(0) } else { picture }, sources)
    } else {
        units(text, format)?
    };
    Ok(Provenance { job, output, sources, legacy: true })
}

/// Returns the files from which a picture was made.
fn sources(text: &PngText) -> Result<Vec<SourceFile>> {
    match text.get("sources") {
        None => Ok(Vec::new()),
        Some(list) => json("the list of files that it was made from", list),
    }
}

/// Reconstructs the job of a picture, a film, a sheet or an interpolation of units.
fn units(text: &PngText, format: FilmKind) -> Result<Found> {
    let settings = match text.get("all-settings") {
        None => vec![setting(text)?],
        Some(all) => {
            let all: Vec<StoredSetting> = json("its settings", all)?;
            all.iter().map(StoredSetting::read).collect::<Result<_>>()?
        }
    };
    let display = text.get("display").map_or(Ok(Display::default()), str::parse);
    let mut work = Work {
        units: Vec::new(),
        settings,
        mask: text.get("mask").map(str::to_owned),
        statistics: text.get("statistics").map(str::to_owned),
        keep_size: true,
        robustness: false,
        display: display.map_err(|why| ProvenanceError::Display { why })?,
    };
    let sources = sources(text)?;
    let Some(layout) = text.get("layout") else {
        work.units = single(text)?;
        work.check()?;
        let index = text.get("place").map_or(Ok(0), |place| number("its place", place))?;
        let is_film = text.get("film").is_some();
        let role = if is_film { Role::Film } else { Role::Picture };
        let film = is_film.then_some(format);
        return Ok((Box::new(RenderJob { work, film }), Place { role, index }, sources));
    };
    let layout: SheetLayout = json("its layout", layout)?;
    let reports: Vec<UnitReport> = json("its list of units", &required(text, "units")?)?;
    if layout.cells() != reports.len() {
        return Err(ProvenanceError::Layout { units: reports.len() }.into());
    }
    work.robustness = reports.iter().any(|u| u.robustness.is_some());
    work.units = reports.into_iter().map(request).collect();
    work.check()?;
    if text.get(INTERPOLATION).is_some() {
        return Ok((Box::new(SheetFilm { work, layout, format }), Place::film(0), sources));
    }
    let job = SheetJob { work, layout };
    Job::check(&job)?;
    Ok((Box::new(job), Place::picture(0), sources))
}

fn request(report: UnitReport) -> UnitRequest {
    let UnitReport { unit, objective, start, copy, setting, .. } = report;
    UnitRequest { unit, objective: Some(objective), start, copy, setting }
}

/// Returns the units of a picture: its own unit, and any on which this depends.
fn single(text: &PngText) -> Result<Vec<UnitRequest>> {
    if let Some(batch) = text.get("batch") {
        return json("its batch", batch);
    }
    let copy = text.get("copy").map_or(Ok(0), |copy| number("its copy", copy))?;
    Ok(vec![UnitRequest {
        unit: required(text, "unit")?,
        objective: Some(required(text, "objective")?),
        start: text.get("start").map(str::to_owned),
        copy,
        setting: 0,
    }])
}
