//! Rendering units as commands do it: settings from flags, batches, reports, pictures.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro::probe::Probe;
use oneiro::render::{Picture, Render, Rendered};
use oneiro::rng::Stream;
use oneiro::transform::Chain;
use oneiro_media::Image;
use oneiro_net::ValueId;

use crate::context::Context;
use crate::film::{self, Camera, Format};
use crate::interrupt;
use crate::metadata::{Robustness, UnitReport, png_text};
use crate::model::LoadedModel;
use crate::progress::Progress;

/// Pictures that are optimised together. It changes memory and speed, never a bit of a picture.
const BATCH: usize = 4;

/// A unit to render: what to call it, and what is maximised.
#[derive(Debug, Clone)]
pub struct Job {
    pub unit: String,
    pub objective: Objective,
}

/// A finished unit.
pub struct Finished {
    pub rendered: Rendered,
    pub report: UnitReport,
    /// The picture as it is saved: 8 bits, clipped.
    pub picture: Image,
    /// The way there as the bytes of a film, if one was wanted.
    pub film: Option<Vec<u8>>,
}

/// How to render, beside the preset.
pub struct Options {
    pub seed: u64,
    /// Whether to measure what survives disturbances.
    pub robustness: bool,
    /// Whether to keep a film, and as what.
    pub film: Option<Format>,
}

/// Jobs that the network accepts, so that nothing is left to be wrong but numbers.
pub struct Prepared<'a> {
    model: &'a LoadedModel,
    jobs: &'a [Job],
    /// The preset, its size one that the network accepts.
    pub preset: Preset,
    /// Jobs that read the same layers. Others go into batches of their own, because which values a plan must keep
    /// decides how it is optimised, and with that the last bits of the result.
    groups: Vec<Vec<usize>>,
}

/// Checks every job before any work is done. `keep_size`: whether the size stays even if the network does not accept
/// it, which is an error then; else the model card's is taken instead.
pub fn prepare<'a>(
    context: &Context,
    model: &'a LoadedModel,
    preset: &Preset,
    jobs: &'a [Job],
    keep_size: bool,
) -> Result<Prepared<'a>> {
    if jobs.is_empty() {
        bail!("there is nothing to render");
    }
    let mut groups: BTreeMap<Vec<ValueId>, Vec<usize>> = BTreeMap::new();
    for (i, job) in jobs.iter().enumerate() {
        let mut layers = job
            .objective
            .terms()
            .iter()
            .map(|t| model.model.value_of(t))
            .collect::<oneiro::Result<Vec<_>>>()?;
        layers.sort_unstable();
        layers.dedup();
        groups.entry(layers).or_default().push(i);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    let try_size = |size: Option<[usize; 2]>| -> oneiro::Result<Preset> {
        let preset = Preset { size, ..preset.clone() };
        context
            .compute(|| groups.iter().try_for_each(|members| check_group(model, &preset, jobs, members)))?;
        Ok(preset)
    };
    let error = match try_size(preset.size) {
        Ok(preset) => return Ok(Prepared { model, jobs, preset, groups }),
        Err(error) => error,
    };
    // The card's own size tells whether the size is to blame, or something that holds for every size.
    let of_card = if preset.size.is_some() { Some(try_size(None)) } else { None };
    if let Some(Err(other)) = of_card {
        let of_size = matches!(error, oneiro::Error::Network(_)) && !keep_size;
        return Err(if of_size { other.into() } else { error.into() });
    }
    if let Some(Ok(mut preset_of_card)) = of_card {
        let shapes = model.model.input_shapes(1, None)?;
        let size = shapes.first().map(|s| [s[s.len() - 2], s[s.len() - 1]]);
        if let (Some([h, w]), Some([ph, pw])) = (size, preset.size) {
            if keep_size {
                bail!("the network does not accept {ph}x{pw} ({error}); it does accept --size {h}x{w}");
            }
            context.note(&format!(
                "note: the network does not accept {ph}x{pw} for this unit; using its own size {h}x{w}"
            ));
            preset_of_card.size = size;
        }
        return Ok(Prepared { model, jobs, preset: preset_of_card, groups });
    }
    Err(error.into())
}

