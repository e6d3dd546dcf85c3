//! The letters of sheets and plots: three faces rasterised beforehand (`assets/bake_font.py`), with grey edges.
//!
//! A character that the faces lack is drawn as an empty box.

use std::sync::LazyLock;

use crate::Image;

/// Rendered from DejaVu Sans Condensed; see `NOTICE` for its licence.
static DATA: &[u8] = include_bytes!("../assets/letters.bin");

static FACES: LazyLock<Vec<Glyphs>> = LazyLock::new(|| parse(DATA).unwrap_or_default());

/// Drawn for a character that no face has.
const MISSING: char = '\u{25a1}';
/// Ends a text that was cut.
const ELLIPSIS: char = '…';

/// One of the faces, by its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Face(usize);

/// Regular, 13 pixels: captions.
pub(crate) const TEXT: Face = Face(0);
/// Bold, 13 pixels: row labels.
pub(crate) const STRONG: Face = Face(1);
/// Bold, 20 pixels: titles.
pub(crate) const TITLE: Face = Face(2);

impl Face {
    pub(crate) fn face(self) -> &'static Glyphs {
        static NONE: Glyphs = Glyphs { ascent: 0, descent: 0, glyphs: Vec::new() };
        FACES.get(self.0).unwrap_or(&NONE)
    }
}

/// A face: its glyphs in order of their code points.
#[derive(Debug)]
pub(crate) struct Glyphs {
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
    pub(crate) fn height(&self) -> usize {
        self.ascent + self.descent
    }

    /// How many pixels a text takes.
    pub(crate) fn width(&self, text: &str) -> usize {
        text.chars().filter_map(|c| self.glyph(c)).map(|glyph| glyph.advance).sum()
    }

    /// The text, or as much of its beginning as fits into `room` pixels with an ellipsis after it.
    pub(crate) fn cut(&self, text: &str, room: usize) -> String {
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

    /// The text, or an ellipsis and as much of its end as fits into `room` pixels: names of layers differ there.
    pub(crate) fn cut_front(&self, text: &str, room: usize) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let kept = |(at, _): (usize, char)| format!("{ELLIPSIS}{}", &text[at..]);
        text.char_indices().map(kept).find(|kept| self.width(kept) <= room).unwrap_or_default()
    }

    /// The text in at most `lines` lines (at least one) that fit into `room` pixels. Lines break at spaces and
    /// behind `. _ / : -`, as between the parts of a layer's name; a word wider than a line, and what the last
    /// line has no room for, end in an ellipsis.
    pub(crate) fn wrap(&self, text: &str, room: usize, lines: usize) -> Vec<String> {
        let mut wrapped = Vec::new();
        let mut rest = text.trim();
        while wrapped.len() + 1 < lines && self.width(rest) > room {
            let breaks = rest.char_indices().filter(|(_, c)| matches!(c, ' ' | '.' | '_' | '/' | ':' | '-'));
            let ends = breaks.map(|(at, c)| at + c.len_utf8());
            let fits = |end: &usize| self.width(rest[..*end].trim_end()) <= room;
            let Some(end) = ends.take_while(fits).last() else { break };
            wrapped.push(rest[..end].trim_end().to_owned());
            rest = rest[end..].trim_start();
        }
        if wrapped.is_empty() || !rest.is_empty() {
            wrapped.push(self.cut(rest, room));
        }
        wrapped
    }

    /// Draws a text, cut to `room` pixels, with the top left of its line at `x`, `y`.
    pub(crate) fn draw(
        &self,
        canvas: &mut Image,
        x: usize,
        y: usize,
        room: usize,
        text: &str,
        color: [f32; 3],
    ) {
        self.ink(&self.cut(text, room), |along, down, ink| {
            if let (Some(x), Some(y)) = (x.checked_add_signed(along), y.checked_add_signed(down)) {
                blend(canvas, x, y, color, ink);
            }
        });
    }

