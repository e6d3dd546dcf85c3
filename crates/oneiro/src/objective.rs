//! Objectives: what is maximised. Activations → value and seed gradients.
//!
//! One shape for every term: it reads the activations of ONE batch entry at its layer, gives a value, and adds
//! `weight` times its derivative to the seed of that entry. Terms form an algebra (sum, difference, product,
//! multiples) whose derivative with respect to each term is found by the chain rule over the few scalars involved.
//! Every objective prints as the expression that makes it again. Classes that have names in an expression
//! ([`Objective::parse`]) have their index in the objective.
//!
//! ```
//! use oneiro::objective::Objective;
//! let o: Objective = "channel(conv4_3,5) + 0.5*neuron(\"a:0\",9)".parse()?;
//! assert_eq!(o.to_string(), "channel(conv4_3,5) + 0.5*neuron(\"a:0\",9)");
//! # Ok::<(), oneiro::objective::ExpressionError>(())
//! ```

use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

mod expression;
mod term;
mod unit;

pub use expression::ExpressionError;
pub use term::{Position, Term, TermKind};
pub use unit::{Unit, UnitTarget};

/// An expression over terms.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// A term of a layer.
    Term(Term),
    /// A number.
    Number(f64),
    /// The sum of two.
    Sum(Box<Objective>, Box<Objective>),
    /// The first less the second.
    Difference(Box<Objective>, Box<Objective>),
    /// The product of two.
    Product(Box<Objective>, Box<Objective>),
    /// The opposite.
    Negative(Box<Objective>),
}

impl Objective {
    /// The mean of a channel over all positions.
    pub fn channel(layer: impl Into<String>, channel: usize) -> Self {
        Self::Term(Term { layer: layer.into(), kind: TermKind::Channel(channel) })
    }

    /// One activation; in the centre by default.
    pub fn neuron(layer: impl Into<String>, channel: usize, position: Position) -> Self {
        Self::Term(Term { layer: layer.into(), kind: TermKind::Neuron(channel, position) })
    }

    /// The mean square of a layer: DeepDream's objective.
    pub fn layer(layer: impl Into<String>) -> Self {
        Self::Term(Term { layer: layer.into(), kind: TermKind::Layer })
    }

    /// The output's entry of a class, before softmax.
    pub fn logit(class: usize) -> Self {
        Self::Term(Term { layer: String::new(), kind: TermKind::Logit(class) })
    }

    /// The probability of a class.
    pub fn probability(class: usize) -> Self {
        Self::Term(Term { layer: String::new(), kind: TermKind::Probability(class) })
    }

    /// The terms, from left to right.
    pub fn terms(&self) -> Vec<&Term> {
        match self {
            Self::Term(t) => vec![t],
            Self::Number(_) => vec![],
            Self::Negative(a) => a.terms(),
            Self::Sum(a, b) | Self::Difference(a, b) | Self::Product(a, b) => {
                let mut terms = a.terms();
                terms.extend(b.terms());
                terms
            }
        }
    }

    /// Value of the expression given the values of its terms, in the order of [`Objective::terms`].
    pub fn value(&self, terms: &mut impl Iterator<Item = f64>) -> f64 {
        match self {
            Self::Term(_) => terms.next().unwrap_or(f64::NAN),
            Self::Number(x) => *x,
            Self::Negative(a) => -a.value(terms),
            Self::Sum(a, b) => a.value(terms) + b.value(terms),
            Self::Difference(a, b) => a.value(terms) - b.value(terms),
            Self::Product(a, b) => a.value(terms) * b.value(terms),
        }
    }

    /// Derivatives of the expression with respect to its terms, times `weight`, appended to `out`.
    pub fn derivatives(&self, terms: &[f64], weight: f64, out: &mut Vec<f64>) {
        let split = |a: &Objective| terms.split_at(a.terms().len());
        match self {
            Self::Term(_) => out.push(weight),
            Self::Number(_) => {}
            Self::Negative(a) => a.derivatives(terms, -weight, out),
            Self::Sum(a, b) | Self::Difference(a, b) => {
                let (left, right) = split(a);
                let sign = if matches!(self, Self::Sum(..)) { 1.0 } else { -1.0 };
                a.derivatives(left, weight, out);
                b.derivatives(right, sign * weight, out);
            }
            Self::Product(a, b) => {
                let (left, right) = split(a);
                a.derivatives(left, weight * b.value(&mut right.iter().copied()), out);
                b.derivatives(right, weight * a.value(&mut left.iter().copied()), out);
            }
        }
    }
}

impl Add for Objective {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::Sum(Box::new(self), Box::new(other))
    }
}

impl Sub for Objective {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::Difference(Box::new(self), Box::new(other))
    }
}

impl Mul for Objective {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self::Product(Box::new(self), Box::new(other))
    }
}

impl Mul<Objective> for f64 {
    type Output = Objective;
    fn mul(self, other: Objective) -> Objective {
        Objective::Number(self) * other
    }
}

impl Neg for Objective {
    type Output = Self;
    fn neg(self) -> Self {
        Self::Negative(Box::new(self))
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parentheses only where reading the text again would otherwise group it differently.
        let factor = |o: &Objective| match o {
            Self::Sum(..) | Self::Difference(..) => format!("({o})"),
            _ => o.to_string(),
        };
        match self {
            Self::Term(t) => write!(f, "{t}"),
            Self::Number(x) => write!(f, "{x}"),
            Self::Negative(a) => write!(f, "-{}", factor(a)),
            Self::Sum(a, b) => match b.as_ref() {
                Self::Sum(..) | Self::Difference(..) => write!(f, "{a} + ({b})"),
                _ => write!(f, "{a} + {b}"),
            },
            Self::Difference(a, b) => write!(f, "{a} - {}", factor(b)),
            Self::Product(a, b) => match b.as_ref() {
                Self::Product(..) => write!(f, "{}*({b})", factor(a)),
                _ => write!(f, "{}*{}", factor(a), factor(b)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algebra_follows_the_chain_rule() {
        let (a, b) = (Objective::logit(0), Objective::logit(1));
        let o = 2.0 * (a.clone() + b.clone()) * b.clone() - -(a * b);
        let terms = [3.0, 5.0, 5.0, 3.0, 5.0];
        assert_eq!(o.value(&mut terms.iter().copied()), 2.0 * 8.0 * 5.0 + 15.0);
        let mut d = Vec::new();
        o.derivatives(&terms, 1.0, &mut d);
        assert_eq!(d, [10.0, 10.0, 16.0, 5.0, 3.0]);
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same_objective() {
        for text in [
            "channel(conv4_3,5) + 0.5*channel(conv4_3,9) - 0.01*layer(\"odd (name)\")",
            "-(logit(3) - prob(4))*neuron(a,1,2,3)",
            "logit(1)*(logit(2)*logit(3)) + (logit(4) - logit(5))",
            "neuron(conv3d,1,2,3,4)",
        ] {
            let o: Objective = text.parse().unwrap();
            assert_eq!(o.to_string(), text);
            assert_eq!(o.to_string().parse::<Objective>().unwrap(), o);
        }
    }
}
