//! Dreams on videos: frame by frame through a network of images, or as a whole through one of clips.

use std::io::Write;

use oneiro::card::InputKind;
use oneiro::dream::{Dream, Start};
use oneiro_media::flow::luminance;
use oneiro_media::{
    Ffmpeg, Filter, FrameRate, Image, MAX_PIXELS, MediaError, PngText, VideoReader, count_frames, resize,
};
use serde::{Deserialize, Serialize};

use super::frames::{FilmOf, Frames, Pace};
use super::{DreamStart, Text, finish, motion};
use crate::error::{During as _, Result, Step};
use crate::job::error::JobError;
use crate::job::render::report::UnitReport;
use crate::job::video::FRAME_RATE;
use crate::job::{Place, Role, Run, Sink};
use crate::provenance::seal;
use crate::remark::Remark;
use crate::task::Task;
use crate::tensors::{RawTensor, to_bytes};

/// How a video is dreamt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DreamtVideo {
    /// How many of the video's first frames are dreamt; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Frames per second of the film; by default those of the video, or 10 where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The share of the dream of the frame before in a frame's start, from 0 to below 1. Networks of clips do
    /// not use it.
    pub blend: f64,
}

/// The usual share of the dream of the frame before. Each frame adds one dream: with a half, what is carried
/// adds up to two.
pub const BLEND: f64 = 0.5;

/// Where frames come from, and how they are dreamt.
struct Clip {
    /// `None` for noise.
    reader: Option<VideoReader>,
    frames: usize,
    /// Height and width of the result.
    size: [usize; 2],
}

