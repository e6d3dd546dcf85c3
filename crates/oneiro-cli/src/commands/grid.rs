//! The command `oneiro grid`: shows a layer's activations at every position of a photo as pictures.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use oneiro::objective::Unit;
use oneiro_jobs::job::Role;
use oneiro_jobs::job::grid::{CellReport, Dictionary, GridJob, GridSettings, Mosaic, Positions, Scale, Show};
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::numbers::short;

use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::{DEFAULT_PRESET, RenderArgs};
use crate::args::size::parse_size;
use crate::context::Context;
use crate::inputs::out_path;
use crate::results::{self, Results, print_json};

/// Name of the preset for grid cells that is used if no flag chooses one.
const CELL_PRESET: &str = "activation-grid";
/// Names of the output files if no flag chooses one: for a grid, and for a dictionary.
const DEFAULT_OUT: &str = "grid.png";
const DICTIONARY_OUT: &str = "dictionary.png";
/// Default for the largest number of rows and columns, that of deeper layers of networks for 224 pixels.
const DEFAULT_CELLS: [usize; 2] = [14, 14];
/// Default side in pixels of a grid cell, and of an icon in a dictionary.
const CELL_SIDE: usize = 64;
const ICON_SIDE: usize = 96;
/// Default power of the cosine. With Lucid's power of 1, the channels with the largest activations dominate
/// every cell; a larger power keeps cells distinct.
const DEFAULT_POWER: f64 = 4.0;
/// The largest power of the cosine that `--power` accepts.
const MAX_POWER: f64 = 20.0;
/// Default number of channels shown for each position of a dictionary.
const DEFAULT_TOP: u16 = 6;
/// Largest number of positions in a dictionary; more would not help the reader.
const MAX_PLACES: usize = 64;

/// Show a layer's activations at every position of a photo: a grid of pictures, or a dictionary of channels
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro grid squeezenet1_1 dog.jpg --layer fire8 --out grid.png
  oneiro grid vgg16.onnx dog.jpg --layer conv5_1 --cells 8 --scale-by-magnitude
  oneiro grid squeezenet1_1 dog.jpg --layer fire9 --toward class:beagle --scale-by-magnitude=opacity
  oneiro grid squeezenet1_1 dog.jpg --layer fire8 --dictionary 5 --top 6
  oneiro grid squeezenet1_1 dog.jpg --layer fire8 --dictionary 4,7 --dictionary 9,2

