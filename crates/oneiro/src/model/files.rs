//! Models from files: a network with the files that hold its weights, and its card.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oneiro_net::Graph;
use oneiro_net::beginning::Blocked;
use oneiro_net::format::onnx;
use oneiro_net::graph::{Dim, Input};

use super::{Fed, Model, WeightFiles};
use crate::card::{Card, FeedValue, InputCard, InputKind, metadata};
use crate::error::Result;

mod error;
#[allow(unsafe_code)]
mod mapped;

pub use error::OpenError;
pub use mapped::Mapped;

/// The files of a model, mapped into memory, so that the memory of weights can be released.
#[derive(Debug)]
pub struct ModelFiles {
    /// The model file itself.
    pub model: Mapped,
    /// Files with weights, by their paths relative to the model's folder.
    pub beside: BTreeMap<String, Mapped>,
}

impl ModelFiles {
    /// Reads a model file and the files of its folder that hold its weights.
    ///
    /// # Errors
    /// If the file does not exist, is a folder, belongs to another framework, or is no ONNX model.
    pub fn read(path: &Path) -> Result<(Graph, ModelFiles), OpenError> {
        let model = model_file(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut beside = BTreeMap::new();
        let mut read = |location: &str| {
            let file = Mapped::open(&folder.join(location))?;
            let bytes = file.bytes();
            beside.insert(location.to_owned(), file);
            Ok(bytes)
        };
        let graph = onnx::read_with(model.bytes(), &mut read)
            .map_err(|source| OpenError::Network { path: path.to_owned(), source })?;
        Ok((graph, ModelFiles { model, beside }))
    }
}

impl WeightFiles for ModelFiles {
    fn give_back(&self, bytes: &[u8]) {
        self.model.give_back(bytes);
        self.beside.values().for_each(|file| file.give_back(bytes));
    }
}

fn model_file(path: &Path) -> Result<Mapped, OpenError> {
    if path.is_dir() {
        return Err(OpenError::IsFolder { path: path.to_owned() });
    }
    refuse_other_frameworks(path)?;
    Mapped::open_any(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => OpenError::NotFound { path: path.to_owned() },
        _ => OpenError::Read { path: path.to_owned(), source },
    })
}

/// Returns an error for a file of another framework, which says how to convert it.
fn refuse_other_frameworks(path: &Path) -> Result<(), OpenError> {
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
    Err(OpenError::OtherFramework { path: path.to_owned(), what, how })
}

impl Model {
    /// Reads an ONNX file, with the files of its folder that hold weights, ready for pictures.
    ///
    /// The preprocessing of pictures comes from the card `NAME.toml` beside `NAME.onnx`, or from the model
    /// file itself ([`metadata`]). Nothing is guessed. Class labels that the card names are not read, so
    /// classes are identified by index.
    ///
    /// # Errors
    /// [`OpenError`] if a file cannot be read, or the preprocessing is unknown; the message then contains an
    /// example of a card. The errors of [`Model::new`] if card and network do not fit.
    pub fn open(path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        let (graph, files) = ModelFiles::read(path)?;
        let Described { card, labels, from } = describe(&graph, path)?;
        let values = values(&card, &from, from != path)?;
        let is_blocked = !Blocked::new(&graph, None).is_empty();
        let mut model = Model::new(graph, card)?.fed(&values)?.with_labels(labels);
        if is_blocked {
            model = model.with_declared(onnx::declared(files.model.bytes()));
        }
        if model.card.output.is_some() {
            // An invalid name of the class output is reported before any work.
            model.head()?;
        }
        Ok(model.with_weight_files(Arc::new(files)).for_pictures())
    }
}

/// The card of all inputs, and its origin.
struct Described {
    card: Card,
    /// Number of class labels in the model file.
    labels: Option<usize>,
    /// The file from which the card was read.
    from: PathBuf,
}

