//! Inversions: photos are reconstructed from a layer's features.

use oneiro::objective::{Objective, Term, TermKind};
use oneiro::preset::Preset;
use oneiro_media::{Plot, Series};
use serde::{Deserialize, Serialize};

use super::{Captions, Rendering, each_once, originals, readable};
use crate::error::Result;
use crate::job::error::{JobError, Setting};
use crate::job::render::metrics::{psnr, spread};
use crate::job::render::report::UnitReport;
use crate::job::render::text::push_setting;
use crate::job::render::work::UnitRequest;
use crate::job::render::{Finished, Setting as RenderSetting};
use crate::job::sheet::layout::{Measure, relative_error};
use crate::job::sheet::{self, Row, SheetJob, SheetPlan};
use crate::job::{Job, Place, Role, Run, Sink};
use crate::numbers::Mean;
use crate::provenance::{seal, text_of_model};
use crate::source::materials;
use crate::source::places;
use crate::source::references::{self, Files};

/// Key of the metadata entry that describes a plot.
const PLOT: &str = "plot";

/// Reconstructs each photo from each layer, side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InversionJob {
    /// Paths of the photos.
    pub images: Vec<String>,
    /// The layers whose activations are inverted.
    pub layers: Vec<String>,
    /// If given, only this many central rows and columns of the map are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub center: Option<usize>,
    /// If given, only the channels from the first to the last of these are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<(usize, usize)>,
    /// If given, only the positions where this picture is white are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_mask: Option<String>,
    /// The start picture. Without one, inversions start from noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How the pictures are rendered.
    pub rendering: Rendering,
    /// What the captions below the pictures contain.
    #[serde(default)]
    pub captions: Captions,
}

/// The report on all inversions of the job.
#[derive(Debug, Clone, Serialize)]
pub struct InversionReport {
    /// The inversions, in the sheet's order row by row.
    pub units: Vec<InvertedUnit>,
    /// A line of text for each layer and strength.
    #[serde(skip)]
    pub summary: Vec<String>,
}

/// The report on one inversion: a photo at a layer.
#[derive(Debug, Clone, Serialize)]
pub struct InvertedUnit {
    /// What is reported of any rendered unit.
    #[serde(flatten)]
    pub report: UnitReport,
    /// Name of the layer.
    pub layer: String,
    /// Path of the photo.
    pub image: String,
    /// The weight of the features relative to the regularizers.
    pub strength: f64,
    /// The relative error of the features, ‖Φ − Φ0‖/‖Φ0‖.
    pub relative_error: f64,
    /// Peak signal-to-noise ratio of the 8-bit picture against the photo that the network reads, in dB.
    pub psnr: f64,
}

/// The picture, strength and random seed of one cell of the sheet.
struct Case {
    layer: String,
    image: String,
    strength: f64,
    seed: u64,
}

impl InversionJob {
    /// Returns the sheet, and the case of each cell.
    fn sheet(&self, run: &Run<'_>) -> Result<(SheetJob, Vec<Case>)> {
        let settings = &self.rendering.work.settings;
        let files = Files::new(run.model()?, settings.first().and_then(|s| s.preset.size))?;
        let mut rows = vec![originals(&self.images)];
        let mut cases = Vec::new();
        for layer in &self.layers {
            let mut row = Row { title: layer.clone(), ..Row::default() };
            for image in &self.images {
                for (setting, s) in settings.iter().enumerate() {
                    let objective = self.objective(&files, layer, image)?.to_string();
                    let shown = (self.images.len() > 1).then_some(image.as_str());
                    let unit = UnitRequest {
                        objective: Some(objective.clone()),
                        start: self.start.clone(),
                        setting,
                        ..UnitRequest::new(objective)
                    };
                    row.cells.push((self.captions.of(shown, s), unit));
                    cases.push(Case {
                        layer: layer.clone(),
                        image: image.clone(),
                        strength: s.preset.weight,
                        seed: s.seed,
                    });
                }
            }
            rows.push(row);
        }
        let columns = self.images.len() * settings.len();
        let plan = SheetPlan {
            title: None,
            columns,
            measure: Measure::RelativeError,
            rows,
            settings: settings.clone(),
        };
        Ok((plan.flattened().titled(self.rendering.title.as_deref()).job(self.rendering.work.clone()), cases))
    }

