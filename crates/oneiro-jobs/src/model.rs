//! Loads a model by name or path: a network with its card and labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use oneiro::Model;
use oneiro::card::{Card, InputAxes, InputKind, TensorLayout};
use oneiro::gradients::ReluGradient;
use oneiro::objective::{Objective, Reads, Unit, UnitTarget};
use oneiro_net::beginning::Blocked;
use oneiro_net::format::onnx;
use oneiro_net::{ValueId, analysis};
use oneiro_zoo::embedded;
use oneiro_zoo::features::Feature;
use oneiro_zoo::labels::{self, Labels};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{During as _, Result, Step};
use crate::remark::PreparationRemark;
use crate::source::directions::{Directions, split};
use crate::source::framing::Framings;
use crate::source::places::Places;

mod beginning;
pub(crate) mod error;
mod feeding;
pub mod health;
mod inputs;
pub(crate) mod layer_grid;
mod layers;
pub(crate) mod logits;
mod names;
mod output;
mod pictures;
mod preparation;
mod refusal;
mod source;
pub mod unit_list;

use beginning::Beginning;
pub use error::{FeedProblem, InputAxesProblem, ModelError};
pub use feeding::{Feed, parse_feed, sources as fed_from};
pub use layers::Layers;
use preparation::CompletedCard;
use source::Source;

/// A model's name or path, with settings that complete or override the card's preprocessing of inputs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSpec {
    /// An `.onnx` file, or the name of a built-in network.
    pub model: String,
    /// Path of the model card; by default `NAME.toml` beside the model.
    pub card: Option<PathBuf>,
    /// Name of a common preprocessing ([`oneiro::card::PREPROCESS_PRESETS`]).
    pub preprocess: Option<String>,
    /// Mean of each channel, in the network's order and units.
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of each channel in the training data.
    pub std: Option<Vec<f32>>,
    /// The pixel value of white before the mean is subtracted.
    pub range: Option<f32>,
    /// Order of the channels: `rgb`, `bgr`, `gray` or `bands`.
    pub order: Option<String>,
    /// Indices, from 0, of the bands that are drawn as red, green and blue.
    pub show: Option<Vec<usize>>,
    /// Number of frames of clips, for networks that leave it open.
    pub frames: Option<usize>,
    /// Whether the channels of the network's inputs are first or last.
    pub layout: Option<TensorLayout>,
    /// Axes of layers, by the layers' names ([`oneiro_net::axes::parse`]).
    pub axes: Vec<(String, String)>,
    /// Class labels: name of a built-in list, or path of a text file with one label per line.
    pub labels: Option<String>,
    /// Values for inputs that take no pictures.
    pub feeds: Vec<Feed>,
    /// The layer at which the network begins.
    pub from_layer: Option<String>,
    /// Axes of the picture input, as stored in the model file.
    pub input_axes: Option<InputAxes>,
    /// Name of the output that holds the classes.
    pub output: Option<String>,
    /// A complete card. If it is given, the card file and the labels beside the model are ignored.
    pub prepared: Option<Card>,
    /// Current paths of files that are the values of inputs, if they are no longer at their old paths.
    #[serde(skip)]
    pub places: Places,
}

impl ModelSpec {
    /// Creates the specification of a built-in network, or of a file whose card has all settings.
    pub fn named(model: impl Into<String>) -> Self {
        Self { model: model.into(), ..Self::default() }
    }

    /// Reads the model with its card and labels, for pictures as inputs.
    ///
    /// # Errors
    /// If there is no such model, or if it takes no pictures.
    pub fn load(&self, context: &Context) -> Result<LoadedModel> {
        load(context, self)
    }

    /// Returns an error if an input has a value and is also given as a raw tensor.
    fn check_given(&self, given: &[&str]) -> Result<()> {
        match self.feeds.iter().find(|feed| given.contains(&feed.name())) {
            Some(feed) => {
                let (input, problem) = (feed.name().to_owned(), FeedProblem::IsGiven);
                Err(ModelError::Feed { input, problem }.into())
            }
            None => Ok(()),
        }
    }
}

