//! Activation grids: each cell shows the picture of the map's direction at its position (Olah et al. 2018).

use oneiro::objective::{Direction, Term, TermKind, Toward};
use oneiro_media::{Cell, Filter, Image, Sheet, TileLook};
use serde::{Deserialize, Serialize};

use super::{GridSettings, LayerView, Made, NAMED, render_units};
use crate::error::Result;
use crate::job::Run;
use crate::job::error::{JobError, Large};
use crate::job::render::{RenderUnit, Setting};
use crate::model::LoadedModel;

/// Maximum side of a cell. Larger pictures are better rendered one by one.
pub const MAX_SIDE: usize = 1024;
/// Divisor of a cell's side: on each side, a cell blends into its neighbours over this part of its side.
const OVERLAP: usize = 16;
/// Divisor of a cell's side: on each side, a margin of this part beyond the overlap is rendered and cut off.
/// It keeps the picture's border, beyond which the network pads with zeros, out of most shifted views. On
/// VGG-16 the border changes the brightness of 16 pixels of 64.
const CUT: usize = 4;
/// Background colour around smaller cells and behind transparent ones.
const PAPER: [f32; 3] = [1.0; 3];
/// The grey of a cell whose activations are all zero.
const SILENT: [f32; 3] = [0.5; 3];

/// Settings of an activation grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mosaic {
    /// The exponent p of dot · max(.1, cos)^p.
    pub power: f64,
    /// The property of a cell that shows its magnitude or attribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
}

/// The property of a cell that shows its magnitude or attribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// The cell's area shows the value.
    Size,
    /// The cell's opacity shows the value.
    Opacity,
}

impl Mosaic {
    /// Returns the overlap with neighbouring cells on each side, in pixels.
    fn overlap(&self, side: usize) -> usize {
        if self.scale == Some(Scale::Size) { 0 } else { side / OVERLAP }
    }

    /// Returns the side of the picture that is rendered for a cell of this side.
    pub fn picture_side(&self, side: usize) -> usize {
        side + 2 * (self.overlap(side) + side / CUT)
    }

    /// Cuts the cell with its overlap out of the rendered picture.
    fn tile(&self, picture: &Image, side: usize) -> Result<Image> {
        let whole = self.picture_side(side);
        let (cut, tile) = (side / CUT, side + 2 * self.overlap(side));
        if (picture.width, picture.height) == (whole, whole) {
            return Ok(picture.crop(cut, cut, tile, tile)?);
        }
        // If the network accepts only its own size, the picture has another size and is resized.
        let picture = oneiro_media::resize(picture, whole, whole, Filter::Triangle)?;
        Ok(picture.crop(cut, cut, tile, tile)?)
    }

    /// Returns the unit to render for a cell. The activation vector is normalised to length 1, so that all
    /// cells have equal weight in the gradients of shared parameters.
    fn job(&self, recipe: &GridSettings, seen: &LayerView, at: [usize; 2]) -> RenderUnit {
        let length = seen.cells.magnitude(at);
        let unit = seen.cells.vector(at).into_iter().map(|a| (f64::from(a) / length) as f32).collect();
        let direction = Direction { toward: Toward::Numbers(unit), minus: None, power: self.power, at: None };
        let term = Term::new(&seen.objective_layer, TermKind::Direction(direction));
        RenderUnit::new(format!("{} at {},{}", recipe.layer, at[0], at[1]), term.into())
    }

    /// Renders the cells and assembles them, beside the photo.
    pub fn make(
        &self,
        run: &Run<'_>,
        model: &LoadedModel,
        recipe: &GridSettings,
        setting: &Setting,
        seen: &LayerView,
    ) -> Result<Made> {
        let [_, rows, columns] = seen.cells.shape();
        if ((rows * columns) as u64).saturating_mul((recipe.side * recipe.side) as u64)
            > oneiro_media::MAX_PIXELS
        {
            let (count, size) = (rows * columns, [recipe.side; 2]);
            return Err(JobError::TooLarge { count, things: "cells", size, result: Large::Mosaic }.into());
        }
        let active: Vec<[usize; 2]> =
            seen.cells.positions().filter(|&at| seen.cells.magnitude(at) > 0.0).collect();
        let jobs = active.iter().map(|&at| self.job(recipe, seen, at)).collect();
        let finished = render_units(run, model, setting, jobs)?;
        let side = recipe.side + 2 * self.overlap(recipe.side);
        let largest = seen.cells.positions().map(|at| seen.cells.weight(at)).fold(0.0, f64::max);
        let mut results = active.iter().zip(&finished).peekable();
        let (mut tiles, mut cells) = (Vec::new(), Vec::new());
        for at in seen.cells.positions() {
            let result = results.next_if(|(active, _)| **active == at).map(|(_, result)| result);
            let picture = match result {
                Some(r) => self.tile(&r.picture, recipe.side)?,
                None => Image::filled(side, side, SILENT),
            };
            let part = if largest > 0.0 { (seen.cells.weight(at) / largest).max(0.0) } else { 0.0 };
            let look = match self.scale {
                None => TileLook::Whole,
                Some(Scale::Size) => TileLook::Sized(part.sqrt() as f32),
                Some(Scale::Opacity) => TileLook::Faded(part as f32),
            };
            tiles.push((picture, look));
            cells.push(seen.report(at, NAMED, result.map(|r| &r.report)));
        }
        let grid = oneiro_media::mosaic(&tiles, columns, self.overlap(recipe.side), PAPER)?;
        let sheet = self.sheet(recipe, setting, seen, grid)?;
        Ok(Made { sheet, cells, finished })
    }

    /// Draws the photo and the grid side by side.
    fn sheet(
        &self,
        recipe: &GridSettings,
        setting: &Setting,
        seen: &LayerView,
        grid: Image,
    ) -> Result<Image> {
        let photo = oneiro_media::resize(&seen.photo, grid.height, grid.width, Filter::Triangle)?;
        let preset = &setting.preset;
        let mut words =
            vec![format!("preset {}, {} steps, seed {}", preset.name, preset.total_steps(), setting.seed)];
        let by = if recipe.toward.is_some() { "share in the unit" } else { "magnitude" };
        match self.scale {
            None => {}
            Some(Scale::Size) => words.push(format!("area by {by}")),
            Some(Scale::Opacity) => words.push(format!("opacity by {by}")),
        }
        if let Some(toward) = recipe.toward_unit.as_ref().or(recipe.toward.as_ref()) {
            words.push(format!("toward {toward}"));
        }
        let sheet = Sheet::new(2)
            .title(&recipe.title)
            .subtitle(words.join(", "))
            .cell(Cell::new(photo).caption(crate::source::stem(&recipe.image)))
            .cell(Cell::new(grid).caption(recipe.map_in_words(seen)));
        Ok(sheet.render()?)
    }
}
