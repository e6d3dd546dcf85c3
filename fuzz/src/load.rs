//! Fuzz target: any bytes give a graph or an error, never a panic.

use bytes::Bytes;
use oneiro_net::format::onnx;
use oneiro_net::graph::ValueId;
use oneiro_net::names::Names;

/// Largest number of names that are looked up, since each search walks over the graph.
const MAX_NAMES: usize = 16;

/// Reads a model, with a few bytes in place of every external weight file, and looks up names.
pub fn load(bytes: &[u8]) {
    let mut beside = |name: &str| {
        if name.len().is_multiple_of(2) {
            Ok(Bytes::from_static(&[0x3f; 64]))
        } else {
            Err(std::io::Error::other("absent"))
        }
    };
    let graph = match onnx::read_with(Bytes::copy_from_slice(bytes), &mut beside) {
        Ok(graph) => graph,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "an error says something");
            return;
        }
    };
    let names = Names::new(&graph, &[]);
    for i in 0..graph.values.len().min(MAX_NAMES) {
        let value = ValueId(i as u32);
        for name in names.of(value) {
            _ = names.resolve(&name);
        }
    }
}
