//! Example: draws a flow file as colours of three kinds and as arrows.
//!
//! ```text
//! cargo run --release -p oneiro-media --example flow_pictures -- FLOW FOLDER [PICTURE]
//! ```
//!
//! Writes `colors.png`, `joint.png`, `wheel.png` and `arrows.png` of the file's first flow field into an
//! existing folder.

use std::path::Path;

use oneiro_media::flow::{ArrowOptions, FlowScaling, draw_arrows, flow_colors, flow_wheel, read_flow};
use oneiro_media::{PngText, read_image, write_png};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, folder, behind) = match &arguments[..] {
        [file, folder] => (file, folder, None),
        [file, folder, picture] => (file, folder, Some(read_image(picture)?)),
        _ => return Err("usage: flow_pictures FLOW FOLDER [PICTURE]".into()),
    };
    let flow = read_flow(file)?.field(0);
    let pictures = [
        ("colors", flow_colors(&flow, FlowScaling::Channels)?),
        ("joint", flow_colors(&flow, FlowScaling::Joint)?),
        ("wheel", flow_wheel(&flow, None)?),
        ("arrows", draw_arrows(&flow, behind.as_ref(), &ArrowOptions::default())?),
    ];
    for (name, picture) in pictures {
        write_png(Path::new(folder).join(format!("{name}.png")), &picture, &PngText(Vec::new()))?;
    }
    Ok(())
}
