//! Operators of ONNX Runtime's domain `com.microsoft.nchwc`, whose values are stored in blocks of channels.
//!
//! Here such a value becomes an ordinary (N, C, H, W) with C rounded up to whole blocks. The added channels
//! have filters of zeros, and are read with weights of zero. Filters are stored as [O/B][I/B][H][W][B of I][B
//! of O]. Filters that read a plain image, or one channel each, are stored as [O/B][I][H][W][B of O]
//! (`nchwc_transformer.cc`, `mlas/lib/reorder.cpp`).
//!
//! The block size B is 8 or 16. It depends on the processor that wrote the file, and the file does not say
//! it. [`annotate`] derives it from channel counts that only one of the two allows. Otherwise it compares the
//! mean squares of the filters. Read with the wrong block size, each filter is a mixture of two, and mixtures
//! differ less ([`spread`]).

use std::collections::{HashMap, HashSet};

use super::runtime::{convolution, function, integer, text};
use super::{Body, attribute, int, names};
use crate::format::onnx::proto::attribute_proto::AttributeType;
use crate::format::onnx::proto::tensor_proto::DataType;
use crate::format::onnx::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto};

const DOMAIN: &str = "com.microsoft.nchwc";
/// Attributes that [`annotate`] adds to nodes: channels in a block, extents of the filters, and whether the
/// input is in blocks.
const BLOCK: &str = "oneiro.block";
const FILTER: &str = "oneiro.filter";
const BLOCKS_IN: &str = "oneiro.blocks_in";
/// Number of channels in a block on CPUs with AVX2.
const SMALL: i64 = 8;
/// Number of channels in a block on CPUs with AVX-512, and on Arm.
const LARGE: i64 = 16;
/// Factor by which the filters' spread under one block size must exceed that under the other. The mixture of
/// two independent filters has half the variance.
const CLEARLY: f64 = 1.25;
/// Factor by which the filters' spread must exceed that of random weights, so that a block size counts as
/// found.
const ABOVE_NOISE: f64 = 3.0;
/// The version of the default operator set for the functions in this file.
const OPSET: i64 = 21;

/// Finds the file's block size. Adds it and the extents of filters to the nodes as attributes. Returns a note
/// for the user if the block size is uncertain.
pub fn annotate(graph: &mut GraphProto) -> Option<String> {
    if !graph.node.iter().any(|n| n.domain() == DOMAIN) {
        return None;
    }
    let dims: HashMap<String, Vec<i64>> =
        graph.initializer.iter().map(|t| (t.name().to_owned(), t.dims.clone())).collect();
    let extents = |node: &NodeProto| node.input.get(1).and_then(|w| dims.get(w)).cloned();
    // Values in blocks of channels, with their number of channels if it is known.
    let mut blocked: HashMap<&str, Option<i64>> = HashMap::new();
    let (mut small, mut large) = (false, false);
    let mut reads_blocks = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let source = node.input.iter().find_map(|x| blocked.get(x.as_str())).copied();
        reads_blocks.push(source.is_some());
        let own = node.domain() == DOMAIN;
        let mut result = source;
        match node.op_type() {
            "Conv" if own => {
                if let Some(&[filters, channels, ..]) = extents(node).as_deref() {
                    let depthwise = channels == 1 && int(node, "group") == filters;
                    small |= filters % LARGE != 0;
                    small |= source.is_some() && !depthwise && channels % LARGE != 0;
                    large |= source.is_none() && channels >= SMALL;
                    result = Some(Some(filters));
                } else {
                    result = Some(None);
                }
            }
            "ReorderOutput" if own => {
                let channels = int(node, "channels");
                if let Some(Some(padded)) = source {
                    large |= channels > 0 && padded - channels >= SMALL;
                }
                result = None;
            }
            "ReorderInput" if own => result = Some(None),
            "Concat" => result = source.map(|_| None),
            _ if own => result = Some(source.flatten()),
            _ => {}
        }
        if let Some(channels) = result {
            blocked.extend(node.output.iter().map(|o| (o.as_str(), channels)));
        }
    }
    // If channel counts contradict both block sizes, the nodes stay unchanged and are refused later.
    if small && large {
        return None;
    }
    let (block, certain) = match (small, large) {
        (true, _) => (SMALL, true),
        (_, true) => (LARGE, true),
        _ => by_sizes(graph),
    };
    for (node, reads_blocks) in graph.node.iter_mut().zip(reads_blocks).filter(|(n, _)| n.domain() == DOMAIN)
    {
        let filter = extents(node);
        node.attribute.push(integer(BLOCK, block));
        node.attribute.push(integer(BLOCKS_IN, i64::from(reads_blocks)));
        if let Some(ints) = filter {
            node.attribute.push(AttributeProto {
                name: Some(FILTER.into()),
                r#type: Some(AttributeType::Ints as i32),
                ints,
                ..Default::default()
            });
        }
    }
    (!certain).then(|| {
        format!(
            "ONNX Runtime saved the model for one kind of processor, and nothing in the file says for which: its filters are \
             read in blocks of {block} channels (AVX2). If it was made on one with AVX-512, or on ARM, all values are wrong: \
             save it again with the optimization level \"extended\" or below"
        )
    })
}