/// A model that is loaded and ready for jobs.
pub struct LoadedModel {
    /// The network with its card.
    pub model: Model,
    /// The model's name as the user gave it.
    pub source: String,
    /// SHA-256 of the model file in hexadecimal.
    pub hash: String,
    /// Names of the network's classes.
    pub labels: Option<Labels>,
    /// The name in the card, or the file's name.
    pub title: String,
    /// Current paths of the files that objectives name, if they are no longer at these paths.
    pub places: Places,
    /// The files from which the model was read: the model, files with weights, the card, and the labels.
    pub files: Vec<PathBuf>,
    /// How photos were cropped and resized to the network's size.
    pub framings: Framings,
    /// Matrices of directions that have been read, by file.
    directions: Mutex<BTreeMap<String, Arc<Directions>>>,
    /// Whether the user was told which output holds the classes.
    output_said: AtomicBool,
    /// A remark on the default preprocessing of images, if no other is given.
    guessed: Option<PreparationRemark>,
    /// Remarks for users on how the model was read.
    notes: Vec<PreparationRemark>,
}

impl LoadedModel {
    /// Returns the output of the ReLU, or of a clip such as ReLU6, that is the only reader of a value.
    pub fn relu_behind(&self, value: ValueId) -> Option<ValueId> {
        let mut readers = self.model.graph.nodes.iter().filter(|n| n.inputs.contains(&Some(value)));
        match (readers.next(), readers.next()) {
            (Some(node), None) if node.op.obeys_relu_rule() => node.outputs.first().copied().flatten(),
            _ => None,
        }
    }

    /// Returns the objective of a unit. A class is found by its name.
    pub fn objective(&self, unit: &Unit) -> Result<Objective> {
        if let UnitTarget::Layer(name) = &unit.target
            && let Err(error) = self.model.resolve(name)
            && self.labels.as_ref().is_some_and(|labels| labels.find(name).is_ok())
        {
            return Err(ModelError::IsClass { name: name.clone(), error: Box::new(error) }.into());
        }
        if let UnitTarget::Channel(layer, row) = &unit.target
            && let Some((layer, file)) = self.directions_of(layer)
        {
            return self.expression(&format!("direction(\"{layer}\", \"{file}:{row}\")"), None);
        }
        unit.objective(|name| self.class_index(name))
    }

    /// Returns the directions in a file, which is read once.
    ///
    /// # Errors
    /// The errors of [`Directions::read`].
    pub fn directions(&self, file: &str) -> Result<Arc<Directions>> {
        let mut known = self.directions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(file) {
            return Ok(Arc::clone(found));
        }
        let read = Arc::new(Directions::read(self.places.of(file))?);
        known.insert(file.to_owned(), Arc::clone(&read));
        Ok(read)
    }

