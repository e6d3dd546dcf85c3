//! The images that excite units most, beside the units' own pictures.

use std::path::Path;

use oneiro::objective::{Unit, UnitTarget};
use oneiro_media::{Filter, Image, resize};
use tempfile::TempDir;

use super::layers::CLASSES;
use super::{RankedBy, ScanJob};
use crate::error::Result;
use crate::job::error::JobError;
use crate::job::sheet::crossed_out;
use crate::job::units::crops::Crops;
use crate::job::{Folder, Job as _, Run};
use crate::numbers::short;
use crate::remark::ScanRemark;
use crate::store::read::UnitRecord;
use crate::store::{FILE, ScanFile};

/// Crops along a side of a mosaic.
const SIDE: usize = 3;
/// Pixels between crops.
const GAP: usize = 2;
/// Between crops, and where there is none.
const PAPER: f32 = 0.93;

/// Images that excite units, from a scan, or from a data set that is scanned for them.
pub(crate) struct Examples {
    scan: ScanFile,
    /// Holds a scan that was made for this alone.
    _folder: Option<TempDir>,
}

/// Whether a path is that of a scan.
pub fn is_scan(data: &Path) -> bool {
    data.join(FILE).is_file() || data.extension().is_some_and(|e| e == "sqlite") && data.is_file()
}

impl Examples {
    /// Of these units of the run's network.
    ///
    /// # Errors
    /// If the data is a scan of another network, or cannot be scanned, or a unit is not one channel of a layer.
    pub(crate) fn of(run: &Run<'_>, data: &str, units: &[&str]) -> Result<Self> {
        let model = run.model()?;
        let mut layers: Vec<String> = Vec::new();
        for unit in units {
            let layer = layer_of(unit)?;
            if !layers.contains(&layer) {
                layers.push(layer);
            }
        }
        let path = run.places().of(data).to_owned();
        let found = if is_scan(&path) {
            let scan = ScanFile::open(&path)?;
            scan.check_model(model)?;
            Self { scan, _folder: None }
        } else {
            let folder = tempfile::Builder::new().prefix("oneiro-").tempdir()?;
            let job = ScanJob {
                data: path.to_string_lossy().into_owned(),
                layers,
                top: SIDE * SIDE,
                crop: None,
                by: RankedBy::Activation,
                thumbnails: false,
            };
            job.run(&Run::new(model, run.context), &mut Folder::new(folder.path()))?;
            Self { scan: ScanFile::open(folder.path())?, _folder: Some(folder) }
        };
        // What is missing is found before anything is rendered.
        units.iter().try_for_each(|unit| found.unit(unit).map(|_| ()))?;
        Ok(found)
    }

    /// What is known of a unit.
    pub(crate) fn unit(&self, unit: &str) -> Result<UnitRecord> {
        Ok(self.scan.unit_named(unit)?.0)
    }

    /// For each unit its nine best crops in a square of this side, crossed out if no image excites it, and a line
    /// about them.
    ///
    /// # Errors
    /// If the scan cannot be read.
    pub(crate) fn mosaics(&self, run: &Run<'_>, units: &[&str], side: usize) -> Result<Vec<(Image, String)>> {
        let crops = Crops::new(&self.scan)?;
        let mosaic = |unit: &&str| -> Result<(Image, String)> {
            let (record, named) = self.scan.unit_named(unit)?;
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
            // The objective of a channel is its mean over positions.
            let mean =
                record.best_by_mean.first().filter(|_| named.form.is_none() && !named.layer.is_classes);
            let words = match mean {
                Some(mean) => format!("images: mean to {}, peak {}", short(mean.value), short(maximum)),
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

/// The layer that a unit is a channel of.
fn layer_of(unit: &str) -> Result<String> {
    let refused = || JobError::NoExamples { unit: unit.to_owned() };
    match unit.parse::<Unit>().map_err(|_| refused())?.target {
        UnitTarget::Channel(layer, _) => Ok(layer),
        UnitTarget::Class(_) => Ok(CLASSES.to_owned()),
        _ => Err(refused().into()),
    }
}

/// Pictures side by side in a square, each scaled to its place.
pub(crate) fn squares(parts: &[Image], side: usize) -> Result<Image> {
    let tile = (side.saturating_sub((SIDE - 1) * GAP) / SIDE).max(1);
    let mut square = Image::filled(side, side, [PAPER; 3]);
    for (i, part) in parts.iter().enumerate() {
        // Few pixels stay squares.
        let filter = if part.height.max(part.width) < tile { Filter::Area } else { Filter::Triangle };
        let part = resize(part, tile, tile, filter)?;
        let (top, left) = (i / SIDE * (tile + GAP), i % SIDE * (tile + GAP));
        for channel in 0..3 {
            for y in 0..tile {
                let from = &part.data[(channel * tile + y) * tile..][..tile];
                let at = (channel * side + top + y) * side + left;
                square.data[at..at + tile].copy_from_slice(from);
            }
        }
    }
    Ok(square)
}

/// Two pictures of the same height side by side.
pub(crate) fn beside(left: &Image, right: &Image) -> Result<Image> {
    const BETWEEN: usize = 4;
    let (height, width) = (left.height.max(right.height), left.width + BETWEEN + right.width);
    let mut both = Image::filled(width, height, [1.0; 3]);
    for (picture, from) in [(left, 0), (right, left.width + BETWEEN)] {
        for channel in 0..3 {
            for y in 0..picture.height {
                let row = &picture.data[(channel * picture.height + y) * picture.width..][..picture.width];
                let at = (channel * height + y) * width + from;
                both.data[at..at + picture.width].copy_from_slice(row);
            }
        }
    }
    Ok(both)
}
