//! Sizes in text form: a side, `[H, W]`, or `"HxW"`.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, SeqAccess, Visitor};

/// Reads the size of a picture from a preset, if it is given.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[usize; 2]>, D::Error> {
    deserializer.deserialize_any(Size).map(Some)
}

struct Size;

impl Size {
    fn square<E: Error>(side: Option<usize>, found: impl fmt::Display) -> Result<[usize; 2], E> {
        side.map(|n| [n, n]).ok_or_else(|| E::custom(format!("{found} is no size; use N, [H, W] or HxW")))
    }
}

impl<'de> Visitor<'de> for Size {
    type Value = [usize; 2];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size: N, [H, W] or HxW")
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Self::Value, E> {
        Self::square(usize::try_from(n).ok(), n)
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Self::Value, E> {
        Self::square(usize::try_from(n).ok(), n)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let side = |t: &str| t.trim().parse::<usize>().ok();
        match text.split_once(['x', 'X']).map(|(h, w)| (side(h), side(w))) {
            Some((Some(h), Some(w))) => Ok([h, w]),
            _ => Self::square(side(text), text),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sides: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(side) = sides.next_element()? {
            found.push(side);
        }
        found.try_into().map_err(|found: Vec<usize>| A::Error::invalid_length(found.len(), &self))
    }
}

#[cfg(test)]
mod tests {
    use crate::preset::Preset;

    fn with(size: &str) -> Result<Preset, toml::de::Error> {
        let mut table = toml::Table::try_from(Preset::named("lucid").unwrap()).unwrap();
        table.insert("size".into(), toml::from_str::<toml::Table>(&format!("v = {size}"))?["v"].clone());
        table.try_into()
    }

    #[test]
    fn a_size_is_a_side_or_two_and_is_written_as_two() {
        for (text, size) in [
            ("48", [48, 48]),
            ("[48, 64]", [48, 64]),
            ("\"48x64\"", [48, 64]),
            ("\"48 X 64\"", [48, 64]),
            ("\"48\"", [48, 48]),
        ] {
            let preset = with(text).unwrap();
            assert_eq!(preset.size, Some(size), "{text}");
            assert_eq!(toml::from_str::<Preset>(&toml::to_string(&preset).unwrap()).unwrap(), preset);
        }
        for bad in ["-48", "[48]", "[48, 64, 3]", "\"48x\"", "\"x\"", "4.5", "[4, -5]", "true"] {
            let error = with(bad).unwrap_err().to_string();
            assert!(error.contains("HxW") || error.contains("-5"), "{bad}: {error}");
        }
    }
}
