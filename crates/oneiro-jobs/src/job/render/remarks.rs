//! Remarks on a rendering: that the optimisation failed, that a picture shows nothing, that a setting was not
//! given.

use std::collections::BTreeSet;

use oneiro::card::InputKind;
use oneiro::gradients::ReluGradient;
use oneiro::kernels;
use oneiro::objective::{Objective, TermKind};
use oneiro_net::ValueId;

use crate::context::Context;
use crate::error::Result;
use crate::job::render::answer::Answers;
use crate::job::render::report::UnitReport;
use crate::job::render::{Finished, PreparedUnits};
use crate::model::LoadedModel;
use crate::remark::{Relus, ResultRemark};

/// Number of units that a remark names. Further units are only counted.
const NAMED: usize = 4;
/// With fewer steps than this, a picture is not expected to show anything.
const ENOUGH_STEPS: usize = 64;

/// Tells the user, before the work begins, what the settings lack.
pub fn on_units(context: &Context, work: &PreparedUnits<'_>) {
    let guessed = work.units.iter().any(|job| {
        let preset = &work.settings[job.setting].preset;
        preset.unit_weight.is_some()
            && !preset.relative
            && preset.max_activation == 1.0
            && !job.objective.compares()
    });
    if guessed {
        context.remark(ResultRemark::UnknownActivation);
    }
    let linear = work.units.iter().find_map(|job| linear_mean(work.model, &job.objective));
    if let Some((layer, value)) = linear {
        let (layer, behind) = (layer.to_owned(), activation_behind(work.model, value));
        context.remark(ResultRemark::LinearMean { layer, behind });
    }
    let in_front = work.units.iter().find_map(|job| in_front_of_activation(work.model, &job.objective));
    if let Some((layer, behind)) = in_front.filter(|_| linear.is_none()) {
        context.remark(ResultRemark::InFrontOfActivation { layer, behind });
    }
    let ruled = work.units.iter().find_map(|job| {
        let rule = work.settings[job.setting].preset.gradients.relu;
        work.model.is_rule_idle(rule, &job.objective).then(|| rule.to_string())
    });
    if let Some(rules) = ruled {
        context.remark(ResultRemark::NoRelus { rules });
    }
}

/// If an objective is the mean of a channel that is linear in the picture, returns the layer and its value.
fn linear_mean<'o>(model: &LoadedModel, objective: &'o Objective) -> Option<(&'o str, ValueId)> {
    let Objective::Term(term) = objective else { return None };
    let value = model.model.value_of(term).ok().filter(|_| matches!(term.kind, TermKind::Channel(_)))?;
    kernels::is_affine(&model.model, value).then_some((term.layer.as_str(), value))
}

/// If an objective is the mean of a channel in front of an activation function, returns the layer and a name
/// of this function.
fn in_front_of_activation(model: &LoadedModel, objective: &Objective) -> Option<(String, String)> {
    let Objective::Term(term) = objective else { return None };
    let value = model.model.value_of(term).ok().filter(|_| matches!(term.kind, TermKind::Channel(_)))?;
    Some((term.layer.clone(), relu_behind(model, value)?))
}

/// Returns a name of the ReLU after a value.
fn relu_behind(model: &LoadedModel, value: ValueId) -> Option<String> {
    model.model.names().of(model.relu_behind(value)?).into_iter().next()
}

/// Returns a name of the layer whose earlier form a value is: that behind its normalization and activation
/// function.
fn activation_behind(model: &LoadedModel, value: ValueId) -> Option<String> {
    let layers = model.model.unit_layers().ok()?;
    let layer = layers.iter().find(|layer| layer.forms.iter().any(|form| form.value == value))?;
    model.model.names().of(layer.value).into_iter().next().or_else(|| relu_behind(model, value))
}

