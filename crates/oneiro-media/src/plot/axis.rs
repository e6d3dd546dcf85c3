//! Axes of plots: their range, the place of a value on them, and their round numbers.

/// Values farther from zero than this are gaps, like infinite ones, so that sums and spans of values stay
/// finite.
const MAX_VALUE: f64 = 1e300;
/// A range narrower than this share of its larger end counts as a single value, because `f64` has hardly any
/// numbers in between.
const MIN_RELATIVE_SPAN: f64 = 1e-12;
/// A range narrower than this counts as a single value, because `f64` loses precision near its smallest
/// numbers.
const MIN_SPAN: f64 = 1e-300;
/// Share of the data's range that is added as padding at each end of an axis.
const PADDING: f64 = 0.04;
/// Largest distance of a place from the axis, in axis lengths; places farther away are clamped to it.
const FAR_OUT: f64 = 1e6;
/// Axes whose numbers reach 10 to this power write them with a common power of ten.
const LARGE_EXPONENT: i32 = 6;
/// Axes whose numbers are of 10 to this power or smaller write them with a common power of ten.
const SMALL_EXPONENT: i32 = -4;
/// Logarithmic axes within 10 to ± this power write their numbers out instead of as powers of ten.
const PLAIN_EXPONENT: i32 = 3;
/// Logarithmic axes that span more decades than this have no small marks within the decades.
const MAX_MINOR_DECADES: i32 = 10;

/// An axis of a plot: the range of its values, or of their base-10 logarithms if it is logarithmic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    log: bool,
    from: f64,
    to: f64,
}

/// The numbers and marks beside an axis. Places are shares of the axis's length from its beginning.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ticks {
    pub(super) marks: Vec<(f64, String)>,
    /// Places of small marks without a number.
    pub(super) minor: Vec<f64>,
    /// The common factor of all numbers beside the axis, such as "×10⁶", if they have one.
    pub(super) factor: Option<String>,
}

impl Axis {
    /// Makes an axis from `from` to `to` without padding. Both must be finite, in order, and above zero if
    /// `log`.
    pub(super) fn exactly(log: bool, from: f64, to: f64) -> Axis {
        let scale = |value: f64| if log { value.log10() } else { value };
        Axis { log, from: scale(from), to: scale(to) }
    }

