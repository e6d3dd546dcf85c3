//! A network as a graph in the language of Graphviz: one box for each layer, inside a box for each module
//! that contains it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use oneiro_net::analysis::Layer;
use oneiro_net::graph::Node;
use oneiro_net::{Graph, ValueId};

/// Groups of operators with the same colour: the colour, and the operators.
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
/// Everything else.
const PLAIN: &str = "#f4f4f4";
/// Inputs.
const INPUT: &str = "#fff6c8";

/// Modules and layers in the order of the graph; a module is numbered by its first layer.
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

/// The graph of a network's layers. `inputs` are names and shapes of what is fed.
pub fn graph(title: &str, graph: &Graph, layers: &[Layer], inputs: &[(String, String)]) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
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
        // Back from the layer's operands, through nodes that are no layers, to what is drawn.
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

/// The boxes of a module's layers, with a frame around each module inside that holds more than one.
fn modules(
    module: &Module,
    layers: &[Layer],
    path: &str,
    depth: usize,
    line: &mut impl FnMut(usize, String),
) {
    // In the order of the graph, layers and modules mixed.
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
        // A frame says something where it holds some of what is beside it, not one box or everything.
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

/// A text in quotes as Graphviz reads it: any character, with line breaks.
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
