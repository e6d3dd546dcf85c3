//! May the pictures of units be believed? Measures of [`oneiro::belief`] for units of a scan.

use std::collections::BTreeMap;

use oneiro::belief::path::{Path, PathSession, THRESHOLD, similarity};
use oneiro::belief::predictability::chance;
use oneiro_media::{Image, Number};
use oneiro_net::ValueId;
use serde::{Deserialize, Serialize};

use super::Run;
use super::contributions::read;
use super::crops::Crops;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::numbers::rounded;
use crate::remark::ScanRemark;
use crate::store::ScanFile;
use crate::store::read::{LayerRecord, UnitRecord};
use crate::task::Task;

mod examples;
mod words;

use examples::Judge;
pub use examples::WANTED_EXAMPLES;
pub(crate) use words::ABOUT;
pub use words::summary;

/// Lines into which a line of a caption wraps at most: as many as the longest of these measures takes in a
/// cell of 128 pixels.
pub(crate) const CAPTION_LINES: usize = 8;
/// Natural examples whose paths are compared with the picture's.
const NATURAL: usize = 9;

/// Whether a unit's picture may be believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Belief {
    /// How far the picture reaches the unit through the channels through which natural images reach it: 1 as
    /// natural images among themselves, 0 through unrelated ones. `None` without a picture, or if nothing
    /// can be compared.
    pub path: Option<f64>,
    /// The value of `path` below which the picture is flagged.
    pub path_threshold: f64,
    /// Whether the picture is flagged.
    pub path_flagged: Option<bool>,
    /// How well examples and the picture predict what excites the unit.
    pub predictability: Option<Predictability>,
}

/// Shares of right pairs; chance is 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Predictability {
    /// With natural examples as explanation.
    pub natural: f64,
    /// With the picture as explanation.
    pub synthetic: Option<f64>,
    /// Number of pairs.
    pub pairs: usize,
    /// Scores between which one is not told from chance, by the number of queries.
    pub chance: [f64; 2],
    /// Where `natural` stands.
    pub natural_standing: Standing,
    /// Where `synthetic` stands.
    pub synthetic_standing: Option<Standing>,
}

/// Where a score stands beside chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Examples tell what excites the unit.
    AboveChance,
    /// Examples tell nothing that chance does not.
    Chance,
    /// What is like the examples excites the unit less.
    BelowChance,
}

impl Predictability {
    /// Scores of this many queries of each extreme.
    fn new(natural: f64, synthetic: Option<f64>, queries: usize) -> Self {
        let [low, high] = chance(queries, queries);
        let standing = |score: f64| match score {
            score if score > high => Standing::AboveChance,
            score if score < low => Standing::BelowChance,
            _ => Standing::Chance,
        };
        Self {
            natural,
            synthetic,
            pairs: queries * queries,
            chance: [low, high].map(rounded),
            natural_standing: standing(natural),
            synthetic_standing: synthetic.map(standing),
        }
    }
}

impl Belief {
    /// Whether the picture is flagged.
    pub fn is_flagged(&self) -> bool {
        self.path_flagged == Some(true)
    }

    /// What a page sorts pictures by, for the picture at this place; the first is the order of the units.
    pub(crate) fn keys(of: Option<&Self>, at: usize) -> Vec<(String, Number)> {
        let path = of.and_then(|belief| belief.path).unwrap_or(f64::NAN);
        let shown = of.and_then(|belief| belief.predictability?.synthetic).unwrap_or(f64::NAN);
        vec![
            ("as listed".into(), Number(at as f64)),
            ("by path, the lowest first".into(), Number(-path)),
            ("by path, the highest first".into(), Number(path)),
            ("by the picture's predictability, the lowest first".into(), Number(-shown)),
        ]
    }
}

/// A unit of a scan, with its picture if there is one.
pub(crate) struct Pictured<'a> {
    /// What is known of the unit, with its lists.
    pub unit: &'a UnitRecord,
    /// Its layer.
    pub layer: &'a LayerRecord,
    /// Its picture as it was optimised, RGB in 0–1.
    pub picture: Option<Image>,
}

