//! What a person should know of a rendering beside its picture: that it led nowhere, that nothing can be seen, that a
//! setting was left to chance.

use oneiro::gradients::ReluGradient;
use oneiro::objective::{Objective, TermKind};

use crate::context::Context;
use crate::job::render::report::UnitReport;
use crate::job::render::{Finished, PreparedUnits};

/// Units that are named in a note; more are counted.
const NAMED: usize = 4;
/// Steps below which nothing is expected of a picture.
const ENOUGH_STEPS: usize = 64;

/// Says before the work what the recipe lacks.
pub fn on_units(context: &Context, work: &PreparedUnits<'_>) {
    let guessed = work.units.iter().any(|job| {
        let preset = &work.settings[job.setting].preset;
        preset.unit_weight.is_some() && preset.max_activation == 1.0 && !job.objective.compares()
    });
    if guessed {
        context.note(
            "the units' largest activations are not known and taken for 1, which may be too strong; give \
             --set max_activation=A (`oneiro render` also has --data FOLDER, whose photos show it)",
        );
    }
}

/// Says what the results are not.
pub fn on_results(context: &Context, work: &PreparedUnits<'_>, finished: &[Finished]) {
    if let Some([first, rest @ ..]) = finished.first().map(|f| &f.rendered.images[..])
        && !rest.is_empty()
    {
        let rest: Vec<&str> = rest.iter().map(|p| p.input.as_str()).collect();
        context.note(&format!(
            "several inputs are optimised together; what is written is the picture of \"{}\", and --raw keeps that of {} \
             too",
            first.input,
            rest.join(", ")
        ));
    }
    let note = |of: &dyn Fn(&Finished) -> bool, text: &dyn Fn(&str, bool) -> String| {
        let found: Vec<&UnitReport> = finished.iter().filter(|f| of(f)).map(|f| &f.report).collect();
        if !found.is_empty() {
            context.note(&text(&names(&found), found.iter().all(|r| r.display.is_clip())));
        }
    };
    let why = "the gradient is zero or nearly so (a dead unit, a saturated output, weights that were never trained, a mask that is \
               black everywhere)";
    let has_relu = work.model.model.graph.nodes.iter().any(|n| n.op.obeys_relu_rule());
    let is_redirected = |f: &Finished| {
        let rule = work.settings[f.report.setting].preset.gradients.relu;
        has_relu && rule == ReluGradient::Redirected
    };
    note(&|f| is_stuck(&f.report) && !is_redirected(f), &|names, _| {
        format!(
            "the value of {names} did not change: {why}{}",
            if has_relu { "; --relu-rule redirected may wake a dead unit" } else { "" }
        )
    });
    note(&|f| is_stuck(&f.report) && is_redirected(f), &|names, _| {
        format!(
            "the value of {names} did not change: {why}; what the picture shows comes from gradients that were redirected \
             past the ReLUs, and says nothing of the unit"
        )
    });
    if let Some((layer, behind)) = silent_on_average(work, finished) {
        context.note(&format!(
            "some channels of {layer} stay below zero: their mean counts all that they reject, and what comes behind, \
             {behind}, lets none of it through; {behind} shows what makes them fire"
        ));
    }
    note(&|f| has_fallen(&f.report), &|names, _| {
        format!(
            "{names} ended no higher than it began: the steps were too large, or what the recipe asks for beside the unit \
             was stronger; try a smaller --lr, other --transform, or weaker penalties"
        )
    });
    note(&|f| is_clipped(f), &|names, _| {
        format!(
            "most of the picture of {names} is at the end of what a picture can show: the steps were too large; try a \
             smaller --lr or fewer --steps"
        )
    });
    for (report, bands) in finished.iter().filter_map(|f| Some((&f.report, better_shown(f)?))) {
        let bands: Vec<String> = bands.iter().map(usize::to_string).collect();
        context.note(&format!(
            "the bands of {} that are drawn are nearly even; those that vary most are --show {}",
            report.unit,
            bands.join(",")
        ));
    }
    note(&|f| is_faint(f) && !is_stuck(&f.report), &|names, clip| {
        format!(
            "the picture of {names} is nearly even: the steps were small for this network; try a larger --lr or more \
             --steps{}",
            if clip { ", or --display auto to see what there is" } else { "" }
        )
    });
}

/// A layer of which a channel's mean stayed below zero, and the ReLU behind that cuts off what is below zero.
fn silent_on_average(work: &PreparedUnits<'_>, finished: &[Finished]) -> Option<(String, String)> {
    let silent = |(job, result): (&crate::job::render::RenderUnit, &Finished)| {
        let Objective::Term(term) = &job.objective else { return None };
        let of_channel = matches!(term.kind, TermKind::Channel(_));
        if !of_channel || result.report.steps < ENOUGH_STEPS || result.report.value >= 0.0 {
            return None;
        }
        let value = work.model.model.value_of(term).ok()?;
        let behind = work.model.relu_behind(value)?;
        Some((term.layer.clone(), work.model.model.names().of(behind).into_iter().next()?))
    };
    work.units.iter().zip(finished).find_map(silent)
}

/// The units' names, of many the first few.
fn names(reports: &[&UnitReport]) -> String {
    let mut units: Vec<&str> = reports.iter().map(|r| r.unit.as_str()).collect();
    units.dedup();
    let more = units.len().saturating_sub(NAMED);
    units.truncate(NAMED);
    let list = units.join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

/// Whether an optimisation led nowhere.
fn is_stuck(report: &UnitReport) -> bool {
    /// Share of the value below which it has not changed.
    const NOTHING: f64 = 1e-6;
    let change = (report.value - report.value_at_start).abs();
    report.steps > 0 && change <= NOTHING * report.value.abs().max(report.value_at_start.abs())
}

/// Whether the objective is lower than at the start, after so many steps that it should not be.
fn has_fallen(report: &UnitReport) -> bool {
    report.steps >= ENOUGH_STEPS && report.value < report.value_at_start && !is_stuck(report)
}

/// Deviation of a plane's values, 0–1, below which it looks even.
const FAINT: f64 = 0.03;

/// Whether a picture was made from noise, in enough steps to look like something.
fn should_show(report: &UnitReport) -> bool {
    report.steps >= ENOUGH_STEPS && report.start.is_none()
}

/// How much each of the planes that the network reads varies.
fn deviations(finished: &Finished) -> Vec<f64> {
    let plane = finished.picture.width * finished.picture.height;
    finished.levels.chunks_exact(plane.max(1)).map(deviation).collect()
}

/// Whether nothing can be seen in a picture from noise: each colour or band by itself.
fn is_faint(finished: &Finished) -> bool {
    should_show(&finished.report) && deviations(finished).into_iter().fold(0.0, f64::max) < FAINT
}

/// The bands that vary most, if those that are drawn are even: as many as `--show` takes.
fn better_shown(finished: &Finished) -> Option<Vec<usize>> {
    let picture = finished.rendered.images.first()?;
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

/// Whether most values of a picture from noise are the least or the most that can be shown.
fn is_clipped(finished: &Finished) -> bool {
    /// Share of such values beyond which the picture has lost its shades; the strongest pictures of the gallery have .4.
    const CLIPPED: f64 = 0.6;
    let values = &finished.levels;
    let ends = values.iter().filter(|v| **v <= 0.0 || **v >= 1.0).count();
    finished.report.start.is_none() && ends as f64 > CLIPPED * values.len() as f64
}
