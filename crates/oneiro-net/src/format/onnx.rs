//! ONNX files. Parsed with `prost`; weights stay in the file's bytes until a plan needs them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use prost::Message;

use crate::attributes::{Attribute, Attributes};
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Input, Node, Value, ValueId};
use crate::ops;
use crate::tensor::{DType, Stored, Tensor};

mod compositions;
mod functions;
#[allow(missing_docs, rustdoc::all, clippy::all)]
mod proto;

use proto::tensor_proto::{DataLocation, DataType};

/// Reads a model from its bytes. Shared bytes (for instance a mapped file) are not copied.
pub fn read(bytes: Bytes) -> Result<Graph> {
    if bytes.is_empty() {
        return Err(Error::Format("the file is empty".into()));
    }
    let mut model = proto::ModelProto::decode(bytes)
        .map_err(|e| Error::Format(format!("{e}; the file is truncated or not an ONNX model")))?;
    functions::inline(&mut model)?;
    let opset = model
        .opset_import
        .iter()
        .find(|o| matches!(o.domain(), "" | "ai.onnx"))
        .and_then(|o| o.version)
        .ok_or_else(|| Error::Format("no version of the default operator set is declared".into()))?;
    let metadata = model.metadata_props.iter().map(|p| (p.key().to_owned(), p.value().to_owned())).collect();
    let graph = model.graph.ok_or_else(|| Error::Format("the model holds no graph".into()))?;
    Builder { opset, ..Builder::default() }.graph(graph, metadata)
}

/// Reads a single tensor (a serialized `TensorProto`), for instance a test vector of ONNX's.
pub fn read_tensor(bytes: Bytes) -> Result<Tensor> {
    let proto = proto::TensorProto::decode(bytes)
        .map_err(|e| Error::Format(format!("{e}; the file is truncated or not an ONNX tensor")))?;
    tensor(&proto)
}

#[derive(Default)]
struct Builder {
    opset: i64,
    values: Vec<Value>,
    by_name: HashMap<String, ValueId>,
    /// Names inside the branches that are being read, with what they are called in the whole graph.
    scopes: Vec<HashMap<String, String>>,
    /// Branches read so far; makes the names inside them unique.
    branches: usize,
}

