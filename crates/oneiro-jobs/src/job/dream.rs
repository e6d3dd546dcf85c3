//! Dreams: a photo, or noise, is changed so that layers respond more strongly, octave by octave.

use std::io::Write;

use oneiro::card::InputKind;
use oneiro::dream::{Dream, DreamGoal, DreamPreset, Guide, Start, Zoom};
use oneiro::objective::{LookupError, Objective};
use oneiro::objective_session::ObjectiveSession;
use oneiro_media::{FrameRate, Image, PngText};
use serde::{Deserialize, Serialize};

use self::frames::{FilmOf, Frames, Pace};
pub(crate) use self::text::legacy;
use self::text::{Inputs, Text};
pub use self::video::{BLEND, DreamtVideo};
use super::error::JobError;
use super::film_kind::FilmKind;
use super::render::report::UnitReport;
use super::{Job, Place, Role, Run, Sink};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::model::LoadedModel;
use crate::provenance::seal;
use crate::remark::Remark;
use crate::source::places::{Places, SourceFile, hash, hashed};
use crate::task::Task;
use crate::tensors::{RawTensor, to_bytes};

mod frames;
mod motion;
mod text;
mod video;

/// Display time of a frame of a zoom, in hundredths of a second.
const FRAME_TICKS: u16 = 10;

/// A dream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DreamJob {
    /// The preset.
    pub preset: DreamPreset,
    /// The goal of the dream, as the user named it.
    pub unit: String,
    /// The objective as an expression; `None` if the dream follows a guide image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// File of the photo or video. Without one the dream starts from noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// File of the guide image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guide: Option<String>,
    /// Layers at which the dream follows the guide image, with their weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guide_layers: Vec<(String, f64)>,
    /// File of a picture that is white where the photo may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// Settings of a zoom film.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zoom: Option<Zoom>,
    /// Frames per second of a zoom film; 10 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The film's format, if a film is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub film: Option<FilmKind>,
    /// Settings of a dream on a video, or of a network of clips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<DreamtVideo>,
    /// Random seed.
    pub seed: u64,
}

/// The report on a dream.
#[derive(Debug, Clone, Serialize)]
pub struct DreamReport {
    /// The report on the dream, as a list of one unit.
    pub units: Vec<UnitReport>,
}

impl Job for DreamJob {
    const KIND: &'static str = "dream";
    type Report = DreamReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<DreamReport> {
        self.check()?;
        let model = run.model()?;
        let read = |file: &Option<String>| file.as_ref().map(|f| read(f, &model.places)).transpose();
        let image = if self.video.is_some() { None } else { read(&self.image)? };
        let (guide, mask) = (read(&self.guide)?, read(&self.mask)?);
        let file = |read: &Option<(SourceFile, Image)>| read.as_ref().map(|(file, _)| file.clone());
        let guide_layers = self.guide_layers.clone();
        let mut inputs = Inputs { image: file(&image), guide: file(&guide), guide_layers, mask: file(&mask) };
        if let (Some(_), Some(clip)) = (&self.video, &self.image) {
            inputs.image = hashed(std::slice::from_ref(clip), &model.places)?.pop();
        }
        if let Some(kind) = self.film.filter(|_| sink.wants(Place::film(0))) {
            kind.check_program()?;
        }
        let goal = match (guide, &self.objective) {
            (Some((_, image)), _) => DreamGoal::Guide(Guide { layers: self.guide_layers.clone(), image }),
            (None, Some(text)) => DreamGoal::Objective(self.objective(run, text)?),
            (None, None) => return Err(JobError::NoDream.into()),
        };
        let text = Text { job: self, model, inputs, objective: goal.to_string() };
        let mut materials = Some(DreamStart {
            goal,
            start: image.map_or(Start::Noise, |(_, image)| Start::Image(image)),
            mask: mask.map(|(_, image)| mask_of(&image)),
        });
        if let (Some(video), Some(materials)) = (&self.video, materials.take_if(|_| self.video.is_some())) {
            let units = vec![video.run(run, sink, &text, materials)?];
            return Ok(DreamReport { units });
        }
        let mut dreamt = None;
        let place = Place::film(0);
        if let Some(format) = self.film.filter(|_| sink.wants(place)) {
            let mut of_film = text.of(None)?;
            seal(run, &mut of_film, self, place)?;
            sink.take(place, &format!("zoom.{}", format.extension()), &mut |out| {
                let materials = materials.take().ok_or(JobError::NotMade { what: "the film" })?;
                dreamt = Some(dream(run.context, &text, materials, Some((format, out, of_film.clone())))?);
                Ok(())
            })?;
        }
        let dreamt = match (dreamt, materials) {
            (Some(dreamt), _) => dreamt,
            (None, Some(materials)) => dream(run.context, &text, materials, None)?,
            (None, None) => return Err(JobError::NotMade { what: "the dream" }.into()),
        };
        let place = Place::picture(0);
        if sink.wants(place) {
            let mut of_picture = text.of(Some(&dreamt.report))?;
            seal(run, &mut of_picture, self, place)?;
            sink.take_bytes(place, "dream.png", &oneiro_media::encode_png(&dreamt.picture, &of_picture)?)?;
        }
        let place = Place::first(Role::Raw);
        if sink.wants(place) {
            let shape = vec![3, dreamt.raw.height, dreamt.raw.width];
            let tensor = RawTensor { name: format!("{}/0", dreamt.input), shape, data: dreamt.raw.data };
            let units = serde_json::to_string(&[&dreamt.report])?;
            let bytes = to_bytes(&[tensor], [("units".to_owned(), units)].into())?;
            sink.take_bytes(place, "raw.safetensors", &bytes)?;
        }
        Ok(DreamReport { units: vec![dreamt.report] })
    }

