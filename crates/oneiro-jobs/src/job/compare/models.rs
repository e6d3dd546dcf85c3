//! One unit in several networks, such as the checkpoints of a training.

use oneiro::objective::Objective;
use oneiro::similarity::cosine;

use super::board::{Board, BoardRow, Tile};
use super::examples::measure;
use super::images::{Images, scan_of};
use super::pictures;
use super::reader::{Reader, Readers};
use super::report::{Agreement, CompareReport, ModelsReport, UnitInModel};
use super::request::{Compared, ComparedUnit};
use super::{CompareJob, Outcome};
use crate::error::{During as _, Result, Step};
use crate::job::Run;
use crate::job::render::Finished;
use crate::job::units::plain_class;
use crate::model::LoadedModel;
use crate::numbers::short;

/// Best images of each network that are drawn.
const SHOWN: usize = 8;

/// Short names of networks, each another one.
pub(super) fn names_of(models: &[&LoadedModel]) -> Vec<String> {
    let short = |model: &&LoadedModel| {
        let path = std::path::Path::new(&model.source);
        match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) {
            true => path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            false => model.source.clone(),
        }
    };
    let mut names: Vec<String> = models.iter().map(short).collect();
    let is_known = |i: usize| names[..i].contains(&names[i]);
    if (0..names.len()).any(is_known) {
        names = models.iter().map(|model| model.source.clone()).collect();
    }
    names
}

/// Renders units in each network, with the same seed and settings.
pub(super) fn render_in_all(
    job: &CompareJob,
    run: &Run<'_>,
    models: &[&LoadedModel],
    units: &dyn Fn(usize) -> Vec<(String, Objective)>,
) -> Result<(Vec<Vec<Finished>>, CompareJob)> {
    let mut all = Vec::new();
    let mut job = job.clone();
    // A remark on a unit holds for it in all networks.
    let context = run.context.once();
    for (i, model) in models.iter().enumerate() {
        let own = Run::new(model, &context).with_parts(run.parts());
        let rendered = pictures::render(&own, &job, &units(i));
        let (finished, setting) = rendered.during(|| Step::Use { model: model.source.clone() })?;
        if i == 0 {
            job = job.done(job.what.clone(), &setting);
        }
        all.push(finished);
    }
    Ok((all, job))
}

pub(super) fn compare(
    job: &CompareJob,
    run: &Run<'_>,
    models: &[&LoadedModel],
    unit: &ComparedUnit,
) -> Result<Outcome> {
    let names = names_of(models);
    let mut objectives = Vec::new();
    let mut readers = Vec::new();
    for (i, model) in models.iter().enumerate() {
        let objective = unit.objective(model, i)?;
        let reader = Reader::new(model, &unit.unit, &objective);
        readers.push(reader.during(|| Step::Use { model: model.source.clone() })?);
        objectives.push(objective);
    }
    let scan = scan_of(run, job)?;
    let images = Images::of_job(run, job, scan.as_ref())?;
    let inputs = models.iter().map(|model| images.check(model)).collect::<Result<Vec<_>>>()?;
    let of_model = |i: usize| vec![(unit.unit.clone(), objectives[i].clone())];
    let (finished, job) = render_in_all(job, run, models, &of_model)?;
    let all: Vec<&Finished> = finished.iter().flatten().collect();

    let mut sessions = Vec::new();
    for (model, reader) in models.iter().zip(&readers) {
        sessions.push(run.context.compute(|| Readers::new(model, &[reader]))?);
    }
    let measured = measure(run, &mut sessions, &inputs, &images, job.data.as_ref(), &mut |_, _| ())?;
    let largest = |i: usize| measured.iter().map(|(_, peaks)| peaks[i].largest).collect::<Vec<f32>>();
    let weights = models
        .iter()
        .zip(&readers)
        .map(|(model, reader)| reader.weights(model))
        .collect::<Result<Vec<_>>>()?;
    let mut reports = Vec::new();
    for (i, model) in models.iter().enumerate() {
        let cosine_with = |j: usize| cosine(weights[i].as_deref()?, weights[j].as_deref()?);
        reports.push(UnitInModel {
            model: names[i].clone(),
            value: all[i].report.value,
            value_at_start: all[i].report.value_at_start,
            values: pictures::values(run, model, &job.setting, &objectives[i], &all)?,
            weight_cosines: (0..models.len()).map(cosine_with).collect(),
            correlations: (0..models.len()).map(|j| Agreement::of(&largest(i), &largest(j))).collect(),
        });
    }
    let report = ModelsReport {
        unit: unit.unit.clone(),
        models: reports,
        synthetic: images.are_synthetic(),
        pictures: measured.len(),
    };
    let mut rows = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let lines = report.models.iter().map(|of| {
            of.values[i].map_or_else(String::new, |value| format!("{} in {}", short(value), of.model))
        });
        let mut tiles = vec![Tile::optimised(all[i], lines.filter(|line| !line.is_empty()).collect())?];
        if !images.are_synthetic() {
            let values = largest(i);
            let mut order: Vec<usize> = (0..values.len()).filter(|&k| values[k].is_finite()).collect();
            order.sort_by(|&x, &y| values[y].total_cmp(&values[x]).then(x.cmp(&y)));
            for k in order.into_iter().take(SHOWN) {
                let at = measured[k].0;
                let Some(picture) = images.picture(at, &inputs[i])? else { continue };
                let file = images.file(at).unwrap_or_default();
                let class =
                    file.split_once('/').map_or_else(|| file.to_owned(), |(class, _)| plain_class(class));
                tiles.push(Tile::image(picture, vec![class, short(f64::from(values[k]))])?);
            }
        }
        let note = "The picture that excites the unit most in this network, with its value in each network; then the images \
                    with the unit's largest activations here.";
        rows.push(BoardRow::new(name, note, tiles));
    }
    let with: Vec<&Objective> = objectives.iter().collect();
    let unit = unit.with_objectives(&with);
    let setting = job.setting.clone();
    let board = Board {
        title: format!("{} in {}", report.unit, names.join(", ")),
        subtitle: format!("preset {}, seed {}", setting.preset.title(), setting.seed),
        words: report.words(),
        rows,
    };
    let job = job.done(Compared::Unit { unit }, &setting);
    Ok(Outcome { report: CompareReport::Unit(report), board, job })
}

impl ModelsReport {
    /// What the numbers say, a sentence each.
    pub fn words(&self) -> Vec<String> {
        let pictures = if self.synthetic { "synthetic pictures" } else { "images" };
        vec![
            "cosine of weights: 1 if the unit weighs its inputs as in the first network. The channels before it have to mean \
             the same in both, as in checkpoints of one training"
                .into(),
            format!(
                "correlation over {} {pictures} of the unit's largest activations: 1 if the same pictures excite it as in the first \
                 network",
                self.pictures
            ),
        ]
    }
}
