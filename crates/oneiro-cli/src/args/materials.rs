//! Files that a rendering is given: `--from`, `--mask`, `--statistics`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use oneiro::objective::Reference;
use oneiro::preset::Preset;
use oneiro_jobs::model::LoadedModel;
use oneiro_jobs::source::materials::{Extras, extras, start};

use crate::args::settings::RenderArgs;
use crate::context::Context;

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
            context.note(&format!("colours are decorrelated by {} (decorrelate = data)", path.display()));
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
