//! Draws the text of contact sheets and plots, from the outlines of DejaVu Sans Condensed, with `ab_glyph`.
//!
//! Letters stand at whole pixels, so that a letter looks the same everywhere. Font sizes are chosen so that
//! lower-case letters are whole pixels high; advance widths are whole pixels, too. Outlines are filled by
//! plain arithmetic, so that bits depend on no instruction set. A character that the font lacks is drawn as
//! an empty box.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, point};

use crate::Image;

/// The font's outlines, for the characters that `assets/subset_font.py` lists; see `NOTICE` for the licence.
static REGULAR: LazyLock<FontRef<'static>> =
    LazyLock::new(|| embedded(include_bytes!("../assets/DejaVuSansCondensed.ttf")));
static BOLD: LazyLock<FontRef<'static>> =
    LazyLock::new(|| embedded(include_bytes!("../assets/DejaVuSansCondensed-Bold.ttf")));

/// The box drawn for a character that the font lacks.
const MISSING: char = '\u{25a1}';
/// The mark at the end of a text that was shortened.
const ELLIPSIS: char = '…';

/// A font at a fixed size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Face {
    font: &'static LazyLock<FontRef<'static>>,
    /// Font size: pixels of an em. DejaVu's lower-case letters are 0.547 em high.
    size: f32,
    /// Pixels from the top of the tallest letter to the baseline.
    ascent: usize,
    /// Pixels from the baseline to the bottom of the deepest letter.
    descent: usize,
}

/// The face of captions: regular, with lower-case letters 7 pixels high.
pub(crate) const TEXT: Face = Face { font: &REGULAR, size: 12.8, ascent: 13, descent: 4 };
/// The face of row labels: bold, with lower-case letters 7 pixels high.
pub(crate) const STRONG: Face = Face { font: &BOLD, size: 12.8, ascent: 13, descent: 4 };
/// The face of titles: bold, with lower-case letters 11 pixels high.
pub(crate) const TITLE: Face = Face { font: &BOLD, size: 20.1, ascent: 19, descent: 5 };

