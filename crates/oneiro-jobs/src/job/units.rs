//! Units of a scan with the images that excite them, as a picture and a page.

use std::path::Path;

use oneiro_media::{Cell, Figure, Image, Page, Plot, PngText, Section, Series, Sheet};
use serde::{Deserialize, Serialize};

use super::error::{JobError, Setting};
use super::figures;
use super::sheet::{MIN_CELL_WIDTH, enlarged};
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::numbers::short;
use crate::provenance::{seal, text_of_program};
use crate::remark::ScanRemark;
use crate::store::ScanFile;
use crate::store::read::{ExampleRecord, LayerRecord, UnitRecord};

pub mod crops;
mod histogram;

use crops::Crops;

/// Examples in each list that is drawn at most.
const MOST_EXAMPLES: usize = 100;
/// Side of a crop as it is drawn.
const TILE: usize = 128;
/// Height and width of plots.
const PLOT: [usize; 2] = [260, 420];
/// Classes that a unit's histogram shows.
const CLASSES: usize = 10;

/// Units of a scan with their examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitsJob {
    /// The scan: its folder or file.
    pub scan: String,
    /// The units, as `LAYER:CHANNEL` or `class:NAME`.
    pub units: Vec<String>,
    /// Examples of each list.
    pub examples: usize,
}

/// The report on drawn units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitsReport {
    /// The units.
    pub units: Vec<UnitRecord>,
}

impl Job for UnitsJob {
    const KIND: &'static str = "units";
    type Report = UnitsReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<UnitsReport> {
        self.check()?;
        let scan = ScanFile::open(run.places().of(&self.scan))?;
        let mut units = Vec::new();
        for text in &self.units {
            let (unit, named) = scan.unit_named(text)?;
            if named.form.is_some() {
                let (name, layer) = (text.clone(), named.layer.name.clone());
                run.context.remark(ScanRemark::LastForm { name, layer });
            }
            units.push((unit, named.layer));
        }
        let crops = Crops::new(&scan)?;
        let place = Place::picture(0);
        if sink.wants(place) {
            let mut text = text_of_scan(&scan);
            seal(run, &mut text, self, place)?;
            let sheet = self.sheet(&scan, &crops, &units)?;
            sink.take_bytes(place, "units.png", &oneiro_media::encode_png(&sheet.render()?, &text)?)?;
        }
        let place = Place::first(Role::Page);
        if sink.wants(place) {
            let mut text = text_of_scan(&scan);
            seal(run, &mut text, self, place)?;
            let page = self.page(&scan, &crops, &units, text)?;
            sink.take_bytes(place, "units.html", page.to_html().as_bytes())?;
        }
        if let Some((file, count)) = crops.gone() {
            run.context.remark(ScanRemark::SourcesGone { count, file });
        }
        Ok(UnitsReport { units: units.into_iter().map(|(unit, _)| unit).collect() })
    }

    fn check(&self) -> Result<()> {
        if self.units.is_empty() {
            return Err(JobError::NoUnits.into());
        }
        if !(1..=MOST_EXAMPLES).contains(&self.examples) {
            let (setting, needed) = (Setting::Examples, format!("a number from 1 to {MOST_EXAMPLES}"));
            return Err(JobError::Setting { setting, value: self.examples, needed }.into());
        }
        Ok(())
    }
}

/// What a picture says of the scan that it is of.
fn text_of_scan(scan: &ScanFile) -> PngText {
    let mut text = text_of_program();
    for key in ["data", "images"] {
        text.push(key, scan.meta(key).unwrap_or_default());
    }
    text.push("scanned-model", scan.meta("model").unwrap_or_default());
    text.push("scanned-model-sha256", scan.meta("model-sha256").unwrap_or_default());
    text
}

