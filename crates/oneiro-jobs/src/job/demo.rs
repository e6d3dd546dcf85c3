//! The demo: units of the embedded network from edges to classes, as pictures and a page.

use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro_media::{Figure, Page, Section};
use oneiro_zoo::embedded;
use oneiro_zoo::labels::{Labels, builtin};
use serde::{Deserialize, Serialize};

use super::error::JobError;
use super::render::report::UnitReport;
use super::render::work::UnitRequest;
use super::render::{RenderJob, RenderReport, Setting};
use super::{Job, Kept, Place, Role, Run, Sink};
use crate::error::Result;
use crate::files::file_name;
use crate::model::LoadedModel;
use crate::numbers::short;
use crate::provenance::{VERSION, kernels, seal, text_of_model};

/// The embedded network's list of labels.
const LABELS: &str = "imagenet1k";
/// Side of the demo's pictures.
const SIZE: usize = 160;
/// Steps of the demo: enough to see what each unit looks for, and done within a minute on two cores.
pub const STEPS: usize = 192;

/// What the page shows: a heading, a remark, and units of the embedded network.
const SECTIONS: &[(&str, &str, &[&str])] = &[
    (
        "conv1",
        "The first layer, after its ReLU, sees 3 by 3 pixels: edges of one direction between two colours.",
        &["relu1:5", "relu1:45", "relu1:58", "relu1:61"],
    ),
    (
        "fire3",
        "A few layers on, units see small textures: lines, meshes, dots.",
        &["fire3.expand3x3:3", "fire3.expand3x3:14", "fire3.expand3x3:17", "fire3.expand3x3:25"],
    ),
    (
        "fire5",
        "Textures become patterns with curves and corners.",
        &["fire5.expand3x3:5", "fire5.expand3x3:12", "fire5.expand3x3:40", "fire5.expand3x3:100"],
    ),
    (
        "fire8",
        "Near the end, units look for parts of things.",
        &["fire8.expand3x3:5", "fire8.expand3x3:12", "fire8.expand3x3:40", "fire8.expand3x3:100"],
    ),
    (
        "Classes",
        "What the network would call a perfect example of each class.",
        &["class:goldfish", "class:zebra", "class:traffic light", "class:daisy"],
    ),
];

/// Units of the embedded network, a picture each, and a page that shows them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoJob {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Steps of the optimiser.
    pub steps: usize,
}

impl DemoJob {
    /// Number of pictures.
    pub fn pictures() -> usize {
        SECTIONS.iter().map(|(_, _, units)| units.len()).sum()
    }
}

impl Job for DemoJob {
    const KIND: &'static str = "demo";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let preset = Preset { size: Some([SIZE; 2]), steps: self.steps, ..Preset::lucid() };
        let units = SECTIONS.iter().flat_map(|(_, _, units)| units.iter());
        let mut job = RenderJob::new(&[], Setting { preset: preset.clone(), seed: self.seed });
        job.work.units = units.map(|unit| request(unit)).collect::<Result<_>>()?;
        job.work.keep_size = true;
        let mut pictures = Kept::all();
        let report = job.run(run, &mut pictures)?;
        let mut results = report.units.iter().enumerate();
        let mut sections = Vec::new();
        for (heading, note, units) in SECTIONS {
            let mut figures = Vec::new();
            for (i, unit) in results.by_ref().take(units.len()) {
                let file = format!("{}.png", file_name(&unit.unit));
                let bytes =
                    pictures.take(Place::picture(i)).ok_or(JobError::NotMade { what: "a picture" })?;
                sink.take_bytes(Place::picture(i), &file, &bytes)?;
                figures.push(figure(&file, unit, &preset));
            }
            sections.push(Section { heading: (*heading).into(), note: (*note).into(), figures });
        }
        let model = run.model()?;
        let place = Place::first(Role::Page);
        let mut text = text_of_model(model)?;
        text.push("seed", self.seed.to_string());
        text.push("steps", self.steps.to_string());
        seal(run, &mut text, self, place)?;
        let page = Page {
            title: "What SqueezeNet looks for".into(),
            intro: format!(
                "Each picture was found by optimisation: starting from noise, an image was changed step by step so that one \
                 unit of the network answers as strongly as possible. Below it stands the unit's value for the picture, and for the \
                 noise: the mean of its activations, or the logit of its class. The network is {}, trained on ImageNet and built into \
                 oneiro. Now try your own: oneiro sheet model.onnx --layer NAME --out sheet.png",
                model.title
            ),
            sections,
            footer: footer(model, &preset),
            text,
        };
        sink.take_bytes(place, "index.html", page.to_html().as_bytes())?;
        Ok(report)
    }
}

/// A unit of the embedded network. Classes are found in its own labels: a network that a page is made again
/// with has none.
fn request(unit: &str) -> Result<UnitRequest> {
    let mut request = UnitRequest::new(unit);
    if let Some(name) = unit.strip_prefix("class:") {
        let labels = Labels::parse(builtin(LABELS).unwrap_or_default())?;
        request.objective = Some(Objective::logit(labels.find(name)?).to_string());
    }
    Ok(request)
}

fn figure(file: &str, r: &UnitReport, preset: &Preset) -> Figure {
    Figure {
        file: file.into(),
        width: SIZE,
        height: SIZE,
        caption: format!("{}\nvalue {} (noise {})", r.unit, short(r.value), short(r.value_at_start)),
        detail: vec![
            ("objective".into(), r.objective.clone()),
            ("value".into(), format!("{} (start {})", short(r.value), short(r.value_at_start))),
            ("steps".into(), r.steps.to_string()),
            ("seed".into(), r.seed.to_string()),
        ],
        command: format!(
            "oneiro render {} --unit \"{}\" --preset {} --size {SIZE} --steps {} --seed {} --out {file}",
            embedded::NAME,
            r.unit,
            preset.name,
            preset.steps,
            r.seed
        ),
    }
}

fn footer(model: &LoadedModel, preset: &Preset) -> String {
    format!(
        "oneiro {}, preset {}, {} kernels, model SHA-256 {}",
        VERSION,
        preset.name,
        kernels(),
        &model.hash[..16]
    )
}
