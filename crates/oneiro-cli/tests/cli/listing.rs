//! `oneiro layers`: its table, and its graph for Graphviz.

use std::collections::BTreeSet;

use crate::bad_input::refuse_all;
use crate::onnx::Network;
use crate::place::Place;

fn place() -> Place {
    let place = Place::new();
    place.write("net.onnx", Network::default().bytes());
    place
}

#[test]
fn the_table_names_inputs_and_on_request_aliases_of_the_layers_that_are_wanted() {
    let place = place();
    let all = place.succeed(&["layers", "net.onnx"]);
    assert!(all.starts_with("input \"x\": 1x3x224x224\nlayer"), "{all}");
    assert!(!all.contains("/left/conv/Conv_output_0"), "{all}");
    let some = place.succeed(&["layers", "net.onnx", "--grep", "LEFT", "--aliases"]);
    assert!(some.contains("also called") && some.contains("/left/conv/Conv_output_0"), "{some}");
    assert!(!some.contains("right.conv"), "{some}");
    // `--grep` also finds operators.
    let pools = place.json(&["layers", "net.onnx", "--grep", "globalaverage", "--json"]);
    assert_eq!(pools.as_array().map(Vec::len), Some(1), "{pools:#}");
    refuse_all(&place, &[("nothing found", "layers net.onnx --grep attention", &["attention", "--grep"])]);
}

#[test]
fn the_graph_has_every_layer_and_edge_in_the_grammar_of_graphviz() {
    let place = place();
    place.succeed(&["layers", "net.onnx", "--dot", "net.dot"]);
    let text = String::from_utf8(place.read("net.dot")).unwrap();
    let layers = place.json(&["layers", "net.onnx", "--json"]).as_array().unwrap().len();
    assert_eq!(text.matches(" [label=").count(), layers + 1, "{text}");
    // The layers form a chain, so there are as many edges as layers.
    assert_eq!(text.matches(" -> ").count(), layers, "{text}");
    assert!(text.contains("left.conv\\nConv\\n1x6x224x224"), "{text}");
    check_dot(&text);

    place.succeed(&["layers", "squeezenet1_1", "--dot", "squeezenet.dot"]);
    let text = String::from_utf8(place.read("squeezenet.dot")).unwrap();
    assert!(text.contains("subgraph "), "{text}");
    check_dot(&text);
}

/// Checks a text by the part of Graphviz's grammar that is used: one statement a line, quotes closed,
/// brackets paired, edges between declared nodes.
fn check_dot(text: &str) {
    // Each quoted text is replaced by a `T`.
    let mut bare = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '"' {
            bare.push(c);
            continue;
        }
        bare.push('T');
        loop {
            match chars.next().expect("a text is not closed") {
                '\\' => drop(chars.next()),
                '"' => break,
                c => assert!(c != '\n', "a text goes over the end of its line"),
            }
        }
    }
    let name = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "_.#".contains(c));
    let assigns = |s: &str| s.split_once('=').is_some_and(|(key, value)| name(key) && name(value));
    let (mut depth, mut nodes, mut edges) = (0, BTreeSet::new(), Vec::new());
    for (at, line) in bare.lines().map(str::trim).enumerate() {
        assert!((at == 0) == line.starts_with("digraph ") && (at == 0 || depth > 0), "{line}");
        if line == "}" {
            depth -= 1;
        } else if let Some(opens) = line.strip_suffix(" {") {
            assert!(opens.split_once(' ').is_some_and(|(_, title)| name(title)), "{line}");
            depth += 1;
        } else if let Some((of, attributes)) = line.strip_suffix("];").and_then(|l| l.split_once(" [")) {
            assert!(name(of) && attributes.split(", ").all(assigns), "{line}");
            assert!(nodes.insert(of), "declared twice: {line}");
        } else if let Some((from, to)) = line.strip_suffix(';').and_then(|l| l.split_once(" -> ")) {
            edges.push([from, to]);
        } else {
            assert!(line.strip_suffix(';').is_some_and(|l| l.split("; ").all(assigns)), "{line}");
        }
    }
    assert_eq!(depth, 0, "{text}");
    let loose: Vec<_> = edges.iter().flatten().filter(|end| !nodes.contains(*end)).collect();
    assert!(!edges.is_empty() && loose.is_empty(), "{loose:?}");
}
