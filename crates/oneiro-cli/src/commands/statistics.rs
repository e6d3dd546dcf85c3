//! `oneiro statistics`: the colours and frequencies of a folder of images, for parametrizations to start from.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use oneiro::statistics::{ColorAccumulator, Statistics};
use oneiro_media::{Bands, IMAGE_EXTENSIONS, Image, PngText};
use rayon::prelude::*;
use serde::Serialize;

use crate::collisions::{self, placed};
use crate::context::Context;
use crate::outputs;
use oneiro_jobs::files;
use oneiro_jobs::observer::Task;
use oneiro_jobs::provenance::{SPECTRUM, VERSION};
use oneiro_jobs::source::references::{hash, is_npy};

/// Side of the images whose spectrum is taken where none is given: enough for the fall with frequency, and small
/// enough to be told from noise by a thousand images.
const DEFAULT_SIDE: u16 = 128;
/// Images that are read at once.
const AT_ONCE: usize = 32;
/// Weights of red, green and blue in grey (ITU-R BT.601).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Measure the colours and the spectrum of a folder of images
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro statistics photos/ --out photos.safetensors
  oneiro statistics scans/ --gray --size 256 --out scans.safetensors --picture spectrum.png
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
    /// Turn pictures to grey: one channel instead of three
    #[arg(long)]
    gray: bool,
    /// Where the statistics go
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// Where a picture of the spectrum goes: logarithms of the magnitudes of each channel, the constant in the middle
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    images: u64,
    skipped: usize,
    size: [usize; 2],
    mean: &'a [f64],
    covariance: Vec<&'a [f64]>,
    mixing: Vec<Vec<f32>>,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    if !args.out.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
        bail!(
            "--out {}: statistics are written as safetensors; use a name that ends in .safetensors",
            args.out.display()
        );
    }
    files::check_writable(&args.out)?;
    if let Some(picture) = &args.picture {
        outputs::require_png(picture)?;
        files::check_writable(picture)?;
    }
    if !args.folder.is_dir() {
        bail!("{} is not a folder; name one that has images in it", args.folder.display());
    }
    let files = collect(&args.folder)?;
    if files.is_empty() {
        bail!(
            "there is no image in {} ({}), nor a .npy file of bands",
            args.folder.display(),
            IMAGE_EXTENSIONS.join(", ")
        );
    }
    let arrays = files.iter().filter(|f| is_npy(f)).count();
    if arrays > 0 && arrays < files.len() {
        bail!(
            "{} holds {arrays} .npy files and {} pictures; statistics are of one kind: put them into folders of their own",
            args.folder.display(),
            files.len() - arrays
        );
    }
    if arrays > 0 && args.gray {
        bail!("--gray: it is for pictures in colour, and {} holds bands", args.folder.display());
    }
    let results =
        placed("--out", Some(&args.out)).into_iter().chain(placed("--picture", args.picture.as_ref()));
    collisions::check(context, None, &files, results)?;
    let (statistics, bad) = measure(context, args, &files)?;
    files_written(args, &statistics)?;
    for error in &bad {
        context.note(&format!("{error}"));
    }
    if !bad.is_empty() {
        context.note(&format!(
            "{} of {} pictures could not be read and were skipped",
            bad.len(),
            files.len()
        ));
    }
    report(context, args, &statistics, bad.len())?;
    Ok(ExitCode::SUCCESS)
}