    fn sources(&self) -> Vec<String> {
        [&self.image, &self.guide, &self.mask].into_iter().flatten().cloned().collect()
    }

    fn check(&self) -> Result<()> {
        self.preset.check()?;
        self.rate.map_or(Ok(()), |rate| FrameRate::new(rate).map(|_| ()))?;
        match (&self.video, &self.zoom) {
            (Some(_), Some(_)) => Err(JobError::ZoomOfVideo.into()),
            (Some(video), None) => video.check(),
            (None, zoom) => Ok(zoom.map_or(Ok(()), |zoom| zoom.check())?),
        }
    }
}

/// The word for noise in place of an image.
pub const NOISE: &str = "noise";

impl DreamJob {
    /// Describes the dream's goal: the objective, or the layers at which the guide image is followed.
    pub fn goal_name(&self) -> String {
        match (&self.guide, &self.objective) {
            (None, Some(objective)) => objective.clone(),
            _ => {
                let image = Image::filled(0, 0, [0.0; 3]);
                DreamGoal::Guide(Guide { layers: self.guide_layers.clone(), image }).to_string()
            }
        }
    }

    /// Parses the objective and checks that the network's labels fit its classes.
    fn objective(&self, run: &Run<'_>, text: &str) -> Result<Objective> {
        let model = run.model()?;
        let objective = expression(model, text)?;
        if !objective.terms().iter().any(|t| t.at_output()) {
            return Ok(objective);
        }
        let shapes = model.model.input_shapes(1, None)?;
        let objectives = std::slice::from_ref(&objective);
        let session =
            run.context.compute(|| ObjectiveSession::new(&model.model, objectives, &[], shapes, false))?;
        let classes = match objective.terms().into_iter().find(|term| term.at_output()) {
            Some(term) => {
                session.shape_of(model.model.target_of(term)?).and_then(|s| s.first().copied()).unwrap_or(0)
            }
            None => 0,
        };
        model.say_output(run.context);
        model.check_labels(classes)?;
        Ok(objective)
    }
}

/// Parses the objective of a dream. It may name classes, but no pictures.
///
/// # Errors
/// [`JobError::PictureInDream`] for an objective that compares with a picture.
pub fn expression(model: &LoadedModel, text: &str) -> Result<Objective> {
    let parsed = model.expression_of_classes(text, "a dream cannot compare with a picture");
    parsed.map_err(|error| match error {
        Error::Visualization(oneiro::Error::Expression(error))
            if matches!(error.name.as_deref(), Some(LookupError::NoFiles { .. })) =>
        {
            JobError::PictureInDream(error).into()
        }
        error => error,
    })
}