    /// Splits `LAYER@FILE` into the layer and the file. Returns `None` if the whole text is the name of a
    /// layer.
    pub fn directions_of<'t>(&self, layer: &'t str) -> Option<(&'t str, &'t str)> {
        split(layer).filter(|_| self.model.resolve(layer).is_err())
    }

    /// Whether an input of the network is a picture.
    pub fn is_image(&self, input: usize) -> bool {
        self.model.card.input[input].kind == InputKind::Image
    }

    /// Whether the network takes clips or optical flow.
    pub fn takes_clips(&self) -> bool {
        self.model.takes_clips()
    }

    /// Returns the index of a class by its name.
    pub fn class_index(&self, name: &str) -> Result<usize> {
        match &self.labels {
            Some(labels) => Ok(labels.find(name)?),
            None => name.parse().map_err(|_| ModelError::NoLabels { name: name.to_owned() }.into()),
        }
    }

    /// Returns an error if there are labels, but not as many as classes.
    pub fn check_labels(&self, classes: usize) -> Result<()> {
        match self.labels.as_ref().map(Labels::len) {
            Some(labels) if labels != classes => {
                Err(ModelError::LabelCount { labels, classes, outputs: self.other_outputs() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Returns an error if an objective reads the class output and the number of labels is not that of the
    /// classes.
    pub fn check_labels_of(&self, objective: &Objective) -> Result<()> {
        let by_class = objective.terms().into_iter().any(|term| term.at_output());
        match by_class.then(|| self.model.class_count()).flatten() {
            Some(classes) => self.check_labels(classes),
            None => Ok(()),
        }
    }

    /// Whether there is a ReLU between the input and an objective, so that rules for ReLU gradients have an
    /// effect.
    pub fn has_relus_behind(&self, objective: &Objective) -> bool {
        let terms = objective.terms().into_iter().filter(|term| term.reads() != Reads::Input);
        let values: Vec<ValueId> = terms.filter_map(|term| self.model.value_of(term).ok()).collect();
        let needed = analysis::ancestors(&self.model.graph, &values);
        self.model.graph.nodes.iter().zip(needed).any(|(node, needed)| needed && node.op.obeys_relu_rule())
    }

    /// Whether a ReLU rule that the user chose has no effect, as there is no ReLU.
    /// [`ReluGradient::Redirected`] does not count: it is the default, and without ReLUs there is nothing to
    /// redirect.
    pub fn is_rule_idle(&self, rule: ReluGradient, objective: &Objective) -> bool {
        !matches!(rule, ReluGradient::Exact | ReluGradient::Redirected) && !self.has_relus_behind(objective)
    }
}

/// Reads the model with its card and labels, for images as inputs.
pub fn load(context: &Context, args: &ModelSpec) -> Result<LoadedModel> {
    let model = load_for_shapes(context, args)?;
    refusal::require_pictures(&model)?;
    if let Some(guessed) = &model.guessed {
        context.remark(guessed.clone());
    }
    Ok(model)
}

/// Reads the model for images as inputs, without requiring that their preprocessing is known.
pub fn load_for_shapes(context: &Context, args: &ModelSpec) -> Result<LoadedModel> {
    let mut loaded = read(args, &[])?;
    for note in &loaded.notes {
        context.remark(note.clone());
    }
    loaded.model = loaded.model.for_pictures().on(context.handle());
    Ok(loaded)
}

/// Reads the model with its card and labels, for raw tensors as inputs. The preprocessing of images does not
/// matter.
pub fn load_for_tensors(context: &Context, args: &ModelSpec, given: &[&str]) -> Result<LoadedModel> {
    args.check_given(given)?;
    let mut loaded = read(args, given)?;
    loaded.model = loaded.model.on(context.handle());
    for note in &loaded.model.graph.notes {
        context.remark(PreparationRemark::Graph(note.clone()));
    }
    Ok(loaded)
}

/// Reads the model. For inputs in `given`, the card's values are ignored.
fn read(args: &ModelSpec, given: &[&str]) -> Result<LoadedModel> {
    let path = Path::new(&args.model);
    let built_in = if path.is_file() { None } else { built_in(&args.model)? };
    let (source, card_text, card_path) = if let Some((source, card)) = built_in {
        let card = args.card.as_deref().map_or(Ok(card), read_card)?;
        (source, Some(card), args.card.clone())
    } else {
        let source = source::file(path)?;
        let beside = path.with_extension("toml");
        let card_path = args.card.clone().or_else(|| beside.is_file().then_some(beside));
        let text = card_path.as_deref().map(read_card).transpose()?;
        (source, text, card_path)
    };
    let Source { graph, hash, mut files, bytes, weight_files } = source;
    files.extend(card_path.clone());
    let mut card = match (&args.prepared, &card_text) {
        (Some(card), _) => card.clone(),
        (None, Some(text)) => {
            let named = card_path.as_deref().map_or_else(|| args.model.clone(), |p| p.display().to_string());
            Card::parse(text).during(|| Step::Card { card: named })?
        }
        (None, None) => Card::parse("name = \"\"")?,
    };
    let declared = || bytes.clone().map(onnx::declared).unwrap_or_default();
    let Beginning { graph, inside } =
        beginning::begin(graph, &mut card, args.from_layer.as_deref(), &declared)?;
    let CompletedCard { mut card, labels, guessed, mut notes } =
        preparation::complete(card, args, &graph, !inside.is_empty())?;
    for (tensor, axes) in inside {
        // The axes of a picture input are described elsewhere in the card.
        if let (Some(InputKind::Tensor), Some(axes)) = (card.input(&tensor).map(|i| i.kind), axes) {
            card.axes.entry(tensor).or_insert(axes);
        }
    }
    notes.splice(0..0, graph.notes.iter().cloned().map(PreparationRemark::Graph));
    let labels = match &args.prepared {
        Some(_) => None,
        None => match load_labels(args, &card, card_path.as_deref())? {
            Some((of_file, file)) => {
                files.extend(file);
                Some(of_file)
            }
            None => labels,
        },
    };
    let title = if card.name.is_empty() {
        path.file_stem().map_or_else(|| args.model.clone(), |s| s.to_string_lossy().into_owned())
    } else {
        card.name.clone()
    };
    let of_card = card_path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut values = feeding::read(&mut card, &args.feeds, of_card, &args.places, &mut files)?;
    values.retain(|name, _| !given.contains(&name.as_str()));
    let is_blocked = !Blocked::new(&graph, None).is_empty();
    let using = || Step::Use { model: args.model.clone() };
    let mut model = Model::new(graph, card).during(using)?;
    if let Some(files) = weight_files {
        model = model.with_weight_files(files);
    }
    if given.is_empty() || !values.is_empty() {
        model = model.fed(&values).during(using)?;
    }
    let labels = match &args.prepared {
        Some(_) => None,
        None => labels.or_else(|| output::labels_in_graph(&model)),
    };
    model = model.with_labels(labels.as_ref().map(Labels::len));
    notes.extend(model.contradicted_axes().into_iter().map(|(layer, stated, found)| {
        let (stated, found) = (stated.to_string(), found.to_string());
        PreparationRemark::AxesContradicted { layer: layer.to_owned(), stated, found }
    }));
    if is_blocked {
        model = model.with_declared(declared());
    }
    if model.card.output.is_some() {
        // A wrong name of the output is reported before any work is done.
        model.head().during(using)?;
    }
    Ok(LoadedModel {
        model,
        source: args.model.clone(),
        hash,
        labels,
        title,
        places: Places::default(),
        files,
        framings: Framings::default(),
        directions: Mutex::default(),
        output_said: AtomicBool::new(false),
        guessed,
        notes,
    })
}

/// Returns the built-in network of this name, with its card.
fn built_in(name: &str) -> Result<Option<(Source, String)>> {
    if name == embedded::NAME {
        return source::embedded().map(Some);
    }
    Feature::named(name).map(|feature| Ok((source::feature(feature)?, feature.card()))).transpose()
}

fn read_card(path: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ModelError::NoCard { path: path.to_owned() },
        _ => ModelError::Card { path: path.to_owned(), source },
    })?)
}

/// Returns the labels that a flag or the card names, and their file unless they are built in.
fn load_labels(
    args: &ModelSpec,
    card: &Card,
    card_path: Option<&Path>,
) -> Result<Option<(Labels, Option<PathBuf>)>> {
    let (name, folder) = match (&args.labels, &card.labels) {
        (Some(name), _) => (name, Path::new("")),
        (None, Some(name)) => (name, card_path.and_then(Path::parent).unwrap_or(Path::new(""))),
        (None, None) => return Ok(None),
    };
    let (text, file) = match labels::builtin(name) {
        Some(text) => (text.to_owned(), None),
        None => {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path)
                .map_err(|source| ModelError::Labels { path: path.clone(), source })?;
            (text, Some(path))
        }
    };
    let labels = Labels::parse(&text).during(|| Step::Labels { labels: name.clone() })?;
    Ok(Some((labels, file)))
}
