//! Limited-memory BFGS with a line search, which asks for one evaluation at a time.
//!
//! Each [`Optimizer::step`] gets value and gradient at the current parameters. These are either
//!
//! * a *start*: where a search begins. The direction is computed, and the parameters move to its first trial;
//! * a *trial* of that search ([`Optimizer::holds`] was true): the same function at the trial. If it rises
//!   enough, the trial is accepted, else the parameters move to a shorter one.
//!
//! So the pair (change of parameters, change of gradient) of an accepted trial always belongs to a single
//! function, as multi-batch L-BFGS requires (Berahas, Nocedal & Takáč 2016). As long as the function stays,
//! an accepted trial is the next start, with one evaluation for each iteration. After [`LBFGS_SEARCHES`]
//! accepted trials the function may change (other random transforms). The next evaluation, at the accepted
//! point, is then a start of its own. The memory is kept, because the curvature under one draw of the
//! transforms is a good first guess for the next.

use crate::parallel;
use std::collections::VecDeque;

use super::{CHUNK, Optimizer, check_lengths, sums};

/// Number of pairs in the memory (Nocedal & Wright 2006, §7.2, recommend 3 to 20).
pub const LBFGS_HISTORY: usize = 10;
/// Number of line searches before the random function changes. It equals the number of remembered pairs, so
/// that most pairs describe the curvature of the current function. `docs/preimages.md` has measurements. With
/// fewer searches, inversions with jitter are far worse than without. With more searches and heavier
/// transforms, the picture fits single draws of the transforms.
pub const LBFGS_SEARCHES: usize = LBFGS_HISTORY;
/// c₁, the share of the rise promised by the gradient that a trial must reach (Nocedal & Wright 2006, §3.1).
const SUFFICIENT_RISE: f64 = 1e-4;
/// The shortest and longest next trial, as a share of the rejected one (Dennis & Schnabel 1996, §6.3.2).
const SHRINK: [f64; 2] = [0.1, 0.5];
/// Most trials along one direction; the last is at most 2⁻¹⁹ of the first.
const TRIALS: usize = 20;
/// Smallest cosine between a pair's step and its change of the gradient. Pairs below it are dropped, because
/// rounding dominates them.
const CURVATURE: f64 = 1e-8;
/// Growth of the initial step length without pairs, after a search whose first trial was accepted.
const GROWTH: f64 = 2.0;

/// A step between two points, and the fall of the gradient along it.
#[derive(Debug, Clone)]
struct Pair {
    step: Vec<f32>,
    fall: Vec<f32>,
    /// The product Σ step·fall, which is positive.
    curvature: f64,
    /// The squared length Σ fall².
    square: f64,
}

/// A line search that waits for an evaluation.
#[derive(Debug, Clone)]
struct Search {
    /// The objective at the start of the search.
    value: f64,
    /// The current trial, as a factor of the direction.
    factor: f64,
    /// Number of trial steps that were rejected so far.
    rejected: usize,
    /// Whether the direction is the gradient itself, because there are no pairs.
    along_gradient: bool,
}

/// L-BFGS (Nocedal & Wright 2006, algorithms 7.4 and 7.5) for ascent. Steps are shortened by quadratic
/// interpolation until Armijo's condition holds. A pair without positive curvature is not remembered. A trial
/// whose value or gradient is not finite is rejected. Gradients under rules other than the derivative may
/// point to where the objective falls; such a search ends where it began.
///
/// The learning rate is the length of a search's first trial. It is measured in quasi-Newton steps, for which
/// 1 is natural. Without pairs it is the L2 length of the parameters' change.
#[derive(Debug, Clone)]
pub struct Lbfgs {
    rate: f32,
    history: usize,
    fixed_function: bool,
    /// Number of accepted trials since the function last changed.
    accepted: usize,
    pairs: VecDeque<Pair>,
    /// The running search. `None` if the next evaluation is a start.
    search: Option<Search>,
    /// The start of the search: the last accepted point.
    origin: Vec<f32>,
    /// The gradient at the start of the search.
    gradient: Vec<f32>,
    direction: Vec<f32>,
    /// Length of the first trial without pairs, in learning rates.
    reach: f64,
}

