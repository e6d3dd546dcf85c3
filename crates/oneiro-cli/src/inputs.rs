//! Flags that `invert`, `caricature` and `accentuate` share: layers, strengths, seeds, and the sheet's file.

use std::path::{Path, PathBuf};

use crate::args::materials::MaterialArgs;
use crate::args::settings::RenderArgs;
use crate::context::Context;
use crate::outputs;
use anyhow::{Context as _, Result, bail};
use oneiro_jobs::files::PicturePaths;
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::numbers::parse_list;

/// Parses a list of numbers such as `0-3` or `0,7`.
pub fn number_list(flag: &str, text: &str) -> Result<Vec<u64>> {
    /// Largest length of the list: a longer one is probably a mistake.
    const MOST: u64 = 1001;
    parse_list(text, MOST).with_context(|| format!("{flag} {text}"))
}

/// Returns the preset's settings for each combination of weight and seed; the weight varies slowest.
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

/// Returns the file for a sheet or a single picture, by default a file of this name.
pub fn out_path(context: &Context, out: Option<&Path>, default: &str) -> Result<PicturePaths> {
    let paths = match out {
        Some(out) => {
            outputs::require_picture("--out", out)?;
            PicturePaths::file(out)
        }
        None => outputs::default_path(context, default),
    };
    Ok(paths)
}

/// Whether a file is a clip by its name, or as an animation; so is a folder.
pub fn is_clip(path: &Path) -> bool {
    let is_image = oneiro_media::has_image_name(path);
    path.is_dir()
        || (oneiro_media::has_video_name(path) && !is_image)
        || (is_image && oneiro_media::is_animation(path))
}

/// The file of a page, by whose ending it is known for one.
pub fn page_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
        Some("html" | "htm") => Ok(path),
        _ => Err("a page's name ends in .html".into()),
    }
}

/// Returns an error if no layer is given.
pub fn need_layers(layers: &[String], model: &str) -> Result<()> {
    if layers.is_empty() {
        bail!("no layer is given: --layer LAYER, which may be repeated (`oneiro layers {model}` lists them)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_mix_ranges() {
        assert_eq!(number_list("--seeds", "0-2, 7").unwrap(), [0, 1, 2, 7]);
        for bad in ["", "x", "3-1", "0-5000"] {
            assert!(number_list("--seeds", bad).is_err(), "{bad}");
        }
    }
}
