//! Converts NumPy arrays to optical flow and back; recognises which axis holds the components u and v.

use crate::flow::Flow;
use crate::npy::{self, Array};

/// Lists for error messages the array shapes that can be read as flow.
const KNOWN: &str = "[T, 2, H, W], [T, H, W, 2], [2, H, W], [H, W, 2] and [2T, H, W] are read";

/// Returns the flow as the bytes of a `.npy` file: float32, `[T, 2, H, W]`.
pub fn encode_npy(flow: &Flow) -> Vec<u8> {
    npy::encode(&[flow.frames, 2, flow.height, flow.width], &flow.data)
}

/// Returns the beginning of a flow's `.npy` file, up to its values: float32, `[T, 2, H, W]`. The values
/// follow in the order of [`Flow::data`], little-endian.
pub fn npy_header(frames: usize, height: usize, width: usize) -> Vec<u8> {
    npy::encode(&[frames, 2, height, width], &[])
}

/// Converts an array to flow; the error says why its shape or values are none.
pub(super) fn flow_of(array: Array) -> Result<Flow, String> {
    let Array { shape, values, .. } = array;
    let (frames, height, width, last) = match shape[..] {
        [2, _, 2] | [_, 2, _, 2] => {
            return Err(format!(
                "its shape {shape:?} has two axes that can be those of the components; {KNOWN}, so save more \
                 than 2 rows and columns"
            ));
        }
        [height, width, 2] => (1, height, width, true),
        [planes, height, width] if planes % 2 == 0 => (planes / 2, height, width, false),
        [frames, 2, height, width] => (frames, height, width, false),
        [frames, height, width, 2] => (frames, height, width, true),
        _ => return Err(format!("its shape is {shape:?}; {KNOWN}")),
    };
    let data = if last { components_first(&values, height.saturating_mul(width)) } else { values };
    Flow::new(frames, height, width, data).map_err(|error| error.to_string())
}

/// Reorders fields of interleaved pairs (u, v) to a plane of u and a plane of v for each field.
fn components_first(values: &[f32], pixels: usize) -> Vec<f32> {
    let fields = values.chunks_exact(pixels.saturating_mul(2).max(1));
    fields.flat_map(|field| (0..2).flat_map(|i| field.iter().skip(i).step_by(2))).copied().collect()
}
