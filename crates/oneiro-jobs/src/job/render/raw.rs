//! Encodes optimised inputs as tensors.

use std::collections::HashMap;

use super::Finished;
use super::report::UnitReport;
use crate::error::Result;
use crate::tensors::{RawTensor, to_bytes};

/// Encodes the optimised inputs as `INPUT/INDEX`, with the units in the metadata.
pub fn raw_bytes(finished: &[Finished]) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for (i, result) in finished.iter().enumerate() {
        for picture in &result.rendered.images {
            tensors.push(RawTensor {
                name: format!("{}/{i}", picture.input),
                shape: picture.raw_shape(),
                data: picture.raw_data(),
            });
        }
    }
    let units: Vec<&UnitReport> = finished.iter().map(|f| &f.report).collect();
    let metadata = HashMap::from([("units".to_owned(), serde_json::to_string(&units)?)]);
    Ok(to_bytes(&tensors, metadata)?)
}
