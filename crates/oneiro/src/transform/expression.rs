//! Reads chains of transforms from text: `pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)`.
//!
//! Formatting a chain and parsing the text gives the same chain.

use super::length::{Length, count, pixels};
use super::values::number;
use super::{Chain, LUCID_FILL, Mask, PadMode, Transform, Values};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Each transform's name and notation.
const FORMS: [(&str, &str); 16] = [
    ("pad", "pad(length) or pad(length,reflect), in pixels or percent of the side"),
    ("jitter", "jitter(length), in pixels or percent of the side"),
    ("roll", "roll(pixels) or roll(textures)"),
    ("scale", "scale(low..high) or scale(factor,factor,…)"),
    ("rotate", "rotate(low..high) or rotate(degrees,degrees,…)"),
    ("crop", "crop(low..high) or, changing over the run, crop(start->end)"),
    ("noise", "noise(sigma)"),
    ("uniform", "uniform(amplitude)"),
    ("blur", "blur(sigma) or blur(low..high)"),
    ("flip", "flip or flip(probability)"),
    ("mask", "mask(circle,radius) or mask(box,fraction)"),
    ("canvas", "canvas(height,width)"),
    ("tjitter", "tjitter(frames)"),
    ("tcrop", "tcrop(low..high)"),
    ("speed", "speed(low..high)"),
    ("fill", "fill(value) or fill(red,green,blue)"),
];
/// The text that stands for a chain without transforms.
const NONE: &str = "none";
/// Probability with which `flip` without an argument mirrors.
const FAIR: f64 = 0.5;
/// Bounds on arguments, so that a typing error requests neither gigabytes nor an empty image.
const MAX_FRAMES: usize = 4096;
const SCALE_BOUNDS: [f64; 2] = [0.05, 8.0];
const DEGREE_BOUNDS: [f64; 2] = [-360.0, 360.0];
/// Bounds on fractions of a side, or of a clip's length.
const PART_BOUNDS: [f64; 2] = [0.01, 1.0];
/// A circle that touches the corners of a square has a radius of √2 half sides.
const RADIUS_BOUNDS: [f64; 2] = [0.05, 2.0];
const BLUR_BOUNDS: [f64; 2] = [0.0, 64.0];
const SPEED_BOUNDS: [f64; 2] = [0.1, 10.0];
/// Fill colours are in display units, or in pixels per frame for optical flow; noise is in the same units.
const FILL_BOUNDS: [f64; 2] = [-1000.0, 1000.0];
const NOISE_BOUNDS: [f64; 2] = [0.0, 1000.0];

/// The reason why a text is no chain of transforms.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransformError {
    /// The text contains a name that no transform has.
    #[error("`{0}` is no transform; there are {forms}, or `none` alone", forms = all_forms())]
    UnknownName(String),
    /// The text contains a part that is not of the form `name(arguments)`.
    #[error(
        "`{0}` is not of the form name(arguments); transforms are joined by `|`, as in pad(12)|jitter(8)"
    )]
    Form(String),
    /// An argument is not valid for its transform.
    #[error("in `{part}`: {problem}; it is written {form}")]
    Argument {
        /// The part of the expression that contains the argument.
        part: String,
        /// What is wrong with the argument.
        problem: String,
        /// How the transform is written.
        form: &'static str,
    },
}

