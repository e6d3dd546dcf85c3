//! Reads ONNX files. They are parsed with `prost`; weights stay in the file's bytes until a plan needs them.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use prost::Message;

use crate::attributes::{Attribute, Attributes};
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Input, Node, Value, ValueId};
use crate::ops;
use crate::tensor::{DType, Tensor};

mod class_labels;
mod compositions;
mod declared;
mod functions;
mod links;
mod module_path;
mod order;
#[allow(missing_docs, rustdoc::all, clippy::all)]
mod proto;
mod quantized;
mod weights;

pub use class_labels::CLASS_LABELS_KEY;
pub use declared::declared;
use module_path::module_path;
use proto::tensor_proto::DataType;
pub use weights::ReadBeside;
use weights::Weights;

/// Reads a model from the bytes of a single file. Shared bytes (for instance a mapped file) are not copied.
pub fn read(bytes: Bytes) -> Result<Graph> {
    read_with(bytes, &mut |_| Err(std::io::Error::other("only the model's own bytes are given")))
}

/// Reads a model whose weights may be in other files of its folder. `beside` reads each such file once, by
/// the relative path in the model. Paths outside the model's folder are refused.
pub fn read_with(bytes: Bytes, beside: &mut ReadBeside<'_>) -> Result<Graph> {
    if bytes.is_empty() {
        return Err(Error::Format("the file is empty".into()));
    }
    let mut model = proto::ModelProto::decode(bytes)
        .map_err(|e| Error::Format(format!("{e}; the file is truncated or not an ONNX model")))?;
    let layout = model.graph.as_mut().and_then(compositions::nchwc::annotate);
    let merged = model.graph.as_ref().and_then(compositions::runtime::merged);
    functions::inline(&mut model)?;
    let opset = model
        .opset_import
        .iter()
        .find(|o| matches!(o.domain(), "" | "ai.onnx"))
        .and_then(|o| o.version)
        .ok_or_else(|| Error::Format("no version of the default operator set is declared".into()))?;
    let metadata = model.metadata_props.iter().map(|p| (p.key().to_owned(), p.value().to_owned())).collect();
    let mut graph = model.graph.ok_or_else(|| Error::Format("the model holds no graph".into()))?;
    let mut notes = quantized::expand(&mut graph);
    notes.extend(layout.into_iter().chain(merged));
    Builder {
        opset,
        weights: Weights::new(beside),
        values: Vec::new(),
        by_name: HashMap::new(),
        scopes: Vec::new(),
        branches: 0,
    }
    .graph(graph, metadata, notes)
}

/// Reads a single tensor (a serialized `TensorProto`), for instance a test vector of ONNX.
pub fn read_tensor(bytes: Bytes) -> Result<Tensor> {
    let proto = proto::TensorProto::decode(bytes)
        .map_err(|e| Error::Format(format!("{e}; the file is truncated or not an ONNX tensor")))?;
    Weights::new(&mut |_| Err(std::io::Error::other("only the tensor's own bytes are given"))).tensor(&proto)
}

struct Builder<'a> {
    opset: i64,
    weights: Weights<'a>,
    values: Vec<Value>,
    by_name: HashMap<String, ValueId>,
    /// For each branch being read, the names inside it with their names in the whole graph.
    scopes: Vec<HashMap<String, String>>,
    /// Number of branches read so far. It makes the names inside a branch unique.
    branches: usize,
}

