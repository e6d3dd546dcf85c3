//! Renders units batch by batch.

use oneiro::card::InputKind;
use oneiro::model::InputError;
use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro::preset::Preset;
use oneiro::render::{Materials, Render};

use super::film::{self, Camera};
use super::report::UnitReport;
use super::saved::{self, SavedImage};
use super::stored::{self, StoredUnit};
use super::text::png_text;
use super::{Finished, Options, PreparedUnits, RenderUnit, Setting, remarks};
use crate::context::Context;
use crate::error::Result;
use crate::job::parts::Finish;
use crate::job::{Role, Run};
use crate::model::LoadedModel;
use crate::remark::Remark;
use crate::source::references::picture_size;
use crate::task::Task;

/// Number of pictures that are optimised together, rounded up to a multiple of the threads. It changes memory
/// and speed, but no bit of a picture.
const BATCH: usize = 4;

/// Renders all units in batches and returns the results in the units' order. Units that are stored as parts
/// are read.
pub fn render_all(run: &Run<'_>, work: &PreparedUnits<'_>, options: &Options) -> Result<Vec<Finished>> {
    let context = run.context;
    if !options.all_inputs {
        only_stills(work)?;
    }
    remarks::on_units(context, work);
    let stored = if options.film.is_some() || run.parts().is_none() {
        let all: Vec<usize> = (0..work.units.len()).collect();
        let mut done: Vec<Option<StoredUnit>> = all.iter().map(|_| None).collect();
        render_units(context, work, options, &all, &mut |at, unit| {
            done[at] = Some(unit);
            Ok(())
        })?;
        done.into_iter().flatten().collect()
    } else {
        let parts = stored::parts(work, options.robustness)?;
        run.in_parts(&parts, |missing, finish| render_units(context, work, options, missing, finish))?
    };
    let finished = stored.into_iter().zip(&work.units).map(|(stored, unit)| stored.finished(&unit.objective));
    let mut finished = finished.collect::<Result<Vec<_>>>()?;
    options.display.settle(&mut finished)?;
    remarks::on_results(context, work, &finished, options.all_inputs);
    if !options.all_inputs {
        remarks::on_classes(context, work, &finished)?;
    }
    Ok(finished)
}

/// Returns an error if a unit depends on clips or flow, which still pictures cannot show.
fn only_stills(work: &PreparedUnits<'_>) -> Result<()> {
    let model = &work.model.model;
    for unit in &work.units {
        for input in model.inputs_of(&unit.objective)? {
            let card = &model.card.input[input];
            let what = match card.kind {
                InputKind::Clip => "clips",
                InputKind::Flow => "optical flow",
                _ => continue,
            };
            let error = InputError::NotAnImage { input: card.name.clone(), what };
            return Err(oneiro::Error::from(error).into());
        }
    }
    Ok(())
}

