//! Rendering units as commands do it: settings from flags, batches, reports, pictures.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use oneiro::objective::{Objective, Reads, Reference};
use oneiro::preprocess::Preprocess;
use oneiro::preset::Preset;
use oneiro::probe::Probe;
use oneiro::render::{Materials, Picture, Render, Rendered};
use oneiro::rng::Stream;
use oneiro::transform::Chain;
use oneiro_media::{Image, PngText};
use oneiro_net::ValueId;

use crate::context::Context;
use crate::display::Display;
use crate::film::{self, Camera, Format};
use crate::interrupt;
use crate::materials::Extras;
use crate::metadata::{Robustness, UnitReport, png_text};
use crate::model::LoadedModel;
use crate::progress::Progress;
use crate::references::{Files, picture_size, refitted};
use crate::remarks;

/// Pictures that are optimised together. It changes memory and speed, never a bit of a picture.
const BATCH: usize = 4;

/// A unit to render: what to call it, what is maximised, from where, and how.
#[derive(Debug, Clone)]
pub struct Job {
    pub unit: String,
    pub objective: Objective,
    /// The picture to start from; noise if none.
    pub start: Option<Reference>,
    /// Its number among jobs of the same objective, which have noise of their own.
    pub copy: usize,
    /// Which of the settings.
    pub setting: usize,
}

impl Job {
    /// From noise, by the first settings.
    pub fn new(unit: impl Into<String>, objective: Objective) -> Self {
        Self { unit: unit.into(), objective, start: None, copy: 0, setting: 0 }
    }
}

/// A recipe with the seed of its random numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub preset: Preset,
    pub seed: u64,
}

/// A finished unit.
pub struct Finished {
    pub rendered: Rendered,
    pub report: UnitReport,
    /// The picture as an 8-bit file holds it, clipped: what is judged, and shown unless another display is wanted.
    pub picture: Image,
    /// Its opacity, if it has one.
    pub alpha: Option<Vec<f32>>,
    /// The way there as the bytes of a film, if one was wanted.
    pub film: Option<Vec<u8>>,
}

impl Finished {
    /// The picture as a PNG that says how it was made.
    pub fn encode(&self, text: &PngText) -> Result<Vec<u8>> {
        Ok(match &self.alpha {
            Some(alpha) => oneiro_media::encode_png_alpha(&self.shown()?, alpha, text)?,
            None => oneiro_media::encode_png(&self.shown()?, text)?,
        })
    }
}

/// What is wanted beside pictures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether to measure what survives disturbances.
    pub robustness: bool,
    /// Whether to keep a film, and as what.
    pub film: Option<Format>,
    /// How pictures are shown.
    pub display: Display,
}

/// Jobs that the network accepts, so that nothing is left to be wrong but numbers.
pub struct Prepared<'a> {
    pub model: &'a LoadedModel,
    pub jobs: Vec<Job>,
    /// The settings, their sizes such that the network accepts them.
    pub settings: Vec<Setting>,
    pub materials: Materials,
    /// Where the statistics among the materials are from.
    pub statistics_path: Option<String>,
    /// Jobs of one setting that read the same layers. Others go into batches of their own, because which values a plan
    /// must keep decides how it is optimised, and with that the last bits of the result.
    groups: Vec<Vec<usize>>,
}

impl Prepared<'_> {
    /// Whether the pictures of a group depend on each other: by terms that couple them, or by what they share.
    fn is_joined(&self, members: &[usize]) -> bool {
        let preset = &self.settings[self.jobs[members[0]].setting].preset;
        preset.param.is_shared() || members.iter().any(|&i| self.jobs[i].objective.couples())
    }

    /// The jobs that a job's picture depends on, itself among them, in their order.
    pub fn companions(&self, job: usize) -> Vec<usize> {
        match self.groups.iter().find(|members| members.contains(&job)) {
            Some(members) if self.is_joined(members) => members.clone(),
            _ => vec![job],
        }
    }
}