    /// Makes an axis around the data with padding. Without data it spans 0 to 1, or 1 to 10 if logarithmic.
    /// Around a single value some space is left. If `keep_sign` and all values have one sign, the padding
    /// does not extend the axis across zero.
    pub(super) fn around(log: bool, keep_sign: bool, values: impl Iterator<Item = f64>) -> Axis {
        let empty = Axis { log, from: 0.0, to: 1.0 };
        let known = values.filter_map(|value| empty.scale(value));
        let (low, high) =
            known.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return empty;
        }
        let (mut from, mut to) = (low, high);
        let largest = low.abs().max(high.abs());
        let span = high - low;
        if span <= (largest * MIN_RELATIVE_SPAN).max(MIN_SPAN) {
            (from, to) = match (log, largest > MIN_SPAN) {
                (false, true) => (low - largest / 10.0, high + largest / 10.0),
                (false, false) => (0.0, 1.0),
                (true, _) => (low - 0.5, high + 0.5),
            };
            return Axis { log, from, to };
        }
        (from, to) = (from - PADDING * span, to + PADDING * span);
        if keep_sign && !log && low >= 0.0 {
            from = from.max(0.0);
        }
        if keep_sign && !log && high <= 0.0 {
            to = to.min(0.0);
        }
        Axis { log, from, to }
    }

    /// Returns the value, or its logarithm on a logarithmic axis; `None` if the axis cannot show it.
    fn scale(&self, value: f64) -> Option<f64> {
        let known = value.abs() <= MAX_VALUE && (!self.log || value > 0.0);
        known.then(|| if self.log { value.log10() } else { value })
    }

    /// Returns the place of a value along the axis: 0 is its beginning, 1 its end. `None` for a gap: NaN, an
    /// infinite or nearly infinite value, and on a logarithmic axis zero and below.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let part = (self.scale(value)? - self.from) / (self.to - self.from);
        Some(part.clamp(-FAR_OUT, FAR_OUT))
    }

    /// Returns the value's place as [`Axis::place`] does, but the axis's beginning for values that a
    /// logarithmic axis cannot show. It places the lower ends of bars and bands.
    pub(super) fn place_or_foot(&self, value: f64) -> Option<f64> {
        if self.log && value <= 0.0 { Some(0.0) } else { self.place(value) }
    }

    /// Returns round numbers along the axis, about `most` at most.
    pub(super) fn ticks(&self, most: usize) -> Ticks {
        let most = most.max(2);
        if !self.log {
            return linear(self.from, self.to, most, |value| self.place(value));
        }
        let (first, last) = (self.from.ceil() as i32, self.to.floor() as i32);
        let decades = last - first + 1;
        if decades >= 2 {
            return self.decades(first, last, most);
        }
        let within: Vec<(i32, i32)> = (self.from.floor() as i32..=last)
            .flat_map(|decade| [(1, decade), (2, decade), (5, decade)])
            .filter(|&(digit, decade)| self.holds(digit, decade))
            .collect();
        if within.len() >= 2 {
            let mark = |&(digit, decade): &(i32, i32)| {
                let name = if decade.abs() <= PLAIN_EXPONENT {
                    number(f64::from(digit) * 10f64.powi(decade), (-decade).max(0))
                } else {
                    format!("{digit}×{}", power_of_ten(decade))
                };
                (self.part(digit, decade), name)
            };
            let minor = self.minor(self.from.floor() as i32, last);
            return Ticks { marks: within.iter().map(mark).collect(), minor, factor: None };
        }
        linear(10f64.powf(self.from), 10f64.powf(self.to), most, |value| self.place(value))
    }

    /// Returns marks at powers of ten on a logarithmic axis.
    fn decades(&self, first: i32, last: i32, most: usize) -> Ticks {
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        let stride = (last - first + 1).div_euclid(most) + i32::from((last - first + 1) % most != 0);
        let plain = first >= -PLAIN_EXPONENT && last <= PLAIN_EXPONENT;
        let name = |decade: i32| {
            if plain { number(10f64.powi(decade), (-decade).max(0)) } else { power_of_ten(decade) }
        };
        let marks = (first..=last)
            .filter(|decade| decade.rem_euclid(stride) == 0)
            .map(|decade| (self.part(1, decade), name(decade)))
            .collect();
        let minor = if stride > 1 {
            (first..=last).map(|decade| self.part(1, decade)).collect()
        } else if last - first <= MAX_MINOR_DECADES {
            self.minor(first - 1, last)
        } else {
            Vec::new()
        };
        Ticks { marks, minor, factor: None }
    }

    fn minor(&self, first: i32, last: i32) -> Vec<f64> {
        (first..=last)
            .flat_map(|decade| (2..=9).map(move |digit| (digit, decade)))
            .filter(|&(digit, decade)| self.holds(digit, decade))
            .map(|(digit, decade)| self.part(digit, decade))
            .collect()
    }

    /// Returns the place of `digit × 10^decade` on a logarithmic axis.
    fn part(&self, digit: i32, decade: i32) -> f64 {
        (f64::from(digit).log10() + f64::from(decade) - self.from) / (self.to - self.from)
    }

    fn holds(&self, digit: i32, decade: i32) -> bool {
        // Tolerance for rounding: the ends of the axis count as inside.
        (-1e-9..=1.0 + 1e-9).contains(&self.part(digit, decade))
    }
}

/// Returns the multiples of `digit × 10^exponent` between two values.
fn multiples(from: f64, to: f64, (digit, exponent): (i32, i32)) -> Vec<f64> {
    // Division by a power of ten rounds better than multiplication by its inverse: `3 / 10` is 0.3, `3 * 0.1`
    // is not.
    let multiple = |k: f64| {
        let whole = k * f64::from(digit);
        if exponent < 0 { whole / 10f64.powi(-exponent) } else { whole * 10f64.powi(exponent) }
    };
    let step = multiple(1.0);
    let (first, last) = ((from / step - 1e-9).ceil(), (to / step + 1e-9).floor());
    let count = (last - first).max(-1.0) as usize + 1;
    (0..count).map(|i| multiple(first + i as f64)).collect()
}

