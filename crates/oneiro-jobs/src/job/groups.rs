//! Semantic groups: units of a layer that respond at the same positions of the same images.
//!
//! The distance of two units is 1 minus the correlation of their sampled activations. Units are clustered by
//! average linkage, as long as the mean correlation between the units of two groups is large enough.

use std::collections::HashMap;

use kodama::{Method, linkage};
use oneiro::unit_statistics::NormalSample;
use oneiro_media::{Cell, Figure, Page, PngText, Section, Sheet};
use serde::{Deserialize, Serialize};

use super::crops::Crops;
use super::figures;
use super::sheet::MIN_CELL_WIDTH;
use super::tiles::enlarged;
use super::tiles::squares;
use super::units::{plain_class, text_of_scan};
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::job::error::JobError;
use crate::numbers::short;
use crate::provenance::seal;
use crate::remark::ScanRemark;
use crate::store::ScanFile;
use crate::store::read::{LayerRecord, UnitRecord};
use crate::store::write::MOST_UNITS;

/// Number of crops of a group, and of its units that are drawn.
const CROPS: usize = 9;
/// Side in pixels of a crop that is drawn.
const TILE: usize = 112;
/// Side of a unit's mosaic of crops on a page.
const MOSAIC: usize = 240;
/// The explanation, for users, of a class's share in a group.
pub const ABOUT_SHARES: &str =
    "the class's mean activation as a share of the largest class's, the mean over the group's units";

/// Number of classes that are named for each group.
const CLASSES: usize = 5;

/// A job that finds groups of correlated units in a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsJob {
    /// Path of the scan's folder or file.
    pub scan: String,
    /// Name of the layer.
    pub layer: String,
    /// Minimum mean correlation between the units of two groups that are joined, above 0 and below 1.
    pub correlation: f64,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
}

/// A group of units whose activations are correlated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Channels of the units, sorted by their mean correlation with the others, largest first.
    pub channels: Vec<usize>,
    /// Mean correlation between all pairs of units of the group.
    pub correlation: f64,
    /// The classes to which the group responds most, each with a value. The value is the class's mean
    /// activation divided by the unit's largest class mean, averaged over the group's units.
    pub classes: Vec<(String, f64)>,
    /// The images that excite the units most. They are ordered by the sum, over the units' lists, of one
    /// divided by the image's rank.
    pub images: Vec<String>,
}

/// The report on the groups of a layer's units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupsReport {
    /// Name of the layer.
    pub layer: String,
    /// The groups with more than one unit, largest first.
    pub groups: Vec<Group>,
    /// Number of units that belong to no group.
    pub alone: usize,
    /// Number of units that are constant over the sample.
    pub constant: usize,
}

impl Job for GroupsJob {
    const KIND: &'static str = "groups";
    type Report = GroupsReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<GroupsReport> {
        self.check()?;
        let scan = ScanFile::open(run.places().of(&self.scan))?.with_images(self.images.as_deref())?;
        let layer = scan.layer(&self.layer)?.layer;
        let report = self.groups(&scan, layer)?;
        let crops = Crops::new(&scan)?;
        let place = Place::picture(0);
        if sink.wants(place) {
            let mut text = text_of_scan(run, &scan)?;
            seal(run, &mut text, self, place)?;
            let sheet = sheet(&scan, layer, &report, &crops)?;
            sink.take_bytes(place, "groups.png", &oneiro_media::encode_png(&sheet.render()?, &text)?)?;
        }
        let place = Place::first(Role::Page);
        if sink.wants(place) {
            let mut text = text_of_scan(run, &scan)?;
            seal(run, &mut text, self, place)?;
            let page = self.page(&scan, layer, &report, (&crops, text))?;
            sink.take_bytes(place, "groups.html", page.to_html().as_bytes())?;
        }
        if let Some((file, count)) = crops.gone() {
            run.context.remark(ScanRemark::SourcesGone { count, file });
        }
        Ok(report)
    }

    fn check(&self) -> Result<()> {
        match self.correlation > 0.0 && self.correlation < 1.0 {
            true => Ok(()),
            false => Err(JobError::Correlation { correlation: self.correlation }.into()),
        }
    }
}

impl GroupsJob {
    fn groups(&self, scan: &ScanFile, layer: &LayerRecord) -> Result<GroupsReport> {
        let units = scan.units(layer)?;
        if units.len() > MOST_UNITS {
            return Err(JobError::ManyUnits {
                layer: layer.name.clone(),
                units: units.len(),
                most: MOST_UNITS,
            }
            .into());
        }
        let samples = units.iter().map(|unit| scan.samples(unit.number)).collect::<Result<Vec<_>>>()?;
        let numbered = samples.iter().enumerate();
        let normal: Vec<(usize, NormalSample)> =
            numbered.filter_map(|(i, sample)| Some((i, NormalSample::new(sample)?))).collect();
        let correlation = |a: usize, b: usize| f64::from(normal[a].1.correlation(&normal[b].1));
        let count = normal.len();
        let mut distances: Vec<f64> = Vec::with_capacity(count * count.saturating_sub(1) / 2);
        for a in 0..count {
            distances.extend((a + 1..count).map(|b| 1.0 - correlation(a, b)));
        }
        let mut members: HashMap<usize, Vec<usize>> = (0..count).map(|i| (i, vec![i])).collect();
        if count > 1 {
            let tree = linkage(&mut distances, count, Method::Average);
            for (step, joined) in tree.steps().iter().enumerate() {
                if joined.dissimilarity > 1.0 - self.correlation {
                    break;
                }
                let mut both = members.remove(&joined.cluster1).unwrap_or_default();
                both.extend(members.remove(&joined.cluster2).unwrap_or_default());
                members.insert(count + step, both);
            }
        }
        let alone = members.values().filter(|of| of.len() == 1).count();
        let mut groups = Vec::new();
        for of in members.into_values().filter(|of| of.len() > 1) {
            let to_others = |a: usize| {
                let sum: f64 = of.iter().filter(|&&b| b != a).map(|&b| correlation(a, b)).sum();
                sum / (of.len() - 1) as f64
            };
            let mut order: Vec<(usize, f64)> = of.iter().map(|&a| (a, to_others(a))).collect();
            order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let mean = order.iter().map(|(_, r)| r).sum::<f64>() / order.len() as f64;
            let channels: Vec<usize> = order.iter().map(|(a, _)| units[normal[*a].0].channel).collect();
            groups.push(described(scan, layer, channels, mean)?);
        }
        groups.sort_by(|a, b| b.channels.len().cmp(&a.channels.len()).then(a.channels.cmp(&b.channels)));
        Ok(GroupsReport { layer: layer.name.clone(), groups, alone, constant: units.len() - count })
    }