    /// Returns the objective inversion(layer, image) within the requested region.
    fn objective(&self, files: &Files<'_>, layer: &str, image: &str) -> Result<Objective> {
        let mut term = Term::new(layer, TermKind::Inversion(files.reference(image)?));
        term.region.center = self.center;
        if self.center == Some(0) {
            let needed = "at least one position".to_owned();
            return Err(JobError::Setting { setting: Setting::Center, value: 0, needed }.into());
        }
        term.region.channels = self.channels;
        if let Some(mask) = &self.feature_mask {
            term.region.mask = Some(files.mask(mask)?);
        }
        // The objective is stored as text and parsed when the picture is recreated, so it must be parsable.
        let objective = Objective::from(term);
        readable(&objective)?;
        Ok(objective)
    }
}

impl Job for InversionJob {
    const KIND: &'static str = "inversion";
    type Report = InversionReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<InversionReport> {
        let model = run.model()?;
        let (SheetJob { work, layout }, cases) = self.sheet(run)?;
        let made = sheet::make(run, &work, &layout)?;
        let cases = sheet::only_kept(cases, &made.kept);
        let job = Self { rendering: self.rendering.done(&made), ..self.clone() };
        made.write(run, &job, sink)?;
        let finished = &made.finished;
        let photos = self.images.iter().map(|path| {
            let preset = finished_preset(&self.rendering.work.settings[0].preset, finished);
            let photo = materials::start(model, &preset, path)?;
            // The PSNR is computed over the drawn bands, in the colours that the network reads.
            Ok((path.as_str(), references::visible(model, &photo)?.data))
        });
        let photos = photos.collect::<Result<Vec<_>>>()?;
        let results = results(&cases, finished, &photos);
        let place = Place::first(Role::Table);
        if sink.wants(place) {
            sink.take_bytes(place, "inversion.csv", table(&results).as_bytes())?;
        }
        let place = Place::first(Role::Plot);
        if sink.wants(place) {
            let mut text = text_of_model(model)?;
            push_setting(&mut text, &self.rendering.work.settings[0])?;
            text.push("images", serde_json::to_string(&places::hashed(&self.images, &model.places)?)?);
            text.push(PLOT, "relative errors of inversions, a line for each strength");
            seal(run, &mut text, &job, place)?;
            let bytes = oneiro_media::encode_png(&plot(&job, &made.layout.title, &results)?, &text)?;
            sink.take_bytes(place, "errors.png", &bytes)?;
        }
        let units = results.iter().map(|r| InvertedUnit {
            report: r.finished.report.clone(),
            layer: r.case.layer.clone(),
            image: r.case.image.clone(),
            strength: r.case.strength,
            relative_error: r.relative_error,
            psnr: r.psnr,
        });
        Ok(InversionReport { units: units.collect(), summary: summary(self, &results) })
    }

    fn sources(&self) -> Vec<String> {
        let own = self.images.iter().chain(&self.feature_mask).chain(&self.start);
        each_once(own.chain(&self.rendering.work.sources()))
    }

    fn check(&self) -> Result<()> {
        self.rendering.work.check()
    }

    fn settings_mut(&mut self) -> Vec<&mut RenderSetting> {
        self.rendering.work.settings.iter_mut().collect()
    }
}

/// Returns the preset with the size that was used.
fn finished_preset(preset: &Preset, finished: &[Finished]) -> Preset {
    let mut preset = preset.clone();
    if let Some(f) = finished.first() {
        preset.picture = Some([f.picture.height, f.picture.width]);
    }
    preset
}

/// One inversion that was requested, and its result.
struct Outcome<'a> {
    case: &'a Case,
    finished: &'a Finished,
    relative_error: f64,
    psnr: f64,
}

fn results<'a>(cases: &'a [Case], finished: &'a [Finished], photos: &[(&str, Vec<f32>)]) -> Vec<Outcome<'a>> {
    cases
        .iter()
        .zip(finished)
        .map(|(case, finished)| {
            let photo = photos.iter().find(|(path, _)| *path == case.image);
            Outcome {
                case,
                finished,
                relative_error: relative_error(finished.report.value),
                psnr: photo.map_or(f64::NAN, |(_, photo)| psnr(&finished.picture, photo)),
            }
        })
        .collect()
}

