//! Attributions of clips: which pixels of which frames, and which flow, contribute to a unit, as films.

mod pictures;

use oneiro::attribution::{
    Attribution, AttributionTarget, Method, Settings, attribute_inputs, top_class_of_clips,
};
use oneiro::card::InputKind;
use oneiro::input::PictureInput;
use oneiro::objective::Objective;
use oneiro_media::{FrameRate, Image, PngText};
use serde::{Deserialize, Serialize};

use self::pictures::ClipPictures;
use super::MapReport;
use super::asked::{Asked, Explained};
use super::cautions::{Drawn, say_no_relus, say_yes_or_no};
use super::maps::report_of;
use crate::error::{During as _, Result, Step};
use crate::job::film_kind::FilmKind;
use crate::job::{Job, JobError, Place, Role, Run, Sink};
use crate::model::LoadedModel;
use crate::model::health::broken_weights;
use crate::provenance::{seal, text_of_model};
use crate::remark::{ClipRemark, ClipRemarks, ResultRemark};
use crate::source::clips::find::Clip;
use crate::source::clips::{ClipReader, ClipSampling, VideoClips};
use crate::task::Task;
use crate::tensors::{RawTensor, to_bytes};

/// Key of the metadata entry with the report.
const KEY: &str = "clip";

/// Maps over time of each pixel's contribution to a unit, for one clip and several methods: a film, or a
/// strip of its frames as a still picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipAttributionJob {
    /// The title above the film.
    pub title: String,
    /// The methods; each is a column of the film.
    pub methods: Vec<Method>,
    /// Settings of the methods.
    pub settings: Settings,
    /// The clip.
    pub clip: Clip,
    /// The name of the objective or, without `objective`, a unit. Without both, the clip is attributed to the
    /// class that the network predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// An objective as an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The unit's name in the caption, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Which frames of the video the network sees. One clip is attributed.
    #[serde(default)]
    pub sampling: ClipSampling,
    /// Whether maps are drawn over the frames.
    pub overlay: bool,
    /// The format of the film.
    pub format: FilmKind,
    /// Frames per second of the film.
    pub rate: f64,
}

/// The report on the attribution of a clip.
#[derive(Debug, Clone, Serialize)]
pub struct ClipReport {
    /// The video.
    pub file: String,
    /// The file with the optical flow, if flow is read from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// Number of the video's frames.
    pub frames: usize,
    /// The first frame of the clip's span.
    pub start: usize,
    /// Frames of the span.
    pub span: usize,
    /// The requested target.
    pub unit: String,
    /// The objective as an expression.
    pub objective: String,
    /// The unit's name in the caption.
    pub label: String,
    /// The objective's value for the clip.
    pub value: f64,
    /// The inputs on which the objective depends.
    pub inputs: Vec<InputReport>,
}

/// The report on one input.
#[derive(Debug, Clone, Serialize)]
pub struct InputReport {
    /// The input's name.
    pub input: String,
    /// What it takes.
    pub kind: InputKind,
    /// The maps, in the order of the methods.
    pub maps: Vec<ClipMapReport>,
}

/// The report on one map over time.
#[derive(Debug, Clone, Serialize)]
pub struct ClipMapReport {
    /// The map of all frames together. Sum and gap are those of all inputs.
    #[serde(flatten)]
    pub map: MapReport,
    /// Each frame's or field's share of the magnitudes, which add up to 1 unless the map is empty.
    pub frame_shares: Vec<f64>,
    /// The input's share of the magnitudes of all inputs. Only methods whose values are parts of the
    /// objective have it: gradients of colours and of flow have other units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_share: Option<f64>,
    /// The input's part of the sum of all inputs, of methods whose values are parts of the objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_sum: Option<f64>,
}

/// An input with what it shows, and its maps.
struct InputMaps {
    input: PictureInput,
    /// Display values, `[C, T, H, W]`.
    shown: Image,
    maps: Vec<Attribution>,
}

