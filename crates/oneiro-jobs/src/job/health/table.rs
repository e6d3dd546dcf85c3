//! The health of several networks side by side: checkpoints, or all models of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::report::HealthReport;
use super::verdict::Verdict;
use super::{ClassHealth, HealthJob};
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::files::FileError;
use crate::job::error::JobError;
use crate::job::scan::Accuracy;
use crate::job::{Job as _, Nothing, Run};
use crate::model::{self, ModelSpec};
use crate::numbers::rounded;

/// The health of one network in a line.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ModelHealth {
    /// The model's file.
    pub model: String,
    /// Number of filters.
    pub filters: usize,
    /// Number of filters with each verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Number of filters with each verdict that is no guess.
    pub sure: BTreeMap<Verdict, usize>,
    /// The effective number of different filters as a share of all, the mean over the layers.
    pub diversity: Option<f64>,
    /// How many images are named rightly.
    pub accuracy: Option<Accuracy>,
    /// Whether hardly more images are named rightly than by chance: an untrained network has healthy filters,
    /// too.
    pub is_near_chance: bool,
    /// Number of classes that were judged.
    pub classes_judged: usize,
    /// The class that is suspected most to follow a cue.
    pub most_suspected: Option<ClassHealth>,
    /// Why the network could not be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl ModelHealth {
    fn of(model: String, report: &HealthReport) -> Self {
        let counted =
            |of: &dyn Fn(Verdict) -> usize| Verdict::ALL.map(|verdict| (verdict, of(verdict))).into();
        let verdicts = counted(&|verdict| report.count(verdict));
        let sure = counted(&|verdict| report.sure(verdict));
        let classes_judged = report.classes.iter().filter(|class| class.is_judged()).count();
        let shares: Vec<f64> = report
            .layers
            .iter()
            .filter_map(|layer| Some(layer.summary.effective_rank? / layer.units.len() as f64))
            .collect();
        let diversity =
            (!shares.is_empty()).then(|| rounded(shares.iter().sum::<f64>() / shares.len() as f64));
        let suspected = report.classes.iter().filter(|class| class.suspicion > 0.0);
        let most_suspected = suspected.max_by(|a, b| a.suspicion.total_cmp(&b.suspicion)).cloned();
        let (filters, accuracy) = (report.units(), report.accuracy);
        Self {
            model,
            filters,
            verdicts,
            sure,
            diversity,
            accuracy,
            is_near_chance: report.is_near_chance(),
            classes_judged,
            most_suspected,
            failed: None,
        }
    }

    /// The share of filters with a verdict that is no guess.
    pub fn sure_share(&self, verdict: Verdict) -> f64 {
        self.sure.get(&verdict).copied().unwrap_or(0) as f64 / self.filters.max(1) as f64
    }
}

/// The models of a folder, by name: numbers in names in their order.
///
/// # Errors
/// If the folder cannot be read, or has no models.
pub fn models_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| FileError::Read { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "onnx") && path.is_file() {
            found.push(path);
        }
    }
    found.sort_by_key(|path| natural(&path.to_string_lossy()));
    if found.is_empty() {
        return Err(JobError::NoModels { folder: folder.to_owned() }.into());
    }
    Ok(found)
}

/// Judges each model. A model that cannot be judged has a line that says why.
///
/// # Errors
/// If the work is cancelled.
pub fn judge_each(
    context: &Context,
    spec: &ModelSpec,
    models: &[PathBuf],
    job: &HealthJob,
) -> Result<Vec<ModelHealth>> {
    let mut rows = Vec::new();
    for path in models {
        context.check()?;
        let name = path.to_string_lossy().into_owned();
        let spec = ModelSpec { model: name.clone(), ..spec.clone() };
        let judged =
            model::load(context, &spec).and_then(|model| job.run(&Run::new(&model, context), &mut Nothing));
        rows.push(match judged {
            Ok(report) => ModelHealth::of(name, &report),
            Err(error @ Error::Cancelled(_)) => return Err(error),
            Err(error) => ModelHealth { model: name, failed: Some(chain(&error)), ..ModelHealth::default() },
        });
    }
    Ok(rows)
}

/// A key by which "epoch2" comes before "epoch10": the text in pieces, numbers padded to one length.
fn natural(text: &str) -> String {
    /// Digits of the largest number.
    const DIGITS: usize = 20;
    let (mut key, mut digits) = (String::new(), String::new());
    for c in text.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            key.push_str(&format!("{digits:0>DIGITS$}"));
            digits.clear();
        }
        key.push(c);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["epoch10.onnx", "epoch2.onnx", "final.onnx", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = models_in(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_string_lossy()).collect();
        assert_eq!(names, ["epoch2.onnx", "epoch10.onnx", "final.onnx"]);
    }
}
