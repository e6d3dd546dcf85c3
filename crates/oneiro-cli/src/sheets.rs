//! Sheets as commands make them: rendered, written, printed.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use oneiro_jobs::files::PicturePaths;
use oneiro_jobs::job::render::{Finished, Options, Prepared, render_all, write_raw};
use oneiro_jobs::job::sheet::{SheetPlan, encode};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::provenance::sheet_sources;
use oneiro_jobs::source::materials::Extras;
use serde::Serialize;

use crate::collisions::{self, Placed};
use crate::context::Context;

/// What a sheet's command was asked for.
pub struct Output<'a> {
    pub paths: PicturePaths,
    pub raw: Option<&'a Path>,
    /// What else the command writes itself.
    pub further: Vec<Placed<'a>>,
    /// The files that recipes come from.
    pub recipes: Vec<&'a Path>,
    pub options: Options,
    pub keep_size: bool,
}

/// Renders a sheet and writes it; returns the results and the files.
pub fn produce(
    context: &Context,
    model: &LoadedModel,
    plan: &SheetPlan,
    extras: Extras,
    output: &Output<'_>,
) -> Result<(Vec<Finished>, Vec<String>)> {
    let (finished, _, files) = produce_from(context, model, plan, extras, output)?;
    Ok((finished, files))
}

/// The same for those who make something else of the results, too: also returns what they were made from.
pub fn produce_from<'a>(
    context: &Context,
    model: &'a LoadedModel,
    plan: &SheetPlan,
    extras: Extras,
    output: &Output<'_>,
) -> Result<(Vec<Finished>, Prepared<'a>, Vec<String>)> {
    let work = plan.prepare(context, model, extras, output.keep_size)?;
    let mut layout = plan.layout(model, &work);
    if !output.options.display.is_clip() {
        layout.subtitle += &format!(", display {}", output.options.display);
    }
    let results = output.paths.files.iter().map(|file| ("--out", file.as_path()));
    let results = results.chain(output.raw.map(|file| ("--raw", file))).chain(output.further.iter().copied());
    let sources = sheet_sources(&work, &layout);
    let made_from = sources.iter().map(Path::new).chain(output.recipes.iter().copied());
    collisions::check(context, Some(model), made_from, results)?;
    let finished = render_all(context, &work, &output.options)?;
    let bytes = encode(&work, &layout, &finished)?;
    output.paths.create_folder()?;
    let out = &output.paths.files[0];
    oneiro_media::write_atomic(out, &bytes)?;
    let mut files = vec![out.display().to_string()];
    if let Some(path) = output.raw {
        write_raw(path, &finished)?;
        files.push(path.display().to_string());
    }
    Ok((finished, work, files))
}

/// Prints what `--json` gives: units, files, seconds.
pub fn print_json(
    context: &Context,
    model: &LoadedModel,
    units: &[impl Serialize],
    files: &[String],
    started: Instant,
) -> Result<()> {
    let seconds = started.elapsed().as_secs_f64();
    let mut object = serde_json::json!({ "units": units, "files": files, "seconds": seconds });
    model.add_to(&mut object);
    context.print(&serde_json::to_string_pretty(&object)?)
}
