//! Inlines the functions that a file defines: each call is replaced by the function's nodes before the graph
//! is built.

use std::collections::HashMap;

use super::compositions;
use super::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto,
};
use crate::error::{Error, Result};

/// Most levels of nested calls. A file with more counts as damaged, or as recursive, which ONNX forbids.
const MAX_DEPTH: usize = 32;
/// Most nodes after inlining. A file with more counts as damaged.
const MAX_NODES: usize = 1 << 20;

/// Metadata key of a node of a function: the operator-set version of the function, if it differs from the
/// model's.
const OPSET_KEY: &str = "oneiro.opset";

/// Replaces calls of the model's functions, and of ONNX's composed operators ([`compositions`]), by the
/// functions' nodes.
pub fn inline(model: &mut ModelProto) -> Result<()> {
    let functions = std::mem::take(&mut model.functions);
    let table: Table<'_> = functions.iter().map(|f| ((f.domain(), f.name(), f.overload()), f)).collect();
    let Some(graph) = &mut model.graph else { return Ok(()) };
    let opset = default_version(&model.opset_import);
    let mut inliner = Inliner { table, opset, calls: 0, nodes: 0, out: Vec::new() };
    inliner.graph(graph, 0)
}

/// Returns the version of the default operator set for a node, if it differs from the model's.
pub fn own_opset(node: &NodeProto) -> Option<i64> {
    let own = node.metadata_props.iter().find(|p| p.key() == OPSET_KEY)?;
    own.value().parse().ok()
}

fn default_version(imports: &[OperatorSetIdProto]) -> Option<i64> {
    imports.iter().find(|o| is_default(o.domain())).and_then(|o| o.version)
}

fn is_default(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

type Table<'a> = HashMap<(&'a str, &'a str, &'a str), &'a FunctionProto>;

struct Inliner<'a> {
    table: Table<'a>,
    /// The model's version of the default operator set.
    opset: Option<i64>,
    /// Number of calls replaced so far. It makes the names inside a call unique.
    calls: usize,
    nodes: usize,
    out: Vec<NodeProto>,
}

impl Inliner<'_> {
    /// Inlines calls in the model's graph, or in a branch of a node.
    fn graph(&mut self, graph: &mut GraphProto, depth: usize) -> Result<()> {
        let outside = std::mem::take(&mut self.out);
        for node in std::mem::take(&mut graph.node) {
            self.node(node, depth)?;
        }
        graph.node = std::mem::replace(&mut self.out, outside);
        Ok(())
    }

    fn node(&mut self, mut node: NodeProto, depth: usize) -> Result<()> {
        let key = (node.domain(), node.op_type(), node.overload());
        let composed;
        let function = match self.table.get(&key) {
            Some(function) => Some(*function),
            None => {
                composed = compositions::of(&node);
                composed.as_ref()
            }
        };
        let Some(function) = function else {
            for attribute in &mut node.attribute {
                for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                    self.graph(graph, depth)?;
                }
            }
            return self.push(node);
        };
        if depth >= MAX_DEPTH {
            return Err(Error::Graph(format!("function \"{}\" calls itself", function.name())));
        }
        self.calls += 1;
        if self.calls > MAX_NODES {
            return Err(Error::Graph("its functions call each other too often".into()));
        }
        let mut names: HashMap<&str, &str> = HashMap::new();
        for (i, formal) in function.input.iter().enumerate() {
            names.insert(formal, node.input.get(i).map_or("", String::as_str));
        }
        // If a result already has a name, an `Identity` node copies it. This happens for an input that is
        // returned, or a value returned twice.
        let mut copies = Vec::new();
        for (formal, actual) in function.output.iter().zip(&node.output).filter(|(_, a)| !a.is_empty()) {
            match names.get(formal.as_str()) {
                Some(source) => copies.push(((*source).to_owned(), actual.clone())),
                None => _ = names.insert(formal, actual),
            }
        }
        let opset = default_version(&function.opset_import).filter(|v| Some(*v) != self.opset);
        let call = Call { node: &node, function, number: self.calls, names, opset };
        for inner in &function.node {
            let mut inner = inner.clone();
            call.enter(&mut inner);
            self.node(inner, depth + 1)?;
        }
        for (source, result) in copies {
            self.push(NodeProto {
                op_type: Some("Identity".into()),
                name: node.name.clone(),
                input: vec![source],
                output: vec![result],
                metadata_props: node.metadata_props.clone(),
                ..Default::default()
            })?;
        }
        Ok(())
    }

    fn push(&mut self, node: NodeProto) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Error::Graph("its functions expand to too many nodes".into()));
        }
        self.out.push(node);
        Ok(())
    }
}

/// One call, with the names that replace those inside the function.
struct Call<'a> {
    node: &'a NodeProto,
    function: &'a FunctionProto,
    number: usize,
    /// The function's inputs and outputs, with their names at the call.
    names: HashMap<&'a str, &'a str>,
    /// The function's version of the default operator set, if it differs from the model's.
    opset: Option<i64>,
}

