//! Draws units with their example images: one unit in detail, or many side by side.

use oneiro_media::{Cell, Figure, Filter, Image, Number, Page, PngText, Section, Sheet, resize};

use super::driven::Driven;
use super::{lists, numbers, plain_class, plots, selectivity};
use crate::error::Result;
use crate::job::belief::{ABOUT, Belief, CAPTION_LINES};
use crate::job::crops::Crops;
use crate::job::figures;
use crate::job::sheet::MIN_CELL_WIDTH;
use crate::job::tiles::{below, beside, enlarged, marked, reduced, squares};
use crate::numbers::short;
use crate::store::ScanFile;
use crate::store::read::{Breadth, ExampleRecord, LayerForm, LayerRecord, UnitRecord};

/// Side in pixels of an example crop on the sheet.
const TILE: usize = 128;
/// Largest side in pixels of an example crop on a page.
const ON_PAGE: usize = 224;
/// Largest side in pixels of an activation map on the sheet.
const MAP: usize = 176;
/// Side in pixels of a unit's mosaic of example crops.
const MOSAIC: usize = 240;

/// Units to draw, with everything that is drawn of them.
pub(super) struct Drawn<'a> {
    pub scan: &'a ScanFile,
    pub crops: &'a Crops<'a>,
    pub units: &'a [(UnitRecord, &'a LayerRecord)],
    /// Rendered pictures of the units, if they were requested.
    pub pictures: Option<Vec<Image>>,
    /// The units' values for these pictures.
    pub values: Vec<f64>,
    /// Whether each of these pictures may be believed; empty if that was not asked.
    pub beliefs: &'a [Belief],
    /// For each unit its best images with its map of activations over them.
    pub heat: Option<Vec<Vec<Image>>>,
    /// For each unit, the units that drive it, if they were requested.
    pub driven: Vec<Driven<'a>>,
    /// Number of example images drawn of each list.
    pub examples: usize,
}

/// Heading of the activation maps.
const HEAT: &str = "activation map";