Each cell of the grid is a small picture that maximises the product of its activations with those of the photo at that
position, times their cosine (--power). Maps larger than --cells are averaged. Activations below zero do not count
unless --signed. A dictionary has a row for each position: what it sees of the photo, and the channels that speak most
there with their activations.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The photo that the network sees
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// The layer whose activations are shown
    #[arg(long, short, value_name = "LAYER")]
    layer: String,
    /// Rows and columns at most [default: 14; all positions for a dictionary]
    #[arg(long, allow_negative_numbers = true, value_parser = parse_size, value_name = "N|RxC")]
    cells: Option<[usize; 2]>,
    /// Side of a cell in pixels, or of a dictionary's icons [default: 64; 96 for icons]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "PIXELS",
        value_parser = clap::value_parser!(u16).range(8..=1024)
    )]
    cell_size: Option<u16>,
    /// Size at which the network sees the photo [default: the model's]
    #[arg(long, allow_negative_numbers = true, value_parser = parse_size, value_name = "N|HxW")]
    image_size: Option<[usize; 2]>,
    /// Power of the cosine between a cell's activations and the photo's [default: 4]
    #[arg(long, allow_negative_numbers = true, value_name = "P", conflicts_with = "dictionary")]
    power: Option<f64>,
    /// Let activations below zero count, too
    #[arg(long, conflicts_with = "dictionary")]
    signed: bool,
    /// Draw cells by how much they count: their area (size) or how opaque they are (opacity)
    #[arg(
        long,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "size",
        value_parser = ["size", "opacity"],
        conflicts_with = "dictionary"
    )]
    scale_by_magnitude: Option<String>,
    /// Weigh cells and channels by their share in a unit, such as class:beagle (activation times gradient)
    #[arg(long, value_name = "UNIT")]
    toward: Option<String>,
    /// Show single positions instead: the N strongest, or a chosen one, which may be repeated
    #[arg(long, value_name = "N|Y,X")]
    dictionary: Vec<String>,
    /// Channels of each position of a dictionary [default: 6]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "K",
        requires = "dictionary",
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    top: Option<u16>,
    #[command(flatten)]
    settings: RenderArgs,
    /// Where the picture goes [default: grid.png or dictionary.png]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    results: ResultArgs,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let power = args.power.unwrap_or(DEFAULT_POWER);
    if !(0.0..=MAX_POWER).contains(&power) {
        bail!("--power {power}: a number from 0 to {MAX_POWER} is needed");
    }
    let places = places(&args.dictionary)?;
    let toward = args.toward.as_ref().map(|u| u.parse::<Unit>()).transpose()?;
    let default_preset = if places.is_some() { DEFAULT_PRESET } else { CELL_PRESET };
    let mut preset = args.settings.preset_or(context, default_preset)?;
    if let (true, Some([h, w])) = (args.settings.size_is_chosen(), preset.size) {
        bail!(
            "--size {h}x{w}: a grid's pictures are as large as its cells, --cell-size; the photo's size is --image-size"
        );
    }
    let default_out = if places.is_some() { DICTIONARY_OUT } else { DEFAULT_OUT };
    let paths = out_path(context, args.out.as_deref(), default_out)?;
    let mut results = Results::pictures(paths)
        .and(Role::Raw, "--raw", args.results.raw.as_ref())
        .and_other(args.settings.placed());
    results.check_writable()?;
    let model = model::load(context, &args.model)?;
    let default_side = if places.is_some() { ICON_SIDE } else { CELL_SIDE };
    let side = args.cell_size.map_or(default_side, usize::from);
    let show = match places {
        Some(places) => {
            let top = usize::from(args.top.unwrap_or(DEFAULT_TOP));
            if args.cell_size.is_some() {
                preset.size = Some([side; 2]);
            }
            Show::Dictionary(Dictionary { places, top })
        }
        None => {
            let scale = args.scale_by_magnitude.as_deref().map(|how| match how {
                "opacity" => Scale::Opacity,
                _ => Scale::Size,
            });
            let mosaic = Mosaic { power, scale };
            preset.size = Some([mosaic.picture_side(side); 2]);
            Show::Mosaic(mosaic)
        }
    };
    let recipe = GridSettings {
        title: model.title.clone(),
        image: args.image.to_string_lossy().into_owned(),
        layer: args.layer.clone(),
        image_size: args.image_size,
        cells: args.cells.or(matches!(show, Show::Mosaic(_)).then_some(DEFAULT_CELLS)),
        signed: args.signed,
        toward: toward.map(|unit| Ok::<_, anyhow::Error>(model.objective(&unit)?.to_string())).transpose()?,
        toward_unit: args.toward.clone(),
        side,
        show,
    };
    let setting = Setting { preset, seed: args.settings.seed };
    let job = GridJob { recipe, setting };
    let made_from: Vec<&Path> = args.settings.recipe_file(context).into_iter().collect();
    let report = results::run(context, Some(&model), &job, &mut results, &made_from, None)?;
    let files: Vec<String> =
        results.listed().into_iter().chain(args.settings.save(&job.setting.preset)?).collect();
    if args.results.json {
        print_json(context, &model, &report, &files, started)?;
    } else {
        for line in summary(&job.recipe, &report.cells) {
            context.print(&line)?;
        }
        context.print(&format!("written to {}", files.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses the values of `--dictionary`: a number of positions, or single positions; `None` if the flag is not
/// given.
fn places(texts: &[String]) -> Result<Option<Positions>> {
    let wrong = |text: &str| {
        anyhow!("--dictionary {text}: give a number of positions, 1 to {MAX_PLACES}, or positions as Y,X")
    };
    let number = |text: &str, part: &str| part.trim().parse::<usize>().map_err(|_| wrong(text));
    match texts {
        [] => Ok(None),
        [one] if !one.contains(',') => match number(one, one)? {
            n @ 1..=MAX_PLACES => Ok(Some(Positions::Strongest(n))),
            _ => Err(wrong(one)),
        },
        several if several.len() <= MAX_PLACES => {
            let place = |text: &String| match text.split_once(',') {
                Some((y, x)) => Ok([number(text, y)?, number(text, x)?]),
                None => Err(wrong(text)),
            };
            Ok(Some(Positions::At(several.iter().map(place).collect::<Result<_>>()?)))
        }
        several => bail!("--dictionary: {} positions are more than {MAX_PLACES}", several.len()),
    }
}

/// Describes the cells with the largest weights, one line for each.
fn summary(recipe: &GridSettings, cells: &[CellReport]) -> Vec<String> {
    /// Largest number of lines for a grid.
    const LINES: usize = 5;
    let mut cells: Vec<&CellReport> = cells.iter().collect();
    if matches!(recipe.show, Show::Mosaic(_)) {
        let weight = |c: &CellReport| c.attribution.unwrap_or(c.magnitude);
        cells.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        cells.truncate(LINES);
    }
    let line = |c: &&CellReport| {
        let channels: Vec<String> =
            c.top.iter().map(|t| format!("{} ({})", t.channel, short(t.activation))).collect();
        let share = c.attribution.map_or(String::new(), |a| format!(", share {}", short(a)));
        let magnitude = short(c.magnitude);
        format!("{},{}: magnitude {magnitude}{share}; channels {}", c.y, c.x, channels.join(", "))
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_of_so_many_or_of_chosen_positions() {
        let of = |texts: &[&str]| places(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&["5"]).unwrap(), Some(Positions::Strongest(5)));
        assert_eq!(of(&["4, 7", "0,2"]).unwrap(), Some(Positions::At(vec![[4, 7], [0, 2]])));
        for bad in [&["0"][..], &["65"], &["x"], &["1,x"], &["1,2", "3"], &["1,2,3"], &["-1,2"]] {
            assert!(of(bad).unwrap_err().to_string().contains("as Y,X"), "{bad:?}");
        }
    }
}