    /// Draws a text, cut to `room` pixels, that reads upwards: its first letter is at the foot, `x` is the
    /// column of its letters' tops, and the row `y` is the first below it.
    pub(crate) fn draw_upwards(
        &self,
        canvas: &mut Image,
        x: usize,
        y: usize,
        room: usize,
        text: &str,
        color: [f32; 3],
    ) {
        self.ink(&self.cut(text, room), |along, down, ink| {
            if let (Some(x), Some(y)) = (x.checked_add_signed(down), y.checked_add_signed(-1 - along)) {
                blend(canvas, x, y, color, ink);
            }
        });
    }

    /// Visits the pixels of a text's letters: how far along the line, how far below its top, how much ink.
    fn ink(&self, text: &str, mut visit: impl FnMut(isize, isize, f32)) {
        let mut pen = 0;
        for glyph in text.chars().filter_map(|c| self.glyph(c)) {
            for (row, coverage) in glyph.coverage.chunks_exact(glyph.width.max(1)).enumerate() {
                for (column, &ink) in coverage.iter().enumerate() {
                    let along = (pen + column) as isize + isize::from(glyph.left);
                    visit(along, row as isize + isize::from(glyph.top), f32::from(ink) / 255.0);
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

/// Lays a colour over a pixel, `ink` of it; beyond the canvas nothing happens.
pub(crate) fn blend(canvas: &mut Image, x: usize, y: usize, color: [f32; 3], ink: f32) {
    if x >= canvas.width || y >= canvas.height {
        return;
    }
    let pixels = canvas.width * canvas.height;
    let at = y * canvas.width + x;
    for channel in 0..3 {
        let value = &mut canvas.data[channel * pixels + at];
        // So that full ink is the colour itself.
        *value = *value * (1.0 - ink) + color[channel] * ink;
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
            for c in ('!'..='~').chain("éßκγ→–…×²□−⁻⁰⁴⁵⁶⁷⁸⁹".chars()) {
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
        let cut = face.cut_front(text, room);
        assert!(cut.starts_with('…') && text.ends_with(&cut['…'.len_utf8()..]), "{cut}");
        assert!(face.width(&cut) <= room && cut.chars().count() > 2, "{cut}");
        assert_eq!((face.cut_front("a", room), face.cut_front(text, 2)), ("a".to_owned(), String::new()));
    }

    #[test]
    fn a_wrapped_text_breaks_between_words_and_ends_in_an_ellipsis_if_it_must() {
        let face = TEXT.face();
        let name = "features.denseblock4.denselayer16";
        assert_eq!(face.wrap(name, face.width(name), 3), [name]);
        let parts = ["features.", "denseblock4.", "denselayer16"];
        assert_eq!(face.wrap(name, face.width("denselayer16"), 3), parts);
        let two = face.wrap(name, face.width("denseblock4."), 2);
        assert!(two[0] == "features." && two[1].starts_with("denseblo") && two[1].ends_with('…'), "{two:?}");
        assert_eq!(face.wrap("one two", face.width("one t"), 2), ["one", "two"]);
        assert_eq!(face.wrap("", 10, 2), [""]);
        let narrow = face.wrap("unbreakable", face.width("unbr"), 4);
        assert!(narrow.len() == 1 && narrow[0].ends_with('…'), "{narrow:?}");
    }

    #[test]
    fn a_text_turned_upwards_is_the_level_one_turned_by_a_quarter() {
        let (width, height) = (60, 20);
        let (mut level, mut upright) =
            (Image::filled(width, height, [1.0; 3]), Image::filled(height, width, [1.0; 3]));
        TEXT.face().draw(&mut level, 3, 2, 50, "Äg7½", [0.0; 3]);
        TEXT.face().draw_upwards(&mut upright, 2, width - 3, 50, "Äg7½", [0.0; 3]);
        for y in 0..height {
            for x in 0..width {
                assert_eq!(level.pixel(x, y), upright.pixel(y, width - 1 - x), "{x},{y}");
            }
        }
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
        assert!(canvas.data.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}