/// Returns a line of text for each layer and strength.
fn summary(job: &InversionJob, results: &[Outcome<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    for layer in &job.layers {
        let of_layer = || results.iter().filter(|r| &r.case.layer == layer);
        let mut strengths: Vec<f64> = of_layer().map(|r| r.case.strength).collect();
        strengths.dedup();
        strengths.sort_by(f64::total_cmp);
        strengths.dedup();
        for strength in strengths {
            let of = || of_layer().filter(|r| r.case.strength == strength);
            let errors: Vec<f64> = of().map(|r| r.relative_error).collect();
            let ratios: Vec<f64> = of().map(|r| r.psnr).collect();
            let (Some(error), Some(ratio)) = (Mean::of(&errors), Mean::of(&ratios)) else { continue };
            let mut line = format!("{layer}: relative error {error:.3}, PSNR {ratio:.1} dB");
            if job.captions.strengths {
                line += &format!(", C = {strength}");
            }
            if let Some(spread) = mean_spread(of()) {
                line += &format!(", seeds {spread:.3} apart (root mean square, 0-1)");
            }
            lines.push(line);
        }
    }
    lines
}

/// Returns the mean over the pictures of the distance between the results of different random seeds.
fn mean_spread<'a>(results: impl Iterator<Item = &'a Outcome<'a>>) -> Option<Mean> {
    let mut by_image: Vec<(&str, Vec<&Finished>)> = Vec::new();
    for r in results {
        match by_image.iter_mut().find(|(image, _)| *image == r.case.image) {
            Some((_, list)) => list.push(r.finished),
            None => by_image.push((&r.case.image, vec![r.finished])),
        }
    }
    let spreads: Vec<f64> = by_image.iter().filter_map(|(_, list)| spread(list)).collect();
    Mean::of(&spreads)
}

fn table(results: &[Outcome<'_>]) -> String {
    let mut text = String::from("layer,image,strength,seed,relative_error,psnr\n");
    let field = |s: &str| match s.contains([',', '"', '\n']) {
        true => format!("\"{}\"", s.replace('"', "\"\"")),
        false => s.to_owned(),
    };
    for r in results {
        text += &format!(
            "{},{},{},{},{},{}\n",
            field(&r.case.layer),
            field(&r.case.image),
            r.case.strength,
            r.case.seed,
            r.relative_error,
            r.psnr
        );
    }
    text
}

/// The plot's height relative to the highest error.
const HEADROOM: f64 = 1.1;

/// Plots the relative error of each layer with its standard error, as a line for each strength.
fn plot(job: &InversionJob, title: &str, results: &[Outcome<'_>]) -> Result<oneiro_media::Image> {
    let names: Vec<&str> = job.layers.iter().map(String::as_str).collect();
    let mut plot = Plot::new(PLOT_SIZE[1], PLOT_SIZE[0])
        .title(format!("{title}: what inversion leaves"))
        .y_label("relative error of the features")
        .x_names(&names);
    let mut strengths: Vec<f64> = results.iter().map(|r| r.case.strength).collect();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup();
    let mut highest = f64::MIN_POSITIVE;
    for strength in strengths {
        let mut points = Vec::new();
        let mut errors = Vec::new();
        for (i, layer) in job.layers.iter().enumerate() {
            let of = results.iter().filter(|r| &r.case.layer == layer && r.case.strength == strength);
            let values: Vec<f64> = of.map(|r| r.relative_error).collect();
            if let Some(mean) = Mean::of(&values) {
                points.push((i as f64, mean.mean));
                errors.push(mean.standard_error);
                highest = highest.max(mean.mean + mean.standard_error.max(0.0));
            }
        }
        plot = plot.series(Series::line(format!("C = {strength}"), &points).error_bars(&errors));
    }
    // The axis starts at 0, so that heights are proportional to errors.
    Ok(plot.y_range(0.0, HEADROOM * highest).render()?)
}

/// Height and width of the plot in pixels.
const PLOT_SIZE: [usize; 2] = [500, 800];
