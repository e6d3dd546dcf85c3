//! Reads reference values ("goldens") computed by another framework, and runs networks on their inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oneiro_net::format::onnx;
use oneiro_net::names::Names;
use oneiro_net::tensor::volume;
use oneiro_net::{CpuSession, Graph, Isa, Plan, Request, Rules, Session, ValueId};
use safetensors::{Dtype, SafeTensors};

use crate::outside;

/// The error is one line of a test's report.
pub type Result<T> = std::result::Result<T, String>;

/// A network from the test data or the folder of trained networks, with its reference values.
pub struct Case {
    /// Name of the case in reports: the file's path without its root and ending.
    pub name: String,
    model: PathBuf,
    golden: PathBuf,
}

/// A network that has been read, with its reference values.
pub struct Network {
    pub graph: Graph,
    /// Short names of layers in the model card, each with the tensor's name.
    short: Vec<(String, String)>,
    pub golden: Golden,
}

/// The content of a file of reference values.
pub struct Golden {
    tensors: BTreeMap<String, Array>,
    /// The objectives, each with its ID.
    pub objectives: Vec<(String, Objective)>,
}

/// An array of numbers: its shape and its values.
#[derive(Clone)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// Returns the networks beside this file, which `data/make.py` made.
pub fn fixtures() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut cases = Vec::new();
    for model in files(&folder) {
        if let Some(name) = model.to_str().and_then(|p| p.strip_suffix(".onnx")) {
            let golden = PathBuf::from(format!("{name}.golden.safetensors"));
            cases.push(Case { name: label(&folder, &model), model, golden });
        }
    }
    assert!(!cases.is_empty(), "no fixtures in {}", folder.display());
    cases
}

/// Returns the trained networks beside the repository; `None` skips the test if there is no such folder.
pub fn trained() -> Option<Vec<Case>> {
    let root = outside::shared("models")?;
    let mut cases = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let golden = folder.join("golden.safetensors");
        for path in files(&folder) {
            let file = path.file_name().and_then(|f| f.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if golden.is_file()
                && (file == "model.onnx" || file.starts_with("final.") && file.ends_with(".onnx"))
            {
                cases.push(Case { name: label(&root, &path), model: path, golden: golden.clone() });
            }
        }
    }
    assert!(!cases.is_empty(), "no trained networks in {}", root.display());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Some(cases)
}

/// Returns the paths in a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    paths
}

fn label(root: &Path, model: &Path) -> String {
    let path = model.strip_prefix(root).unwrap_or(model).to_string_lossy();
    path.trim_end_matches(".onnx").trim_end_matches("/model").to_owned()
}

impl Case {
    /// Returns the bytes of the model file.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.model).unwrap()
    }

    /// Reads the model, its card and its reference values.
    pub fn network(&self) -> Result<Network> {
        let graph = onnx::read(self.bytes().into()).map_err(|e| e.to_string())?;
        let mut short = Vec::new();
        if let Ok(card) = std::fs::read_to_string(self.model.with_extension("toml")) {
            let card: toml::Table = card.parse().map_err(|e| format!("model card: {e}"))?;
            for (name, tensor) in card.get("layers").and_then(|l| l.as_table()).into_iter().flatten() {
                let tensor = tensor.as_str().ok_or("model card: a layer is not a string")?;
                short.push((name.clone(), tensor.to_owned()));
            }
        }
        Ok(Network { graph, short, golden: Golden::read(&self.golden)? })
    }
}

impl Golden {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
        let objectives = header.metadata().as_ref().and_then(|m| m.get("objectives"));
        let objectives: BTreeMap<String, String> =
            serde_json::from_str(objectives.ok_or("no objectives")?).map_err(|e| e.to_string())?;
        let objectives = objectives
            .into_iter()
            .map(|(id, expression)| Ok((id, Objective::parse(&expression)?)))
            .collect::<Result<Vec<_>>>()?;
        let array = |view: safetensors::tensor::TensorView<'_>| {
            assert_eq!(view.dtype(), Dtype::F32);
            let data = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            Array { shape: view.shape().to_vec(), data }
        };
        let tensors = file.tensors().into_iter().map(|(name, view)| (name, array(view))).collect();
        Ok(Self { tensors, objectives })
    }

    /// Returns the reference array with this key.
    pub fn get(&self, key: &str) -> Result<&Array> {
        self.tensors.get(key).ok_or_else(|| format!("the reference has no \"{key}\""))
    }

    /// Returns all reference arrays whose key begins with `prefix`, with the rest of the key.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Array)> {
        self.tensors.iter().filter_map(move |(key, array)| Some((key.strip_prefix(prefix)?, array)))
    }
}

/// The part of a layer that an objective measures.
enum Part {
    Channel(usize),
    /// A single neuron: its channel and its position.
    Neuron(Vec<usize>),
    Layer,
}

/// An objective: `channel(L,c)`, `neuron(L,c,position…)`, `layer(L)` or `logit(c)`, averaged over the batch.
pub struct Objective {
    /// Name of the layer; `None` is the network's first output.
    layer: Option<String>,
    part: Part,
}

