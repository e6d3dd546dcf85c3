//! The axes of a picture input that are not batch, channels, height and width.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One letter in the notation of an input's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// N: the batch.
    N,
    /// C: the channels.
    C,
    /// H: the height.
    H,
    /// W: the width.
    W,
}

const LETTERS: [(Axis, char); 4] = [(Axis::N, 'N'), (Axis::C, 'C'), (Axis::H, 'H'), (Axis::W, 'W')];

/// The axes of a picture input in the graph. `C,H,W` has no batch, `N,H,W` has no channels, and `N,C*H*W` is
/// flat.
///
/// The batch comes first, and height before width. Channels come before both or after both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InputAxes(Vec<Vec<Axis>>);

impl InputAxes {
    /// Whether an axis of this kind exists, alone or flattened with others.
    pub fn has(&self, axis: Axis) -> bool {
        self.0.iter().flatten().any(|&a| a == axis)
    }

    /// Whether the channels come after height and width.
    pub fn channels_last(&self) -> bool {
        self.0.iter().flatten().last() == Some(&Axis::C)
    }

    /// The axes of the graph's input: each has one letter, or several if it is flattened.
    pub fn groups(&self) -> &[Vec<Axis>] {
        &self.0
    }

    /// Whether some axes are flattened into one. Their extents are then known only from a size.
    pub fn is_flat(&self) -> bool {
        self.0.iter().any(|group| group.len() > 1)
    }
}

impl fmt::Display for InputAxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter =
            |a: &Axis| LETTERS.iter().find(|(axis, _)| axis == a).map_or('?', |(_, c)| *c).to_string();
        let group = |g: &Vec<Axis>| g.iter().map(letter).collect::<Vec<_>>().join("*");
        f.write_str(&self.0.iter().map(group).collect::<Vec<_>>().join(","))
    }
}

impl From<InputAxes> for String {
    fn from(axes: InputAxes) -> Self {
        axes.to_string()
    }
}

impl TryFrom<String> for InputAxes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for InputAxes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = |why: &str| format!("the axes \"{text}\": {why}; write them as C,H,W or N,H,W or N,C*H*W");
        let letter = |l: &str| {
            let known = LETTERS.iter().find(|(_, c)| l.trim().eq_ignore_ascii_case(&c.to_string()));
            known
                .map(|(axis, _)| *axis)
                .ok_or_else(|| fail(&format!("\"{}\" is none of N, C, H, W", l.trim())))
        };
        let groups = text
            .split(',')
            .map(|group| group.split('*').map(letter).collect::<Result<Vec<_>, _>>())
            .collect::<Result<Vec<_>, _>>()?;
        let all: Vec<Axis> = groups.iter().flatten().copied().collect();
        let at = |axis: Axis| all.iter().position(|&a| a == axis);
        if LETTERS.iter().any(|(axis, _)| all.iter().filter(|a| *a == axis).count() > 1) {
            return Err(fail("an axis stands there twice"));
        }
        let (Some(h), Some(w)) = (at(Axis::H), at(Axis::W)) else {
            return Err(fail("a picture has H and W"));
        };
        if w != h + 1 || at(Axis::N).is_some_and(|n| n != 0) {
            return Err(fail("N is first, and H stands right before W"));
        }
        if at(Axis::N).is_some() && groups[0].len() > 1 {
            return Err(fail("the batch is joined with other axes"));
        }
        Ok(Self(groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_read_and_written() {
        for (text, written) in
            [("C,H,W", "C,H,W"), ("n, h*w", "N,H*W"), ("N,H*W*C", "N,H*W*C"), ("H,W", "H,W")]
        {
            assert_eq!(text.parse::<InputAxes>().unwrap().to_string(), written);
        }
        let last: InputAxes = "H,W,C".parse().unwrap();
        assert!(last.channels_last() && !last.has(Axis::N) && !last.is_flat());
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for (text, words) in [
            ("N,C", "H and W"),
            ("N,T,H,W", "\"T\""),
            ("C,W,H", "right before"),
            ("N*C,H,W", "joined"),
            ("H,H,W", "twice"),
            ("H,N,W", "N is first"),
        ] {
            let error = text.parse::<InputAxes>().unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
