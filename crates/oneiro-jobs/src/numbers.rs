//! Formats, parses and summarizes numbers.

use serde::Serialize;

/// The reason why a text is no list of numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// A part of a list is no number.
    #[error("\"{part}\" is no whole number; use 0-15 or 5,12,40")]
    NoNumber {
        /// The part of the list.
        part: String,
    },
    /// The end of a range is before its beginning.
    #[error("the range {part} runs backwards")]
    Backwards {
        /// The range in the list.
        part: String,
    },
    /// A range in a list is too long.
    #[error("the range {part} is too long; at most {most} numbers fit")]
    TooLong {
        /// The range in the list.
        part: String,
        /// The largest length that is allowed for a range.
        most: u64,
    },
}

/// Rounds a number to six significant digits, for reports that people read.
pub fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Parses `0-15`, `5,12,40`, or a combination. `most` is the maximum length of a range.
///
/// # Errors
/// The error names the part that is no number and no range.
pub fn parse_list(text: &str, most: u64) -> Result<Vec<u64>, ListError> {
    let number = |t: &str| {
        let part = t.trim();
        part.parse::<u64>().map_err(|_| ListError::NoNumber { part: part.to_owned() })
    };
    let mut list = Vec::new();
    for part in text.split(',') {
        let Some((first, last)) = part.split_once('-') else {
            list.push(number(part)?);
            continue;
        };
        let (first, last, part) = (number(first)?, number(last)?, part.trim().to_owned());
        if last < first {
            return Err(ListError::Backwards { part });
        }
        if last - first >= most {
            return Err(ListError::TooLong { part, most });
        }
        list.extend(first..=last);
    }
    Ok(list)
}

/// Whether a setting is omitted in JSON, in which a missing setting means 0.
pub(crate) fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Returns the Euclidean norm of a vector.
pub(crate) fn norm(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// Formats a number with four significant digits. Zero has no sign.
pub fn short(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&x.abs()) {
        return format!("{x:.3e}");
    }
    let digits = (3 - x.abs().log10().floor() as i32).clamp(0, 9);
    format!("{x:.*}", digits as usize)
}

/// Formats a number as [`short`], with a plus if it is positive.
pub fn signed(x: f64) -> String {
    format!("{}{}", if x > 0.0 { "+" } else { "" }, short(x))
}

/// The mean of some values, and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean of the values.
    pub mean: f64,
    /// The standard deviation divided by the square root of the count; 0 for a single value.
    pub standard_error: f64,
    /// Number of values.
    pub count: usize,
}

impl Mean {
    /// Computes the mean of values; returns `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let standard_error = if n > 1 { (square / (n - 1) as f64).sqrt() / (n as f64).sqrt() } else { 0.0 };
        Some(Self { mean, standard_error, count: n })
    }
}

impl std::fmt::Display for Mean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let precision = f.precision().unwrap_or(3);
        match self.count {
            1 => write!(f, "{:.precision$}", self.mean),
            _ => write!(f, "{:.precision$} ± {:.precision$}", self.mean, self.standard_error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_mix_ranges_and_numbers() {
        assert_eq!(parse_list("0-2,7, 9", 10), Ok(vec![0, 1, 2, 7, 9]));
        for bad in ["", "a", "3-1", "1-", "-1", "0-10", "all,3"] {
            assert!(parse_list(bad, 10).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_have_four_digits_and_zero_no_sign() {
        let cases = [(0.0, "0"), (-0.0, "0"), (-3.374_4, "-3.374"), (123.456, "123.5"), (1e-6, "1.000e-6")];
        cases.into_iter().for_each(|(x, text)| assert_eq!(short(x), text));
    }

    #[test]
    fn means_come_with_their_standard_error() {
        let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(mean.mean, 2.5);
        // The standard deviation is 1.2910. It is divided by √4.
        assert!((mean.standard_error - 0.6455).abs() < 1e-4);
        assert_eq!(format!("{mean:.2}"), "2.50 ± 0.65");
        assert_eq!(Mean::of(&[]), None);
    }
}
