//! What a person should know of results beside their numbers.

use super::Finished;
use crate::context::Context;
use crate::metadata::UnitReport;

/// Says what a person should know of the results.
pub(super) fn remark(context: &Context, finished: &[Finished]) {
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
    for (report, bands) in finished.iter().filter_map(|f| Some((&f.report, better_shown(f)?))) {
        let bands: Vec<String> = bands.iter().map(usize::to_string).collect();
        context.note(&format!(
            "note: the bands of {} that are drawn are nearly even; those that vary most are --show {}",
            report.unit,
            bands.join(",")
        ));
    }
    for report in finished.iter().filter(|f| is_faint(f) && !is_stuck(&f.report)).map(|f| &f.report) {
        context.note(&format!(
            "note: the picture of {} is nearly grey: the steps were small for this network; try a larger --lr or more --steps",
            report.unit
        ));
    }
}

/// Deviation of values, 0–1, below which a picture looks even.
const FAINT: f64 = 0.03;
/// Fewer steps leave any picture even.
const ENOUGH: usize = 64;

/// Whether a picture was made from noise, in enough steps to look like something.
fn should_show(report: &UnitReport) -> bool {
    report.steps >= ENOUGH && report.start.is_none()
}

fn deviation(values: &[f32]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    variance.sqrt()
}

/// The bands that vary most, if those that are drawn are even: as many as `--show` takes.
fn better_shown(finished: &Finished) -> Option<Vec<usize>> {
    let picture = finished.rendered.images.first()?;
    let plane = picture.shape[1] * picture.shape[2];
    let deviations: Vec<f64> = finished.levels.chunks_exact(plane).map(deviation).collect();
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

/// Whether a picture from noise is so even that nothing can be seen in it.
fn is_faint(finished: &Finished) -> bool {
    should_show(&finished.report) && deviation(&finished.levels) < FAINT
}

/// Whether an optimisation led nowhere.
fn is_stuck(report: &UnitReport) -> bool {
    /// Share of the value below which it has not changed.
    const NOTHING: f64 = 1e-6;
    let change = (report.value - report.value_at_start).abs();
    report.steps > 0 && change <= NOTHING * report.value.abs().max(report.value_at_start.abs())
}
