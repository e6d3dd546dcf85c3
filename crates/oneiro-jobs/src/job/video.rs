//! A job that renders the clips and optical flow that units of video networks respond to, with separate
//! penalties on variation in space and in time (Feichtenhofer et al., IJCV 2020).

pub mod look;
mod page;

use oneiro::card::InputKind;
use oneiro::objective::Objective;
use oneiro::render::Picture;
use oneiro_media::{Film, FrameRate, Image};
use serde::{Deserialize, Serialize};

use self::look::FlowLook;
use super::error::JobError;
use super::film_kind::FilmKind;
use super::render::answer::Answers;
use super::render::report::UnitReport;
use super::render::text::png_text;
use super::render::work::{UnitRequest, Work};
use super::render::{Finished, Options, PreparedUnits, RenderReport, Setting, raw_bytes, render_all};
use super::scan::examples::Examples;
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::job::tiles::SIDE;
use crate::model::LoadedModel;
use crate::model::health::require_healthy;
use crate::provenance::seal;
use crate::remark::Remark;

/// Default frame rate of films, in frames per second.
pub const FRAME_RATE: f64 = 10.0;
/// Films of networks with small input are enlarged by a whole factor to about this side in pixels.
const FILM_SIDE: usize = 256;

/// A job that renders clips, flow and images for units of a network with any number of such inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoJob {
    /// The units and the settings of their rendering. Units with the same settings have the same κ and γ.
    pub work: Work,
    /// The file format of the films.
    pub format: FilmKind,
    /// Frames per second of the films.
    pub rate: f64,
    /// Pixels of the film for each pixel of a clip along each side; `None` enlarges small clips to about 256
    /// pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enlarge: Option<usize>,
    /// How optical flow is drawn.
    #[serde(default, skip_serializing_if = "FlowLook::is_default")]
    pub flow: FlowLook,
    /// A scan of clips, or a folder of clips that is scanned for the units: it tells their largest
    /// activations, and the clips that excite them stand on the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The folder that the scan's clips lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
}

/// One of the network's inputs that a unit depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitInput {
    /// Index of the input among the network's inputs.
    pub index: usize,
    /// Name of the network's input.
    pub name: String,
    /// What the input takes: an image, a clip or flow.
    pub kind: InputKind,
}

impl UnitInput {
    /// Returns where the job's result for this input of unit number `unit` is stored. The network has
    /// `inputs` inputs.
    pub fn place(&self, unit: usize, inputs: usize) -> Place {
        let role = if self.kind == InputKind::Image { Role::Picture } else { Role::Film };
        Place { role, index: unit * inputs + self.index }
    }
}

/// Returns the network's inputs (images, clips and flow) on which an objective depends.
///
/// # Errors
/// If the objective reads a layer that the network does not have.
pub fn inputs_of(model: &LoadedModel, objective: &Objective) -> Result<Vec<UnitInput>> {
    let cards = &model.model.card.input;
    let used = model.model.inputs_of(objective)?.into_iter().filter(|&i| cards[i].kind != InputKind::Tensor);
    Ok(used
        .map(|index| UnitInput { index, name: cards[index].name.clone(), kind: cards[index].kind })
        .collect())
}

