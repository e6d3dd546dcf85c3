//! Cues that a class may follow in place of its object: colours, marks, borders, textures, motion.
//!
//! Each cue can be laid over a picture or a clip. None shows an object, so a class that a cue alone calls up
//! follows something else than its object.

mod motion;
mod still;
mod texture;

pub(super) use motion::Direction;
use texture::{Pattern, Place, Texture};

/// A colour with its name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Color {
    pub name: &'static str,
    pub rgb: [f32; 3],
}

const fn color(name: &'static str, red: u8, green: u8, blue: u8) -> Color {
    Color { name, rgb: [red as f32 / 255.0, green as f32 / 255.0, blue as f32 / 255.0] }
}

/// Colours of marks and borders.
const STRONG: [Color; 9] = [
    color("red", 255, 0, 0),
    color("orange", 255, 140, 0),
    color("yellow", 255, 235, 0),
    color("green", 20, 215, 40),
    color("cyan", 0, 230, 230),
    color("blue", 20, 50, 240),
    color("magenta", 240, 0, 220),
    color("white", 255, 255, 255),
    color("black", 0, 0, 0),
];

/// Colours of backgrounds, beside the strong ones.
const SOFT: [Color; 7] = [
    color("sky blue", 135, 206, 235),
    color("dark blue", 10, 20, 90),
    color("dark green", 20, 90, 25),
    color("brown", 130, 80, 30),
    color("pink", 250, 170, 190),
    color("purple", 120, 30, 170),
    color("grey", 128, 128, 128),
];

/// Shares of the colour in a tinted picture.
const TINTS: [f32; 3] = [0.2, 0.35, 0.6];
/// Sides of marks and borders, as shares of the picture's shorter side.
const MARKS: [f64; 2] = [0.12, 0.18];
const BORDER: f64 = 0.07;
/// Periods of stripes and checkers in pixels of a picture whose shorter side is 64, and the stripes' angles
/// in degrees.
const PERIODS: [f64; 5] = [4.0, 5.7, 8.0, 11.3, 16.0];
/// Periods of coarser patterns: the length of a brick, the distance between dots or lines.
const COARSE: [f64; 3] = [8.0, 12.0, 16.0];
const ANGLES: [u16; 4] = [0, 45, 90, 135];

/// A corner of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Corner {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl Corner {
    const ALL: [Self; 4] = [Self::TopLeft, Self::TopRight, Self::BottomLeft, Self::BottomRight];

    fn name(self) -> &'static str {
        match self {
            Self::TopLeft => "top left",
            Self::TopRight => "top right",
            Self::BottomLeft => "bottom left",
            Self::BottomRight => "bottom right",
        }
    }

    /// The first row and column of a square of this side, a little away from the edge.
    fn place(self, side: usize, [height, width]: [usize; 2]) -> [usize; 2] {
        let away = side.div_ceil(6);
        let [bottom, right] = [height, width].map(|extent| extent.saturating_sub(side + away));
        match self {
            Self::TopLeft => [away.min(bottom), away.min(right)],
            Self::TopRight => [away.min(bottom), right],
            Self::BottomLeft => [bottom, away.min(right)],
            Self::BottomRight => [bottom, right],
        }
    }
}

/// A cue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cue {
    /// The picture blended with a colour.
    Tint { color: Color, share: f32 },
    /// A square in a corner.
    Mark { color: Color, corner: Corner, side: f64 },
    /// A frame along the edges.
    Border { color: Color },
    /// A pattern over the picture, or over its middle.
    Texture(Texture),
    /// The whole scene moves this way, and nothing else does.
    Motion(Direction),
}

/// What cues have in common, without colour and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Color,
    Mark,
    Border,
    Texture,
    /// A texture of a part of the picture.
    Patch,
    Motion,
}

impl Cue {
    /// All cues that are tried on pictures and, with motion, those on clips.
    pub(super) fn all(with_motion: bool) -> Vec<Self> {
        let colors = || STRONG.into_iter().chain(SOFT);
        let mut all: Vec<Self> =
            TINTS.iter().flat_map(|&share| colors().map(move |color| Self::Tint { color, share })).collect();
        for side in MARKS {
            for corner in Corner::ALL {
                all.extend(STRONG.map(|color| Self::Mark { color, corner, side }));
            }
        }
        all.extend(STRONG.map(|color| Self::Border { color }));
        for place in [Place::Whole, Place::Middle] {
            let texture = |pattern, period| Self::Texture(Texture { pattern, period, place });
            for period in PERIODS {
                all.extend(ANGLES.map(|angle| texture(Pattern::Stripes(angle), period)));
                all.push(texture(Pattern::Checker, period));
            }
            for period in COARSE {
                all.extend([Pattern::Bricks, Pattern::Dots, Pattern::Grid].map(|of| texture(of, period)));
            }
        }
        if with_motion {
            all.extend(Direction::ALL.map(Self::Motion));
        }
        all
    }

    /// Its kind.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Tint { .. } => Kind::Color,
            Self::Mark { .. } => Kind::Mark,
            Self::Border { .. } => Kind::Border,
            Self::Texture(Texture { place: Place::Whole, .. }) => Kind::Texture,
            Self::Texture(Texture { place: Place::Middle, .. }) => Kind::Patch,
            Self::Motion(_) => Kind::Motion,
        }
    }

    pub(super) fn is_texture(&self) -> bool {
        matches!(self, Self::Texture(_))
    }

    /// Its colour, if it has one.
    pub(super) fn color(&self) -> Option<&'static str> {
        match self {
            Self::Tint { color, .. } | Self::Mark { color, .. } | Self::Border { color } => Some(color.name),
            _ => None,
        }
    }

    /// Whether another cue differs from this one in strength or size alone.
    pub(super) fn is_same_thing(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Texture(a), Self::Texture(b)) => (a.pattern, a.place) == (b.pattern, b.place),
            (Self::Motion(a), Self::Motion(b)) => a == b,
            _ => self.is_like(other) && self.color() == other.color(),
        }
    }

    /// Whether another cue differs from this one in colour and strength alone.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mark { corner: a, .. }, Self::Mark { corner: b, .. }) => a == b,
            _ => {
                self.kind() == other.kind()
                    && !matches!(self.kind(), Kind::Texture | Kind::Patch | Kind::Motion)
            }
        }
    }

    /// Words for people; `color` in place of its own where several do.
    pub(super) fn words(&self, color: Option<&str>) -> String {
        let own = |own: &Color| color.unwrap_or(own.name).to_owned();
        match self {
            Self::Tint { color, .. } => format!("{} background or colour cast", own(color)),
            Self::Mark { color, corner, .. } => {
                format!("{} mark in the {} corner", own(color), corner.name())
            }
            Self::Border { color } => format!("{} border along the edges", own(color)),
            Self::Texture(texture) => texture.pattern.words().to_owned(),
            Self::Motion(direction) => format!("motion {}", direction.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_the_cue() {
        let green = STRONG[3];
        assert_eq!(Cue::Tint { color: green, share: 0.6 }.words(None), "green background or colour cast");
        let mark = Cue::Mark { color: green, corner: Corner::BottomLeft, side: 0.12 };
        assert_eq!(mark.words(Some("any")), "any mark in the bottom left corner");
        assert_eq!(Cue::Motion(Direction::Up).words(None), "motion upwards");
    }
}
