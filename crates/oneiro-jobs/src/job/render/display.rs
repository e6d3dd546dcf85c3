//! Which values of an optimised picture are shown as black and as white. This changes only the pixels of
//! files; no reported value of a picture depends on it.

use std::fmt;
use std::str::FromStr;

use oneiro_media::{Image, Levels};
use serde::{Deserialize, Serialize};

use super::{Finished, colors};
use crate::error::Result;

/// Share of the values that [`Display::Auto`] shows as black or white, half of it each. Unbounded pixels have
/// a few outliers, without which all other values would be nearly the same grey.
const OUTSIDE: f64 = 0.01;
/// Standard deviation of the values with [`Display::Standardize`] (`visstd`, Conveiro's `deep_dream.py`).
const DEVIATION: f64 = 0.3;

/// How optimised pixel values are displayed as colours.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Display {
    /// The value 0 is black, and 1 is white.
    #[default]
    Clip,
    /// In each picture, black and white are near the picture's own smallest and largest values.
    Auto,
    /// In all pictures, black and white are near the smallest and largest values of all.
    AutoShared,
    /// Each picture is shifted and scaled to a mean of one half and a fixed standard deviation.
    Standardize,
    /// The first value is black, and the second is white.
    Range(f32, f32),
}

impl fmt::Display for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clip => f.write_str("clip"),
            Self::Auto => f.write_str("auto"),
            Self::AutoShared => f.write_str("auto-shared"),
            Self::Standardize => f.write_str("standardize"),
            Self::Range(low, high) => write!(f, "{low}..{high}"),
        }
    }
}

impl FromStr for Display {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |t: &str| t.trim().parse::<f32>().ok();
        match text.trim() {
            "clip" => Ok(Self::Clip),
            "auto" => Ok(Self::Auto),
            "auto-shared" => Ok(Self::AutoShared),
            "standardize" => Ok(Self::Standardize),
            other => {
                let Some((low, high)) = other.split_once("..").and_then(|(l, h)| number(l).zip(number(h)))
                else {
                    return Err(
                        "use clip, auto, auto-shared, standardize, or LOW..HIGH such as -0.2..1.2".into()
                    );
                };
                Levels::new(low, high).map_err(|e| e.to_string())?;
                Ok(Self::Range(low, high))
            }
        }
    }
}

impl TryFrom<String> for Display {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Display> for String {
    fn from(display: Display) -> Self {
        display.to_string()
    }
}

impl Display {
    /// Whether pixel values are displayed unchanged.
    pub fn is_clip(&self) -> bool {
        *self == Self::Clip
    }

    /// Returns the values of black and white; `None` if pictures are shown unchanged.
    fn levels(self, values: Vec<f32>) -> Result<Option<Levels>> {
        Ok(match self {
            Self::Clip => None,
            Self::Auto | Self::AutoShared => Some(Levels::around(values, OUTSIDE)?),
            Self::Standardize => Some(Levels::standardizing(&values, DEVIATION)?),
            Self::Range(black, white) => Some(Levels::new(black, white)?),
        })
    }

    /// Returns an opaque picture as displayed, with its own values of black and white.
    pub fn show(self, image: Image) -> Result<Image> {
        Ok(match self.levels(if self.is_clip() { Vec::new() } else { image.data.clone() })? {
            None => image,
            Some(levels) => levels.apply(&image),
        })
    }

    /// Determines the values of black and white of all pictures and stores them in the reports.
    pub fn settle(self, finished: &mut [Finished]) -> Result<()> {
        if self.is_clip() {
            return Ok(());
        }
        let mut common = Vec::new();
        if self == Self::AutoShared {
            for result in finished.iter() {
                common.extend(visible_values(result)?);
            }
        }
        let shared = if common.is_empty() { None } else { self.levels(common)? };
        for result in finished {
            let levels = match shared {
                Some(levels) => Some(levels),
                None => self.levels(visible_values(result)?)?,
            };
            result.report.display = self;
            result.report.display_range = levels.map(|l| [l.black(), l.white()]);
        }
        Ok(())
    }
}

/// Replaces black and white shared by several pictures by fixed values. A file contains these values because
/// it must be possible to recreate its picture without the others.
pub fn pin_shared(finished: &mut [Finished]) {
    for report in finished.iter_mut().map(|f| &mut f.report) {
        if let (Display::AutoShared, Some([black, white])) = (report.display, report.display_range) {
            report.display = Display::Range(black, white);
        }
    }
}

/// Returns the colour values of a picture, without fully transparent pixels.
fn visible_values(result: &Finished) -> Result<Vec<f32>> {
    let image = colors(&result.rendered.images)?;
    Ok(match &result.alpha {
        Some(alpha) if alpha.iter().any(|a| *a > 0.0) => {
            let seen = image.data.iter().zip(alpha.iter().cycle()).filter(|(_, a)| **a > 0.0);
            seen.map(|(v, _)| *v).collect()
        }
        _ => image.data,
    })
}

impl Finished {
    /// Returns the rendered picture as it is displayed.
    pub fn shown(&self) -> Result<Image> {
        match self.report.display_range {
            None => Ok(self.picture.clone()),
            Some([black, white]) => Ok(Levels::new(black, white)?.apply(&colors(&self.rendered.images)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_show_are_read_as_they_are_written() {
        for text in
            ["clip", "auto", "auto-shared", "standardize", "-0.2..1.2", "0.31415927..1000000", "-1..-0.5"]
        {
            assert_eq!(text.parse::<Display>().unwrap().to_string(), text);
        }
        for bad in ["", "fixed", "1..0", "0..0", "0..", "..1", "0..inf", "nan..1", "0-1", "--json"] {
            assert!(bad.parse::<Display>().is_err(), "{bad}");
        }
    }

    #[test]
    fn pictures_that_are_clipped_are_not_touched() {
        let image = Image::rgb(1, 1, vec![-1.0, 0.5, 2.0]).unwrap();
        assert_eq!(Display::Clip.show(image.clone()).unwrap(), image);
        assert_eq!(Display::Range(-1.0, 2.0).show(image).unwrap().data, [0.0, 0.5, 1.0]);
    }
}