impl Job for VideoJob {
    const KIND: &'static str = "video";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let rate = FrameRate::new(self.rate)?;
        let model = run.model()?;
        let examples = self.examples(run)?;
        let work = self.weighted(run, model, examples.as_ref())?.prepare(run)?;
        let named: Vec<(&str, &Objective)> =
            work.units.iter().map(|u| (u.unit.as_str(), &u.objective)).collect();
        require_healthy(run.context, model, &named, work.settings[0].preset.size)?;
        remark_inputs(run, model, &work)?;
        if work.units.iter().enumerate().any(|(i, _)| self.wants_film(sink, i, model)) {
            self.format.check_program()?;
        }
        let options = Options { all_inputs: true, ..self.work.options(None) };
        let mut finished = render_all(run, &work, &options)?;
        name(run, &work, &mut finished)?;
        remark_weak(run, &finished);
        let inputs = model.model.card.input.len();
        for (i, result) in finished.iter().enumerate() {
            for picture in &result.rendered.images {
                let input = inputs_of(model, &work.units[i].objective)?
                    .into_iter()
                    .find(|input| input.name == picture.input)
                    .ok_or(JobError::NoPicture)?;
                let place = input.place(i, inputs);
                if !sink.wants(place) {
                    continue;
                }
                let mut text = png_text(&work, i, &result.report, place.role)?;
                text.push("input", &picture.input);
                let own = Place { index: input.index, ..place };
                seal(run, &mut text, &self.of(&work, i), own)?;
                let drawn = self.flow.drawn(picture, &result.rendered.images)?;
                let name = format!("{}-{}", result.report.unit, picture.input);
                if place.role == Role::Picture {
                    sink.take_bytes(
                        place,
                        &format!("{name}.png"),
                        &oneiro_media::encode_png(&drawn, &text)?,
                    )?;
                } else {
                    let film = Film::from_clip(&drawn, rate, self.enlargement(&drawn))?;
                    let bytes = self.format.encode(&film, &text)?;
                    sink.take_bytes(place, &format!("{name}.{}", self.format.extension()), &bytes)?;
                }
            }
        }
        let raw = Place::first(Role::Raw);
        if sink.wants(raw) {
            sink.take_bytes(raw, "raw.safetensors", &raw_bytes(&finished)?)?;
        }
        let page = Place::first(Role::Page);
        if sink.wants(page) {
            let mut text = crate::provenance::text_of_model(model)?;
            let done = Self {
                work: self.work_done(&work, &(0..work.units.len()).collect::<Vec<_>>()),
                ..self.clone()
            };
            seal(run, &mut text, &done, page)?;
            let html = self.page(run, &work, &finished, examples.as_ref(), text)?.to_html();
            sink.take_bytes(page, "video.html", html.as_bytes())?;
        }
        Ok(RenderReport { units: finished.into_iter().map(|f| f.report).collect() })
    }

    fn sources(&self) -> Vec<String> {
        self.work.sources()
    }

    fn check(&self) -> Result<()> {
        FrameRate::new(self.rate)?;
        self.work.check()
    }

    fn settings_mut(&mut self) -> Vec<&mut Setting> {
        self.work.settings.iter_mut().collect()
    }
}

impl VideoJob {
    /// Whether a film of a unit is wanted.
    fn wants_film(&self, sink: &dyn Sink, unit: usize, model: &LoadedModel) -> bool {
        let inputs = model.model.card.input.len();
        (0..inputs).any(|input| sink.wants(Place::film(unit * inputs + input)))
    }

    /// Returns the job that makes the results of one unit.
    fn of(&self, work: &PreparedUnits<'_>, unit: usize) -> Self {
        // By now, the largest activations are in the settings.
        let work = self.work_done(work, &work.companions(unit));
        Self { work, data: None, images: None, ..self.clone() }
    }

    /// What the data says of the units, if there is any.
    fn examples(&self, run: &Run<'_>) -> Result<Option<Examples>> {
        let Some(data) = &self.data else { return Ok(None) };
        let mut units: Vec<_> =
            self.work.units.iter().map(|unit| (unit.unit.as_str(), unit.objective.clone())).collect();
        units.dedup();
        Examples::of(run, data, self.images.as_deref(), &units, SIDE * SIDE).map(Some)
    }

    /// Returns the work with a setting for each unit in which its largest activation stands, for recipes that
    /// weigh units by it.
    fn weighted(&self, run: &Run<'_>, model: &LoadedModel, examples: Option<&Examples>) -> Result<Work> {
        let mut work = self.work.clone();
        let Some(examples) = examples else { return Ok(work) };
        let mut said: Vec<String> = Vec::new();
        for request in &mut work.units {
            let Some(setting) = work.settings.get(request.setting) else { continue };
            if setting.preset.unit_weight.is_none() || setting.preset.relative {
                continue;
            }
            let value = examples.largest(model, &request.unit)?;
            if !said.contains(&request.unit) {
                run.context.remark(Remark::Largest { unit: request.unit.clone(), value });
                said.push(request.unit.clone());
            }
            let mut setting = setting.clone();
            setting.preset.max_activation = value;
            let known = work.settings.iter().position(|known| *known == setting);
            request.setting = known.unwrap_or_else(|| {
                work.settings.push(setting);
                work.settings.len() - 1
            });
        }
        Ok(work)
    }

