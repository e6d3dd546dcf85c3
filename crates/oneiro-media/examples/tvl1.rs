//! Example: computes TV-L1 flow of raw frames and measures the time; `scripts/compare_flow.py` compares it
//! with OpenCV's.
//!
//! ```text
//! cargo run --release -p oneiro-media --example tvl1 -- GRAY WIDTH HEIGHT OUT [each|camera]
//! ```
//!
//! `GRAY` is a file with one byte for each pixel, frame after frame. `OUT` is the file for the flow: float32,
//! `[T, 2, H, W]`. With `each`, pairs of frames are computed one after the other, with all threads for each
//! pair. With `camera`, the camera's motion is removed from the flow. The last line printed is the seconds
//! for each pair.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use oneiro_media::flow::{
    CameraOptions, Flow, Luminance, TvL1Options, compensated_flow, flow_of_frames, tvl1,
};
use oneiro_media::{read_bytes, write_atomic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (gray, width, height, out, mode) = match &arguments[..] {
        [gray, width, height, out] => (gray, width, height, out, ""),
        [gray, width, height, out, mode] => (gray, width, height, out, mode.as_str()),
        _ => return Err("usage: tvl1 GRAY WIDTH HEIGHT OUT [each|camera]".into()),
    };
    let (width, height) = (width.parse::<usize>()?, height.parse::<usize>()?);
    let bytes = read_bytes(gray)?;
    let frames = bytes
        .chunks_exact((width * height).max(1))
        .map(|frame| Luminance::new(height, width, frame.iter().map(|&value| f32::from(value)).collect()))
        .collect::<Result<Vec<_>, _>>()?;
    let options = TvL1Options::default();
    let start = Instant::now();
    let flow = match mode {
        "" => flow_of_frames(&frames, &options)?,
        "each" => {
            let fields = frames.windows(2).map(|pair| tvl1(&pair[0], &pair[1], &options));
            Flow::stack(&fields.collect::<Result<Vec<_>, _>>()?)?
        }
        "camera" => {
            let found = compensated_flow(&frames, &options, &CameraOptions::default())?;
            for camera in &found.cameras {
                let corners =
                    [[0, 0], [width, 0], [0, height], [width, height]].map(|at| at.map(|x| x as f64));
                let motions = corners.map(|[x, y]| {
                    let [to_x, to_y] = camera.apply([x, y]);
                    format!("{:.2},{:.2}", to_x - x, to_y - y)
                });
                println!("corners of the frame move by {} pixels", motions.join(" "));
            }
            found.flow
        }
        other => return Err(format!("`{other}` is no mode; there are `each` and `camera`").into()),
    };
    println!("{}", start.elapsed().as_secs_f64() / flow.frames as f64);
    write_atomic(out, &flow.data.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    Ok(())
}
