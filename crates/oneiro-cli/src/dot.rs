//! Draws a network as a graph in Graphviz's language: one box for each layer, inside a frame for each module
//! that contains it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use oneiro_net::analysis::Layer;
use oneiro_net::graph::Node;
use oneiro_net::{Graph, ValueId};

/// Colours of boxes, each with the operators that get it.
const COLORS: &[(&str, &[&str])] = &[
    ("#dbe9f6", &["Conv", "ConvTranspose"]),
    ("#e3dcef", &["Gemm", "MatMul", "Einsum"]),
    (
        "#fbe3d0",
        &[
            "MaxPool",
            "AveragePool",
            "GlobalAveragePool",
            "GlobalMaxPool",
            "LpPool",
            "GlobalLpPool",
            "ReduceMean",
        ],
    ),
    ("#dff0df", &["Add", "Sum", "Concat", "Mul"]),
];
/// Colour of the boxes of all other operators.
const PLAIN: &str = "#f4f4f4";
/// Colour of the boxes of the network's inputs.
const INPUT: &str = "#fff6c8";

/// The tree of modules and layers, in the graph's order. The key of an inner module is its first layer's
/// index.
#[derive(Default)]
struct Module {
    layers: Vec<usize>,
    inner: BTreeMap<usize, (String, Module)>,
}

impl Module {
    fn insert(&mut self, path: &[&str], layer: usize) {
        match path {
            [] => self.layers.push(layer),
            [first, rest @ ..] => {
                let known = self.inner.iter().find(|(_, (name, _))| name == first).map(|(at, _)| *at);
                let (_, module) = self
                    .inner
                    .entry(known.unwrap_or(layer))
                    .or_insert_with(|| ((*first).to_owned(), Self::default()));
                module.insert(rest, layer);
            }
        }
    }

    fn len(&self) -> usize {
        self.layers.len() + self.inner.values().map(|(_, m)| m.len()).sum::<usize>()
    }
}

/// Returns the Graphviz text of a network's layers. `inputs` are names and shapes of the network's inputs.
pub fn graph(title: &str, graph: &Graph, layers: &[Layer], inputs: &[(String, String)]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let mut line = |depth: usize, text: String| {
        let _ = writeln!(out, "{:1$}{text}", "", 2 * depth);
    };
    line(0, format!("digraph {} {{", quoted(title)));
    line(1, "rankdir=TB; nodesep=0.25; ranksep=0.35; compound=true;".into());
    line(
        1,
        "graph [fontname=\"Helvetica\", fontsize=11, color=\"#bbbbbb\", style=\"rounded\", labeljust=l];"
            .into(),
    );
    line(
        1,
        "node [shape=box, style=\"filled,rounded\", color=\"#888888\", fontname=\"Helvetica\", fontsize=10];"
            .into(),
    );
    line(1, "edge [color=\"#666666\", arrowsize=0.6];".into());
    for (i, (name, shape)) in inputs.iter().enumerate() {
        let label = quoted(&format!("{name}\ninput\n{shape}"));
        line(1, format!("input{i} [label={label}, shape=ellipse, style=filled, fillcolor=\"{INPUT}\"];"));
    }
    let of_value: BTreeMap<ValueId, usize> = layers.iter().enumerate().map(|(i, l)| (l.value, i)).collect();
    let mut producers = vec![None; graph.values.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.outputs.iter().flatten().for_each(|v| producers[v.index()] = Some(i));
    }
    let node_of = |layer: &Layer| producers[layer.value.index()].map(|i| &graph.nodes[i]);
    let mut root = Module::default();
    for (i, layer) in layers.iter().enumerate() {
        let module = node_of(layer).and_then(|n| n.module.as_deref()).unwrap_or_default();
        let path: Vec<&str> = module.split('.').filter(|part| !part.is_empty()).collect();
        root.insert(&path, i);
    }
    modules(&root, layers, "", 1, &mut line);
    for (i, layer) in layers.iter().enumerate() {
        let mut sources: Vec<String> = Vec::new();
        // Follow the layer's operands back, through nodes that are no layers, to layers or inputs.
        let operands =
            |node: &Node| -> Vec<ValueId> { node.inputs.iter().flatten().rev().copied().collect() };
        let mut seen = BTreeSet::new();
        let mut open = node_of(layer).map(operands).unwrap_or_default();
        while let Some(value) = open.pop() {
            if !seen.insert(value) {
                continue;
            }
            match (of_value.get(&value), graph.inputs.iter().position(|i| i.value == value)) {
                (Some(j), _) => sources.push(format!("layer{j}")),
                (None, Some(j)) => sources.push(format!("input{j}")),
                _ => open.extend(producers[value.index()].iter().flat_map(|&i| operands(&graph.nodes[i]))),
            }
        }
        for source in sources {
            line(1, format!("{source} -> layer{i};"));
        }
    }
    line(0, "}".into());
    out
}

/// Writes the boxes of a module's layers, with a frame around each inner module of more than one layer.
fn modules(
    module: &Module,
    layers: &[Layer],
    path: &str,
    depth: usize,
    line: &mut impl FnMut(usize, String),
) {
    // Layers and inner modules are mixed in the graph's order.
    let mut parts: Vec<(usize, Option<&(String, Module)>)> =
        module.layers.iter().map(|&i| (i, None)).collect();
    parts.extend(module.inner.iter().map(|(&i, inner)| (i, Some(inner))));
    parts.sort_by_key(|(i, _)| *i);
    for (i, part) in parts {
        let Some((name, inner)) = part else {
            line(depth, node(i, &layers[i]));
            continue;
        };
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        // A frame is only drawn if it separates several layers from others: around one layer or all it would
        // say nothing.
        let framed = inner.len() > 1 && inner.len() < layers.len();
        if framed {
            line(depth, format!("subgraph cluster{i}_{depth} {{"));
            line(depth + 1, format!("label={};", quoted(&path)));
        }
        modules(inner, layers, &path, depth + usize::from(framed), line);
        if framed {
            line(depth, "}".into());
        }
    }
}

fn node(index: usize, layer: &Layer) -> String {
    let shape = layer.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let known = COLORS.iter().find(|(_, ops)| ops.contains(&layer.op.as_str()));
    let color = known.map_or(PLAIN, |(color, _)| color);
    let label = quoted(&format!("{}\n{}\n{shape}", layer.name, layer.op));
    format!("layer{index} [label={label}, fillcolor=\"{color}\"];")
}

/// Returns a text in quotes, escaped for Graphviz: with any characters and line breaks.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(quoted("a \"b\"\\c\nd\u{7}"), "\"a \\\"b\\\"\\\\c\\nd \"");
    }

    #[test]
    fn modules_keep_the_order_of_their_layers() {
        let mut root = Module::default();
        for (i, path) in ["a.x", "b", "a.y.z", "a.x"].iter().enumerate() {
            root.insert(&path.split('.').collect::<Vec<_>>(), i);
        }
        assert_eq!(root.len(), 4);
        let (name, a) = &root.inner[&0];
        assert_eq!((name.as_str(), a.len()), ("a", 3));
        assert_eq!(a.inner[&0].1.layers, [0, 3]);
    }
}