impl Lbfgs {
    /// Creates L-BFGS for `len` parameters with a memory of `history` pairs. `fixed_function` promises that
    /// all evaluations are of the same function. Otherwise the function may change after every
    /// [`LBFGS_SEARCHES`] searches.
    pub fn new(len: usize, learning_rate: f32, history: usize, fixed_function: bool) -> Lbfgs {
        Lbfgs {
            rate: learning_rate,
            history,
            fixed_function,
            accepted: 0,
            pairs: VecDeque::new(),
            search: None,
            origin: vec![0.0; len],
            gradient: vec![0.0; len],
            direction: vec![0.0; len],
            reach: 1.0,
        }
    }

    /// Begins a line search at the current point, and moves to its first trial.
    fn start(&mut self, params: &mut [f32], value: f64, gradient: &[f32]) {
        self.search = None;
        if !value.is_finite() || !sums::dot(gradient, gradient).is_finite() {
            return;
        }
        self.origin.copy_from_slice(params);
        self.gradient.copy_from_slice(gradient);
        self.aim(params, value);
    }

    /// Computes the direction from the origin, and moves to the first trial along it.
    fn aim(&mut self, params: &mut [f32], value: f64) {
        if !self.pairs.is_empty() {
            self.two_loops();
            let rise = sums::dot(&self.direction, &self.gradient);
            if !(rise > 0.0 && rise.is_finite()) {
                self.pairs.clear();
            }
        }
        let along_gradient = self.pairs.is_empty();
        let mut factor = f64::from(self.rate);
        if along_gradient {
            let length = sums::dot(&self.gradient, &self.gradient).sqrt();
            if length == 0.0 {
                self.search = None;
                return;
            }
            self.direction.copy_from_slice(&self.gradient);
            factor *= self.reach / length;
        }
        self.search = Some(Search { value, factor, rejected: 0, along_gradient });
        sums::combine(params, &self.origin, factor, &self.direction);
    }