impl Builder {
    fn graph(mut self, graph: proto::GraphProto, metadata: BTreeMap<String, String>) -> Result<Graph> {
        for proto in &graph.initializer {
            let tensor = tensor(proto)?;
            let id = self.value(proto.name());
            self.values[id.index()].constant = Some(tensor);
        }
        let mut inputs = Vec::new();
        for info in &graph.input {
            let value = self.value(info.name());
            // Old exporters list the weights among the inputs, too.
            if self.values[value.index()].constant.is_none() {
                let (dims, dtype) = input_type(info);
                inputs.push(Input { value, dims, dtype });
            }
        }
        let mut nodes = Vec::with_capacity(graph.node.len());
        for node in &graph.node {
            self.node(node, &mut nodes)?;
        }
        let mut outputs = Vec::new();
        for info in &graph.output {
            outputs.push(self.by_name.get(info.name()).copied().ok_or_else(|| {
                Error::Graph(format!("output \"{}\" is not computed by any node", info.name()))
            })?);
        }
        let nodes = in_topological_order(nodes, &self.values, &inputs)?;
        Ok(Graph { values: self.values, nodes, inputs, outputs, opset: self.opset, metadata })
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

    /// An `If`: the nodes of both branches, then the choice between their results.
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
            for proto in &branch.initializer {
                let tensor = tensor(proto)?;
                let id = self.value(proto.name());
                self.values[id.index()].constant = Some(tensor);
            }
            for proto in &branch.node {
                self.node(proto, nodes)?;
            }
            for output in &branch.output {
                node.inputs.push(Some(self.value(output.name())));
            }
            self.scopes.pop();
        }
        node.op = std::sync::Arc::new(ops::choose::Choose { results });
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
            entries.push((a.name(), attribute(a)?));
        }
        let op = match proto.domain() {
            "" | "ai.onnx" => {
                let opset = functions::own_opset(proto).unwrap_or(self.opset);
                let mut attributes = Attributes::new(opset, entries);
                attributes.outputs = outputs.len();
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

fn attribute(a: &proto::AttributeProto) -> Result<Attribute> {
    use proto::attribute_proto::AttributeType as T;
    let kind = a.r#type();
    Ok(match kind {
        T::Float => Attribute::Float(a.f()),
        T::Int => Attribute::Int(a.i()),
        T::String => Attribute::Text(String::from_utf8_lossy(a.s()).into_owned()),
        T::Floats => Attribute::Floats(a.floats.clone()),
        T::Ints => Attribute::Ints(a.ints.clone()),
        T::Tensor => match &a.t {
            Some(t) => Attribute::Tensor(tensor(t)?),
            None => Attribute::Other("an empty tensor"),
        },
        _ => Attribute::Other("a graph, a type or strings"),
    })
}

/// A tensor of the file. Its data must be as long as its shape says, so that no claim of a size allocates.
fn tensor(proto: &proto::TensorProto) -> Result<Tensor> {
    let fail = |why: String| Error::Graph(format!("tensor \"{}\": {why}", proto.name()));
    let shape = proto
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| fail(format!("negative extent {d}"))))
        .collect::<Result<Vec<_>>>()?;
    if proto.data_location() == DataLocation::External {
        return Err(fail("its data lies in another file, which is not supported yet".into()));
    }
    let count = shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .ok_or_else(|| fail(format!("shape {shape:?} is too large")))?;
    let check = |have: usize| {
        if have == count {
            Ok(())
        } else {
            Err(fail(format!("shape {shape:?} needs {count} elements, the file has {have}")))
        }
    };
    let raw = proto.raw_data.clone().filter(|b| !b.is_empty());
    let kind = DataType::try_from(proto.data_type()).unwrap_or(DataType::Undefined);
    let stored = match kind {
        DataType::Float => Some(Stored::F32),
        DataType::Float16 => Some(Stored::F16),
        DataType::Bfloat16 => Some(Stored::Bf16),
        DataType::Double => Some(Stored::F64),
        _ => None,
    };
    if let (Some(stored), Some(raw)) = (stored, &raw) {
        return Tensor::raw(&shape, stored, raw.clone()).map_err(|e| fail(e.0));
    }
    let narrow = |f: fn(u16) -> f32| proto.int32_data.iter().map(|&x| f(x as u16)).collect::<Vec<_>>();
    match kind {
        DataType::Float => {
            check(proto.float_data.len())?;
            Ok(Tensor::floats(&shape, proto.float_data.clone()))
        }
        DataType::Double => {
            check(proto.double_data.len())?;
            Ok(Tensor::floats(&shape, proto.double_data.iter().map(|&x| x as f32).collect()))
        }
        DataType::Float16 => {
            check(proto.int32_data.len())?;
            Ok(Tensor::floats(&shape, narrow(|x| half::f16::from_bits(x).to_f32())))
        }
        DataType::Bfloat16 => {
            check(proto.int32_data.len())?;
            Ok(Tensor::floats(&shape, narrow(|x| half::bf16::from_bits(x).to_f32())))
        }
        DataType::Bool => {
            let data: Vec<bool> = match raw {
                Some(raw) => raw.iter().map(|&b| b != 0).collect(),
                None => proto.int32_data.iter().map(|&x| x != 0).collect(),
            };
            check(data.len())?;
            Ok(Tensor::bools(&shape, data))
        }
        _ => {
            let data = integers(proto, kind, raw.as_ref())
                .ok_or_else(|| fail(format!("element type {} is not supported", kind.as_str_name())))?;
            check(data.len())?;
            Ok(Tensor::ints(&shape, data))
        }
    }
}

fn integers(proto: &proto::TensorProto, kind: DataType, raw: Option<&Bytes>) -> Option<Vec<i64>> {
    fn each<const N: usize>(raw: &[u8], f: fn([u8; N]) -> i64) -> Vec<i64> {
        raw.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
    }
    let narrow = || proto.int32_data.iter().map(|&x| i64::from(x)).collect();
    Some(match (kind, raw) {
        (DataType::Int64, Some(raw)) => each(raw, i64::from_le_bytes),
        (DataType::Int64, None) => proto.int64_data.clone(),
        (DataType::Int32, Some(raw)) => each(raw, |b| i64::from(i32::from_le_bytes(b))),
        (DataType::Int16, Some(raw)) => each(raw, |b| i64::from(i16::from_le_bytes(b))),
        (DataType::Int8, Some(raw)) => each(raw, |b| i64::from(i8::from_le_bytes(b))),
        (DataType::Uint32, Some(raw)) => each(raw, |b| i64::from(u32::from_le_bytes(b))),
        (DataType::Uint16, Some(raw)) => each(raw, |b| i64::from(u16::from_le_bytes(b))),
        (DataType::Uint8, Some(raw)) => each(raw, |b| i64::from(u8::from_le_bytes(b))),
        (DataType::Uint64, Some(raw)) => each(raw, |b| u64::from_le_bytes(b) as i64),
        (DataType::Uint32 | DataType::Uint64, None) => proto.uint64_data.iter().map(|&x| x as i64).collect(),
        (DataType::Int32 | DataType::Int16 | DataType::Int8 | DataType::Uint16 | DataType::Uint8, None) => {
            narrow()
        }
        _ => return None,
    })
}

