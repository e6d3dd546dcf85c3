//! Shows the images that excite units most beside the units' rendered pictures.

use std::collections::BTreeMap;
use std::path::Path;

use oneiro::objective::{Unit, UnitTarget};
use oneiro_media::Image;
use tempfile::TempDir;

use super::layers::CLASSES;
use super::{RankedBy, ScanJob, ScannedClips};
use crate::error::Result;
use crate::job::belief::{Belief, Pictured, belief_of};
use crate::job::crops::Crops;
use crate::job::error::JobError;
use crate::job::tiles::{SIDE, crossed_out, squares};
use crate::job::{Folder, Job as _, Run};
use crate::model::LoadedModel;
use crate::numbers::short;
use crate::remark::ScanRemark;
use crate::store::read::UnitRecord;
use crate::store::{FILE, ScanFile};

/// Example images of units. They come from a given scan, or from a data set that is scanned for them.
pub(crate) struct Examples {
    scan: ScanFile,
    /// The temporary folder of a scan that was made only for these examples.
    _folder: Option<TempDir>,
    /// Classes by index, for units that are named by a class that the scan cannot know by name.
    by_index: BTreeMap<String, String>,
}

/// Whether a path is a scan's folder or file.
pub fn is_scan(data: &Path) -> bool {
    data.join(FILE).is_file() || data.extension().is_some_and(|e| e == "sqlite") && data.is_file()
}

/// The largest value of a unit's objective over a scan's images or clips: the mean over positions.
///
/// # Errors
/// If the scan is of another network, does not rank by activations, has the unit only behind its activation
/// function, or the value is not positive.
pub fn largest_of(scan: &ScanFile, model: &LoadedModel, unit: &str) -> Result<f64> {
    scan.check_model(model)?;
    if scan.ranked_by() != "activation" {
        return Err(JobError::NotByActivation { by: scan.ranked_by().to_owned() }.into());
    }
    let (record, named) = scan.unit_named(unit)?;
    let unit = unit.to_owned();
    if named.form.is_some() {
        return Err(JobError::OnlyActivated { unit, layer: named.layer.name.clone() }.into());
    }
    match record.best_by_mean.first().map_or(f64::NAN, |example| example.value) {
        value if value.is_finite() && value > 0.0 => Ok(value),
        value => Err(JobError::NoLargest { unit, value }.into()),
    }
}

