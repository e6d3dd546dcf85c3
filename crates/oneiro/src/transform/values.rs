//! Random parameters of transforms, and how their ranges change over a run.

use crate::rng::Stream;
use std::fmt;

/// The distribution of a transform's random parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Every entry is equally likely; an entry that occurs twice is twice as likely.
    List(Vec<f64>),
    /// A uniform distribution between two numbers.
    Uniform(f64, f64),
    /// Uniform between two bounds that change linearly over the run, from the first pair to the second.
    Schedule([f64; 2], [f64; 2]),
}

impl Values {
    /// Draws a number; returns `None` for an empty list. `progress` is 0 in the run's first step and 1 in its
    /// last.
    pub(super) fn draw(&self, rng: &mut Stream, progress: f32) -> Option<f64> {
        match self {
            Values::List(list) => list.get(rng.choice(list.len())).copied(),
            Values::Uniform(low, high) => Some(rng.uniform_in(*low, *high)),
            Values::Schedule(start, end) => {
                let t = f64::from(progress);
                // This form is exact at both ends of the run.
                let [low, high] = [0, 1].map(|k| (1.0 - t) * start[k] + t * end[k]);
                Some(rng.uniform_in(low, high))
            }
        }
    }

    /// Returns the largest number that can be drawn, but at least 0.
    pub(super) fn most(&self) -> f64 {
        match self {
            Values::List(list) => list.iter().copied().fold(0.0, f64::max),
            Values::Uniform(low, high) => low.max(*high).max(0.0),
            Values::Schedule(start, end) => start.iter().chain(end).copied().fold(0.0, f64::max),
        }
    }

    /// Returns the smallest number that can be drawn.
    pub(super) fn least(&self) -> f64 {
        match self {
            Values::List(list) => list.iter().copied().fold(f64::INFINITY, f64::min),
            Values::Uniform(low, high) => low.min(*high),
            Values::Schedule(start, end) => start.iter().chain(end).copied().fold(f64::INFINITY, f64::min),
        }
    }

    /// Parses `low..high`, `number,number,…` or `start->end`, where start and end are `low..high` or one
    /// number.
    pub(super) fn parse(list: &[&str], bounds: [f64; 2]) -> Result<Values, String> {
        let [one] = list else {
            let numbers = list.iter().map(|text| number(text, bounds));
            return Ok(Values::List(numbers.collect::<Result<_, _>>()?));
        };
        if let Some((start, end)) = one.split_once("->") {
            return Ok(Values::Schedule(range(start.trim(), bounds)?, range(end.trim(), bounds)?));
        }
        if one.contains("..") {
            let [low, high] = range(one, bounds)?;
            return Ok(Values::Uniform(low, high));
        }
        Ok(Values::List(vec![number(one, bounds)?]))
    }
}

/// Parses a number that must lie within bounds.
pub(super) fn number(text: &str, [low, high]: [f64; 2]) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{text} is not within {low} to {high}"))
    }
}

/// Parses `low..high`; one number serves as both.
fn range(text: &str, bounds: [f64; 2]) -> Result<[f64; 2], String> {
    let Some((low, high)) = text.split_once("..") else {
        let value = number(text, bounds)?;
        return Ok([value, value]);
    };
    let (low, high) = (number(low.trim(), bounds)?, number(high.trim(), bounds)?);
    if low > high { Err(format!("{low} is above {high}")) } else { Ok([low, high]) }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |[low, high]: &[f64; 2]| {
            if low == high { low.to_string() } else { format!("{low}..{high}") }
        };
        match self {
            Values::List(list) => f.write_str(&list.iter().map(f64::to_string).collect::<Vec<_>>().join(",")),
            Values::Uniform(low, high) => write!(f, "{low}..{high}"),
            Values::Schedule(from, to) => write!(f, "{}->{}", end(from), end(to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_goes_linearly_from_its_start_to_its_end() {
        let values = Values::parse(&["0.5->0.05"], [0.0, 1.0]).unwrap();
        let mut rng = Stream::new(0, 0);
        let mut at = |progress| values.draw(&mut rng, progress).unwrap();
        assert_eq!([at(0.0), at(1.0)], [0.5, 0.05]);
        assert!((at(0.5) - 0.275).abs() < 1e-12);
        let values = Values::parse(&["0.5..0.6->0.05..0.1"], [0.0, 1.0]).unwrap();
        for _ in 0..100 {
            assert!((0.5..0.6).contains(&values.draw(&mut rng, 0.0).unwrap()));
            assert!((0.05..0.1).contains(&values.draw(&mut rng, 1.0).unwrap()));
        }
        assert_eq!(values.most(), 0.6);
    }

    #[test]
    fn every_kind_takes_one_draw() {
        for text in ["1", "1,2,3", "1..2", "1->2", "1..2->3..4"] {
            let list: Vec<&str> = text.split(',').collect();
            let values = Values::parse(&list, [0.0, 9.0]).unwrap();
            assert_eq!(values.to_string(), text);
            let (mut used, mut other) = (Stream::new(1, 1), Stream::new(1, 1));
            values.draw(&mut used, 0.3).unwrap();
            other.bits();
            assert_eq!(used.bits(), other.bits(), "{text}");
        }
    }
}
