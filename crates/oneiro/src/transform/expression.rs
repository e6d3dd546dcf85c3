//! Chains as text: `pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)`.
//!
//! Printing a chain and reading it again gives the same chain.

use super::{Chain, LUCID_FILL, PadMode, Transform, Values};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// How each transform is written.
const FORMS: [&str; 7] = [
    "pad(pixels) or pad(pixels,reflect)",
    "jitter(pixels)",
    "roll(pixels)",
    "scale(low..high) or scale(factor,factor,…)",
    "rotate(low..high) or rotate(degrees,degrees,…)",
    "canvas(height,width)",
    "fill(value) or fill(red,green,blue)",
];
/// The text of a chain without members.
const NONE: &str = "none";
/// Bounds on what a person can ask for, against slips of the keyboard that would ask for gigabytes.
const MAX_PIXELS: usize = 4096;
const SCALE_BOUNDS: [f64; 2] = [0.05, 8.0];
const DEGREE_BOUNDS: [f64; 2] = [-360.0, 360.0];
/// Fill colours are display units, or pixels per frame for flow.
const FILL_BOUNDS: [f64; 2] = [-1000.0, 1000.0];

/// Why a text is no chain of transforms.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransformError {
    /// A name that no transform has.
    #[error("`{0}` is no transform; there are {forms}, or `none` alone", forms = FORMS.join("; "))]
    UnknownName(String),
    /// A part that is not `name(arguments)`.
    #[error(
        "`{0}` is not of the form name(arguments); transforms are joined by `|`, as in pad(12)|jitter(8)"
    )]
    Form(String),
    /// An argument that does not fit.
    #[error("in `{part}`: {problem}; it is written {form}")]
    Argument {
        /// The part of the expression.
        part: String,
        /// What is wrong with it.
        problem: String,
        /// How this transform is written.
        form: &'static str,
    },
}

impl Chain {
    /// Reads a chain: `name(arguments)` joined by `|`, or `none`.
    ///
    /// | written | is |
    /// |---|---|
    /// | `pad(12)`, `pad(12,reflect)` | [`Transform::Pad`] |
    /// | `jitter(8)` | [`Transform::Jitter`] |
    /// | `roll(16)` | [`Transform::Roll`] |
    /// | `scale(0.9..1.1)`, `scale(0.9,1,1.1)` | [`Transform::Scale`], uniform or from a list |
    /// | `rotate(-10..10)`, `rotate(-5,0,5)` | [`Transform::Rotate`], degrees |
    /// | `canvas(224,224)` | [`Transform::Canvas`] |
    /// | `fill(0.5)`, `fill(0.48,0.46,0.41)` | the colour outside ([`Chain::fill`]), wherever it stands; 0.5 without it |
    pub fn parse(text: &str) -> Result<Chain, TransformError> {
        let mut chain = Chain::none();
        let mut has_fill = false;
        if matches!(text.trim(), "" | NONE) {
            return Ok(chain);
        }
        for part in text.split('|').map(str::trim) {
            let (name, arguments) = part
                .strip_suffix(')')
                .and_then(|part| part.split_once('('))
                .map(|(name, arguments)| (name.trim(), arguments))
                .ok_or_else(|| TransformError::Form(part.to_string()))?;
            let form = FORMS.into_iter().find(|form| form.split('(').next() == Some(name));
            let form = form.ok_or_else(|| TransformError::UnknownName(name.to_string()))?;
            let fail = |problem: String| TransformError::Argument { part: part.to_string(), problem, form };
            let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
            let transform = match (name, arguments.as_slice()) {
                ("pad", [p]) => Transform::Pad(pixels(p).map_err(fail)?, PadMode::Fill),
                ("pad", [p, "reflect"]) => Transform::Pad(pixels(p).map_err(fail)?, PadMode::Reflect),
                ("pad", [_, mode]) => return Err(fail(format!("`{mode}` is no way to pad"))),
                ("jitter", [j]) => Transform::Jitter(pixels(j).map_err(fail)?),
                ("roll", [j]) => Transform::Roll(pixels(j).map_err(fail)?),
                ("scale", list) => Transform::Scale(values(list, SCALE_BOUNDS).map_err(fail)?),
                ("rotate", list) => Transform::Rotate(values(list, DEGREE_BOUNDS).map_err(fail)?),
                ("canvas", [height, width]) => {
                    let (height, width) = (pixels(height).map_err(fail)?, pixels(width).map_err(fail)?);
                    if height * width == 0 {
                        return Err(fail("a canvas needs at least one pixel".to_string()));
                    }
                    Transform::Canvas(height, width)
                }
                ("fill", list) => {
                    if std::mem::replace(&mut has_fill, true) {
                        return Err(fail("the colour outside is given twice".to_string()));
                    }
                    let colors = list.iter().map(|text| Ok(number(text, FILL_BOUNDS)? as f32));
                    chain.fill = colors.collect::<Result<_, String>>().map_err(fail)?;
                    continue;
                }
                (_, list) => return Err(fail(format!("{} arguments do not fit", list.len()))),
            };
            chain.transforms.push(transform);
        }
        Ok(chain)
    }
}

