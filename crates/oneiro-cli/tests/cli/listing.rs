//! `layers`: its table, and the graph for Graphviz.

use std::process::Command;

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
    // An operator is found, too.
    let pools = place.json(&["layers", "net.onnx", "--grep", "globalaverage", "--json"]);
    assert_eq!(pools.as_array().map(Vec::len), Some(1), "{pools:#}");
    refuse_all(&place, &[("nothing found", "layers net.onnx --grep attention", &["attention", "--grep"])]);
}

#[test]
fn the_graph_has_every_layer_and_edge_and_graphviz_reads_it() {
    let place = place();
    place.succeed(&["layers", "net.onnx", "--dot", "net.dot"]);
    let text = String::from_utf8(place.read("net.dot")).unwrap();
    let layers = place.json(&["layers", "net.onnx", "--json"]).as_array().unwrap().len();
    assert_eq!(text.matches(" [label=").count(), layers + 1, "{text}");
    // A chain: as many edges as layers.
    assert_eq!(text.matches(" -> ").count(), layers, "{text}");
    assert!(text.contains("left.conv\\nConv\\n1x6x224x224"), "{text}");

    place.succeed(&["layers", "squeezenet1_1", "--dot", "squeezenet.dot"]);
    let text = String::from_utf8(place.read("squeezenet.dot")).unwrap();
    assert!(text.starts_with("digraph ") && text.ends_with("}\n"), "{text}");
    assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
    // Where Graphviz is there, it is the judge.
    for file in ["net.dot", "squeezenet.dot"] {
        if let Ok(output) =
            Command::new("dot").args(["-Tsvg", "-o"]).arg(place.path("g.svg")).arg(place.path(file)).output()
        {
            assert!(output.status.success() && output.stderr.is_empty(), "{file}: {output:?}");
        }
    }
}