/// Compiles the plan of a group, and checks every member's channels and positions against its shapes.
fn check_group(model: &LoadedModel, preset: &Preset, jobs: &[Job], members: &[usize]) -> oneiro::Result<()> {
    let first = std::slice::from_ref(&jobs[members[0]].objective);
    let render = Render::new(&model.model, preset, first, 0)?;
    for term in members.iter().flat_map(|&i| jobs[i].objective.terms()) {
        let shape = render.shape_of(model.model.value_of(term)?).unwrap_or_default();
        term.check(shape).map_err(oneiro::Error::Unit)?;
        if term.at_output() {
            model.check_labels(shape.first().copied().unwrap_or(0))?;
        }
    }
    Ok(())
}

/// Renders all jobs in batches; the results are in their order.
pub fn render_all(context: &Context, work: &Prepared<'_>, options: &Options) -> Result<Vec<Finished>> {
    let Prepared { model, jobs, preset, groups } = work;
    let mut finished: Vec<Option<Finished>> = jobs.iter().map(|_| None).collect();
    let mut progress = Progress::new(context, "rendering", (jobs.len() * preset.steps) as u64);
    for members in groups {
        let mut batch =
            context.compute(|| batch_for(model, preset, &jobs[members[0]].objective, members.len()));
        if options.film.is_some() {
            let shapes = model.model.input_shapes(1, preset.size)?;
            if let Some(&[.., h, w]) = shapes.first().map(Vec::as_slice) {
                batch = batch.min(film::films_at_once(preset.steps, [h, w])?);
            }
        }
        for chunk in members.chunks(batch) {
            let batch: Vec<&Job> = chunk.iter().map(|&i| &jobs[i]).collect();
            progress.label(&batch[0].unit);
            let done = context.compute(|| render_batch(model, preset, &batch, options, &mut progress))?;
            for (&i, result) in chunk.iter().zip(done) {
                finished[i] = Some(result);
            }
        }
    }
    drop(progress);
    let finished: Vec<Finished> = finished.into_iter().flatten().collect();
    if let Some([first, rest @ ..]) = finished.first().map(|f| &f.rendered.images[..])
        && !rest.is_empty()
    {
        let rest: Vec<&str> = rest.iter().map(|p| p.input.as_str()).collect();
        context.note(&format!(
            "note: several inputs are optimised together; what is written is the picture of \"{}\", and --raw keeps that of {} \
             too",
            first.input,
            rest.join(", ")
        ));
    }
    for report in finished.iter().map(|f| &f.report).filter(|r| is_stuck(r)) {
        context.note(&format!(
            "note: {} did not change in {} steps: its gradient is zero or nearly so (a dead unit, a saturated output, \
             weights that were never trained); --relu-rule redirected may wake a dead unit",
            report.unit, report.steps
        ));
    }
    Ok(finished)
}

/// Whether an optimisation led nowhere.
fn is_stuck(report: &UnitReport) -> bool {
    /// Share of the value below which it has not changed.
    const NOTHING: f64 = 1e-6;
    let change = (report.value - report.value_at_start).abs();
    report.steps > 0 && change <= NOTHING * report.value.abs().max(report.value_at_start.abs())
}

/// Pictures at once: [`BATCH`], unless the network was exported for single images only.
fn batch_for(model: &LoadedModel, preset: &Preset, objective: &Objective, wanted: usize) -> usize {
    let batch = wanted.min(BATCH);
    let accepts = |batch: usize| {
        let shapes = model.model.input_shapes(batch, preset.size)?;
        Probe::new(&model.model, &vec![objective.clone(); batch], &[], shapes, true)
    };
    if batch > 1 && accepts(batch).is_err() { 1 } else { batch }
}