impl Job for ClipAttributionJob {
    const KIND: &'static str = "clip-attribution";
    type Report = ClipReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<ClipReport> {
        self.check()?;
        let (context, model) = (run.context, run.model()?);
        if sink.wants(Place::first(Role::Film)) {
            self.format.check_program()?;
        }
        let asked = Asked::read(model, self.unit.as_deref(), self.objective.as_deref())?;
        let mut target = self.target(run, model, &asked)?;
        let reader = ClipReader::new(target.inputs().to_vec(), &self.sampling)?;
        let places = run.places();
        let flow = self.clip.flow.as_deref().map(|flow| places.of(flow));
        let video = context.compute(|| {
            let read = reader.read(places.of(&self.clip.file), flow);
            read.during(|| Step::ReadClip { path: self.clip.file.clone() })
        })?;
        let shown = video.clips.first().cloned().unwrap_or_default();
        let display: Vec<f32> = shown.iter().flat_map(|image| image.colors().iter().copied()).collect();
        let explained = Explained::new(model, &asked, || {
            context.compute(|| Ok(top_class_of_clips(&model.model, &display)?))
        })?;
        if explained.objective != *target.objective() {
            target = context.compute(|| AttributionTarget::of_clips(&model.model, &explained.objective))?;
        }
        let maps = self.maps(run, model, &mut target, &display)?;
        let inputs: Vec<InputMaps> = target
            .inputs()
            .iter()
            .zip(shown)
            .enumerate()
            .map(|(at, (input, shown))| {
                let own = maps.iter().flatten().filter(|map| map.input == at).cloned().collect();
                InputMaps { input: input.clone(), shown, maps: own }
            })
            .collect();
        let report = self.report(model, &explained, &video, &reader, &inputs)?;
        self.say(run, model, &asked, &explained.objective, (&video, &reader), (&report, &inputs))?;
        let pictures = ClipPictures { job: self, report: &report, inputs: &inputs };
        let film = Place::first(Role::Film);
        if sink.wants(film) {
            let text = self.text(run, model, &report, film)?;
            let bytes = self.format.encode(&pictures.film(FrameRate::new(self.rate)?)?, &text)?;
            sink.take_bytes(film, &format!("attribution.{}", self.format.extension()), &bytes)?;
        }
        let strip = Place::picture(0);
        if sink.wants(strip) {
            let text = self.text(run, model, &report, strip)?;
            let bytes = oneiro_media::encode_png(&pictures.strip()?, &text)?;
            sink.take_bytes(strip, "attribution.png", &bytes)?;
        }
        let raw = Place::first(Role::Raw);
        if sink.wants(raw) {
            sink.take_bytes(raw, "raw.safetensors", &raw_tensors(&report, &inputs)?)?;
        }
        Ok(report)
    }

    fn sources(&self) -> Vec<String> {
        std::iter::once(self.clip.file.clone()).chain(self.clip.flow.clone()).collect()
    }

    fn check(&self) -> Result<()> {
        FrameRate::new(self.rate)?;
        self.sampling.check()?;
        if self.sampling.clips != 1 {
            return Err(JobError::OneClip { clips: self.sampling.clips }.into());
        }
        Ok(self.settings.check_for(&self.methods)?)
    }
}

