//! Example of a network built in code: one filter for vertical edges and one for horizontal edges. The
//! picture for the first must vary along x, that for the second along y.
//!
//! `cargo run --release --example network_in_code`

#![allow(clippy::print_stdout)]

use oneiro::Model;
use oneiro::card::Card;
use oneiro::objective::Objective;
use oneiro::preset::Preset;
use oneiro::render::render;
use oneiro::transform::Chain;
use oneiro_net::graph::{Builder, Dim, Graph};
use oneiro_net::tensor::Tensor;

const CARD: &str = "name = \"edges\"\n[[input]]\nname = \"x\"\nsize = [48, 48]\nmean = [0.5, 0.5, 0.5]\n";

/// Builds the network: Sobel filters on the sum of the colours, then a ReLU.
fn edges() -> oneiro_net::Result<Graph> {
    let sobel = [[-1.0f32, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]];
    let mut weights = Vec::new();
    for turned in [false, true] {
        for _color in 0..3 {
            for y in 0..3 {
                weights.extend((0..3).map(|x| if turned { sobel[x][y] } else { sobel[y][x] }));
            }
        }
    }
    let mut net = Builder::new();
    let free = |name: &str| Dim::Free(name.into());
    let x = net.input("x", &[free("N"), Dim::Fixed(3), free("H"), free("W")])?;
    let weight = net.constant("edge.weight", Tensor::floats(&[2, 3, 3, 3], weights))?;
    let edge = net.node("Conv", "edge", &[x, weight], vec![])?;
    let active = net.node("Relu", "active", &[edge], vec![])?;
    Ok(net.finish(&[active]))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::new(edges()?, Card::parse(CARD)?)?;
    let preset = Preset { size: None, steps: 64, transform: Chain::none(), ..Preset::default() };
    let units = [Objective::channel("active", 0), Objective::channel("active", 1)];
    for picture in render(&model, &preset, &units, 0, |_| true)? {
        let found = &picture.images[0].image;
        let (image, h, w) = (&found.data, found.height, found.width);
        let change = |step: usize, last: &dyn Fn(usize) -> bool| -> f32 {
            (0..h * w).filter(|&i| !last(i)).map(|i| (image[i + step] - image[i]).abs()).sum::<f32>()
                / (h * w) as f32
        };
        let along_x = change(1, &|i| i % w == w - 1);
        let along_y = change(w, &|i| i / w == h - 1);
        println!(
            "{}: {:.3}, changes along x {along_x:.3}, along y {along_y:.3}",
            picture.objective, picture.value
        );
    }
    Ok(())
}
