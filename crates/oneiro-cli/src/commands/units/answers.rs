//! The flags of `oneiro units` that run jobs of their own: `--drivers`, `--groups` and `--spectra`.

use std::process::ExitCode;

use anyhow::Result;
use oneiro::preset::Preset;
use oneiro_jobs::job::contributions::{ContributionsJob, ContributionsReport};
use oneiro_jobs::job::groups::{ABOUT_SHARES, GroupsJob};
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::spectra::SpectraJob;
use oneiro_jobs::job::units::plain_class;
use oneiro_jobs::job::{Job as _, Kept, Role, Run};
use oneiro_jobs::store::ScanFile;

use super::Args;
use crate::context::Context;
use crate::inputs;
use crate::outputs;
use crate::results::{self, Results};

/// Plots the spectra of layers, for `--spectra`.
pub(super) fn spectra(context: &Context, args: &Args, scan: &ScanFile) -> Result<ExitCode> {
    /// Default number of units measured in each layer.
    const UNITS: usize = 16;
    let mut results = Results::default().and(Role::Plot, "--out", args.out.as_ref());
    if let Some(out) = &args.out {
        outputs::require_picture("--out", out)?;
    }
    results.check_writable()?;
    let job = SpectraJob {
        scan: args.scan.display().to_string(),
        units: args.top.map_or(UNITS, usize::from),
        examples: args.examples(),
        setting: args.render.then(|| Setting { preset: Preset::default(), seed: 0 }),
        images: args.images(),
    };
    let model = args.render.then(|| scan.model(context, args.model.as_deref())).transpose()?;
    let report = results::run(context, model.as_ref(), &job, &mut results, &[scan.path()], None)?;
    if args.json {
        context.print(&serde_json::to_string_pretty(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    context.print(
        "mean frequency in cycles per pixel, of images that excite units and of pictures made for them",
    )?;
    let width = report.iter().map(|of| of.layer.chars().count()).max().unwrap_or(0);
    for of in &report {
        let pictures = of.pictures_mean.map_or_else(String::new, |mean| format!("  {mean:.3}"));
        context.print(&format!("  {:<width$}  {:.3}{pictures}", of.layer, of.crops_mean))?;
    }
    for file in results.listed() {
        context.print(&format!("written to {file}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Groups units of a layer that respond to the same positions, for `--groups`.
pub(super) fn groups(context: &Context, args: &Args, scan: &ScanFile, correlation: f64) -> Result<ExitCode> {
    /// Largest number of groups that are printed.
    const PRINTED: usize = 20;
    let mut results = Results::default();
    if let Some(out) = &args.out {
        results = Results::pictures(inputs::out_path(context, Some(out), "groups.png")?);
    }
    results = results.and(Role::Page, "--html", args.html.as_ref());
    results.check_writable()?;
    let layer = args.layer.clone().unwrap_or_default();
    let job = GroupsJob { scan: args.scan.display().to_string(), layer, correlation, images: args.images() };
    let report = results::run(context, None, &job, &mut results, &[scan.path()], None)?;
    if args.json {
        context.print(&serde_json::to_string_pretty(&report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (i, group) in report.groups.iter().take(PRINTED).enumerate() {
        let channels: Vec<String> = group.channels.iter().map(usize::to_string).collect();
        let said = |(name, share): &(String, f64)| format!("{} {share:.2}", plain_class(name));
        let classes: Vec<String> = group.classes.iter().map(said).collect();
        context.print(&format!(
            "group {}: {} units, mean correlation {:.2}: {}",
            i + 1,
            channels.len(),
            group.correlation,
            channels.join(", ")
        ))?;
        if !classes.is_empty() {
            context.print(&format!("  answers {}", classes.join(", ")))?;
        }
    }
    if report.groups.len() > PRINTED {
        context.print(&format!("and {} more groups", report.groups.len() - PRINTED))?;
    }
    context.print(&format!("{} units in no group, {} constant", report.alone, report.constant))?;
    if report.groups.iter().any(|group| !group.classes.is_empty()) {
        context.print(&format!("the number behind a class: {ABOUT_SHARES}"))?;
    }
    for file in results.listed() {
        context.print(&format!("written to {file}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Computes which units drive the given units and which classes these feed, for `--drivers`.
pub(super) fn drivers(context: &Context, args: &Args, scan: &ScanFile) -> Result<Vec<ContributionsReport>> {
    let model = scan.model(context, args.model.as_deref())?;
    let mut reports = Vec::new();
    for unit in &args.units {
        let job = ContributionsJob {
            scan: args.scan.display().to_string(),
            unit: unit.clone(),
            examples: args.examples(),
            top: args.contributions(),
            images: args.images(),
        };
        reports.push(job.run(&Run::new(&model, context), &mut Kept::default())?);
    }
    Ok(reports)
}
