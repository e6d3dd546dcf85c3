//! Dreams as commands make them: files that they begin with, the loop, what a picture says of itself.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use oneiro::dream::{Dream, DreamPreset, Goal, Guide, Image, Mask, Start, Zoom};
use oneiro_media::{ApngWriter, Film, PngText};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::job::render::display::Display;
use crate::job::render::film::{Format, MAX_PIXELS};
use crate::model::LoadedModel;
use crate::observer::Task;
use crate::provenance::{UnitReport, required, text_of_model};
use crate::source::references::{SourceFile, hash};

/// What the text of a dream says under "command".
const COMMAND: &str = "dream";
/// What stands for an image where noise is meant.
pub const NOISE: &str = "noise";
/// How long a frame of a zoom is shown, in hundredths of a second.
const FRAME_TICKS: u16 = 10;

/// All files that a dream was made from, and the layers at which it follows its guide.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<SourceFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guide: Option<SourceFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guide_layers: Vec<(String, f64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<SourceFile>,
}

/// Reads a file as an image, and remembers its content.
pub fn read(path: &Path) -> Result<(SourceFile, Image)> {
    let bytes = oneiro_media::read_bytes(path)?;
    let image = oneiro_media::decode_image(&bytes, path)?;
    let image = Image { height: image.height, width: image.width, rgb: image.rgb };
    Ok((SourceFile { path: path.display().to_string(), sha256: hash(&bytes) }, image))
}

impl Inputs {
    /// The files, to be found again.
    pub fn sources(&self) -> Vec<SourceFile> {
        [&self.image, &self.guide, &self.mask].into_iter().flatten().cloned().collect()
    }
}

/// A mask is white where it is white in all colours: the mean of the three.
pub fn mask_of(image: &Image) -> Mask {
    let n = image.height * image.width;
    let data = (0..n).map(|i| (0..3).map(|c| image.rgb[c * n + i]).sum::<f32>() / 3.0).collect();
    Mask { height: image.height, width: image.width, data }
}

/// What a picture of a dream carries, beside what every picture does.
#[derive(Debug, Clone)]
pub struct Record {
    pub preset: DreamPreset,
    pub unit: String,
    pub objective: String,
    pub inputs: Inputs,
    pub zoom: Option<Zoom>,
    pub seed: u64,
    pub is_film: bool,
}

/// Whether a picture says that it is a dream.
pub fn is_dream(text: &PngText) -> bool {
    text.get("command") == Some(COMMAND)
}

impl Record {
    /// Reads what a picture carries.
    pub fn read(text: &PngText) -> Result<Self> {
        let get = |key: &str| required(text, key);
        let preset: DreamPreset = toml::from_str(&get("settings")?).context("its settings cannot be read")?;
        preset.check().context("its settings cannot be used")?;
        let zoom: Option<Zoom> =
            text.get("zoom").map(toml::from_str).transpose().context("its zoom cannot be read")?;
        zoom.map_or(Ok(()), |zoom| zoom.check()).context("its zoom cannot be used")?;
        Ok(Self {
            preset,
            unit: get("unit")?,
            objective: get("objective")?,
            inputs: serde_json::from_str(&get("inputs")?)
                .context("which files it was made from cannot be read")?,
            zoom,
            seed: get("seed")?.parse().context("its seed cannot be read")?,
            is_film: text.get("film").is_some(),
        })
    }

    /// The text of its picture; of its film, if there is no report yet when that begins.
    pub fn text(&self, model: &LoadedModel, report: Option<&UnitReport>) -> Result<PngText> {
        let mut text = text_of_model(model)?;
        text.push("command", COMMAND);
        text.push("unit", &self.unit);
        text.push("objective", &self.objective);
        text.push("inputs", serde_json::to_string(&self.inputs)?);
        text.push("preset", &self.preset.name);
        text.push("settings", toml::to_string(&self.preset)?);
        text.push("seed", self.seed.to_string());
        if let Some(zoom) = &self.zoom {
            text.push("zoom", toml::to_string(zoom)?);
        }
        match (report, &self.zoom) {
            (Some(report), _) => {
                text.push("steps", report.steps.to_string());
                text.push("value", report.value.to_string());
                text.push("value-at-start", report.value_at_start.to_string());
                text.push("value-saved", report.value_saved.to_string());
            }
            (None, Some(zoom)) => {
                let seconds = f64::from(FRAME_TICKS) / f64::from(oneiro_media::TICKS_PER_SECOND);
                text.push("film", format!("{} frames of {seconds} s", zoom.frames));
            }
            (None, None) => {}
        }
        Ok(text)
    }
}

/// What a dream begins with, ready to be dreamt.
pub struct Materials {
    pub goal: Goal,
    pub start: Start,
    pub mask: Option<Mask>,
}

/// A finished dream.
pub struct Dreamt {
    pub input: String,
    pub raw: Image,
    /// As it is saved: 8 bits, clipped.
    pub picture: oneiro_media::Image,
    pub report: UnitReport,
}