impl Objective {
    fn parse(expression: &str) -> Result<Self> {
        let fail = || format!("the test does not know the objective {expression}");
        let (kind, rest) = expression.strip_suffix(')').and_then(|e| e.split_once('(')).ok_or_else(fail)?;
        let (layer, rest) = match rest.strip_prefix('"').and_then(|r| r.split_once('"')) {
            Some((layer, rest)) => (layer, rest.trim_start_matches(',')),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        let numbers = |text: &str| -> Result<Vec<usize>> {
            let parts = text.split(',').map(str::trim).filter(|t| !t.is_empty());
            parts.map(|t| t.parse().map_err(|_| fail())).collect()
        };
        let (named, index) = (Some(layer.to_owned()), numbers(rest)?);
        match (kind, &index[..]) {
            ("layer", []) => Ok(Self { layer: named, part: Part::Layer }),
            ("channel", &[c]) => Ok(Self { layer: named, part: Part::Channel(c) }),
            ("neuron", [_, _, ..]) => Ok(Self { layer: named, part: Part::Neuron(index) }),
            ("logit", []) => match numbers(layer)?[..] {
                [c] => Ok(Self { layer: None, part: Part::Channel(c) }),
                _ => Err(fail()),
            },
            _ => Err(fail()),
        }
    }

    /// Returns the value of the layer that the objective measures.
    pub fn layer(&self, network: &Network) -> Result<ValueId> {
        match &self.layer {
            Some(name) => network.resolve(name),
            None => network.graph.outputs.first().copied().ok_or_else(|| "the network has no output".into()),
        }
    }

    /// Returns the objective's value, and writes its gradient with respect to the layer into `seed`.
    pub fn evaluate(&self, shape: &[usize], activation: &[f32], seed: &mut [f32]) -> Result<f32> {
        let (batch, channels, positions) = (shape[0], shape[1], volume(&shape[2..]));
        seed.fill(0.0);
        let (channel, position) = match &self.part {
            Part::Layer => {
                let n = activation.len() as f64;
                for (s, &a) in seed.iter_mut().zip(activation) {
                    *s = (2.0 * f64::from(a) / n) as f32;
                }
                return Ok((activation.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>() / n) as f32);
            }
            Part::Channel(c) => (*c, 0..positions),
            Part::Neuron(index) => {
                if index.len() + 1 != shape.len() || index.iter().zip(&shape[1..]).any(|(i, n)| i >= n) {
                    return Err(format!("no neuron {index:?} in a layer of shape {shape:?}"));
                }
                let p = index[1..].iter().zip(&shape[2..]).fold(0, |p, (i, n)| p * n + i);
                (index[0], p..p + 1)
            }
        };
        if channel >= channels {
            return Err(format!("no channel {channel} in a layer of shape {shape:?}"));
        }
        let n = (batch * position.len()) as f64;
        let mut sum = 0.0;
        for entry in 0..batch {
            let start = (entry * channels + channel) * positions;
            let range = start + position.start..start + position.end;
            sum += activation[range.clone()].iter().map(|&a| f64::from(a)).sum::<f64>();
            seed[range].fill((1.0 / n) as f32);
        }
        Ok((sum / n) as f32)
    }
}

impl Network {
    /// Returns the value that a name means, including short names of the card.
    pub fn resolve(&self, name: &str) -> Result<ValueId> {
        let short: Vec<(&str, &str)> = self.short.iter().map(|(s, t)| (s.as_str(), t.as_str())).collect();
        Names::new(&self.graph, &short).resolve(name).map_err(|e| e.to_string())
    }

    /// Returns the reference's inputs, in the graph's order.
    pub fn inputs(&self) -> Result<Vec<Array>> {
        let name = |input: &oneiro_net::graph::Input| format!("input/{}", self.graph.name(input.value));
        self.graph.inputs.iter().map(|i| self.golden.get(&name(i)).cloned()).collect()
    }

    /// Returns the name and the value of every layer whose activations the reference holds.
    pub fn layers(&self) -> Result<Vec<(String, ValueId)>> {
        self.golden.under("act/").map(|(name, _)| Ok((name.to_owned(), self.resolve(name)?))).collect()
    }

    /// Compiles a session for these inputs, which can be run repeatedly.
    pub fn compile(&self, inputs: Vec<Array>, targets: &[ValueId], isa: Isa) -> Result<Runner> {
        let shapes = inputs.iter().map(|x| x.shape.clone()).collect();
        let request = Request { isa, ..Request::of_shapes(shapes, targets.to_vec()) };
        let plan = Arc::new(Plan::compile(&self.graph, &request).map_err(|e| e.to_string())?);
        Ok(Runner { inputs, session: CpuSession::new(plan).map_err(|e| e.to_string())? })
    }
}

/// A compiled session with its inputs.
pub struct Runner {
    inputs: Vec<Array>,
    session: CpuSession,
}

impl Runner {
    /// Feeds the inputs and runs forward.
    pub fn forward(&mut self) {
        for (i, x) in self.inputs.iter().enumerate() {
            self.session.input_mut(i).copy_from_slice(&x.data);
        }
        self.session.forward();
    }

    /// Replaces the inputs by others with the same shapes.
    pub fn feed(&mut self, inputs: Vec<Array>) {
        self.inputs = inputs;
    }

    /// Returns the number of targets.
    pub fn targets(&self) -> usize {
        self.session.plan().targets.len()
    }

    /// Returns the shape and activations of a target after a forward pass.
    pub fn activation(&self, target: usize) -> Array {
        let shape = self.session.plan().targets[target].shape.clone();
        Array { shape, data: self.session.activation(target).to_vec() }
    }

    /// Runs forward, and backward from one target. `seed(shape, activations, seed)` writes the gradient at
    /// the target. Returns the seed function's result and the gradient of every input.
    pub fn gradients<T>(
        &mut self,
        target: usize,
        seed: impl FnOnce(&[usize], &[f32], &mut [f32]) -> T,
    ) -> (T, Vec<Vec<f32>>) {
        self.forward();
        let shape = self.session.plan().targets[target].shape.clone();
        let (activation, gradient) = self.session.seed(target);
        let value = seed(&shape, activation, gradient);
        self.session.backward(&Rules::default());
        (value, (0..self.inputs.len()).map(|i| self.session.input_gradient(i).to_vec()).collect())
    }
}