/// Checks every job before any work is done. `keep_size`: whether the size stays even if the network does not accept
/// it, which is an error then; else the model card's is taken instead.
pub fn prepare<'a>(
    context: &Context,
    model: &'a LoadedModel,
    mut settings: Vec<Setting>,
    mut jobs: Vec<Job>,
    extras: Extras,
    keep_size: bool,
) -> Result<Prepared<'a>> {
    let Extras { materials, statistics_path } = extras;
    if jobs.is_empty() {
        bail!("there is nothing to render");
    }
    let mut groups: BTreeMap<(usize, Vec<ValueId>), Vec<usize>> = BTreeMap::new();
    for (i, job) in jobs.iter().enumerate() {
        let terms = job.objective.terms().into_iter().filter(|t| t.reads() != Reads::Input);
        let mut layers = terms.map(|t| model.model.value_of(t)).collect::<oneiro::Result<Vec<_>>>()?;
        layers.sort_unstable();
        layers.dedup();
        groups.entry((job.setting, layers)).or_default().push(i);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    for (index, setting) in settings.iter_mut().enumerate() {
        let of_setting: Vec<&Vec<usize>> =
            groups.iter().filter(|g| g.iter().any(|&i| jobs[i].setting == index)).collect();
        if of_setting.is_empty() {
            continue;
        }
        let size = accepted_size(context, model, setting, &mut jobs, &of_setting, &materials, keep_size)?;
        setting.preset.size = size;
    }
    Ok(Prepared { model, jobs, settings, materials, statistics_path, groups })
}

/// The size of a setting, or the model's own where the network does not accept it.
fn accepted_size(
    context: &Context,
    model: &LoadedModel,
    setting: &Setting,
    jobs: &mut [Job],
    groups: &[&Vec<usize>],
    materials: &Materials,
    keep_size: bool,
) -> Result<Option<[usize; 2]>> {
    let wanted = setting.preset.size;
    let mut try_size = |size: Option<[usize; 2]>, refit: bool| -> Result<()> {
        let preset = Preset { size, ..setting.preset.clone() };
        if refit {
            let files = Files::new(model, size)?;
            for &i in groups.iter().flat_map(|g| g.iter()) {
                jobs[i].objective = refitted(&files, &jobs[i].objective)?;
            }
            if preset.picture.is_none() {
                for &i in groups.iter().flat_map(|g| g.iter()) {
                    let start = jobs[i].start.take();
                    jobs[i].start = start.map(|s| files.reference(&s.name)).transpose()?;
                }
            }
        }
        context.compute(|| {
            groups.iter().try_for_each(|members| check_group(model, &preset, jobs, members, materials))
        })?;
        Ok(())
    };
    let Err(error) = try_size(wanted, false) else { return Ok(wanted) };
    // The card's own size tells whether the size is to blame, or something that holds for every size.
    let Some([ph, pw]) = wanted else { return Err(error) };
    let of_size = matches!(error.downcast_ref(), Some(oneiro::Error::Network(_))) && !keep_size;
    match try_size(None, true) {
        Err(other) => Err(if of_size { other } else { error }),
        Ok(()) => {
            let [h, w] = picture_size(model, None)?;
            if keep_size {
                bail!("the network does not accept {ph}x{pw} ({error}); it does accept --size {h}x{w}");
            }
            context.note(&format!(
                "note: the network does not accept {ph}x{pw} for this unit; using its own size {h}x{w}"
            ));
            Ok(Some([h, w]))
        }
    }
}

/// Compiles the plan of a group, and checks every member's channels and positions against its shapes.
fn check_group(
    model: &LoadedModel,
    preset: &Preset,
    jobs: &[Job],
    members: &[usize],
    materials: &Materials,
) -> oneiro::Result<()> {
    // Terms that couple a batch have nothing to couple in a batch of one, but are checked all the same.
    let first = &jobs[members[0]];
    let starts = vec![first.start.clone()];
    let materials = Materials { starts, ..materials.clone() };
    let render =
        Render::with_materials(&model.model, preset, std::slice::from_ref(&first.objective), 0, &materials)?;
    for term in members.iter().flat_map(|&i| jobs[i].objective.terms()) {
        if term.reads() == Reads::Input {
            continue;
        }
        let shape = render.shape_of(model.model.value_of(term)?).unwrap_or_default();
        term.check(shape).map_err(oneiro::Error::Unit)?;
        if term.at_output() {
            model.check_labels(shape.first().copied().unwrap_or(0))?;
        }
    }
    Ok(())
}