    /// Computes direction ← H·gradient, with H the inverse curvature that the pairs imply (algorithm 7.4,
    /// with γ of 7.20).
    fn two_loops(&mut self) {
        let Some(newest) = self.pairs.back() else { return };
        let scale = newest.curvature / newest.square;
        let direction = &mut self.direction;
        direction.copy_from_slice(&self.gradient);
        let mut weights = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let weight = sums::dot(&pair.step, direction) / pair.curvature;
            sums::add_scaled(direction, -weight, &pair.fall);
            weights.push(weight);
        }
        parallel::each(direction.chunks_mut(CHUNK), |_, chunk| {
            chunk.iter_mut().for_each(|d| *d = (f64::from(*d) * scale) as f32);
        });
        for (pair, weight) in self.pairs.iter().zip(weights.into_iter().rev()) {
            let back = sums::dot(&pair.fall, direction) / pair.curvature;
            sums::add_scaled(direction, weight - back, &pair.step);
        }
    }

    /// Accepts or rejects a trial of the search.
    fn judge(&mut self, mut search: Search, params: &mut [f32], value: f64, gradient: &[f32]) {
        // The step is measured to the evaluated point, since the caller may have projected the parameters.
        let mut step = vec![0.0; params.len()];
        sums::combine(&mut step, params, -1.0, &self.origin);
        let promised = sums::dot(&self.gradient, &step).max(0.0);
        let moved = sums::dot(&step, &step) > 0.0;
        let usable = moved && value.is_finite() && sums::dot(gradient, gradient).is_finite();
        // On a plateau, such as that of an inactive unit whose gradient a rule redirects, following the
        // gradient does no harm.
        let plateau = usable && search.along_gradient && value == search.value;
        if plateau || usable && value >= search.value + SUFFICIENT_RISE * promised {
            if search.along_gradient && search.rejected == 0 && !plateau {
                self.reach *= GROWTH;
            }
            if !plateau {
                self.remember(step, gradient);
            }
            self.accepted += 1;
            if self.fixed_function || self.accepted < LBFGS_SEARCHES {
                self.start(params, value, gradient);
            } else {
                self.let_change();
            }
            return;
        }
        search.rejected += 1;
        // A trial that rounds to the origin ends the search like the last trial.
        if moved && search.rejected < TRIALS {
            // The maximum of the parabola through value and slope at the origin and the value at the trial.
            let top = promised / (2.0 * (search.value + promised - value));
            let shrink = if usable && top.is_finite() { top.clamp(SHRINK[0], SHRINK[1]) } else { SHRINK[0] };
            search.factor *= shrink;
            if search.along_gradient {
                self.reach = (self.reach * shrink).max(f64::MIN_POSITIVE);
            }
            sums::combine(params, &self.origin, search.factor, &self.direction);
            self.search = Some(search);
        } else if search.along_gradient {
            // The value does not rise even along the gradient, within rounding. The search waits for another
            // function.
            params.copy_from_slice(&self.origin);
            self.let_change();
        } else {
            self.pairs.clear();
            self.aim(params, search.value);
        }
    }

    /// Allows the next evaluation to be of another function.
    fn let_change(&mut self) {
        self.search = None;
        self.accepted = 0;
    }

    /// Remembers the pair of an accepted trial, if its curvature is large enough.
    fn remember(&mut self, step: Vec<f32>, gradient: &[f32]) {
        let mut fall = vec![0.0; step.len()];
        sums::combine(&mut fall, &self.gradient, -1.0, gradient);
        let (curvature, square) = (sums::dot(&step, &fall), sums::dot(&fall, &fall));
        let bound = CURVATURE * (square * sums::dot(&step, &step)).sqrt();
        if curvature > bound {
            if self.pairs.len() >= self.history {
                self.pairs.pop_front();
            }
            self.pairs.push_back(Pair { step, fall, curvature, square });
        }
    }
}

impl Optimizer for Lbfgs {
    fn step(&mut self, params: &mut [f32], value: f64, gradient: &[f32]) {
        check_lengths(self.origin.len(), params, gradient);
        match self.search.take() {
            None => self.start(params, value, gradient),
            Some(search) => self.judge(search, params, value, gradient),
        }
    }

    fn learning_rate(&self) -> f32 {
        self.rate
    }

    fn set_learning_rate(&mut self, rate: f32) {
        self.rate = rate;
    }

    fn holds(&self) -> bool {
        self.search.is_some()
    }

    fn stands_at(&self) -> Option<&[f32]> {
        self.search.is_some().then_some(&self.origin)
    }

    fn fix_function(&mut self, params: &mut [f32]) {
        self.settle(params);
        self.fixed_function = true;
    }

    fn settle(&mut self, params: &mut [f32]) {
        if self.search.is_some() {
            params.copy_from_slice(&self.origin);
        }
        self.let_change();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f32; 3] = [1.0, 4.0, 0.25];

    /// The function −½Σ aᵢxᵢ² + Σ bᵢxᵢ and its gradient.
    fn hill(x: &[f32], b: [f32; 3]) -> (f64, Vec<f32>) {
        let gradient: Vec<f32> = (0..3).map(|i| b[i] - A[i] * x[i]).collect();
        let value = (0..3).map(|i| f64::from(x[i]) * (f64::from(b[i]) - 0.5 * f64::from(A[i] * x[i]))).sum();
        (value, gradient)
    }

