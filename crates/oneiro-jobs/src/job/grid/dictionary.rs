//! Semantic dictionaries: positions of a layer, each shown by icons of its most active channels (Olah et al.
//! 2018).

use oneiro::objective::Objective;
use oneiro_media::{Cell, Filter, Image, Sheet};
use oneiro_net::analysis;
use serde::{Deserialize, Serialize};

use super::{CellReport, GridSettings, LayerView, Made, render_units};
use crate::error::Result;
use crate::job::Run;
use crate::job::error::JobError;
use crate::job::render::{RenderUnit, Setting};
use crate::job::sheet::MIN_CELL_WIDTH;
use crate::model::LoadedModel;
use crate::numbers::short;

/// Side of the photo above the rows, as a multiple of an icon's side.
const PHOTO: usize = 2;
/// Minimum side of the crops of the photo, in pixels.
const LEAST_CROP: usize = 16;
/// Maximum side of the crops, as a share of the photo's shorter side. Deep layers have larger receptive
/// fields, but pixels in their middle contribute most (Luo et al., "Understanding the effective receptive
/// field", NIPS 2016).
const LARGEST_CROP: f64 = 0.4;
/// Colours of the frames around the crops, used in turn (Okabe & Ito's, without black).
const FRAMES: [[u8; 3]; 7] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [213, 94, 0],
    [204, 121, 167],
    [0, 114, 178],
];
/// Thickness of the coloured frames in pixels.
const FRAME: usize = 3;

/// The positions of a dictionary, and the number of channels shown for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dictionary {
    /// The positions of the layer's map that are shown.
    pub places: Positions,
    /// Number of channels that are shown for each position.
    pub top: usize,
}

/// The positions of the map that are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// This many positions with the largest magnitude or attribution, no two of them neighbours.
    Strongest(usize),
    /// The positions with these rows and columns.
    At(Vec<[usize; 2]>),
}

/// A square of the photo: left edge, top edge and side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Square {
    x: usize,
    y: usize,
    side: usize,
}

impl Dictionary {
    fn positions(&self, recipe: &GridSettings, seen: &LayerView) -> Result<Vec<[usize; 2]>> {
        let [_, rows, columns] = seen.cells.shape();
        match &self.places {
            Positions::Strongest(n) => Ok(seen.cells.strongest(*n)),
            Positions::At(places) => match places.iter().find(|[y, x]| *y >= rows || *x >= columns) {
                Some(&position) => {
                    let (layer, map) = (recipe.layer.clone(), [rows, columns]);
                    Err(JobError::Position { position, layer, map }.into())
                }
                None => Ok(places.clone()),
            },
        }
    }

    /// Renders an icon for each channel, and arranges the icons beside crops of the photo.
    pub fn make(
        &self,
        run: &Run<'_>,
        model: &LoadedModel,
        recipe: &GridSettings,
        setting: &Setting,
        seen: &LayerView,
    ) -> Result<Made> {
        let positions = self.positions(recipe, seen)?;
        let cells: Vec<CellReport> = positions.iter().map(|&at| seen.report(at, self.top, None)).collect();
        let mut channels: Vec<usize> = cells.iter().flat_map(|c| c.top.iter().map(|t| t.channel)).collect();
        channels.sort_unstable();
        channels.dedup();
        if channels.is_empty() {
            return Err(JobError::SilentPositions { layer: recipe.layer.clone() }.into());
        }
        let job = |&c: &usize| {
            RenderUnit::new(format!("{}:{c}", recipe.layer), Objective::channel(&recipe.layer, c))
        };
        let jobs = channels.iter().map(job).collect();
        let finished = render_units(run, model, setting, jobs)?;

        let extent = extent(model, recipe)?;
        let squares: Vec<Square> = positions.iter().map(|&at| square(seen, at, extent)).collect();
        let side = recipe.side;
        let sized = |image: &Image| match (image.width, image.height) == (side, side) {
            true => Ok(image.clone()),
            false => oneiro_media::resize(image, side, side, Filter::Triangle),
        };
        let preset = &setting.preset;
        let by =
            recipe.toward_unit.as_ref().map_or(String::new(), |unit| format!(", by their share in {unit}"));
        let mut sheet = Sheet::new(self.top.saturating_add(1))
            .min_cell_width(MIN_CELL_WIDTH)
            .title(&recipe.title)
            .subtitle(format!(
                "the channels that speak most at positions of {}{by}; preset {}, {} steps, seed {}",
                recipe.map_in_words(seen),
                preset.name,
                preset.total_steps(),
                setting.seed
            ))
            .row("")
            .cell(
                Cell::new(overview(seen, &squares, PHOTO * side)?)
                    .caption(crate::source::stem(&recipe.image)),
            );
        for (i, (cell, square)) in cells.iter().zip(&squares).enumerate() {
            let mut crop = sized(&seen.photo.crop(square.x, square.y, square.side, square.side)?)?;
            frame(&mut crop, Square { x: 0, y: 0, side }, color(i));
            let of_all = cell.attribution.map_or(cell.magnitude, |a| a);
            let of_crop = Cell::new(crop).caption(format!("position {},{}", cell.y, cell.x)).caption(
                format!("{} {}", if recipe.toward.is_some() { "share" } else { "magnitude" }, short(of_all)),
            );
            sheet = sheet.row("").cell(of_crop);
            for top in &cell.top {
                let Ok(at) = channels.binary_search(&top.channel) else { continue };
                let mut icon = Cell::new(sized(&finished[at].picture)?)
                    .caption(format!("channel {}", top.channel))
                    .caption(short(top.activation));
                if let Some(share) = top.attribution {
                    icon = icon.caption(format!("share {}", short(share)));
                }
                sheet = sheet.cell(icon);
            }
        }
        Ok(Made { sheet: sheet.render()?, cells, finished })
    }
}

