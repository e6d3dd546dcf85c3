//! Lengths in pixels, or relative to the picture.

use std::fmt;

/// The largest length that may be given in pixels.
const MAX_PIXELS: usize = 4096;
/// The largest length that may be given in percent.
const MAX_PERCENT: f64 = 400.0;

/// A length in pixels or relative to the canvas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// A number of pixels.
    Pixels(usize),
    /// A percentage of the canvas's shorter side, rounded. The canvas has the size of the network's input.
    Percent(f64),
}

impl Length {
    /// Returns the number of pixels on a canvas of this height and width.
    pub fn on(self, canvas: [usize; 2]) -> usize {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Percent(percent) => (percent / 100.0 * canvas[0].min(canvas[1]) as f64).round() as usize,
        }
    }

    /// Parses a length such as `12` or `7.5%`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            return count(text, "pixels", MAX_PIXELS).map(Self::Pixels);
        };
        super::values::number(percent.trim(), [0.0, MAX_PERCENT]).map(Self::Percent)
    }
}

impl From<usize> for Length {
    fn from(pixels: usize) -> Self {
        Self::Pixels(pixels)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Parses an integer number of pixels.
pub(super) fn pixels(text: &str) -> Result<usize, String> {
    count(text, "pixels", MAX_PIXELS)
}

/// Parses an integer number of `unit` that is at most `most`.
pub(super) fn count(text: &str, unit: &str, most: usize) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| format!("`{text}` is not a whole number of {unit}"))?;
    if value > most { Err(format!("{value} {unit} are more than {most}")) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_the_shorter_side() {
        let tenth = Length::parse("10%").unwrap();
        assert_eq!([[160, 320], [32, 32], [4, 9]].map(|canvas| tenth.on(canvas)), [16, 3, 0]);
        assert_eq!(Length::parse("12").unwrap().on([3, 3]), 12);
        for text in ["12", "7.5%", "400%", "0"] {
            assert_eq!(Length::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "%", "-1", "-1%", "401%", "nan%", "1.5", "4097"] {
            assert!(Length::parse(wrong).is_err(), "{wrong}");
        }
    }
}