    #[test]
    fn pairs_are_of_one_function_even_where_functions_change_between_searches() {
        let mut lbfgs = Lbfgs::new(3, 1.0, 4, false);
        let mut x = [3.0, -2.0, 5.0];
        let (mut b, mut functions, mut held, mut at_start) = ([0.0; 3], 0u8, 0, 0.0);
        for _ in 0..40 * LBFGS_SEARCHES {
            let trial = lbfgs.holds();
            if trial {
                held += 1;
            } else {
                functions += 1;
                b = [0, 1, 2].map(|i| (f32::from(functions) * 1.7 + i as f32).sin());
            }
            let (value, gradient) = hill(&x, b);
            lbfgs.step(&mut x, value, &gradient);
            if !trial {
                at_start = value;
            } else if !lbfgs.holds() && lbfgs.origin != x {
                assert!(value > at_start, "accepted {value}, but began at {at_start}");
            }
            for pair in &lbfgs.pairs {
                let size = sums::dot(&pair.fall, &pair.fall).sqrt();
                for i in 0..3 {
                    let error = f64::from((pair.fall[i] - A[i] * pair.step[i]).abs());
                    assert!(error < 1e-3 * size + 1e-5, "{pair:?}");
                }
            }
        }
        assert!(functions >= 20 && held >= 20 && !lbfgs.pairs.is_empty(), "{functions} {held}");
    }

    #[test]
    fn a_function_stays_for_several_searches_which_cost_one_evaluation_each() {
        let mut lbfgs = Lbfgs::new(3, 1.0, 4, false);
        let (mut x, mut evaluations) = ([3.0, -2.0, 5.0], 0);
        loop {
            // The value rises without end, so every first trial is accepted.
            let value = x.iter().map(|x| f64::from(*x)).sum();
            lbfgs.step(&mut x, value, &[1.0; 3]);
            evaluations += 1;
            if !lbfgs.holds() {
                break;
            }
        }
        assert_eq!(evaluations, 1 + LBFGS_SEARCHES);
    }

    #[test]
    fn once_the_function_is_fixed_it_is_held_from_the_last_accepted_point_on() {
        let mut lbfgs = Lbfgs::new(3, 50.0, 4, false);
        let mut x = [1.0, -2.0, 3.0];
        for _ in 0..2 {
            let (value, gradient) = hill(&x, [0.5; 3]);
            lbfgs.step(&mut x, value, &gradient);
        }
        // After two steps with a rate that is far too large, a trial is pending.
        assert!(lbfgs.holds() && x != [1.0, -2.0, 3.0]);
        lbfgs.fix_function(&mut x);
        assert!(!lbfgs.holds() && x == [1.0, -2.0, 3.0]);
        let mut searches = 0;
        for _ in 0..10 * LBFGS_SEARCHES {
            let before = lbfgs.origin.clone();
            let (value, gradient) = hill(&x, [0.5; 3]);
            lbfgs.step(&mut x, value, &gradient);
            searches += usize::from(lbfgs.origin != before);
            // The search ends only where rounding hides any rise.
            assert!(lbfgs.holds() || hill(&x, [0.5; 3]).0 > 0.6, "{x:?}");
        }
        assert!(searches > 3 && (hill(&x, [0.5; 3]).0 - 0.65625).abs() < 1e-4, "{searches} {x:?}");
    }

