//! The command `oneiro again`: makes a picture again from its metadata.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use oneiro_jobs::again::{Again, Difference, Kinds, Original, Written};
use oneiro_jobs::files::check_writable;
use oneiro_jobs::job::render::Setting;
use oneiro_jobs::numbers::short;
use oneiro_media::PngText;

use crate::args::assignment::with_setting;
use crate::args::size::parse_size;
use crate::collisions;
use crate::context::Context;

/// Make a picture, sheet, film or page again from its metadata, byte for byte
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro again goldfish.png                                 # writes goldfish.again.png, says whether it is the same
  oneiro again sheet.png --model networks/model.onnx        # the model lies elsewhere now
  oneiro again dream.png --image photos/cat.jpg             # the photo it began with lies elsewhere now
  oneiro again flow.mp4 --image videos/bikes.mp4            # and so does the video
  oneiro again unit.png --model finetuned.onnx --any-model  # the same settings, another network
  oneiro again unit.png --steps 512 --out longer.png        # all as it was but for the steps
  oneiro again unit.png --set optimizer.learning_rate=0.1 --size 192 --seed 7

The bytes are the same with the same version and kernel family (`oneiro info` prints both). The model's file has to be
the same, wherever it lies; its card and every flag do not matter, as the picture holds all settings. The same holds for
photos and other files that it was made from: they are looked for where they were, and beside the picture.

`oneiro info PICTURE` prints the settings that --set can change. `--preset PICTURE`, for commands that take a recipe, uses
the picture's recipe for other units.")]
pub struct Args {
    /// A PNG, JPEG, WebP, GIF, MP4, WebM or HTML page that oneiro wrote
    #[arg(value_name = "PICTURE")]
    picture: PathBuf,
    /// Where the model is now, if not where it was
    #[arg(long, value_name = "PATH")]
    model: Option<String>,
    /// A file or folder that the picture was made from (photo, guide, mask, statistics, .npy, video), if
    /// neither where it was nor beside the picture; recognised by its content among all that are named
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// Take a model whose content is another than the picture's
    #[arg(long)]
    any_model: bool,
    /// Change a setting, by its path as `oneiro info` prints it, for instance param.fourier.decay=0.85; may
    /// be repeated. The result then differs from the picture, and is not compared
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Change the number of steps of the optimiser, like --set steps=N
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    steps: Option<usize>,
    /// Change the size of the picture, like --set size=N
    #[arg(long, allow_negative_numbers = true, value_parser = parse_size, value_name = "N|HxW")]
    size: Option<[usize; 2]>,
    /// Change the seed of all random numbers
    #[arg(long, allow_negative_numbers = true, value_name = "SEED")]
    seed: Option<u64>,
    /// Another learning rate
    #[arg(long, visible_alias = "lr", allow_negative_numbers = true, value_name = "RATE")]
    learning_rate: Option<f32>,
    /// Where to write [default: NAME.again.EXTENSION beside the picture]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let original = Original::read(&args.picture)?;
    let before = value_in(&original.text);
    let out = out_path(args, original.format())?;
    let model = args.model.as_deref();
    let mut again = Again::find(context, original, &Kinds::default(), model, &args.images, args.any_model)?;
    if args.changes() {
        again.change(|setting| args.changed(setting))?;
    }
    collisions::check(context, again.model.as_ref(), again.sources(), [("--out", out.as_path())])?;
    let remade = again.run(context)?;
    oneiro_media::write_atomic(&out, &remade.bytes)?;
    let difference = remade.difference;
    let after = oneiro_media::decode_text(&remade.bytes, &out).ok().as_ref().and_then(value_in);
    if args.json {
        let mut object = serde_json::json!({
            "files": [out.display().to_string()],
            "seconds": started.elapsed().as_secs_f64(),
        });
        if let Some(difference) = difference {
            object["identical"] = (difference == Difference::None).into();
            object["same_pixels"] = matches!(difference, Difference::None | Difference::Text).into();
        }
        if args.changes() {
            object["changed"] = args.changes_in_words().into();
            object["value"] = serde_json::json!({ "before": before, "after": after });
        }
        context.print(&serde_json::to_string_pretty(&object)?)?;
    } else {
        let how = match difference {
            Some(difference) => difference.describe(&args.picture, again.is_film()),
            None => {
                let values = before.zip(after);
                let values = values.map(|(a, b)| format!("; value {} -> {}", short(a), short(b)));
                let changes = args.changes_in_words().join(", ");
                format!("made as {} with {changes}{}", args.picture.display(), values.unwrap_or_default())
            }
        };
        context.print(&format!("written to {}: {how}", out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the value of a picture of a single unit.
fn value_in(text: &PngText) -> Option<f64> {
    text.get("value")?.parse().ok()
}

impl Args {
    /// Returns what is changed, as `KEY=VALUE`.
    fn changes_in_words(&self) -> Vec<String> {
        let mut words = self.set.clone();
        words.extend(self.steps.map(|steps| format!("steps={steps}")));
        words.extend(self.size.map(|[height, width]| format!("size={height}x{width}")));
        words.extend(self.learning_rate.map(|rate| format!("optimizer.learning_rate={rate}")));
        words.extend(self.seed.map(|seed| format!("seed={seed}")));
        words
    }

    /// Whether any setting is to be changed.
    fn changes(&self) -> bool {
        !self.changes_in_words().is_empty()
    }

    /// Returns the preset and seed with the changed settings.
    fn changed(&self, setting: &Setting) -> Result<Setting> {
        let mut changed = setting.clone();
        for assignment in &self.set {
            changed.preset = with_setting(&changed.preset, assignment)?;
        }
        if let Some(rate) = self.learning_rate {
            changed.preset = with_setting(&changed.preset, &format!("optimizer.learning_rate={rate}"))?;
        }
        changed.preset.steps = self.steps.unwrap_or(changed.preset.steps);
        if self.size.is_some() {
            let preset = &mut changed.preset;
            *(if preset.picture.is_some() { &mut preset.picture } else { &mut preset.size }) = self.size;
        }
        changed.seed = self.seed.unwrap_or(changed.seed);
        Ok(changed)
    }
}

/// Returns the output file, never the original. `format` is the original's file format.
fn out_path(args: &Args, format: Written) -> Result<PathBuf> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None => {
            let extension = args.picture.extension().map_or("png".into(), |e| e.to_string_lossy());
            let stem = args.picture.file_stem().map_or("picture".into(), |s| s.to_string_lossy());
            args.picture.with_file_name(format!("{stem}.again.{extension}"))
        }
    };
    if let Some(ends) = Written::of_name(&out).filter(|&ends| ends != format) {
        bail!(
            "--out {}: it ends as a {}, but the original is a {}, and so is the new one",
            out.display(),
            ends.name(),
            format.name()
        );
    }
    let real = |path: &Path| path.canonicalize().ok();
    if real(&out).is_some_and(|path| Some(path) == real(&args.picture)) {
        bail!("--out {}: that is the original, which is to be compared; name another file", out.display());
    }
    check_writable(&out)?;
    Ok(out)
}
