//! Walks from an output back to its logits. It passes a softmax or sigmoid, even if written as several
//! operators, and operators whose result is positions or words instead of scores.

use oneiro_net::graph::{Bounds, Fact, Facts};
use oneiro_net::{Graph, ValueId};

use super::{Activation, is_constant, op_type, operand, scalar, stripped};

/// Most operators that are followed back from an output. More operators cannot belong to a head.
const MAX_TAIL: usize = 64;

/// What the last operators of an output compute from the logits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub logits: ValueId,
    pub activation: Activation,
    /// The operator that was skipped because its result is positions or words.
    pub behind: Option<String>,
}

/// Returns the end of the network at an output.
pub(super) fn ending(graph: &Graph, output: ValueId) -> Ending {
    let (scores, behind) = match scores_behind(graph, output, false, MAX_TAIL) {
        Some((scores, op)) => (scores, Some(op)),
        None => (output, None),
    };
    let tail = Tail { graph };
    let plain = |activation| Ending { logits: scores, activation, behind: behind.clone() };
    match tail.activated(scores, MAX_TAIL) {
        Some(Found { logits, activation, .. }) => Ending { logits, activation, behind },
        None => plain(match tail.probabilities(scores, MAX_TAIL) {
            Some(independent) => Activation::Given { independent },
            None => Activation::None,
        }),
    }
}

/// Returns the scores from which positions or words were computed, and the operator that did so. Returns
/// `None` if the value decreases while the scores increase, since maximising the scores would then minimise
/// the value.
///
/// `negated`: whether a `Not` reads the value.
fn scores_behind(graph: &Graph, value: ValueId, negated: bool, left: usize) -> Option<(ValueId, String)> {
    let left = left.checked_sub(1)?;
    let value = stripped(graph, value);
    let op = op_type(graph, value);
    // The operand that depends on the data, if the other one is a constant.
    let flowing = || {
        let mut flowing = [0, 1].into_iter().filter_map(|i| Some((i, operand(graph, value, i)?)));
        let is_flowing = |&(_, v): &(usize, ValueId)| !is_constant(graph, stripped(graph, v));
        match (flowing.clone().find(is_flowing), flowing.all(|operand| is_flowing(&operand))) {
            (Some(one), false) => Some(one),
            _ => None,
        }
    };
    let scores = match op {
        "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => {
            let (place, scores) = flowing()?;
            let is_larger = op.starts_with("Greater") == (place == 0);
            (is_larger != negated).then_some(scores)?
        }
        "Not" => return scores_behind(graph, operand(graph, value, 0)?, !negated, left),
        _ if negated => return None,
        "ArgMax" | "TopK" | "Hardmax" | "ZipMap" | "Round" => operand(graph, value, 0)?,
        // The operator looks up a table at a position, so the scores of that position are followed.
        "LabelEncoder" | "CategoryMapper" | "OneHot" => {
            return scores_behind(graph, operand(graph, value, 0)?, false, left);
        }
        "Gather" | "ArrayFeatureExtractor"
            if is_constant(graph, stripped(graph, operand(graph, value, 0)?)) =>
        {
            return scores_behind(graph, operand(graph, value, 1)?, false, left);
        }
        "Equal" => return scores_behind(graph, flowing()?.1, false, left),
        _ => return None,
    };
    Some(
        scores_behind(graph, scores, false, left)
            .map_or((scores, op.to_owned()), |(deeper, _)| (deeper, op.to_owned())),
    )
}

/// A softmax or sigmoid that was recognized, with its logits.
struct Found {
    logits: ValueId,
    activation: Activation,
    /// Whether the value is the logarithm of the probability.
    log: bool,
}

/// The operators at the end of a network.
struct Tail<'g> {
    graph: &'g Graph,
}