/// The pictures below a folder, by name.
fn collect(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in super::classify::entries(folder)? {
        if path.is_dir() {
            // A link back up would never end.
            if !path.is_symlink() {
                found.extend(collect(&path)?);
            }
        } else if oneiro_media::has_image_name(&path) || is_npy(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

/// The statistics of all pictures that can be read, and why others cannot.
fn measure(context: &Context, args: &Args, files: &[PathBuf]) -> Result<(Statistics, Vec<String>)> {
    let side = usize::from(args.size);
    let read = |path: &PathBuf| -> Result<Vec<f32>> {
        if is_npy(path) {
            return Ok(Bands::read(path)?.fit_center_crop(side, side)?.data);
        }
        let image = oneiro_media::read_image(path)?;
        let image = oneiro_media::fit_center_crop(&image, side, side)
            .with_context(|| format!("could not scale {}", path.display()))?;
        Ok(if args.gray { gray(&image) } else { image.rgb })
    };
    let mut progress = Task::new(context, "colours", 2 * files.len() as u64);
    // Of bands the first file says how many there are.
    let mut colors: Option<ColorAccumulator> = None;
    let mut channels = 0;
    let (mut good, mut bad): (Vec<PathBuf>, _) = (Vec::new(), Vec::new());
    for some in files.chunks(AT_ONCE) {
        context.check()?;
        let images: Vec<_> = context.compute(|| some.par_iter().map(read).collect());
        for (path, image) in some.iter().zip(images) {
            match image {
                Ok(image) => {
                    let of_image = image.len() / (side * side);
                    if let (Some(first), true) = (good.first(), of_image != channels) {
                        bail!(
                            "{} has {of_image} bands, {} has {channels}; put them into folders of their own",
                            path.display(),
                            first.display()
                        );
                    }
                    channels = of_image;
                    colors.get_or_insert_with(|| ColorAccumulator::new(channels)).add(&image);
                    good.push(path.clone());
                }
                Err(error) => bad.push(format!("{error:#}")),
            }
        }
        progress.advance(some.len() as u64);
    }
    let Some(colors) = colors else {
        let first = bad.first().map(String::as_str).unwrap_or_default();
        bail!("none of the {} pictures in {} can be read: {first}", files.len(), args.folder.display());
    };
    let mut spectra = colors
        .finish([side, side])
        .with_context(|| format!("the pictures in {} have no statistics", args.folder.display()))?;
    progress.label("spectra");
    for some in good.chunks(AT_ONCE) {
        context.check()?;
        let images: Vec<Result<Vec<f32>>> = context.compute(|| some.par_iter().map(read).collect());
        for image in images {
            const CHANGED: &str = "a picture changed while it was looked at";
            let image = image.context(CHANGED)?;
            if image.len() != channels * side * side {
                bail!(CHANGED);
            }
            spectra.add(&image);
        }
        progress.advance(some.len() as u64);
    }
    Ok((spectra.finish()?, bad))
}

fn gray(image: &Image) -> Vec<f32> {
    let planes = image.plane(0).iter().zip(image.plane(1)).zip(image.plane(2));
    planes.map(|((r, g), b)| LUMA[0] * r + LUMA[1] * g + LUMA[2] * b).collect()
}

fn files_written(args: &Args, statistics: &Statistics) -> Result<()> {
    let bytes = statistics.to_bytes()?;
    oneiro_media::write_atomic(&args.out, &bytes)?;
    if let Some(path) = &args.picture {
        oneiro_media::write_png(path, &picture(statistics)?, &text_of(args, statistics, &bytes))?;
    }
    Ok(())
}

/// What the picture says of itself; `file` is that of the statistics, which tells by its hash whether they belong together.
fn text_of(args: &Args, statistics: &Statistics, file: &[u8]) -> PngText {
    let [height, width] = statistics.size();
    let mut text = PngText::default();
    text.push("version", VERSION);
    text.push(SPECTRUM, "logarithms of the magnitudes of each channel, the constant in the middle");
    text.push("folder", args.folder.display().to_string());
    text.push("images", statistics.images().to_string());
    text.push("size", format!("{height}x{width}"));
    text.push("gray", args.gray.to_string());
    text.push("statistics", args.out.display().to_string());
    text.push("statistics-sha256", hash(file));
    text
}

/// One square for each channel, side by side: logarithms of magnitudes from black (the smallest) to white (the
/// largest of all), the constant in the middle of each.
fn picture(statistics: &Statistics) -> Result<Image> {
    let [height, width] = statistics.size();
    let half = width / 2 + 1;
    let logarithm = |m: &f32| f64::from(*m).max(f64::from(f32::MIN_POSITIVE)).ln();
    let logarithms: Vec<f64> = statistics.spectrum().iter().map(logarithm).collect();
    let low = logarithms.iter().copied().fold(f64::INFINITY, f64::min);
    let high = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let channels = statistics.channels();
    let mut plane = vec![0.0; channels * height * width];
    for (at, value) in plane.iter_mut().enumerate() {
        let (y, x) = (at / (channels * width), at % (channels * width));
        let (channel, x) = (x / width, x % width);
        let (v, u) = ((y + height - height / 2) % height, (x + width - width / 2) % width);
        // The right half of the spectrum is the left one turned about the constant.
        let (v, u) = if u < half { (v, u) } else { ((height - v) % height, width - u) };
        *value = ((logarithms[(channel * height + v) * half + u] - low) / (high - low).max(f64::MIN_POSITIVE))
            as f32;
    }
    Ok(Image::new(channels * width, height, plane.repeat(3))?)
}

fn report(context: &Context, args: &Args, statistics: &Statistics, skipped: usize) -> Result<()> {
    let channels = statistics.channels();
    let mixing = statistics.mixing().rows();
    if args.json {
        let report = Report {
            images: statistics.images(),
            skipped,
            size: statistics.size(),
            mean: statistics.mean(),
            covariance: statistics.covariance().chunks_exact(channels).collect(),
            mixing: mixing.chunks_exact(channels).map(<[f32]>::to_vec).collect(),
            file: args.out.display().to_string(),
            picture: args.picture.as_ref().map(|p| p.display().to_string()),
        };
        return context.print(&serde_json::to_string_pretty(&report)?);
    }
    let line = |values: Vec<String>| values.join(" ");
    let wide = |values: &[f64]| line(values.iter().map(|v| format!("{v:8.5}")).collect());
    let images = statistics.images();
    context.print(&format!("{images} {}", if images == 1 { "image" } else { "images" }))?;
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