/// The largest value of an objective over pictures: what a unit's optimised picture is to be compared with.
pub fn largest_value(
    context: &Context,
    model: &LoadedModel,
    objective: &Objective,
    size: Option<[usize; 2]>,
    pictures: &[String],
) -> Result<f64> {
    let files = Files::new(model, size)?;
    let shapes = model.model.input_shapes(1, size)?;
    let mut probe =
        context.compute(|| Probe::new(&model.model, std::slice::from_ref(objective), &[], shapes, false))?;
    let images: Vec<usize> =
        (0..probe.inputs().len()).filter(|&i| probe.inputs()[i].used && model.is_image(i)).collect();
    let [input] = images[..] else {
        bail!("--data: the network needs one picture input, it has {}", images.len());
    };
    let preprocess = Preprocess::from_card(&model.model.card.input[input]);
    let mut progress = Progress::new(context, "largest activation", pictures.len() as u64);
    let mut largest = f64::NEG_INFINITY;
    for path in pictures {
        interrupt::check()?;
        let picture = files.reference(path)?;
        preprocess.apply(&picture.data, probe.input_mut(input));
        context.compute(|| probe.show_inputs().map(|()| probe.forward()))?;
        largest = largest.max(probe.value(0));
        progress.advance(1);
    }
    Ok(largest)
}

/// Renders all jobs in batches; the results are in their order.
pub fn render_all(context: &Context, work: &Prepared<'_>, options: &Options) -> Result<Vec<Finished>> {
    let Prepared { model, jobs, settings, groups, .. } = work;
    remarks::on_jobs(context, work);
    let mut finished: Vec<Option<Finished>> = jobs.iter().map(|_| None).collect();
    let steps: usize = jobs.iter().map(|j| settings[j.setting].preset.total_steps()).sum();
    let mut progress = Progress::new(context, "rendering", steps as u64);
    for members in groups {
        let preset = &settings[jobs[members[0]].setting].preset;
        let joined = work.is_joined(members);
        let mut batch = if joined {
            members.len()
        } else {
            let objective = &jobs[members[0]].objective;
            context.compute(|| batch_for(model, preset, objective, members.len()))
        };
        if options.film.is_some() {
            let [h, w] = preset.picture.map_or_else(|| picture_size(model, preset.size), Ok)?;
            let at_once = film::films_at_once(preset.total_steps(), [h, w])?;
            batch = if joined { batch } else { batch.min(at_once) };
        }
        for chunk in members.chunks(batch) {
            progress.label(&jobs[chunk[0]].unit);
            let done = context.compute(|| render_batch(work, chunk, options, &mut progress))?;
            for (&i, result) in chunk.iter().zip(done) {
                finished[i] = Some(result);
            }
        }
    }
    drop(progress);
    let mut finished: Vec<Finished> = finished.into_iter().flatten().collect();
    options.display.settle(&mut finished)?;
    remarks::on_results(context, work, &finished);
    Ok(finished)
}

/// Pictures at once: [`BATCH`] or what several views of each leave of it, unless the network was exported for single
/// images only.
fn batch_for(model: &LoadedModel, preset: &Preset, objective: &Objective, wanted: usize) -> usize {
    let batch = wanted.min((BATCH / preset.views.max(1)).max(1));
    let accepts = |batch: usize| {
        let shapes = model.model.input_shapes(batch * preset.views.max(1), preset.size)?;
        Probe::new(&model.model, std::slice::from_ref(objective), &[], shapes, true)
    };
    if batch > 1 && accepts(batch).is_err() { 1 } else { batch }
}