/// A unit's lists with what stands beside them.
fn lists(unit: &UnitRecord) -> [(&'static str, &[ExampleRecord]); 3] {
    [
        ("largest activation", &unit.best),
        ("largest mean", &unit.best_by_mean),
        ("smallest activation", &unit.worst),
    ]
}

/// The unit's numbers, in a line.
pub fn numbers(unit: &UnitRecord) -> String {
    let Some((maximum, mean)) = unit.maximum.zip(unit.mean) else {
        return "no position of any image is a number".to_owned();
    };
    let active = unit.fraction_active.map_or(0.0, |share| 100.0 * share);
    let mut line =
        format!("maximum {}, mean {}, active at {active:.1} % of positions", short(maximum), short(mean));
    if unit.not_finite > 0 {
        line += &format!(", {} positions are no numbers", unit.not_finite);
    }
    line
}

impl UnitsJob {
    fn sheet(
        &self,
        scan: &ScanFile,
        crops: &Crops<'_>,
        units: &[(UnitRecord, &LayerRecord)],
    ) -> Result<Sheet> {
        let title = match units {
            [(unit, layer)] => name_of(scan, unit, layer)?,
            _ => scan.meta("model-title").unwrap_or_default().to_owned(),
        };
        let about = match units {
            [(unit, _)] => numbers(unit),
            _ => format!("{} units", units.len()),
        };
        let data = format!("{} images of {}", scan.image_count()?, scan.meta("data").unwrap_or_default());
        let mut sheet = Sheet::new(self.examples)
            .title(title)
            .subtitle(format!("{about}; {data}"))
            .min_cell_width(MIN_CELL_WIDTH);
        for (unit, layer) in units {
            let of =
                if units.len() > 1 { format!("{}\n", name_of(scan, unit, layer)?) } else { String::new() };
            // Of several units only the strongest examples.
            let shown = if units.len() > 1 { 1 } else { lists(unit).len() };
            for (heading, examples) in lists(unit).into_iter().take(shown) {
                let heading = if units.len() > 1 { of.trim().to_owned() } else { heading.to_owned() };
                sheet = sheet.row(&heading);
                for example in examples.iter().take(self.examples) {
                    let crop = enlarged(crops.crop(example, layer)?, TILE)?;
                    let class = example.class.as_deref().map_or("", plain_class);
                    sheet = sheet.cell(Cell::new(crop).caption(class).caption(short(example.value)));
                }
            }
        }
        if let [(unit, _)] = units {
            sheet = sheet.row("responses");
            for plot in plots(scan, unit)? {
                sheet = sheet.cell(Cell::new(plot));
            }
        }
        Ok(sheet)
    }

    fn page(
        &self,
        scan: &ScanFile,
        crops: &Crops<'_>,
        units: &[(UnitRecord, &LayerRecord)],
        text: PngText,
    ) -> Result<Page> {
        let mut sections = Vec::new();
        for (unit, layer) in units {
            let name = name_of(scan, unit, layer)?;
            for (heading, examples) in lists(unit) {
                let mut figures = Vec::new();
                for example in examples.iter().take(self.examples) {
                    figures.push(self.figure(crops, example, layer)?);
                }
                let note = if sections.len() % 4 == 0 { numbers(unit) } else { String::new() };
                sections.push(Section { heading: format!("{name}: {heading}"), note, figures });
            }
            let mut figures = Vec::new();
            for plot in plots(scan, unit)? {
                figures.push(figures::with_picture(Figure::default(), &plot)?);
            }
            sections.push(Section { heading: format!("{name}: responses"), note: String::new(), figures });
        }
        let title = match units {
            [(unit, layer)] => name_of(scan, unit, layer)?,
            _ => format!("Units of {}", scan.meta("model-title").unwrap_or_default()),
        };
        let intro = format!(
            "What {} images of {} do to the network {}. Each crop is what one position of the layer sees: the part of an image \
             around the largest activation, or the whole image where a position sees all of it.",
            scan.image_count()?,
            scan.meta("data").unwrap_or_default(),
            scan.meta("model-title").unwrap_or_default(),
        );
        let footer = format!(
            "oneiro {}, {} kernels, model SHA-256 {}",
            scan.meta("version").unwrap_or_default(),
            scan.meta("kernels").unwrap_or_default(),
            scan.meta("model-sha256").unwrap_or_default().get(..16).unwrap_or_default(),
        );
        Ok(Page { title, intro, sections, footer, text })
    }

    fn figure(&self, crops: &Crops<'_>, example: &ExampleRecord, layer: &LayerRecord) -> Result<Figure> {
        let crop = enlarged(crops.crop(example, layer)?, TILE)?;
        let class = example.class.as_deref().map_or("", plain_class);
        let position: Vec<String> = example.position.iter().map(usize::to_string).collect();
        let figure = Figure {
            caption: format!("{class}\n{}", short(example.value)),
            detail: vec![
                ("file".into(), example.file.clone()),
                ("position".into(), position.join(", ")),
                ("before ReLU".into(), short(example.before)),
            ],
            ..Figure::default()
        };
        figures::with_picture(figure, &crop)
    }
}

/// A class's folder without the WordNet id before it, and with spaces.
pub fn plain_class(folder: &str) -> &str {
    let (first, rest) = folder.split_once(['_', ' ', '-']).unwrap_or((folder, ""));
    let is_id = first.len() == 9 && first.starts_with('n') && first[1..].bytes().all(|b| b.is_ascii_digit());
    if is_id && !rest.is_empty() { rest } else { folder }
}

/// The unit as people write it; for a class with its name.
pub fn name_of(scan: &ScanFile, unit: &UnitRecord, layer: &LayerRecord) -> Result<String> {
    Ok(match layer.is_classes {
        true => format!("class:{}", scan.label(unit.channel)?),
        false => format!("{}:{}", layer.name, unit.channel),
    })
}

/// The ten classes that a unit answers most, and the histogram of its activations.
fn plots(scan: &ScanFile, unit: &UnitRecord) -> Result<Vec<Image>> {
    let mut plots = Vec::new();
    let mut classes: Vec<(&str, f64)> = unit
        .classes
        .iter()
        .filter_map(|class| Some((plain_class(&class.name), f64::from(class.maximum?))))
        .collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    classes.truncate(CLASSES);
    if classes.len() > 1 {
        let names: Vec<&str> = classes.iter().map(|(name, _)| *name).collect();
        let values: Vec<(f64, f64)> = classes.iter().enumerate().map(|(i, (_, v))| (i as f64, *v)).collect();
        let plot = Plot::new(PLOT[1], PLOT[0])
            .title("Classes")
            .subtitle("largest activation")
            .x_names(&names)
            .series(Series::bars("", &values));
        plots.push(plot.render()?);
    }
    if let Some(plot) = histogram::of(&scan.samples(unit.number)?, PLOT)? {
        plots.push(plot);
    }
    Ok(plots)
}

/// The scan of a path, for callers that only ask.
///
/// # Errors
/// As [`ScanFile::open`].
pub fn open(scan: &str) -> Result<ScanFile> {
    ScanFile::open(Path::new(scan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordnet_ids_are_left_out_of_captions() {
        assert_eq!(plain_class("n02018207_American_coot"), "American_coot");
        assert_eq!(plain_class("n02018207"), "n02018207");
        assert_eq!(plain_class("night_owl"), "night_owl");
    }
}