/// Tells the user about results that failed or show nothing.
pub fn on_results(context: &Context, work: &PreparedUnits<'_>, finished: &[Finished], all_inputs: bool) {
    if let Some([first, rest @ ..]) = finished.first().map(|f| &f.rendered.images[..])
        && !rest.is_empty()
        && !all_inputs
    {
        let others = rest.iter().map(|p| p.input.clone()).collect();
        context.remark(ResultRemark::SeveralInputs { drawn: first.input.clone(), others });
    }
    let remark = |of: &dyn Fn(usize, &Finished) -> bool, remark: &dyn Fn(String, bool) -> ResultRemark| {
        let of_these = finished.iter().enumerate().filter(|(i, f)| of(*i, f));
        let found: Vec<&UnitReport> = of_these.map(|(_, f)| &f.report).collect();
        if !found.is_empty() {
            context.remark(remark(names(&found), found.iter().all(|r| r.display.is_clip())));
        }
    };
    let silent = silent_on_average(work, finished);
    let has_relu = work.model.model.graph.nodes.iter().any(|n| n.op.obeys_relu_rule());
    let is_redirected = |f: &Finished| {
        let rule = work.settings[f.report.setting].preset.gradients.relu;
        has_relu && rule == ReluGradient::Redirected
    };
    let plain = if has_relu { Relus::Plain } else { Relus::None };
    remark(&|_, f| f.report.is_stuck() && !is_redirected(f), &|units, _| ResultRemark::Stuck {
        units,
        relus: plain,
    });
    remark(&|_, f| f.report.is_stuck() && is_redirected(f), &|units, _| ResultRemark::Stuck {
        units,
        relus: Relus::Redirected,
    });
    // Larger steps do not help if the mean is linear or if a ReLU cuts it off.
    let linear: Vec<bool> =
        work.units.iter().map(|job| linear_mean(work.model, &job.objective).is_some()).collect();
    let below: Vec<usize> = (0..finished.len()).filter(|&i| !linear[i] && silent[i].is_some()).collect();
    let relus: BTreeSet<&String> = below.iter().filter_map(|&i| silent[i].as_ref()).collect();
    for behind in relus {
        let of_relu = below.iter().filter(|i| silent[**i].as_ref() == Some(behind));
        let units: Vec<&UnitReport> = of_relu.map(|&i| &finished[i].report).collect();
        context.remark(ResultRemark::BelowZero { units: names(&units), behind: behind.clone() });
    }
    remark(&|_, f| has_fallen(&f.report), &|units, _| ResultRemark::Fallen { units });
    remark(&|_, f| is_clipped(f), &|units, _| ResultRemark::Clipped { units });
    for (report, vary) in finished.iter().filter_map(|f| Some((&f.report, better_shown(f)?))) {
        context.remark(ResultRemark::EvenBands { unit: report.unit.clone(), vary });
    }
    let is_excused = |i: usize| linear[i] || silent[i].is_some();
    remark(&|i, f| is_faint(f) && !f.report.is_stuck() && !is_excused(i), &|units, clipped| {
        ResultRemark::Faint { units, clipped }
    });
}

