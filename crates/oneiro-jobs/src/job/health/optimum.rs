//! Which filters the optimiser cannot excite beyond images.

use serde_json::json;

use super::report::HealthReport;
use super::units::scanned;
use super::verdict::Verdict;
use crate::error::Result;
use crate::job::render::{RenderJob, Setting};
use crate::job::{Job as _, Nothing, Run};
use crate::numbers::rounded;
use crate::source::references::picture_size;
use crate::store::ScanFile;

/// The tag of a filter that images excite more than the picture that is made for it.
pub(super) const NOT_VISUALIZABLE: &str = "not_visualizable";
/// Recipe of the pictures.
const RECIPE: &str = "oneiro";

/// Makes a picture of each filter that is not dead, at the size that the network sees, and tags those that an
/// image excites more, by the mean over positions.
///
/// # Errors
/// If a filter cannot be rendered, or the scan cannot be read.
pub(super) fn tag(run: &Run<'_>, report: &mut HealthReport, scan: Option<&ScanFile>) -> Result<()> {
    let why = match scan {
        _ if run.model()?.takes_clips() => {
            Some("pictures of filters are stills, and this network takes clips")
        }
        None => Some("no images were given"),
        Some(scan) if scan.ranked_by() != "activation" => Some("the scan ranks images by relevance"),
        Some(_) => None,
    };
    let (Some(scan), None) = (scan, why) else {
        report.not_judged.push(format!("{NOT_VISUALIZABLE}: {}", why.unwrap_or_default()));
        return Ok(());
    };
    let mut setting = Setting::named(RECIPE, 0)?;
    setting.preset.size = Some(picture_size(run.model()?, None)?);
    for layer in &mut report.layers {
        let names: Vec<String> = std::iter::once(&layer.name).chain(&layer.aliases).cloned().collect();
        let Some((record, first)) = scanned(scan, &names) else { continue };
        let mut units: Vec<_> = layer.units.iter_mut().filter(|unit| unit.verdict != Verdict::Dead).collect();
        let asked: Vec<String> =
            units.iter().map(|unit| format!("\"{}\":{}", layer.name, unit.channel)).collect();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        if asked.is_empty() {
            continue;
        }
        let made = RenderJob::new(&asked, setting.clone()).run(run, &mut Nothing)?;
        for (unit, made) in units.iter_mut().zip(&made.units) {
            let known = scan.unit(record, first + unit.channel)?;
            let Some(best) = known.best_by_mean.first() else { continue };
            unit.evidence.insert("mean_of_optimised_picture", json!(rounded(made.value)));
            unit.evidence.insert("largest_mean_of_images", json!(rounded(best.value)));
            if made.value < best.value {
                unit.tags.push(NOT_VISUALIZABLE.to_owned());
            }
        }
    }
    Ok(())
}
