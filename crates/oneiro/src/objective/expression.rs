//! Reads objectives from their text form.
//!
//! ```text
//! sum     = product (("+" | "-") product)*
//! product = factor ("*" factor)*
//! factor  = "-" factor | number | "(" sum ")" | name "(" argument ("," argument)* ")"
//! ```
//!
//! An argument is a number, a name, a list `[1,2,3]`, or `key=value`. A name needs double quotes only if it
//! contains a comma, a parenthesis, a quote or outer spaces. `arguments` defines the arguments of each term.

use std::str::FromStr;

use crate::objective::arguments::{self, Argument, TERMS};
use crate::objective::fault::Fault;
use crate::objective::{LookupError, NameLookup, NoNames, Objective};

/// The reason why an expression or a unit cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read \"{text}\": {why}")]
#[non_exhaustive]
pub struct ExpressionError {
    /// The whole text that was to be read.
    pub text: String,
    /// What is wrong in the text, and where.
    pub why: String,
    /// The name that could not be resolved, if this is the reason.
    pub name: Option<Box<LookupError>>,
}

/// Most terms and operators. A longer expression is refused as a mistake.
const MAX_PARTS: usize = 1000;

/// Deepest nesting. A deeper expression is refused as a mistake.
const MAX_DEPTH: usize = 64;

impl FromStr for Objective {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        Self::parse(text, &NoNames)
    }
}

