//! HTML pages that show pictures by section, in files beside the page or inside it, and say how each was
//! made.
//!
//! The page is self-contained: its styles are inside, and its only script sorts pictures by their numbers. It
//! opens from disk, follows the reader's light or dark mode, and fits small and large screens. All given text
//! is escaped.

mod escape;
mod text;

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::escape::{Escaped, Name, Url};
use crate::PngText;

pub(crate) use self::text::{is_page, page_text};

/// An HTML page: title, introduction, sections of pictures, and a footer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The page's heading, and its title in the browser's tab.
    pub title: String,
    /// Introduction below the heading; a blank line starts a new paragraph.
    pub intro: String,
    /// The page's sections, from the top.
    pub sections: Vec<Section>,
    /// Small print at the end of the page.
    pub footer: String,
    /// The record of how the page was made, stored in `meta` elements.
    pub text: PngText,
}

/// A section of a page: pictures that belong together, such as those of one layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Section {
    /// The section's heading.
    pub heading: String,
    /// Text below the section's heading; may be empty. A blank line starts a new paragraph.
    pub note: String,
    /// The section's pictures.
    pub figures: Vec<Figure>,
    /// Number of successive pictures that stay side by side, such as a unit's image and its flow; 0 or 1
    /// keeps none together.
    pub abreast: usize,
}

/// A number by which pictures are sorted, the largest first. Two numbers are equal if their bits are equal.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

/// One picture of a page, or one clip.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figure {
    /// Path of the picture's file, relative to the page, with `/` between folders.
    pub file: String,
    /// The picture's bytes (PNG or JPEG), if the page contains them and no file lies beside it.
    pub inside: Option<Vec<u8>>,
    /// Width of the picture in pixels.
    pub width: usize,
    /// Height of the picture in pixels.
    pub height: usize,
    /// Number of the clip's frames; 0 or 1 for a still. [`Figure::inside`] then has the frames side by side,
    /// and `width` is that of one frame.
    pub frames: usize,
    /// Duration of the clip in seconds. Clips of equal duration play in step.
    pub seconds: f64,
    /// Text below the picture: the first line in bold letters, the others pale.
    pub caption: String,
    /// Names and values in a details block that a click opens.
    pub detail: Vec<(String, String)>,
    /// Heading of the details block; "How it was made" if empty.
    pub detail_title: String,
    /// The command that makes the picture again; may be empty.
    pub command: String,
    /// Names and numbers by which a reader may sort the section's pictures. All pictures of a section have
    /// the same names.
    pub keys: Vec<(String, Number)>,
}

/// Smallest and largest width of a column in CSS pixels. In between, a column is as wide as the section's
/// widest picture.
const COLUMN_WIDTHS: (usize, usize) = (140, 480);
/// A page with at least this many sections begins with links to them.
const SECTIONS_WITH_LINKS: usize = 3;

/// Pictures up to this many pixels a side are enlarged without smoothing, so that their pixels are visible.
const PIXELS: usize = 64;

const STYLE: &str = include_str!("page/style.css");
/// The script that sorts the pictures of a section by one of their numbers.
const ORDER: &str = include_str!("page/order.js");

impl Page {
    /// Returns the page as HTML, to be saved in the folder of the picture files.
    pub fn to_html(&self) -> String {
        let mut html = String::new();
        self.render(&mut html).unwrap_or_else(|_| unreachable!("writing to a String does not fail"));
        html
    }

    fn render(&self, out: &mut String) -> std::fmt::Result {
        let title = Escaped(&self.title);
        writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">")?;
        writeln!(out, "<title>{title}</title>")?;
        text::write(out, &self.text)?;
        writeln!(out, "<style>\n{STYLE}</style>\n</head>\n<body>")?;
        writeln!(out, "<header>\n<h1>{title}</h1>")?;
        paragraphs(out, &self.intro)?;
        if self.sections.len() >= SECTIONS_WITH_LINKS {
            writeln!(out, "<nav aria-label=\"Sections\">")?;
            for (i, section) in self.sections.iter().enumerate() {
                writeln!(out, "<a href=\"#section-{}\">{}</a>", i + 1, Escaped(&section.heading))?;
            }
            writeln!(out, "</nav>")?;
        }
        writeln!(out, "</header>\n<main>")?;
        for (i, section) in self.sections.iter().enumerate() {
            section.render(out, i + 1)?;
        }
        writeln!(out, "</main>")?;
        if !self.footer.trim().is_empty() {
            writeln!(out, "<footer>")?;
            paragraphs(out, &self.footer)?;
            writeln!(out, "</footer>")?;
        }
        // Without the script, pictures stay in their original order.
        if self.sections.iter().flat_map(|section| &section.figures).any(|figure| !figure.keys.is_empty()) {
            writeln!(out, "<script>\n{ORDER}</script>")?;
        }
        writeln!(out, "</body>\n</html>")
    }
}

