//! The command `oneiro statistics`: measures the colours and the spectrum of a folder of images, for use by
//! parametrizations.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use oneiro_jobs::job::Role;
use oneiro_jobs::job::statistics::{Measured, StatisticsJob};

use crate::context::Context;
use crate::outputs;
use crate::results::{self, Results};

/// Default side in pixels of the images whose spectrum is measured. It is large enough to show the fall with
/// frequency, and small enough for reliable averages over a thousand images.
const DEFAULT_SIDE: u16 = 128;

/// Measure the colours and the spectrum of a folder of images, or of optical flow
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro statistics photos/ --out photos.safetensors
  oneiro statistics scans/ --gray --size 256 --out scans.safetensors --picture spectrum.png
  oneiro statistics flows/ --flow --size 64 --out flow.safetensors
  oneiro statistics tiles/ --size 64 --out tiles.safetensors        # a folder of .npy files: bands, height, width

Every picture in the folder and in the folders below it is scaled until its shorter side is N pixels and cropped about
its centre. Pictures of bands are .npy files of shape (bands, height, width): float32 or float64 in 0-1, or uint8 or
uint16, which are divided by 255 or 65535; all of a folder have the same bands. Written are the mean of each channel, the covariance of the channels, and the mean magnitude of each
frequency in decorrelated channels.")]
pub struct Args {
    /// Folder of images, or of .npy files of bands; folders in it are looked into
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Side of the squares that the images are cropped to
    #[arg(
        long,
        default_value_t = DEFAULT_SIDE,
        allow_negative_numbers = true,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(2..=2048)
    )]
    size: u16,
    /// Turn pictures to grey: one channel instead of three, for networks that read one band (--order bands).
    /// Pictures for --order gray have three colours
    #[arg(long)]
    gray: bool,
    /// The folder holds optical flow (.flo, .npy, .npz), such as `oneiro flow` writes; every field counts.
    /// Written are statistics of horizontal and vertical motion in pixels per frame, for `oneiro video`
    #[arg(long, conflicts_with_all = ["gray", "picture"])]
    flow: bool,
    /// Where the statistics go
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// Where a picture of the spectrum goes: logarithms of the magnitudes of each channel, the constant in
    /// the middle
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    if !args.out.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
        bail!(
            "--out {}: statistics are written as safetensors; use a name that ends in .safetensors",
            args.out.display()
        );
    }
    if let Some(picture) = &args.picture {
        outputs::require_picture("--picture", picture)?;
    }
    let mut results = Results::default().and(Role::Statistics, "--out", Some(&args.out)).and(
        Role::Picture,
        "--picture",
        args.picture.as_ref(),
    );
    results.check_writable()?;
    let job = StatisticsJob {
        folder: args.folder.display().to_string(),
        size: usize::from(args.size),
        gray: args.gray,
        file: args.out.display().to_string(),
        flow: args.flow,
    };
    let pictures = job.pictures()?;
    let made_from: Vec<&Path> = pictures.iter().map(PathBuf::as_path).collect();
    let measured = results::run(context, None, &job, &mut results, &made_from, None)?;
    report(context, args, &measured)?;
    Ok(ExitCode::SUCCESS)
}

fn report(context: &Context, args: &Args, measured: &Measured) -> Result<()> {
    let statistics = &measured.statistics;
    let channels = statistics.channels();
    let mixing = statistics.mixing().rows();
    if args.json {
        let mut object = serde_json::to_value(measured)?;
        object["file"] = args.out.display().to_string().into();
        if let Some(picture) = &args.picture {
            object["picture"] = picture.display().to_string().into();
        }
        return context.print(&serde_json::to_string_pretty(&object)?);
    }
    let line = |values: Vec<String>| values.join(" ");
    let wide = |values: &[f64]| line(values.iter().map(|v| format!("{v:8.5}")).collect());
    let images = statistics.images();
    let noun = if statistics.is_flow() { "flow field" } else { "image" };
    context.print(&format!("{images} {noun}{}", if images == 1 { "" } else { "s" }))?;
    context.print(&format!("mean        {}", wide(statistics.mean())))?;
    for (at, row) in statistics.covariance().chunks_exact(channels).enumerate() {
        context.print(&format!("{} {}", if at == 0 { "covariance " } else { "           " }, wide(row)))?;
    }
    for (at, row) in mixing.chunks_exact(channels).enumerate() {
        let row = line(row.iter().map(|v| format!("{v:8.5}")).collect());
        context.print(&format!("{} {row}", if at == 0 { "mixing     " } else { "           " }))?;
    }
    context.print(&format!("written to {}", args.out.display()))
}
