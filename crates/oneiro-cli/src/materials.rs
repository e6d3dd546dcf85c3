//! What an optimisation is given beside its recipe: a picture to start from, a mask, statistics of pictures.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use oneiro::objective::Reference;
use oneiro::preset::Preset;
use oneiro::render::Materials;
use oneiro::statistics::Statistics;

use crate::context::Context;
use crate::model::LoadedModel;
use crate::references::{Files, picture_size};
use crate::settings::RenderArgs;

/// Files that a rendering may be given.
#[derive(clap::Args, Default)]
pub struct MaterialArgs {
    /// Start from this picture instead of noise; a .npy file (bands, height, width) where the network takes bands
    #[arg(long = "from", value_name = "IMAGE")]
    pub from: Option<PathBuf>,
    /// Change the picture that it starts from only where this one is white
    #[arg(long, value_name = "IMAGE")]
    mask: Option<PathBuf>,
    /// Colours and spectrum of pictures other than photographs, as `oneiro statistics` writes them
    #[arg(long, value_name = "FILE.safetensors")]
    statistics: Option<PathBuf>,
}

/// What was read of them.
#[derive(Clone, Default)]
pub struct Extras {
    pub materials: Materials,
    pub statistics_path: Option<String>,
}

impl MaterialArgs {
    /// The picture to start from, at the size of the result: that of `--from`, else the command's own, if it has one.
    pub fn start(
        &self,
        model: &LoadedModel,
        preset: &Preset,
        own: Option<&str>,
    ) -> Result<Option<Reference>> {
        let from = self.from.as_ref().map(|path| path.to_string_lossy());
        let path = from.as_deref().or(own);
        if let (Some(mask), None) = (&self.mask, path) {
            bail!(
                "--mask {}: noise has nothing that could stay where the mask is black; start from a picture (--from IMAGE)",
                mask.display()
            );
        }
        path.map(|path| start(model, preset, path)).transpose()
    }

    /// Makes a recipe use the statistics that are given: colours are decorrelated by them unless `--set` says how.
    pub fn adapt(&self, context: &Context, settings: &RenderArgs, preset: &mut Preset) {
        let Some(path) = &self.statistics else { return };
        if !settings.sets("decorrelate") && preset.param.decorrelate_by_data() {
            context
                .note(&format!("note: colours are decorrelated by {} (decorrelate = data)", path.display()));
        }
    }

    /// Everything else.
    pub fn extras(&self, model: &LoadedModel, preset: &Preset) -> Result<Extras> {
        let paths =
            [&self.mask, &self.statistics].map(|p| p.as_ref().map(|p| p.to_string_lossy().into_owned()));
        let [mask, statistics] = paths;
        extras(model, preset, mask, statistics)
    }
}

/// A picture to start from, at the size of the result.
pub fn start(model: &LoadedModel, preset: &Preset, path: &str) -> Result<Reference> {
    Files::of_size(model, size_of_result(model, preset)?).reference(path)
}

fn size_of_result(model: &LoadedModel, preset: &Preset) -> Result<[usize; 2]> {
    preset.picture.map_or_else(|| picture_size(model, preset.size), Ok)
}

/// A mask and statistics by their paths.
pub fn extras(
    model: &LoadedModel,
    preset: &Preset,
    mask: Option<String>,
    statistics: Option<String>,
) -> Result<Extras> {
    let read = |path: String| Files::of_size(model, size_of_result(model, preset)?).mask(&path);
    let mask = mask.map(read).transpose()?;
    let read = |path: &String| -> Result<Arc<Statistics>> {
        let bytes = oneiro_media::read_bytes(model.places.of(path))?;
        Ok(Arc::new(Statistics::from_bytes(&bytes).with_context(|| format!("--statistics {path}"))?))
    };
    let statistics_read = statistics.as_ref().map(read).transpose()?;
    let materials = Materials { mask, statistics: statistics_read, ..Materials::default() };
    Ok(Extras { materials, statistics_path: statistics })
}
