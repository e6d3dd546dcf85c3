//! Settings of a dream, from flags to a preset.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use oneiro::dream::{DreamDisplay, DreamPreset, MAX_SIDE, Normalize, OctaveStart};
use oneiro::preset::Preset;
use oneiro_jobs::again::dream_preset_of;

use crate::args::recipe;
use crate::args::size::parse_size_within;
use crate::collisions::{Placed, placed};

/// A recipe of dreaming, and what overrides it.
#[derive(clap::Args)]
pub(super) struct DreamArgs {
    /// deepdream, conveiro-multiscale, conveiro-laplacian, a .toml file, or a dream that oneiro made, whose
    /// recipe is taken [default: deepdream]
    #[arg(long, value_name = "NAME|FILE.toml|DREAM")]
    preset: Option<String>,
    /// Also write the recipe, with everything that was changed, to a file for --preset
    #[arg(long, value_name = "FILE.toml")]
    save_preset: Option<PathBuf>,
    /// Size of the result: N or HxW. An image is scaled to fit into it [default: the image's; 512 for noise]
    #[arg(long, allow_negative_numbers = true, value_parser = dream_size, value_name = "N|HxW")]
    size: Option<[usize; 2]>,
    /// Sizes that are dreamt on, from small to large
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    octaves: Option<usize>,
    /// Ratio of two neighbouring sizes
    #[arg(long, allow_negative_numbers = true, value_name = "RATIO")]
    octave_scale: Option<f64>,
    /// Start of the next larger octave: the image plus the dream's detail, or the dream enlarged
    #[arg(long, value_parser = ["detail", "enlarge"])]
    octave_start: Option<String>,
    /// Steps in each octave
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    steps: Option<usize>,
    /// Length of a step, in units of 0-255
    #[arg(long, allow_negative_numbers = true, value_name = "LENGTH")]
    step_size: Option<f64>,
    /// Normalisation of the gradient: divide it by its mean magnitude, by its standard deviation, or each
    /// frequency band by its RMS
    #[arg(long, value_parser = ["mean-abs", "deviation", "laplacian"])]
    normalize: Option<String>,
    /// Splits of the Laplacian pyramid
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    levels: Option<usize>,
    /// Pixels that the picture is rolled by at random before each step, either way
    #[arg(long, allow_negative_numbers = true, value_name = "PIXELS")]
    jitter: Option<usize>,
    /// Side, in pixels, of the largest tile that the network sees at once; larger tiles take longer to
    /// prepare and more memory
    #[arg(long, allow_negative_numbers = true, value_name = "PIXELS")]
    tile: Option<usize>,
    /// Pixels that neighbouring tiles share
    #[arg(long, allow_negative_numbers = true, value_name = "PIXELS")]
    overlap: Option<usize>,
    /// Whether values are clipped to black and white after each step
    #[arg(long, value_name = "true|false")]
    clip: Option<bool>,
    /// How values become colours: unchanged (clip), or with mean and contrast standardized (standardize)
    #[arg(long, value_parser = ["clip", "standardize"])]
    display: Option<String>,
    /// Share of the dream in the result, the rest being the image: above 0, at most 1
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE")]
    strength: Option<f64>,
}

/// Tiles take no more than half of themselves for their overlap, an eighth as in the presets.
const OVERLAP_SHARE: usize = 8;

/// Tiles keep the memory of large dreams in bounds.
fn dream_size(text: &str) -> Result<[usize; 2], String> {
    parse_size_within(text, MAX_SIDE)
}

impl DreamArgs {
    /// The file that the recipe is read from, if it is one.
    pub fn recipe_file(&self) -> Option<&Path> {
        self.preset.as_deref().filter(|name| recipe::is_file(name)).map(Path::new)
    }

    pub fn preset(&self, from_noise: bool) -> Result<DreamPreset> {
        let name = self.preset.as_deref().unwrap_or("deepdream");
        let mut p = match DreamPreset::named(name) {
            Some(mut preset) => {
                // Noise has neither colours nor detail of its own to keep; a photo has both.
                if !from_noise {
                    preset.display = DreamDisplay::Clip;
                    preset.octave_start = OctaveStart::Detail;
                }
                preset
            }
            None if recipe::is_result(name) => {
                dream_preset_of(Path::new(name)).with_context(|| format!("--preset {name}"))?
            }
            None if recipe::is_toml(name) => {
                let text = std::fs::read_to_string(name)
                    .with_context(|| format!("--preset {name}: the file cannot be read"))?;
                toml::from_str(&text)
                    .map_err(|e| anyhow::anyhow!("--preset {name}: {}", e.to_string().trim_end()))?
            }
            None => {
                let known: Vec<String> = DreamPreset::all().into_iter().map(|p| p.name).collect();
                let what = match Preset::named(name) {
                    Some(_) => "that is a recipe of oneiro render",
                    None => "there is no such preset",
                };
                bail!(
                    "--preset {name}: {what}; for dreams there are {}, or name a .toml file or a dream that oneiro made",
                    known.join(", ")
                );
            }
        };
        fn set<T: Clone>(to: &mut T, from: &Option<T>) {
            if let Some(value) = from {
                *to = value.clone();
            }
        }
        p.size = self.size.or(p.size);
        set(&mut p.octaves, &self.octaves);
        set(&mut p.octave_scale, &self.octave_scale);
        set(&mut p.steps, &self.steps);
        set(&mut p.step_size, &self.step_size);
        set(&mut p.levels, &self.levels);
        set(&mut p.jitter, &self.jitter);
        set(&mut p.clip, &self.clip);
        set(&mut p.strength, &self.strength);
        if let Some(tile) = self.tile {
            p.tile = tile;
            p.overlap = p.overlap.min(tile / OVERLAP_SHARE);
        }
        set(&mut p.overlap, &self.overlap);
        match self.octave_start.as_deref() {
            Some("detail") => p.octave_start = OctaveStart::Detail,
            Some(_) => p.octave_start = OctaveStart::Enlarge,
            None => {}
        }
        match self.normalize.as_deref() {
            Some("mean-abs") => p.normalize = Normalize::MeanAbs,
            Some("deviation") => p.normalize = Normalize::Deviation,
            Some(_) => p.normalize = Normalize::Laplacian,
            None => {}
        }
        match self.display.as_deref() {
            Some("clip") => p.display = DreamDisplay::Clip,
            Some(_) => p.display = DreamDisplay::Standardize,
            None => {}
        }
        p.check()?;
        recipe::check(self.save_preset.as_deref())?;
        Ok(p)
    }

    /// Returns the file of `--save-preset` with its flag's name, for checks of output files.
    pub fn placed(&self) -> Option<Placed<'_>> {
        placed("--save-preset", self.save_preset.as_ref())
    }

    /// Saves the preset if `--save-preset` is given, and returns the file's name. Called after all else has
    /// succeeded.
    pub fn save(&self, preset: &DreamPreset) -> Result<Option<String>> {
        recipe::save(self.save_preset.as_deref(), "oneiro dream", preset)
    }
}
