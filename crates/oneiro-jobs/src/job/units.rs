//! A job that shows units of a scan with the images that excite them, as a picture and as an HTML page.

use oneiro_media::{Image, PngText};
use serde::{Deserialize, Serialize};

use super::belief::{Belief, Pictured, belief_of};
use super::contributions::{ContributionsReport, contributions};
use super::crops::Crops;
use super::error::{JobError, Setting};
use super::render::{RenderJob, Setting as RenderSetting};
use super::tiles::crossed_out;
use super::{Job, Kept, Place, Role, Run, Sink};
use crate::error::Result;
use crate::numbers::short;
use crate::provenance::{seal, text_of_model, text_of_program};
use crate::remark::ScanRemark;
use crate::store::ScanFile;
use crate::store::read::{ExampleRecord, LayerRecord, UnitRecord};

mod drawn;
mod driven;
mod heat;
pub(crate) mod plots;

use drawn::Drawn;
use driven::Driven;

/// Largest number of example images that are drawn for each list.
const MOST_EXAMPLES: usize = 100;

/// A job that shows units of a scan with their example images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitsJob {
    /// Path of the scan: its folder or its file.
    pub scan: String,
    /// The units to show, as `LAYER:CHANNEL` or `class:NAME`.
    pub units: Vec<String>,
    /// Number of example images shown of each list.
    pub examples: usize,
    /// How to render pictures of the units, shown beside their examples; `None` renders none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<RenderSetting>,
    /// How many units to list that raise, that lower, and that are fed by each unit; `None` lists none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers: Option<usize>,
    /// Whether the unit's activation map is drawn over its example images.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heat: bool,
    /// Whether captions say if the units' pictures may be believed; only with pictures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub belief: bool,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
}

/// The report of a job that shows units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitsReport {
    /// The scan's records of the shown units.
    pub units: Vec<UnitRecord>,
    /// For each unit, the units that raise or lower it and that it feeds, if they were requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<ContributionsReport>,
    /// Whether each of their pictures may be believed, if that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beliefs: Vec<Belief>,
}

