//! `oneiro compare`: two units or layers of a network, or one in several networks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro_jobs::Error;
use oneiro_jobs::job::compare::{ChangeBy, CompareJob, Compared, ComparedUnit, OtherModel};
use oneiro_jobs::job::parts::Parts;
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::scan::examples::is_scan;
use oneiro_jobs::job::{Job as _, Role};
use oneiro_jobs::model;

use crate::args::display::DisplayArgs;
use crate::args::model::PreparationArgs;
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::inputs;
use crate::results::{self, Results, print_json};

mod printed;

/// Where the picture goes when not chosen.
const DEFAULT_OUT: &str = "compare.png";
/// Filters in each list, or pairs of units, that are drawn when not chosen.
const DEFAULT_TOP: u16 = 6;

/// The name of all layers.
const ALL: &str = "all";

/// Parses what filters are ordered by.
fn change_by(text: &str) -> Result<ChangeBy, String> {
    match text {
        "answers" => Ok(ChangeBy::Answers),
        "weights" => Ok(ChangeBy::Weights),
        _ => Err("answers or weights".to_owned()),
    }
}

/// Compare two units or layers of a network, or one unit or layer in several networks
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro compare squeezenet1_1 --unit class:tabby --unit class:tiger_cat --out cats.png
  oneiro compare model.onnx --unit conv4:5 --unit conv4:9 --data photos/     # with the images of each, and of both
  oneiro compare model.onnx --unit class:cat --unit class:dog --data photos.scan --html cat-dog.html
  oneiro compare epoch8.onnx final.onnx --unit conv4:5 --data photos/        # one unit in two checkpoints
  oneiro compare epoch1.onnx epoch8.onnx --data photos/                      # which filters moved, of all layers
  oneiro compare epoch1.onnx epoch8.onnx final.onnx --layer conv2            # of one layer
  oneiro compare model.onnx --layer conv3 --layer conv4 --json               # two layers: CKA, units that match

Two units: their pictures, pictures of what one has and the other has not, and of what both share; cosines of weights and
of gradients, correlations of activations; with --data images of each, images that the network confuses, and the units
that drive both classes. docs/compare.md explains the numbers.")]
pub struct Args {
    /// One network for two units or layers; two or more, such as checkpoints, for one unit or layer. An .onnx
    /// file, or a built-in network
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<String>,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// A unit: LAYER:CHANNEL, LAYER:CHANNEL@Y,X, LAYER@FILE:ROW or class:NAME; twice for one network, once
    /// for several
    #[arg(long = "unit", short = 'u', value_name = "UNIT")]
    units: Vec<String>,
    /// A layer: twice for one network; for several networks any number, or "all" [default for several
    /// networks: all layers that they have in common]
    #[arg(long = "layer", short = 'l', value_name = "LAYER|all", conflicts_with = "units")]
    layers: Vec<String>,
    /// Order the filters of several networks by the change of their answers or of their weights [default:
    /// answers with --data, else weights]
    #[arg(long, value_name = "WHAT", value_parser = change_by, conflicts_with = "units")]
    by: Option<ChangeBy>,
    /// A scan, or a folder of images, to run the networks on [default: synthetic pictures]
    #[arg(long, value_name = "FOLDER|SCAN")]
    data: Option<PathBuf>,
    /// The folder that the images of the scan lie in, if they have moved
    #[arg(long, value_name = "FOLDER", requires = "data")]
    images: Option<PathBuf>,
    /// Filters that moved most, or pairs of units, that are listed and drawn; as many filters are drawn that
    /// moved least [default: 6]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    top: Option<u16>,
    #[command(flatten)]
    settings: RenderArgs,
    #[command(flatten)]
    display: DisplayArgs,
    /// Where to write [default: compare.png]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write a page that holds all pictures and numbers: one file for any browser
    #[arg(long, value_name = "FILE.html", value_parser = inputs::page_path)]
    html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What the flags ask to be compared.
    fn compared(&self) -> Result<Compared> {
        let several = self.models.len() > 1;
        Ok(match (&self.units[..], &self.layers[..], several) {
            ([a, b], [], false) => Compared::Units { a: ComparedUnit::new(a), b: ComparedUnit::new(b) },
            ([], [a, b], false) => Compared::Layers { a: a.clone(), b: b.clone() },
            ([unit], [], true) => Compared::Unit { unit: ComparedUnit::new(unit) },
            ([], [all], true) if all == ALL => Compared::Filters { layers: Vec::new(), by: self.by },
            ([], layers, true) => Compared::Filters { layers: layers.to_vec(), by: self.by },
            ([], [], false) => {
                bail!("nothing to compare: give --unit or --layer (`oneiro layers MODEL` lists them)")
            }
            (_, _, false) => bail!(
                "within one network two units or layers are compared: give --unit or --layer twice, or another MODEL for one unit \
                 or layer in both"
            ),
            (_, _, true) => {
                bail!("between networks one unit is compared: give --unit once, or one MODEL for two units")
            }
        })
    }
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let what = args.compared()?;
    if args.images.is_some() && !args.data.as_deref().is_some_and(is_scan) {
        bail!("--images: this is where the images of a scan lie, and --data names none");
    }
    let draws_lists = matches!(what, Compared::Layers { .. } | Compared::Filters { .. });
    if args.by.is_some() && !matches!(what, Compared::Filters { .. }) {
        bail!("--by: it orders the filters of several networks; give two MODELs or more");
    }
    if args.top.is_some() && !draws_lists {
        bail!("--top: it counts filters or pairs that are drawn, for --layer only");
    }
    let preset = args.settings.preset(context)?;
    let paths = inputs::out_path(context, args.out.as_deref(), DEFAULT_OUT)?;
    let mut parts = paths.files[0].as_os_str().to_owned();
    parts.push(".parts");
    let parts = Parts::new(parts, None);
    let mut results = Results::pictures(paths).and(Role::Page, "--html", args.html.as_ref());
    results = results.and_other(args.settings.placed());
    results.check_writable()?;
    let others = args.models[1..].iter().map(|model| OtherModel::new(args.preparation.spec(model)));
    let job = CompareJob {
        what,
        others: others.collect(),
        data: args.data.as_ref().map(|data| data.display().to_string()),
        images: args.images.as_ref().map(|folder| folder.display().to_string()),
        setting: Setting { preset, seed: args.settings.seed },
        keep_size: args.settings.size_is_chosen(),
        display: args.display.how,
        drawn: usize::from(args.top.unwrap_or(DEFAULT_TOP)),
    };
    job.check()?;
    let model = model::load(context, &args.preparation.spec(&args.models[0]))?;
    let made_from: Vec<&Path> = args.settings.recipe_file(context).into_iter().collect();
    results::check(context, Some(&model), &job, &results, &made_from)?;
    let report = match results::run_checked(context, Some(&model), &job, &mut results, Some(&parts)) {
        Err(error @ Error::Cancelled(_)) if parts.folder().is_dir() => {
            results::say_kept(context, &parts);
            return Err(error.into());
        }
        outcome => outcome?,
    };
    parts.clear();
    let saved = args.settings.save(&job.setting.preset)?;
    let files: Vec<String> = results.listed().into_iter().chain(saved).collect();
    if args.json {
        print_json(context, &model, &report, &files, started)?;
    } else {
        printed::report(context, &report, job.drawn)?;
        context.print(&format!("written to {}", files.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}
