//! Objectives: the scalars that a rendering maximises, with their derivatives with respect to activations.
//!
//! A [`Term`] names a quantity of a layer, as data. Once the layer's shape is known, it becomes a measure
//! (`objective/measure`). A measure reads the activations of a single batch entry and returns a value. It
//! adds `weight` times its derivative to that entry's seed. A few terms couple a batch: they do this for all
//! entries together. Terms form an algebra (sum, difference, product, multiples). Derivatives with respect to
//! each term follow by the chain rule. Every objective prints as an expression from which it can be parsed
//! again. Class names in an expression ([`Objective::parse`]) become indices. Pictures and vectors are read
//! by [`NameLookup`] and stored in the objective.
//!
//! ```
//! use oneiro::objective::Objective;
//! let o: Objective = "channel(conv4_3,5) + 0.5*neuron(\"a:0\",9)".parse()?;
//! assert_eq!(o.to_string(), "channel(conv4_3,5) + 0.5*neuron(\"a:0\",9)");
//! # Ok::<(), oneiro::objective::ExpressionError>(())
//! ```

use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

mod arguments;
mod expression;
mod fault;
pub(crate) mod measure;
mod quote;
mod reference;
mod term;
mod term_error;
mod unit;

pub use expression::ExpressionError;
pub use reference::{AnyNames, LookupError, NameLookup, NoNames, Reference};
pub use term::{Direction, Penalty, Position, Reads, Region, Term, TermKind, Toward};
pub use term_error::TermError;
pub use unit::{Unit, UnitTarget};

/// An objective: an expression over terms, which a rendering maximises.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// One quantity of a layer, such as a channel's mean.
    Term(Box<Term>),
    /// A constant number.
    Number(f64),
    /// The sum of two objectives.
    Sum(Box<Objective>, Box<Objective>),
    /// The first objective minus the second.
    Difference(Box<Objective>, Box<Objective>),
    /// The product of two objectives.
    Product(Box<Objective>, Box<Objective>),
    /// The negative of an objective.
    Negative(Box<Objective>),
}

impl Objective {
    /// Whether the objective subtracts a quantity of the network.
    pub fn subtracts(&self) -> bool {
        let is_number = |objective: &Self| objective.terms().is_empty();
        match self {
            Self::Term(_) | Self::Number(_) => false,
            Self::Sum(a, b) => a.subtracts() || b.subtracts(),
            Self::Difference(a, b) => a.subtracts() || b.subtracts() || !is_number(b),
            Self::Product(a, b) => {
                let is_negative = |factor: &Self| matches!(factor, Self::Number(x) if *x < 0.0);
                a.subtracts() || b.subtracts() || is_negative(a) || is_negative(b)
            }
            Self::Negative(of) => of.subtracts() || !is_number(of),
        }
    }

    /// The mean of a channel over all positions.
    pub fn channel(layer: impl Into<String>, channel: usize) -> Self {
        Term::new(layer, TermKind::Channel(channel)).into()
    }

    /// Creates the objective of one activation of a channel.
    pub fn neuron(layer: impl Into<String>, channel: usize, position: Position) -> Self {
        Term::new(layer, TermKind::Neuron(channel, position)).into()
    }

    /// The mean square of a layer: DeepDream's objective.
    pub fn layer(layer: impl Into<String>) -> Self {
        Term::new(layer, TermKind::Layer).into()
    }

    /// The logit of a class: its entry in the output before softmax.
    pub fn logit(class: usize) -> Self {
        Term::new("", TermKind::Logit(class)).into()
    }

    /// Creates the objective of a class's probability.
    pub fn probability(class: usize) -> Self {
        Term::new("", TermKind::Probability(class)).into()
    }

    /// Whether any term compares with a picture.
    pub fn compares(&self) -> bool {
        self.terms().iter().any(|t| !t.references().is_empty())
    }

    /// All terms of the expression, from left to right.
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

    /// The terms from left to right, for changes.
    pub fn terms_mut(&mut self) -> Vec<&mut Term> {
        match self {
            Self::Term(t) => vec![t],
            Self::Number(_) => vec![],
            Self::Negative(a) => a.terms_mut(),
            Self::Sum(a, b) | Self::Difference(a, b) | Self::Product(a, b) => {
                let mut terms = a.terms_mut();
                terms.extend(b.terms_mut());
                terms
            }
        }
    }

    /// Whether the values of pictures with this objective depend on other pictures of the batch.
    pub fn couples(&self) -> bool {
        self.terms().iter().any(|t| t.reads() == Reads::Batch)
    }

    /// Returns an error unless every term reads only the network's activations for one picture. Penalties
    /// read the picture itself, and other terms read the whole batch. `what` names the technique that needs
    /// this.
    ///
    /// # Errors
    /// An error that names the first term that reads anything else.
    pub fn require_network_alone(&self, what: &str) -> crate::Result<()> {
        let why = |reads| match reads {
            Reads::Input => Some("a penalty on the picture says nothing of the network"),
            Reads::Batch => Some("it compares the pictures of a batch, and here is one"),
            Reads::Layer | Reads::Output => None,
        };
        match self.terms().iter().find_map(|term| Some((term, why(term.reads())?))) {
            None => Ok(()),
            Some((term, why)) => {
                let (term, place) = (term.to_string(), what.to_owned());
                Err(TermError::NotHere { term, place, why }.into())
            }
        }
    }

    /// Returns `n` objectives between a and b for the pictures of a batch: the k-th is (1 − k/(n−1))·a +
    /// k/(n−1)·b.
    pub fn interpolation(a: &Self, b: &Self, n: usize) -> Vec<Self> {
        let step = |k: usize| match k as f64 / n.saturating_sub(1).max(1) as f64 {
            0.0 => a.clone(),
            1.0 => b.clone(),
            t => (1.0 - t) * a.clone() + t * b.clone(),
        };
        (0..n).map(step).collect()
    }

    /// Computes the expression from the values of its terms, in the order of [`Objective::terms`].
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

    /// Appends to `out` the derivatives of the expression with respect to its terms, times `weight`.
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

impl From<Term> for Objective {
    fn from(term: Term) -> Self {
        Self::Term(Box::new(term))
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
        // Parentheses are written only where parsing would otherwise group the text differently.
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
        let of_pictures = [
            "direction(a,[1,-0.5,2],p=2,at=3/4)",
            "direction(a,v.npy,minus=b.png,center=5)",
            "direction(a,\"odd = name.png\",p=1.5,at=center)",
            "inversion(conv3,cat.png,center=5,channels=0-95,mask=m.png)",
            "caricature(a,cat.png,2) - 0.5*style(a,b.png) + guide(a,c.png)",
            "difference(a,cat.png)",
            "diversity(a) + alignment(b)",
            "layer(a) - 0.1*l1 - l2 - tv - tv(1.5) - alpha_norm(6) - blur - opacity",
            "l1(a) + tv(b) + alpha_norm(3,c)",
        ];
        for text in of_pictures {
            let o = Objective::parse(text, &AnyNames).unwrap();
            assert_eq!(o.to_string(), text);
            assert_eq!(Objective::parse(&o.to_string(), &AnyNames).unwrap(), o);
        }
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
