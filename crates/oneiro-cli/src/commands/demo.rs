//! `oneiro demo`: the embedded network from its first layer to its classes, as pictures and one page.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use oneiro::objective::Unit;
use oneiro::preset::Preset;
use oneiro_media::{Figure, Page, Section};
use oneiro_zoo::embedded;

use crate::args::model::{self, ModelArgs};
use crate::context::Context;
use oneiro_jobs::files;
use oneiro_jobs::job::render::{Finished, Job, Options, Setting, prepare, render_all};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::numbers::short;
use oneiro_jobs::provenance::png_text;
use oneiro_jobs::source::materials::Extras;

/// Side of the demo's pictures.
const SIZE: usize = 160;
/// Steps of the demo: enough to see what each unit looks for, and done within a minute on two cores.
const STEPS: usize = 192;

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

/// See it work: visualize the embedded network from edges to classes, as pictures and a page
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  oneiro demo --out demo      # then open demo/index.html")]
pub struct Args {
    /// Folder for the pictures and the page
    #[arg(long, short, value_name = "DIR", default_value = "oneiro-demo")]
    out: PathBuf,
    /// Seed of all random numbers
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    seed: u64,
    /// Steps of the optimiser, for tests
    #[arg(long, hide = true, default_value_t = STEPS)]
    steps: usize,
}

/// The embedded network with its card, as any command would load it.
#[derive(Parser)]
struct Embedded {
    #[command(flatten)]
    model: ModelArgs,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    files::check_folder(&args.out)?;
    let model = model::load(context, &Embedded::try_parse_from(["demo", embedded::NAME])?.model)?;
    let preset = Preset { size: Some([SIZE; 2]), steps: args.steps, ..Preset::lucid() };
    let mut jobs = Vec::new();
    for unit in SECTIONS.iter().flat_map(|(_, _, units)| units.iter()) {
        jobs.push(Job::new(*unit, model.objective(&unit.parse::<Unit>()?)?));
    }
    let settings = vec![Setting { preset: preset.clone(), seed: args.seed }];
    let work = prepare(context, &model, settings, jobs, Extras::default(), true)?;
    let finished = render_all(context, &work, &Options::default())?;
    files::create_folder(&args.out)?;
    let mut results = finished.iter().enumerate();
    let mut sections = Vec::new();
    for (heading, note, units) in SECTIONS {
        let mut figures = Vec::new();
        for (done, result) in results.by_ref().take(units.len()) {
            let file = format!("{}.png", files::file_name(&result.report.unit));
            let text = png_text(&work, done, &result.report)?;
            oneiro_media::write_png(args.out.join(&file), &result.picture, &text)?;
            figures.push(figure(&file, result, &preset));
        }
        sections.push(Section { heading: (*heading).into(), note: (*note).into(), figures });
    }
    let page = Page {
        title: "What SqueezeNet looks for".into(),
        intro: format!(
            "Each picture was found by optimisation: starting from noise, an image was changed step by step so that one \
             unit of the network answers as strongly as possible. The network is {}, trained on ImageNet and built into \
             oneiro. Now try your own: oneiro sheet model.onnx --layer NAME --out sheet.png",
            model.title
        ),
        sections,
        footer: footer(&model, &preset),
    };
    let page_path = args.out.join("index.html");
    oneiro_media::write_atomic(&page_path, page.to_html().as_bytes())?;
    context.print(&format!(
        "{} pictures in {:.0} s. Open {}",
        finished.len(),
        started.elapsed().as_secs_f64(),
        page_path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn figure(file: &str, result: &Finished, preset: &Preset) -> Figure {
    let r = &result.report;
    Figure {
        file: file.into(),
        width: result.picture.width,
        height: result.picture.height,
        caption: format!("{}\n{} → {}", r.unit, short(r.value_at_start), short(r.value)),
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
        env!("CARGO_PKG_VERSION"),
        preset.name,
        oneiro_net::Isa::detect().name(),
        &model.hash[..16]
    )
}
