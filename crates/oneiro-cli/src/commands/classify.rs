//! The command `oneiro classify`: prints the classes that a network predicts. It is the quickest check of
//! card and labels.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use oneiro_jobs::job::classification::clips::ClipClassificationJob;
use oneiro_jobs::job::classification::{ClassRow, ClassificationJob, Classified, find_photos};
use oneiro_jobs::job::{Job as _, Kept, Run};
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::source::clips::find::find_clips;

use crate::args::clips::{ClipArgs, FlowArgs};
use crate::args::model::{self, ModelArgs};
use crate::context::Context;

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
    #[arg(long, allow_negative_numbers = true, value_name = "FRACTION")]
    crop: Option<f64>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let top = usize::from(args.top);
    // Checks the settings before the model is read, which takes longer.
    ClassificationJob { photos: Vec::new(), top, crop: args.crop }.check()?;
    let sampling = args.clips.sampling(args.crop)?;
    let model = model::load(context, &args.model)?;
    let (classified, noun, count) = if model.takes_clips() {
        let clips = find_clips(&args.images, &args.flow.source())?;
        let job = ClipClassificationJob { clips, top, sampling };
        let classified = job.run(&Run::new(&model, context), &mut Kept::default())?;
        (classified, "clips", job.clips.len())
    } else {
        args.clips.refuse(&model)?;
        args.flow.refuse(&model)?;
        let job = ClassificationJob { photos: find_photos(&args.images)?, top, crop: args.crop };
        let classified = job.run(&Run::new(&model, context), &mut Kept::default())?;
        (classified, "images", job.photos.len())
    };
    if args.json {
        if !classified.photos.is_empty() {
            context.print(&serde_json::to_string_pretty(&classified.photos)?)?;
        }
    } else {
        report(context, args, &model, &classified, noun)?;
    }
    let [first, others @ ..] = &classified.unread[..] else { return Ok(ExitCode::SUCCESS) };
    for error in others {
        context.note(error);
    }
    bail!("{} of {count} {noun} could not be read: {first}", classified.unread.len())
}

fn report(
    context: &Context,
    args: &Args,
    model: &LoadedModel,
    classified: &Classified,
    noun: &str,
) -> Result<()> {
    let rows = classified.rows();
    if rows.is_empty() || classified.photos.len() <= MOST_VERDICTS {
        for v in &classified.photos {
            context.print(&v.file)?;
            for g in &v.top {
                context.print(&format!("  {:5.1} %  {} ({})", 100.0 * g.probability, g.label, g.class))?;
            }
        }
    }
    let (right, known) = classified.right(1);
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
        let (right, _) = classified.right(top);
        context.print(&format!("{}: right among the first {top}: {}", model.title, share(right)))?;
    }
    if rows.len() > 1 {
        confusion(context, model, classified, rows)?;
    }
    Ok(())
}

/// Prints the confusion matrix, or for many classes a list of the most frequent mistakes.
fn confusion(
    context: &Context,
    model: &LoadedModel,
    classified: &Classified,
    mut rows: Vec<ClassRow>,
) -> Result<()> {
    rows.retain(|row| row.class.is_some());
    rows.sort_by_key(|row| row.class);
    if rows.len() <= MOST_CLASSES {
        for line in matrix(model, &rows) {
            context.print(&line)?;
        }
        return Ok(());
    }
    let mistakes = classified.mistakes();
    if !mistakes.is_empty() {
        context.print("taken for another class most often:")?;
    }
    for m in mistakes.iter().take(MOST_MISTAKES) {
        context
            .print(&format!("  {:4} of {:<4}  {} for {} ({})", m.photos, m.of, m.folder, m.label, m.class))?;
    }
    if mistakes.len() > MOST_MISTAKES {
        context.print(&format!("  and {} more pairs of classes", mistakes.len() - MOST_MISTAKES))?;
    }
    Ok(())
}

/// Formats a confusion matrix: a row for each folder, a column for each of the folders' classes, and one for
/// all other classes.
fn matrix(model: &LoadedModel, rows: &[ClassRow]) -> Vec<String> {
    let mut classes: Vec<usize> = rows.iter().filter_map(|row| row.class).collect();
    classes.dedup();
    let count = |row: &ClassRow, class: usize| {
        row.named.iter().find(|(named, ..)| *named == class).map_or(0, |(.., photos)| *photos)
    };
    let others = |row: &ClassRow| row.photos - classes.iter().map(|&class| count(row, class)).sum::<usize>();
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
fn named_most(row: &ClassRow, noun: &str) -> String {
    let named = row.named.iter().take(3).map(|(class, label, photos)| format!("{photos} {label} ({class})"));
    let rest = if row.named.len() > 3 { ", …" } else { "" };
    format!("{}: {} {noun}, named {}{rest}", row.folder, row.photos, named.collect::<Vec<_>>().join(", "))
}