fn render_batch(
    work: &Prepared<'_>,
    members: &[usize],
    options: &Options,
    progress: &mut Progress,
) -> Result<Vec<Finished>> {
    let jobs: Vec<&Job> = members.iter().map(|&i| &work.jobs[i]).collect();
    let Setting { preset, seed } = &work.settings[jobs[0].setting];
    let objectives: Vec<Objective> = jobs.iter().map(|j| j.objective.clone()).collect();
    let starts = jobs.iter().map(|j| j.start.clone()).collect();
    let copies = jobs.iter().map(|j| j.copy).collect();
    let materials = Materials { starts, copies, ..work.materials.clone() };
    let mut render = Render::with_materials(&work.model.model, preset, &objectives, *seed, &materials)?;
    let steps = preset.total_steps();
    let mut camera = options.film.map(|format| Camera::new(format, steps, jobs.len(), options.display));
    if let Some(camera) = &mut camera {
        camera.watch(&mut render, &vec![true; jobs.len()])?;
    }
    while steps > 0 && !render.finished() {
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
    let alphas: Vec<Option<Vec<f32>>> = rendered.iter().map(|r| r.images.first().and_then(opacity)).collect();
    let shown = |pictures: Vec<Vec<f32>>| -> Vec<Vec<Vec<f32>>> {
        // Only the first input's picture is saved as a PNG; the others stay as they are.
        let over_grey = |mut picture: Vec<f32>, alpha: &Option<Vec<f32>>| {
            if let Some(alpha) = alpha {
                let pairs = picture.iter_mut().zip(alpha.iter().cycle());
                pairs.for_each(|(x, a)| *x = a * *x + (1.0 - a) * MIDDLE_GREY);
            }
            picture
        };
        pictures
            .into_iter()
            .zip(&rendered)
            .zip(&alphas)
            .map(|((first, r), alpha)| {
                let rest = r.images.iter().skip(1).map(|p| p.data.clone());
                std::iter::once(over_grey(first, alpha)).chain(rest).collect()
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
    let pictures = rendered.into_iter().zip(saved).zip(alphas).enumerate();
    pictures
        .map(|(i, ((rendered, picture), alpha))| {
            let job = jobs[i];
            let report = UnitReport {
                unit: job.unit.clone(),
                objective: job.objective.to_string(),
                start: job.start.as_ref().map(|s| s.name.clone()),
                copy: job.copy,
                preset: preset.name.clone(),
                setting: job.setting,
                seed: *seed,
                steps: rendered.steps,
                stop: rendered.stop.describe().into(),
                value: rendered.value,
                value_at_start: rendered.value_at_start,
                value_saved: value_saved[i],
                robustness: robustness[i],
                display: options.display,
                display_range: None,
            };
            let film = match &mut camera {
                Some(camera) => Some(camera.develop(i, png_text(work, members[i], &report)?)?),
                None => None,
            };
            Ok(Finished { rendered, report, picture, alpha, film })
        })
        .collect()
}

/// What is behind a transparent picture when it is judged as it is saved.
const MIDDLE_GREY: f32 = 0.5;

/// The fourth plane of a picture that has one, as an 8-bit file holds it.
fn opacity(picture: &Picture) -> Option<Vec<f32>> {
    let [channels, h, w] = picture.shape;
    let levels = |a: &f32| (a.clamp(0.0, 1.0) * 255.0).round() / 255.0;
    (channels == 4).then(|| picture.data[3 * h * w..].iter().map(levels).collect())
}

/// The colours of the first input's picture, unclipped.
pub fn colors(pictures: &[Picture]) -> Result<Image> {
    let picture = pictures.first().ok_or_else(|| anyhow!("the unit depends on no image input"))?;
    let [_, h, w] = picture.shape;
    Ok(Image::new(w, h, picture.data[..3 * h * w].to_vec())?)
}

/// The same as an 8-bit file holds it.
fn saved(pictures: &[Picture]) -> Result<Image> {
    let image = colors(pictures)?;
    Ok(Image::from_rgb8(image.width, image.height, &image.to_rgb8())?)
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
