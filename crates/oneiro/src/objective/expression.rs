//! The text form of objectives.
//!
//! ```text
//! sum     = product (("+" | "-") product)*
//! product = factor ("*" factor)*
//! factor  = "-" factor | number | "(" sum ")" | name "(" argument ("," argument)* ")"
//! ```
//!
//! A layer's name stands as it is unless it holds a comma, a parenthesis, a quote or outer spaces; then it stands in
//! double quotes.

use std::str::FromStr;

use crate::objective::{Objective, Position, Term, TermKind};

/// Why an expression or a unit cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read \"{text}\": {why}")]
pub struct ExpressionError {
    /// The whole text.
    pub text: String,
    /// What is wrong, and where.
    pub why: String,
}

/// The terms that exist, as an error lists them.
const TERMS: &str = "channel(LAYER,C), neuron(LAYER,C[,Y,X]), layer(LAYER), logit(CLASS), prob(CLASS)";

/// What a class's name means: its index, or why there is none.
type ClassIndex<'a> = &'a dyn Fn(&str) -> Result<usize, String>;

/// Terms and operators beyond which an expression is taken for a mistake.
const MAX_PARTS: usize = 1000;

/// Nesting beyond which an expression is taken for a mistake.
const MAX_DEPTH: usize = 64;

/// A name in quotes if it needs them.
pub(super) fn quote(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.contains([',', '(', ')', '"', ':', '+', '*'])
        && !name.contains(char::is_whitespace);
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

impl FromStr for Objective {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        Self::parse(text, &|name| Err(format!("\"{name}\" should be a whole number")))
    }
}

impl Objective {
    /// Reads an expression in which classes may have names; `class_index` finds the output's index of one. What is a
    /// number is an index, whatever the names.
    ///
    /// # Errors
    /// What cannot be read and where, or what `class_index` says.
    pub fn parse(
        text: &str,
        class_index: &dyn Fn(&str) -> Result<usize, String>,
    ) -> Result<Self, ExpressionError> {
        let mut parser = Parser { text, at: 0, depth: 0, parts: 0, class_index };
        let parsed = parser.sum().and_then(|o| match parser.peek() {
            None => Ok(o),
            Some(c) => Err(format!("unexpected \"{c}\" at character {}", parser.column())),
        });
        parsed.map_err(|why| ExpressionError { text: text.to_owned(), why })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    parts: usize,
    class_index: ClassIndex<'a>,
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

    fn sum(&mut self) -> Result<Objective, String> {
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

    fn product(&mut self) -> Result<Objective, String> {
        let mut left = self.factor()?;
        while self.take('*') {
            left = left * self.factor()?;
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Objective, String> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(format!("more than {MAX_PARTS} terms"));
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

    fn number(&mut self) -> Result<Objective, String> {
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
        if number.is_finite() { Ok(Objective::Number(number)) } else { Err(format!("{text} is too large")) }
    }

    fn term(&mut self) -> Result<Objective, String> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, column) = (&rest[..end], self.column());
        self.at += end;
        if !self.take('(') {
            return Err(format!("a term is needed at character {column}: one of {TERMS}"));
        }
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.argument()?);
            if self.take(')') {
                break;
            }
            if !self.take(',') {
                return Err(format!("{name}(… is not closed"));
            }
        }
        build(name, &arguments, self.class_index)
    }

    /// A quoted text, or everything up to a comma or the closing parenthesis.
    fn argument(&mut self) -> Result<&'a str, String> {
        if self.take('"') {
            let rest = self.rest();
            let end = rest.find('"').ok_or("a quote is not closed")?;
            self.at += end + 1;
            return Ok(&rest[..end]);
        }
        self.peek();
        let rest = self.rest();
        let end = rest.find([',', ')', '(']).ok_or("a parenthesis is not closed")?;
        self.at += end;
        Ok(rest[..end].trim_end())
    }
}

fn build(name: &str, arguments: &[&str], class_index: ClassIndex<'_>) -> Result<Objective, String> {
    let number = |i: usize| -> Result<usize, String> {
        arguments[i].parse().map_err(|_| format!("{name}: \"{}\" should be a whole number", arguments[i]))
    };
    let numbers = |from: usize| (from..arguments.len()).map(number).collect::<Result<Vec<_>, _>>();
    let class = || match arguments[0] {
        "" => Err(format!("{name}: the class is missing")),
        class => class.parse().or_else(|_| class_index(class)).map_err(|why| format!("{name}: {why}")),
    };
    let layer = arguments[0].to_owned();
    let kind = match (name, arguments.len()) {
        ("channel", 2) => TermKind::Channel(number(1)?),
        ("neuron", 2) => TermKind::Neuron(number(1)?, Position::Center),
        ("neuron", 3..) => TermKind::Neuron(number(1)?, Position::At(numbers(2)?)),
        ("layer", 1) => TermKind::Layer,
        ("logit", 1) => return Ok(Objective::logit(class()?)),
        ("prob", 1) => return Ok(Objective::probability(class()?)),
        ("channel" | "neuron" | "layer" | "logit" | "prob", n) => {
            return Err(format!("{name} does not take {n} arguments; the terms are {TERMS}"));
        }
        _ => return Err(format!("there is no term \"{name}\"; the terms are {TERMS}")),
    };
    if layer.is_empty() {
        return Err(format!("{name}: the layer's name is missing"));
    }
    if layer.contains('"') {
        return Err(format!("{name}: a quote may only stand around a layer's name"));
    }
    Ok(Objective::Term(Term { layer, kind }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_and_exponents_are_read() {
        let o: Objective = "1e-2*logit(0) - 2.5*logit(1) + -3".parse().unwrap();
        assert_eq!(o.value(&mut [100.0, 2.0].into_iter()), 1.0 - 5.0 - 3.0);
        let o: Objective = "channel( /conv1/Conv_output_0 , 7)".parse().unwrap();
        assert_eq!(o, Objective::channel("/conv1/Conv_output_0", 7));
    }

    #[test]
    fn classes_may_have_names() {
        let index = |name: &str| match name {
            "goldfish" => Ok(1),
            "red fox, (Vulpes)" => Ok(277),
            _ => Err(format!("no class {name}")),
        };
        let parse = |text| Objective::parse(text, &index);
        let o = parse("logit(goldfish) - 2*prob(\"red fox, (Vulpes)\") + logit(7)").unwrap();
        assert_eq!(o.to_string(), "logit(1) - 2*prob(277) + logit(7)");
        assert!(parse("logit(dogfish)").unwrap_err().why.contains("no class dogfish"));
        assert!("logit(goldfish)".parse::<Objective>().unwrap_err().why.contains("whole number"));
    }

    #[test]
    fn errors_name_the_bad_part() {
        for (text, why) in [
            ("", "ends where"),
            ("chanel(a,1)", "no term \"chanel\""),
            ("channel(a)", "does not take 1"),
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
