//! Example of a custom render loop: it runs step by step, prints every tenth step, and stops when the
//! objective no longer rises.
//!
//! `cargo run --release --example own_loop`

#![allow(clippy::print_stdout)]

use oneiro::Model;
use oneiro::card::Card;
use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro::render::Render;
use oneiro_zoo::embedded;

/// Number of steps over which the objective's mean has to rise.
const PATIENCE: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let graph = oneiro_net::format::onnx::read(embedded::model().into())?;
    let model = Model::new(graph, Card::parse(embedded::card())?)?;
    let preset = Preset { size: Some([96; 2]), steps: 400, ..Preset::default() };
    let objective = Objective::channel("fire8.expand3x3", 40) - 0.1 * Objective::layer("fire2");
    let mut render = Render::new(&model, &preset, &[objective], 0)?;
    let mut values = Vec::new();
    while !render.finished() {
        values.push(render.step()?[0]);
        let n = values.len();
        if n.is_multiple_of(10) {
            println!("step {n:3}: {:8.2}", values[n - 1]);
        }
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        if n >= 2 * PATIENCE && mean(&values[n - PATIENCE..]) < mean(&values[n - 2 * PATIENCE..n - PATIENCE])
        {
            break;
        }
    }
    let picture = &render.finish()?[0];
    println!(
        "{} -> {} in {} steps ({})",
        picture.value_at_start,
        picture.value,
        picture.steps,
        picture.stop.describe()
    );
    Ok(())
}
