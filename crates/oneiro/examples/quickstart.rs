//! Example: renders a picture that excites a channel, with `cargo run --release --example quickstart
//! MODEL.onnx LAYER CHANNEL`

use oneiro::Model;
use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro::render::render;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let mut next = || words.next().ok_or("MODEL.onnx LAYER CHANNEL are needed");
    let model = Model::open(next()?)?;
    let channel = Objective::channel(next()?, next()?.parse()?);
    let rendered = render(&model, &Preset::default(), &[channel], 0, |_| true)?;
    rendered[0].images[0].save("channel.png")?;
    Ok(())
}