impl Chain {
    /// Parses a chain: `name(arguments)` joined by `|`, or `none`.
    ///
    /// | notation | meaning |
    /// |---|---|
    /// | `pad(12)`, `pad(12,reflect)`, `pad(40%)` | [`Transform::Pad`] |
    /// | `jitter(8)`, `jitter(10%)` | [`Transform::Jitter`] |
    /// | `roll(16)`, `roll(textures)` | [`Transform::Roll`], [`Transform::RollTextures`] |
    /// | `scale(0.9..1.1)`, `scale(0.9,1,1.1)` | [`Transform::Scale`], uniform or from a list |
    /// | `rotate(-10..10)`, `rotate(-5,0,5)` | [`Transform::Rotate`], degrees |
    /// | `crop(0.2..0.25)` | [`Transform::Crop`] |
    /// | `noise(0.08)`, `uniform(0.04)` | [`Transform::Noise`], [`Transform::UniformNoise`] |
    /// | `blur(1)`, `blur(0.5..2)` | [`Transform::Blur`] |
    /// | `flip`, `flip(0.3)` | [`Transform::Flip`], with probability ½ or the given one |
    /// | `mask(circle,0.9)`, `mask(box,0.8)` | [`Transform::Mask`] |
    /// | `canvas(224,224)` | [`Transform::Canvas`] |
    /// | `tjitter(4)` | [`Transform::FrameJitter`] |
    /// | `tcrop(0.7..1)` | [`Transform::FrameCrop`] |
    /// | `speed(0.8..1.25)` | [`Transform::Speed`] |
    /// | `fill(0.5)`, `fill(0.48,0.46,0.41)` | the colour outside the image ([`Chain::fill`]), anywhere in the chain; by default 0.5 |
    ///
    /// An argument that accepts `low..high` also accepts one number, a list, and a schedule over the run:
    /// `crop(0.5->0.05)`, `blur(1..3->0..0.5)` ([`Values::Schedule`]).
    ///
    /// # Errors
    /// If a part cannot be read. The error names the part and the correct notation.
    pub fn parse(text: &str) -> Result<Chain, TransformError> {
        let mut chain = Chain::none();
        let mut has_fill = false;
        if matches!(text.trim(), "" | NONE) {
            return Ok(chain);
        }
        for part in text.split('|').map(str::trim) {
            let (name, arguments) = split_part(part).ok_or_else(|| TransformError::Form(part.to_string()))?;
            let form = FORMS.into_iter().find(|(known, _)| *known == name).map(|(_, form)| form);
            let form = form.ok_or_else(|| TransformError::UnknownName(name.to_string()))?;
            let fail = |problem: String| TransformError::Argument { part: part.to_string(), problem, form };
            if name == "fill" {
                if std::mem::replace(&mut has_fill, true) {
                    return Err(fail("the colour outside is given twice".to_string()));
                }
                let colors = arguments.iter().map(|text| Ok(number(text, FILL_BOUNDS)? as f32));
                chain.fill = colors.collect::<Result<_, String>>().map_err(fail)?;
            } else {
                chain.transforms.push(read(name, &arguments).map_err(fail)?);
            }
        }
        Ok(chain)
    }
}

/// Splits a part into its name and its arguments.
fn split_part(part: &str) -> Option<(&str, Vec<&str>)> {
    if part == "flip" {
        return Some((part, Vec::new()));
    }
    let (name, arguments) = part.strip_suffix(')')?.split_once('(')?;
    Some((name.trim(), arguments.split(',').map(str::trim).collect()))
}

/// Returns the transform of a known name, or what is wrong with its arguments.
fn read(name: &str, arguments: &[&str]) -> Result<Transform, String> {
    let values = |bounds| Values::parse(arguments, bounds);
    Ok(match (name, arguments) {
        ("pad", [p]) => Transform::Pad(Length::parse(p)?, PadMode::Fill),
        ("pad", [p, "reflect"]) => Transform::Pad(Length::parse(p)?, PadMode::Reflect),
        ("pad", [_, mode]) => return Err(format!("`{mode}` is no way to pad")),
        ("jitter", [j]) => Transform::Jitter(Length::parse(j)?),
        ("roll", ["textures"]) => Transform::RollTextures,
        ("roll", [j]) => Transform::Roll(pixels(j)?),
        ("scale", _) => Transform::Scale(values(SCALE_BOUNDS)?),
        ("rotate", _) => Transform::Rotate(values(DEGREE_BOUNDS)?),
        ("crop", _) => Transform::Crop(values(PART_BOUNDS)?),
        ("noise", _) => Transform::Noise(values(NOISE_BOUNDS)?),
        ("uniform", _) => Transform::UniformNoise(values(NOISE_BOUNDS)?),
        ("blur", _) => Transform::Blur(values(BLUR_BOUNDS)?),
        ("flip", []) => Transform::Flip(FAIR),
        ("flip", [probability]) => Transform::Flip(number(probability, [0.0, 1.0])?),
        ("mask", ["circle", radius]) => Transform::Mask(Mask::Circle(number(radius, RADIUS_BOUNDS)?)),
        ("mask", ["box", part]) => Transform::Mask(Mask::Box(number(part, PART_BOUNDS)?)),
        ("mask", [window, ..]) => {
            return Err(format!("`{window}` with {} more does not fit", arguments.len() - 1));
        }
        ("canvas", [height, width]) => {
            let (height, width) = (pixels(height)?, pixels(width)?);
            if height * width == 0 {
                return Err("a canvas needs at least one pixel".to_string());
            }
            Transform::Canvas(height, width)
        }
        ("tjitter", [n]) => Transform::FrameJitter(count(n, "frames", MAX_FRAMES)?),
        ("tcrop", _) => Transform::FrameCrop(values(PART_BOUNDS)?),
        ("speed", _) => Transform::Speed(values(SPEED_BOUNDS)?),
        _ => return Err(format!("{} arguments do not fit", arguments.len())),
    })
}