impl DreamtVideo {
    /// Returns an error if a number is out of range.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(rate) = self.rate {
            FrameRate::new(rate)?;
        }
        match self.blend {
            blend if !(0.0..1.0).contains(&blend) => Err(JobError::Blend { blend }.into()),
            _ => Ok(()),
        }
    }

    /// Dreams, and writes the film.
    pub(super) fn run(
        &self,
        run: &Run<'_>,
        sink: &mut dyn Sink,
        text: &Text<'_>,
        materials: DreamStart,
    ) -> Result<UnitReport> {
        let (job, model) = (text.job, text.model);
        let cards = model.model.card.input.iter();
        let takes_clips = cards.filter(|i| i.kind == InputKind::Clip).count() > 0;
        let mut clip = self.opened(run, text)?;
        let rate = self.rate_of(clip.reader.as_ref())?;
        if takes_clips {
            return whole(run, sink, text, materials, &mut clip, rate);
        }
        if clip.reader.is_none() {
            return Err(JobError::NotMade { what: "a film from noise by a network of images" }.into());
        }
        let place = Place::film(0);
        let Some(format) = job.film.filter(|_| sink.wants(place)) else {
            return self.by_frames(run, text, materials, &mut clip, None);
        };
        let of_film = text_of_film(run, text, clip.frames, rate, place)?;
        let film = FilmOf { format, size: clip.size, frames: clip.frames, pace: Pace::Rate(rate) };
        let (mut materials, mut report) = (Some(materials), None);
        sink.take(place, &format!("dream.{}", format.extension()), &mut |out: &mut dyn Write| {
            let materials = materials.take().ok_or(JobError::NotMade { what: "the film" })?;
            let frames = Frames::new(&film, out, of_film.clone())?;
            report = Some(self.by_frames(run, text, materials, &mut clip, Some(frames))?);
            Ok(())
        })?;
        Ok(report.ok_or(JobError::NotMade { what: "the film" })?)
    }

    /// Opens the video and counts its frames.
    fn opened(&self, run: &Run<'_>, text: &Text<'_>) -> Result<Clip> {
        let preset = &text.job.preset;
        let Some(file) = &text.job.image else {
            return Ok(Clip { reader: None, frames: 1, size: preset.final_size(None)? });
        };
        let (path, ffmpeg) = (text.model.places.of(file), Ffmpeg::default());
        let reading = || Step::ReadClip { path: file.clone() };
        let (total, damage) = run.context.compute(|| count_frames(path, &ffmpeg)).during(reading)?;
        if let Some(damage) = damage {
            let first = file.clone();
            run.context.remark(crate::remark::ClipRemark::Damaged { first, damage, count: 1 });
        }
        let reader = VideoReader::open(path, &ffmpeg).during(reading)?;
        let size = preset.final_size(Some([reader.info().height, reader.info().width]))?;
        let frames = self.frames.unwrap_or(total).clamp(1, total.max(1));
        Ok(Clip { reader: Some(reader), frames, size })
    }

    fn rate_of(&self, reader: Option<&VideoReader>) -> Result<FrameRate> {
        let of_video = reader.and_then(|reader| reader.info().frames_per_second);
        Ok(FrameRate::new(self.rate.or(of_video).unwrap_or(FRAME_RATE))?)
    }

    /// Dreams on each frame by itself. It starts from a mix of the frame and of the last dream, moved along
    /// with the video; rolls are the same for all frames.
    fn by_frames(
        &self,
        run: &Run<'_>,
        text: &Text<'_>,
        materials: DreamStart,
        clip: &mut Clip,
        mut film: Option<Frames<'_>>,
    ) -> Result<UnitReport> {
        let (context, job, model) = (run.context, text.job, text.model);
        let DreamStart { goal, mut mask, .. } = materials;
        let steps = clip.frames * job.preset.octaves * job.preset.steps;
        let mut progress = Task::new(context, "dreaming", steps as u64);
        let (mut dream, mut fixed, mut last) = (None::<Dream<'_>>, None, None);
        let mut values = [0.0; 3];
        for at in 0..clip.frames {
            let frame = clip.next(text)?;
            let light = luminance(&frame)?.swap_remove(0);
            let start = match &last {
                Some((dreamt, before)) if self.blend > 0.0 => {
                    context.compute(|| motion::start(&frame, dreamt, [before, &light], self.blend as f32))?
                }
                _ => frame.clone(),
            };
            let dream = match &mut dream {
                Some(dream) => {
                    context.compute(|| dream.restart(start))?;
                    dream
                }
                none => none.insert(context.compute(|| {
                    let start = Start::Image(start);
                    Dream::new(&model.model, &job.preset, &goal, start, mask.take(), job.seed)
                })?),
            };
            finish(context, dream, &mut progress, (at, clip.frames), &mut fixed)?;
            let saved = super::saved(dream)?;
            let of_frame = context.compute(|| {
                oneiro::Result::<[f64; 3]>::Ok([
                    dream.value(),
                    dream.value_of(&frame)?,
                    dream.value_of(&saved)?,
                ])
            })?;
            values.iter_mut().zip(of_frame).for_each(|(sum, value)| *sum += value / clip.frames as f64);
            if let Some(film) = &mut film {
                film.push(&saved)?;
            }
            last = Some((dream.raw(), light));
        }
        drop(progress);
        film.map_or(Ok(()), Frames::finish)?;
        if let Some(size) = fixed {
            context.remark(Remark::FixedTiles { size });
        }
        Ok(text.report(dream.map_or(0, |dream| dream.steps_done()), values))
    }
}