/// Returns the longer side of the layer's receptive field in pixels, or `usize::MAX` if it is not known.
fn extent(model: &LoadedModel, recipe: &GridSettings) -> Result<usize> {
    let shapes = model.model.input_shapes(1, recipe.image_size)?;
    let value = model.model.resolve(&recipe.layer)?;
    let layered = model.model.all_layered(&shapes)?;
    let layers =
        analysis::layers(&model.model.graph, &model.model.names(), &shapes, layered.followed())?.layers;
    let of_layer = layers.iter().filter(|l| l.value == value).flat_map(|l| &l.fields);
    let of_pictures = of_layer.filter(|(input, _)| model.is_image(*input));
    Ok(of_pictures.flat_map(|(_, f)| f.extent.iter().rev().take(2)).copied().max().unwrap_or(usize::MAX))
}

/// Returns a square of the photo at the middle of a position's receptive field, with limited side. The middle
/// is estimated from the position's place in the map, which is slightly wrong for layers without padding.
fn square(seen: &LayerView, [y, x]: [usize; 2], extent: usize) -> Square {
    let (width, height) = (seen.photo.width, seen.photo.height);
    let [_, rows, columns] = seen.cells.shape();
    let shorter = width.min(height);
    let most = (shorter as f64 * LARGEST_CROP) as usize;
    let side = extent.max(LEAST_CROP).min(most.max(1));
    let from = |at: usize, of: usize, length: usize| {
        ((2 * at + 1) * length / (2 * of)).saturating_sub(side / 2).min(length - side)
    };
    Square { x: from(x, columns, width), y: from(y, rows, height), side }
}

/// Draws frames on the photo around the crops of all rows.
fn overview(seen: &LayerView, squares: &[Square], height: usize) -> Result<Image> {
    let (w, h) = (seen.photo.width, seen.photo.height);
    let width = (w * height).div_ceil(h).max(1);
    let mut photo = oneiro_media::resize(&seen.photo, height, width, Filter::Triangle)?;
    for (i, square) in squares.iter().enumerate() {
        let scaled = |n: usize| n * height / h;
        let square = Square { x: scaled(square.x), y: scaled(square.y), side: scaled(square.side) };
        frame(&mut photo, square, color(i));
    }
    Ok(photo)
}

fn color(row: usize) -> [f32; 3] {
    FRAMES[row % FRAMES.len()].map(|v| f32::from(v) / 255.0)
}

/// Draws the frame of a square, inside the square.
fn frame(image: &mut Image, square: Square, color: [f32; 3]) {
    let (width, pixels) = (image.width, image.width * image.height);
    let right = (square.x + square.side).min(image.width);
    let foot = (square.y + square.side).min(image.height);
    for y in square.y..foot {
        for x in square.x..right {
            let edge = (x - square.x).min(right - 1 - x).min(y - square.y).min(foot - 1 - y);
            if edge < FRAME {
                for (c, value) in color.iter().enumerate() {
                    image.data[c * pixels + y * width + x] = *value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_leaves_what_is_inside() {
        let mut image = Image::filled(10, 10, [0.0; 3]);
        frame(&mut image, Square { x: 2, y: 0, side: 8 }, [1.0, 0.5, 0.0]);
        assert_eq!([image.pixel(1, 0), image.pixel(5, 4)], [[0.0; 3]; 2]);
        assert_eq!([image.pixel(2, 0), image.pixel(9, 7), image.pixel(4, 5)], [[1.0, 0.5, 0.0]; 3]);
        // The square lies half outside the image, which must not panic.
        frame(&mut image, Square { x: 8, y: 8, side: 8 }, [1.0; 3]);
    }
}
