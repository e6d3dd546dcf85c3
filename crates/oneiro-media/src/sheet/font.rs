//! The letters of a sheet: three faces rasterised beforehand (`assets/bake_font.py`), with grey edges.
//!
//! A character that the faces lack is drawn as an empty box.

use std::sync::LazyLock;

use crate::Image;

/// Rendered from DejaVu Sans Condensed; see `NOTICE` for its licence.
static DATA: &[u8] = include_bytes!("../../assets/sheet_font.bin");

static FACES: LazyLock<Vec<Glyphs>> = LazyLock::new(|| parse(DATA).unwrap_or_default());

/// Drawn for a character that no face has.
const MISSING: char = '\u{25a1}';
/// Ends a text that was cut.
const ELLIPSIS: char = '…';

/// One of the faces, by its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Face(usize);

/// Regular, 13 pixels: captions.
pub(super) const TEXT: Face = Face(0);
/// Bold, 13 pixels: row labels.
pub(super) const STRONG: Face = Face(1);
/// Bold, 20 pixels: titles.
pub(super) const TITLE: Face = Face(2);

impl Face {
    pub(super) fn face(self) -> &'static Glyphs {
        static NONE: Glyphs = Glyphs { ascent: 0, descent: 0, glyphs: Vec::new() };
        FACES.get(self.0).unwrap_or(&NONE)
    }
}

/// A face: its glyphs in order of their code points.
#[derive(Debug)]
pub(super) struct Glyphs {
    ascent: usize,
    descent: usize,
    glyphs: Vec<Glyph>,
}

#[derive(Debug)]
struct Glyph {
    code: u32,
    advance: usize,
    left: i8,
    /// Rows from the top of the line.
    top: i8,
    width: usize,
    /// Row by row, 0 paper to 255 ink.
    coverage: &'static [u8],
}

impl Glyphs {
    /// From the top of the tallest letter to the foot of the deepest.
    pub(super) fn height(&self) -> usize {
        self.ascent + self.descent
    }

    /// How many pixels a text takes.
    pub(super) fn width(&self, text: &str) -> usize {
        text.chars().filter_map(|c| self.glyph(c)).map(|glyph| glyph.advance).sum()
    }

    /// The text, or as much of its beginning as fits into `room` pixels with an ellipsis after it.
    pub(super) fn cut(&self, text: &str, room: usize) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let advance = |c: char| self.glyph(c).map_or(0, |glyph| glyph.advance);
        let mut used = advance(ELLIPSIS);
        if used > room {
            return String::new();
        }
        let fits = |c: &char| {
            used += advance(*c);
            used <= room
        };
        let mut kept: String = text.chars().take_while(fits).collect();
        kept.truncate(kept.trim_end().len());
        kept.push(ELLIPSIS);
        kept
    }

    /// Draws a text, cut to `room` pixels, with the top left of its line at `x`, `y`.
    pub(super) fn draw(
        &self,
        canvas: &mut Image,
        x: usize,
        y: usize,
        room: usize,
        text: &str,
        color: [f32; 3],
    ) {
        let mut pen = x;
        for glyph in self.cut(text, room).chars().filter_map(|c| self.glyph(c)) {
            for (row, coverage) in glyph.coverage.chunks_exact(glyph.width.max(1)).enumerate() {
                for (column, &ink) in coverage.iter().enumerate() {
                    let at_x = (pen + column).checked_add_signed(isize::from(glyph.left));
                    let at_y = (y + row).checked_add_signed(isize::from(glyph.top));
                    if let (Some(at_x), Some(at_y)) = (at_x, at_y) {
                        blend(canvas, at_x, at_y, color, f32::from(ink) / 255.0);
                    }
                }
            }
            pen += glyph.advance;
        }
    }

    fn glyph(&self, c: char) -> Option<&Glyph> {
        let c = if c.is_control() { ' ' } else { c };
        let find = |c: char| self.glyphs.binary_search_by_key(&u32::from(c), |glyph| glyph.code).ok();
        find(c).or_else(|| find(MISSING)).map(|i| &self.glyphs[i])
    }
}

