//! The rule of "Visualizing Deep Convolutional Neural Networks Using Natural Pre-images".

use super::{CHUNK, Optimizer, check_lengths};
use crate::parallel;

/// Decay of the accumulated squares (Mahendran & Vedaldi 2016, §4).
pub const ACCUMULATED_DECAY: f32 = 0.9;
/// Momentum of the update rule (Mahendran & Vedaldi 2016, §4).
pub const ACCUMULATED_MOMENTUM: f32 = 0.9;

/// AdaGrad with decay, momentum and a bound on the rate, for ascent: G ← .9G + g², m ← μm + g/(1/lr + √G), x
/// ← x + m (Mahendran & Vedaldi, "Visualizing Deep Convolutional Neural Networks Using Natural Pre-images",
/// IJCV 2016, §4).
///
/// The first step changes each parameter by at most 1, since the rule is designed for pixels in 0–255.
#[derive(Debug, Clone)]
pub struct AccumulatedSquares {
    rate: f32,
    momentum: f32,
    squares: Vec<f32>,
    velocity: Vec<f32>,
}

impl AccumulatedSquares {
    /// Creates the optimizer for `len` parameters.
    pub fn new(len: usize, learning_rate: f32, momentum: f32) -> AccumulatedSquares {
        let (squares, velocity) = (vec![0.0; len], vec![0.0; len]);
        AccumulatedSquares { rate: learning_rate, momentum, squares, velocity }
    }
}

impl Optimizer for AccumulatedSquares {
    fn step(&mut self, params: &mut [f32], _value: f64, gradient: &[f32]) {
        check_lengths(self.squares.len(), params, gradient);
        let (floor, momentum) = (self.rate.recip(), self.momentum);
        let state = self.squares.chunks_mut(CHUNK).zip(self.velocity.chunks_mut(CHUNK));
        let chunks = params.chunks_mut(CHUNK).zip(gradient.chunks(CHUNK)).zip(state);
        parallel::each(chunks, |_, ((params, gradient), (squares, velocity))| {
            let state = squares.iter_mut().zip(velocity);
            for ((x, g), (sum, m)) in params.iter_mut().zip(gradient).zip(state) {
                *sum = ACCUMULATED_DECAY * *sum + g * g;
                *m = momentum * *m + g / (floor + sum.sqrt());
                *x += *m;
            }
        });
    }

    fn learning_rate(&self) -> f32 {
        self.rate
    }

    fn set_learning_rate(&mut self, rate: f32) {
        self.rate = rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_formula() {
        // By hand, lr = .5. Step 1: G = (4, .25), m = (2/(2+2), −.5/(2+.5)) = (.5, −.2).
        // Step 2, g = (1, 0): G = (4.6, .225), m = (.45 + 1/(2+√4.6), −.18), √4.6 = 2.1447611.
        let mut optimizer = AccumulatedSquares::new(2, 0.5, ACCUMULATED_MOMENTUM);
        let mut x = [1.0, 1.0];
        optimizer.step(&mut x, 0.0, &[2.0, -0.5]);
        super::super::tests::assert_near(&x, &[1.5, 0.8]);
        optimizer.step(&mut x, 0.0, &[1.0, 0.0]);
        super::super::tests::assert_near(&x, &[1.5 + 0.45 + 0.241_268_4, 0.8 - 0.18]);
    }
}