    fn page(
        &self,
        scan: &ScanFile,
        layer: &LayerRecord,
        report: &GroupsReport,
        (crops, text): (&Crops<'_>, PngText),
    ) -> Result<Page> {
        let mut sections = Vec::new();
        for (i, group) in report.groups.iter().enumerate() {
            let mut figures = Vec::new();
            for &channel in &group.channels {
                let unit = scan.unit(layer, channel)?;
                let figure = Figure {
                    caption: format!(
                        "{}:{channel}\nup to {}",
                        layer.name,
                        short(unit.maximum.unwrap_or(0.0))
                    ),
                    ..Figure::default()
                };
                figures.push(figures::with_picture(
                    figure,
                    &squares(&best_crops(&unit, layer, crops)?, MOSAIC)?,
                )?);
            }
            let heading = format!("Group {}: {} units", i + 1, group.channels.len());
            sections.push(Section { heading, note: about(group), figures, ..Section::default() });
        }
        let intro = format!(
            "Units of layer {} that answer the same positions of the same images. They are joined while the mean correlation \
             between groups is at least {}. {} units are in no group, {} are constant.\n\nThe number behind a class: {ABOUT_SHARES}.",
            layer.name, self.correlation, report.alone, report.constant
        );
        let title = format!("Groups of {}", layer.name);
        Ok(Page { title, intro, sections, footer: String::new(), text })
    }
}

/// A group of units, with the classes and images that excite it.
fn described(scan: &ScanFile, layer: &LayerRecord, channels: Vec<usize>, correlation: f64) -> Result<Group> {
    let mut classes: HashMap<String, f64> = HashMap::new();
    let mut images: HashMap<String, f64> = HashMap::new();
    for &channel in &channels {
        let unit = scan.unit(layer, channel)?;
        let largest = unit.classes.iter().filter_map(|class| class.mean).fold(0.0, f32::max);
        for class in unit.classes.iter().filter(|_| largest > 0.0) {
            let share = f64::from(class.mean.unwrap_or(0.0) / largest) / channels.len() as f64;
            *classes.entry(class.name.clone()).or_default() += share;
        }
        for (rank, example) in unit.best.iter().enumerate() {
            *images.entry(example.file.clone()).or_default() += 1.0 / (rank + 1) as f64;
        }
    }
    let sorted = |all: HashMap<String, f64>, count: usize| {
        let mut all: Vec<(String, f64)> = all.into_iter().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(count);
        all
    };
    let images = sorted(images, CROPS).into_iter().map(|(file, _)| file).collect();
    Ok(Group { channels, correlation, classes: sorted(classes, CLASSES), images })
}

fn about(group: &Group) -> String {
    let classes: Vec<String> =
        group.classes.iter().map(|(name, share)| format!("{} {share:.2}", plain_class(name))).collect();
    match &classes[..] {
        [] => format!("mean correlation {:.2}", group.correlation),
        _ => format!("mean correlation {:.2}; answers {}", group.correlation, classes.join(", ")),
    }
}

fn best_crops(unit: &UnitRecord, layer: &LayerRecord, crops: &Crops<'_>) -> Result<Vec<oneiro_media::Image>> {
    unit.best.iter().take(CROPS).map(|example| crops.crop(example, layer)).collect()
}

/// Draws a row for each group: the best crops of its first units.
fn sheet(scan: &ScanFile, layer: &LayerRecord, report: &GroupsReport, crops: &Crops<'_>) -> Result<Sheet> {
    /// Maximum number of groups that are drawn.
    const GROUPS: usize = 24;
    let mut sheet = Sheet::new(CROPS)
        .title(format!("Groups of {}", layer.name))
        .subtitle(format!("{} groups; {} units in none", report.groups.len(), report.alone))
        .min_cell_width(MIN_CELL_WIDTH);
    for group in report.groups.iter().take(GROUPS) {
        let classes: Vec<String> = group.classes.iter().take(3).map(|(name, _)| plain_class(name)).collect();
        sheet = sheet.row(format!("{} units: {}", group.channels.len(), classes.join(", ")));
        let each = CROPS.div_ceil(group.channels.len().min(CROPS));
        let mut cells = 0;
        for &channel in group.channels.iter().take(CROPS) {
            let unit = scan.unit(layer, channel)?;
            for example in unit.best.iter().take(each.min(CROPS - cells)) {
                let crop = enlarged(crops.crop(example, layer)?, TILE)?;
                sheet = sheet.cell(Cell::new(crop).caption(format!("{}:{channel}", layer.name)));
                cells += 1;
            }
        }
    }
    Ok(sheet)
}
