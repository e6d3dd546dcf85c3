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

use examples::Judge;
pub use examples::WANTED_EXAMPLES;

/// Lines into which a line of a caption wraps at most: as many as the longest of these measures takes in a
/// cell of 128 pixels.
pub(crate) const CAPTION_LINES: usize = 8;
/// Decimals of a path at most.
const MOST_DECIMALS: usize = 4;
/// Units that a sentence names at most.
const NAMED: usize = 12;
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

    /// The scores in a line of a caption.
    fn line(&self) -> String {
        let score = |value: f64, of: &str, standing: Standing| {
            let mark = match standing {
                Standing::AboveChance => "",
                Standing::Chance => " [as chance]",
                Standing::BelowChance => " [below chance]",
            };
            format!("{} {of}{mark}", short(value, 2))
        };
        let mut scores = vec![score(self.natural, "natural", self.natural_standing)];
        scores.extend(self.synthetic.zip(self.synthetic_standing).map(|(s, of)| score(s, "picture", of)));
        let [low, high] = self.chance.map(|bound| short(bound, 2));
        format!("predictability {} (chance {low} to {high})", scores.join(", "))
    }
}

/// Explains the lines of captions on pages.
pub(crate) const ABOUT: &str = "The first line is the conclusion. The lines \"path\" and \"predictability\" judge the picture, not the filter. Path is low where the picture \
     excites the filter in another way than images do. Predictability is the share of pairs of images that the nine best images \
     (natural), or the picture, put into the filter's order; .5 is chance. A filter of noise may score high on both: it has an \
     order, too.";

impl Belief {
    /// Returns what follows from both measures, if both were taken.
    pub fn conclusion(&self) -> Option<&'static str> {
        let found = self.predictability.as_ref()?;
        let (natural, picture) = (found.natural_standing, found.synthetic_standing?);
        let above = Standing::AboveChance;
        Some(match (self.path_flagged?, natural == above, picture == above) {
            (false, true, true) => "shows what the images show",
            (false, true, false) => "unlike the images: go by them",
            (true, true, true) => "reached otherwise than images: not to be used",
            (true, true, false) => "shows something else: not to be used",
            (false, false, _) => "images have no likeness: go by them",
            (true, false, _) => "reached otherwise than images: not to be used",
        })
    }

    /// The conclusion and the measures in lines of a caption.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.conclusion().into_iter().map(str::to_owned).collect();
        if let Some(path) = self.path {
            let warning = if self.path_flagged == Some(true) { ", not as natural images" } else { "" };
            let threshold = short(self.path_threshold, 2);
            // As many decimals as tell the value from the threshold.
            let decimals = (2..MOST_DECIMALS).find(|&n| short(path, n) != short(self.path_threshold, n));
            let path = short(path, decimals.unwrap_or(MOST_DECIMALS));
            let threshold = threshold.trim_end_matches('0');
            lines.push(format!("path {path}{warning} (honest units: above {threshold})"));
        }
        lines.extend(self.predictability.iter().map(Predictability::line));
        lines
    }

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

/// What is found of several units' pictures, a sentence each. Units have a name and, if it was measured, what
/// is known of their picture.
pub fn summary<'b>(units: impl Iterator<Item = (&'b str, Option<&'b Belief>)>) -> Vec<String> {
    let known: Vec<(&str, &Belief)> = units.filter_map(|(unit, belief)| Some((unit, belief?))).collect();
    let mut paths: Vec<(&str, f64)> =
        known.iter().filter_map(|(unit, belief)| Some((*unit, belief.path?))).collect();
    paths.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut words = Vec::new();
    if let (Some((_, belief)), false) = (known.first(), paths.is_empty()) {
        let flagged: Vec<(&str, f64)> =
            paths.iter().copied().filter(|(_, path)| *path < belief.path_threshold).collect();
        let threshold = short(belief.path_threshold, 2);
        let listed = listed(&flagged);
        let which = if flagged.is_empty() { String::new() } else { format!(": {listed}") };
        words.push(format!(
            "{} of {} pictures {} flagged (path below {threshold}){which}",
            flagged.len(),
            paths.len(),
            if flagged.len() == 1 { "is" } else { "are" }
        ));
    }
    let unmeasured = known.len() - paths.len();
    if unmeasured > 0 {
        let verb = if unmeasured == 1 { "has" } else { "have" };
        words.push(format!("{unmeasured} of {} pictures {verb} no path", known.len()));
    }
    let scored: Vec<(&str, f64, Standing)> = known
        .iter()
        .filter_map(|(unit, belief)| {
            let found = belief.predictability?;
            Some((*unit, found.synthetic?, found.synthetic_standing?))
        })
        .collect();
    for (standing, what) in [
        (Standing::Chance, "their unit no better than chance"),
        (Standing::BelowChance, "the opposite of their unit, below chance"),
    ] {
        let mut of: Vec<(&str, f64)> = scored
            .iter()
            .filter(|(.., found)| *found == standing)
            .map(|(unit, score, _)| (*unit, *score))
            .collect();
        of.sort_by(|a, b| a.1.total_cmp(&b.1));
        if !of.is_empty() {
            let verb = if of.len() == 1 { "predicts" } else { "predict" };
            let count = format!("{} of {} pictures {verb}", of.len(), scored.len());
            words.push(format!("{count} {what}: {}", listed(&of)));
        }
    }
    for group in paths.chunk_by(|a, b| a.1 == b.1).filter(|group| group.len() > 1) {
        let units: Vec<&str> = group.iter().map(|(unit, _)| *unit).collect();
        words.push(format!(
            "{} have one path, {}: they are reached by one way, and differ only behind it",
            units.join(", "),
            short(group[0].1, 2)
        ));
    }
    words
}

