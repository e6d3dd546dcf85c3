//! From what a person calls a model to a network with its card and labels.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use oneiro::Model;
use oneiro::card::{Card, ChannelOrder, InputCard};
use oneiro::objective::{Objective, Unit};
use oneiro_zoo::embedded;
use oneiro_zoo::labels::{self, Labels};
use sha2::{Digest, Sha256};

use crate::context::Context;

/// The model and how its inputs are to be prepared.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// An .onnx file, or the embedded network squeezenet1_1
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Model card; NAME.toml beside the model by default
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// How images are prepared where the card does not say, or differently
    #[arg(long, value_parser = oneiro::card::PREPROCESS_PRESETS)]
    preprocess: Option<String>,
    /// Mean of each channel, in the network's order and units
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "M,M,M")]
    mean: Option<Vec<f32>>,
    /// Standard deviation of each channel
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "S,S,S")]
    std: Option<Vec<f32>>,
    /// The value of white before the mean is subtracted
    #[arg(long, allow_negative_numbers = true, value_name = "1|255")]
    range: Option<f32>,
    /// Order of the channels
    #[arg(long, value_parser = ["rgb", "bgr", "gray"])]
    order: Option<String>,
    /// Class labels: a built-in list (imagenet1k, cifar10) or a text file, one label a line
    #[arg(long, value_name = "LIST")]
    labels: Option<String>,
    /// A complete card, for a picture that is made again: the files beside the model and its labels do not count.
    #[arg(skip)]
    pub prepared: Option<Card>,
}

/// A loaded model.
pub struct LoadedModel {
    pub model: Model,
    /// What the person called it.
    pub source: String,
    /// SHA-256 of the model file, hexadecimal.
    pub hash: String,
    pub labels: Option<Labels>,
    /// The card's name, or the file's.
    pub title: String,
    /// Whether neither a card nor a flag says how images are prepared.
    pub guessed: bool,
}

impl LoadedModel {
    /// The objective of a unit, its class found by name.
    pub fn objective(&self, unit: &Unit) -> Result<Objective> {
        unit.objective(|name| self.class_index(name))
    }

    /// An objective from an expression, its classes found by name.
    pub fn expression(&self, text: &str) -> Result<Objective> {
        Ok(Objective::parse(text, &|name| self.class_index(name).map_err(|e| e.to_string()))?)
    }

    fn class_index(&self, name: &str) -> Result<usize> {
        match &self.labels {
            Some(labels) => Ok(labels.find(name)?),
            None => name.parse().map_err(|_| {
                anyhow!("the model has no class labels, so \"{name}\" must be an index (or give --labels)")
            }),
        }
    }

    /// An error if the labels are not those of a network with this many classes.
    pub fn check_labels(&self, classes: usize) -> oneiro::Result<()> {
        match &self.labels {
            Some(labels) if labels.len() != classes => Err(oneiro::Error::Settings(format!(
                "{} class labels for a network with {classes} classes; choose the right list with --labels",
                labels.len()
            ))),
            _ => Ok(()),
        }
    }

    /// The label of a class, or its index.
    pub fn class_name(&self, index: usize) -> String {
        self.labels.as_ref().and_then(|l| l.get(index)).map_or_else(|| index.to_string(), str::to_owned)
    }
}

/// Reads the model with its card and labels, to feed it images.
pub fn load(context: &Context, args: &ModelArgs) -> Result<LoadedModel> {
    let model = load_for_tensors(args)?;
    if model.guessed {
        context.note(
            "note: nothing says how images are prepared, so it is done as for torchvision's ImageNet networks (RGB in \
             0-1, mean .485 .456 .406, std .229 .224 .225); if that is wrong, so are the results: give --preprocess \
             or a model card (NAME.toml beside the model)",
        );
    }
    Ok(model)
}

/// Reads the model with its card and labels, to feed it raw tensors: how images are prepared does not matter.
pub fn load_for_tensors(args: &ModelArgs) -> Result<LoadedModel> {
    let path = Path::new(&args.model);
    let (bytes, card_text, card_path) = if args.model == embedded::NAME && !path.is_file() {
        let card = match &args.card {
            Some(path) => read_card(path)?,
            None => embedded::card().to_owned(),
        };
        (Bytes::from_static(embedded::model()), Some(card), args.card.clone())
    } else {
        let bytes = read_model(path)?;
        let beside = path.with_extension("toml");
        let card_path = args.card.clone().or_else(|| beside.is_file().then_some(beside));
        let text = card_path.as_deref().map(read_card).transpose()?;
        (bytes, text, card_path)
    };
    let hash = hex(&Sha256::digest(&bytes));
    let graph =
        oneiro_net::format::onnx::read(bytes).with_context(|| format!("could not load {}", args.model))?;
    let mut card = match (&args.prepared, &card_text) {
        (Some(card), _) => card.clone(),
        (None, Some(text)) => {
            let named = card_path.as_deref().map_or_else(|| args.model.clone(), |p| p.display().to_string());
            Card::parse(text).with_context(|| format!("could not read the model card {named}"))?
        }
        (None, None) => Card::parse("name = \"\"")?,
    };
    let explicit = args.preprocess.is_some() || (args.mean.is_some() && args.std.is_some());
    let guessed = card.input.is_empty() && !explicit;
    if card.input.is_empty() {
        card.input = usual_inputs(args, &graph)?;
    }
    for input in &mut card.input {
        apply_flags(input, args)?;
    }
    let labels = match &args.prepared {
        Some(_) => None,
        None => load_labels(args, &card, card_path.as_deref())?,
    };
    let title = if card.name.is_empty() {
        path.file_stem().map_or_else(|| args.model.clone(), |s| s.to_string_lossy().into_owned())
    } else {
        card.name.clone()
    };
    let model = Model::new(graph, card).with_context(|| format!("could not use {}", args.model))?;
    Ok(LoadedModel { model, source: args.model.clone(), hash, labels, title, guessed })
}

