//! Example of an objective that the expression language lacks: the variance of a channel over positions. It
//! is high if a feature is present in some places and absent in others. Its gradient at the layer is given to
//! an [`ObjectiveSession`], which computes the gradient of the picture. Adam then updates a Fourier picture.
//!
//! `cargo run --release --example custom_objective`

#![allow(clippy::print_stdout)]

use oneiro::card::Card;
use oneiro::objective_session::ObjectiveSession;
use oneiro::optimizer::OptimizerSpec;
use oneiro::param::{Fourier, FourierOptions, Param, ParamSources};
use oneiro::preprocess::Preprocess;
use oneiro::rng::Stream;
use oneiro_net::Rules;
use oneiro_zoo::embedded;

const LAYER: &str = "fire4.expand3x3";
const CHANNEL: usize = 9;
const SIDE: usize = 96;
const STEPS: usize = 64;

/// Returns the variance of some numbers.
fn variance(a: &[f32]) -> f64 {
    let mean = a.iter().map(|x| f64::from(*x)).sum::<f64>() / a.len() as f64;
    a.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / a.len() as f64
}

/// Adds the variance's derivative, 2 (a − mean) / n, to `seed`.
fn seed(a: &[f32], seed: &mut [f32]) {
    let mean = a.iter().sum::<f32>() / a.len() as f32;
    seed.iter_mut().zip(a).for_each(|(s, x)| *s += 2.0 * (x - mean) / a.len() as f32);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let graph = oneiro_net::format::onnx::read(embedded::model().into())?;
    let card = Card::parse(embedded::card())?;
    let model = oneiro::Model::new(graph, card)?;
    let layer = model.resolve(LAYER)?;
    // A session without objectives, with one captured layer, and with gradients.
    let mut session =
        ObjectiveSession::new(&model, &[], &[layer], model.input_shapes(1, Some([SIDE; 2]))?, true)?;

    let channels = session.captured(0).0[1];
    let preprocess = Preprocess::from_card(&model.card.input[0]);
    let param = Fourier::new([3, SIDE, SIDE], FourierOptions::default(), &ParamSources::default())?;
    let mut params = param.init(&mut Stream::new(0, 0), &mut Stream::new(0, 1));
    let mut adam = OptimizerSpec::adam(0.05).build(param.len(), true);
    let (mut work, n) = (param.work(), 3 * SIDE * SIDE);
    let (mut image, mut grad_image, mut gradient) = (vec![0.0; n], vec![0.0; n], vec![0.0; param.len()]);
    for step in 0..STEPS {
        param.image(&params, &mut work, &mut image);
        preprocess.apply(&image, session.input_mut(0));
        session.forward();
        let (activations, seeds) = session.seed_captured(0)?;
        let positions = activations.len() / channels;
        let range = CHANNEL * positions..(CHANNEL + 1) * positions;
        let value = variance(&activations[range.clone()]);
        seed(&activations[range.clone()], &mut seeds[range]);
        session.backward(&Rules::default());
        preprocess.adjoint(&image, session.input_gradient(0), &mut grad_image);
        param.adjoint(&params, &mut work, &grad_image, &mut gradient);
        adam.step(&mut params, value, &gradient);
        if step.is_multiple_of(16) || step + 1 == STEPS {
            println!("step {step:2}: variance of {LAYER}:{CHANNEL} is {value:.2}");
        }
    }
    Ok(())
}