fn pixels(text: &str) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| format!("`{text}` is not a whole number of pixels"))?;
    if value > MAX_PIXELS { Err(format!("{value} pixels are more than {MAX_PIXELS}")) } else { Ok(value) }
}

fn number(text: &str, [low, high]: [f64; 2]) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{text} is not within {low} to {high}"))
    }
}

fn values(list: &[&str], bounds: [f64; 2]) -> Result<Values, String> {
    let [range] = list else {
        return Ok(Values::List(list.iter().map(|text| number(text, bounds)).collect::<Result<_, _>>()?));
    };
    let Some((low, high)) = range.split_once("..") else {
        return Ok(Values::List(vec![number(range, bounds)?]));
    };
    let (low, high) = (number(low.trim(), bounds)?, number(high.trim(), bounds)?);
    if low > high { Err(format!("{low} is above {high}")) } else { Ok(Values::Uniform(low, high)) }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fill = (self.fill != [LUCID_FILL]).then(|| format!("fill({})", comma_list(&self.fill)));
        let parts: Vec<String> =
            fill.into_iter().chain(self.transforms.iter().map(Transform::to_string)).collect();
        f.write_str(if parts.is_empty() { NONE } else { "" })?;
        f.write_str(&parts.join("|"))
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transform::Pad(p, PadMode::Fill) => write!(f, "pad({p})"),
            Transform::Pad(p, PadMode::Reflect) => write!(f, "pad({p},reflect)"),
            Transform::Jitter(j) => write!(f, "jitter({j})"),
            Transform::Roll(j) => write!(f, "roll({j})"),
            Transform::Scale(values) => write!(f, "scale({values})"),
            Transform::Rotate(values) => write!(f, "rotate({values})"),
            Transform::Canvas(height, width) => write!(f, "canvas({height},{width})"),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Values::List(list) => f.write_str(&comma_list(list)),
            Values::Uniform(low, high) => write!(f, "{low}..{high}"),
        }
    }
}

fn comma_list<T: ToString>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

impl FromStr for Chain {
    type Err = TransformError;

    fn from_str(text: &str) -> Result<Chain, TransformError> {
        Chain::parse(text)
    }
}

impl TryFrom<String> for Chain {
    type Error = TransformError;

    fn try_from(text: String) -> Result<Chain, TransformError> {
        Chain::parse(&text)
    }
}

impl From<Chain> for String {
    fn from(chain: Chain) -> String {
        chain.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_as_the_same_chain() {
        let texts = [
            "none",
            "pad(3,reflect)|roll(4)|canvas(20,30)",
            "scale(0.9..1.1)|rotate(-10..10)",
            "fill(0.1,0.7,1)",
        ];
        for text in texts {
            assert_eq!(Chain::parse(text).unwrap().to_string(), text);
        }
        for chain in [Chain::none(), Chain::lucid(), Chain::conveiro(&[0.485, 0.4580, 0.40392157])] {
            assert_eq!(chain.to_string().parse::<Chain>().unwrap(), chain);
        }
    }

    #[test]
    fn space_and_short_numbers_are_welcome() {
        let chain = Chain::parse(" pad( 2 ) | scale( .9 .. 1.1 )|rotate(-5, 0 ,5) | fill(.25)").unwrap();
        assert_eq!(chain.to_string(), "fill(0.25)|pad(2)|scale(0.9..1.1)|rotate(-5,0,5)");
        assert_eq!(Chain::parse("  ").unwrap(), Chain::none());
    }

    #[test]
    fn errors_name_the_bad_part() {
        let cases = [
            ("pad(12)|shake(3)", "`shake` is no transform", "jitter(pixels)"),
            ("pad", "`pad` is not of the form", ""),
            ("pad(1)||roll(2)", "`` is not of the form", ""),
            ("pad(1.5)", "in `pad(1.5)`: `1.5` is not a whole number", "pad(pixels)"),
            ("pad(-1)", "`-1` is not a whole number", ""),
            ("pad(9999999)", "more than 4096", ""),
            ("pad(1,mirror)", "`mirror` is no way to pad", "pad(pixels,reflect)"),
            ("jitter(1,2)", "2 arguments do not fit", ""),
            ("jitter()", "`` is not a whole number", ""),
            ("scale(1.1..0.9)", "1.1 is above 0.9", ""),
            ("scale(0)", "0 is not within 0.05 to 8", ""),
            ("scale(nan)", "not within", ""),
            ("scale(a..b)", "`a` is not a number", ""),
            ("rotate(1e9)", "not within -360 to 360", ""),
            ("canvas(0,3)", "at least one pixel", ""),
            ("fill(0)|fill(1)", "given twice", ""),
        ];
        for (text, problem, hint) in cases {
            let message = Chain::parse(text).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains(hint), "{text}: {message}");
        }
    }
}