impl Drawn<'_> {
    fn title(&self) -> Result<String> {
        Ok(match self.units {
            [(unit, layer)] => self.scan.name_of(unit, layer)?,
            _ => format!("Units of {}", self.scan.meta("model-title").unwrap_or_default()),
        })
    }

    /// Returns a contact sheet of all units.
    pub(super) fn sheet(&self) -> Result<Sheet> {
        let about = match self.units {
            [(unit, layer)] => numbers(unit, layer),
            _ => format!("{} units", self.units.len()),
        };
        let data =
            format!("{} images of {}", self.scan.image_count()?, self.scan.meta("data").unwrap_or_default());
        let mut sheet = Sheet::new(self.examples + usize::from(self.pictures.is_some()))
            .title(self.title()?)
            .subtitle(format!("{about}; {data}; pale is what the unit does not see"))
            .min_cell_width(MIN_CELL_WIDTH)
            .caption_lines(CAPTION_LINES);
        let alone = self.units.len() == 1;
        for (i, (unit, layer)) in self.units.iter().enumerate() {
            // If there are several units, only the list of the largest activations is drawn.
            let lists = lists(self.scan, unit, layer, self.examples);
            let shown = if alone { lists.len() } else { 1 };
            for (row, (heading, examples)) in lists.into_iter().take(shown).enumerate() {
                sheet = if alone { sheet.row(heading) } else { sheet.row(self.scan.name_of(unit, layer)?) };
                if let Some(picture) = self.picture(i).filter(|_| row == 0) {
                    let mut cell = Cell::new(enlarged(picture, TILE)?);
                    for line in self.caption(i) {
                        cell = cell.caption(line);
                    }
                    sheet = sheet.cell(cell);
                }
                for example in examples {
                    let crop = enlarged(self.crops.crop(example, layer)?, TILE)?;
                    let class = example.class.as_deref().map_or_else(String::new, plain_class);
                    sheet = sheet.cell(Cell::new(crop).caption(class).caption(short(example.value)));
                }
                if row == 0 && !self.heat(i).is_empty() {
                    sheet = sheet.row(HEAT);
                    if self.picture(i).is_some() {
                        // Each map stands below its image, so there is nothing below the optimised picture.
                        sheet = sheet.cell(Cell::new(Image::filled(TILE, TILE, [1.0; 3])));
                    }
                    for (heat, example) in self.heat(i).iter().zip(&unit.best) {
                        let heat = Cell::new(enlarged(reduced(heat.clone(), MAP)?, TILE)?);
                        sheet = sheet.cell(
                            heat.caption(example.class.as_deref().map_or_else(String::new, plain_class)),
                        );
                    }
                }
            }
            if let Some(driven) = self.driven.get(i) {
                sheet = driven.on_sheet(sheet, self.crops, alone)?;
            }
            if alone {
                sheet = sheet.row("responses");
                for plot in plots::of_unit(self.scan, unit)? {
                    sheet = sheet.cell(Cell::new(plot));
                }
            }
        }
        Ok(sheet)
    }

    /// A unit's rendered picture, with a frame if it is flagged.
    fn picture(&self, unit: usize) -> Option<Image> {
        let mut picture = self.pictures.as_ref()?.get(unit)?.clone();
        if self.beliefs.get(unit).is_some_and(Belief::is_flagged) {
            marked(&mut picture);
        }
        Some(picture)
    }

    /// The caption of a unit's picture: its value, and whether it may be believed.
    fn caption(&self, unit: usize) -> Vec<String> {
        let value = self.values.get(unit).map(|value| format!("picture's value {}", short(*value)));
        let belief = self.beliefs.get(unit).map_or_else(Vec::new, Belief::lines);
        ["optimised".to_owned()].into_iter().chain(value).chain(belief).collect()
    }

    fn heat(&self, unit: usize) -> &[Image] {
        self.heat.as_ref().and_then(|heat| heat.get(unit)).map_or(&[], Vec::as_slice)
    }

    /// Returns an HTML page of all units.
    pub(super) fn page(&self, text: PngText) -> Result<Page> {
        let meta = |key: &str| self.scan.meta(key).unwrap_or_default();
        let sections = match self.units {
            [(unit, layer)] => self.in_detail(unit, layer)?,
            _ => self.side_by_side()?,
        };
        let mut intro = format!(
            "What {} images of {} do to the network {}.",
            self.scan.image_count()?,
            meta("data"),
            meta("model-title"),
        );
        if self.units.iter().any(|(_, layer)| layer.has_positions()) {
            intro += " Each crop is what one position of the layer sees: the part of an image around the largest activation, or \
                      the whole image where a position sees all of it. Where a position sees beyond the border, the crop lies \
                      inside the image, and what the position does not see is pale.";
        }
        if self.heat.is_some() {
            intro += " An activation map lies over the image in grey: the brighter its colours, the larger the activation. \
                      Where a layer has negative activations, these are blue and positive ones red.";
        }
        if self.units.len() > 1 {
            intro += " The blue bars below the crops are a histogram of the unit's activations, from the smallest on the left to \
                      the largest on the right; heights are logarithms.";
        }
        if !self.beliefs.is_empty() {
            intro += &format!("\n\n{ABOUT}");
        }
        let sha256 = meta("model-sha256");
        let footer = format!(
            "oneiro {}, {} kernels, model SHA-256 {}",
            meta("version"),
            meta("kernels"),
            sha256.get(..16).unwrap_or(sha256),
        );
        Ok(Page { title: self.title()?, intro, sections, footer, text })
    }

    /// Returns the page's sections for a single unit: its example images list by list, and its plots.
    fn in_detail(&self, unit: &UnitRecord, layer: &LayerRecord) -> Result<Vec<Section>> {
        let mut sections = Vec::new();
        let lists = lists(self.scan, unit, layer, self.examples);
        for (at, (heading, examples)) in lists.into_iter().enumerate() {
            let mut figures = Vec::new();
            if let Some(picture) = self.picture(0).filter(|_| at == 0) {
                let caption = self.caption(0).join("\n");
                let figure = Figure { caption, ..Figure::default() };
                let figure = figures::with_picture(figure, &picture)?;
                match self.heat(0).is_empty() {
                    true => figures.push(figure),
                    // In a section of its own, so that images and their maps stand in equal columns.
                    false => sections.push(Section {
                        heading: "optimised picture".into(),
                        figures: vec![figure],
                        ..Section::default()
                    }),
                }
            }
            for example in examples {
                let crop = enlarged(self.crops.crop(example, layer)?, TILE)?;
                figures.push(figure(example, crop)?);
            }
            let note = if at == 0 { self.about(unit, layer)? } else { String::new() };
            sections.push(Section { heading, note, figures, ..Section::default() });
            if at == 0 && !self.heat(0).is_empty() {
                let pairs = unit.best.iter().zip(self.heat(0));
                let of = |(example, heat): (&ExampleRecord, &Image)| {
                    figure(example, enlarged(heat.clone(), TILE)?)
                };
                let figures = pairs.map(of).collect::<Result<_>>()?;
                sections.push(Section {
                    heading: HEAT.into(),
                    note: String::new(),
                    figures,
                    ..Section::default()
                });
            }
        }
        for driven in &self.driven {
            sections.extend(driven.sections(self.crops, true)?);
        }
        let mut figures = Vec::new();
        for plot in plots::of_unit(self.scan, unit)? {
            figures.push(figures::with_picture(Figure::default(), &plot)?);
        }
        sections.push(Section {
            heading: "responses".into(),
            note: String::new(),
            figures,
            ..Section::default()
        });
        Ok(sections)
    }

    /// Returns the page's sections for many units: one figure for each unit, which the reader can sort.
    fn side_by_side(&self) -> Result<Vec<Section>> {
        let mut sections: Vec<Section> = Vec::new();
        for (i, (unit, layer)) in self.units.iter().enumerate() {
            let figure = self.of_unit(i, unit, layer)?;
            match sections.last_mut().filter(|section| section.heading == layer.name) {
                Some(section) => section.figures.push(figure),
                None => {
                    let shown = self.units.iter().filter(|(_, of)| of.number == layer.number).count();
                    let note = match shown == layer.channels {
                        true => format!("all {shown} units"),
                        false => format!("{shown} of {} units", layer.channels),
                    };
                    let (heading, figures) = (layer.name.clone(), vec![figure]);
                    sections.push(Section { heading, note, figures, ..Section::default() });
                }
            }
        }
        for driven in &self.driven {
            sections.extend(driven.sections(self.crops, false)?);
        }
        Ok(sections)
    }

    /// Returns a unit's figure: its strongest crops, after its rendered picture if there is one.
    fn of_unit(&self, i: usize, unit: &UnitRecord, layer: &LayerRecord) -> Result<Figure> {
        let mut parts = Vec::new();
        for example in unit.best.iter().take(self.examples) {
            parts.push(self.crops.crop(example, layer)?);
        }
        let mut drawn = squares(&parts, MOSAIC)?;
        if !self.heat(i).is_empty() {
            drawn = beside(&drawn, &squares(self.heat(i), MOSAIC)?)?;
        }
        if let Some(picture) = self.picture(i) {
            drawn = beside(&resize(&picture, MOSAIC, MOSAIC, Filter::Triangle)?, &drawn)?;
        }
        let drawn = below(&drawn, &plots::strip(&self.scan.samples(unit.number)?, drawn.width))?;
        let classes = plots::classes(unit);
        let named = |(name, value): &(String, f64)| format!("{name} {}", short(*value));
        let said: Vec<String> = classes.iter().take(3).map(|(name, _)| (*name).to_owned()).collect();
        let number = |value: Option<f64>| value.map_or_else(String::new, short);
        let percent = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{:.1} %", 100.0 * v));
        let correlated = self.scan.correlated(unit.number)?;
        let correlated: Vec<String> = correlated.iter().map(|(c, r)| format!("{c} ({r:+.2})")).collect();
        let (selective, said_selective) = (self.scan.selectivity(unit)?, selectivity(self.scan, unit)?);
        let active = if layer.is_classes && !layer.has_positions() { None } else { unit.fraction_active };
        let mut detail = vec![
            ("maximum".into(), number(unit.maximum)),
            ("mean".into(), number(unit.mean)),
            ("active".into(), percent(active)),
            ("answers".into(), self.answers(unit)?),
            ("selectivity".into(), said_selective.unwrap_or_default()),
            ("classes".into(), classes.iter().map(named).collect::<Vec<_>>().join(", ")),
            ("best image".into(), unit.best.first().map_or_else(String::new, |best| best.file.clone())),
            ("correlated".into(), correlated.join(", ")),
        ];
        detail.retain(|(_, value): &(String, String)| !value.is_empty());
        let mut caption = format!("{}\n{}", self.scan.name_of(unit, layer)?, said.join(", "));
        for line in self.caption(i).iter().skip(1) {
            caption += &format!("\n{line}");
        }
        let figure = Figure {
            caption,
            detail,
            detail_title: "More".into(),
            keys: vec![
                ("as listed".into(), Number(i as f64)),
                ("by channel".into(), Number(-(unit.channel as f64))),
                ("by the largest activation".into(), Number(unit.maximum.unwrap_or(f64::NAN))),
                ("by the mean".into(), Number(unit.mean.unwrap_or(f64::NAN))),
                ("by the share of active positions".into(), Number(unit.fraction_active.unwrap_or(f64::NAN))),
                ("by selectivity".into(), Number(selective.map_or(f64::NAN, |(_, value)| value))),
            ],
            ..Figure::default()
        };
        figures::with_jpeg(figure, &drawn)
    }

    /// Returns a unit's statistics and the classes that it responds to, in words.
    fn about(&self, unit: &UnitRecord, layer: &LayerRecord) -> Result<String> {
        let (numbers, answers) = (numbers(unit, layer), self.answers(unit)?);
        let said = if answers.is_empty() { numbers } else { format!("{numbers}. Answers {answers}.") };
        Ok(match &other_names(&layer.forms, unit.channel)[..] {
            [] => said,
            names => format!(
                "{said}\n\nOther names, in front of activation functions or joints: {}.",
                names.join(", ")
            ),
        })
    }

    fn answers(&self, unit: &UnitRecord) -> Result<String> {
        Ok(match self.scan.breadth(&unit.classes)? {
            Breadth::One { class } => format!("one class: {}", plain_class(&class)),
            Breadth::Several { classes } => {
                let classes: Vec<String> = classes.iter().map(|class| plain_class(class)).collect();
                format!("several classes: {}", classes.join(", "))
            }
            Breadth::Most => "most classes alike".to_owned(),
            Breadth::Nothing => "no class".to_owned(),
            Breadth::Unknown => String::new(),
        })
    }
}

