//! `oneiro classify`: the classes a network names; the quickest check that card and labels are right.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use oneiro::input::PictureInput;
use oneiro::model::Activation;
use oneiro::model::{Target, View};
use oneiro::objective::Objective;
use oneiro::objective_session::ObjectiveSession;
use oneiro_media::{IMAGE_EXTENSIONS, has_image_name};
use oneiro_zoo::labels::Labels;
use serde::Serialize;

use crate::args::model::{self, ModelArgs};
use crate::context::Context;
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::source::framing::{Framing, framed};
use oneiro_jobs::source::listing::entries;
use oneiro_jobs::task::Task;

/// Name the classes that a network sees in images
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro classify squeezenet1_1 cat.jpg dog.png
  oneiro classify model.onnx photos/ --top 1     # photos/CLASS/*.jpg: prints how many are right

An image that has the network's size is shown as it is. Any other is scaled so that its shorter side is 256 pixels for
networks of 224 to 227 (the protocol of Caffe and torchvision), else the network's size / 0.875, then cropped about its
centre. --crop chooses another share, for every image.

Behind a sigmoid classes are independent, and their percentages do not add up to 100. A network with one output says yes
or no: its percentage is that of the yes.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Image files, or folders of class folders
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// How many classes to name
    #[arg(long, default_value_t = 5, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Share of the scaled image's shorter side that the crop keeps
    #[arg(long, allow_negative_numbers = true, value_name = "FRACTION")]
    crop: Option<f64>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Guess {
    class: usize,
    label: String,
    probability: f64,
}

#[derive(Serialize)]
struct Verdict {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<usize>,
    /// How the image was brought to the network's size.
    shown: Framing,
    /// The output that the classes are read from, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// Whether each class has a probability of its own, as behind a sigmoid.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    independent: bool,
    top: Vec<Guess>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    if let Some(crop) = args.crop.filter(|&c| !(c > 0.0 && c <= 1.0)) {
        bail!("--crop {crop}: a fraction above 0 and at most 1 is needed");
    }
    let model = model::load(context, &args.model)?;
    let files = collect(context, &args.images, model.labels.as_ref())?;
    model.model.image_input().with_context(|| model.source.clone())?;
    let shapes = model.model.input_shapes(1, None)?;
    let input = PictureInput::of_photographs(&model.model, &shapes)?;
    let [h, w] = input.extent.size();
    let logits = model.model.logits()?;
    let activation = model.model.head()?.activation;
    // The objective is only a reason to compile: what is read are the logits themselves.
    let objective = [Objective::logit(0)];
    let mut session =
        context.compute(|| ObjectiveSession::new(&model.model, &objective, &[logits], shapes, false))?;
    model.say_output(context);
    let target = Target { value: logits, view: View::Classes };
    let classes = session.shape_of(target).map_or(0, |shape| shape.iter().product());
    model.check_labels(classes)?;
    let independent = activation.is_independent(classes);
    say_activation(context, activation, classes);
    let mut verdicts = Vec::new();
    let mut bad = Vec::new();
    let mut progress = Task::new(context, "classifying", files.len() as u64);
    for (path, truth) in &files {
        context.check()?;
        let image = oneiro_media::read_bytes(path)
            .and_then(|bytes| oneiro_media::decode_image_on_black(&bytes, path))
            .map_err(anyhow::Error::from)
            .and_then(|(image, on_black)| {
                let (image, framing) = framed(&image, [h, w], args.crop)
                    .with_context(|| format!("could not scale {}", path.display()))?;
                Ok((image, framing.on_black(on_black)))
            });
        let (image, shown) = match image {
            Ok(framed) => framed,
            // One alone is the error itself.
            Err(error) if files.len() == 1 => return Err(error),
            Err(error) => {
                bad.push(format!("{error:#}"));
                progress.advance(1);
                continue;
            }
        };
        context.compute(|| {
            input.feed(&mut session, 1, |_| image.colors());
            session.forward();
        });
        let logits = session.captured(0).1;
        if logits.iter().any(|x| !x.is_finite()) {
            let graph = &model.model.graph;
            let weights = oneiro_net::broken::describe(graph, &graph.outputs)
                .map_or("though its weights are".to_owned(), |w| format!("and neither are its weights {w}"));
            bail!("{}: the network's output is not finite, {weights}", path.display());
        }
        let top = best(&model, logits, activation, usize::from(args.top));
        progress.advance(1);
        let file = path.display().to_string();
        model.framings.add(&file, shown);
        let output = model.output_in_use().map(str::to_owned);
        verdicts.push(Verdict { file, truth: *truth, shown, output, independent, top });
    }
    drop(progress);
    model.framings.say(context);
    if !verdicts.is_empty() {
        report(context, args, &model, &verdicts)?;
    }
    let [first, others @ ..] = &bad[..] else { return Ok(ExitCode::SUCCESS) };
    for error in others {
        context.note(error);
    }
    bail!("{} of {} images could not be read: {first}", bad.len(), files.len())
}