fn all_forms() -> String {
    FORMS.map(|(_, form)| form).join("; ")
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
            Transform::RollTextures => f.write_str("roll(textures)"),
            Transform::Scale(values) => write!(f, "scale({values})"),
            Transform::Rotate(values) => write!(f, "rotate({values})"),
            Transform::Crop(values) => write!(f, "crop({values})"),
            Transform::Noise(values) => write!(f, "noise({values})"),
            Transform::UniformNoise(values) => write!(f, "uniform({values})"),
            Transform::Blur(values) => write!(f, "blur({values})"),
            Transform::Flip(FAIR) => f.write_str("flip"),
            Transform::Flip(probability) => write!(f, "flip({probability})"),
            Transform::Mask(Mask::Circle(radius)) => write!(f, "mask(circle,{radius})"),
            Transform::Mask(Mask::Box(part)) => write!(f, "mask(box,{part})"),
            Transform::FrameJitter(n) => write!(f, "tjitter({n})"),
            Transform::FrameCrop(values) => write!(f, "tcrop({values})"),
            Transform::Speed(values) => write!(f, "speed({values})"),
            Transform::Canvas(height, width) => write!(f, "canvas({height},{width})"),
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
            "crop(0.2..0.25)|noise(0.08)|uniform(0.04)|blur(0.5..2)|blur(1)",
            "crop(0.5->0.05)|crop(0.5..0.6->0.05..0.1)|rotate(-10..10->-1..1)|rotate(-10->-5)",
            "flip|flip(0.25)|flip(0)|mask(circle,0.9)|mask(box,0.75)",
            "tjitter(4)|tcrop(0.7..1)|speed(0.8..1.25)|speed(2->1)",
        ];
        for text in texts {
            assert_eq!(Chain::parse(text).unwrap().to_string(), text);
        }
        for chain in [
            Chain::none(),
            Chain::oneiro(),
            Chain::lucid(),
            Chain::conveiro(&[0.485, 0.4580, 0.40392157]),
            Chain::maco_xplique(),
            Chain::maco_horama(),
        ] {
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
            ("pad(12)|shake(3)", "`shake` is no transform", "jitter(length)"),
            ("pad", "`pad` is not of the form", ""),
            ("pad(1)||roll(2)", "`` is not of the form", ""),
            ("pad(1.5)", "in `pad(1.5)`: `1.5` is not a whole number", "pad(length)"),
            ("pad(-1)", "`-1` is not a whole number", ""),
            ("pad(9999999)", "more than 4096", ""),
            ("pad(1,mirror)", "`mirror` is no way to pad", "pad(length,reflect)"),
            ("jitter(1,2)", "2 arguments do not fit", ""),
            ("jitter()", "`` is not a whole number", ""),
            ("scale(1.1..0.9)", "1.1 is above 0.9", ""),
            ("scale(0)", "0 is not within 0.05 to 8", ""),
            ("scale(nan)", "not within", ""),
            ("scale(a..b)", "`a` is not a number", ""),
            ("rotate(1e9)", "not within -360 to 360", ""),
            ("canvas(0,3)", "at least one pixel", ""),
            ("fill(0)|fill(1)", "given twice", ""),
            ("shake(3)", "tjitter(frames)", "mask(circle,radius) or mask(box,fraction)"),
            ("crop(1.2)", "1.2 is not within 0.01 to 1", "crop(start->end)"),
            ("crop(0.5->)", "`` is not a number", ""),
            ("crop(0.5->0.1->0.2)", "`0.1->0.2` is not a number", ""),
            ("crop(0.5..0.4->0.1)", "0.5 is above 0.4", ""),
            ("noise(-1)", "-1 is not within 0 to 1000", "noise(sigma)"),
            ("blur(65)", "65 is not within 0 to 64", "blur(low..high)"),
            ("flip(2)", "2 is not within 0 to 1", "flip or flip(probability)"),
            ("flip()", "`` is not a number", ""),
            ("flip(1,1)", "2 arguments do not fit", ""),
            ("mask(star,1)", "`star` with 1 more does not fit", "mask(circle,radius)"),
            ("mask(circle)", "`circle` with 0 more does not fit", ""),
            ("tjitter(0.5)", "`0.5` is not a whole number of frames", ""),
            ("tjitter(5000)", "5000 frames are more than 4096", ""),
            ("speed(0)", "0 is not within 0.1 to 10", ""),
        ];
        for (text, problem, hint) in cases {
            let message = Chain::parse(text).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains(hint), "{text}: {message}");
        }
    }
}
