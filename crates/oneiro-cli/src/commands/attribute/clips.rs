//! Heat maps over time, for networks of clips and optical flow.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::attribution::{AttributionTarget, Method};
use oneiro::objective::Objective;
use oneiro_jobs::job::attribution::clips::ClipAttributionJob;
use oneiro_jobs::job::film_kind::FilmKind;
use oneiro_jobs::job::video::FRAME_RATE;
use oneiro_jobs::job::{Place, Role};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::numbers::short;
use oneiro_jobs::source::clips::ClipSampling;
use oneiro_jobs::source::clips::find::find_clips;
use oneiro_media::{FilmFormat, FrameRate, StillFormat};

use super::{Args, asked, line, possible, settings};
use crate::context::Context;
use crate::outputs::default_path;
use crate::results::{self, Results, print_json};

/// Where the film goes when not chosen.
const DEFAULT_OUT: &str = "attribution.apng";

/// Attributes one clip.
pub(super) fn run(
    context: &Context,
    args: &Args,
    model: &LoadedModel,
    methods: Vec<Method>,
    started: Instant,
) -> Result<ExitCode> {
    for (flag, given) in [("--size", args.size.is_some()), ("--full", args.full)] {
        if given {
            bail!("{flag} is for networks of images, and {} takes clips or optical flow", model.source);
        }
    }
    let rate = args.fps.unwrap_or(FRAME_RATE);
    FrameRate::new(rate)?;
    let settings = settings(args, args.window_stride, &methods)?;
    let (mut results, format) = results(context, args)?;
    results.check_writable()?;
    let clips = find_clips(&args.images, &args.flow.source())?;
    let [clip] = &clips[..] else {
        bail!("one clip is attributed at a time, and there are {}; name one of them", clips.len())
    };
    let asked = asked(context, model, args)?;
    if asked.len() > 1 {
        bail!("one unit of a clip is explained at a time, and there are {}; name one of them", asked.len());
    }
    let target = |objective: &Objective| AttributionTarget::of_clips(&model.model, objective);
    let methods = possible(context, args, &asked, methods, target)?;
    let sampling = ClipSampling {
        stride: args.stride.map_or(ClipSampling::default().stride, |stride| stride as usize),
        crop: args.crop,
        ..ClipSampling::default()
    };
    let job = ClipAttributionJob {
        title: model.title.clone(),
        methods,
        settings,
        clip: clip.clone(),
        unit: asked.first().map(|(unit, _)| unit.clone()),
        objective: asked.first().map(|(_, objective)| objective.to_string()),
        label: None,
        sampling,
        overlay: true,
        format: FilmKind::of(format).unwrap_or_default(),
        rate,
    };
    let report = results::run(context, Some(model), &job, &mut results, &[], None)?;
    if args.json {
        print_json(context, model, &report, &results.listed(), started)?;
        return Ok(ExitCode::SUCCESS);
    }
    context.print(&format!("{}: {}, value {}", report.file, report.label, short(report.value)))?;
    for input in &report.inputs {
        context.print(&format!(" {}", input.input))?;
        for map in &input.maps {
            let parts = map.input_sum.zip(map.input_share).filter(|_| report.inputs.len() > 1);
            let share = parts.map_or(String::new(), |(sum, share)| {
                format!(", adds {} to the value ({:.0} % of all magnitudes)", short(sum), 100.0 * share)
            });
            context.print(&format!("{}{share}", line(&map.map)))?;
        }
    }
    context.print(&format!("written to {}", results.listed()[0]))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the results go, and the format of the film. A name of a still picture gets a strip.
fn results(context: &Context, args: &Args) -> Result<(Results, FilmFormat)> {
    let place = match args.out.as_deref() {
        None => Place::first(Role::Film),
        Some(out) if is_still(out) => Place::picture(0),
        Some(_) => Place::first(Role::Film),
    };
    let mut format = FilmFormat::Apng;
    let (file, folder) = match &args.out {
        None => {
            let mut paths = default_path(context, DEFAULT_OUT);
            (paths.files.swap_remove(0), paths.folder)
        }
        Some(out) => {
            if place.role == Role::Film {
                let Some(of_name) = FilmFormat::of_name(out) else {
                    bail!(
                        "--out {}: films are .apng, .gif, .webp, .mp4 or .webm, strips of frames .png or .jpg; use such a name",
                        out.display()
                    );
                };
                format = of_name;
            }
            (out.clone(), None)
        }
    };
    let mut results = Results::default();
    results.add(place, "--out", file, folder);
    Ok((results.and(Role::Raw, "--raw", args.raw.as_ref()), format))
}

/// Whether a name is that of a still picture. PNG and WebP may be films; `.apng` and `.webp` are.
fn is_still(out: &Path) -> bool {
    let is_png = out.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    is_png || (StillFormat::of_name(out).is_some() && FilmFormat::of_name(out).is_none())
}
