//! `oneiro again`: makes a picture again from what it says of itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use oneiro_media::{Image, PngText};

use crate::args::model::ModelArgs;
use crate::collisions;
use crate::commands::info::describe;
use crate::commands::interpolate::film_of;
use crate::context::Context;
use oneiro_jobs::files;
use oneiro_jobs::job::attribution;
use oneiro_jobs::job::dream;
use oneiro_jobs::job::render::film::Format;
use oneiro_jobs::job::render::{Job, Options, prepare, render_all};
use oneiro_jobs::job::{grid, sheet};
use oneiro_jobs::model::{LoadedModel, fed_from, load_for_shapes};
use oneiro_jobs::provenance::{self, Origin, PLOT, Record, SPECTRUM, Shown};
use oneiro_jobs::source::materials;
use oneiro_jobs::source::references::{Places, SourceFile};

/// Make a picture, sheet or film again from what it says of itself, byte for byte
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  oneiro again goldfish.png                                 # writes goldfish.again.png, says whether it is the same
  oneiro again sheet.png --model networks/model.onnx        # the model lies elsewhere now
  oneiro again dream.png --image photos/cat.jpg             # the photo it began with lies elsewhere now
  oneiro again unit.png --model finetuned.onnx --any-model  # the same settings, another network

The bytes are the same with the same version and kernel family (`oneiro info` prints both). The model's file has to be
the same, wherever it lies; its card and every flag do not matter, as the picture holds all settings. The same holds for
photos and other files that it was made from: they are looked for where they were, and beside the picture.")]
pub struct Args {
    /// A PNG or GIF that oneiro wrote
    #[arg(value_name = "PICTURE")]
    picture: PathBuf,
    /// Where the model is now, if not where it was
    #[arg(long, value_name = "PATH")]
    model: Option<String>,
    /// A file that the picture was made from (photo, guide, mask, statistics, .npy), if neither where it was
    /// nor beside the picture; recognised by its content among all that are named
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// Take a model whose content is another than the picture's
    #[arg(long)]
    any_model: bool,
    /// Where to write [default: NAME.again.png beside the picture]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let original = describe(&args.picture)?;
    refuse_drawings(&args.picture, &original.text)?;
    let incomplete = || format!("{} does not carry what it takes to make it again", args.picture.display());
    let origin = Origin::read(&original.text).with_context(incomplete)?;
    let format = Format::of_bytes(&original.bytes);
    let out = out_path(args, format)?;
    if origin.version != provenance::VERSION || origin.kernels != provenance::kernels() {
        context.note(&format!(
            "the picture was made by version {} with {} kernels, this is {} with {}: bits may differ",
            origin.version,
            origin.kernels,
            provenance::VERSION,
            provenance::kernels()
        ));
    }
    let record = Kind::read(&original.text).with_context(incomplete)?;
    let mut model = load(context, args, &origin)?;
    model.places = Places::find(&record.sources(), &args.picture, &args.images)?;
    let sources = record.sources();
    let made_from = sources.iter().map(|file| model.places.of(&file.path));
    collisions::check(context, Some(&model), made_from, [("--out", out.as_path())])?;
    let film = record.is_film();
    let bytes = match record {
        Kind::Grid(record) => record.again(context, &model)?,
        Kind::Attributions(record) => record.again(context, &model)?,
        Kind::Dream(record) => dream::again(context, &model, &record, film.then_some(format))?,
        Kind::Units(record) => render(context, args, &record, &model, format)?,
    };
    oneiro_media::write_atomic(&out, &bytes)?;
    let difference = Difference::between(&original.bytes, &bytes, &args.picture)?;
    if args.json {
        let object = serde_json::json!({
            "files": [out.display().to_string()],
            "identical": difference == Difference::None,
            "same_pixels": matches!(difference, Difference::None | Difference::Text),
            "seconds": started.elapsed().as_secs_f64(),
        });
        context.print(&serde_json::to_string_pretty(&object)?)?;
    } else {
        context.print(&format!(
            "written to {}: {}",
            out.display(),
            difference.describe(&args.picture, film)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a picture shows, with all that it takes to make it again beside its model.
enum Kind {
    Grid(Box<grid::Record>),
    Attributions(Box<attribution::Record>),
    Dream(Box<dream::Record>),
    Units(Box<Record>),
}

impl Kind {
    fn read(text: &PngText) -> Result<Self> {
        Ok(if let Some(record) = grid::Record::read(text)? {
            Self::Grid(Box::new(record))
        } else if let Some(record) = attribution::Record::read(text)? {
            Self::Attributions(Box::new(record))
        } else if dream::is_dream(text) {
            Self::Dream(Box::new(dream::Record::read(text)?))
        } else {
            Self::Units(Box::new(Record::read(text)?))
        })
    }

    /// The files that it was made from.
    fn sources(&self) -> Vec<SourceFile> {
        match self {
            Self::Grid(record) => record.sources.clone(),
            Self::Attributions(record) => record.sources(),
            Self::Dream(record) => record.inputs.sources(),
            Self::Units(record) => record.sources.clone(),
        }
    }

    fn is_film(&self) -> bool {
        match self {
            Self::Dream(record) => record.is_film,
            Self::Units(record) => matches!(record.shown, Shown::Film | Shown::Interpolation(_)),
            Self::Grid(_) | Self::Attributions(_) => false,
        }
    }
}

/// An error for what is drawn from numbers: the command that made it makes it again, beside its other
/// results.
fn refuse_drawings(picture: &Path, text: &PngText) -> Result<()> {
    let drawings = [
        (PLOT, "a plot", "`oneiro invert … --plot`"),
        (SPECTRUM, "the picture of a spectrum", "`oneiro statistics … --picture`"),
    ];
    for (key, what, command) in drawings {
        if text.get(key).is_some() {
            bail!(
                "{} is {what}, which is not made again by itself: run {command} with what `oneiro info` prints",
                picture.display()
            );
        }
    }
    Ok(())
}

/// Renders the units of a picture, sheet or film again.
fn render(
    context: &Context,
    args: &Args,
    record: &Record,
    model: &LoadedModel,
    format: Format,
) -> Result<Vec<u8>> {
    let first = &record.settings[0].preset;
    let mut jobs = Vec::new();
    for unit in &record.units {
        let preset = &record.settings[unit.setting].preset;
        let objective = model
            .expression(&unit.objective, preset.size)
            .with_context(|| format!("the objective of {} cannot be read", unit.unit))?;
        let start = unit.start.as_ref().map(|path| materials::start(model, preset, path)).transpose()?;
        jobs.push(Job {
            start,
            copy: unit.copy,
            setting: unit.setting,
            ..Job::new(unit.unit.clone(), objective)
        });
    }
    let extras = materials::extras(model, first, record.mask.clone(), record.statistics.clone())?;
    let work = prepare(context, model, record.settings.clone(), jobs, extras, true)?;
    let film = matches!(record.shown, Shown::Film).then_some(format);
    let options = Options { robustness: record.robustness, film, display: record.display };
    let finished = render_all(context, &work, &options)?;
    match &record.shown {
        Shown::Sheet(layout) => return sheet::encode(&work, layout, &finished),
        Shown::Interpolation(layout) => return film_of(&work, layout, &finished, format),
        Shown::Film | Shown::Picture => {}
    }
    let Some(one) = finished.get(record.place) else {
        bail!("{} is the picture of unit {} of {}", args.picture.display(), record.place, finished.len());
    };
    match record.shown {
        Shown::Film => one.film.clone().context("the film was not kept"),
        _ => one.encode(&provenance::png_text(&work, record.place, &one.report)?),
    }
}

/// Where the picture goes; never over the original.
fn out_path(args: &Args, format: Format) -> Result<PathBuf> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None => {
            let extension = args.picture.extension().map_or("png".into(), |e| e.to_string_lossy());
            let stem = args.picture.file_stem().map_or("picture".into(), |s| s.to_string_lossy());
            args.picture.with_file_name(format!("{stem}.again.{extension}"))
        }
    };
    if let Some(other) = Format::of_name(&out).filter(|&f| f != format) {
        let [is, ends] = [format, other].map(|f| if f == Format::Gif { "GIF" } else { "PNG" });
        bail!(
            "--out {}: it ends as a {ends}, but the picture is a {is}, and so is the new one",
            out.display()
        );
    }
    let real = |path: &Path| path.canonicalize().ok();
    if real(&out).is_some_and(|path| Some(path) == real(&args.picture)) {
        bail!("--out {}: that is the original, which is to be compared; name another file", out.display());
    }
    files::check_writable(&out)?;
    Ok(out)
}

/// The picture's model, prepared as then: where it was, beside the picture, or where `--model` says.
fn load(context: &Context, args: &Args, origin: &Origin) -> Result<LoadedModel> {
    let source = match &args.model {
        Some(path) => path.clone(),
        None => {
            let beside = args.picture.parent().map(|folder| folder.join(&origin.model));
            match beside {
                Some(path) if !Path::new(&origin.model).exists() && path.is_file() => {
                    path.to_string_lossy().into_owned()
                }
                _ => origin.model.clone(),
            }
        }
    };
    let mut spec = ModelArgs::named(&source);
    spec.places = Places::find(&fed_from(&origin.card), &args.picture, &args.images)?;
    spec.prepared = Some(origin.card.clone());
    let loaded = load_for_shapes(context, &spec);
    let mut model = if args.model.is_none() {
        loaded.with_context(|| {
            format!(
                "the picture was made with the model {}; if it lies elsewhere, give --model",
                origin.model
            )
        })?
    } else {
        loaded?
    };
    if model.hash == origin.hash {
        // The picture is the same, whatever its model is called today.
        model.source = origin.model.clone();
    } else if args.any_model {
        context.note(&format!(
            "{source} is not the model that the picture was made with ({} was, SHA-256 {})",
            origin.model, origin.hash
        ));
    } else {
        bail!(
            "{source} is not the model that the picture was made with: its SHA-256 is {}…, the picture's {}…; name the \
             right file with --model, or take this one with --any-model",
            &model.hash.get(..12).unwrap_or_default(),
            origin.hash.get(..12).unwrap_or(&origin.hash)
        );
    }
    Ok(model)
}

/// How a picture made again differs from the original.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Difference {
    None,
    /// The pixels are the same, what stands beside them is not.
    Text,
    /// This share of the pixels, by this many of 255 levels at most.
    Pixels {
        share: f64,
        levels: u8,
    },
    Size,
}

impl Difference {
    /// Of two files; of films it compares their still images.
    fn between(original: &[u8], again: &[u8], path: &Path) -> Result<Self> {
        if original == again {
            return Ok(Self::None);
        }
        let (a, b) = (oneiro_media::decode_image(original, path)?, oneiro_media::decode_image(again, path)?);
        if (a.width, a.height) != (b.width, b.height) {
            return Ok(Self::Size);
        }
        let (a, b) = (Image::to_rgb8(&a), Image::to_rgb8(&b));
        let differ = a.chunks(3).zip(b.chunks(3)).filter(|(a, b)| a != b).count();
        let levels = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        Ok(if differ == 0 {
            Self::Text
        } else {
            Self::Pixels { share: differ as f64 / (a.len() / 3) as f64, levels }
        })
    }

    fn describe(self, original: &Path, film: bool) -> String {
        let name = original.display();
        match self {
            Self::None => format!("identical to {name}, byte for byte"),
            Self::Text if film => format!("its still image is that of {name}, other bytes differ"),
            Self::Text => format!("its pixels are those of {name}, what it says of itself differs"),
            Self::Pixels { share, levels } => format!(
                "{:.2} % of its pixels differ from {name}, by at most {levels} of 255 levels",
                100.0 * share
            ),
            Self::Size => format!("its size is not that of {name}"),
        }
    }
}
