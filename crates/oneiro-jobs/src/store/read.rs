//! Reads a scan's SQLite file.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oneiro::card::Card;
use oneiro_net::analysis::ReceptiveField;
use oneiro_zoo::labels::Labels;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use serde::Deserialize;

use super::error::StoreError;
use super::{FILE, List, SCHEMA_VERSION};
use crate::context::Context;
use crate::error::Result;
use crate::model::{LoadedModel, ModelSpec};
use crate::provenance::ProvenanceError;

mod filters;
mod named_images;
mod names;
mod records;
mod strength;

pub use filters::UnitClasses;
pub use names::Named;
pub use records::{ClassRecord, DataClass, ExampleRecord, ImageRecord, LayerForm, LayerRecord, UnitRecord};
pub use strength::{Breadth, Strength};

/// A scan's SQLite file, open for reading.
#[derive(Debug)]
pub struct ScanFile {
    path: PathBuf,
    database: Connection,
    meta: BTreeMap<String, String>,
    layers: Vec<LayerRecord>,
    classes: OnceCell<Vec<DataClass>>,
    images: Option<PathBuf>,
}

impl ScanFile {
    /// Opens a scan by its folder or its file.
    ///
    /// # Errors
    /// If there is no scan, or if it has another version of the schema.
    pub fn open(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        if !file.is_file() {
            return Err(StoreError::NoScan { path: path.to_owned() }.into());
        }
        let read = |why| StoreError::Read { path: file.clone(), why };
        let database = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(read)?;
        let found: i64 = match database.query_row("PRAGMA user_version", [], |row| row.get(0)) {
            Ok(found) => found,
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
                return Err(StoreError::NoScan { path: file }.into());
            }
            Err(error) => return Err(read(error).into()),
        };
        if found != SCHEMA_VERSION {
            return Err(match found {
                0 => StoreError::NoScan { path: file },
                _ => StoreError::Version { path: file, found },
            }
            .into());
        }
        let mut scan = Self {
            path: file,
            database,
            meta: BTreeMap::new(),
            layers: Vec::new(),
            classes: OnceCell::new(),
            images: None,
        };
        scan.meta = scan
            .all("SELECT key, value FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))?
            .into_iter()
            .collect();
        scan.layers = scan.all("SELECT * FROM layers ORDER BY layer", [], layer)?;
        Ok(scan)
    }

    /// Returns the path of the scan's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns an entry of the scan's `meta` table, which describes the scan as a whole.
    pub fn meta(&self, key: &str) -> Option<&str> {
        self.meta.get(key).map(String::as_str)
    }

    /// Returns an error unless the scan is of this network.
    ///
    /// # Errors
    /// An error that names both networks.
    pub fn check_model(&self, model: &LoadedModel) -> Result<()> {
        if self.meta("model-sha256") == Some(&model.hash) {
            return Ok(());
        }
        let meta = |key: &str| self.meta(key).unwrap_or_default().to_owned();
        let (scanned, sha256) = (meta("model"), meta("model-sha256"));
        Err(StoreError::OtherModel { scanned, sha256, model: model.source.clone() }.into())
    }

    /// Loads the network that was scanned, with the preprocessing stored in the scan. It is read from
    /// `elsewhere` or, if that is `None`, from its path at the time of the scan.
    ///
    /// # Errors
    /// If the network cannot be read, or is not the scanned one.
    pub fn model(&self, context: &Context, elsewhere: Option<&str>) -> Result<LoadedModel> {
        let meta = |key: &str| self.meta(key).unwrap_or_default();
        let card = Card::parse(meta("preparation")).map_err(|source| ProvenanceError::Card { source })?;
        // The absolute path is preferred if it exists; otherwise the name as the user gave it is used.
        let path = Path::new(meta("model-path"));
        let was = if path.is_file() { meta("model-path") } else { meta("model") };
        let model = elsewhere.unwrap_or(was).to_owned();
        let mut model = ModelSpec { model, prepared: Some(card), ..ModelSpec::default() }.load(context)?;
        self.check_model(&model)?;
        let names = self.labels()?;
        model.labels = (!names.is_empty()).then_some(Labels { names });
        Ok(model)
    }

