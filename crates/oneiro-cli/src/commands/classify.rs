//! The command `oneiro classify`: prints the classes that a network predicts. It is the quickest check of
//! card and labels.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use oneiro_jobs::files;
use oneiro_jobs::job::classification::clips::ClipClassificationJob;
use oneiro_jobs::job::classification::fail_on::FailOn;
use oneiro_jobs::job::classification::{
    ClassFolder, ClassificationJob, Classified, Confusion, Mistake, find_photos,
};
use oneiro_jobs::job::{Job as _, Kept, Run};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::source::clips::find::find_clips;

use crate::args::clips::{ClipArgs, FlowArgs};
use crate::args::model::{self, ModelArgs};
use crate::collisions;
use crate::context::Context;
use crate::terminal::{CONDITION_HOLDS, complain};

/// For photos in class folders: largest number of photos whose predictions are printed one by one.
const MOST_VERDICTS: usize = 20;
/// Largest number of classes for which a confusion matrix is printed.
const MOST_CLASSES: usize = 12;
/// Number of mistakes that are listed if there are too many classes for a matrix.
const MOST_MISTAKES: usize = 10;

/// Name the classes that a network sees in images or clips
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro classify squeezenet1_1 cat.jpg dog.png
  oneiro classify model.onnx photos/             # photos/CLASS/*.jpg: how many are right, and what is taken for what
  oneiro classify model.onnx photos/ --fail-on 'right<90%' --fail-on 'each<50%' --confusion confusion.csv
  oneiro classify c3d.onnx clip.mp4 --clips 10   # a network of clips: the mean over ten clips of the video
  oneiro classify two_stream.onnx clips/ --flow flows/   # clips/CLASS/ID.mp4 with flows/CLASS/ID.npz

An image that has the network's size is neither scaled nor cropped. Any other is scaled so that its shorter side is 256 pixels for
networks of 224 to 227 (the protocol of Caffe and torchvision), else the network's size / 0.875, then cropped about its
centre. --crop chooses another share, for every image.

A network whose card has inputs of kind clip or flow takes videos (read by ffmpeg), GIFs, animated PNGs and WebPs, and
folders of frames. Each input gets what it takes from the middle of the video: a frame, T frames, or L fields of optical
flow. A video that is too short repeats its last frame.

Behind a sigmoid classes are independent, and their percentages do not add up to 100. A network with one output says yes
or no: its percentage is that of the yes.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Image files, folders of images, or folders of class folders; for networks of clips: videos, folders of
    /// frames, folders of these, or folders of class folders
    #[arg(required = true, value_name = "IMAGE|CLIP")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    clips: ClipArgs,
    #[command(flatten)]
    flow: FlowArgs,
    /// Number of classes to print for each picture or clip
    #[arg(long, default_value_t = 5, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Share of the scaled image's shorter side that the crop keeps
    #[arg(long, allow_negative_numbers = true, value_name = "FRACTION", conflicts_with = "full")]
    crop: Option<f64>,
    /// Show the network whole images, squeezed to its size
    #[arg(long)]
    full: bool,
    /// Exit with 3 if this holds: 'right<90%' (of all images of known class), 'each<50%' (of the images of
    /// any class folder) or 'images<20' (of known class); may be given several times
    #[arg(long, value_name = "CONDITION")]
    fail_on: Vec<FailOn>,
    /// Also write accuracy and confusion matrix of class folders: .json, or .csv with a row for each class
    /// folder and each class that is predicted for its images
    #[arg(long, value_name = "FILE")]
    confusion: Option<PathBuf>,
    /// Print one JSON array, with an object for each image
    #[arg(long)]
    json: bool,
}

/// File formats of a confusion matrix.
#[derive(Clone, Copy)]
enum Table {
    Json,
    Csv,
}