impl Section {
    fn render(&self, out: &mut String, number: usize) -> std::fmt::Result {
        writeln!(out, "<section id=\"section-{number}\">\n<h2>{}</h2>", Escaped(&self.heading))?;
        paragraphs(out, &self.note)?;
        let keys: Vec<&str> =
            self.figures.first().map_or(&[][..], |f| &f.keys).iter().map(|(k, _)| k.as_str()).collect();
        if keys.len() > 1 && self.figures.len() > 1 {
            write!(out, "<label class=\"order\">order <select data-orders=\"section-{number}\">")?;
            for (at, key) in keys.iter().enumerate() {
                write!(out, "<option value=\"{at}\">{}</option>", Escaped(key))?;
            }
            writeln!(out, "</select></label>")?;
        }
        let (narrowest, widest) = COLUMN_WIDTHS;
        let column =
            self.figures.iter().map(|figure| figure.width).max().unwrap_or(0).clamp(narrowest, widest);
        let abreast = self.abreast.max(1);
        let is_wide = |figure: &Figure| 10 * figure.width > 13 * figure.height;
        let wide = if self.figures.iter().any(is_wide) { " wide" } else { "" };
        writeln!(out, "<div class=\"grid{wide}\" style=\"--column: {}px\">", column * abreast)?;
        for group in self.figures.chunks(abreast) {
            if abreast > 1 {
                writeln!(out, "<div class=\"group\" style=\"--abreast: {abreast}\">")?;
            }
            for figure in group {
                figure.render(out, &self.heading)?;
            }
            if abreast > 1 {
                writeln!(out, "</div>")?;
            }
        }
        writeln!(out, "</div>\n</section>")
    }
}

impl Figure {
    fn render(&self, out: &mut String, heading: &str) -> std::fmt::Result {
        let caption = self.caption.trim();
        let (first, rest) = caption.split_once('\n').unwrap_or((caption, ""));
        write!(out, "<figure")?;
        for (at, (_, number)) in self.keys.iter().enumerate() {
            write!(out, " data-key{at}=\"{}\"", number.0)?;
        }
        writeln!(out, ">")?;
        if let (2.., Some(strip)) = (self.frames, &self.inside) {
            let words = caption.split_whitespace().collect::<Vec<_>>().join(" ");
            let pixels = if self.width.max(self.height) <= PIXELS { " pixels" } else { "" };
            writeln!(
                out,
                "<div class=\"film{pixels}\" role=\"img\" aria-label=\"{}: {}\" style=\"--frames: {}; --seconds: {:.3}s; \
                 --shape: {} / {}; background-image: url(data:image/png;base64,{})\"></div>",
                Escaped(heading),
                Escaped(&words),
                self.frames,
                self.seconds,
                self.width,
                self.height,
                STANDARD.encode(strip)
            )?;
            return self.render_below(out, first, rest);
        }
        match &self.inside {
            Some(bytes) => {
                let kind = if bytes.starts_with(&[0xff, 0xd8]) { "jpeg" } else { "png" };
                // A hidden checkbox enlarges the picture. Browsers open no links to pictures inside a page.
                write!(out, "<label class=\"zoom\" style=\"--shape: {} / {}\">", self.width, self.height)?;
                write!(out, "<input type=\"checkbox\" aria-label=\"Enlarge\">")?;
                write!(out, "<img src=\"data:image/{kind};base64,{}\"", STANDARD.encode(bytes))?;
            }
            None => write!(out, "<a href=\"{0}\"><img src=\"{0}\"", Url(&self.file))?,
        }
        if self.width > 0 && self.height > 0 {
            write!(out, " width=\"{}\" height=\"{}\"", self.width, self.height)?;
            if self.width.max(self.height) <= PIXELS {
                write!(out, " class=\"pixels\"")?;
            }
        }
        let words = caption.split_whitespace().collect::<Vec<_>>().join(" ");
        let end = if self.inside.is_some() { "</label>" } else { "</a>" };
        writeln!(out, " alt=\"{}: {}\" loading=\"lazy\">{end}", Escaped(heading), Escaped(&words))?;
        self.render_below(out, first, rest)
    }

    /// Writes the picture's caption and its details.
    fn render_below(&self, out: &mut String, first: &str, rest: &str) -> std::fmt::Result {
        write!(out, "<figcaption><strong>{}</strong>", Name(first))?;
        for line in rest.lines() {
            write!(out, "<span>{}</span>", Escaped(line))?;
        }
        writeln!(out, "</figcaption>")?;
        self.render_details(out)?;
        writeln!(out, "</figure>")
    }

    fn render_details(&self, out: &mut String) -> std::fmt::Result {
        if self.detail.is_empty() && self.command.is_empty() {
            return Ok(());
        }
        let title = if self.detail_title.is_empty() { "How it was made" } else { &self.detail_title };
        writeln!(out, "<details>\n<summary>{}</summary>", Escaped(title))?;
        if !self.detail.is_empty() {
            writeln!(out, "<dl>")?;
            for (name, value) in &self.detail {
                writeln!(out, "<dt>{}</dt><dd>{}</dd>", Escaped(name), Escaped(value))?;
            }
            writeln!(out, "</dl>")?;
        }
        if !self.command.is_empty() {
            writeln!(out, "<pre><code>{}</code></pre>", Escaped(&self.command))?;
        }
        writeln!(out, "</details>")
    }
}