/// Dreams on a clip as a whole.
fn whole(
    run: &Run<'_>,
    sink: &mut dyn Sink,
    text: &Text<'_>,
    materials: DreamStart,
    clip: &mut Clip,
    rate: FrameRate,
) -> Result<UnitReport> {
    let (context, job, model) = (run.context, text.job, text.model);
    let start = clip.all(text)?.map_or(Start::Noise, Start::Image);
    let DreamStart { goal, mask, .. } = materials;
    let mut dream =
        context.compute(|| Dream::new(&model.model, &job.preset, &goal, start, mask, job.seed))?;
    let mut progress = Task::new(context, "dreaming", (job.preset.octaves * job.preset.steps) as u64);
    let mut fixed = None;
    finish(context, &mut dream, &mut progress, (0, 1), &mut fixed)?;
    drop(progress);
    if let Some(size) = fixed {
        context.remark(Remark::FixedTiles { size });
    }
    let frames = saved_frames(&dream.picture())?;
    let saved = stacked(&frames, dream.final_size())?;
    let values = context.compute(|| {
        oneiro::Result::<[f64; 3]>::Ok([dream.value(), dream.value_at_start(), dream.value_of(&saved)?])
    })?;
    let report = text.report(dream.steps_done(), values);
    let place = Place::film(0);
    if let Some(format) = job.film.filter(|_| sink.wants(place)) {
        let of_film = text_of_film(run, text, frames.len(), rate, place)?;
        let film = FilmOf { format, size: dream.final_size(), frames: frames.len(), pace: Pace::Rate(rate) };
        sink.take(place, &format!("dream.{}", format.extension()), &mut |out: &mut dyn Write| {
            let mut film = Frames::new(&film, out, of_film.clone())?;
            frames.iter().try_for_each(|frame| film.push(frame))?;
            film.finish()
        })?;
    }
    let place = Place::first(Role::Raw);
    if sink.wants(place) {
        let raw = dream.raw();
        let input = model.model.card.input.iter().find(|i| i.kind == InputKind::Clip);
        let name = format!("{}/0", input.map(|i| i.name.as_str()).unwrap_or_default());
        let shape = vec![raw.channels, raw.frames, raw.height, raw.width];
        let units = serde_json::to_string(&[&report])?;
        let tensor = RawTensor { name, shape, data: raw.data };
        let bytes = to_bytes(&[tensor], [("units".to_owned(), units)].into())?;
        sink.take_bytes(place, "raw.safetensors", &bytes)?;
    }
    Ok(report)
}

impl Clip {
    /// Reads the next frame at the result's size.
    fn next(&mut self, text: &Text<'_>) -> Result<Image> {
        let file = || text.job.image.clone().unwrap_or_default();
        let frame = self.reader.as_mut().and_then(Iterator::next);
        let frame = frame.ok_or(JobError::NotMade { what: "a frame of the video" })?;
        let frame = frame.during(|| Step::ReadClip { path: file() })?;
        let [h, w] = self.size;
        if [frame.height, frame.width] == self.size {
            return Ok(frame);
        }
        resize(&frame, h, w, Filter::Triangle)
            .map_err(MediaError::from)
            .during(|| Step::Scale { path: file() })
    }

    /// Reads all frames as one clip, `[3, T, H, W]`; `None` for noise.
    fn all(&mut self, text: &Text<'_>) -> Result<Option<Image>> {
        if self.reader.is_none() {
            return Ok(None);
        }
        let (frames, [height, width]) = (self.frames, self.size);
        if (frames as u64).saturating_mul((height * width) as u64) > MAX_PIXELS {
            let most = MAX_PIXELS / 1_000_000;
            return Err(JobError::LongClip { frames, width, height, most }.into());
        }
        let read = (0..frames).map(|_| self.next(text)).collect::<Result<Vec<Image>>>()?;
        Ok(Some(stacked(&read, self.size)?))
    }
}

/// Returns stills as one clip, `[3, T, H, W]`.
fn stacked(frames: &[Image], [height, width]: [usize; 2]) -> Result<Image> {
    let planes = (0..3).flat_map(|channel| frames.iter().map(move |frame| frame.plane(channel)));
    let data = planes.flatten().copied().collect();
    Ok(Image::new([3, frames.len(), height, width], data).map_err(MediaError::from)?)
}

/// Returns the frames of a clip as 8-bit files hold them.
fn saved_frames(clip: &Image) -> Result<Vec<Image>> {
    let still = |at: usize| -> Result<Image> {
        let planes = (0..3).flat_map(|channel| clip.plane(channel * clip.frames + at));
        let still = Image::rgb(clip.width, clip.height, planes.copied().collect())?;
        Ok(Image::from_rgb8(still.width, still.height, &still.to_rgb8())?)
    };
    (0..clip.frames).map(still).collect()
}

fn text_of_film(
    run: &Run<'_>,
    text: &Text<'_>,
    frames: usize,
    rate: FrameRate,
    place: Place,
) -> Result<PngText> {
    let mut of_film = text.of(None)?;
    of_film.push("film", format!("{frames} frames, {} a second", rate.frames_per_second()));
    seal(run, &mut of_film, text.job, place)?;
    Ok(of_film)
}
