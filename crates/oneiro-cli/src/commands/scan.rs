//! The command `oneiro scan`: records how every unit of a network responds to the images of a data set.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;
use oneiro_jobs::Error;
use oneiro_jobs::files::{check_folder, create_folder};
use oneiro_jobs::job::parts::{Parts, Shard};
use oneiro_jobs::job::scan::{RankedBy, ScanJob, ScanReport, ScannedClips};
use oneiro_jobs::job::{Folder, Job as _};
use oneiro_jobs::store::FILE;

use crate::args::clips::FlowArgs;
use crate::args::model::{self, ModelArgs};
use crate::collisions;
use crate::context::Context;
use crate::results::print_json;

/// Default number of example images in each of a unit's lists.
const DEFAULT_TOP: u16 = 32;

/// Find out what the images or clips of a data set do to every unit: one pass, one file
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro scan squeezenet1_1 photos/ --out photos.scan          # photos/CLASS/*.jpg
  oneiro scan model.onnx photos/ --layers fire4,fire8 --out scan
  oneiro scan model.onnx list.csv --out scan                   # lines of file,class
  oneiro scan two_stream.onnx clips/ --flow flows/ --out scan  # a network of clips: clips/CLASS/*.mp4
  oneiro units photos.scan fire8:12                            # then: what does unit 12 answer?

DATA is a folder of images; those in a folder in it, however deep, are of the class of its name. Or it is a list: a .csv
file of lines file,class, or a .json file. Images are brought to the network's size as `oneiro classify` does it.

A network whose card has inputs of kind clip or flow takes videos, animated pictures and folders of frames instead, and sees
the clip in the middle of each. Flow that is computed is kept in OUT/flow.

OUT/scan.sqlite holds for every unit the images that excite it most and least, its mean, variance and share of
positions above zero, its response to each class, and activations at sampled positions (docs/scan.md). A scan that was
interrupted goes on when the same command is given again.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A folder of images or clips, or a list of them
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Layers, separated by commas; `class` means the network's classes [default: all with units, behind
    /// their activation functions]
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    layers: Vec<String>,
    /// Images in each list of a unit
    #[arg(long, default_value_t = DEFAULT_TOP, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    top: u16,
    /// Share of the scaled image's shorter side that the crop keeps
    #[arg(long, allow_negative_numbers = true, value_name = "FRACTION")]
    crop: Option<f64>,
    /// What ranks images in a unit's lists: its activation, or activation times the gradient of the logit
    /// of the image's class
    #[arg(long, value_enum, default_value_t = By::Activation)]
    by: By,
    /// Distance of a clip's frames, and of its flow fields, in frames of the video [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N", help_heading = "Clips")]
    stride: Option<u32>,
    #[command(flatten)]
    flow: FlowArgs,
    /// Keep small pictures of the images in lists, for when the sources are gone
    #[arg(long)]
    thumbnails: bool,
    /// See only these images, the I-th of N parts, and keep what they do for a run that has all; several
    /// machines share the work
    #[arg(long, value_name = "I/N", conflicts_with = "json")]
    shard: Option<Shard>,
    /// The folder that the scan goes into
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The quantity by which example images are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The unit's activation
    Activation,
    /// Activation times the gradient of the logit of the image's class
    Relevance,
}

impl By {
    fn ranked(self) -> RankedBy {
        match self {
            Self::Activation => RankedBy::Activation,
            Self::Relevance => RankedBy::Relevance,
        }
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    if args.out.is_file() {
        bail!("--out {}: this is a file; a folder is needed", args.out.display());
    }
    check_folder(&args.out)?;
    let job = ScanJob {
        data: args.data.display().to_string(),
        layers: args.layers.clone(),
        top: usize::from(args.top),
        crop: args.crop,
        by: args.by.ranked(),
        thumbnails: args.thumbnails,
        clips: ScannedClips {
            stride: args.stride.map_or(1, |stride| stride as usize),
            flow: args.flow.source(),
        },
    };
    job.check()?;
    let model = model::load(context, &args.model)?;
    if !model.takes_clips() {
        args.flow.refuse(&model)?;
    }
    let file = args.out.join(FILE);
    collisions::check(context, Some(&model), [args.data.as_path()], [("--out", file.as_path())])?;
    let was_there = args.out.is_dir();
    create_folder(&args.out)?;
    let parts = Parts::new(args.out.join("scan.parts"), args.shard);
    let run = oneiro_jobs::Run::new(&model, context).with_parts(Some(&parts));
    let outcome = job.run(&run, &mut Folder::new(&args.out));
    let report = match outcome {
        Err(Error::Unfinished(unfinished)) => {
            context.print(&format!(
                "{unfinished}; the scan is put together by the run that finds all of them"
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            if parts.folder().is_dir() {
                let folder = parts.folder().display();
                context
                    .note(&format!("what was seen is kept in {folder}; the same command goes on from there"));
            }
            // A folder that was created for this run is removed again if it is empty.
            if !was_there {
                let _ = std::fs::remove_dir(&args.out);
            }
            return Err(error.into());
        }
        Ok(report) => report,
    };
    parts.clear();
    if args.json {
        print_json(context, &model, &report, &[file.display().to_string()], started)?;
    } else {
        print(context, &report, if model.takes_clips() { "clips" } else { "images" }, &file, started)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(context: &Context, report: &ScanReport, things: &str, file: &Path, started: Instant) -> Result<()> {
    let ScanReport { images, seen, classes, accuracy, layers, units, problems } = report;
    let seconds = started.elapsed().as_secs_f64();
    let rate = *seen as f64 / seconds.max(1e-9);
    context.print(&format!(
        "{seen} of {images} {things}, {classes} classes; {units} units of {layers} layers"
    ))?;
    if let Some(accuracy) = accuracy {
        let share = 100.0 * accuracy.right as f64 / accuracy.known as f64;
        context.print(&format!("right at first: {} of {} ({share:.1} %)", accuracy.right, accuracy.known))?;
    }
    if !problems.is_empty() {
        let said: Vec<String> = problems.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        context.print(&format!("problems: {}", said.join(", ")))?;
    }
    let megabytes = std::fs::metadata(file).map_or(0.0, |data| data.len() as f64 / 1e6);
    context.print(&format!(
        "written to {} ({megabytes:.1} MB) in {seconds:.1} s, {rate:.1} {things}/s",
        file.display()
    ))
}