impl Table {
    /// Returns the format for a file's name.
    fn of(path: &Path) -> Result<Self> {
        let ends = |end: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(end));
        match (ends("json"), ends("csv")) {
            (true, _) => Ok(Self::Json),
            (_, true) => Ok(Self::Csv),
            _ => bail!("--confusion {}: use a name that ends in .json or .csv", path.display()),
        }
    }

    fn write(self, path: &Path, confusion: &Confusion) -> Result<()> {
        let text = match self {
            Self::Json => serde_json::to_string_pretty(confusion)? + "\n",
            Self::Csv => confusion.csv(),
        };
        Ok(oneiro_media::write_atomic(path, text.as_bytes())?)
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let top = usize::from(args.top);
    // Checks the settings before the model is read, which takes longer.
    ClassificationJob { photos: Vec::new(), top, crop: args.crop, full: args.full }.check()?;
    let sampling = args.clips.sampling(args.crop)?;
    let table = args.confusion.as_deref().map(|path| anyhow::Ok((Table::of(path)?, path))).transpose()?;
    if let Some((_, path)) = table {
        files::check_writable(path)?;
    }
    let model = model::load(context, &args.model)?;
    if args.full && model.takes_clips() {
        bail!("--full is for networks of images, and {} takes clips or optical flow", model.source);
    }
    let (classified, noun, count) = if model.takes_clips() {
        let clips = find_clips(&args.images, &args.flow.source())?;
        let job = ClipClassificationJob { clips, top, sampling };
        let classified = job.run(&Run::new(&model, context), &mut Kept::default())?;
        (classified, "clips", job.clips.len())
    } else {
        args.clips.refuse(&model)?;
        args.flow.refuse(&model)?;
        let photos = find_photos(&args.images)?;
        let job = ClassificationJob { photos, top, crop: args.crop, full: args.full };
        let classified = job.run(&Run::new(&model, context), &mut Kept::default())?;
        (classified, "images", job.photos.len())
    };
    let confusion = classified.confusion(&model, top);
    if let Some((table, path)) = table {
        let placed = [("--confusion", path)];
        collisions::check(
            context,
            Some(&model),
            classified.photos.iter().map(|v| Path::new(&v.file)),
            placed,
        )?;
        if confusion.known > 0 {
            table.write(path, &confusion)?;
        }
    }
    if args.json {
        if !classified.photos.is_empty() {
            context.print(&serde_json::to_string_pretty(&classified.photos)?)?;
        }
    } else {
        report(context, args, &model, &classified, &confusion, noun)?;
    }
    if let Some((_, path)) = table.filter(|_| confusion.known == 0) {
        bail!("--confusion {}: no image lies in a folder with the name of a class", path.display());
    }
    let [first, others @ ..] = &classified.unread[..] else { return judge(context, args, &confusion) };
    for error in others {
        context.note(error);
    }
    bail!("{} of {count} {noun} could not be read: {first}", classified.unread.len())
}

/// Returns the exit code by the conditions of `--fail-on`.
fn judge(context: &Context, args: &Args, confusion: &Confusion) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for condition in &args.fail_on {
        if let Some(said) = condition.holds(confusion).map_err(|why| anyhow!("--fail-on {why}"))? {
            complain(&said);
            code = ExitCode::from(CONDITION_HOLDS);
        } else {
            context.note(&format!("passed: {condition} does not hold"));
        }
    }
    Ok(code)
}

fn report(
    context: &Context,
    args: &Args,
    model: &LoadedModel,
    classified: &Classified,
    confusion: &Confusion,
    noun: &str,
) -> Result<()> {
    let rows = &confusion.folders;
    if rows.is_empty() || classified.photos.len() <= MOST_VERDICTS {
        for v in &classified.photos {
            context.print(&v.file)?;
            for g in &v.top {
                context.print(&format!("  {:5.1} %  {} ({})", 100.0 * g.probability, g.label, g.class))?;
            }
        }
    }
    let Confusion { known, right, .. } = *confusion;
    if known == 0 {
        for row in rows.iter().filter(|_| classified.photos.len() > MOST_VERDICTS) {
            context.print(&named_most(row, noun))?;
        }
        return Ok(());
    }
    let share = |right: usize| format!("{right} of {known} ({:.1} %)", 100.0 * right as f64 / known as f64);
    context.print(&format!("{}: right at first {}", model.title, share(right)))?;
    let top = usize::from(args.top);
    if classified.photos.iter().any(|v| v.truth.is_some() && v.top.len() > 1 && v.top.len() == top) {
        let right = share(confusion.right_among_top);
        context.print(&format!("{}: right among the first {top}: {right}", model.title))?;
    }
    if rows.len() > 1 {
        mistakes(context, model, confusion)?;
    }
    Ok(())
}

