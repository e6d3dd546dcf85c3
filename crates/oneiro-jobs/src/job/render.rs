//! Rendering units: checked jobs, batches, reports, pictures.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, bail};
use oneiro::objective::{Objective, Reference};
use oneiro::preprocess::Preprocess;
use oneiro::preset::Preset;
use oneiro::probe::Probe;
use oneiro::render::{Materials, Render, Rendered};
use oneiro_media::{Image, PngText};

use crate::context::Context;
use crate::model::LoadedModel;
use crate::observer::Task;
use crate::provenance::{UnitReport, png_text};
use crate::source::references::{Files, picture_size};
use crate::tensors::{RawTensor, write_tensors};

pub mod display;
pub mod film;
pub mod limits;
pub mod metrics;
mod prepared;
mod remarks;
mod saved;

use display::Display;
use film::{Camera, Format};
pub use prepared::{Prepared, prepare};
use saved::Levels;
pub use saved::{colors, saved};

/// Pictures that are optimised together, or more so that each thread has as many. It changes memory and
/// speed, never a bit of a picture.
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
    /// What is drawn of the picture, as an 8-bit file holds it, clipped; shown unless another display is
    /// wanted.
    pub picture: Image,
    /// All that the network reads of it, in 8-bit levels.
    pub levels: Vec<f32>,
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
    let mut progress = Task::new(context, "largest activation", pictures.len() as u64);
    let mut largest = f64::NEG_INFINITY;
    for path in pictures {
        context.check()?;
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
    let mut progress = Task::new(context, "rendering", steps as u64);
    for members in groups {
        let preset = &settings[jobs[members[0]].setting].preset;
        let joined = work.is_joined(members);
        let mut batch = if joined {
            members.len()
        } else {
            let objective = &jobs[members[0]].objective;
            let one = std::slice::from_ref(objective);
            let alone = members.len() > 1
                && context.compute(|| oneiro::render::mixes_pictures(&model.model, preset, one))?;
            if alone {
                context.note(&format!(
                    "the network mixes the pictures of a batch on the way to {objective}, or may do so; each is made by itself"
                ));
                1
            } else {
                context.compute(|| batch_for(model, preset, objective, members.len()))
            }
        };
        if options.film.is_some() {
            let [h, w] = preset.picture.map_or_else(|| picture_size(model, preset.size), Ok)?;
            let at_once = film::films_at_once(preset.total_steps(), [h, w])?;
            batch = if joined { batch } else { batch.min(at_once) };
        }
        for chunk in members.chunks(batch) {
            progress.label(&jobs[chunk[0]].unit);
            let done = context.compute(|| render_batch(context, work, chunk, options, &mut progress))?;
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

/// Pictures at once: as many as keep the threads busy, or what several views of each leave of that; fewer
/// where the network does not take so many, as it may be exported for single images only.
fn batch_for(model: &LoadedModel, preset: &Preset, objective: &Objective, wanted: usize) -> usize {
    let views = preset.views.max(1);
    let accepts = |batch: usize| {
        let shapes = model.model.input_shapes(batch * views, preset.size)?;
        Probe::new(&model.model, std::slice::from_ref(objective), &[], shapes, true)
    };
    let mut batch = wanted.min(pictures_at_once(rayon::current_num_threads(), views));
    while batch > 1 && accepts(batch).is_err() {
        batch /= 2;
    }
    batch
}

/// Pictures of so many views each that keep so many threads busy.
fn pictures_at_once(threads: usize, views: usize) -> usize {
    (BATCH.next_multiple_of(threads) / views).max(1)
}

fn render_batch(
    context: &Context,
    work: &Prepared<'_>,
    members: &[usize],
    options: &Options,
    progress: &mut Task<'_>,
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
        context.check()?;
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
    let levels = rendered.iter().map(|r| Levels::of(&r.images)).collect::<Result<Vec<_>>>()?;
    let value_saved = saved::values_saved(&mut render, &rendered, &levels)?;
    let robustness = if options.robustness {
        saved::robustness(&mut render, &rendered, &levels)?.into_iter().map(Some).collect()
    } else {
        vec![None; jobs.len()]
    };
    let pictures = rendered.into_iter().zip(levels).enumerate();
    pictures
        .map(|(i, (rendered, Levels { data: levels, alpha, .. }))| {
            let picture = saved(&rendered.images)?;
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
            Ok(Finished { rendered, report, picture, levels, alpha, film })
        })
        .collect()
}

/// The optimised inputs as `INPUT/INDEX`, with the units in the metadata.
pub fn write_raw(path: &Path, finished: &[Finished]) -> Result<()> {
    let mut tensors = Vec::new();
    for (i, result) in finished.iter().enumerate() {
        for picture in &result.rendered.images {
            tensors.push(RawTensor {
                name: format!("{}/{i}", picture.input),
                shape: picture.shape.to_vec(),
                data: picture.data.clone(),
            });
        }
    }
    let units: Vec<&UnitReport> = finished.iter().map(|f| &f.report).collect();
    let metadata = HashMap::from([("units".to_owned(), serde_json::to_string(&units)?)]);
    write_tensors(path, &tensors, metadata)
}

#[cfg(test)]
mod tests {
    use super::pictures_at_once;

    #[test]
    fn pictures_at_once_grow_with_the_threads_and_make_room_for_views() {
        let at_once =
            [(1, 1), (2, 1), (3, 1), (16, 1), (16, 8), (2, 3), (1, 100)].map(|(t, v)| pictures_at_once(t, v));
        assert_eq!(at_once, [4, 4, 6, 16, 2, 1, 1]);
    }
}