impl Call<'_> {
    fn rename(&self, name: &str) -> String {
        match self.names.get(name) {
            _ if name.is_empty() => String::new(),
            Some(actual) => (*actual).to_owned(),
            None => format!("{}/{}/{name}", self.node.name(), self.number),
        }
    }

    /// Turns a node of the function into a node of the calling graph: renames values and binds attributes.
    fn enter(&self, inner: &mut NodeProto) {
        for name in inner.input.iter_mut().chain(&mut inner.output) {
            *name = self.rename(name);
        }
        inner.name = Some(match (self.node.name(), inner.name()) {
            ("", name) => name.to_owned(),
            (call, "") => call.to_owned(),
            (call, name) => format!("{call}/{name}"),
        });
        if inner.metadata_props.is_empty() {
            inner.metadata_props = self.node.metadata_props.clone();
        }
        inner.metadata_props.retain(|p| p.key() != OPSET_KEY);
        if let Some(opset) = self.opset.filter(|_| is_default(inner.domain())) {
            inner
                .metadata_props
                .push(StringStringEntryProto { key: Some(OPSET_KEY.into()), value: Some(opset.to_string()) });
        }
        let attributes = std::mem::take(&mut inner.attribute);
        inner.attribute = attributes.into_iter().filter_map(|a| self.bind(a)).collect();
        for attribute in &mut inner.attribute {
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.enter_graph(graph);
            }
        }
    }

    /// Does for a branch of a node what `enter` does for a node.
    fn enter_graph(&self, graph: &mut GraphProto) {
        for tensor in &mut graph.initializer {
            tensor.name = Some(self.rename(tensor.name()));
        }
        for value in graph.input.iter_mut().chain(&mut graph.output) {
            value.name = Some(self.rename(value.name()));
        }
        graph.node.iter_mut().for_each(|node| self.enter(node));
    }

    /// Resolves an attribute inside a function: itself, the call's attribute that it refers to, or the
    /// default.
    fn bind(&self, attribute: AttributeProto) -> Option<AttributeProto> {
        if attribute.ref_attr_name().is_empty() {
            return Some(attribute);
        }
        let given = self.node.attribute.iter().chain(&self.function.attribute_proto);
        let given = given.into_iter().find(|a| a.name() == attribute.ref_attr_name())?;
        Some(AttributeProto { name: attribute.name, ..given.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::onnx::proto::ValueInfoProto;

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

    /// A function `own.leak(x; slope = 0.3)` that calls `LeakyRelu` and an addition.
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
    fn an_input_handed_through_becomes_a_copy() {
        let mut model = model(vec![node("own", "leak", "a", &["in"], &["out", "same", "again"])]);
        model.functions[0].output = vec!["y".into(), "x".into(), "y".into()];
        inline(&mut model).unwrap();
        let nodes = model.graph.unwrap().node;
        let last: Vec<_> =
            nodes[2..].iter().map(|n| (n.op_type(), n.input[0].as_str(), n.output[0].as_str())).collect();
        assert_eq!(last, [("Identity", "in", "same"), ("Identity", "out", "again")]);
    }

    #[test]
    fn a_function_keeps_the_operator_set_that_it_counts_on() {
        let import = |version| OperatorSetIdProto { domain: Some(String::new()), version: Some(version) };
        let mut model = model(vec![node("own", "leak", "a", &["in"], &["m"])]);
        model.opset_import = vec![import(17)];
        for (version, expected) in [(11, Some(11)), (17, None)] {
            let mut model = model.clone();
            model.functions[0].opset_import = vec![import(version)];
            inline(&mut model).unwrap();
            assert_eq!(own_opset(&model.graph.unwrap().node[0]), expected);
        }
    }

    #[test]
    fn names_inside_the_branches_of_a_function_are_its_own() {
        let branch = GraphProto {
            node: vec![node("own", "leak", "", &["x"], &["t"])],
            output: vec![ValueInfoProto { name: Some("t".into()), ..Default::default() }],
            ..Default::default()
        };
        let mut choice = node("", "If", "if", &["c"], &["y"]);
        choice.attribute =
            vec![AttributeProto { name: Some("then_branch".into()), g: Some(branch), ..Default::default() }];
        let mut model = model(vec![node("own", "outer", "a", &["c", "in"], &["out"])]);
        model.functions.push(FunctionProto {
            domain: Some("own".into()),
            name: Some("outer".into()),
            input: vec!["c".into(), "x".into()],
            output: vec!["y".into()],
            node: vec![choice],
            ..Default::default()
        });
        inline(&mut model).unwrap();
        let nodes = model.graph.unwrap().node;
        let inside = nodes[0].attribute[0].g.as_ref().unwrap();
        assert_eq!(nodes[0].output, ["out"]);
        assert_eq!((inside.node[0].op_type(), inside.node[0].input[0].as_str()), ("LeakyRelu", "in"));
        assert_eq!((inside.node[1].output[0].as_str(), inside.output[0].name()), ("a/1/t", "a/1/t"));
    }

    #[test]
    fn functions_that_call_each_other_without_end_in_sight_are_an_error() {
        let mut model = model(vec![node("own", "f0", "a", &["in"], &["m"])]);
        model.functions = (0..12)
            .map(|i| {
                let next = format!("f{}", i + 1);
                let call = |k: usize| node("own", &next, "", &["x"], &[&format!("y{k}")]);
                FunctionProto {
                    domain: Some("own".into()),
                    name: Some(format!("f{i}")),
                    input: vec!["x".into()],
                    output: vec!["y0".into()],
                    node: if i < 11 { (0..10).map(call).collect() } else { vec![] },
                    ..Default::default()
                }
            })
            .collect();
        assert!(inline(&mut model).is_err());
    }

    #[test]
    fn a_function_that_calls_itself_is_an_error() {
        let mut model = model(vec![node("own", "leak", "a", &["in"], &["m"])]);
        model.functions[0].node.push(node("own", "leak", "", &["y"], &["z"]));
        assert!(inline(&mut model).is_err());
    }
}