/// Returns the block size under which the filters differ more, and whether the difference is significant.
fn by_sizes(graph: &GraphProto) -> (i64, bool) {
    let convolutions: HashSet<&str> = graph
        .node
        .iter()
        .filter(|n| n.domain() == DOMAIN && n.op_type() == "Conv")
        .filter_map(|n| n.input.get(1).map(String::as_str))
        .collect();
    let filters: Vec<&TensorProto> =
        graph.initializer.iter().filter(|t| convolutions.contains(t.name())).collect();
    let total = |block: i64| -> (f64, f64) {
        let parts = filters.iter().filter_map(|t| spread(t, block));
        parts.fold((0.0, 0.0), |(sum, noise), (s, n)| (sum + s, noise + n))
    };
    let ((small, noise), (large, _)) = (total(SMALL), total(LARGE));
    let clear = |a: f64, b: f64| a > ABOVE_NOISE * noise && a > CLEARLY * b;
    if clear(large, small) { (LARGE, true) } else { (SMALL, clear(small, large)) }
}

/// Measures how much the filters differ if they are read in blocks of `block` channels. Returns the variance
/// of their mean squares over the squared mean, and the value expected for random weights (2/n with n
/// elements a filter). Returns `None` if the data are not 32-bit floats in the file.
fn spread(tensor: &TensorProto, block: i64) -> Option<(f64, f64)> {
    let extents = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>()?;
    let (&[o, i, h, w], block) = (extents.as_slice(), usize::try_from(block).ok()?) else { return None };
    let each = i.checked_mul(h)?.checked_mul(w).filter(|&n| n > 0)?;
    let raw = tensor.raw_data.as_ref()?;
    if tensor.data_type() != DataType::Float as i32
        || o == 0
        || o % block != 0
        || o.checked_mul(each)?.checked_mul(size_of::<f32>())? != raw.len()
    {
        return None;
    }
    let mut squares = vec![0f64; o];
    for (at, bytes) in raw.as_chunks().0.iter().enumerate() {
        let x = f64::from(f32::from_le_bytes(*bytes));
        squares[at / (each * block) * block + at % block] += x * x;
    }
    let mean = squares.iter().sum::<f64>() / o as f64;
    let variance = squares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / o as f64;
    (mean > 0.0 && mean.is_finite()).then(|| (variance / (mean * mean), 2.0 / each as f64))
}

/// Returns the function that a node of this domain calls, if it has a supported form.
pub(super) fn of(node: &NodeProto) -> Option<FunctionProto> {
    let block = attribute(node, BLOCK).map(AttributeProto::i)?;
    let mut b = Body(Vec::new());
    match node.op_type() {
        "Conv" => {
            let (own, weights) = (without_notes(node), filters(&mut b, node, block)?);
            convolution(&mut b, &own, weights)?;
        }
        "MaxPool" | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool" => {
            b.last(node.op_type(), &["X"], &without_notes(node).attribute);
        }
        "Upsample" => upsample(&mut b, node)?,
        "ReorderInput" => {
            let x = if int(node, "channels_last") != 0 {
                b.with_ints("Transpose", &["X"], "turned", "perm", &[0, 3, 1, 2])
            } else {
                "X"
            };
            // −C mod B channels of zeros are appended.
            b.extents(x, "channels", 1, 2);
            b.integers("block", &[block]);
            b.add("Neg", &["channels"], "missing");
            b.add("Mod", &["missing", "block"], "added");
            b.integers("before", &[0, 0, 0, 0, 0]);
            b.integers("after", &[0, 0]);
            b.with_int("Concat", &["before", "added", "after"], "pads", &[("axis", 0)]);
            b.last("Pad", &[x, "pads"], &[]);
        }
        "ReorderOutput" => {
            let last = int(node, "channels_last") != 0;
            b.integers("start", &[0]);
            b.integers("end", &[attribute(node, "channels").map(AttributeProto::i).filter(|&c| c > 0)?]);
            b.integers("axis", &[1]);
            let inputs = ["X", "start", "end", "axis"];
            if last {
                b.add("Slice", &inputs, "cut");
                b.with_ints("Transpose", &["cut"], "Y", "perm", &[0, 2, 3, 1]);
                b.0.last_mut()?.name = None;
            } else {
                b.last("Slice", &inputs, &[]);
            }
        }
        _ => return None,
    }
    Some(function(names(&["X", "W", "B", "Z"]), names(&["Y"]), b.0, OPSET))
}

