//! Operators of ONNX Runtime's domain `com.microsoft.nchwc`, whose values lie in blocks of channels.
//!
//! Here such a value is an ordinary (N, C, H, W) with C rounded up to whole blocks; the added channels are fed by filters
//! of zeros and read by zeros. Filters lie as [O/B][I/B][H][W][B of I][B of O] or, where they read a plain image or one
//! channel each, as [O/B][I][H][W][B of O] (`nchwc_transformer.cc`, `mlas/lib/reorder.cpp`).
//!
//! B is 8 or 16, as the processor was that wrote the file, and nothing in the file says which. [`annotate`] finds it by the
//! channel counts that only one of them allows.

use std::collections::HashMap;

use super::runtime::{convolution, function, integer, text};
use super::{Body, attribute, int, names};
use crate::format::onnx::proto::attribute_proto::AttributeType;
use crate::format::onnx::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto};

const DOMAIN: &str = "com.microsoft.nchwc";
/// Attributes that [`annotate`] gives the nodes: channels in a block, extents of the filters, whether filters read blocks.
const BLOCK: &str = "oneiro.block";
const FILTER: &str = "oneiro.filter";
const BLOCKS_IN: &str = "oneiro.blocks_in";
const SMALL: i64 = 8;
const LARGE: i64 = 16;
/// The version of the default operator set that the bodies are written in.
const OPSET: i64 = 21;

/// Finds the block of the file and writes it, with the extents of filters, onto its nodes. Returns what a person should know.
pub fn annotate(graph: &mut GraphProto) -> Option<String> {
    if !graph.node.iter().any(|n| n.domain() == DOMAIN) {
        return None;
    }
    let dims: HashMap<String, Vec<i64>> =
        graph.initializer.iter().map(|t| (t.name().to_owned(), t.dims.clone())).collect();
    let extents = |node: &NodeProto| node.input.get(1).and_then(|w| dims.get(w)).cloned();
    // Values in blocks, with their channels where those are known.
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
    // Channel counts that no block explains leave the nodes as they are, which refuses them.
    if small && large {
        return None;
    }
    let block = if small { SMALL } else { LARGE };
    for (node, reads_blocks) in graph.node.iter_mut().zip(reads_blocks).filter(|(n, _)| n.domain() == DOMAIN) {
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
    (!small && !large).then(|| {
        format!(
            "ONNX Runtime saved the model for one kind of processor, and the file does not say for which: its filters are \
             read in blocks of {LARGE} channels (AVX-512, ARM). If it was made on one with AVX2 only, all values are \
             wrong: save it with the optimization level \"extended\" or below"
        )
    })
}

/// The function behind a node of this domain, if it is one of these and in a form that is known.
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
            // −C mod B channels of zeros.
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

/// The filters in ONNX's order.
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

/// By whole numbers.
fn upsample(b: &mut Body, node: &NodeProto) -> Option<()> {
    let scales = &attribute(node, "scales")?.ints;
    let string = |name: &str| attribute(node, name).map(|a| String::from_utf8_lossy(a.s()).into_owned());
    let mode = string("mode").unwrap_or_else(|| "nearest".into());
    let coordinates = string("coordinate_transformation_mode").unwrap_or_else(|| "asymmetric".into());
    b.numbers("scales", scales.iter().map(|&s| s as f32).collect());
    let attributes = if mode == "nearest" {
        // A pixel is repeated, however its neighbours are counted.
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