/// Prints the confusion matrix, or for many classes a list of the most frequent mistakes.
fn mistakes(context: &Context, model: &LoadedModel, confusion: &Confusion) -> Result<()> {
    let mut rows: Vec<&ClassFolder> = confusion.folders.iter().filter(|row| row.class.is_some()).collect();
    rows.sort_by_key(|row| row.class);
    if rows.len() <= MOST_CLASSES {
        for line in matrix(model, &rows) {
            context.print(&line)?;
        }
        return Ok(());
    }
    let mistakes = confusion.mistakes();
    let (listed, others) = mistakes.split_at(mistakes.len().min(MOST_MISTAKES));
    match listed.first().map(|most| most.named.images) {
        None => {}
        Some(1) => context.print("taken for another class, single images, the surest first:")?,
        Some(_) => context.print("taken for another class most often:")?,
    }
    for Mistake { folder, of, named } in listed {
        // With one image a class, the counts would say nothing.
        let count = match named.images {
            1 if *of == 1 => String::new(),
            images => format!("{images:4} of {of:<4}  "),
        };
        let (label, class, percent) = (&named.label, named.class, 100.0 * named.probability);
        context.print(&format!("  {count}{folder} for {label} ({class}), {percent:.0} %"))?;
    }
    if !others.is_empty() {
        context
            .print(&format!("  and {} more pairs of classes; --confusion FILE.csv has all", others.len()))?;
    }
    Ok(())
}

/// Formats a confusion matrix: a row for each folder, a column for each of the folders' classes, and one for
/// all other classes.
fn matrix(model: &LoadedModel, rows: &[&ClassFolder]) -> Vec<String> {
    let mut classes: Vec<usize> = rows.iter().filter_map(|row| row.class).collect();
    classes.dedup();
    let count = |row: &ClassFolder, class: usize| {
        row.named.iter().find(|named| named.class == class).map_or(0, |named| named.images)
    };
    let others =
        |row: &ClassFolder| row.images - classes.iter().map(|&class| count(row, class)).sum::<usize>();
    let name = |class: usize| -> String { model.class_name(class).chars().take(12).collect() };
    let mut header = vec!["is \\ named".to_owned()];
    header.extend(classes.iter().map(|&class| name(class)));
    let mut table = vec![header];
    for row in rows {
        let mut line = vec![row.folder.clone()];
        line.extend(classes.iter().map(|&class| count(row, class).to_string()));
        table.push(line);
    }
    if rows.iter().any(|row| others(row) > 0) {
        table[0].push("others".to_owned());
        table.iter_mut().skip(1).zip(rows).for_each(|(line, row)| line.push(others(row).to_string()));
    }
    let widths: Vec<usize> = (0..table[0].len())
        .map(|column| table.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let aligned = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    table.iter().map(aligned).collect()
}

/// Describes the most frequent predictions for a folder whose class is not known.
fn named_most(row: &ClassFolder, noun: &str) -> String {
    let named =
        row.named.iter().take(3).map(|named| format!("{} {} ({})", named.images, named.label, named.class));
    let rest = if row.named.len() > 3 { ", …" } else { "" };
    format!("{}: {} {noun}, named {}{rest}", row.folder, row.images, named.collect::<Vec<_>>().join(", "))
}