impl Objective {
    /// Parses an expression with names of classes, pictures and vectors, which `sources` resolves. A number
    /// is always an index, even if a class has the same name.
    ///
    /// # Errors
    /// If the text cannot be parsed, or `sources` cannot resolve a name.
    pub fn parse(text: &str, sources: &dyn NameLookup) -> Result<Self, ExpressionError> {
        let mut parser = Parser { text, at: 0, depth: 0, parts: 0, sources };
        let parsed = parser.sum().and_then(|o| match parser.peek() {
            None => Ok(o),
            Some(c) => Err(format!("unexpected \"{c}\" at character {}", parser.column()).into()),
        });
        parsed.map_err(|Fault { why, name }| ExpressionError { text: text.to_owned(), why, name })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    parts: usize,
    sources: &'a dyn NameLookup,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn column(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    fn peek(&mut self) -> Option<char> {
        self.at += self.rest().len() - self.rest().trim_start().len();
        self.rest().chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn sum(&mut self) -> Result<Objective, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("too deeply nested".into());
        }
        let mut left = self.product()?;
        loop {
            if self.take('+') {
                left = left + self.product()?;
            } else if self.take('-') {
                left = left - self.product()?;
            } else {
                self.depth -= 1;
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Objective, Fault> {
        let mut left = self.factor()?;
        while self.take('*') {
            left = left * self.factor()?;
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Objective, Fault> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(format!("more than {MAX_PARTS} terms").into());
        }
        match self.peek() {
            None => Err("it ends where a term should stand".into()),
            Some('-') => {
                self.at += 1;
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err("too deeply nested".into());
                }
                let negative = -self.factor()?;
                self.depth -= 1;
                Ok(negative)
            }
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                if self.take(')') { Ok(inner) } else { Err("a parenthesis is not closed".into()) }
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(_) => self.term(),
        }
    }

    fn number(&mut self) -> Result<Objective, Fault> {
        let rest = self.rest();
        let mut end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let exponent = rest[end..].strip_prefix(['e', 'E']);
        if let Some(tail) = exponent {
            let digits = tail.strip_prefix(['+', '-']).unwrap_or(tail);
            let count = digits.chars().take_while(char::is_ascii_digit).count();
            if count > 0 {
                end = rest.len() - digits.len() + count;
            }
        }
        let text = &rest[..end];
        self.at += end;
        let number: f64 = text.parse().map_err(|_| format!("\"{text}\" is not a number"))?;
        match number.is_finite() {
            true => Ok(Objective::Number(number)),
            false => Err(format!("{text} is too large").into()),
        }
    }

    fn term(&mut self) -> Result<Objective, Fault> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, column) = (&rest[..end], self.column());
        self.at += end;
        let mut list = Vec::new();
        if self.take('(') {
            loop {
                list.push(self.argument()?);
                if self.take(')') {
                    break;
                }
                if !self.take(',') {
                    return Err(format!("{name}(… is not closed").into());
                }
            }
        } else if !arguments::stands_alone(name) {
            return Err(format!("a term is needed at character {column}: one of {TERMS}").into());
        }
        Ok(arguments::build(name, &list, self.sources)?.into())
    }

    /// Parses a quoted text, a list in brackets, or everything up to a comma or the closing parenthesis. A
    /// key may precede it.
    fn argument(&mut self) -> Result<Argument<'a>, Fault> {
        self.peek();
        let rest = self.rest();
        let word = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let after = rest[word..].trim_start();
        let mut key = None;
        if word > 0 && after.starts_with('=') {
            key = Some(&rest[..word]);
            self.at += rest.len() - after.len() + 1;
        }
        if self.take('"') {
            let rest = self.rest();
            let end = rest.find('"').ok_or("a quote is not closed")?;
            self.at += end + 1;
            return Ok(Argument { key, text: &rest[..end] });
        }
        self.peek();
        let rest = self.rest();
        let end = if rest.starts_with('[') {
            rest.find(']').ok_or("a bracket is not closed")? + 1
        } else {
            rest.find([',', ')', '(']).ok_or("a parenthesis is not closed")?
        };
        self.at += end;
        Ok(Argument { key, text: rest[..end].trim_end() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Reference;
    use std::sync::Arc;

    #[test]
    fn precedence_and_exponents_are_read() {
        let o: Objective = "1e-2*logit(0) - 2.5*logit(1) + -3".parse().unwrap();
        assert_eq!(o.value(&mut [100.0, 2.0].into_iter()), 1.0 - 5.0 - 3.0);
        let o: Objective = "channel( /conv1/Conv_output_0 , 7)".parse().unwrap();
        assert_eq!(o, Objective::channel("/conv1/Conv_output_0", 7));
    }

    #[test]
    fn classes_may_have_names() {
        struct Classes;
        impl NameLookup for Classes {
            fn class(&self, name: &str) -> Result<usize, LookupError> {
                match name {
                    "goldfish" => Ok(1),
                    "red fox, (Vulpes)" => Ok(277),
                    _ => {
                        let why = format!("no class {name}");
                        Err(LookupError::Class { name: name.to_owned(), nearest: vec![], why })
                    }
                }
            }
            fn picture(&self, name: &str) -> Result<Reference, LookupError> {
                NoNames.picture(name)
            }
            fn vector(&self, name: &str) -> Result<Arc<[f32]>, LookupError> {
                NoNames.vector(name)
            }
        }
        let parse = |text| Objective::parse(text, &Classes);
        let o = parse("logit(goldfish) - 2*prob(\"red fox, (Vulpes)\") + logit(7)").unwrap();
        assert_eq!(o.to_string(), "logit(1) - 2*prob(277) + logit(7)");
        let unknown = parse("logit(dogfish)").unwrap_err();
        assert_eq!(unknown.why, "logit: no class dogfish");
        assert!(
            matches!(unknown.name.as_deref(), Some(LookupError::Class { name, .. }) if name == "dogfish")
        );
        assert!("logit(goldfish)".parse::<Objective>().unwrap_err().why.contains("whole number"));
    }

    #[test]
    fn errors_name_the_bad_part() {
        for (text, why) in [
            ("", "ends where"),
            ("chanel(a,1)", "no term \"chanel\""),
            ("channel(a)", "channel: a number is missing"),
            ("channel(a,1,2)", "\"2\" is one argument too many"),
            ("channel(a,1,width=2)", "there is no \"width=\""),
            ("neuron(a,1,center=3)", "neuron takes no center="),
            ("channel(a,1,channels=0-1)", "takes no channels="),
            ("direction(a,[1],at=0/0,center=2)", "at= is one position"),
            ("channel(a,1,center=2,center=3)", "center= is given twice"),
            ("direction(a,[1,x])", "\"x\" is not a number"),
            ("direction(a,[])", "the list is empty"),
            ("direction(a,[1,2)", "bracket is not closed"),
            ("inversion(a)", "inversion: the picture is missing"),
            ("inversion(a,x.png)", "cannot be read here"),
            ("tv(a,b)", "\"b\" is one argument too many"),
            ("alpha_norm", "alpha_norm: a number is missing"),
            ("layer(a,channels=4-2)", "runs backwards"),
            ("tv(0.5)", "at least 1"),
            ("channel(a,-1)", "\"-1\" should be a whole number"),
            ("channel(a,1", "not closed"),
            ("channel(\"a,1)", "quote is not closed"),
            ("logit(1) logit(2)", "unexpected \"l\""),
            ("(logit(1)", "parenthesis is not closed"),
            ("1..2", "not a number"),
            ("channel(,2)", "name is missing"),
            ("channel(a\"b,2)", "a quote may only stand"),
            ("5 +", "ends where"),
            ("1e999", "too large"),
        ] {
            let error = text.parse::<Objective>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let deep = "(".repeat(100_000);
        assert!(deep.parse::<Objective>().unwrap_err().to_string().contains("nested"));
        let long = format!("1{}", "+1".repeat(100_000));
        assert!(long.parse::<Objective>().unwrap_err().to_string().contains("1000 terms"));
        let minus = "-".repeat(100_000);
        assert!(minus.parse::<Objective>().unwrap_err().to_string().contains("nested"));
    }
}
