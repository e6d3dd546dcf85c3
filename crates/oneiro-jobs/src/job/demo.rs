//! The demo: pictures of units of a network from shallow to deep layers, and a page that shows them.

mod choice;

use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro_media::{Figure, Page, Section};
use oneiro_zoo::labels::{Labels, builtin};
use serde::{Deserialize, Serialize};

use super::error::JobError;
use super::figures;
use super::render::report::UnitReport;
use super::render::work::UnitRequest;
use super::render::{RenderJob, RenderReport, Setting};
use super::tiles::crossed_out;
use super::{Job, Kept, Place, Role, Run, Sink};
use crate::error::Result;
use crate::files::file_name;
use crate::model::LoadedModel;
use crate::provenance::{seal, text_of_model};

/// Name of the label list of the embedded network.
const LABELS: &str = "imagenet1k";
/// Side in pixels of the demo's pictures.
const SIZE: usize = 128;
/// Optimisation steps of the demo. They suffice to show what excites each unit, and take less than a minute
/// on two cores.
pub const STEPS: usize = 128;

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
            "class:strawberry",
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
}

impl DemoJob {
    /// Creates the job that shows the embedded network.
    pub fn embedded(seed: u64, steps: usize) -> Self {
        Self { seed, steps, sections: Vec::new() }
    }

    /// Creates the demo of another network: a few layers from shallow to deep, with evenly spaced channels,
    /// and a few evenly spaced classes.
    ///
    /// # Errors
    /// If the network's layers are not known, or if there are no units to show.
    pub fn of(model: &LoadedModel, seed: u64, steps: usize) -> Result<Self> {
        Ok(Self { seed, steps, sections: choice::sections(model)? })
    }
}

impl Job for DemoJob {
    const KIND: &'static str = "demo";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let model = run.model()?;
        let is_embedded = self.sections.is_empty();
        let plan = if is_embedded { of_embedded()? } else { self.sections.clone() };
        let preset = Preset { size: Some([SIZE; 2]), steps: self.steps, ..Preset::default() };
        let mut job = RenderJob::new(&[], Setting { preset: preset.clone(), seed: self.seed });
        job.work.units = plan.iter().flat_map(|section| section.units.iter().cloned()).collect();
        let mut pictures = Kept::all();
        let report = job.run(run, &mut pictures)?;
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
                let figure = figure(model, file, unit, [picture.width, picture.height]);
                figures.push(if unit.failure().is_some() {
                    crossed_out(&mut picture);
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
        let end = match is_embedded {
            true => {
                "The network is SqueezeNet 1.1, trained on ImageNet and built into oneiro. Now try your own: oneiro demo \
                 --model model.onnx"
            }
            false => {
                "A crossed-out picture is of a unit that did not answer to anything the optimiser tried."
            }
        };
        let name = if is_embedded { "SqueezeNet" } else { &model.title };
        let page = Page {
            title: format!("What {name} looks for"),
            intro: format!("{} {end}", figures::ABOUT_VALUES),
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

fn figure(model: &LoadedModel, file: String, unit: &UnitReport, size: [usize; 2]) -> Figure {
    let command = format!(
        "oneiro render {} --unit \"{}\" --size {}x{} --steps {} --seed {} --out {file}",
        model.source, unit.unit, size[1], size[0], unit.steps, unit.seed
    );
    let caption = unit.unit.strip_prefix("class:").unwrap_or(&unit.unit);
    Figure { file, command, ..figures::of_unit(caption, unit) }
}