/// Where frames of a zoom go.
enum Frames<'w> {
    Apng(ApngWriter<&'w mut dyn Write>),
    Gif(Film, &'w mut dyn Write, PngText),
}

impl<'w> Frames<'w> {
    fn new(
        format: Format,
        out: &'w mut dyn Write,
        size: [usize; 2],
        zoom: &Zoom,
        text: PngText,
    ) -> Result<Self> {
        let [h, w] = size;
        Ok(match format {
            Format::Apng => Self::Apng(ApngWriter::new(out, w, h, zoom.frames, &text)?),
            // Its one palette is chosen from all frames.
            Format::Gif if h * w * zoom.frames > MAX_PIXELS => bail!(
                "{} frames of {h}x{w} are too much for a GIF, which is in memory as a whole; choose fewer --frames, a smaller \
                 --size, or an animated PNG (.png)",
                zoom.frames
            ),
            Format::Gif => Self::Gif(Film::new(), out, text),
        })
    }

    fn push(&mut self, frame: &oneiro_media::Image) -> Result<()> {
        match self {
            Self::Apng(writer) => writer.push(frame, FRAME_TICKS)?,
            Self::Gif(film, ..) => film.push(frame, FRAME_TICKS)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Apng(writer) => writer.finish()?,
            Self::Gif(film, out, text) => {
                out.write_all(&film.to_gif(&text)?).context("could not write the film")?;
            }
        }
        Ok(())
    }
}

/// Dreams to the end, frame by frame into a film if one is wanted.
pub fn run(
    context: &Context,
    model: &LoadedModel,
    record: &Record,
    materials: Materials,
    film: Option<(Format, &mut dyn Write)>,
) -> Result<Dreamt> {
    let preset = &record.preset;
    let frames = record.zoom.map_or(1, |zoom| zoom.frames);
    let Materials { goal, start, mask } = materials;
    let mut dream = context.compute(|| Dream::new(&model.model, preset, &goal, start, mask, record.seed))?;
    let input = model.model.card.input.iter().find(|i| i.kind == oneiro::card::InputKind::Image);
    let input = input.map(|i| i.name.clone()).unwrap_or_default();
    let mut film = match (film, &record.zoom) {
        (Some((format, out)), Some(zoom)) => {
            let text = record.text(model, None)?;
            Some(Frames::new(format, out, dream.final_size(), zoom, text)?)
        }
        _ => None,
    };
    let total = (frames * preset.octaves * preset.steps) as u64;
    let mut progress = Task::new(context, "dreaming", total);
    let mut fixed = None;
    for frame in 0..frames {
        if let (Some(zoom), true) = (&record.zoom, frame > 0) {
            context.compute(|| dream.zoom(zoom))?;
        }
        while !dream.finished() {
            context.check()?;
            let (octave, octaves) = dream.octave();
            let [h, w] = dream.size();
            progress.label(&match frames {
                1 => format!("octave {}/{octaves}: {w}x{h}", octave + 1),
                _ => format!("frame {}/{frames}, octave {}", frame + 1, octave + 1),
            });
            let ([th, tw], _) = dream.tiles();
            if dream.tile_is_forced() {
                fixed.get_or_insert([th, tw]);
            }
            context.compute(|| dream.step())?;
            progress.advance(1);
        }
        if let Some(film) = &mut film {
            film.push(&saved(&dream)?)?;
        }
    }
    drop(progress);
    film.map_or(Ok(()), Frames::finish)?;
    if let Some([h, w]) = fixed {
        context.note(&format!(
            "the network does not accept every size that is dreamt on; tiles of {h}x{w}, its own size, are used there"
        ));
    }
    let picture = saved(&dream)?;
    let of_saved = Image { height: picture.height, width: picture.width, rgb: picture.rgb };
    let (value, value_saved) =
        context.compute(|| Ok::<_, anyhow::Error>((dream.value(), dream.value_of(&of_saved)?)))?;
    let report = UnitReport {
        unit: record.unit.clone(),
        objective: record.objective.clone(),
        start: None,
        copy: 0,
        setting: 0,
        preset: preset.name.clone(),
        seed: record.seed,
        steps: dream.steps_done(),
        stop: oneiro::render::Stop::Steps.describe().into(),
        value,
        value_at_start: dream.value_at_start(),
        value_saved,
        robustness: None,
        display: Display::Clip,
        display_range: None,
    };
    let picture = oneiro_media::Image::new(of_saved.width, of_saved.height, of_saved.rgb)?;
    Ok(Dreamt { input, raw: dream.raw(), picture, report })
}

/// The picture as an 8-bit file holds it.
fn saved(dream: &Dream<'_>) -> Result<oneiro_media::Image> {
    let Image { height, width, rgb } = dream.picture();
    let bytes = oneiro_media::Image::new(width, height, rgb)?.to_rgb8();
    Ok(oneiro_media::Image::from_rgb8(width, height, &bytes)?)
}

/// The bytes of a dream made again from what its picture or film says.
pub fn again(
    context: &Context,
    model: &LoadedModel,
    record: &Record,
    film: Option<Format>,
) -> Result<Vec<u8>> {
    let Inputs { image, guide, guide_layers, mask } = &record.inputs;
    let find = |file: &Option<SourceFile>| -> Result<Option<Image>> {
        file.as_ref().map(|f| Ok(read(model.places.of(&f.path))?.1)).transpose()
    };
    let goal = match find(guide)? {
        Some(image) => Goal::Guide(Guide { layers: guide_layers.clone(), image }),
        None => Goal::Objective(record.objective.parse().context("its objective cannot be read")?),
    };
    let materials = Materials {
        goal,
        start: find(image)?.map_or(Start::Noise, Start::Image),
        mask: find(mask)?.map(|image| mask_of(&image)),
    };
    let mut bytes = Vec::new();
    let is_film = film.is_some();
    let film = film.map(|format| (format, &mut bytes as &mut dyn Write));
    let dreamt = run(context, model, record, materials, film)?;
    if is_film {
        return Ok(bytes);
    }
    Ok(oneiro_media::encode_png(&dreamt.picture, &record.text(model, Some(&dreamt.report))?)?)
}
