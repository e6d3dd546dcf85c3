//! Reads which shapes and element types a file declares for tensors between inputs and outputs.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::{input_type, proto};
use crate::graph::Dim;
use crate::tensor::DType;

/// Returns the axes and element types of the inner tensors that a file declares (`value_info`), by name.
/// Bytes that are no model give an empty map.
///
/// Exporters write these declarations. Shape inference needs them where an operator is unknown.
pub fn declared(bytes: Bytes) -> BTreeMap<String, (Vec<Dim>, DType)> {
    let graph = proto::ModelProto::decode(bytes).ok().and_then(|model| model.graph);
    let infos = graph.map(|graph| [graph.value_info, graph.output].concat()).unwrap_or_default();
    let of = |info: proto::ValueInfoProto| {
        let (dims, dtype) = input_type(&info);
        Some((info.name().to_owned(), (dims.filter(|d| !d.is_empty())?, dtype)))
    };
    infos.into_iter().filter_map(of).collect()
}