    /// Returns the quantity by which the images in example lists are ranked: "activation" or "relevance".
    pub fn ranked_by(&self) -> &str {
        self.meta("ranked-by").unwrap_or("activation")
    }

    /// Returns the folder that contains the scanned images.
    pub fn data(&self) -> PathBuf {
        let scanned = || PathBuf::from(self.meta("data-folder").unwrap_or_default());
        self.images.clone().unwrap_or_else(scanned)
    }

    /// Sets the folder of the scanned images, if they have moved since the scan.
    ///
    /// # Errors
    /// If there is no such folder of images.
    pub fn with_images(mut self, folder: Option<&str>) -> Result<Self> {
        if let Some(folder) = folder.map(PathBuf::from) {
            if !folder.is_dir() {
                return Err(StoreError::NoImages { folder }.into());
            }
            self.images = Some(folder);
        }
        Ok(self)
    }

    /// Returns the scanned layers, in the network's order.
    pub fn layers(&self) -> &[LayerRecord] {
        &self.layers
    }

    /// Returns the classes of the scanned images.
    pub fn classes(&self) -> Result<&[DataClass]> {
        if self.classes.get().is_none() {
            let read = |row: &Row<'_>| {
                Ok(DataClass {
                    name: row.get(1)?,
                    label: row.get::<_, Option<i64>>(2)?.map(|label| label as usize),
                    images: row.get::<_, i64>(3)? as usize,
                    right: row.get::<_, i64>(4)? as usize,
                })
            };
            let classes = self.all("SELECT * FROM classes ORDER BY class", [], read)?;
            let _ = self.classes.set(classes);
        }
        Ok(self.classes.get().map_or(&[], Vec::as_slice))
    }

    /// Returns the number of classified images whose class the network knows, and how many of them were
    /// classified correctly.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn accuracy(&self) -> Result<(usize, usize)> {
        let sql = "SELECT coalesce(sum(f.images), 0) FROM confusions f JOIN classes c USING (class) WHERE c.label IS NOT NULL";
        let known = self.one(sql, [])? as usize;
        let right =
            self.one("SELECT coalesce(sum(right), 0) FROM classes WHERE label IS NOT NULL", [])? as usize;
        Ok((known, right))
    }

    /// Returns the number of scanned images that could be read.
    pub fn image_count(&self) -> Result<usize> {
        Ok(self.one("SELECT count(*) FROM images WHERE height IS NOT NULL", [])? as usize)
    }

    /// Returns all data of the scan on a unit.
    ///
    /// # Errors
    /// If the layer has no such channel.
    pub fn unit(&self, layer: &LayerRecord, channel: usize) -> Result<UnitRecord> {
        let sql = "SELECT * FROM units WHERE layer = ? AND channel = ?";
        let found = self.database.prepare_cached(sql).and_then(|mut query| {
            query
                .query_row(params![layer.number as i64, channel as i64], |row| unit_row(layer, row))
                .optional()
        });
        let Some(mut unit) = found.map_err(|e| self.failed(e))? else {
            let (layer, channels) = (layer.name.clone(), layer.channels);
            return Err(StoreError::Channel { layer, channels, channel }.into());
        };
        unit.best = self.examples(layer, unit.number, List::Best)?;
        unit.worst = self.examples(layer, unit.number, List::Worst)?;
        unit.best_by_mean = self.examples(layer, unit.number, List::BestByMean)?;
        unit.classes = self.responses(unit.number)?;
        Ok(unit)
    }

    /// Returns the units of a layer in order of their channels, without example lists.
    pub fn units(&self, layer: &LayerRecord) -> Result<Vec<UnitRecord>> {
        self.all("SELECT * FROM units WHERE layer = ? ORDER BY channel", [layer.number as i64], |row| {
            unit_row(layer, row)
        })
    }

    /// Returns one of a unit's example lists, in the list's order.
    fn examples(&self, layer: &LayerRecord, unit: i64, list: List) -> Result<Vec<ExampleRecord>> {
        let sql = "SELECT e.image, i.file, c.name, e.value, e.before, e.place FROM examples e JOIN images i USING (image) \
                   LEFT JOIN classes c USING (class) WHERE e.unit = ? AND e.list = ? ORDER BY e.rank";
        self.all(sql, [unit, list.number()], |row| {
            let place = row.get::<_, i64>(5)? as usize;
            Ok(ExampleRecord {
                image: row.get::<_, i64>(0)? as u32,
                file: row.get(1)?,
                class: row.get(2)?,
                value: row.get(3)?,
                before: row.get(4)?,
                position: layer.position(place),
            })
        })
    }

    /// Returns a unit's responses to the images of each class.
    pub fn responses(&self, unit: i64) -> Result<Vec<ClassRecord>> {
        let read =
            |row: &Row<'_>| -> rusqlite::Result<[Vec<u8>; 3]> { Ok([row.get(0)?, row.get(1)?, row.get(2)?]) };
        let sql = "SELECT mean, maximum, best FROM responses WHERE unit = ?";
        let blobs = self.all(sql, [unit], read)?;
        let Some([mean, maximum, best]) = blobs.into_iter().next() else { return Ok(Vec::new()) };
        let (mean, maximum) = (numbers(&mean), numbers(&maximum));
        let best = best.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let names = self.classes()?.iter().map(|class| &class.name);
        let all = names.zip(mean).zip(maximum).zip(best);
        let record = |(((name, mean), maximum), best): (((&String, f32), f32), u32)| {
            let known = maximum.is_finite();
            ClassRecord {
                name: name.clone(),
                mean: known.then_some(mean),
                maximum: known.then_some(maximum),
                best: known.then_some(best),
            }
        };
        Ok(all.map(record).collect())
    }

    /// Returns activations of a unit sampled during the scan. The k-th samples of all units of a layer come
    /// from the same image and position.
    pub fn samples(&self, unit: i64) -> Result<Vec<f32>> {
        let blob: Vec<Vec<u8>> =
            self.all("SELECT activations FROM samples WHERE unit = ?", [unit], |row| row.get(0))?;
        Ok(blob.first().map(|blob| numbers(blob)).unwrap_or_default())
    }

    /// Returns the channels of the same layer that are most correlated with a unit, strongest correlation
    /// first.
    pub fn correlated(&self, unit: i64) -> Result<Vec<(usize, f64)>> {
        let sql = "SELECT u.channel, c.correlation FROM correlations c JOIN units u ON u.unit = c.other WHERE c.unit = ? ORDER BY c.rank";
        self.all(sql, [unit], |row| Ok((row.get::<_, i64>(0)? as usize, row.get(1)?)))
    }

    /// Returns a scanned image by its index.
    ///
    /// # Errors
    /// If the file cannot be read, or if there is no such image.
    pub fn image(&self, image: u32) -> Result<ImageRecord> {
        let sql = "SELECT i.file, c.name, i.label, i.probability, i.bytes FROM images i LEFT JOIN classes c USING (class) WHERE image = ?";
        let read = |row: &Row<'_>| {
            Ok(ImageRecord {
                file: row.get(0)?,
                class: row.get(1)?,
                named: row.get::<_, Option<i64>>(2)?.map(|label| label as usize),
                probability: row.get(3)?,
                bytes: row.get::<_, i64>(4)? as u64,
            })
        };
        let found = self.database.prepare_cached(sql).and_then(|mut query| query.query_row([image], read));
        Ok(found.map_err(|e| self.failed(e))?)
    }

    /// Returns the stored thumbnail of an image, as the network saw it, if the scan stored one.
    pub fn thumbnail(&self, image: u32) -> Result<Option<Vec<u8>>> {
        let found = self.all("SELECT picture FROM thumbnails WHERE image = ?", [image], |row| row.get(0))?;
        Ok(found.into_iter().next())
    }

    /// Returns how often the network predicts each class for images of a class, most frequent first: pairs of
    /// predicted class and number of images.
    pub fn confusions(&self, class: usize) -> Result<Vec<(usize, usize)>> {
        let sql = "SELECT label, images FROM confusions WHERE class = ? ORDER BY images DESC, label";
        self.all(sql, [class as i64], |row| {
            Ok((row.get::<_, i64>(0)? as usize, row.get::<_, i64>(1)? as usize))
        })
    }

    /// Returns the name of one of the network's classes.
    pub fn label(&self, label: usize) -> Result<String> {
        let found: Vec<String> =
            self.all("SELECT name FROM labels WHERE label = ?", [label as i64], |row| row.get(0))?;
        Ok(found.into_iter().next().unwrap_or_else(|| label.to_string()))
    }

    /// Returns the names of all of the network's classes.
    pub fn labels(&self) -> Result<Vec<String>> {
        self.all("SELECT name FROM labels ORDER BY label", [], |row| row.get(0))
    }

    /// Returns the kinds of problems with images, each with how often it occurred.
    pub fn problems(&self) -> Result<Vec<(String, usize)>> {
        let sql = "SELECT kind, count(*) FROM problems GROUP BY kind ORDER BY kind";
        self.all(sql, [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))
    }

    fn one(&self, sql: &str, with: impl rusqlite::Params) -> Result<i64> {
        Ok(self.database.query_row(sql, with, |row| row.get(0)).map_err(|e| self.failed(e))?)
    }

    fn all<T>(
        &self,
        sql: &str,
        with: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let rows = || -> rusqlite::Result<Vec<T>> {
            let mut query = self.database.prepare_cached(sql)?;
            query.query_map(with, read)?.collect()
        };
        Ok(rows().map_err(|error| self.failed(error))?)
    }

    fn failed(&self, why: rusqlite::Error) -> StoreError {
        StoreError::Read { path: self.path.clone(), why }
    }
}

