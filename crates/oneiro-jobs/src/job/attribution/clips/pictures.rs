//! Draws the maps of a clip, frame by frame.

use oneiro::attribution::Attribution;
use oneiro::card::InputKind;
use oneiro_media::flow::{Flow, FlowScaling, flow_colors};
use oneiro_media::{Cell, Film, FrameRate, Image, Sheet, colormap};

use super::{ClipAttributionJob, ClipMapReport, ClipReport, InputMaps};
use crate::error::Result;
use crate::job::attribution::sheet::{file_name, remark};
use crate::numbers::short;

/// Maximum number of columns of the film: the input and six maps.
const COLUMNS: usize = 7;
/// Minimum width of drawn frames, with each pixel as a square.
const WIDTH: usize = 192;
/// Width of a cell, wide enough for captions.
const CELL_WIDTH: usize = 224;
/// Maximum number of frames of a strip.
const STRIP: usize = 16;
/// Minimum width of the frames of a strip.
const STRIP_WIDTH: usize = 96;

/// What is drawn.
pub(super) struct ClipPictures<'a> {
    pub job: &'a ClipAttributionJob,
    pub report: &'a ClipReport,
    pub inputs: &'a [InputMaps],
}

/// An input with its frames in colours, and its maps with their reports.
struct Panels<'a> {
    of: &'a InputMaps,
    /// `[3, T, H, W]`.
    drawn: Image,
    maps: Vec<(&'a Attribution, &'a ClipMapReport)>,
}

impl ClipPictures<'_> {
    /// Returns the film. An input with fewer frames than another is shown in step with it.
    pub(super) fn film(&self, rate: FrameRate) -> Result<Film> {
        let panels = self.panels()?;
        let frames = panels.iter().map(|panel| panel.drawn.frames).max().unwrap_or(1);
        let mut film = Film::at_rate(rate);
        for frame in 0..frames {
            let mut sheet = self.sheet((self.job.methods.len() + 1).min(COLUMNS)).min_cell_width(CELL_WIDTH);
            sheet = sheet.zoom((WIDTH / self.widest()).max(1));
            for panel in &panels {
                let at = frame * panel.drawn.frames / frames;
                sheet = sheet.row("").cell(self.input_cell(panel, at)?);
                for &(map, report) in &panel.maps {
                    let range = if map.method.is_signed() { "\u{b1}" } else { "0 to " };
                    let scale = report.map.scale;
                    let cell = Cell::new(self.frame_of_map(panel, map, scale, at)?)
                        .caption(map.method.name())
                        .caption(format!("{range}{} (99th percentile)", short(scale)))
                        .caption(remark(&report.map, &self.job.settings, panel.of.input.extent));
                    sheet = sheet.cell(cell);
                }
            }
            film.push(&sheet.render()?, 1)?;
        }
        Ok(film)
    }

    /// Returns a picture with a row of frames for each input and each map. Of many frames, some are left out.
    pub(super) fn strip(&self) -> Result<Image> {
        let panels = self.panels()?;
        let frames = panels.iter().map(|panel| panel.drawn.frames).max().unwrap_or(1);
        let mut sheet = self.sheet(frames.min(STRIP)).zoom((STRIP_WIDTH / self.widest()).max(1)).gap(4);
        for panel in &panels {
            let own = panel.drawn.frames;
            let shown = own.min(STRIP);
            let times: Vec<usize> = (0..shown).map(|i| i * own / shown).collect();
            let name = &panel.of.input.name;
            sheet = match panel.of.input.kind {
                InputKind::Image => sheet.row(name),
                InputKind::Flow => sheet.row(format!("{name}, field")),
                _ => sheet.row(format!("{name}, frame")),
            };
            for &at in &times {
                let number = if own > 1 { (at + 1).to_string() } else { String::new() };
                sheet = sheet.cell(Cell::new(still(&panel.drawn, at)?).caption(number));
            }
            for &(map, report) in &panel.maps {
                let sign = if map.method.is_signed() { "\u{b1}" } else { "0 to " };
                let scale = report.map.scale;
                sheet = sheet.row(format!("{}: {sign}{}", map.method, short(scale)));
                for &at in &times {
                    let share = report.frame_shares.get(at).copied().unwrap_or_default();
                    let cell = Cell::new(self.frame_of_map(panel, map, scale, at)?);
                    sheet = sheet.cell(cell.caption(format!("{:.1} %", 100.0 * share)));
                }
            }
        }
        Ok(sheet.render()?)
    }

    fn sheet(&self, columns: usize) -> Sheet {
        let report = self.report;
        let title = match self.job.title.as_str() {
            "" => report.label.clone(),
            title => format!("{title}: {}", report.label),
        };
        Sheet::new(columns).title(title).subtitle(format!(
            "{}, value {}; red adds to the value, blue takes from it; maps without a sign run from black to yellow",
            file_name(&report.file),
            short(report.value)
        ))
    }

    fn widest(&self) -> usize {
        self.inputs.iter().map(|of| of.shown.width.max(of.shown.height)).max().unwrap_or(1)
    }

    fn panels(&self) -> Result<Vec<Panels<'_>>> {
        let pairs = self.inputs.iter().zip(&self.report.inputs);
        pairs
            .map(|(of, report)| {
                Ok(Panels { of, drawn: drawn(of)?, maps: of.maps.iter().zip(&report.maps).collect() })
            })
            .collect()
    }

    fn input_cell(&self, panel: &Panels<'_>, at: usize) -> Result<Cell> {
        let cell = Cell::new(still(&panel.drawn, at)?).caption(&panel.of.input.name);
        Ok(match panel.of.input.kind {
            InputKind::Image => cell,
            _ => cell.caption(self.time(panel, at)),
        })
    }

    /// Names a frame or field.
    fn time(&self, panel: &Panels<'_>, at: usize) -> String {
        match panel.of.input.kind {
            InputKind::Flow => format!("field {} of {}", at + 1, panel.drawn.frames),
            _ => format!("frame {} of {}", at + 1, panel.drawn.frames),
        }
    }

    /// Draws a frame of a map. The scale is that of all its frames.
    fn frame_of_map(&self, panel: &Panels<'_>, map: &Attribution, scale: f64, at: usize) -> Result<Image> {
        let color = if map.method.is_signed() { colormap::diverging } else { colormap::sequential };
        let [h, w] = map.size;
        let values = &map.map[at * h * w..][..h * w];
        Ok(if self.job.overlay {
            colormap::overlaid(&still(&panel.drawn, at)?, values, scale, color)?
        } else {
            colormap::colored(values, w, h, scale, color)?
        })
    }
}

/// Returns an input's frames in colours. Flow is drawn as in Feichtenhofer et al. 2020, §4.
fn drawn(of: &InputMaps) -> Result<Image> {
    let shown = &of.shown;
    if of.input.kind != InputKind::Flow {
        return Ok(shown.clone());
    }
    let planes = (0..2 * shown.frames).flat_map(|i| shown.plane(i % 2 * shown.frames + i / 2));
    let flow = Flow::new(shown.frames, shown.height, shown.width, planes.copied().collect())?;
    Ok(flow_colors(&flow, FlowScaling::Channels)?)
}

/// Returns one frame, `[3, H, W]`.
fn still(clip: &Image, at: usize) -> Result<Image> {
    let planes = (0..3).flat_map(|channel| clip.plane(channel * clip.frames + at));
    Ok(Image::rgb(clip.width, clip.height, planes.copied().collect())?)
}
