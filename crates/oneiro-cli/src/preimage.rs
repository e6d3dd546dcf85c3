//! What `invert`, `caricature` and `accentuate` share: pictures, layers, strengths and seeds, laid out as a sheet, and how
//! near the results come.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use oneiro::objective::{AnySources, Objective};
use oneiro_media::{IMAGE_EXTENSIONS, Image, has_image_name};
use serde::Serialize;

use crate::context::Context;
use crate::files::{self, PicturePaths};
use crate::materials::MaterialArgs;
use crate::rendering::{Finished, Setting};
use crate::settings::RenderArgs;

/// The pictures that arguments name: files, and those in folders and in folders therein, by name.
pub fn pictures(arguments: &[PathBuf], at_most: Option<usize>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in arguments {
        if path.is_dir() {
            let before = found.len();
            in_folder(path, &mut found)?;
            if found.len() == before {
                let endings = IMAGE_EXTENSIONS.join(", ");
                bail!("{}: there is no picture in this folder ({endings})", path.display());
            }
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    if let Some(at_most) = at_most {
        if at_most == 0 {
            bail!("--limit 0: at least one picture is needed");
        }
        found.truncate(at_most);
    }
    Ok(found)
}

fn in_folder(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let read = || format!("could not read the folder {}", folder.display());
    let mut entries = std::fs::read_dir(folder)
        .with_context(read)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            in_folder(&path, found)?;
        } else if has_image_name(&path) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Numbers such as `0-3` or `0,7`.
pub fn number_list(flag: &str, text: &str) -> Result<Vec<u64>> {
    /// More than anybody looks at.
    const MOST: u64 = 1000;
    let number = |t: &str| {
        t.trim()
            .parse::<u64>()
            .map_err(|_| anyhow!("{flag} {text}: \"{t}\" is no whole number; use 0-3 or 0,7"))
    };
    let mut list = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => list.push(number(part)?),
            Some((a, b)) => {
                let (a, b) = (number(a)?, number(b)?);
                if b < a || b - a > MOST {
                    bail!("{flag} {text}: {part} is not a range of at most {MOST}");
                }
                list.extend(a..=b);
            }
        }
    }
    Ok(list)
}

/// What a cell of a sheet is about, a line each: the picture, the strength, the seed, as far as there are several.
pub fn caption(image: Option<&str>, setting: &Setting, strengths: bool, seeds: bool) -> String {
    let mut lines: Vec<String> = image.map(stem).into_iter().collect();
    if strengths || (lines.is_empty() && !seeds) {
        lines.push(format!("C = {}", setting.preset.weight));
    }
    if seeds {
        lines.push(format!("seed {}", setting.seed));
    }
    lines.join("\n")
}

/// A setting for each strength and seed: (weight, seed), weights first.
pub fn settings(
    context: &Context,
    args: &RenderArgs,
    materials: &MaterialArgs,
    default: &str,
    weights: &[f64],
    seeds: &[u64],
) -> Result<Vec<Setting>> {
    let mut preset = args.preset_or(context, default)?;
    materials.adapt(context, args, &mut preset);
    if let Some(bad) = weights.iter().find(|w| !(w.is_finite() && **w > 0.0)) {
        bail!("--strength {bad}: a positive number is needed");
    }
    let weights = if weights.is_empty() { vec![preset.weight] } else { weights.to_vec() };
    let seeds = if seeds.is_empty() { vec![args.seed] } else { seeds.to_vec() };
    let mut settings = Vec::new();
    for &weight in &weights {
        for &seed in &seeds {
            let mut preset = preset.clone();
            preset.weight = weight;
            settings.push(Setting { preset, seed });
        }
    }
    Ok(settings)
}

/// Where a sheet or a single picture goes, by default into a file of this name.
pub fn out_path(context: &Context, out: Option<&Path>, default: &str) -> Result<PicturePaths> {
    let paths = match out {
        Some(out) => {
            files::require_png(out)?;
            PicturePaths::file(out)
        }
        None => files::default_path(context, default),
    };
    paths.check_writable()?;
    Ok(paths)
}

/// Peak signal-to-noise ratio of a picture against a photo of its size, in dB, both of 0–1.
pub fn psnr(picture: &Image, photo: &[f32]) -> f64 {
    let pairs = picture.rgb.iter().zip(photo);
    let square: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    -10.0 * (square / photo.len().max(1) as f64).log10()
}

/// Root mean square distance of two pictures, 0–1.
fn distance(a: &Image, b: &Image) -> f64 {
    let square: f64 = a.rgb.iter().zip(&b.rgb).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    (square / a.rgb.len().max(1) as f64).sqrt()
}

/// How far apart several pictures of the same thing are: the mean distance of two of them.
pub fn spread(pictures: &[&Finished]) -> Option<f64> {
    let mut distances = Vec::new();
    for (i, a) in pictures.iter().enumerate() {
        distances.extend(pictures[..i].iter().map(|b| distance(&a.picture, &b.picture)));
    }
    Mean::of(&distances).map(|m| m.mean)
}

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    pub mean: f64,
    /// Deviation over the root of the count; 0 of a single value.
    pub standard_error: f64,
    pub count: usize,
}

impl Mean {
    /// Of numbers; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let standard_error = if n > 1 { (square / (n - 1) as f64).sqrt() / (n as f64).sqrt() } else { 0.0 };
        Some(Self { mean, standard_error, count: n })
    }
}

impl std::fmt::Display for Mean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let precision = f.precision().unwrap_or(3);
        match self.count {
            1 => write!(f, "{:.precision$}", self.mean),
            _ => write!(f, "{:.precision$} ± {:.precision$}", self.mean, self.standard_error),
        }
    }
}

/// The layers that are asked for; an error if there is none.
pub fn need_layers(layers: &[String], model: &str) -> Result<()> {
    if layers.is_empty() {
        bail!("no layer is given: --layer LAYER, which may be repeated (`oneiro layers {model}` lists them)");
    }
    Ok(())
}

/// A short name of a picture's file.
pub fn stem(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| path.to_owned(), |s| s.to_string_lossy().into_owned())
}

/// An error if an objective, written down, could not be read again: a picture's name has a quote in it.
pub fn readable(objective: &Objective) -> Result<()> {
    Objective::parse(&objective.to_string(), &AnySources)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_come_with_their_standard_error() {
        let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(mean.mean, 2.5);
        // s = 1.2910, divided by √4.
        assert!((mean.standard_error - 0.6455).abs() < 1e-4);
        assert_eq!(format!("{mean:.2}"), "2.50 ± 0.65");
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn lists_of_numbers_mix_ranges() {
        assert_eq!(number_list("--seeds", "0-2, 7").unwrap(), [0, 1, 2, 7]);
        for bad in ["", "x", "3-1", "0-5000"] {
            assert!(number_list("--seeds", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn equal_pictures_have_no_noise() {
        let image = Image::filled(2, 2, [0.5; 3]);
        assert_eq!(psnr(&image, &image.rgb), f64::INFINITY);
        assert!((psnr(&image, &[0.6; 12]) - 20.0).abs() < 1e-4);
    }
}
