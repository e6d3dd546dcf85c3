//! What a file writes as a program rather than as nodes: functions of its own, whose nodes are put in the place of each
//! call before the graph is built.

use std::collections::HashMap;

use super::proto::{AttributeProto, FunctionProto, ModelProto, NodeProto, OperatorSetIdProto};
use crate::error::{Error, Result};

/// Calls within calls beyond which a file is taken for damaged (or recursive, which ONNX forbids).
const MAX_DEPTH: usize = 32;
/// Nodes beyond which the same holds.
const MAX_NODES: usize = 1 << 20;

/// Puts the nodes of the model's functions in the place of their calls.
pub fn inline(model: &mut ModelProto) -> Result<()> {
    if model.functions.is_empty() {
        return Ok(());
    }
    let functions = std::mem::take(&mut model.functions);
    // A function that counts on another operator set stays a call, which is not supported.
    let version = default_version(&model.opset_import);
    let same = |f: &&FunctionProto| default_version(&f.opset_import).is_none_or(|v| Some(v) == version);
    let table: Table<'_> =
        functions.iter().filter(same).map(|f| ((f.domain(), f.name(), f.overload()), f)).collect();
    let Some(graph) = &mut model.graph else { return Ok(()) };
    let mut inliner = Inliner { table, calls: 0, out: Vec::new() };
    for node in std::mem::take(&mut graph.node) {
        inliner.node(node, 0)?;
    }
    graph.node = inliner.out;
    Ok(())
}

fn default_version(imports: &[OperatorSetIdProto]) -> Option<i64> {
    imports.iter().find(|o| matches!(o.domain(), "" | "ai.onnx")).and_then(|o| o.version)
}

type Table<'a> = HashMap<(&'a str, &'a str, &'a str), &'a FunctionProto>;

struct Inliner<'a> {
    table: Table<'a>,
    /// Calls replaced so far; makes the names inside a call unique.
    calls: usize,
    out: Vec<NodeProto>,
}

impl Inliner<'_> {
    fn node(&mut self, node: NodeProto, depth: usize) -> Result<()> {
        let key = (node.domain(), node.op_type(), node.overload());
        let Some(&function) = self.table.get(&key) else {
            if self.out.len() >= MAX_NODES {
                return Err(Error::Graph("its functions expand to too many nodes".into()));
            }
            self.out.push(node);
            return Ok(());
        };
        if depth >= MAX_DEPTH {
            return Err(Error::Graph(format!("function \"{}\" calls itself", function.name())));
        }
        self.calls += 1;
        let call = self.calls;
        let mut names: HashMap<&str, &str> = HashMap::new();
        for (i, formal) in function.input.iter().enumerate() {
            names.insert(formal, node.input.get(i).map_or("", String::as_str));
        }
        for (formal, actual) in function.output.iter().zip(&node.output).filter(|(_, a)| !a.is_empty()) {
            names.insert(formal, actual);
        }
        // An input that is handed through as an output would need a node of its own.
        if function.output.iter().any(|o| function.input.contains(o)) {
            return Err(Error::Graph(format!(
                "function \"{}\" returns its input unchanged",
                function.name()
            )));
        }
        let rename = |name: &String| match names.get(name.as_str()) {
            _ if name.is_empty() => String::new(),
            Some(actual) => (*actual).to_owned(),
            None => format!("{}/{call}/{name}", node.name()),
        };
        for inner in &function.node {
            let mut inner = inner.clone();
            inner.input = inner.input.iter().map(rename).collect();
            inner.output = inner.output.iter().map(rename).collect();
            inner.name = Some(match (node.name(), inner.name()) {
                ("", name) => name.to_owned(),
                (call, "") => call.to_owned(),
                (call, name) => format!("{call}/{name}"),
            });
            if inner.metadata_props.is_empty() {
                inner.metadata_props = node.metadata_props.clone();
            }
            let attributes = std::mem::take(&mut inner.attribute);
            inner.attribute = attributes.into_iter().filter_map(|a| bind(a, &node, function)).collect();
            self.node(inner, depth + 1)?;
        }
        Ok(())
    }
}

/// An attribute inside a function: itself, or the call's attribute that it refers to, or that one's default.
fn bind(attribute: AttributeProto, call: &NodeProto, function: &FunctionProto) -> Option<AttributeProto> {
    if attribute.ref_attr_name().is_empty() {
        return Some(attribute);
    }
    let given = call.attribute.iter().chain(&function.attribute_proto);
    let given = given.into_iter().find(|a| a.name() == attribute.ref_attr_name())?;
    Some(AttributeProto { name: attribute.name, ..given.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::onnx::proto::GraphProto;

    fn node(domain: &str, op: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        NodeProto {
            domain: Some(domain.into()),
            op_type: Some(op.into()),
            name: Some(name.into()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: outputs.iter().map(|s| (*s).to_owned()).collect(),
            ..Default::default()
        }
    }

    fn float(name: &str, value: f32) -> AttributeProto {
        AttributeProto { name: Some(name.into()), f: Some(value), ..Default::default() }
    }

    /// A function `own.leak(x; slope = 0.3)` that calls `LeakyRelu` and adds.
    fn model(calls: Vec<NodeProto>) -> ModelProto {
        let mut leaky = node("", "LeakyRelu", "inner", &["x"], &["t"]);
        leaky.attribute = vec![AttributeProto {
            name: Some("alpha".into()),
            ref_attr_name: Some("slope".into()),
            ..Default::default()
        }];
        let function = FunctionProto {
            domain: Some("own".into()),
            name: Some("leak".into()),
            input: vec!["x".into()],
            output: vec!["y".into()],
            attribute_proto: vec![float("slope", 0.3)],
            node: vec![leaky, node("", "Add", "", &["t", "x"], &["y"])],
            ..Default::default()
        };
        let graph = GraphProto { node: calls, ..Default::default() };
        ModelProto { functions: vec![function], graph: Some(graph), ..Default::default() }
    }

    #[test]
    fn calls_become_nodes_with_names_of_their_own() {
        let mut second = node("own", "leak", "b", &["m"], &["out"]);
        second.attribute = vec![float("slope", 0.5)];
        let mut model = model(vec![node("own", "leak", "a", &["in"], &["m"]), second]);
        inline(&mut model).unwrap();
        let nodes = model.graph.unwrap().node;
        let ends: Vec<_> =
            nodes.iter().map(|n| (n.name(), n.input.join(" "), n.output[0].as_str())).collect();
        assert_eq!(ends[0], ("a/inner", "in".into(), "a/1/t"));
        assert_eq!(ends[1], ("a", "a/1/t in".into(), "m"));
        assert_eq!(ends[3], ("b", "b/2/t m".into(), "out"));
        let slopes: Vec<_> = nodes.iter().flat_map(|n| &n.attribute).map(|a| (a.name(), a.f())).collect();
        assert_eq!(slopes, [("alpha", 0.3), ("alpha", 0.5)]);
    }

    #[test]
    fn a_function_that_calls_itself_is_an_error() {
        let mut model = model(vec![node("own", "leak", "a", &["in"], &["m"])]);
        model.functions[0].node.push(node("own", "leak", "", &["y"], &["z"]));
        assert!(inline(&mut model).is_err());
    }
}