/// Returns marks at multiples of 1, 2 or 5 times a power of ten. A single mark shows no scale, so the next
/// finer step is taken if fewer than two fit.
fn linear(from: f64, to: f64, most: usize, place: impl Fn(f64) -> Option<f64>) -> Ticks {
    let mut step = nice_step(to - from, most);
    let mut values = multiples(from, to, step);
    while values.len() < 2 && to > from && step.1 > f64::MIN_10_EXP {
        step = finer(step);
        values = multiples(from, to, step);
    }
    let (_, exponent) = step;

    let largest = values.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let leading = if largest > 0.0 { largest.log10().floor() as i32 } else { 0 };
    let common = if (SMALL_EXPONENT + 1..LARGE_EXPONENT).contains(&leading) { 0 } else { leading };
    let decimals = (common - exponent).max(0);
    let marks = values.iter().filter_map(|&value| {
        let shown = if common < 0 { value * 10f64.powi(-common) } else { value / 10f64.powi(common) };
        Some((place(value)?, number(shown, decimals)))
    });
    let factor = (common != 0).then(|| format!("×{}", power_of_ten(common)));
    Ticks { marks: marks.collect(), minor: Vec::new(), factor }
}

/// Returns the smallest step of 1, 2 or 5 times a power of ten that fits at most `most` times into a span, as
/// digit and exponent.
fn nice_step(span: f64, most: usize) -> (i32, i32) {
    let coarse = span / most as f64;
    let exponent = coarse.log10().floor() as i32;
    let leading = coarse / 10f64.powi(exponent);
    // The tolerance keeps a digit that the division's rounding made slightly larger.
    match [1, 2, 5].into_iter().find(|&digit| leading <= f64::from(digit) * (1.0 + 1e-9)) {
        Some(digit) => (digit, exponent),
        None => (1, exponent + 1),
    }
}

/// Returns the next smaller step: 5, 2 and 1 times a power of ten follow each other.
fn finer((digit, exponent): (i32, i32)) -> (i32, i32) {
    match digit {
        5 => (2, exponent),
        2 => (1, exponent),
        _ => (5, exponent - 1),
    }
}

/// Formats a number with a fixed count of decimals and the Unicode minus sign; zero has no sign.
fn number(value: f64, decimals: i32) -> String {
    let decimals = usize::try_from(decimals).unwrap_or(0);
    let written = format!("{:.decimals$}", value.abs());
    let is_zero = written.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value < 0.0 && !is_zero { format!("−{written}") } else { written }
}