impl Examples {
    /// Of these units of the run's network, each with its objective if it is known. `images`: where a scan's
    /// images lie, if they have moved. `top`: images in each list of a scan that is made now.
    ///
    /// # Errors
    /// If the data is a scan of another network, cannot be scanned, or a unit is not a single channel of a
    /// layer.
    pub(crate) fn of(
        run: &Run<'_>,
        data: &str,
        images: Option<&str>,
        units: &[(&str, Option<String>)],
        top: usize,
    ) -> Result<Self> {
        let model = run.model()?;
        let mut layers: Vec<String> = Vec::new();
        for (unit, _) in units {
            let layer = layer_of(unit)?;
            if !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        let path = run.places().of(data).to_owned();
        let found = if is_scan(&path) {
            let scan = ScanFile::open(&path)?.with_images(images)?;
            scan.check_model(model)?;
            Self { scan, _folder: None, by_index: BTreeMap::new() }
        } else {
            let folder = tempfile::Builder::new().prefix("oneiro-").tempdir()?;
            let job = ScanJob {
                data: path.to_string_lossy().into_owned(),
                layers,
                top,
                crop: None,
                by: RankedBy::Activation,
                thumbnails: false,
                clips: ScannedClips::default(),
            };
            job.run(&Run::new(model, run.context), &mut Folder::new(folder.path()))?;
            // The network of a result that is made again has no labels, and neither has this scan.
            let is_class = |unit: &str| model.labels.is_none() && unit.starts_with("class:");
            let by_index = units.iter().filter(|(unit, _)| is_class(unit)).filter_map(|(unit, objective)| {
                Some(((*unit).to_owned(), format!("class:{}", class_in(objective.as_deref()?)?)))
            });
            let by_index = by_index.collect();
            Self { scan: ScanFile::open(folder.path())?, _folder: Some(folder), by_index }
        };
        // Missing units are reported before anything is rendered.
        units.iter().try_for_each(|(unit, _)| found.unit(unit).map(|_| ()))?;
        Ok(found)
    }

    /// The name by which the scan knows a unit.
    fn name<'n>(&'n self, unit: &'n str) -> &'n str {
        self.by_index.get(unit).map_or(unit, String::as_str)
    }

    /// The largest value of a unit's objective; see [`largest_of`].
    pub(crate) fn largest(&self, model: &LoadedModel, unit: &str) -> Result<f64> {
        largest_of(&self.scan, model, self.name(unit))
    }

    /// What is known of a unit.
    pub(crate) fn unit(&self, unit: &str) -> Result<UnitRecord> {
        Ok(self.scan.unit_named(self.name(unit))?.0)
    }

    /// For each unit whether its picture may be believed.
    ///
    /// # Errors
    /// Those of [`belief_of`].
    pub(crate) fn beliefs(
        &self,
        run: &Run<'_>,
        units: &[&str],
        pictures: Vec<Option<Image>>,
    ) -> Result<Vec<Belief>> {
        let found =
            units.iter().map(|unit| self.scan.unit_named(self.name(unit))).collect::<Result<Vec<_>>>()?;
        let pictured: Vec<Pictured<'_>> = found
            .iter()
            .zip(pictures)
            .map(|((unit, named), picture)| Pictured { unit, layer: named.layer, picture })
            .collect();
        belief_of(run, &self.scan, &pictured)
    }

    /// For each unit its nine best crops in a square of this side, crossed out if no image excites it, and
    /// a line about them.
    ///
    /// # Errors
    /// If the scan cannot be read.
    pub(crate) fn mosaics(&self, run: &Run<'_>, units: &[&str], side: usize) -> Result<Vec<(Image, String)>> {
        let crops = Crops::new(&self.scan)?;
        let mosaic = |unit: &&str| -> Result<(Image, String)> {
            let (record, named) = self.scan.unit_named(self.name(unit))?;
            let mut parts = Vec::new();
            for example in record.best.iter().take(SIDE * SIDE) {
                parts.push(crops.crop(example, named.layer)?);
            }
            let mut image = squares(&parts, side)?;
            let maximum = record.maximum.unwrap_or(0.0);
            if maximum <= 0.0 && !named.layer.is_classes {
                crossed_out(&mut image);
                return Ok((image, "no image excites it".to_owned()));
            }
            // For comparison with the rendered picture: a channel's objective is its mean over positions.
            let mean =
                record.best_by_mean.first().filter(|_| named.form.is_none() && !named.layer.is_classes);
            let mean = mean.filter(|_| self.scan.ranked_by() == "activation");
            let words = match mean {
                Some(mean) => {
                    format!("images: mean to {}, position to {}", short(mean.value), short(maximum))
                }
                None => format!("images: to {}", short(maximum)),
            };
            Ok((image, words))
        };
        let mosaics = units.iter().map(mosaic).collect::<Result<_>>()?;
        if let Some((file, count)) = crops.gone() {
            run.context.remark(ScanRemark::SourcesGone { count, file });
        }
        Ok(mosaics)
    }
}

/// Returns the index of the class that is the whole of an objective.
fn class_in(objective: &str) -> Option<usize> {
    objective.strip_prefix("logit(")?.strip_suffix(')')?.parse().ok()
}

/// Returns the layer of a unit that is a single channel.
fn layer_of(unit: &str) -> Result<String> {
    let refused = || JobError::NoExamples { unit: unit.to_owned() };
    match unit.parse::<Unit>().map_err(|_| refused())?.target {
        UnitTarget::Channel(layer, _) => Ok(layer),
        UnitTarget::Class(_) => Ok(CLASSES.to_owned()),
        _ => Err(refused().into()),
    }
}