impl Job for UnitsJob {
    const KIND: &'static str = "units";
    type Report = UnitsReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<UnitsReport> {
        self.check()?;
        let scan = ScanFile::open(run.places().of(&self.scan))?.with_images(self.images.as_deref())?;
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
        let mut found = Vec::new();
        if let Some(top) = self.drivers {
            for (unit, layer) in &units {
                found.push(contributions(run, &scan, (unit, layer), [self.examples, top])?);
            }
        }
        let driven = found
            .iter()
            .map(|of| {
                Driven::new(&scan, of, self.examples, |units| {
                    Ok(self.pictures(run, &scan, units)?.map(drawn_pictures))
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let heat = match self.heat {
            true => Some(heat::over_images(run, &scan, &crops, &units, self.examples)?),
            false => None,
        };
        let pictures = self.pictures(run, &scan, &units)?;
        let beliefs = match &pictures {
            Some(pictures) if self.belief => {
                let pictured = units.iter().zip(pictures);
                let pictured: Vec<Pictured<'_>> = pictured
                    .map(|((unit, layer), rendered)| Pictured {
                        unit,
                        layer,
                        picture: Some(rendered.picture.clone()),
                    })
                    .collect();
                belief_of(run, &scan, &pictured)?
            }
            _ => Vec::new(),
        };
        let values = pictures.iter().flatten().map(|rendered| rendered.value).collect();
        let pictures = pictures.map(drawn_pictures);
        let examples = self.examples;
        let drawn = Drawn {
            scan: &scan,
            crops: &crops,
            units: &units,
            pictures,
            values,
            beliefs: &beliefs,
            heat,
            driven,
            examples,
        };
        let place = Place::picture(0);
        if sink.wants(place) {
            let mut text = text_of_scan(run, &scan)?;
            seal(run, &mut text, self, place)?;
            let sheet = drawn.sheet()?;
            sink.take_bytes(place, "units.png", &oneiro_media::encode_png(&sheet.render()?, &text)?)?;
        }
        let place = Place::first(Role::Page);
        if sink.wants(place) {
            let mut text = text_of_scan(run, &scan)?;
            seal(run, &mut text, self, place)?;
            let page = drawn.page(text)?;
            sink.take_bytes(place, "units.html", page.to_html().as_bytes())?;
        }
        if let Some((file, count)) = crops.gone() {
            run.context.remark(ScanRemark::SourcesGone { count, file });
        }
        let units = units.into_iter().map(|(unit, _)| unit).collect();
        Ok(UnitsReport { units, contributions: found, beliefs })
    }

    fn check(&self) -> Result<()> {
        if self.units.is_empty() {
            return Err(JobError::NoUnits.into());
        }
        if self.belief && self.setting.is_none() {
            return Err(JobError::BeliefWithoutPictures.into());
        }
        if !(1..=MOST_EXAMPLES).contains(&self.examples) {
            let (setting, needed) = (Setting::Examples, format!("a number from 1 to {MOST_EXAMPLES}"));
            return Err(JobError::Setting { setting, value: self.examples, needed }.into());
        }
        Ok(())
    }

    fn settings_mut(&mut self) -> Vec<&mut RenderSetting> {
        self.setting.iter_mut().collect()
    }
}

impl UnitsJob {
    /// Rendered pictures of the units, if they are wanted.
    fn pictures(
        &self,
        run: &Run<'_>,
        scan: &ScanFile,
        units: &[(UnitRecord, &LayerRecord)],
    ) -> Result<Option<Vec<Rendered>>> {
        let Some(setting) = &self.setting else { return Ok(None) };
        scan.check_model(run.model()?)?;
        let names: Vec<String> = units
            .iter()
            .map(|(unit, layer)| match layer.is_classes {
                true => format!("class:{}", unit.channel),
                false => format!("\"{}\":{}", layer.name, unit.channel),
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut kept = Kept::all();
        let report = RenderJob::new(&names, setting.clone()).run(run, &mut kept)?;
        let mut pictures = Vec::new();
        for (i, unit) in report.units.iter().enumerate() {
            let bytes = kept.take(Place::picture(i)).ok_or(JobError::NotMade { what: "a picture" })?;
            pictures.push(Rendered {
                picture: oneiro_media::decode_image(&bytes, &unit.unit)?,
                value: unit.value,
                has_failed: unit.failure().is_some(),
            });
        }
        Ok(Some(pictures))
    }
}

/// The rendered picture of a unit.
struct Rendered {
    picture: Image,
    /// The objective's value for the picture.
    value: f64,
    /// Whether the optimisation failed.
    has_failed: bool,
}

/// The pictures as they are drawn: crossed out where the optimisation failed.
fn drawn_pictures(pictures: Vec<Rendered>) -> Vec<Image> {
    let drawn = |Rendered { mut picture, has_failed, .. }: Rendered| {
        if has_failed {
            crossed_out(&mut picture);
        }
        picture
    };
    pictures.into_iter().map(drawn).collect()
}

/// What a picture says of the scan that it is of, and of the network if the job has run it.
pub(crate) fn text_of_scan(run: &Run<'_>, scan: &ScanFile) -> Result<PngText> {
    let mut text = match run.model() {
        Ok(model) => text_of_model(model)?,
        Err(_) => text_of_program(),
    };
    for key in ["data", "images"] {
        text.push(key, scan.meta(key).unwrap_or_default());
    }
    text.push("scanned-model", scan.meta("model").unwrap_or_default());
    text.push("scanned-model-sha256", scan.meta("model-sha256").unwrap_or_default());
    Ok(text)
}

/// Returns a line with the unit's maximum, mean and share of active positions.
pub fn numbers(unit: &UnitRecord, layer: &LayerRecord) -> String {
    let Some((maximum, mean)) = unit.maximum.zip(unit.mean) else {
        return "no position of any image is a number".to_owned();
    };
    let mut line = format!("maximum {}, mean {}", short(maximum), short(mean));
    let active = unit.fraction_active.map_or(0.0, |share| 100.0 * share);
    line += &match (layer.is_classes, layer.has_positions()) {
        (true, false) => String::new(),
        (_, true) => format!(", active at {active:.1} % of positions"),
        (false, false) => format!(", active in {active:.1} % of images"),
    };
    if unit.not_finite > 0 {
        let things = if layer.has_positions() { "positions" } else { "images" };
        line += &format!(", {} {things} are no numbers", unit.not_finite);
    }
    line
}

/// A list of a unit's example images, with its heading.
pub type HeadedList<'u> = (String, Vec<&'u ExampleRecord>);

/// Returns at most `shown` of a unit's examples of each list, with headings. If the layer's map has only one
/// position, the mean over positions equals the activation and gets no list of its own. What stands among the
/// largest is not shown among the smallest; where all images are among the largest, the heading says so.
pub fn lists<'u>(
    scan: &ScanFile,
    unit: &'u UnitRecord,
    layer: &LayerRecord,
    shown: usize,
) -> Vec<HeadedList<'u>> {
    fn first(list: &[ExampleRecord], shown: usize) -> Vec<&ExampleRecord> {
        list.iter().take(shown).collect()
    }
    let by = scan.ranked_by();
    let best = first(&unit.best, shown);
    let is_known = |example: &ExampleRecord| best.iter().any(|known| known.image == example.image);
    let worst: Vec<_> = unit.worst.iter().filter(|example| !is_known(example)).take(shown).collect();
    let all = match worst.is_empty() && best.len() > 1 {
        true => format!(" (all {} images)", best.len()),
        false => String::new(),
    };
    let mut lists = vec![(format!("largest {by}{all}"), best)];
    if layer.has_positions() {
        let of = if by == "activation" { String::new() } else { format!(" {by}") };
        lists.push((format!("largest mean{of}"), first(&unit.best_by_mean, shown)));
    }
    if !worst.is_empty() {
        let heading = match layer.has_positions() {
            true => format!("images whose largest {by} is the smallest"),
            false => format!("smallest {by}"),
        };
        lists.push((heading, worst));
    }
    lists
}

/// Images of a class below which its mean is said to rest on few.
const FEW: usize = 3;

/// Returns how selective a unit is and for which class, in words; `None` if that is not defined.
///
/// # Errors
/// If the scan cannot be read.
pub fn selectivity(scan: &ScanFile, unit: &UnitRecord) -> Result<Option<String>> {
    let Some((class, value)) = scan.selectivity(unit)? else { return Ok(None) };
    let name = plain_class(&class);
    let few = match scan.class(&class)?.1.images {
        1 => " (1 image of this class)".to_owned(),
        images if images < FEW => format!(" ({images} images of this class)"),
        _ => String::new(),
    };
    // The difference of both means is then the sum of their magnitudes.
    let few = if value >= 1.0 { format!(" (the others' mean is not above 0){few}") } else { few };
    Ok(Some(format!("{value:.2} for {name}, by the classes' means{few}")))
}

/// Returns a class folder's name for people: without the WordNet id before it, with spaces for underscores.
pub fn plain_class(folder: &str) -> String {
    let (first, rest) = folder.split_once(['_', ' ', '-']).unwrap_or((folder, ""));
    let is_id = first.len() == 9 && first.starts_with('n') && first[1..].bytes().all(|b| b.is_ascii_digit());
    let name = if is_id && !rest.is_empty() { rest } else { folder };
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordnet_ids_are_left_out_of_captions() {
        assert_eq!(plain_class("n02018207_American_coot"), "American coot");
        assert_eq!(plain_class("n02018207"), "n02018207");
        assert_eq!(plain_class("night_owl"), "night owl");
    }
}
