//! The demo: pictures of units of a network from shallow to deep layers, and a page that shows them.

mod choice;

use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro::preset::Preset;
use oneiro_media::{Figure, Page, Section};
use oneiro_zoo::labels::{Labels, builtin};
use serde::{Deserialize, Serialize};

use super::error::JobError;
use super::figures;
use super::render::report::UnitReport;
use super::render::work::UnitRequest;
use super::render::{RenderJob, RenderReport, Setting};
use super::scan::examples::Examples;
use super::tiles::{SIDE, beside, crossed_out, enlarged_to};
use super::{Job, Kept, Place, Role, Run, Sink};
use crate::error::Result;
use crate::files::file_name;
use crate::model::LoadedModel;
use crate::provenance::{seal, text_of_model};
use crate::source::references::picture_size;

/// Name of the label list of the embedded network.
const LABELS: &str = "imagenet1k";
/// Side in pixels of the demo's pictures.
const SIZE: usize = 128;
/// Side in pixels of pictures beside crops, and of the square of crops.
const BESIDE: usize = 192;
/// Side of a network's input below which pictures are larger than what the network sees.
const SMALL: usize = 64;
/// Optimisation steps of the demo. They suffice to show what excites each unit, and take less than a minute
/// on two cores.
pub const STEPS: usize = 128;

/// Says to readers who never heard of it what the page is about.
const ABOUT_UNITS: &str = "A network looks at an image in layers. Each layer has many units: detectors that look for one thing at every \
     place of the image, and tell the next layer how much of it they found. In networks for photographs the units of the first \
     layers mostly look for edges and colours, those in the middle for textures, and those of the last ones for parts of \
     objects; a class is what the whole network answers. A picture of a class raises its score, but may raise another one more. The sections go from the first layers to the last.";
/// Explains the crops beside pictures.
const ABOUT_CROPS: &str = " To the right of each picture are the parts of images that excite the unit most: what they share \
     is what the unit looks for in images. Beside a class stand the images of highest score; there may be none of the class among \
     the images. Of their values the first, a mean over positions, compares with the picture's. Pale is what lies beyond the image's edge or beyond what the unit sees.";

/// The sections of the embedded network's page. Each has a heading, a note, and units.
const SECTIONS: &[(&str, &str, &[&str])] = &[
    (
        "relu1",
        "The first convolution, behind its ReLU. A unit sees 3 by 3 pixels: lines of one direction, edges between two colours, fine weaves.",
        &["relu1:4", "relu1:15", "relu1:20", "relu1:36", "relu1:58", "relu1:60"],
    ),
    (
        "fire3",
        "A few layers on, units see small textures: lines, bands, meshes.",
        &["fire3:65", "fire3:84", "fire3:100", "fire3:105", "fire3:111", "fire3:127"],
    ),
    (
        "fire5",
        "Textures become patterns with curves and corners.",
        &["fire5:129", "fire5:132", "fire5:148", "fire5:164", "fire5:175", "fire5:184"],
    ),
    (
        "fire7",
        "Units look for parts of things: eyes, fur, snouts.",
        &["fire7:193", "fire7:196", "fire7:212", "fire7:228", "fire7:239", "fire7:250"],
    ),
    (
        "Classes",
        "What raises the score of each class most: its object from several sides, and what usually surrounds it. Photos of a class \
         reach scores of some 20 to 40; a picture that is made for the score goes far beyond.",
        &[
            "class:hen",
            "class:flamingo",
            "class:peacock",
            "class:bald eagle",
            "class:zebra",
            "class:mushroom",
            "class:pineapple",
            "class:castle",
            "class:goldfish",
            "class:volcano",
            "class:hummingbird",
            "class:king penguin",
        ],
    ),
];

/// A section of the page: units that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoSection {
    /// Heading of this section of the page.
    pub heading: String,
    /// A note below the heading of the section.
    pub note: String,
    /// The units. Classes are given by index, since a network that recreates the page has no labels.
    pub units: Vec<UnitRequest>,
}

/// Returns the sections of the page about the embedded network.
fn of_embedded() -> Result<Vec<DemoSection>> {
    let section = |&(heading, note, units): &(&str, &str, &[&str])| {
        let units = units.iter().map(|unit| request(unit)).collect::<Result<_>>()?;
        Ok(DemoSection { heading: heading.into(), note: note.into(), units })
    };
    SECTIONS.iter().map(section).collect()
}

/// Pictures of units of a network from shallow to deep layers, and a page that shows them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoJob {
    /// Random seed of all pictures of the demo.
    pub seed: u64,
    /// Number of optimisation steps for each picture.
    pub steps: usize,
    /// The sections of the page, for a network other than the embedded one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<DemoSection>,
    /// A scan of the network, or a folder of images, whose best crops stand beside each picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl DemoJob {
    /// Creates the job that shows the embedded network.
    pub fn embedded(seed: u64, steps: usize) -> Self {
        Self { seed, steps, sections: Vec::new(), data: None }
    }

    /// Creates the demo of another network: a few layers from shallow to deep, with evenly spaced channels,
    /// and a few evenly spaced classes. With data, a scan or a folder of images, crops stand beside the
    /// pictures, and the classes are some that the data has images of.
    ///
    /// # Errors
    /// If the network's layers are not known, or if there are no units to show.
    pub fn of(model: &LoadedModel, seed: u64, steps: usize, data: Option<String>) -> Result<Self> {
        Ok(Self { seed, steps, sections: choice::sections(model, data.as_deref())?, data })
    }
}

