//! An HTML page on which the clips of all units play side by side, in step.

use oneiro_media::{Figure, Image, Page, PngText, Section};

use super::VideoJob;
use crate::error::Result;
use crate::job::render::{Finished, PreparedUnits};
use crate::job::scan::examples::Examples;
use crate::job::units::plots;
use crate::job::{Run, figures};
use crate::numbers::short;

/// Introduction of the page.
const ABOUT: &str = "Each clip was found by optimisation: starting from noise, the inputs of the network were changed step by \
     step so that one unit answers as strongly as possible. Clips loop in step; a pointer over one stops it. γ counts changes \
     between frames: the larger, the slower the motion. κ counts differences within a frame: the larger, the smoother.";

/// The text that explains what stands beside clips.
const ABOUT_DATA: &str = "\n\nBefore the clips of a unit stand those of the data that excite it most, each as its middle frame \
     or the part of it that the unit sees, and the classes with the largest activations.";

/// Side of the square with a unit's best clips.
const SQUARE: usize = 264;

/// Returns the clips of the data that excite a unit most, and its classes.
fn of_data(run: &Run<'_>, examples: &Examples, unit: &str) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (image, words) in examples.mosaics(run, &[unit], SQUARE)? {
        let caption = words.replacen("image", "clip", 1);
        figures.push(figures::with_jpeg(Figure { caption, ..Figure::default() }, &image)?);
    }
    if let Some(plot) = plots::of_classes(&examples.unit(unit)?)? {
        figures.push(figures::with_picture(Figure::default(), &plot)?);
    }
    Ok(figures)
}

impl VideoJob {
    /// Returns the HTML page, with a section for each unit.
    pub(super) fn page(
        &self,
        run: &Run<'_>,
        work: &PreparedUnits<'_>,
        finished: &[Finished],
        examples: Option<&Examples>,
        text: PngText,
    ) -> Result<Page> {
        let model = work.model;
        let mut sections: Vec<Section> = Vec::new();
        for result in finished {
            let report = &result.report;
            let heading = report.unit.clone();
            if sections.last().is_none_or(|section| section.heading != heading) {
                let figures = match examples {
                    Some(examples) => of_data(run, examples, &heading)?,
                    None => Vec::new(),
                };
                sections.push(Section { heading, figures, ..Section::default() });
            }
            let Some(section) = sections.last_mut() else { continue };
            for picture in &result.rendered.images {
                let drawn = self.flow.drawn(picture, &result.rendered.images)?;
                let mut caption = picture.input.clone();
                if drawn.frames > 1 {
                    for (name, value) in [("κ", report.kappa), ("γ", report.gamma)] {
                        caption += &value.map_or(String::new(), |value| format!(" · {name} {value}"));
                    }
                }
                let figure = Figure {
                    caption: format!("{caption}\nvalue {}", short(report.value)),
                    ..figures::of_unit("", report)
                };
                section.figures.push(if drawn.frames > 1 {
                    self.with_film(figure, &drawn)?
                } else {
                    figures::with_picture(figure, &drawn)?
                });
            }
        }
        let mut names: Vec<String> = work.settings.iter().map(|s| s.preset.title()).collect();
        names.dedup();
        let flow = model.model.card.input.iter().any(|i| i.kind == oneiro::card::InputKind::Flow);
        let flow = if flow { format!("\n\n{}", self.about_flow()) } else { String::new() };
        Ok(Page {
            title: model.title.clone(),
            intro: format!("{ABOUT}{flow}{}", if examples.is_some() { ABOUT_DATA } else { "" }),
            sections,
            footer: figures::footer(model, &names.join(", ")),
            text,
        })
    }

    /// Adds a clip to a page's figure, as a strip of its frames side by side.
    fn with_film(&self, figure: Figure, clip: &Image) -> Result<Figure> {
        let (h, w, frames) = (clip.height, clip.width, clip.frames);
        let mut data = vec![0.0; clip.data.len()];
        for (c, out) in data.chunks_exact_mut(frames * h * w).enumerate() {
            for t in 0..frames {
                let plane = clip.plane(c * frames + t);
                for y in 0..h {
                    out[(y * frames + t) * w..][..w].copy_from_slice(&plane[y * w..][..w]);
                }
            }
        }
        let strip = Image::rgb(frames * w, h, data)?;
        let figure = figures::with_picture(figure, &strip)?;
        Ok(Figure { width: w, height: h, frames, seconds: frames as f64 / self.rate, ..figure })
    }

    fn about_flow(&self) -> &'static str {
        use super::FlowLook;
        match self.flow {
            FlowLook::Channels => {
                "Flow: red is motion to the right, green motion down, blue its length; each is scaled from its least to its largest value over the sequence."
            }
            FlowLook::Joint => {
                "Flow: red is motion to the right, green motion down, with one scale; blue is its length."
            }
            FlowLook::Wheel => {
                "Flow: the hue is the direction and the saturation the length of motion, by the colour wheel of the Middlebury benchmark."
            }
            FlowLook::Arrows => "Flow: arrows point where a place moves to; their hue is the direction.",
        }
    }
}