impl Builder<'_> {
    fn graph(
        mut self,
        graph: proto::GraphProto,
        mut metadata: BTreeMap<String, String>,
        notes: Vec<String>,
    ) -> Result<Graph> {
        if let Some(names) = class_labels::of(&graph) {
            metadata.entry(CLASS_LABELS_KEY.to_owned()).or_insert(names);
        }
        let mut nodes = Vec::with_capacity(graph.node.len());
        self.constants(&graph, &mut nodes)?;
        let mut inputs: Vec<Input> = Vec::new();
        // Old exporters list weights among the inputs, too. This includes weights that cannot be read.
        let unreadable: HashSet<ValueId> =
            nodes.iter().flat_map(|n| n.outputs.iter().flatten().copied()).collect();
        let mut declared = HashSet::new();
        for info in &graph.input {
            let value = self.value(info.name());
            if unreadable.contains(&value) || self.values[value.index()].constant.is_some() {
                continue;
            }
            if !declared.insert(value) {
                return Err(Error::Graph(format!("input \"{}\" is declared twice", info.name())));
            }
            if is_text(info) {
                nodes.push(unreadable_value(value, info.name(), "inputs of texts are not supported".into()));
                continue;
            }
            let (dims, dtype) = input_type(info);
            inputs.push(Input { value, dims, dtype });
        }
        for node in &graph.node {
            self.node(node, &mut nodes)?;
        }
        let mut outputs = Vec::new();
        for info in &graph.output {
            outputs.push(self.by_name.get(info.name()).copied().ok_or_else(|| {
                Error::Graph(format!("output \"{}\" is not computed by any node", info.name()))
            })?);
        }
        links::link_unpooling(&mut nodes, self.values.len());
        let nodes = order::in_topological_order(nodes, &self.values, &inputs)?;
        Ok(Graph { values: self.values, nodes, inputs, outputs, opset: self.opset, metadata, notes })
    }

    /// Adds the initializers of a graph or branch. An initializer that cannot be read becomes an unsupported
    /// node, which is an error only if a target needs it.
    fn constants(&mut self, graph: &proto::GraphProto, nodes: &mut Vec<Node>) -> Result<()> {
        let mut unreadable = |this: &mut Self, name: &str, why: String| {
            nodes.push(unreadable_value(this.value(name), name, why));
        };
        for proto in &graph.initializer {
            if weights::is_readable(proto) {
                let tensor = self.weights.tensor(proto)?;
                let id = self.value(proto.name());
                self.values[id.index()].constant = Some(tensor);
            } else {
                let kind = weights::element_type(proto).as_str_name();
                unreadable(self, proto.name(), format!("its element type {kind} is not supported"));
            }
        }
        for sparse in &graph.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", |v| v.name());
            unreadable(self, name, "sparse weights are not supported; save the model with dense ones".into());
        }
        Ok(())
    }

    fn value(&mut self, name: &str) -> ValueId {
        let scoped = self.scopes.iter().rev().find_map(|s| s.get(name)).cloned();
        let name = scoped.as_deref().unwrap_or(name);
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        let id = ValueId(self.values.len() as u32);
        self.values.push(Value { name: name.to_owned(), constant: None });
        self.by_name.insert(name.to_owned(), id);
        id
    }

    fn optional(&mut self, name: &str) -> Option<ValueId> {
        if name.is_empty() { None } else { Some(self.value(name)) }
    }

    fn node(&mut self, proto: &proto::NodeProto, nodes: &mut Vec<Node>) -> Result<()> {
        let node = match (proto.domain(), proto.op_type()) {
            ("" | "ai.onnx", "If") => self.choice(proto, nodes)?,
            _ => self.operation(proto)?,
        };
        nodes.push(node);
        Ok(())
    }

    /// Reads an `If`: adds the nodes of both branches, and returns the node that chooses between their
    /// results.
    fn choice(&mut self, proto: &proto::NodeProto, nodes: &mut Vec<Node>) -> Result<Node> {
        let mut node = self.operation(proto)?;
        let results = proto.output.len();
        for name in ["then_branch", "else_branch"] {
            let branch = proto.attribute.iter().find(|a| a.name() == name).and_then(|a| a.g.as_ref());
            let branch = branch.filter(|b| b.output.len() == results).ok_or_else(|| {
                Error::Graph(format!("node \"{}\": its {name} does not have {results} results", node.name))
            })?;
            let own = branch.initializer.iter().map(|t| t.name());
            let own = own.chain(branch.node.iter().flat_map(|n| n.output.iter().map(String::as_str)));
            self.branches += 1;
            let prefix = format!("{}/{name}.{}", node.name, self.branches);
            let scope =
                own.filter(|n| !n.is_empty()).map(|n| (n.to_owned(), format!("{prefix}/{n}"))).collect();
            self.scopes.push(scope);
            self.constants(branch, nodes)?;
            for proto in &branch.node {
                self.node(proto, nodes)?;
            }
            for output in &branch.output {
                node.inputs.push(Some(self.value(output.name())));
            }
            self.scopes.pop();
        }
        node.op = std::sync::Arc::new(ops::control_flow::Choose { results });
        Ok(node)
    }

    fn operation(&mut self, proto: &proto::NodeProto) -> Result<Node> {
        let outputs: Vec<_> = proto.output.iter().map(|n| self.optional(n)).collect();
        let inputs = proto.input.iter().map(|n| self.optional(n)).collect();
        let name = match proto.name() {
            "" => proto.output.iter().find(|o| !o.is_empty()).cloned().unwrap_or_default(),
            name => name.to_owned(),
        };
        let mut entries = Vec::new();
        for a in &proto.attribute {
            entries.push((a.name(), self.attribute(a)?));
        }
        let op = match proto.domain() {
            "" | "ai.onnx" => {
                let opset = functions::own_opset(proto).unwrap_or(self.opset);
                let mut attributes = Attributes::new(opset, entries);
                attributes.outputs = outputs.len();
                attributes.named = outputs.iter().flatten().count();
                ops::build(proto.op_type(), &attributes)
            }
            domain => std::sync::Arc::new(ops::Unsupported {
                op_type: format!("{domain}.{}", proto.op_type()),
                why: None,
            }),
        };
        let module = module_path(proto);
        Ok(Node { name, module, op, inputs, outputs })
    }

    fn attribute(&mut self, a: &proto::AttributeProto) -> Result<Attribute> {
        use proto::attribute_proto::AttributeType as T;
        let kind = a.r#type();
        Ok(match kind {
            T::Float => Attribute::Float(a.f()),
            T::Int => Attribute::Int(a.i()),
            T::String => Attribute::Text(String::from_utf8_lossy(a.s()).into_owned()),
            T::Floats => Attribute::Floats(a.floats.clone()),
            T::Ints => Attribute::Ints(a.ints.clone()),
            T::Tensor => match &a.t {
                Some(t) if !weights::is_readable(t) => {
                    Attribute::Other("a tensor of an unsupported element type")
                }
                Some(t) => Attribute::Tensor(self.weights.tensor(t)?),
                None => Attribute::Other("an empty tensor"),
            },
            _ => Attribute::Other("a graph, a type or strings"),
        })
    }
}