fn without_notes(node: &NodeProto) -> NodeProto {
    let mut node = node.clone();
    node.attribute.retain(|a| !matches!(a.name(), BLOCK | FILTER | BLOCKS_IN));
    node
}

/// Adds nodes that bring the filters into ONNX's order.
fn filters(b: &mut Body, node: &NodeProto, block: i64) -> Option<&'static str> {
    let &[o, i, h, w] = attribute(node, FILTER)?.ints.as_slice() else { return None };
    if o <= 0 || i <= 0 || o % block != 0 {
        return None;
    }
    let (blocks, order): (Vec<i64>, &[i64]) = if i % block == 0 && int(node, BLOCKS_IN) != 0 {
        (vec![o / block, i / block, h, w, block, block], &[0, 5, 1, 4, 2, 3])
    } else if i < block {
        (vec![o / block, i, h, w, block], &[0, 4, 1, 2, 3])
    } else {
        return None;
    };
    b.integers("blocks", &blocks);
    b.add("Reshape", &["W", "blocks"], "in_blocks");
    b.with_ints("Transpose", &["in_blocks"], "ordered", "perm", order);
    b.integers("filter_shape", &[o, i, h, w]);
    Some(b.add("Reshape", &["ordered", "filter_shape"], "filters"))
}

/// Adds nodes for an enlargement by whole numbers.
fn upsample(b: &mut Body, node: &NodeProto) -> Option<()> {
    let scales = &attribute(node, "scales")?.ints;
    let string = |name: &str| attribute(node, name).map(|a| String::from_utf8_lossy(a.s()).into_owned());
    let mode = string("mode").unwrap_or_else(|| "nearest".into());
    let coordinates = string("coordinate_transformation_mode").unwrap_or_else(|| "asymmetric".into());
    b.numbers("scales", scales.iter().map(|&s| s as f32).collect());
    let attributes = if mode == "nearest" {
        // Each pixel is repeated, so the coordinate convention does not matter.
        vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ]
    } else {
        vec![text("mode", &mode), text("coordinate_transformation_mode", &coordinates)]
    };
    b.last("Resize", &["X", "", "scales"], &attributes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a convolution of `input` with filters of these extents, stored in blocks. With `alike`, all
    /// filters have similar mean squares.
    fn convolution(graph: &mut GraphProto, input: &str, name: &str, dims: [i64; 4], block: i64, alike: bool) {
        let mut state = 7u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let each = dims[1] * dims[2] * dims[3];
        let size = |o: i64| if alike { 1.0 } else { 1.0 + (o * 5 % 7) as f32 };
        let raw = (0..dims[0] * each)
            .flat_map(|at| (noise() * size(at / (each * block) * block + at % block)).to_le_bytes())
            .collect::<Vec<u8>>();
        graph.initializer.push(TensorProto {
            name: Some(format!("{name}.w")),
            dims: dims.to_vec(),
            data_type: Some(DataType::Float as i32),
            raw_data: Some(raw.into()),
            ..Default::default()
        });
        graph.node.push(NodeProto {
            domain: Some(DOMAIN.into()),
            op_type: Some("Conv".into()),
            input: vec![input.into(), format!("{name}.w")],
            output: vec![name.into()],
            attribute: vec![integer("group", 1)],
            ..Default::default()
        });
    }

    /// Returns the block size that is found, and whether there is a note.
    fn found(mut graph: GraphProto) -> (i64, bool) {
        let note = annotate(&mut graph);
        (attribute(&graph.node[0], BLOCK).map_or(0, AttributeProto::i), note.is_some())
    }

    #[test]
    fn channel_counts_tell_the_block() {
        let mut graph = GraphProto::default();
        convolution(&mut graph, "x", "a", [24, 3, 3, 3], 8, true);
        assert_eq!(found(graph), (8, false));
        let mut graph = GraphProto::default();
        convolution(&mut graph, "x", "a", [32, 12, 3, 3], 16, true);
        assert_eq!(found(graph), (16, false));
    }

    #[test]
    fn sizes_of_filters_tell_the_block_where_counts_do_not() {
        for block in [8, 16] {
            let mut graph = GraphProto::default();
            convolution(&mut graph, "x", "a", [64, 3, 3, 3], block, false);
            convolution(&mut graph, "a", "b", [64, 64, 3, 3], block, false);
            assert_eq!(found(graph), (block, false));
        }
    }

    #[test]
    fn where_nothing_tells_the_block_a_word_is_said() {
        let mut graph = GraphProto::default();
        convolution(&mut graph, "x", "a", [32, 3, 3, 3], 8, true);
        assert_eq!(found(graph), (8, true));
    }

    #[test]
    fn counts_that_no_block_explains_leave_the_nodes_alone() {
        let mut graph = GraphProto::default();
        convolution(&mut graph, "x", "a", [24, 12, 3, 3], 8, true);
        assert_eq!(found(graph), (0, false));
    }
}