    /// Returns the part of the work that concerns some units, with the sizes that were actually rendered.
    fn work_done(&self, work: &PreparedUnits<'_>, units: &[usize]) -> Work {
        let mut settings = Vec::new();
        let mut requests = Vec::new();
        for &i in units {
            let own = &work.settings[work.units[i].setting];
            let setting = settings.iter().position(|known| known == own).unwrap_or_else(|| {
                settings.push(own.clone());
                settings.len() - 1
            });
            requests.push(UnitRequest { setting, ..UnitRequest::of(&work.units[i]) });
        }
        Work { units: requests, settings, keep_size: true, ..self.work.clone() }
    }

    /// Returns the factor by which a drawn clip is enlarged. Arrows are already drawn large.
    fn enlargement(&self, drawn: &Image) -> usize {
        let usual = FILM_SIDE.div_ceil(drawn.height.min(drawn.width).max(1));
        if self.flow == FlowLook::Arrows && drawn.height.min(drawn.width) >= FILM_SIDE {
            return 1;
        }
        self.enlarge.unwrap_or(usual).max(1)
    }
}

/// Says of each class what the network names its inputs.
fn name(run: &Run<'_>, work: &PreparedUnits<'_>, finished: &mut [Finished]) -> Result<()> {
    let model = work.model;
    let of_class = |unit: &str| unit.starts_with("class:");
    if model.model.class_count().is_none() || !finished.iter().any(|f| of_class(&f.report.unit)) {
        return Ok(());
    }
    let mut answers = Answers::new(run.context, model, work.settings[0].preset.size)?;
    for result in finished.iter_mut().filter(|result| of_class(&result.report.unit)) {
        result.report.named = answers.class(&result.rendered.images).map(|class| model.class_name(class));
    }
    Ok(())
}

/// Adds remarks on the network's inputs of clips, flow or images on which no unit depends.
fn remark_inputs(run: &Run<'_>, model: &LoadedModel, work: &PreparedUnits<'_>) -> Result<()> {
    let all: Vec<&str> = model
        .model
        .card
        .input
        .iter()
        .filter(|i| i.kind != InputKind::Tensor)
        .map(|i| i.name.as_str())
        .collect();
    let mut said: Vec<Vec<String>> = Vec::new();
    for unit in &work.units {
        let used = inputs_of(model, &unit.objective)?;
        let left: Vec<String> = all
            .iter()
            .filter(|name| !used.iter().any(|input| input.name == **name))
            .map(|s| (*s).to_owned())
            .collect();
        if !left.is_empty() && !said.contains(&left) {
            run.context.remark(Remark::InputsLeftOut { unit: unit.unit.clone(), inputs: left.clone() });
            said.push(left);
        }
    }
    Ok(())
}

/// Adds remarks on units whose value is below half of the value without a penalty, where both were rendered.
/// The penalty is on change in time (γ) or on differences within a frame (κ).
fn remark_weak(run: &Run<'_>, finished: &[Finished]) {
    let mut weak = Vec::new();
    for result in finished.iter().map(|f| &f.report) {
        let alike = |other: &&UnitReport| {
            (&other.objective, other.seed, other.copy) == (&result.objective, result.seed, result.copy)
        };
        for (other, penalty) in finished.iter().map(|f| &f.report).filter(alike).filter_map(|other| {
            let free = |value: Option<f64>| value == Some(0.0);
            if other.kappa == result.kappa && free(other.gamma) {
                Some((other, format!("gamma {}", result.gamma?)))
            } else if other.gamma == result.gamma && free(other.kappa) {
                Some((other, format!("kappa {}", result.kappa?)))
            } else {
                None
            }
        }) {
            if other.value > 0.0 && result.value < 0.5 * other.value {
                weak.push(format!("{} at {penalty}", result.unit));
            }
        }
    }
    if !weak.is_empty() {
        run.context.remark(Remark::BelowHalf { units: weak });
    }
}

/// Returns the frames of a clip, or a still, as an image with three channels.
pub(crate) fn colors_of(picture: &Picture) -> Result<Image> {
    let image = &picture.image;
    let extent = image.extent();
    let channel = |c: usize| &image.colors()[c * extent.positions()..][..extent.positions()];
    let data = picture.shown.iter().flat_map(|&c| channel(c)).copied().collect();
    Ok(Image::new(extent.with_channels(picture.shown.len()), data)?)
}
