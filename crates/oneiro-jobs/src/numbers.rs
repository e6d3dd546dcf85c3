//! Numbers as people read them.

use serde::Serialize;

/// Four significant digits.
pub fn short(x: f64) -> String {
    if x != 0.0 && !(1e-4..1e6).contains(&x.abs()) {
        return format!("{x:.3e}");
    }
    let digits = if x == 0.0 { 0 } else { (3 - x.abs().log10().floor() as i32).clamp(0, 9) };
    format!("{x:.*}", digits as usize)
}

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Deviation over the root of the count; 0 of a single value.
    pub standard_error: f64,
    /// How many numbers.
    pub count: usize,
}

impl Mean {
    /// Of numbers; `None` of none.
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
    fn means_come_with_their_standard_error() {
        let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(mean.mean, 2.5);
        // s = 1.2910, divided by √4.
        assert!((mean.standard_error - 0.6455).abs() < 1e-4);
        assert_eq!(format!("{mean:.2}"), "2.50 ± 0.65");
        assert_eq!(Mean::of(&[]), None);
    }
}