/// Other names of a channel: those of the values that the layer joins or activates, as far as they have it.
fn other_names(forms: &[LayerForm], channel: usize) -> Vec<String> {
    let has_it = |form: &&LayerForm| (form.first..form.first + form.channels).contains(&channel);
    let with_it = || forms.iter().filter(has_it);
    let Some(nearest) = with_it().map(|form| form.first).max() else { return Vec::new() };
    let own = with_it().filter(|form| form.first == nearest);
    let mut names: Vec<String> = own.map(|form| format!("{}:{}", form.name, channel - form.first)).collect();
    // A node's or value's own name says no more than the layer's.
    let is_short = |name: &String| !name.starts_with('/');
    if names.iter().any(is_short) {
        names.retain(is_short);
    }
    names
}

/// An example with its picture.
fn figure(example: &ExampleRecord, picture: Image) -> Result<Figure> {
    let picture = reduced(picture, ON_PAGE)?;
    let class = example.class.as_deref().map_or_else(String::new, plain_class);
    let position: Vec<String> = example.position.iter().map(usize::to_string).collect();
    let mut detail = vec![("file".to_owned(), example.file.clone())];
    if !position.is_empty() {
        detail.push(("position".to_owned(), position.join(", ")));
    }
    if example.before != example.value {
        detail.push(("in front of its ReLU".to_owned(), short(example.before)));
    }
    let figure = Figure {
        caption: format!("{class}\n{}", short(example.value)),
        detail,
        detail_title: "More".into(),
        ..Figure::default()
    };
    figures::with_jpeg(figure, &picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_the_names_of_the_values_that_the_layer_joins() {
        let forms =
            [("expand1x1", 0), ("/expand1x1/Conv", 0), ("relu_1", 0), ("expand3x3", 256), ("relu_2", 256)];
        let forms = forms.map(|(name, first)| LayerForm { name: name.to_owned(), first, channels: 256 });
        assert_eq!(other_names(&forms, 255), ["expand1x1:255", "relu_1:255"]);
        assert_eq!(other_names(&forms, 268), ["expand3x3:12", "relu_2:12"]);
        assert!(other_names(&[], 3).is_empty());
    }
}