    #[test]
    fn a_trial_that_is_no_number_is_rejected() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            // Only values in a ball of radius 4 about the origin are finite, and the first trials leave it.
            let mut lbfgs = Lbfgs::new(3, 64.0, 4, true);
            let (mut x, mut rejected) = ([1.0, 1.0, 1.0], 0);
            for _ in 0..60 {
                let (mut value, mut gradient) = hill(&x, [0.0; 3]);
                if x.iter().map(|x| x * x).sum::<f32>() > 16.0 {
                    rejected += 1;
                    value = bad;
                    gradient.fill(f32::NAN);
                }
                lbfgs.step(&mut x, value, &gradient);
            }
            lbfgs.settle(&mut x);
            assert!(rejected > 0 && hill(&x, [0.0; 3]).0 > -1e-6, "{rejected} {x:?}");
        }
        // A finite value with a gradient of NaN is rejected, too.
        let mut lbfgs = Lbfgs::new(3, 1.0, 4, true);
        let mut x = [1.0; 3];
        let (value, gradient) = hill(&x, [0.0; 3]);
        lbfgs.step(&mut x, value, &gradient);
        lbfgs.step(&mut x, value + 1.0, &[f32::NAN; 3]);
        lbfgs.settle(&mut x);
        assert_eq!(x, [1.0; 3]);
    }

    #[test]
    fn nothing_happens_where_there_is_no_gradient_or_no_number() {
        let mut lbfgs = Lbfgs::new(3, 1.0, 4, false);
        for (value, gradient) in [(1.0, [0.0; 3]), (f64::NAN, [1.0; 3]), (1.0, [f32::NAN; 3])] {
            let mut x = [0.5; 3];
            lbfgs.step(&mut x, value, &gradient);
            assert!(x == [0.5; 3] && !lbfgs.holds());
        }
    }

    #[test]
    fn settling_goes_back_to_the_accepted_point_at_any_time_and_only_once() {
        for most in 1..40 {
            for fixed in [false, true] {
                // The rate is far too large, so that most trials are rejected.
                let mut lbfgs = Lbfgs::new(3, 50.0, 4, fixed);
                let mut x = [1.0, -2.0, 3.0];
                let mut best = f64::NEG_INFINITY;
                for _ in 0..most {
                    let (value, gradient) = hill(&x, [0.5; 3]);
                    best = best.max(value);
                    lbfgs.step(&mut x, value, &gradient);
                }
                lbfgs.settle(&mut x);
                assert_eq!(hill(&x, [0.5; 3]).0, best, "{most} {fixed}");
                let settled = x;
                lbfgs.settle(&mut x);
                assert!(x == settled && !lbfgs.holds());
            }
        }
    }

    #[test]
    fn plateaus_are_crossed_along_a_gradient_that_is_not_theirs() {
        // The function max(hill, −1). It is flat at the start, but its gradient there is that of the hill.
        for fixed in [false, true] {
            let mut lbfgs = Lbfgs::new(3, 1.0, 4, fixed);
            let mut x = [9.0, 3.0, -5.0];
            for _ in 0..60 {
                let (value, gradient) = hill(&x, [0.0; 3]);
                lbfgs.step(&mut x, value.max(-1.0), &gradient);
            }
            lbfgs.settle(&mut x);
            assert!(hill(&x, [0.0; 3]).0 > -1e-3, "{x:?}");
        }
    }

    #[test]
    fn where_nothing_leads_up_the_point_stays_and_the_function_may_change() {
        // A function whose gradient points in the wrong direction.
        let mut lbfgs = Lbfgs::new(3, 1.0, 4, false);
        let mut x = [1.0; 3];
        for n in 0.. {
            let (value, gradient) = hill(&x, [0.0; 3]);
            lbfgs.step(&mut x, value, &gradient.iter().map(|g| -g).collect::<Vec<_>>());
            assert!(n <= TRIALS);
            if !lbfgs.holds() {
                break;
            }
        }
        assert_eq!(x, [1.0; 3]);
    }

    #[test]
    fn a_caller_may_project_the_parameters_between_steps() {
        // The maximum of the hill, (4, 1, 16), lies outside the box |x| ≤ 2. The best point in the box is (2,
        // 1, 2).
        let mut lbfgs = Lbfgs::new(3, 1.0, 4, true);
        let (mut x, mut best) = ([0.0; 3], f64::NEG_INFINITY);
        for _ in 0..80 {
            let (value, gradient) = hill(&x, [4.0; 3]);
            best = best.max(value);
            lbfgs.step(&mut x, value, &gradient);
            x.iter_mut().for_each(|x| *x = x.clamp(-2.0, 2.0));
        }
        lbfgs.settle(&mut x);
        let reached = hill(&x, [4.0; 3]).0;
        assert_eq!(reached, best, "{x:?}");
        assert!(reached > 0.8 * hill(&[2.0, 1.0, 2.0], [4.0; 3]).0, "{x:?}");
    }
}