/// Reads the card beside a model file. Metadata of the model file fill what the card leaves out.
fn describe(graph: &Graph, path: &Path) -> Result<Described, OpenError> {
    let beside = path.with_extension("toml");
    let in_file = |file: &Path| {
        let path = file.to_owned();
        move |source| OpenError::Card { path, source }
    };
    let mut card = match std::fs::read_to_string(&beside) {
        Ok(text) => Card::parse(&text).map_err(in_file(&beside))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Card::default(),
        Err(source) => return Err(OpenError::Read { path: beside, source }),
    };
    if !card.input.is_empty() {
        return Ok(Described { card, labels: None, from: beside });
    }
    let names: Vec<String> = graph.inputs.iter().map(|i| graph.name(i.value).to_owned()).collect();
    let found = metadata::read(&graph.metadata, &names).map_err(in_file(path))?;
    let Some(mut found) = found.filter(|found| !found.card.input.is_empty()) else {
        let example = example(graph);
        return Err(OpenError::NoCard { model: path.to_owned(), card: beside, example });
    };
    if found.source != metadata::CARD_KEY {
        let colors = graph.metadata.contains_key(metadata::PIXEL_FORMAT_KEY);
        for (input, card) in graph.inputs.iter().zip(&mut found.card.input) {
            fit(card, input, colors);
        }
    }
    card.fill_from(found.card);
    let labels = Some(found.labels.len()).filter(|&n| n > 0);
    Ok(Described { card, labels, from: path.to_owned() })
}

/// Adapts a general card for pictures to an input. Metadata do not say which input takes pictures.
fn fit(card: &mut InputCard, input: &Input, says_colors: bool) {
    let dims = input.dims.as_deref().unwrap_or_default();
    let channels = match dims.get(1) {
        Some(Dim::Fixed(n)) => Some(*n),
        _ => None,
    };
    let kind = match (dims.len(), channels) {
        (4, None | Some(1 | 3)) => InputKind::Image,
        (5, None | Some(1 | 3)) => InputKind::Clip,
        _ => InputKind::Tensor,
    };
    if kind == InputKind::Tensor {
        *card = InputCard::tensor(&card.name);
        return;
    }
    card.kind = kind;
    if channels == Some(1) && !says_colors {
        card.to_gray();
    }
}

/// Reads the values with which the card feeds inputs. `may_name_files` is false for a card inside a model
/// file, so that a foreign file cannot make its reader open other files.
fn values(card: &Card, from: &Path, may_name_files: bool) -> Result<BTreeMap<String, Fed>, OpenError> {
    let mut values = BTreeMap::new();
    for input in card.input.iter().filter(|i| i.kind == InputKind::Tensor) {
        let refuse = |why: String| OpenError::Value { card: from.to_owned(), input: input.name.clone(), why };
        let fed = match &input.value {
            None => continue,
            Some(FeedValue::File(file)) if may_name_files => {
                let file = from.parent().unwrap_or(Path::new("")).join(file);
                let (shape, data) =
                    oneiro_media::read_npy(&file).map_err(|e| refuse(format!("cannot be had: {e}")))?;
                if let Some(value) = data.iter().find(|value| !value.is_finite()) {
                    return Err(refuse(format!("holds {value}, no finite number")));
                }
                Fed { shape, data }
            }
            Some(value) => {
                let number = value.number().ok_or_else(|| {
                    let instead = "; write a number, or name a .npy file in a card beside the model";
                    refuse(format!("names a file that is not read here{instead}"))
                })?;
                Fed { shape: vec![], data: vec![number] }
            }
        };
        values.insert(input.name.clone(), fed);
    }
    Ok(values)
}

/// Returns an example of a card, with torchvision's preprocessing for each input that may be a picture.
fn example(graph: &Graph) -> String {
    let input = |input: &Input| {
        let name = graph.name(input.value);
        let card = match input.dims.as_deref().map_or(4, <[Dim]>::len) {
            4 => InputCard::preset("imagenet", name).unwrap_or_else(|_| InputCard::tensor(name)),
            _ => InputCard::tensor(name),
        };
        let dims = input.dims.as_deref().unwrap_or_default();
        let size = match dims {
            [_, _, Dim::Fixed(h), Dim::Fixed(w)] => Some([*h, *w]),
            [_, _, _, _] | [] => Some([super::DEFAULT_SIDE; 2]),
            _ => None,
        };
        InputCard { size, ..card }
    };
    let card = Card { input: graph.inputs.iter().map(input).collect(), ..Card::default() };
    card.to_toml().unwrap_or_default()
}
