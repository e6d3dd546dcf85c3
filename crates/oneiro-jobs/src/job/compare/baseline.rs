//! Where a number of two units stands among the same numbers of the first and all others of a layer.

use super::reader::Reader;
use super::report::Baseline;

/// Other units without which there is no baseline.
const FEWEST: usize = 8;

/// The units with which those of a layer are compared: A and B.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub units: [&'a Reader; 2],
    /// Whether B is a class.
    pub is_class: bool,
}

impl Pair<'_> {
    /// Where the number of B stands among those of the other channels of its layer, given the numbers of A
    /// with all of them. `None` if B is no whole channel, or there are few others.
    pub(super) fn baseline(&self, numbers: &[Option<f64>]) -> Option<Baseline> {
        let [a, b] = self.units;
        let own = b.channel()?;
        let of = if self.is_class { "classes" } else { "channels" };
        Baseline::among(of, numbers, own, a.channel().filter(|_| a.value == b.value))
    }
}

impl Baseline {
    /// Where the number of one unit stands among the others, without that of A, if A is one of them.
    fn among(of: &'static str, numbers: &[Option<f64>], own: usize, a: Option<usize>) -> Option<Self> {
        let of_b = numbers.get(own).copied().flatten()?;
        let others = numbers.iter().enumerate().filter(|(i, _)| *i != own && Some(*i) != a);
        let mut others: Vec<f64> = others.filter_map(|(_, number)| *number).collect();
        if others.len() < FEWEST {
            return None;
        }
        others.sort_by(f64::total_cmp);
        let middle = others.len() / 2;
        let median = match others.len() % 2 {
            0 => (others[middle - 1] + others[middle]) / 2.0,
            _ => others[middle],
        };
        let smaller = others.iter().filter(|number| **number < of_b).count();
        Some(Self { of, others: others.len(), smaller, median })
    }

    /// Share of the other units with a smaller number.
    pub(super) fn share(&self) -> f64 {
        self.smaller as f64 / self.others.max(1) as f64
    }

    /// Where the number stands, in words.
    pub(super) fn words(&self) -> String {
        let Self { of, others, smaller, median } = self;
        let whose = match *smaller {
            0 => format!("lower than or equal to A's with all {others} other {of}"),
            all if all == *others => format!("higher than A's with all {others} other {of}"),
            // Rounded down, so that a hundred means all.
            some => format!("higher than A's with {} % of the {others} other {of}", 100 * some / others),
        };
        format!("{whose}, median {:.2}", (median * 100.0).round() / 100.0 + 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_unit_is_its_own_baseline() {
        let mut numbers: Vec<Option<f64>> = (0..10).map(|i| Some(f64::from(i) / 10.0)).collect();
        let found = Baseline::among("channels", &numbers, 7, Some(9)).unwrap();
        assert_eq!((found.others, found.smaller, found.median), (8, 7, 0.35));
        assert_eq!(Baseline::among("channels", &numbers, 9, None).map(|of| of.smaller), Some(9));
        // Constant units have no number, and too few others are no baseline.
        numbers[0] = None;
        assert!(Baseline::among("channels", &numbers, 7, Some(9)).is_none());
        assert!(Baseline::among("channels", &numbers, 0, None).is_none());
    }

    #[test]
    fn a_number_stands_among_those_of_the_other_units() {
        let of = |smaller| Baseline { of: "classes", others: 998, smaller, median: -0.001 };
        assert_eq!(of(0).words(), "lower than or equal to A's with all 998 other classes, median 0.00");
        assert_eq!(of(998).words(), "higher than A's with all 998 other classes, median 0.00");
        assert_eq!(of(997).words(), "higher than A's with 99 % of the 998 other classes, median 0.00");
    }
}