/// Path of the PyTorch module that a node came from.
///
/// The newer exporter writes the scopes into the node's metadata, the last entry being the call itself
/// (`['', 'layer1', 'layer1.0', 'conv2d']`). The older one writes them into the name, each scope by its own name
/// or, in containers, by the container's name and an index (`/layer1/layer1.0/conv1/Conv`).
fn module_path(node: &proto::NodeProto) -> Option<String> {
    let scopes = node.metadata_props.iter().find(|p| p.key() == "pkg.torch.onnx.name_scopes");
    if let Some(scopes) = scopes {
        let parts: Vec<&str> =
            scopes.value().trim_matches(['[', ']']).split(',').map(|s| s.trim().trim_matches('\'')).collect();
        return parts.iter().rev().skip(1).find(|s| !s.is_empty()).map(|s| (*s).to_owned());
    }
    let scopes = node.name().strip_prefix('/')?;
    let mut path: Vec<&str> = Vec::new();
    let mut parts: Vec<&str> = scopes.split('/').collect();
    parts.pop();
    for part in parts {
        match path.last_mut() {
            Some(last) if part.strip_prefix(*last).is_some_and(|rest| rest.starts_with('.')) => *last = part,
            _ => path.push(part),
        }
    }
    if path.is_empty() { None } else { Some(path.join(".")) }
}

fn in_topological_order(nodes: Vec<Node>, values: &[Value], inputs: &[Input]) -> Result<Vec<Node>> {
    let mut ready: Vec<bool> = values.iter().map(|v| v.constant.is_some()).collect();
    for input in inputs {
        ready[input.value.index()] = true;
    }
    let mut producer: Vec<Option<usize>> = vec![None; values.len()];
    for (i, node) in nodes.iter().enumerate() {
        for out in node.outputs.iter().flatten() {
            if ready[out.index()] || producer[out.index()].replace(i).is_some() {
                let name = &values[out.index()].name;
                return Err(Error::Graph(format!("tensor \"{name}\" is defined twice")));
            }
        }
    }
    // Depth-first from every node in the file's order, without recursion: files can be deep.
    let mut state = vec![0u8; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for root in 0..nodes.len() {
        let mut stack = vec![(root, 0usize)];
        while let Some((n, next)) = stack.pop() {
            if next == 0 {
                if state[n] == 2 {
                    continue;
                }
                state[n] = 1;
            }
            match nodes[n].inputs.get(next) {
                None => {
                    state[n] = 2;
                    order.push(n);
                }
                Some(input) => {
                    stack.push((n, next + 1));
                    let Some(value) = input.filter(|v| !ready[v.index()]) else { continue };
                    let Some(p) = producer[value.index()] else {
                        return Err(Error::Graph(format!(
                            "node \"{}\" reads \"{}\", which nothing defines",
                            nodes[n].name,
                            values[value.index()].name
                        )));
                    };
                    match state[p] {
                        0 => stack.push((p, 0)),
                        1 => {
                            return Err(Error::Graph(format!(
                                "node \"{}\" depends on its own result",
                                nodes[p].name
                            )));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|n| nodes[n].take()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Option<String> {
        module_path(&proto::NodeProto { name: Some(name.into()), ..Default::default() })
    }

    #[test]
    fn module_paths_lose_the_exporters_decoration() {
        assert_eq!(path("/features/features.0/Conv").as_deref(), Some("features.0"));
        assert_eq!(path("/layer1/layer1.0/conv1/Conv").as_deref(), Some("layer1.0.conv1"));
        assert_eq!(
            path("/features/features.1/conv/conv.0/conv.0.0/Conv").as_deref(),
            Some("features.1.conv.0.0")
        );
        assert_eq!(path("/blocks/blocks.11/Add").as_deref(), Some("blocks.11"));
        assert_eq!(path("Conv_12"), None);
    }

    #[test]
    fn module_paths_come_from_the_newer_exporters_metadata() {
        let node = proto::NodeProto {
            name: Some("node_conv2d".into()),
            metadata_props: vec![proto::StringStringEntryProto {
                key: Some("pkg.torch.onnx.name_scopes".into()),
                value: Some("['', 'flow', 'flow.conv3', 'conv2d_6']".into()),
            }],
            ..Default::default()
        };
        assert_eq!(module_path(&node).as_deref(), Some("flow.conv3"));
    }

    #[test]
    fn rubbish_is_an_error_that_says_so() {
        for bytes in [&b""[..], b"not a model", b"\x08\x08", &[0xff; 64]] {
            let error = read(Bytes::copy_from_slice(bytes)).unwrap_err();
            assert!(matches!(error, Error::Format(_)), "{error}");
        }
    }
}
