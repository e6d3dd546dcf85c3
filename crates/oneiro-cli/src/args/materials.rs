//! Flags for the files that an optimisation starts from or uses: `--from`, `--mask`, `--statistics`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use oneiro::card::InputKind;
use oneiro::preset::Preset;
use oneiro::statistics::Statistics;
use oneiro_jobs::job::preimage::Rendering;
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::job::render::display::Display;
use oneiro_jobs::job::render::work::Work;

use crate::args::settings::RenderArgs;
use crate::context::Context;

/// Flags for the files that an optimisation may use.
#[derive(clap::Args, Default)]
pub struct MaterialArgs {
    /// Start from this picture instead of noise; a .npy file (bands, height, width) where the network
    /// takes bands
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
    /// Returns the picture to start from: that of `--from`, otherwise the command's own, if it has one.
    pub fn start(&self, own: Option<&str>) -> Result<Option<String>> {
        let from = self.from.as_ref().map(|path| path.to_string_lossy().into_owned());
        let path = from.or_else(|| own.map(str::to_owned));
        if let (Some(mask), None) = (&self.mask, &path) {
            bail!(
                "--mask {}: noise has nothing that could stay where the mask is black; start from a picture (--from IMAGE)",
                mask.display()
            );
        }
        Ok(path)
    }

    /// Makes a preset use the statistics of `--statistics`: colours are decorrelated by them, unless `--set`
    /// says otherwise.
    pub fn adapt(&self, context: &Context, settings: &RenderArgs, preset: &mut Preset) {
        let Some(path) = &self.statistics else { return };
        if !settings.sets("decorrelate") && preset.param.decorrelate_by_data() {
            context.note(&format!("colours are decorrelated by {} (decorrelate = data)", path.display()));
        }
    }

    /// Does the same for a network of clips and flow. Statistics of flow are for the flow alone.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn adapt_inputs(&self, context: &Context, settings: &RenderArgs, preset: &mut Preset) -> Result<()> {
        let Some(path) = &self.statistics else { return Ok(()) };
        let statistics = Statistics::from_bytes(&oneiro_media::read_bytes(path)?)
            .with_context(|| format!("--statistics {}", path.display()))?;
        if !statistics.is_flow() {
            self.adapt(context, settings, preset);
            return Ok(());
        }
        let usual = preset.param.clone();
        let own = &mut preset.inputs.entry(InputKind::Flow.name().to_owned()).or_default().param;
        if !settings.sets("decorrelate") && own.get_or_insert(usual).decorrelate_by_data() {
            context.note(&format!("flow is decorrelated by {} (decorrelate = data)", path.display()));
        }
        Ok(())
    }

    /// Work without units, whose settings are yet to come.
    pub fn work(&self, keep_size: bool, display: Display) -> Work {
        let name = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        let [mask, statistics] = [&self.mask, &self.statistics].map(name);
        Work { mask, statistics, keep_size, display, ..Work::default() }
    }

    /// Returns the settings with which pre-images are rendered.
    pub fn rendering(&self, settings: Vec<Setting>, keep_size: bool, display: Display) -> Rendering {
        Rendering { title: None, work: Work { settings, ..self.work(keep_size, display) } }
    }
}
