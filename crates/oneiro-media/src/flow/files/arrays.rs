//! Arrays as flow: which axis holds what.

use crate::flow::Flow;
use crate::npy::{self, Array};

/// The shapes that are read.
const KNOWN: &str = "[T, 2, H, W], [T, H, W, 2], [2, H, W], [H, W, 2] and [2T, H, W] are read";

/// The bytes of a `.npy` file: float32, `[T, 2, H, W]`.
pub fn encode_npy(flow: &Flow) -> Vec<u8> {
    npy::encode(&[flow.frames, 2, flow.height, flow.width], &flow.data)
}

/// The beginning of the `.npy` file of a stack, up to its values: float32, `[T, 2, H, W]`. Values follow in
/// the order of [`Flow::data`], little-endian.
pub fn npy_header(frames: usize, height: usize, width: usize) -> Vec<u8> {
    npy::encode(&[frames, 2, height, width], &[])
}

/// The flow that an array is, or why it is none.
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

/// Fields of pairs as fields of two planes.
fn components_first(values: &[f32], pixels: usize) -> Vec<f32> {
    let fields = values.chunks_exact(pixels.saturating_mul(2).max(1));
    fields.flat_map(|field| (0..2).flat_map(|i| field.iter().skip(i).step_by(2))).copied().collect()
}