fn read_model(path: &Path) -> Result<Bytes> {
    if path.is_dir() {
        bail!("{} is a folder; name the .onnx file in it", path.display());
    }
    refuse_other_frameworks(path)?;
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes.into()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => bail!(
            "there is no file {}, and no built-in network of that name (there is {})",
            path.display(),
            embedded::NAME
        ),
        Err(e) => Err(e).with_context(|| format!("could not read {}", path.display())),
    }
}

fn read_card(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => bail!(
            "--card {}: there is no such file; check the path, or leave --card out for the card beside the model",
            path.display()
        ),
        read => read.with_context(|| format!("could not read the model card {}", path.display())),
    }
}

/// An error that says what to do with a file of another framework.
fn refuse_other_frameworks(path: &Path) -> Result<()> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (what, how) = match extension.as_str() {
        "pth" | "pt" | "ckpt" => {
            ("a PyTorch file", "torch.onnx.export(net.eval(), (example,), \"model.onnx\")")
        }
        "h5" | "keras" | "hdf5" => {
            ("a Keras file", "model.export(\"model.onnx\", format=\"onnx\") or python -m tf2onnx.convert")
        }
        "pb" | "tflite" => ("a TensorFlow file", "python -m tf2onnx.convert"),
        "safetensors" => {
            ("weights without their network", "torch.onnx.export from the program that defines it")
        }
        _ => return Ok(()),
    };
    bail!("{} is {what}; export it to ONNX first: {how}", path.display())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// How the inputs are prepared where no card describes them.
fn usual_inputs(args: &ModelArgs, graph: &oneiro_net::Graph) -> Result<Vec<InputCard>> {
    let preset = args.preprocess.as_deref().unwrap_or("imagenet");
    graph.inputs.iter().map(|input| Ok(InputCard::preset(preset, graph.name(input.value))?)).collect()
}

/// Flags override the card.
fn apply_flags(input: &mut InputCard, args: &ModelArgs) -> Result<()> {
    if let Some(name) = &args.preprocess {
        let preset = InputCard::preset(name, &input.name)?;
        *input = InputCard { size: input.size, frames: input.frames, kind: input.kind, ..preset };
    }
    if let Some(order) = &args.order {
        input.order = match order.as_str() {
            "bgr" => ChannelOrder::Bgr,
            "gray" => ChannelOrder::Gray,
            _ => ChannelOrder::Rgb,
        };
        if input.mean.len() != input.order.channels() {
            (input.mean, input.std) = (vec![], vec![]);
        }
    }
    if let Some(mean) = &args.mean {
        input.mean = mean.clone();
    }
    if let Some(std) = &args.std {
        input.std = std.clone();
    }
    if let Some(range) = args.range {
        input.range = range;
    }
    let given = args.mean.is_some() || args.std.is_some() || args.range.is_some() || args.order.is_some();
    let fits = input.complete();
    if given { fits.context("with the flags --mean, --std, --range and --order given") } else { Ok(fits?) }
}

fn load_labels(args: &ModelArgs, card: &Card, card_path: Option<&Path>) -> Result<Option<Labels>> {
    let (name, folder) = match (&args.labels, &card.labels) {
        (Some(name), _) => (name, Path::new("")),
        (None, Some(name)) => (name, card_path.and_then(Path::parent).unwrap_or(Path::new(""))),
        (None, None) => return Ok(None),
    };
    let text = match labels::builtin(name) {
        Some(text) => text.to_owned(),
        None => {
            let path = folder.join(name);
            std::fs::read_to_string(&path).with_context(|| {
                format!(
                    "could not read the labels {} (built-in lists are {})",
                    path.display(),
                    labels::BUILTIN.join(", ")
                )
            })?
        }
    };
    Ok(Some(Labels::parse(&text).with_context(|| format!("the labels {name}"))?))
}