/// What the percentages are, where they are not those of a softmax.
fn say_activation(context: &Context, activation: Activation, classes: usize) {
    if classes == 1 {
        let how = match activation {
            Activation::Given => "the output",
            Activation::Sigmoid | Activation::HardSigmoid { .. } => "its sigmoid",
            _ => "a sigmoid of it, as the network has none",
        };
        context
            .note(&format!("the network has one output, a yes or no: the probability of the yes is {how}"));
    } else if activation.is_independent(classes) {
        context.note(
            "the network's classes are independent (a sigmoid each): their probabilities do not add up to 100 %",
        );
    }
}

fn best(model: &LoadedModel, logits: &[f32], activation: Activation, top: usize) -> Vec<Guess> {
    let probabilities = activation.probabilities(logits);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    order
        .into_iter()
        .take(top)
        .map(|class| Guess { class, label: model.class_name(class), probability: probabilities[class] })
        .collect()
}

fn report(context: &Context, args: &Args, model: &LoadedModel, verdicts: &[Verdict]) -> Result<()> {
    let with_truth: Vec<&Verdict> = verdicts.iter().filter(|v| v.truth.is_some()).collect();
    let right = |n: usize| {
        with_truth.iter().filter(|v| v.top.iter().take(n).any(|g| Some(g.class) == v.truth)).count()
    };
    if args.json {
        return context.print(&serde_json::to_string_pretty(verdicts)?);
    }
    for v in verdicts {
        if with_truth.is_empty() || verdicts.len() <= 20 {
            context.print(&v.file)?;
            for g in &v.top {
                context.print(&format!("  {:5.1} %  {} ({})", 100.0 * g.probability, g.label, g.class))?;
            }
        }
    }
    if !with_truth.is_empty() {
        let total = with_truth.len();
        let share =
            |n: usize| format!("{} of {total} ({:.1} %)", right(n), 100.0 * right(n) as f64 / total as f64);
        context.print(&format!("{}: right at first {}", model.title, share(1)))?;
        if with_truth.iter().any(|v| v.top.len() > 1 && v.top.len() == usize::from(args.top)) {
            context.print(&format!(
                "{}: right among the first {}: {}",
                model.title,
                args.top,
                share(args.top.into())
            ))?;
        }
    }
    Ok(())
}

/// Files as given, and for folders the images of each class folder with the class that its name means.
fn collect(
    context: &Context,
    paths: &[PathBuf],
    labels: Option<&Labels>,
) -> Result<Vec<(PathBuf, Option<usize>)>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push((path.clone(), None));
            continue;
        }
        let folders: Vec<PathBuf> = entries(path)?.into_iter().filter(|p| p.is_dir()).collect();
        if folders.is_empty() {
            files.extend(entries(path)?.into_iter().filter(|p| has_image_name(p)).map(|p| (p, None)));
            continue;
        }
        let classes = classes_of(context, &folders, labels);
        for (folder, class) in folders.iter().zip(classes) {
            files.extend(entries(folder)?.into_iter().filter(|p| has_image_name(p)).map(|p| (p, class)));
        }
    }
    if files.is_empty() {
        bail!(
            "there is no image in {} ({})",
            paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "),
            IMAGE_EXTENSIONS.join(", ")
        );
    }
    Ok(files)
}

/// The class of each folder: by its name, a WordNet id before it ignored; if that fails for any, by sorted
/// position where there are as many folders as labels. What is not by name is said.
fn classes_of(context: &Context, folders: &[PathBuf], labels: Option<&Labels>) -> Vec<Option<usize>> {
    let Some(labels) = labels else { return vec![None; folders.len()] };
    let name = |p: &PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let found: Vec<Option<usize>> = folders.iter().map(|f| labels.find(&name(f)).ok()).collect();
    let Some(unknown) = folders.iter().zip(&found).find(|(_, class)| class.is_none()).map(|(f, _)| name(f))
    else {
        return found;
    };
    if folders.len() == labels.len() {
        context.note(&format!(
            "\"{unknown}\" names no class, or several; the folders are taken for the classes in sorted order"
        ));
        return (0..folders.len()).map(Some).collect();
    }
    let known = found.iter().flatten().count();
    context.note(&format!(
        "{known} of {} folders are named as a class, \"{unknown}\" is not; images in the others do not count",
        folders.len()
    ));
    found
}
