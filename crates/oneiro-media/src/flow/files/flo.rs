//! Middlebury's `.flo`: S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011;
//! vision.middlebury.edu/flow/code/flow-code/README.txt.

use crate::flow::Flow;

/// First bytes of a `.flo` file: the number 202021.25 as a little-endian float.
pub(super) const MAGIC: &[u8] = b"PIEH";
/// Flow components larger than this in a `.flo` file mean that the flow is unknown there.
const UNKNOWN_ABOVE: f32 = 1e9;
/// The value that is written to a `.flo` file for flow that is not finite.
const UNKNOWN: f32 = 1e10;

/// Decodes the bytes of a `.flo` file to one flow field. Unknown flow becomes NaN.
///
/// # Errors
///
/// A message that says what is wrong with the bytes.
pub fn decode_flo(bytes: &[u8]) -> Result<Flow, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not start as a .flo file")?;
    let short = || "it ends within the header".to_owned();
    let (width, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (height, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let side = |bytes: &[u8; 4]| {
        let side = i32::from_le_bytes(*bytes);
        usize::try_from(side).map_err(|_| format!("its header says {side} pixels for a side"))
    };
    let (width, height) = (side(width)?, side(height)?);
    let (pixels, odd) = rest.as_chunks::<8>();
    if height.checked_mul(width) != Some(pixels.len()) || !odd.is_empty() {
        return Err(format!(
            "{width}×{height} pixels need 8 bytes for each, and {} bytes follow the header",
            rest.len()
        ));
    }
    let component = |i: usize| {
        pixels.iter().map(move |pixel| {
            let value =
                f32::from_le_bytes([pixel[4 * i], pixel[4 * i + 1], pixel[4 * i + 2], pixel[4 * i + 3]]);
            if value.abs() > UNKNOWN_ABOVE { f32::NAN } else { value }
        })
    };
    Flow::new(1, height, width, component(0).chain(component(1)).collect()).map_err(|error| error.to_string())
}

/// Returns one flow field as the bytes of a `.flo` file. Flow that is not finite is marked as unknown.
///
/// # Errors
///
/// If the flow has several fields, or a side is too long for the header.
pub fn encode_flo(flow: &Flow) -> Result<Vec<u8>, String> {
    if flow.frames != 1 {
        return Err(format!(
            "a .flo file holds one field, and there are {}; use a name that ends in .npy",
            flow.frames
        ));
    }
    let side = |side: usize| {
        i32::try_from(side).map_err(|_| format!("a side of {side} pixels is too long for a .flo file"))
    };
    let (width, height) = (side(flow.width)?, side(flow.height)?);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    for (&u, &v) in flow.u(0).iter().zip(flow.v(0)) {
        for value in [u, v] {
            bytes.extend(if value.is_finite() { value } else { UNKNOWN }.to_le_bytes());
        }
    }
    Ok(bytes)
}