impl ClipAttributionJob {
    /// Returns the target for what is asked for. For the predicted class, it is the first class.
    fn target<'m>(
        &self,
        run: &Run<'_>,
        model: &'m LoadedModel,
        asked: &Asked,
    ) -> Result<AttributionTarget<'m>> {
        let objective = match asked {
            Asked::Unit { objective, .. } => objective.clone(),
            Asked::TopClass => Objective::logit(0),
        };
        Ok(run.context.compute(|| AttributionTarget::of_clips(&model.model, &objective))?)
    }

    /// Attributes the clip by every method. A method that fails is named in a remark.
    ///
    /// # Errors
    /// The first failure, if all methods fail, or if the user chose a layer for Grad-CAM, which failed.
    fn maps(
        &self,
        run: &Run<'_>,
        model: &LoadedModel,
        target: &mut AttributionTarget<'_>,
        display: &[f32],
    ) -> Result<Vec<Vec<Attribution>>> {
        let context = run.context;
        let mut progress = Task::new(context, "attributing", self.methods.len() as u64);
        let (mut maps, mut failures) = (Vec::new(), Vec::new());
        for &method in &self.methods {
            context.check()?;
            progress.label(method.name());
            let watch = &mut |done, count| {
                progress.within_step(done, count);
                !context.is_cancelled()
            };
            let found = context.compute(|| attribute_inputs(target, display, method, &self.settings, watch));
            progress.advance(1);
            let named = method == Method::GradCam && self.settings.cam_layer.is_some();
            match found {
                Ok(found) => maps.push(found),
                Err(why @ oneiro::Error::Stopped) => return Err(why.into()),
                Err(why) if named => return self.failed(why, None),
                Err(why) => failures.push((method, why)),
            }
        }
        drop(progress);
        if maps.is_empty() && !failures.is_empty() {
            let broken = broken_weights(model, std::iter::once(target.objective()));
            return self.failed(failures.swap_remove(0).1, broken);
        }
        for (method, why) in failures {
            let (image, why) = (self.clip.file.clone(), why.to_string());
            context.remark(ResultRemark::MethodLeftOut { image, method: method.name(), why });
        }
        Ok(maps)
    }

    fn failed<T>(&self, why: oneiro::Error, broken_weights: Option<String>) -> Result<T> {
        let image = self.clip.file.clone();
        Err(why).during(|| Step::Attribute { image, broken_weights })
    }

    fn report(
        &self,
        model: &LoadedModel,
        explained: &Explained,
        video: &VideoClips,
        reader: &ClipReader,
        inputs: &[InputMaps],
    ) -> Result<ClipReport> {
        let value = inputs.iter().flat_map(|input| &input.maps).next().map_or(f64::NAN, |map| map.value);
        let label = match &self.label {
            Some(label) => label.clone(),
            None => explained.label(model, value)?,
        };
        let total = |method: Method| -> f64 {
            let all = inputs.iter().flat_map(|input| &input.maps).filter(|map| map.method == method);
            all.map(|map| magnitude(&map.map)).sum()
        };
        let of_map = |map: &Attribution| {
            let (own, all) = (magnitude(&map.map), total(map.method));
            let share = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
            let frames = map.map.chunks_exact(map.size[0] * map.size[1]);
            ClipMapReport {
                map: report_of(map),
                frame_shares: frames.map(|frame| share(magnitude(frame), own)).collect(),
                input_share: map.method.is_signed().then(|| share(own, all)),
                input_sum: map.method.is_signed().then(|| map.map.iter().map(|v| f64::from(*v)).sum()),
            }
        };
        Ok(ClipReport {
            file: self.clip.file.clone(),
            flow: self.clip.flow.clone().filter(|_| reader.needs_flow()),
            frames: video.frames,
            start: video.starts.first().copied().unwrap_or_default(),
            span: reader.span().frames(),
            unit: explained.unit.clone(),
            objective: explained.objective.to_string(),
            label,
            value,
            inputs: inputs
                .iter()
                .map(|InputMaps { input, maps, .. }| InputReport {
                    input: input.name.clone(),
                    kind: input.kind,
                    maps: maps.iter().map(of_map).collect(),
                })
                .collect(),
        })
    }

    /// Passes all remarks on the clip and its maps to the observer.
    fn say(
        &self,
        run: &Run<'_>,
        model: &LoadedModel,
        asked: &Asked,
        objective: &Objective,
        (video, reader): (&VideoClips, &ClipReader),
        (report, inputs): (&ClipReport, &[InputMaps]),
    ) -> Result<()> {
        let context = run.context;
        model.say_output(context);
        say_yes_or_no(context, model, std::iter::once(asked))?;
        model.framings.add(&self.clip.file, video.framing);
        model.framings.say(context, "clips");
        if reader.needs_flow() {
            let from_files = usize::from(self.clip.flow.is_some());
            context.remark(ClipRemark::Flow { from_files, clips: 1 });
        }
        let mut remarks = ClipRemarks::default();
        remarks.add(&self.clip.file, video, reader.span().frames());
        remarks.say(context);
        say_no_relus(context, model, &self.methods, std::iter::once(objective));
        for (InputReport { input, maps, .. }, of) in report.inputs.iter().zip(inputs) {
            let name = format!("{}, {input}", self.clip.file);
            let is_flat = of.shown.data.windows(2).all(|pair| pair[0] == pair[1]);
            for ClipMapReport { map, .. } in maps {
                Drawn { of: &name, map, value: report.value, is_flat }.warn(context, &self.settings);
            }
        }
        Ok(())
    }

    fn text(&self, run: &Run<'_>, model: &LoadedModel, report: &ClipReport, place: Place) -> Result<PngText> {
        let mut text = text_of_model(model)?;
        text.push("unit", &report.unit);
        text.push("objective", &report.objective);
        text.push("value", report.value.to_string());
        text.push(KEY, serde_json::to_string(report)?);
        // The class that was predicted is written down as a unit, with its caption.
        let done = Self {
            unit: Some(report.unit.clone()),
            objective: Some(report.objective.clone()),
            label: Some(report.label.clone()),
            ..self.clone()
        };
        seal(run, &mut text, &done, place)?;
        Ok(text)
    }
}

fn magnitude(map: &[f32]) -> f64 {
    map.iter().map(|v| f64::from(v.abs())).sum()
}

/// Encodes what the network read, maps and signed values as `INPUT`, `INPUT/METHOD/map` and
/// `INPUT/METHOD/values`: `[C, T, H, W]`, `[T, H, W]` and `[C, T, H, W]`, without T for stills. Flow has two
/// channels, u and v, in pixels per frame.
fn raw_tensors(report: &ClipReport, inputs: &[InputMaps]) -> Result<Vec<u8>> {
    let mut tensors = Vec::new();
    for InputMaps { input, shown, maps } in inputs {
        let axes = |channels: Option<usize>, frames: usize, [h, w]: [usize; 2]| {
            let times = (input.kind != InputKind::Image).then_some(frames);
            channels.into_iter().chain(times).chain([h, w]).collect::<Vec<usize>>()
        };
        let size = [shown.height, shown.width];
        tensors.push(RawTensor {
            name: input.name.clone(),
            shape: axes(Some(shown.channels), shown.frames, size),
            data: shown.colors().to_vec(),
        });
        for map in maps {
            let name = |what: &str| format!("{}/{}/{what}", input.name, map.method);
            let shape = axes(None, map.frames, map.size);
            tensors.push(RawTensor { name: name("map"), shape, data: map.map.clone() });
            let shape = axes(Some(map.channels()), map.frames, map.size);
            tensors.push(RawTensor { name: name("values"), shape, data: map.values.clone() });
        }
    }
    let metadata = std::collections::HashMap::from([(KEY.to_owned(), serde_json::to_string(report)?)]);
    Ok(to_bytes(&tensors, metadata)?)
}