fn blend(canvas: &mut Image, x: usize, y: usize, color: [f32; 3], ink: f32) {
    if x >= canvas.width || y >= canvas.height {
        return;
    }
    let pixels = canvas.width * canvas.height;
    let at = y * canvas.width + x;
    for channel in 0..3 {
        let value = &mut canvas.rgb[channel * pixels + at];
        *value += (color[channel] - *value) * ink;
    }
}

/// Reads the file that `assets/bake_font.py` describes; `None` if it is not one.
fn parse(data: &'static [u8]) -> Option<Vec<Glyphs>> {
    let mut rest = data.strip_prefix(b"ONFT1")?;
    let faces = take(&mut rest, 1)?[0];
    (0..faces).map(|_| parse_face(&mut rest)).collect()
}

fn parse_face(rest: &mut &'static [u8]) -> Option<Glyphs> {
    let head = take(rest, 4)?;
    let count = u16::from_le_bytes([head[2], head[3]]);
    let glyphs = (0..count).map(|_| parse_glyph(rest)).collect::<Option<Vec<_>>>()?;
    Some(Glyphs { ascent: head[0].into(), descent: head[1].into(), glyphs })
}

fn parse_glyph(rest: &mut &'static [u8]) -> Option<Glyph> {
    let head = take(rest, 7)?;
    let (width, height) = (usize::from(head[5]), usize::from(head[6]));
    Some(Glyph {
        code: u16::from_le_bytes([head[0], head[1]]).into(),
        advance: head[2].into(),
        left: i8::from_le_bytes([head[3]]),
        top: i8::from_le_bytes([head[4]]),
        width,
        coverage: take(rest, width * height)?,
    })
}

fn take(rest: &mut &'static [u8], count: usize) -> Option<&'static [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_faces_are_whole_and_in_order() {
        let faces = parse(DATA).expect("the file is whole");
        assert_eq!(faces.len(), 3);
        for face in &faces {
            assert!(face.glyphs.is_sorted_by_key(|glyph| glyph.code));
            for c in ('!'..='~').chain("éßκγ→–…×²□".chars()) {
                let glyph = face.glyph(c).unwrap();
                assert_eq!(glyph.code, u32::from(c));
                assert!(glyph.coverage.iter().any(|&ink| ink > 128), "{c} is blank");
                assert!(
                    glyph.top >= 0
                        && glyph.top as usize + glyph.coverage.len() / glyph.width <= face.height(),
                    "{c} leaves its line"
                );
            }
        }
        assert!(TITLE.face().height() > TEXT.face().height());
        assert!(parse(&DATA[..DATA.len() - 1]).is_none());
        assert!(parse(b"png").is_none());
    }

    #[test]
    fn a_text_too_wide_is_cut_with_an_ellipsis() {
        let face = TEXT.face();
        let text = "great white shark, Carcharodon carcharias";
        assert_eq!(face.cut(text, face.width(text)), text);
        let room = face.width(text) - 1;
        let cut = face.cut(text, room);
        assert!(cut.ends_with('…') && face.width(&cut) <= room, "{cut}");
        assert!(face.cut(text, face.width("great …")).starts_with("great…"));
        assert_eq!(face.cut(text, 2), "");
    }

    #[test]
    fn unknown_characters_become_boxes_and_control_characters_spaces() {
        let face = TEXT.face();
        assert_eq!(face.glyph('漢').unwrap().code, u32::from(MISSING));
        assert_eq!(face.width("a\tb"), face.width("a b"));
    }

    #[test]
    fn letters_beyond_the_edge_are_left_out() {
        let mut canvas = Image::filled(6, 4, [1.0; 3]);
        TEXT.face().draw(&mut canvas, 3, 1, 100, "Wide", [0.0; 3]);
        assert!(canvas.rgb.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}