/// Parses a font that is embedded in this crate.
fn embedded(bytes: &'static [u8]) -> FontRef<'static> {
    // Parsing cannot fail: the fonts are part of the program, and a test parses them.
    FontRef::try_from_slice(bytes).expect("the embedded font is whole")
}

impl Face {
    /// Returns the height of a line: from the top of the tallest letter to the bottom of the deepest, in
    /// pixels.
    pub(crate) fn height(self) -> usize {
        self.ascent + self.descent
    }

    /// Returns the width of a text in pixels.
    pub(crate) fn width(self, text: &str) -> usize {
        text.chars().map(|c| self.advance(c)).sum()
    }

    /// Returns the text, or as much of its beginning as fits into `room` pixels with an ellipsis after it.
    pub(crate) fn cut(self, text: &str, room: usize) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let mut used = self.advance(ELLIPSIS);
        if used > room {
            return String::new();
        }
        let fits = |c: &char| {
            used += self.advance(*c);
            used <= room
        };
        let mut kept: String = text.chars().take_while(fits).collect();
        kept.truncate(kept.trim_end().len());
        kept.push(ELLIPSIS);
        kept
    }

    /// Returns the text, or an ellipsis and as much of its end as fits into `room` pixels: the names of a
    /// network's layers differ at their ends.
    pub(crate) fn cut_front(self, text: &str, room: usize) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let kept = |(at, _): (usize, char)| format!("{ELLIPSIS}{}", &text[at..]);
        text.char_indices().map(kept).find(|kept| self.width(kept) <= room).unwrap_or_default()
    }

    /// Wraps the text into at most `lines` lines (at least one) of `room` pixels. Lines break at spaces and
    /// after `. _ / : -`, the separators in layer names, but not at a word's beginning, where they belong
    /// to a number such as `-.45`. A word wider than a line, and text beyond the last line, end in an
    /// ellipsis.
    pub(crate) fn wrap(self, text: &str, room: usize, lines: usize) -> Vec<String> {
        let mut wrapped = Vec::new();
        let mut rest = text.trim();
        while wrapped.len() + 1 < lines && self.width(rest) > room {
            let separates = |at: usize, c: char| match c {
                ' ' => true,
                '.' | '_' | '/' | ':' | '-' => rest[..at].ends_with(char::is_alphanumeric),
                _ => false,
            };
            let breaks = rest.char_indices().filter(|(at, c)| separates(*at, *c));
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

    /// Draws a text, shortened to `room` pixels, with the top left corner of its line at `x`, `y`.
    pub(crate) fn draw(
        self,
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

    /// Draws a text, shortened to `room` pixels, that reads upwards. `x` is the column of the letters' tops;
    /// row `y` is the first below the text.
    pub(crate) fn draw_upwards(
        self,
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

    /// Calls `visit` for each pixel of a text's letters, with its place along the line, its place below the
    /// line's top, and its coverage.
    fn ink(self, text: &str, mut visit: impl FnMut(isize, isize, f32)) {
        let mut pen = 0;
        for c in text.chars() {
            let glyph =
                Glyph { id: self.glyph(c), scale: self.scale(), position: point(0.0, self.ascent as f32) };
            if let Some(outline) = self.font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                let (left, top) = (pen as isize + corner.x as isize, corner.y as isize);
                outline
                    .draw(|x, y, covered| visit(left + x as isize, top + y as isize, strengthened(covered)));
            }
            pen += self.advance(c);
        }
    }

    /// Returns the distance from a letter to the next one, in pixels.
    fn advance(self, c: char) -> usize {
        let units = self.font.units_per_em().unwrap_or(1.0);
        (self.font.h_advance_unscaled(self.glyph(c)) * self.size / units).round() as usize
    }

    fn glyph(self, c: char) -> GlyphId {
        let id = self.font.glyph_id(if c.is_control() { ' ' } else { c });
        // Glyph 0 of a font stands for all characters that it lacks.
        if id == GlyphId(0) { self.font.glyph_id(MISSING) } else { id }
    }

    /// Returns the font size in `ab_glyph`'s unit, the height of the font.
    fn scale(self) -> PxScale {
        let units = self.font.units_per_em().unwrap_or(1.0);
        PxScale::from(self.size * self.font.height_unscaled() / units)
    }
}

/// Raises a pixel's coverage to the power of 3/4, so that thin strokes between two pixels keep their weight.
/// It uses square roots, which round alike on every machine; powers do not.
fn strengthened(covered: f32) -> f32 {
    let root = covered.clamp(0.0, 1.0).sqrt();
    root * root.sqrt()
}

/// Mixes a colour into a pixel with opacity `ink`; pixels outside the canvas are ignored.
pub(crate) fn blend(canvas: &mut Image, x: usize, y: usize, color: [f32; 3], ink: f32) {
    if x >= canvas.width || y >= canvas.height {
        return;
    }
    let pixels = canvas.width * canvas.height;
    let at = y * canvas.width + x;
    for channel in 0..3 {
        let value = &mut canvas.data[channel * pixels + at];
        // This form gives exactly the colour for an opacity of 1.
        *value = *value * (1.0 - ink) + color[channel] * ink;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_fonts_hold_every_character_that_stays_in_its_line() {
        for face in [TEXT, STRONG, TITLE] {
            for c in ('!'..='~').chain("éßκγ→–…×²□−⁻⁰⁴⁵⁶⁷⁸⁹".chars()) {
                assert!(c == MISSING || face.glyph(c) != face.glyph(MISSING), "{c} is missing");
                let (mut darkest, mut inside) = (0.0f32, true);
                face.ink(&c.to_string(), |_, down, ink| {
                    darkest = darkest.max(ink);
                    inside &= ink < 0.05 || (0..face.height() as isize).contains(&down);
                });
                assert!(darkest > 0.5, "{c} is blank");
                assert!(inside, "{c} leaves its line");
            }
        }
        assert!(TITLE.height() > TEXT.height());
    }

    /// Hash of drawn letters, which must be equal on every machine.
    const BITS_OF_LETTERS: u64 = 0x77f81621d68ca02;

    #[test]
    fn letters_have_the_same_bits_everywhere() {
        let mut canvas = Image::filled(400, 40, [1.0; 3]);
        TEXT.draw(&mut canvas, 3, 2, 390, "fire8.expand3x3:40 κ = 0.5 → Größe −1.5×10⁻³", [0.0; 3]);
        TITLE.draw(&mut canvas, 3, 18, 390, "Similarity of trainings", [0.0; 3]);
        // The hash is FNV-1a (Fowler, Noll, Vo).
        let sum = canvas.plane(0).iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, value| {
            (sum ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(sum, BITS_OF_LETTERS);
    }

    #[test]
    fn a_text_too_wide_is_cut_with_an_ellipsis() {
        let face = TEXT;
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
        let face = TEXT;
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
        TEXT.draw(&mut level, 3, 2, 50, "Äg7½", [0.0; 3]);
        TEXT.draw_upwards(&mut upright, 2, width - 3, 50, "Äg7½", [0.0; 3]);
        for y in 0..height {
            for x in 0..width {
                assert_eq!(level.pixel(x, y), upright.pixel(y, width - 1 - x), "{x},{y}");
            }
        }
    }

    #[test]
    fn unknown_characters_become_boxes_and_control_characters_spaces() {
        let face = TEXT;
        assert_eq!(face.glyph('漢'), face.glyph(MISSING));
        assert_eq!(face.width("a\tb"), face.width("a b"));
    }

    #[test]
    fn letters_beyond_the_edge_are_left_out() {
        let mut canvas = Image::filled(6, 4, [1.0; 3]);
        TEXT.draw(&mut canvas, 3, 1, 100, "Wide", [0.0; 3]);
        assert!(canvas.data.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}
