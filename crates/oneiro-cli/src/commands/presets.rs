//! The command `oneiro presets`: lists the built-in presets, or one with all settings.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use oneiro::preset::Preset;

use crate::context::Context;

/// List the recipes with every setting
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro presets                        # all, a line each
  oneiro presets mahendran16            # one, with every setting
  oneiro presets oneiro > mine.toml     # a recipe of one's own: edit it, then --preset mine.toml
  oneiro presets --json

Any setting can be changed where a preset is used: --set param.fourier.decay=0.85 --set optimizer.learning_rate=0.1")]
pub struct Args {
    /// Names of the recipes to print [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let all = Preset::all();
    let known = || all.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
    let chosen: Vec<&Preset> = if args.names.is_empty() {
        all.iter().collect()
    } else {
        let find = |name: &String| {
            let preset = all.iter().find(|p| &p.name == name);
            preset.ok_or_else(|| {
                anyhow!(
                    "there is no preset \"{name}\"; there are {}; those of dream images are in `oneiro dream --help`",
                    known()
                )
            })
        };
        args.names.iter().map(find).collect::<Result<_>>()?
    };
    if args.json {
        let object: serde_json::Map<String, serde_json::Value> =
            chosen.iter().map(|p| Ok((p.name.clone(), serde_json::to_value(p)?))).collect::<Result<_>>()?;
        context.print(&serde_json::to_string_pretty(&object)?)?;
    } else if args.names.is_empty() {
        for preset in chosen {
            context.print(&line(preset))?;
        }
        context.print("\n`oneiro presets NAME` prints every setting. Dream images have recipes of their own: `oneiro dream --help`.")?;
    } else {
        for preset in chosen {
            context.print(&format!("# {}\n{}", about(&preset.name), toml::to_string(preset)?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns a short description of a built-in preset.
fn about(name: &str) -> &'static str {
    match name {
        "oneiro" => "the default: Lucid's Fourier space, fewer steps at a falling rate, wider transforms",
        "lucid" => "Lucid's feature visualization (Olah, Mordvintsev & Schubert 2017)",
        "conveiro" => "Conveiro's colour-decorrelated Fourier space (Showmax)",
        "mahendran16" => "natural pre-images (Mahendran & Vedaldi, IJCV 2016)",
        "mahendran15" => "their first version (Mahendran & Vedaldi, CVPR 2015)",
        "keras-dense" => "a dense layer as generator (\"Visualizing How CNNs See\", Keras)",
        "maco" => "MACO as in Xplique: phases alone (Fel et al. 2023)",
        "maco-horama" => "MACO as in Horama, larger and longer",
        "yosinski" => "the Deep Visualization Toolbox (Yosinski et al. 2015)",
        "accentuation" => "feature accentuation of a picture (Hamblin et al. 2024)",
        "video" => "images, clips and flow of video networks; the default of `oneiro video`",
        "feichtenhofer20" => "clips and flow with penalties in space and time (Feichtenhofer et al. 2020)",
        "enlarged" => "larger pictures for networks that see few pixels",
        "activation-grid" => "small cells that agree in brightness and colour (Olah et al. 2018)",
        _ => "",
    }
}

/// Returns the most important settings of a preset in one line.
fn line(preset: &Preset) -> String {
    let side = |size: Option<[usize; 2]>| match size {
        None => "the network's size".to_owned(),
        Some([h, w]) => format!("{h}x{w}"),
    };
    let views = if preset.views > 1 { format!(", {} views", preset.views) } else { String::new() };
    format!(
        "{:<13} {}\n{:<13} {}, {}, {} steps of {} at {}{views}, transforms {}",
        preset.name,
        about(&preset.name),
        "",
        preset.param.name(),
        side(preset.picture.or(preset.size)),
        preset.total_steps(),
        preset.optimizer.kind,
        preset.optimizer.learning_rate,
        short_chain(&preset.transform.to_string()),
    )
}

/// Returns a chain of transforms with long lists of values shortened.
fn short_chain(chain: &str) -> String {
    /// Largest number of characters shown of a list of values.
    const SHOWN: usize = 24;
    let part = |part: &str| match part.split_once('(') {
        Some((name, list)) if list.len() > SHOWN => {
            let cut = list.char_indices().take_while(|(i, _)| *i < SHOWN).map(|(_, c)| c).collect::<String>();
            let cut = cut.rsplit_once(',').map_or(cut.as_str(), |(head, _)| head).to_owned();
            format!("{name}({cut},…)")
        }
        _ => part.to_owned(),
    };
    chain.split('|').map(part).collect::<Vec<_>>().join("|")
}
