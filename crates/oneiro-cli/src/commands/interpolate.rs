//! The command `oneiro interpolate`: renders pictures between two units, as a strip or a film.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::slice::from_ref;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::objective::Unit;
use oneiro_jobs::files;
use oneiro_jobs::job::Role;
use oneiro_jobs::job::film_kind::{ENDINGS, FilmKind};
use oneiro_jobs::job::interpolation::InterpolationJob;
use oneiro_jobs::job::named_objective::NamedObjective;
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::numbers::short;

use crate::args::display::DisplayArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::{DEFAULT_PRESET, RenderArgs};
use crate::context::Context;
use crate::inputs::out_path;
use crate::results::{self, Results};

/// Part of the output file's default name: FROM.TO.interpolation.png.
const RESULT: &str = "interpolation";
/// Default number of pictures, including both ends.
const DEFAULT_FRAMES: u16 = 7;

/// Walk from one unit to another: a strip of pictures, or a film
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro interpolate squeezenet1_1 --from-unit fire8.expand3x3:40 --to-unit fire8.expand3x3:42 --out strip.png
  oneiro interpolate squeezenet1_1 --from-unit class:goldfish --to-unit class:tabby --film there-and-back.gif

The k-th of n pictures maximises (1 - k/(n-1)) times the first unit and k/(n-1) times the second. All of them share low
resolutions (--param shared), so that the film does not jump; --align also pulls neighbours together.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// The unit at the start
    #[arg(long, value_name = "UNIT")]
    from_unit: String,
    /// The unit at the end
    #[arg(long, value_name = "UNIT")]
    to_unit: String,
    /// Pictures, both ends among them
    #[arg(long, default_value_t = DEFAULT_FRAMES, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=32))]
    frames: u16,
    /// Weight of the squared differences between neighbours' activations at this layer. These differences are
    /// large: begin with 0.001, and halve the weight until the units' values no longer drop
    #[arg(long, value_name = "LAYER=WEIGHT")]
    align: Option<String>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where the strip goes [default: FROM.TO.interpolation.png]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write a film, forward and backward: .apng, .gif, .webp, .mp4 or .webm
    #[arg(long, value_name = "FILE")]
    film: Option<PathBuf>,
    #[command(flatten)]
    results: ResultArgs,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    for unit in [&args.from_unit, &args.to_unit] {
        unit.parse::<Unit>()?;
    }
    let align = args.align.as_deref().map(parse_align).transpose()?;
    let mut preset = args.settings.preset_or(context, DEFAULT_PRESET)?;
    if !args.settings.param_is_chosen() && !args.settings.preset_is_chosen() {
        preset.set_param("shared");
    }
    let name = files::named_after(&[from_ref(&args.from_unit), from_ref(&args.to_unit)], RESULT);
    let paths = out_path(context, args.out.as_deref(), &name)?;
    let film = match &args.film {
        None => None,
        Some(path) => match FilmKind::of_name(path) {
            Some(format) => Some(format),
            None => bail!("--film {}: films are {ENDINGS}", path.display()),
        },
    };
    let mut results = Results::pictures(paths)
        .and(Role::Film, "--film", args.film.as_ref())
        .and(Role::Raw, "--raw", args.results.raw.as_ref())
        .and_other(args.settings.placed());
    results.check_writable()?;
    let job = InterpolationJob {
        title: None,
        from: NamedObjective::unit(args.from_unit.clone()),
        to: NamedObjective::unit(args.to_unit.clone()),
        frames: usize::from(args.frames),
        align,
        setting: Setting { preset, seed: args.settings.seed },
        keep_size: args.settings.size_is_chosen(),
        display: args.display.how,
        film,
    };
    let model = model::load(context, &args.model)?;
    let made_from: Vec<&Path> = args.settings.recipe_file(context).into_iter().collect();
    let report = results::run(context, Some(&model), &job, &mut results, &made_from, None)?;
    let files: Vec<String> =
        results.listed().into_iter().chain(args.settings.save(&job.setting.preset)?).collect();
    args.results
        .print(context, &model, &report, &files, started, |r| format!("{}: {}", r.unit, short(r.value)))
}

/// Parses `LAYER=WEIGHT`. The last equals sign separates them, because a layer's name may contain one.
fn parse_align(text: &str) -> Result<(String, f64)> {
    match text.rsplit_once('=').map(|(layer, weight)| (layer.trim(), weight.trim().parse::<f64>())) {
        Some((layer, Ok(weight))) if !layer.is_empty() && weight.is_finite() && weight > 0.0 => {
            Ok((layer.to_owned(), weight))
        }
        _ => {
            bail!("--align {text}: write it as LAYER=WEIGHT with a positive number, for instance conv3=0.001")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_is_a_layer_and_a_weight() {
        assert_eq!(parse_align("a=b=0.5").unwrap(), ("a=b".to_owned(), 0.5));
        for bad in ["", "a", "a=", "=1", "a=-1", "a=x"] {
            assert!(parse_align(bad).is_err(), "{bad}");
        }
    }
}