/// Reads an image file, and its hash.
fn read(name: &str, places: &Places) -> Result<(SourceFile, Image)> {
    let path = places.of(name);
    let bytes = oneiro_media::read_bytes(path)?;
    let image = oneiro_media::decode_image(&bytes, path)?;
    Ok((SourceFile { path: name.to_owned(), sha256: hash(&bytes) }, image))
}

/// Converts a picture to a mask: the mean of its three colours.
fn mask_of(image: &Image) -> Image {
    let n = image.height * image.width;
    let data = (0..n).map(|i| (0..3).map(|c| image.data[c * n + i]).sum::<f32>() / 3.0).collect();
    Image { channels: 1, data, ..*image }
}

/// Goal, start picture and mask of a dream.
struct DreamStart {
    goal: DreamGoal,
    start: Start,
    mask: Option<Image>,
}

/// A finished dream.
struct Dreamt {
    input: String,
    raw: Image,
    /// The picture as saved: clipped, in 8 bits.
    picture: Image,
    report: UnitReport,
}

/// Runs the dream. If a film is requested, each frame is written to it.
fn dream(
    context: &Context,
    text: &Text<'_>,
    materials: DreamStart,
    film: Option<(FilmKind, &mut dyn Write, PngText)>,
) -> Result<Dreamt> {
    let (job, model) = (text.job, text.model);
    let preset = &job.preset;
    let frames = job.zoom.map_or(1, |zoom| zoom.frames);
    let DreamStart { goal, start, mask } = materials;
    let mut dream = context.compute(|| Dream::new(&model.model, preset, &goal, start, mask, job.seed))?;
    let input = model.model.card.input.iter().find(|i| i.kind == InputKind::Image);
    let input = input.map(|i| i.name.clone()).unwrap_or_default();
    let mut film = match (film, &job.zoom) {
        (Some((format, out, text)), Some(zoom)) => {
            let pace = job
                .rate
                .map_or(Ok(Pace::Hundredths(FRAME_TICKS)), |rate| FrameRate::new(rate).map(Pace::Rate))?;
            let size = dream.final_size();
            Some(Frames::new(&FilmOf { format, size, frames: zoom.frames, pace }, out, text)?)
        }
        _ => None,
    };
    let total = (frames * preset.octaves * preset.steps) as u64;
    let mut progress = Task::new(context, "dreaming", total);
    let mut fixed = None;
    for frame in 0..frames {
        if let (Some(zoom), true) = (&job.zoom, frame > 0) {
            context.compute(|| dream.zoom(zoom))?;
        }
        finish(context, &mut dream, &mut progress, (frame, frames), &mut fixed)?;
        if let Some(film) = &mut film {
            film.push(&saved(&dream)?)?;
        }
    }
    drop(progress);
    film.map_or(Ok(()), Frames::finish)?;
    if let Some(size) = fixed {
        context.remark(Remark::FixedTiles { size });
    }
    let picture = saved(&dream)?;
    let (value, value_saved) =
        context.compute(|| oneiro::Result::<_>::Ok((dream.value(), dream.value_of(&picture)?)))?;
    let report = text.report(dream.steps_done(), [value, dream.value_at_start(), value_saved]);
    Ok(Dreamt { input, raw: dream.raw(), picture, report })
}

/// Takes all steps that are left of a frame. The size of tiles goes into `fixed` if the network demands it.
fn finish(
    context: &Context,
    dream: &mut Dream<'_>,
    progress: &mut Task<'_>,
    (frame, frames): (usize, usize),
    fixed: &mut Option<[usize; 2]>,
) -> Result<()> {
    while !dream.finished() {
        context.check()?;
        let (octave, octaves) = dream.octave();
        let [h, w] = dream.size();
        progress.label(&match frames {
            1 => format!("octave {}/{octaves}: {w}x{h}", octave + 1),
            _ => format!("frame {}/{frames}, octave {}", frame + 1, octave + 1),
        });
        let (tile, _) = dream.tiles();
        if dream.tile_is_forced() {
            fixed.get_or_insert(tile);
        }
        context.compute(|| dream.step())?;
        progress.advance(1);
    }
    Ok(())
}

/// Returns the picture as an 8-bit file holds it.
fn saved(dream: &Dream<'_>) -> Result<Image> {
    let picture = dream.picture();
    Ok(Image::from_rgb8(picture.width, picture.height, &picture.to_rgb8())?)
}