/// Formats a power of ten with a raised exponent: "10⁻³".
fn power_of_ten(exponent: i32) -> String {
    let plain = exponent.to_string();
    let raised = plain.chars().map(|c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁰',
    });
    "10".chars().chain(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ticks: &Ticks) -> Vec<&str> {
        ticks.marks.iter().map(|(_, name)| name.as_str()).collect()
    }

    #[test]
    fn steps_are_one_two_or_five_times_a_power_of_ten() {
        for (span, most, expected) in [
            (1.0, 10, (1, -1)),
            (1.0, 5, (2, -1)),
            (1.0, 4, (5, -1)),
            (100.0, 7, (2, 1)),
            (0.3, 3, (1, -1)),
            (7.0, 4, (2, 0)),
            (6.1, 1, (1, 1)),
            (1e-200, 5, (2, -201)),
        ] {
            assert_eq!(nice_step(span, most), expected, "{span} in {most}");
        }
    }

    #[test]
    fn numbers_beside_an_axis_are_round_and_in_their_places() {
        let cases: [(f64, f64, &[&str], Option<&str>); 8] = [
            (0.0, 1.0, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"], None),
            (-3.0, 3.5, &["−2", "0", "2"], None),
            (0.0, 250_000.0, &["0", "50000", "100000", "150000", "200000", "250000"], None),
            (0.0, 3e7, &["0", "1", "2", "3"], Some("×10⁷")),
            (0.0, 0.0005, &["0", "1", "2", "3", "4", "5"], Some("×10⁻⁴")),
            (0.0, 0.005, &["0.000", "0.001", "0.002", "0.003", "0.004", "0.005"], None),
            (-1e-3, 2e-3, &["−0.001", "0.000", "0.001", "0.002"], None),
            (
                1e9,
                1e9 + 4.0,
                &["1.000000000", "1.000000001", "1.000000002", "1.000000003", "1.000000004"],
                Some("×10⁹"),
            ),
        ];
        for (from, to, expected, factor) in cases {
            let ticks = Axis::exactly(false, from, to).ticks(5);
            assert_eq!(names(&ticks), expected, "{from} to {to}");
            assert_eq!(ticks.factor.as_deref(), factor, "{from} to {to}");
        }
        let ticks = Axis::exactly(false, 10.0, 20.0).ticks(5);
        let places: Vec<f64> = ticks.marks.iter().map(|mark| mark.0).collect();
        assert!(places.iter().zip([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn an_axis_has_two_marks_at_least() {
        for (from, to, expected) in [
            (0.0, 4.9, &["0", "2", "4"][..]),
            (0.0, 0.9, &["0.0", "0.5"]),
            (-0.35, 0.45, &["−0.2", "0.0", "0.2", "0.4"]),
        ] {
            assert_eq!(names(&Axis::exactly(false, from, to).ticks(2)), expected, "{from} to {to}");
        }
        for i in 1..400 {
            let to = 1.07f64.powi(i - 200);
            assert!(Axis::exactly(false, 0.0, to).ticks(2).marks.len() >= 2, "0 to {to}");
        }
    }

    #[test]
    fn logarithmic_axes_have_powers_of_ten_or_what_lies_between_them() {
        let cases: [(f64, f64, &[&str]); 5] = [
            (0.01, 100.0, &["0.01", "0.1", "1", "10", "100"]),
            (1e-8, 1e-3, &["10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³"]),
            (1e-12, 1e11, &["10⁻¹²", "10⁻⁸", "10⁻⁴", "10⁰", "10⁴", "10⁸"]),
            (2.0, 60.0, &["2", "5", "10", "20", "50"]),
            (3.0, 4.0, &["3.0", "3.2", "3.4", "3.6", "3.8", "4.0"]),
        ];
        for (from, to, expected) in cases {
            let ticks = Axis::exactly(true, from, to).ticks(6);
            assert_eq!(names(&ticks), expected, "{from} to {to}");
            assert!(ticks.marks.iter().all(|(place, _)| (-1e-6..=1.0 + 1e-6).contains(place)));
        }
        let axis = Axis::exactly(true, 0.01, 100.0);
        assert!((axis.place(1.0).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!((axis.place(0.0), axis.place(-1.0), axis.place_or_foot(-1.0)), (None, None, Some(0.0)));
    }

    #[test]
    fn ranges_leave_out_gaps_and_have_a_width() {
        let around = |values: &[f64]| Axis::around(false, true, values.iter().copied());
        assert_eq!(around(&[]), Axis { log: false, from: 0.0, to: 1.0 });
        assert_eq!(around(&[f64::NAN, f64::INFINITY, -1e305]), around(&[]));
        assert_eq!(around(&[0.0, 0.0]), Axis { log: false, from: 0.0, to: 1.0 });
        assert_eq!(around(&[5.0]), Axis { log: false, from: 4.5, to: 5.5 });
        assert_eq!(around(&[0.0, 100.0]), Axis { log: false, from: 0.0, to: 104.0 });
        assert_eq!(around(&[-100.0, 100.0]), Axis { log: false, from: -108.0, to: 108.0 });
        for extreme in [[-1e300, 1e300], [0.0, 5e-324], [1.0, 1.0 + f64::EPSILON], [1e-299, 3e-299]] {
            for log in [false, true] {
                let axis = Axis::around(log, false, extreme.into_iter());
                assert!(axis.to > axis.from, "{extreme:?}");
                let ticks = axis.ticks(6);
                assert!((1..=12).contains(&ticks.marks.len()), "{extreme:?}: {:?}", names(&ticks));
            }
        }
    }
}