impl Job for DemoJob {
    const KIND: &'static str = "demo";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let model = run.model()?;
        let is_embedded = self.sections.is_empty();
        let plan = if is_embedded { of_embedded()? } else { self.sections.clone() };
        let preset = Preset { steps: self.steps, ..preset_for(model, &plan)? };
        let mut job = RenderJob::new(&[], Setting { preset: preset.clone(), seed: self.seed });
        job.work.units = plan.iter().flat_map(|section| section.units.iter().cloned()).collect();
        let mut pictures = Kept::all();
        let with_objective: Vec<(String, Option<String>)> =
            job.work.units.iter().map(|unit| (unit.unit.clone(), unit.objective.clone())).collect();
        let with_objective: Vec<(&str, Option<String>)> =
            with_objective.iter().map(|(unit, objective)| (&unit[..], objective.clone())).collect();
        let units: Vec<&str> = with_objective.iter().map(|(unit, _)| *unit).collect();
        let examples = |data: &String| Examples::of(run, data, None, &with_objective, SIDE * SIDE);
        let examples = self.data.as_ref().map(examples).transpose()?;
        let report = job.run(run, &mut pictures)?;
        let crops = examples.map(|examples| examples.mosaics(run, &units, BESIDE)).transpose()?;
        let mut results = report.units.iter().enumerate();
        let mut sections = Vec::new();
        for DemoSection { heading, note, units } in plan {
            let mut figures = Vec::new();
            for (i, unit) in results.by_ref().take(units.len()) {
                let file = format!("{}.png", file_name(&unit.unit));
                let bytes =
                    pictures.take(Place::picture(i)).ok_or(JobError::NotMade { what: "a picture" })?;
                sink.take_bytes(Place::picture(i), &file, &bytes)?;
                let mut picture = oneiro_media::decode_image(&bytes, &file)?;
                let mut figure = figure(model, &preset, file, unit, [picture.width, picture.height]);
                if unit.failure().is_some() {
                    crossed_out(&mut picture);
                }
                figures.push(if let Some((crops, words)) = crops.as_ref().and_then(|crops| crops.get(i)) {
                    figure.caption += &format!("\n{words}");
                    figures::with_jpeg(figure, &beside(&enlarged_to(picture, BESIDE)?, crops)?)?
                } else if unit.failure().is_some() {
                    figures::with_picture(figure, &picture)?
                } else {
                    let (width, height) = (picture.width, picture.height);
                    Figure { width, height, inside: Some(bytes), ..figure }
                });
            }
            sections.push(Section { heading, note, figures, ..Section::default() });
        }
        let place = Place::first(Role::Page);
        let mut text = text_of_model(model)?;
        text.push("seed", self.seed.to_string());
        text.push("steps", self.steps.to_string());
        seal(run, &mut text, self, place)?;
        let mut intro = format!("{ABOUT_UNITS}\n\n{}", figures::ABOUT_VALUES);
        if self.data.is_some() {
            intro += ABOUT_CROPS;
        }
        intro += match is_embedded {
            true => {
                "\n\nThe network is SqueezeNet 1.1, trained on ImageNet and built into oneiro. Now try your own: oneiro demo \
                 --model model.onnx"
            }
            false => {
                " A crossed-out picture is of a unit that did not answer to anything the optimiser tried."
            }
        };
        let name = if is_embedded { "SqueezeNet" } else { &model.title };
        let page = Page {
            title: format!("What {name} looks for"),
            intro,
            sections,
            footer: figures::footer(model, &preset.name),
            text,
        };
        sink.take_bytes(place, "index.html", page.to_html().as_bytes())?;
        Ok(report)
    }
}

/// Returns a unit of the embedded network. The index of a class is found in the embedded labels.
fn request(unit: &str) -> Result<UnitRequest> {
    let mut request = UnitRequest::new(unit);
    if let Some(name) = unit.strip_prefix("class:") {
        let labels = Labels::parse(builtin(LABELS).unwrap_or_default())?;
        request.objective = Some(Objective::logit(labels.find(name)?).to_string());
    }
    Ok(request)
}

/// Returns the recipe of the page's pictures: the default, or that for networks that see few pixels if the
/// network accepts nothing larger.
fn preset_for(model: &LoadedModel, plan: &[DemoSection]) -> Result<Preset> {
    let large = Preset { size: Some([SIZE; 2]), ..Preset::default() };
    let own = picture_size(model, None)?;
    let Some(deepest) = plan.last().and_then(|section| section.units.last()) else { return Ok(large) };
    if own[0].max(own[1]) >= SMALL {
        return Ok(large);
    }
    let objective = match &deepest.objective {
        Some(text) => model.expression(text, large.size)?,
        None => model.objective(&deepest.unit.parse()?)?,
    };
    let shapes = model.model.input_shapes(1, large.size)?;
    let accepts = ObjectiveSession::accepts(&model.model, &[objective], shapes).is_ok();
    Ok(if accepts { large } else { Preset::enlarged() })
}

fn figure(model: &LoadedModel, preset: &Preset, file: String, unit: &UnitReport, size: [usize; 2]) -> Figure {
    let how = match preset.size {
        Some(_) => format!("--size {}x{}", size[1], size[0]),
        None => format!("--preset {}", preset.name),
    };
    let command = format!(
        "oneiro render {} --unit \"{}\" {how} --steps {} --seed {} --out {file}",
        model.source, unit.unit, unit.steps, unit.seed
    );
    let caption = unit.unit.strip_prefix("class:").unwrap_or(&unit.unit);
    Figure { file, command, ..figures::of_unit(caption, unit) }
}
