//! `oneiro interpolate`: steps between two units, as a strip or a film.

use std::path::PathBuf;
use std::process::ExitCode;
use std::slice::from_ref;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro::objective::{Objective, Term, TermKind, Unit};
use oneiro_media::{Film, TICKS_PER_SECOND};

use crate::args::display::DisplayArgs;
use crate::args::model::{self, ModelArgs};
use crate::args::results::ResultArgs;
use crate::args::settings::{DEFAULT_PRESET, RenderArgs};
use crate::collisions::placed;
use crate::context::Context;
use crate::inputs::out_path;
use crate::sheets::{self, Output};
use oneiro_jobs::files;
use oneiro_jobs::job::render::film::Format;
use oneiro_jobs::job::render::{Finished, Job, Options, Prepared, Setting};
use oneiro_jobs::job::sheet::{Row, SheetPlan};
use oneiro_jobs::numbers::short;
use oneiro_jobs::provenance::{INTERPOLATION, Layout, Measure, sheet_text};
use oneiro_jobs::source::materials::Extras;

/// The end of the strip's name when it is not chosen.
const RESULT: &str = "interpolation";
/// Pictures between two units when not chosen, both ends among them.
const DEFAULT_FRAMES: u16 = 7;
/// How long a frame of a film is shown, and the two ends, in hundredths of a second.
const TICKS: u16 = 15;
const END_TICKS: u16 = 80;

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
    /// How much neighbours are to be alike, in the activations of this layer; the weight is of squared
    /// differences, which are large: begin with 0.001, and halve it while the units' values suffer
    #[arg(long, value_name = "LAYER=WEIGHT")]
    align: Option<String>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where the strip goes [default: FROM.TO.interpolation.png]
    #[arg(long, short, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Also a film, there and back: .png or .apng (animated PNG) or .gif
    #[arg(long, value_name = "FILE")]
    film: Option<PathBuf>,
    #[command(flatten)]
    results: ResultArgs,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let [from, to] = [&args.from_unit, &args.to_unit].map(|u| u.parse::<Unit>());
    let (from, to) = (from?, to?);
    let align = args.align.as_deref().map(parse_align).transpose()?;
    let mut preset = args.settings.preset_or(context, DEFAULT_PRESET)?;
    if !args.settings.param_is_chosen() && !args.settings.preset_is_chosen() {
        preset.set_param("shared");
    }
    let name = files::named_after(&[from_ref(&args.from_unit), from_ref(&args.to_unit)], RESULT);
    let paths = out_path(context, args.out.as_deref(), &name)?;
    let film = match &args.film {
        None => None,
        Some(path) => match Format::of_name(path) {
            Some(format) => Some((path, format)),
            None => bail!("--film {}: films are animated PNG (.png, .apng) or GIF (.gif)", path.display()),
        },
    };
    for path in args.film.iter().chain(&args.results.raw) {
        files::check_writable(path)?;
    }
    let model = model::load(context, &args.model)?;
    let ends = [model.objective(&from)?, model.objective(&to)?];
    let mut row = row(&ends, usize::from(args.frames), align.as_ref());
    row.title = format!("{} to {}", args.from_unit, args.to_unit);
    let plan = SheetPlan {
        columns: row.cells.len(),
        measure: Measure::Value,
        rows: vec![row],
        settings: vec![Setting { preset, seed: args.settings.seed }],
    };
    let output = Output {
        paths,
        raw: args.results.raw.as_deref(),
        further: placed("--film", args.film.as_ref()).into_iter().chain(args.settings.placed()).collect(),
        recipes: args.settings.recipe_file(context).into_iter().collect(),
        options: Options { display: args.display.how, ..Options::default() },
        keep_size: args.settings.size_is_chosen(),
    };
    let (finished, work, mut written) =
        sheets::produce_from(context, &model, &plan, Extras::default(), &output)?;
    if let Some((path, format)) = film {
        let bytes = film_of(&work, &plan.layout(&model, &work), &finished, format)?;
        oneiro_media::write_atomic(path, &bytes)?;
        written.push(path.display().to_string());
    }
    written.extend(args.settings.save(&plan.settings[0].preset)?);
    args.results
        .print(context, &model, &finished, &written, started, |r| format!("{}: {}", r.unit, short(r.value)))
}

/// `LAYER=WEIGHT`, the last equals sign counting.
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

/// The steps as a row. Every one has both units in it, the ends too, so that all are of one batch.
fn row([from, to]: &[Objective; 2], frames: usize, align: Option<&(String, f64)>) -> Row {
    let mut row = Row { title: String::new(), ..Row::default() };
    for k in 0..frames {
        let t = k as f64 / (frames - 1) as f64;
        let mut objective = (1.0 - t) * from.clone() + t * to.clone();
        if let Some((layer, weight)) = align {
            objective = objective + *weight * Objective::from(Term::new(layer, TermKind::Alignment));
        }
        let percent = format!("{:.0} %", 100.0 * t);
        row.cells.push((percent.clone(), Job::new(percent, objective)));
    }
    row
}

/// The pictures there and back, the ends held, as a film that says how it was made.
pub fn film_of(
    work: &Prepared<'_>,
    layout: &Layout,
    finished: &[Finished],
    format: Format,
) -> Result<Vec<u8>> {
    let mut film = Film::default();
    let last = finished.len().saturating_sub(1);
    let back = (1..last).rev();
    for k in (0..=last).chain(back) {
        film.push(&finished[k].shown()?, if k == 0 || k == last { END_TICKS } else { TICKS })?;
    }
    let reports: Vec<_> = finished.iter().map(|f| &f.report).collect();
    let mut text = sheet_text(work, layout, &reports)?;
    text.push(
        INTERPOLATION,
        format!(
            "there and back in {} frames of {} s, the ends of {} s",
            film.len(),
            f64::from(TICKS) / f64::from(TICKS_PER_SECOND),
            f64::from(END_TICKS) / f64::from(TICKS_PER_SECOND)
        ),
    );
    format.encode(&film, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_reads_what_all_others_read() {
        let ends = [Objective::channel("a", 1), Objective::logit(2)];
        let row = row(&ends, 3, Some(&("b".into(), 0.5)));
        let texts: Vec<String> = row.cells.iter().map(|(_, job)| job.objective.to_string()).collect();
        assert_eq!(texts[0], "1*channel(a,1) + 0*logit(2) + 0.5*alignment(b)");
        assert_eq!(texts[1], "0.5*channel(a,1) + 0.5*logit(2) + 0.5*alignment(b)");
        assert_eq!(row.cells[2].0, "100 %");
    }

    #[test]
    fn alignment_is_a_layer_and_a_weight() {
        assert_eq!(parse_align("a=b=0.5").unwrap(), ("a=b".to_owned(), 0.5));
        for bad in ["", "a", "a=", "=1", "a=-1", "a=x"] {
            assert!(parse_align(bad).is_err(), "{bad}");
        }
    }
}