impl Tail<'_> {
    fn op(&self, value: ValueId) -> &str {
        op_type(self.graph, value)
    }

    fn input(&self, value: ValueId, i: usize) -> Option<ValueId> {
        operand(self.graph, value, i)
    }

    fn number(&self, value: ValueId) -> Option<f32> {
        scalar(self.graph, value)
    }

    fn bare(&self, value: ValueId) -> ValueId {
        stripped(self.graph, value)
    }

    /// Returns the operand of a value, if operator `op` with one operand computes the value.
    fn of(&self, value: ValueId, op: &str) -> Option<ValueId> {
        let value = self.bare(value);
        (self.op(value) == op).then(|| self.input(value, 0))?
    }

    /// Returns the other operand and the number, if operator `op` combines a value with a constant number in
    /// any order.
    fn with_number(&self, value: ValueId, op: &str) -> Option<(ValueId, f32)> {
        let value = self.bare(value);
        if self.op(value) != op {
            return None;
        }
        let (a, b) = (self.input(value, 0)?, self.input(value, 1)?);
        match (self.number(a), self.number(b)) {
            (None, Some(n)) => Some((a, n)),
            (Some(n), None) => Some((b, n)),
            _ => None,
        }
    }

    /// Whether two values are equal apart from operators that change no number.
    fn same(&self, a: ValueId, b: ValueId) -> bool {
        self.bare(a) == self.bare(b)
    }

    /// Returns the bounds of the clamp that computes a value.
    fn bounds(&self, value: ValueId) -> Option<Bounds> {
        let node = &self.graph.nodes[self.graph.producer(value)?];
        node.op.obeys_relu_rule().then_some(())?;
        let bound = |i: usize| -> Option<Fact> {
            let number = self.number(node.inputs.get(i).copied().flatten()?)?;
            Some(Fact::constant(oneiro_net::tensor::Tensor::floats(&[], vec![number])))
        };
        let given = |i: usize| node.inputs.get(i).is_some_and(Option::is_some);
        let (low, high) = (bound(1), bound(2));
        if given(1) != low.is_some() || given(2) != high.is_some() {
            return None;
        }
        node.op.epilogue(Facts(&[None, low.as_ref(), high.as_ref()])).ok()??.bounds()
    }

    /// Returns the softmax or sigmoid that computes a value.
    fn activated(&self, value: ValueId, left: usize) -> Option<Found> {
        let left = left.checked_sub(1)?;
        let value = self.bare(value);
        let first = self.input(value, 0)?;
        let found = |logits, activation| Some(Found { logits, activation, log: false });
        match self.op(value) {
            "Softmax" => found(first, Activation::Softmax),
            "LogSoftmax" => Some(Found { logits: first, activation: Activation::Softmax, log: true }),
            "Sigmoid" => found(first, Activation::Sigmoid),
            "HardSigmoid" => {
                let node = &self.graph.nodes[self.graph.producer(value)?];
                let (slope, offset) = node.op.hard_sigmoid()?;
                found(first, Activation::HardSigmoid { slope, offset })
            }
            "Log" => {
                let inner = self.activated(first, left)?;
                (!inner.log).then_some(Found { log: true, ..inner })
            }
            "Exp" => {
                let inner = self.activated(first, left)?;
                inner.log.then_some(Found { log: false, ..inner })
            }
            "Clip" => match (self.activated(first, left), self.bounds(value)) {
                (Some(inner), _) => Some(inner),
                (None, Some(b)) if b.low == 0.0 && b.high == 1.0 => {
                    found(first, Activation::HardSigmoid { slope: 1.0, offset: 0.0 })
                }
                _ => None,
            },
            // A small constant is added to keep a logarithm or a quotient finite.
            "Add" => match self.with_number(value, "Add") {
                Some((inner, n)) if n.abs() <= SMALL => self.activated(inner, left),
                _ => self.by_tanh(value),
            },
            "Max" | "Min" => {
                let (inner, _) = self.with_number(value, self.op(value))?;
                self.activated(inner, left)
            }
            "Neg" => {
                // The pattern −log(1 + exp(−z)) is the logarithm of a sigmoid.
                let logits = self.negative(self.of(first, "Softplus")?)?;
                Some(Found { logits, activation: Activation::Sigmoid, log: true })
            }
            "Sub" => self.written_log_softmax(value),
            "Reciprocal" => found(self.one_and_exp_of_negative(first)?, Activation::Sigmoid),
            "Pow" if self.number(self.input(value, 1)?) == Some(-1.0) => {
                found(self.one_and_exp_of_negative(first)?, Activation::Sigmoid)
            }
            "Div" => self.quotient(value, left),
            "Mul" => self.product(value),
            _ => None,
        }
    }

    /// Recognizes exp(z) / Σ exp(z), 1 / (1 + exp(−z)), exp(z) / (1 + exp(z)), clamp(z, 0, h) / h, and p / Σ
    /// p.
    fn quotient(&self, value: ValueId, left: usize) -> Option<Found> {
        let (above, below) = (self.input(value, 0)?, self.input(value, 1)?);
        let found = |logits, activation| Some(Found { logits, activation, log: false });
        if self.number(above) == Some(1.0) {
            return found(self.one_and_exp_of_negative(below)?, Activation::Sigmoid);
        }
        if let Some(h) = self.number(below) {
            return self.clamped(above, 1.0 / h);
        }
        let below = match self.with_number(below, "Add") {
            Some((sum, n)) if n.abs() <= SMALL => sum,
            Some((exp, 1.0)) => {
                let z = self.of(above, "Exp")?;
                let again = self.of(exp, "Exp")?;
                return if self.same(z, again) { found(z, Activation::Sigmoid) } else { None };
            }
            _ => below,
        };
        let summed = self.summed(below)?;
        if !self.same(summed, above) {
            return None;
        }
        match self.of(above, "Exp") {
            Some(z) => found(self.unshifted(z), Activation::Softmax),
            None => self.activated(above, left).filter(|f| !f.log && f.activation == Activation::Softmax),
        }
    }

    /// Recognizes exp(z) · (1 / Σ exp(z)), clamp(z, 0, h) · (1 / h), and (1 + tanh(z / 2)) / 2.
    fn product(&self, value: ValueId) -> Option<Found> {
        if let Some((inner, factor)) = self.with_number(value, "Mul") {
            let half_and_tanh = || match self.with_number(inner, "Add") {
                Some((tanh, 1.0)) if factor == 0.5 => self.halved_in_tanh(tanh),
                _ => None,
            };
            return self.clamped(inner, factor).or_else(half_and_tanh);
        }
        let (a, b) = (self.input(value, 0)?, self.input(value, 1)?);
        [(a, b), (b, a)].into_iter().find_map(|(above, inverse)| {
            let z = self.of(above, "Exp")?;
            let summed = self.summed(self.of(inverse, "Reciprocal")?)?;
            self.same(summed, above).then(|| Found {
                logits: self.unshifted(z),
                activation: Activation::Softmax,
                log: false,
            })
        })
    }

    /// Recognizes clamp(z + c, 0, h) times a factor of 1/h.
    fn clamped(&self, value: ValueId, factor: f32) -> Option<Found> {
        let value = self.bare(value);
        let bounds = self.bounds(value)?;
        if bounds.low != 0.0 || (bounds.high * factor - 1.0).abs() > SMALL {
            return None;
        }
        let first = self.input(value, 0)?;
        let (logits, offset) = self.with_number(first, "Add").unwrap_or((first, 0.0));
        let activation = Activation::HardSigmoid { slope: factor, offset: offset * factor };
        Some(Found { logits, activation, log: false })
    }

    /// Recognizes the sigmoid in the form ½ + ½·tanh(z / 2).
    fn by_tanh(&self, value: ValueId) -> Option<Found> {
        match self.with_number(value, "Add")? {
            (half, 0.5) => match self.with_number(half, "Mul")? {
                (tanh, 0.5) => self.halved_in_tanh(tanh),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the logits z of a sigmoid that is written with tanh(z / 2).
    fn halved_in_tanh(&self, value: ValueId) -> Option<Found> {
        let half = self.of(value, "Tanh")?;
        let logits = match (self.with_number(half, "Mul"), self.bare(half)) {
            (Some((z, 0.5)), _) => z,
            (_, half) if self.op(half) == "Div" && self.number(self.input(half, 1)?) == Some(2.0) => {
                self.input(half, 0)?
            }
            _ => return None,
        };
        Some(Found { logits, activation: Activation::Sigmoid, log: false })
    }

    /// Recognizes the logarithm of softmax in the form z − log Σ exp(z).
    fn written_log_softmax(&self, value: ValueId) -> Option<Found> {
        let (z, norm) = (self.input(value, 0)?, self.bare(self.input(value, 1)?));
        let summed = match self.op(norm) {
            "ReduceLogSumExp" => self.input(norm, 0)?,
            "ReduceLogSum" => self.of(self.input(norm, 0)?, "Exp")?,
            "Log" => self.of(self.summed(self.input(norm, 0)?)?, "Exp")?,
            _ => return None,
        };
        self.same(summed, z).then(|| Found {
            logits: self.unshifted(z),
            activation: Activation::Softmax,
            log: true,
        })
    }

    /// Returns the operand of a sum over an axis.
    fn summed(&self, value: ValueId) -> Option<ValueId> {
        let value = if self.op(self.bare(value)) == "Expand" { self.of(value, "Expand")? } else { value };
        self.of(value, "ReduceSum")
    }

    /// Returns z before its maximum was subtracted. The subtraction keeps exponentials finite and changes no
    /// probability.
    fn unshifted(&self, value: ValueId) -> ValueId {
        let shifted = || {
            let bare = self.bare(value);
            if self.op(bare) != "Sub" {
                return None;
            }
            let z = self.input(bare, 0)?;
            let max = self.of(self.input(bare, 1)?, "ReduceMax")?;
            self.same(z, max).then_some(z)
        };
        shifted().unwrap_or(value)
    }

    /// Returns z if the value is 1 + exp(−z).
    fn one_and_exp_of_negative(&self, value: ValueId) -> Option<ValueId> {
        match self.with_number(value, "Add")? {
            (exp, 1.0) => self.negative(self.of(exp, "Exp")?),
            _ => None,
        }
    }

    /// Returns z if the value is −z.
    fn negative(&self, value: ValueId) -> Option<ValueId> {
        let bare = self.bare(value);
        match self.op(bare) {
            "Neg" => self.input(bare, 0),
            "Mul" => match self.with_number(bare, "Mul")? {
                (z, -1.0) => Some(z),
                _ => None,
            },
            "Sub" if self.number(self.input(bare, 0)?) == Some(0.0) => self.input(bare, 1),
            _ => None,
        }
    }

    /// Whether the classes of a value are independent, for a value computed only from probabilities (entries,
    /// complements and means of a softmax or sigmoid). They are if all probabilities come from a sigmoid.
    /// `None` for other values.
    fn probabilities(&self, value: ValueId, left: usize) -> Option<bool> {
        let left = left.checked_sub(1)?;
        let value = self.bare(value);
        if let Some(found) = self.activated(value, MAX_TAIL).filter(|found| !found.log) {
            return Some(found.activation != Activation::Softmax);
        }
        let of = |i: usize| self.probabilities(self.input(value, i)?, left);
        match self.op(value) {
            "Slice" | "Gather" | "Split" | "Clip" | "ReduceMean" => of(0),
            "Sub" if self.number(self.input(value, 0)?) == Some(1.0) => of(1),
            "Concat" | "Mean" => self.of_all(value, of),
            // The output is a mean, written as a sum of probabilities divided by their number.
            "Div" if self.number(self.input(value, 1)?).is_some_and(|n| n > 1.0) => {
                self.summed_probabilities(self.input(value, 0)?, left)
            }
            "Mul" => {
                let (sum, _) = self.with_number(value, "Mul").filter(|&(_, n)| n > 0.0 && n < 1.0)?;
                self.summed_probabilities(sum, left)
            }
            _ => None,
        }
    }

    fn summed_probabilities(&self, value: ValueId, left: usize) -> Option<bool> {
        let left = left.checked_sub(1)?;
        let bare = self.bare(value);
        match self.op(bare) {
            "Add" | "Sum" => self.of_all(bare, |i| {
                let term = self.input(bare, i)?;
                self.probabilities(term, left).or_else(|| self.summed_probabilities(term, left))
            }),
            _ => None,
        }
    }

    /// Returns whether `of` holds for every operand of a value, or `None` if it is unknown for one.
    fn of_all(&self, value: ValueId, of: impl Fn(usize) -> Option<bool>) -> Option<bool> {
        let node = &self.graph.nodes[self.graph.producer(value)?];
        (0..node.inputs.len()).try_fold(true, |all, i| Some(of(i)? && all))
    }
}

/// Largest constant that counts as added only to keep a logarithm or a quotient finite.
const SMALL: f32 = 1e-4;
