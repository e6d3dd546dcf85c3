//! Example of a custom parametrization: a mosaic of square tiles of one colour each. The render loop uses it
//! like a built-in one.
//!
//! `cargo run --release --example custom_parametrization`

#![allow(clippy::print_stdout)]

use std::sync::Arc;

use oneiro::card::Card;
use oneiro::objective::Objective;
use oneiro::param::{Param, Work};
use oneiro::preset::Preset;
use oneiro::render::{CustomParam, Materials, Render};
use oneiro::rng::Stream;
use oneiro::{Extent, Model};
use oneiro_zoo::embedded;

/// Side of a tile in pixels.
const TILE: usize = 6;

#[derive(Debug)]
struct Mosaic {
    extent: Extent,
}

impl Mosaic {
    fn tiles(&self) -> [usize; 2] {
        [self.extent.height.div_ceil(TILE), self.extent.width.div_ceil(TILE)]
    }

    /// Returns the index of the parameter that determines a value of the image.
    fn tile_of(&self, i: usize) -> usize {
        let [h, w] = self.extent.size();
        let [rows, columns] = self.tiles();
        let (c, y, x) = (i / (h * w), i / w % h, i % w);
        (c * rows + y / TILE) * columns + x / TILE
    }
}

fn sigmoid(t: f32) -> f32 {
    1.0 / (1.0 + (-t).exp())
}

impl Param for Mosaic {
    fn len(&self) -> usize {
        self.extent.channels * self.tiles()[0] * self.tiles()[1]
    }

    fn extent(&self) -> Extent {
        self.extent
    }

    fn init(&self, rng: &mut Stream, _shared: &mut Stream) -> Vec<f32> {
        (0..self.len()).map(|_| 0.01 * rng.normal() as f32).collect()
    }

    fn from_image(&self, _image: &[f32]) -> Option<Vec<f32>> {
        None
    }

    fn work(&self) -> Work {
        Work::default()
    }

    fn image(&self, params: &[f32], _work: &mut Work, out: &mut [f32]) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = sigmoid(params[self.tile_of(i)]);
        }
    }

    fn adjoint(&self, params: &[f32], _work: &mut Work, grad_image: &[f32], grad_params: &mut [f32]) {
        grad_params.fill(0.0);
        for (i, g) in grad_image.iter().enumerate() {
            grad_params[self.tile_of(i)] += g;
        }
        for (g, p) in grad_params.iter_mut().zip(params) {
            let s = sigmoid(*p);
            *g *= s * (1.0 - s);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let graph = oneiro_net::format::onnx::read(embedded::model().into())?;
    let model = Model::new(graph, Card::parse(embedded::card())?)?;
    let preset = Preset { size: Some([96; 2]), steps: 64, ..Preset::default() };
    let mosaic = CustomParam(Arc::new(|extent| Ok(Box::new(Mosaic { extent }))));
    let materials = Materials { param: Some(mosaic), ..Materials::default() };
    let objective = Objective::channel("fire5.expand3x3", 12);
    let mut render = Render::with_materials(&model, &preset, &[objective], 0, &materials)?;
    while !render.finished() {
        render.step()?;
    }
    let picture = &render.finish()?[0];
    println!("{} tiles: {:.2} -> {:.2}", 3 * 16 * 16, picture.value_at_start, picture.value);
    Ok(())
}