/// Returns a node for a value that cannot be read. It is an error only if a target depends on it.
fn unreadable_value(output: ValueId, name: &str, why: String) -> Node {
    Node {
        name: name.to_owned(),
        module: None,
        op: std::sync::Arc::new(ops::Unsupported { op_type: "Constant".into(), why: Some(why) }),
        inputs: vec![],
        outputs: vec![Some(output)],
    }
}

fn is_text(info: &proto::ValueInfoProto) -> bool {
    let Some(proto::type_proto::Value::TensorType(t)) = info.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return false;
    };
    t.elem_type() == DataType::String as i32
}

fn input_type(info: &proto::ValueInfoProto) -> (Option<Vec<Dim>>, DType) {
    use proto::tensor_shape_proto::dimension::Value as D;
    let Some(proto::type_proto::Value::TensorType(t)) = info.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return (None, DType::Float);
    };
    let dtype = match DataType::try_from(t.elem_type()) {
        Ok(
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Uint8
            | DataType::Uint16
            | DataType::Uint32
            | DataType::Uint64,
        ) => DType::Int,
        Ok(DataType::Bool) => DType::Bool,
        _ => DType::Float,
    };
    let dims = t.shape.as_ref().map(|s| {
        s.dim
            .iter()
            .map(|d| match &d.value {
                Some(D::DimValue(n)) if *n > 0 => Dim::Fixed(*n as usize),
                Some(D::DimParam(name)) => Dim::Free(name.clone()),
                _ => Dim::Free(String::new()),
            })
            .collect()
    });
    (dims, dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_is_an_error_that_says_so() {
        for bytes in [&b""[..], b"not a model", b"\x08\x08", &[0xff; 64]] {
            let error = read(Bytes::copy_from_slice(bytes)).unwrap_err();
            assert!(matches!(error, Error::Format(_)), "{error}");
        }
    }
}