fn paragraphs(out: &mut String, text: &str) -> std::fmt::Result {
    let text = text.replace("\r\n", "\n");
    for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        writeln!(out, "<p>{}</p>", Escaped(paragraph))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let figure = |i: usize| Figure {
            file: format!("fire{i}/unit 1#a%.png"),
            inside: None,
            width: 128,
            height: 96,
            caption: format!("fire{i}:1\nmean 3.4 <b>"),
            detail: vec![("seed".into(), "7".into()), ("preset".into(), "\"a\" & b".into())],
            command: "oneiro render squeezenet1_1 --unit 'fire2:1' > x".into(),
            ..Figure::default()
        };
        let section = |i: usize| Section {
            heading: format!("fire{i} <script>"),
            note: "One.\n\nTwo.".into(),
            figures: vec![figure(i), figure(i)],
            abreast: 1,
        };
        Page {
            title: "A & B".into(),
            intro: "What it is.".into(),
            sections: (0..3).map(section).collect(),
            footer: "oneiro 0.1.0".into(),
            text: PngText::default(),
        }
    }

    #[test]
    fn everything_given_is_escaped() {
        let html = page().to_html();
        assert!(html.contains("<title>A &amp; B</title>") && html.contains("<h1>A &amp; B</h1>"));
        assert!(html.contains("fire2 &lt;script&gt;") && !html.contains("<script"));
        assert!(html.contains("mean 3.4 &lt;b&gt;") && !html.contains("<b>"));
        assert!(html.contains("<dd>&quot;a&quot; &amp; b</dd>"));
        assert!(html.contains("--unit &#39;fire2:1&#39; &gt; x"));
        assert!(html.contains("src=\"fire1/unit%201%23a%25.png\""));
        assert_eq!(Url("javascript:alert(1)").to_string(), "javascript%3Aalert%281%29");
        assert_eq!(Escaped("a\u{1}b\n").to_string(), "a\u{fffd}b\n");
        assert_eq!(Name("a.b<c:14").to_string(), "a.<wbr>b&lt;c<wbr>:14");
        assert_eq!(Name("class:bald eagle").to_string(), "class:<wbr>bald eagle");
    }

    #[test]
    fn pictures_of_a_unit_stay_side_by_side() {
        let section =
            |abreast| Section { figures: vec![Figure::default(); 4], abreast, ..Section::default() };
        let html = |abreast| Page { sections: vec![section(abreast)], ..Page::default() }.to_html();
        assert_eq!(html(2).matches("class=\"group\"").count(), 2);
        assert!(html(2).contains("--column: 280px") && html(2).contains("--abreast: 2"));
        assert!(!html(0).contains("class=\"group\"") && html(1).contains("--column: 140px"));
    }

    #[test]
    fn wide_pictures_have_the_whole_width_of_a_phone() {
        let html = |width| {
            let figure = Figure { width, height: 100, ..Figure::default() };
            let section = Section { figures: vec![figure], ..Section::default() };
            Page { sections: vec![section], ..Page::default() }.to_html()
        };
        assert!(html(200).contains("class=\"grid wide\"") && html(100).contains("class=\"grid\""));
    }

    #[test]
    fn the_page_needs_nothing_but_its_pictures() {
        let html = page().to_html();
        for forbidden in ["http:", "https:", "url(", "@import", "<link", "onload"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert!(html.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn a_page_may_hold_its_pictures() {
        let mut page = page();
        let figure = &mut page.sections[0].figures[0];
        (figure.inside, figure.width, figure.height) = (Some(vec![0, 1, 2, 253]), 32, 24);
        let html = page.to_html();
        assert!(html.contains(
            "<img src=\"data:image/png;base64,AAEC/Q==\" width=\"32\" height=\"24\" class=\"pixels\""
        ));
        assert_eq!(html.matches("<a href=\"fire").count(), 5);
        assert_eq!(html.matches("<a ").count(), html.matches("</a>").count());
        assert_eq!((html.matches("<label class=\"zoom\"").count(), html.matches("</label>").count()), (1, 1));
    }

    #[test]
    fn every_element_that_opens_closes() {
        let html = page().to_html();
        for tag in [
            "html",
            "head",
            "body",
            "main",
            "nav",
            "section",
            "figure",
            "figcaption",
            "details",
            "dl",
            "pre",
            "p",
        ] {
            let opened =
                html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert_eq!(html.matches("<img ").count(), 6);
        assert_eq!(html.matches(" alt=\"fire").count(), 6);
        assert!(html.contains("<p>One.</p>\n<p>Two.</p>"));
    }

    #[test]
    fn empty_parts_leave_no_trace() {
        let bare = Page {
            title: "T".into(),
            sections: vec![Section { figures: vec![Figure::default()], ..Section::default() }],
            ..Page::default()
        };
        let html = bare.to_html();
        for absent in ["<nav", "<footer", "<details", "<p>", "width=\"0\""] {
            assert!(!html.contains(absent), "{absent}");
        }
        assert!(html.contains("--column: 140px"));
    }
}