/// Tells the user which classes' pictures the network names otherwise.
///
/// # Errors
/// If the network cannot be run.
pub fn on_classes(context: &Context, work: &PreparedUnits<'_>, finished: &[Finished]) -> Result<()> {
    let model = work.model;
    let mut answers: Option<(Option<[usize; 2]>, Answers<'_>)> = None;
    let mut named = Vec::new();
    for result in finished {
        let report = &result.report;
        let class = report.objective.strip_prefix("logit(").and_then(|rest| rest.strip_suffix(')'));
        let Some(class) = class.and_then(|class| class.parse::<usize>().ok()) else { continue };
        if report.steps < ENOUGH_STEPS || model.model.class_count().is_none_or(|count| count < 2) {
            continue;
        }
        let size = work.settings[report.setting].preset.size;
        let known = match answers.take().filter(|(of, _)| *of == size) {
            Some(known) => known,
            None => (size, Answers::new(context, model, size)?),
        };
        let answers = &mut answers.insert(known).1;
        if let Some(other) = answers.class(&result.rendered.images).filter(|other| *other != class) {
            let other = model.class_name(other);
            named.push(format!("{}: {}", report.unit, other.split(',').next().unwrap_or(&other)));
        }
    }
    if !named.is_empty() {
        let more = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        context.remark(ResultRemark::OtherClass { named: format!("{}{more}", named.join(", ")) });
    }
    Ok(())
}

/// For each unit that is a channel's mean and stayed below zero, returns the name of the ReLU after the
/// layer. This ReLU sets values below zero to zero.
fn silent_on_average(work: &PreparedUnits<'_>, finished: &[Finished]) -> Vec<Option<String>> {
    let silent = |(job, result): (&crate::job::render::RenderUnit, &Finished)| {
        let Objective::Term(term) = &job.objective else { return None };
        let of_channel = matches!(term.kind, TermKind::Channel(_));
        if !of_channel || result.report.steps < ENOUGH_STEPS || result.report.value >= 0.0 {
            return None;
        }
        let value = work.model.model.value_of(term).ok()?;
        relu_behind(work.model, value)
    };
    work.units.iter().zip(finished).map(silent).collect()
}

/// Returns the units' names; if there are many, only the first ones.
fn names(reports: &[&UnitReport]) -> String {
    let mut units: Vec<&str> = reports.iter().map(|r| r.unit.as_str()).collect();
    units.dedup();
    let more = units.len().saturating_sub(NAMED);
    units.truncate(NAMED);
    let list = units.join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

/// Whether the objective is lower than at the start, although there were enough steps to raise it.
fn has_fallen(report: &UnitReport) -> bool {
    report.steps >= ENOUGH_STEPS && report.value < report.value_at_start && !report.is_stuck()
}

/// Standard deviation of a plane's values in 0–1 below which the plane looks uniform.
const FAINT: f64 = 0.03;

/// Whether a picture started from noise and had enough steps to show something.
fn should_show(report: &UnitReport) -> bool {
    report.steps >= ENOUGH_STEPS && report.start.is_none()
}

/// Returns the standard deviation of each plane that the network reads.
fn deviations(finished: &Finished) -> Vec<f64> {
    let plane = finished.picture.width * finished.picture.height;
    finished.levels.chunks_exact(plane.max(1)).map(deviation).collect()
}

/// Whether a picture from noise is nearly uniform in each colour or band.
fn is_faint(finished: &Finished) -> bool {
    should_show(&finished.report) && deviations(finished).into_iter().fold(0.0, f64::max) < FAINT
}

/// If the drawn bands are nearly uniform, returns the bands that vary most, three to be drawn.
fn better_shown(finished: &Finished) -> Option<Vec<usize>> {
    let picture = finished.rendered.images.first()?;
    // Frames of a clip, and fields of flow, are no bands to choose from.
    if picture.kind != InputKind::Image {
        return None;
    }
    let deviations = deviations(finished);
    let varies = |band: &usize| deviations[*band] >= FAINT;
    if !should_show(&finished.report) || picture.shown.iter().any(varies) {
        return None;
    }
    let mut best: Vec<usize> = (0..deviations.len()).filter(varies).collect();
    best.sort_by(|&a, &b| deviations[b].total_cmp(&deviations[a]).then(a.cmp(&b)));
    best.truncate(3);
    match best[..] {
        [] => None,
        [first, second] => Some(vec![first, second, second]),
        _ => Some(best),
    }
}

fn deviation(values: &[f32]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// Whether most values of a picture from noise are at the ends of the displayable range.
fn is_clipped(finished: &Finished) -> bool {
    /// Share of such values above which the picture has lost its shades. The strongest pictures of the
    /// gallery have .4.
    const CLIPPED: f64 = 0.6;
    let values = &finished.levels;
    let ends = values.iter().filter(|v| **v <= 0.0 || **v >= 1.0).count();
    finished.report.start.is_none() && ends as f64 > CLIPPED * values.len() as f64
}