/// Measures whether units' pictures may be believed. The units are of a scan of the run's network.
///
/// # Errors
/// If the scan is of another network, or the network takes no photographs or refuses a picture's size.
pub(crate) fn belief_of(run: &Run<'_>, scan: &ScanFile, units: &[Pictured<'_>]) -> Result<Vec<Belief>> {
    let model = run.model()?;
    scan.check_model(model)?;
    let (crops, images) = (Crops::new(scan)?, scan.image_count()?);
    let mut paths = Paths::new(model)?;
    let mut judge = Judge::new(run.context)?;
    let mut progress = Task::new(run.context, "judging pictures", units.len() as u64);
    let mut beliefs = Vec::new();
    for of in units {
        run.context.check()?;
        let (read, channel) = paths.read(of)?;
        let found = match &of.picture {
            Some(picture) => Some(paths.of(run, (read, channel), picture)?),
            None => None,
        };
        let path = match &found {
            Some((path, _)) => natural_similarity(run, &crops, &mut paths, of, (read, channel), path)?,
            None => None,
        };
        let shown = match (&of.picture, &found) {
            (Some(picture), Some((path, map))) => Some((picture, &path.places[..], &map[..])),
            _ => None,
        };
        let predictability = match &mut judge {
            Some(judge) => judge.predictability(run.context, (&crops, images), of, shown)?,
            None => None,
        };
        beliefs.push(Belief {
            path: path.map(rounded),
            path_threshold: THRESHOLD,
            path_flagged: path.map(|path| path < THRESHOLD),
            predictability,
        });
        progress.advance(1);
    }
    if let Some((file, count)) = crops.gone() {
        run.context.remark(ScanRemark::SourcesGone { count, file });
    }
    Ok(beliefs)
}

/// The similarity of a picture's path with those of the unit's best natural images that excite it.
fn natural_similarity(
    run: &Run<'_>,
    crops: &Crops<'_>,
    paths: &mut Paths<'_>,
    of: &Pictured<'_>,
    unit: (ValueId, usize),
    picture: &Path,
) -> Result<Option<f64>> {
    let mut natural = Vec::new();
    for example in of.unit.best.iter().take(NATURAL) {
        let image = crops.picture(example.image, &example.file)?;
        if !crops.is_gone(&example.file) && (example.value > 0.0 || of.layer.is_classes) {
            natural.push(paths.of(run, unit, &image)?.0);
        }
    }
    Ok(similarity(picture, &natural))
}

/// Sessions that follow units back, for the value and the sizes that were asked for last.
struct Paths<'m> {
    model: &'m LoadedModel,
    layers: Vec<ValueId>,
    read: Option<ValueId>,
    sessions: BTreeMap<[usize; 2], PathSession>,
}

impl<'m> Paths<'m> {
    fn new(model: &'m LoadedModel) -> Result<Self> {
        let layers = model.model.unit_layers()?.into_iter().map(|layer| layer.value).collect();
        Ok(Self { model, layers, read: None, sessions: BTreeMap::new() })
    }

    /// The value that holds a unit before its activation function, and the channel there.
    fn read(&self, of: &Pictured<'_>) -> Result<(ValueId, usize)> {
        let model = &self.model.model;
        let layered = model.all_layered(&model.input_shapes(1, None)?)?;
        let layer = model.unit_layer(&layered, model.resolve(&of.layer.name)?);
        read(model, &layer, of.unit.channel)
    }

    /// The path of an image, and the extents of the unit's map.
    fn of(
        &mut self,
        run: &Run<'_>,
        (read, channel): (ValueId, usize),
        image: &Image,
    ) -> Result<(Path, Vec<usize>)> {
        if self.read != Some(read) {
            self.sessions.clear();
            self.read = Some(read);
        }
        let size = [image.height, image.width];
        let session = match self.sessions.remove(&size) {
            Some(session) => session,
            None => {
                let new = || PathSession::new(&self.model.model, read, &self.layers, Some(size));
                run.context.compute(new)?
            }
        };
        let session = self.sessions.entry(size).or_insert(session);
        let path = run.context.compute(|| session.run(image.colors(), channel));
        Ok((path, session.map().to_vec()))
    }
}