/// Renders these units, and those on which their pictures depend.
fn render_units(
    context: &Context,
    work: &PreparedUnits<'_>,
    options: &Options,
    wanted: &[usize],
    finish: Finish<'_, StoredUnit>,
) -> Result<()> {
    let PreparedUnits { model, units, settings, groups, .. } = work;
    let mut groups: Vec<(bool, Vec<usize>)> =
        groups.iter().map(|members| (work.is_joined(members), members.clone())).collect();
    for (joined, members) in &mut groups {
        let has = |i: &usize| wanted.contains(i);
        match *joined && members.iter().any(has) {
            true => {}
            false => members.retain(has),
        }
    }
    groups.retain(|(_, members)| !members.is_empty());
    let all = groups.iter().flat_map(|(_, members)| members);
    let steps: usize = all.map(|&i| settings[units[i].setting].preset.total_steps()).sum();
    let mut progress = Task::new(context, "rendering", steps as u64);
    for (joined, members) in groups {
        let preset = &settings[units[members[0]].setting].preset;
        let mut batch = if joined {
            members.len()
        } else {
            let objective = &units[members[0]].objective;
            let one = std::slice::from_ref(objective);
            let alone = members.len() > 1
                && context.compute(|| oneiro::render::mixes_pictures(&model.model, preset, one))?;
            if alone {
                context.remark(Remark::Alone { objective: objective.to_string() });
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
        let mut rest = &members[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(batch.min(rest.len()));
            progress.label(&units[chunk[0]].unit.replace('"', ""));
            let render = match context.compute(|| prepared_batch(work, chunk)) {
                // Memory or a kernel may fail for a batch that shape rules accept. A smaller batch is then
                // tried.
                Err(_) if !joined && chunk.len() > 1 => {
                    batch = chunk.len() / 2;
                    continue;
                }
                prepared => prepared?,
            };
            let done =
                context.compute(|| render_batch(context, work, chunk, render, options, &mut progress))?;
            for (&i, result) in chunk.iter().zip(done) {
                finish(i, result)?;
            }
            rest = after;
        }
    }
    Ok(())
}

/// Returns the batch size: enough pictures to keep the threads busy, fewer if each has several views. If the
/// network's shape rules reject the batch, as for a network exported for single images, the batch is smaller.
fn batch_for(model: &LoadedModel, preset: &Preset, objective: &Objective, wanted: usize) -> usize {
    let views = preset.views.max(1);
    let accepts = |batch: usize| {
        let shapes = model.model.input_shapes(batch * views, preset.size)?;
        ObjectiveSession::accepts(&model.model, std::slice::from_ref(objective), shapes)
    };
    let mut batch = wanted.min(pictures_at_once(model.model.threads().count(), views));
    while batch > 1 && accepts(batch).is_err() {
        batch /= 2;
    }
    batch
}

/// Returns how many pictures with this number of views each keep the threads busy.
fn pictures_at_once(threads: usize, views: usize) -> usize {
    (BATCH.next_multiple_of(threads) / views).max(1)
}

/// Prepares the rendering of these units as one batch.
fn prepared_batch(work: &PreparedUnits<'_>, members: &[usize]) -> Result<Render> {
    let units = members.iter().map(|&i| &work.units[i]);
    let Setting { preset, seed } = &work.settings[work.units[members[0]].setting];
    let objectives: Vec<Objective> = units.clone().map(|unit| unit.objective.clone()).collect();
    let starts = units.clone().map(|unit| unit.start.clone()).collect();
    let mask = units.clone().find_map(|unit| unit.mask.clone());
    let copies = units.map(|unit| unit.copy).collect();
    let materials = Materials { starts, copies, mask, ..work.materials.clone() };
    Ok(Render::with_materials(&work.model.model, preset, &objectives, *seed, &materials)?)
}

fn render_batch(
    context: &Context,
    work: &PreparedUnits<'_>,
    members: &[usize],
    mut render: Render,
    options: &Options,
    progress: &mut Task<'_>,
) -> Result<Vec<StoredUnit>> {
    let units: Vec<&RenderUnit> = members.iter().map(|&i| &work.units[i]).collect();
    let Setting { preset, seed } = &work.settings[units[0].setting];
    let steps = preset.total_steps();
    let mut camera = options.film.map(|format| Camera::new(format, steps, units.len(), options.display));
    if let Some(camera) = &mut camera {
        camera.watch(&mut render, &vec![true; units.len()])?;
    }
    while steps > 0 && !render.finished() {
        context.check()?;
        let changing: Vec<bool> = (0..units.len()).map(|e| !render.entry_finished(e)).collect();
        render.step()?;
        progress.advance(units.len() as u64);
        if let Some(camera) = &mut camera {
            camera.watch(&mut render, &changing)?;
        }
    }
    let rendered = render.finish()?;
    if let Some(r) = rendered.iter().find(|r| !r.value.is_finite()) {
        return Err(oneiro::Error::NotFinite { objective: r.objective.to_string(), step: r.steps }.into());
    }
    let levels = rendered.iter().map(|r| SavedImage::of(&r.images)).collect::<Result<Vec<_>>>()?;
    let value_saved = saved::values_saved(&mut render, &levels)?;
    let robustness = if options.robustness {
        saved::robustness(&mut render, &levels)?.into_iter().map(Some).collect()
    } else {
        vec![None; units.len()]
    };
    rendered
        .into_iter()
        .enumerate()
        .map(|(i, rendered)| {
            let unit = units[i];
            let variation = saved::variation(preset, &rendered.images);
            let shares = saved::shares(preset, &rendered);
            let report = UnitReport {
                unit: unit.unit.clone(),
                objective: unit.objective.to_string(),
                start: unit.start.as_ref().map(|s| s.name.clone()),
                copy: unit.copy,
                preset: preset.name.clone(),
                setting: unit.setting,
                seed: *seed,
                steps: rendered.steps,
                stop: rendered.stop.describe().into(),
                value: rendered.value,
                value_at_start: rendered.value_at_start,
                value_saved: value_saved[i],
                kappa: variation.map(|[kappa, _]| kappa),
                gamma: variation.map(|[_, gamma]| gamma),
                shares,
                named: None,
                robustness: robustness[i],
                display: options.display,
                display_range: None,
                belief: None,
            };
            let film = match &mut camera {
                Some(camera) => Some(camera.develop(i, png_text(work, members[i], &report, Role::Film)?)?),
                None => None,
            };
            Ok(StoredUnit { report, images: rendered.images, film })
        })
        .collect()
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