/// Units with their numbers, as many as a line takes.
fn listed(units: &[(&str, f64)]) -> String {
    let one = |(unit, value): &(&str, f64)| format!("{unit} ({})", short(*value, 2));
    let mut named: Vec<String> = units.iter().take(NAMED).map(one).collect();
    if units.len() > NAMED {
        named.push(format!("and {} more", units.len() - NAMED));
    }
    named.join(", ")
}

/// Writes a number with `decimals` decimals, without a zero before the point.
fn short(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // Zero has no sign.
    let text = text.parse::<f64>().map_or(text, |value| format!("{:.decimals$}", value + 0.0));
    match text.strip_prefix("-0.") {
        Some(rest) => format!("-.{rest}"),
        None => text.strip_prefix("0.").map_or_else(|| text.clone(), |rest| format!(".{rest}")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_say_what_was_measured() {
        let all = Belief {
            path: Some(0.834),
            path_threshold: 0.4,
            path_flagged: Some(false),
            predictability: Some(Predictability::new(0.9, Some(0.801), 23)),
        };
        let lines = [
            "shows what the images show",
            "path .83 (honest units: above .4)",
            "predictability .90 natural, .80 picture (chance .33 to .67)",
        ];
        assert_eq!(all.lines(), lines);
        let flagged = Belief { path: Some(-0.3), path_flagged: Some(true), predictability: None, ..all };
        assert_eq!(flagged.lines(), ["path -.30, not as natural images (honest units: above .4)"]);
        let nothing = Belief { path: None, path_flagged: None, ..flagged };
        assert!(nothing.lines().is_empty());
        let numbers = [1.0, 0.0, -0.001, 1.25].map(|value| short(value, 2));
        assert_eq!(numbers, ["1.00", ".00", ".00", "1.25"].map(str::to_owned));
        assert_eq!(short(-0.0123, 3), "-.012");
        // Two decimals would hide why it is flagged.
        let close = Belief { path: Some(0.3974), path_flagged: Some(true), ..nothing.clone() };
        assert_eq!(close.lines(), ["path .397, not as natural images (honest units: above .4)"]);
        let doubtful = Predictability::new(0.38, Some(0.22), 23);
        let line = "predictability .38 natural [as chance], .22 picture [below chance] (chance .33 to .67)";
        assert_eq!(doubtful.line(), line);
        assert_eq!(doubtful.pairs, 529);
        let equal = Belief { path: Some(0.4), ..nothing };
        assert_eq!(equal.lines(), ["path .4000 (honest units: above .4)"]);
    }

    #[test]
    fn a_conclusion_needs_both_measures() {
        let of = |flagged: bool, natural: f64, picture: f64| Belief {
            path: Some(0.5),
            path_threshold: 0.45,
            path_flagged: Some(flagged),
            predictability: Some(Predictability::new(natural, Some(picture), 23)),
        };
        let said = |belief: Belief| belief.conclusion().unwrap_or("nothing");
        assert_eq!(said(of(false, 0.9, 0.9)), "shows what the images show");
        assert!(said(of(false, 0.9, 0.5)).starts_with("unlike the images"));
        assert!(said(of(true, 0.9, 0.9)).starts_with("reached otherwise"));
        assert!(said(of(true, 0.9, 0.2)).starts_with("shows something else"));
        assert!(said(of(false, 0.5, 0.9)).starts_with("images have no likeness"));
        assert_eq!(said(Belief { path_flagged: None, ..of(false, 0.9, 0.9) }), "nothing");
        assert_eq!(said(Belief { predictability: None, ..of(false, 0.9, 0.9) }), "nothing");
    }

    #[test]
    fn a_summary_names_flagged_pictures() {
        let of = |path: Option<f64>, synthetic: f64| Belief {
            path,
            path_threshold: 0.45,
            path_flagged: path.map(|path| path < 0.45),
            predictability: Some(Predictability::new(0.9, Some(synthetic), 23)),
        };
        let all = [of(Some(0.4), 0.9), of(Some(-0.1), 0.2), of(None, 0.5), of(Some(0.4), 0.8)];
        let named = ["a:0", "a:1", "a:2", "a:3"].into_iter().zip(all.iter().map(Some));
        assert_eq!(
            summary(named),
            [
                "3 of 3 pictures are flagged (path below .45): a:1 (-.10), a:0 (.40), a:3 (.40)",
                "1 of 4 pictures has no path",
                "1 of 4 pictures predicts their unit no better than chance: a:2 (.50)",
                "1 of 4 pictures predicts the opposite of their unit, below chance: a:1 (.20)",
                "a:0, a:3 have one path, .40: they are reached by one way, and differ only behind it",
            ]
        );
        let good = of(Some(0.9), 0.9);
        assert_eq!(
            summary([("a:0", Some(&good)), ("a:1", None)].into_iter()),
            ["0 of 1 pictures are flagged (path below .45)"]
        );
        assert!(summary([("a:0", None)].into_iter()).is_empty());
    }
}