/// Converts a row of the table `units` to a record, without example lists.
fn unit_row(layer: &LayerRecord, row: &Row<'_>) -> rusqlite::Result<UnitRecord> {
    Ok(UnitRecord {
        number: row.get(0)?,
        layer: layer.name.clone(),
        channel: row.get::<_, i64>(2)? as usize,
        maximum: row.get(3)?,
        mean: row.get(4)?,
        variance: row.get(5)?,
        fraction_active: row.get(6)?,
        positions: row.get::<_, i64>(7)? as u64,
        not_finite: row.get::<_, i64>(8)? as u64,
        best: Vec::new(),
        worst: Vec::new(),
        best_by_mean: Vec::new(),
        classes: Vec::new(),
    })
}

fn numbers(blob: &[u8]) -> Vec<f32> {
    blob.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Reads a layer's forms. Some scans lack the number of a form's channels: there, all channels from its first
/// one on count as its own.
fn forms(json: &str, channels: usize) -> Vec<LayerForm> {
    if let Ok(forms) = serde_json::from_str(json) {
        return forms;
    }
    let of = |(name, first): (String, usize)| {
        let channels = channels.saturating_sub(first);
        LayerForm { name, first, channels }
    };
    serde_json::from_str::<Vec<_>>(json).unwrap_or_default().into_iter().map(of).collect()
}

fn layer(row: &Row<'_>) -> rusqlite::Result<LayerRecord> {
    /// A receptive field as JSON in the scan's file.
    #[derive(Deserialize)]
    struct Field {
        extent: Vec<usize>,
        stride: Vec<usize>,
        first: Vec<i64>,
    }
    let json = |column: usize| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    let field: Option<Field> = serde_json::from_str(&json(7)?).ok();
    let field = field.map(|Field { extent, stride, first }| ReceptiveField {
        extent,
        stride,
        first,
        is_regular: true,
        strides_differ: false,
    });
    Ok(LayerRecord {
        number: row.get::<_, i64>(0)? as usize,
        name: row.get(1)?,
        aliases: serde_json::from_str(&json(2)?).unwrap_or_default(),
        forms: forms(&json(3)?, row.get::<_, i64>(5)? as usize),
        is_classes: row.get::<_, String>(4)? == "classes",
        channels: row.get::<_, i64>(5)? as usize,
        map: serde_json::from_str(&json(6)?).unwrap_or_default(),
        field,
    })
}