fn render_batch(
    model: &LoadedModel,
    preset: &Preset,
    jobs: &[&Job],
    options: &Options,
    progress: &mut Progress,
) -> Result<Vec<Finished>> {
    let objectives: Vec<Objective> = jobs.iter().map(|j| j.objective.clone()).collect();
    let mut render = Render::new(&model.model, preset, &objectives, options.seed)?;
    let mut camera = options.film.map(|format| Camera::new(format, preset.steps, jobs.len()));
    if let Some(camera) = &mut camera {
        camera.watch(&mut render, &vec![true; jobs.len()])?;
    }
    while preset.steps > 0 && !render.finished() {
        interrupt::check()?;
        let changing: Vec<bool> = (0..jobs.len()).map(|e| !render.entry_finished(e)).collect();
        render.step()?;
        progress.advance(jobs.len() as u64);
        if let Some(camera) = &mut camera {
            camera.watch(&mut render, &changing)?;
        }
    }
    let rendered = render.finish()?;
    if let Some(r) = rendered.iter().find(|r| !r.value.is_finite()) {
        return Err(oneiro::Error::NotFinite { objective: r.objective.to_string(), step: r.steps }.into());
    }
    let saved: Vec<Image> = rendered.iter().map(|r| saved(&r.images)).collect::<Result<_>>()?;
    let shown = |pictures: Vec<Vec<f32>>| -> Vec<Vec<Vec<f32>>> {
        // Only the first input's picture is saved as a PNG; the others stay as they are.
        pictures
            .into_iter()
            .zip(&rendered)
            .map(|(first, r)| {
                let rest = r.images.iter().skip(1).map(|p| p.data.clone());
                std::iter::once(first).chain(rest).collect()
            })
            .collect()
    };
    let value_saved = render.evaluate(Some(&shown(saved.iter().map(|i| i.rgb.clone()).collect())))?;
    let robustness = if options.robustness {
        let mut value = |disturb: &dyn Fn(&Image) -> Result<Vec<f32>>| -> Result<Vec<f64>> {
            let pictures = saved.iter().map(disturb).collect::<Result<Vec<_>>>()?;
            Ok(render.evaluate(Some(&shown(pictures)))?)
        };
        let jpeg90 = value(&|image| Ok(oneiro_media::jpeg_round_trip(image, 90)?.rgb))?;
        let shift4 = value(&|image| Ok(shifted(image, 4)))?;
        let turn5 = value(&|image| turned(image, 5.0))?;
        let each = |i: usize| Robustness { jpeg90: jpeg90[i], shift4: shift4[i], turn5: turn5[i] };
        (0..jobs.len()).map(|i| Some(each(i))).collect()
    } else {
        vec![None; jobs.len()]
    };
    rendered
        .into_iter()
        .zip(saved)
        .enumerate()
        .map(|(i, (rendered, picture))| {
            let report = UnitReport {
                unit: jobs[i].unit.clone(),
                objective: jobs[i].objective.to_string(),
                preset: preset.name.clone(),
                seed: options.seed,
                steps: rendered.steps,
                stop: rendered.stop.describe().into(),
                value: rendered.value,
                value_at_start: rendered.value_at_start,
                value_saved: value_saved[i],
                robustness: robustness[i],
            };
            let film = match &mut camera {
                Some(camera) => Some(camera.develop(i, png_text(model, preset, &report)?)?),
                None => None,
            };
            Ok(Finished { rendered, report, picture, film })
        })
        .collect()
}

/// The picture of the first input as an 8-bit file holds it.
pub fn saved(pictures: &[Picture]) -> Result<Image> {
    let picture = pictures.first().ok_or_else(|| anyhow!("the unit depends on no image input"))?;
    let [_, h, w] = picture.shape;
    let image = Image::new(w, h, picture.data.clone())?;
    Ok(Image::from_rgb8(w, h, &image.to_rgb8())?)
}

/// The picture moved right and down, its edge repeated.
fn shifted(image: &Image, by: usize) -> Vec<f32> {
    let (w, h) = (image.width, image.height);
    (0..image.rgb.len())
        .map(|i| {
            let (plane, y, x) = (i / (w * h), i / w % h, i % w);
            image.rgb[plane * w * h + y.saturating_sub(by) * w + x.saturating_sub(by)]
        })
        .collect()
}

/// The picture turned about its centre, grey outside.
fn turned(image: &Image, degrees: f64) -> Result<Vec<f32>> {
    let chain = Chain::parse(&format!("rotate({degrees})|fill(0.5)"))?;
    let mut sampled = chain.sample(&mut Stream::new(0, 0), [3, image.height, image.width]);
    let mut out = vec![0.0; image.rgb.len()];
    sampled.apply(&image.rgb, &mut out);
    Ok(out)
}
