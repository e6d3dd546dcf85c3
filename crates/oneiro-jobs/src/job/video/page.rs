//! An HTML page on which the clips of all units play side by side, in step.

use oneiro::card::InputKind;
use oneiro::render::Picture;
use oneiro_media::flow::Flow;
use oneiro_media::{Figure, Image, Page, PngText, Section};
use oneiro_net::analysis::Layer;

use super::VideoJob;
use crate::error::Result;
use crate::job::render::{Finished, PreparedUnits};
use crate::job::scan::examples::Examples;
use crate::job::units::plots;
use crate::job::{Run, figures};
use crate::model::unit_list::CLASSES;
use crate::model::{LoadedModel, layer_grid};
use crate::numbers::short;

/// Introduction of the page.
const ABOUT: &str = "Each clip was found by optimisation: starting from noise, the inputs of the network were changed step by \
     step so that one unit answers as strongly as possible. Clips loop in step; a pointer over one stops it. γ counts changes \
     between frames of clips and between fields of flow: the larger, the slower a clip and the steadier the flow. κ counts \
     differences within a frame or a field: the larger, the smoother. Images have neither.";

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

/// The heading under which a unit stands beside others: its layer, or "classes".
fn group_of(unit: &str) -> String {
    match unit.rsplit_once(':') {
        Some(("class", _)) => CLASSES.to_owned(),
        Some((layer, _)) => layer.to_owned(),
        None => unit.to_owned(),
    }
}

/// Flow in words: its mean, the mean length of its vectors, and that of the longest, in pixels per frame.
fn lengths(picture: &Picture) -> Result<String> {
    let image = &picture.image;
    let flow = Flow::new(image.frames, image.height, image.width, picture.raw_data())?;
    let all = (0..image.frames).flat_map(|t| flow.u(t).iter().zip(flow.v(t)));
    let lengths = all.map(|(u, v)| f64::from(u.hypot(*v)));
    let count = (image.frames * image.height * image.width).max(1) as f64;
    let speed = lengths.sum::<f64>() / count;
    let mean = |of: &dyn Fn(usize) -> f64| (0..image.frames).map(of).sum::<f64>() / count;
    let sum = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>();
    let [u, v] = [mean(&|t| sum(flow.u(t))), mean(&|t| sum(flow.v(t)))];
    let [across, down] = [if u < 0.0 { "left" } else { "right" }, if v < 0.0 { "up" } else { "down" }];
    Ok(format!(
        "mean flow {:.1} px {across}, {:.1} {down}; speed {speed:.1}, at most {:.1}",
        u.abs(),
        v.abs(),
        flow.largest()
    ))
}

/// Says below the name of a layer how much its units see, and how many of them are shown.
fn add_notes(model: &LoadedModel, sections: &mut [Section]) -> Result<()> {
    let layers = model.layers()?;
    for section in sections {
        let units = section.figures.len() / section.abreast.max(1);
        let is_it =
            |layer: &&Layer| layer.name == section.heading || layer.aliases.contains(&section.heading);
        section.note = match (section.heading.as_str(), layers.layers.iter().find(is_it)) {
            (CLASSES, _) => model
                .model
                .class_count()
                .map_or(String::new(), |all| layer_grid::shown(units, all, "classes")),
            (_, Some(layer)) => layer_grid::note(&layers, layer, units),
            (_, None) => String::new(),
        };
    }
    Ok(())
}

impl VideoJob {
    /// Returns the HTML page, with a section for each unit, or for each layer where a unit has one picture
    /// of each input.
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
        // Variants of a unit, and its data, fill a row of their own.
        let joins = examples.is_none() && work.settings.len() == 1;
        for result in finished {
            let report = &result.report;
            let heading = if joins { group_of(&report.unit) } else { report.unit.clone() };
            // A layer's name may need quotation marks in an expression, but not here.
            let heading = heading.replace('"', "");
            let abreast = result.rendered.images.len();
            if sections.last().is_none_or(|s| s.heading != heading || joins && s.abreast != abreast) {
                let figures = match examples {
                    Some(examples) => of_data(run, examples, &report.unit)?,
                    None => Vec::new(),
                };
                sections.push(Section { heading, figures, ..Section::default() });
            }
            let Some(section) = sections.last_mut() else { continue };
            if examples.is_none() {
                section.abreast = abreast;
            }
            for picture in &result.rendered.images {
                let drawn = self.flow.drawn(picture, &result.rendered.images)?;
                let mut caption = picture.input.clone();
                if joins {
                    let unit = report.unit.strip_prefix("class:").unwrap_or(&report.unit);
                    caption = if abreast > 1 { format!("{unit} · {caption}") } else { unit.to_owned() };
                }
                if !joins {
                    for (name, value) in [("κ", report.kappa), ("γ", report.gamma)] {
                        caption += &value.map_or(String::new(), |value| format!(" · {name} {value}"));
                    }
                }
                let named = report.named.as_ref().map_or(String::new(), |named| format!("\nnamed {named}"));
                let below = match picture.kind {
                    InputKind::Flow => format!("\n{}", lengths(picture)?),
                    _ => named,
                };
                let figure = Figure {
                    caption: format!("{caption}\nvalue {}{below}", short(report.value)),
                    ..figures::of_unit("", report)
                };
                section.figures.push(if drawn.frames > 1 {
                    self.with_film(figure, &drawn)?
                } else {
                    figures::with_picture(figure, &drawn)?
                });
            }
        }
        if joins {
            add_notes(model, &mut sections)?;
        }
        let mut names: Vec<String> = work.settings.iter().map(|s| s.preset.title()).collect();
        names.dedup();
        let flow = model.model.card.input.iter().any(|i| i.kind == InputKind::Flow);
        if let Some(legend) = self.flow.legend()?.filter(|_| flow) {
            let caption =
                "colours of motion\nto the right at the right, down at the bottom, none in the middle";
            let figure = Figure { caption: caption.to_owned(), ..Figure::default() };
            let figures = vec![figures::with_picture(figure, &legend)?];
            sections.push(Section { heading: "How flow is drawn".to_owned(), figures, ..Section::default() });
        }
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
