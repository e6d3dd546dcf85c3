//! Caricatures: photos are changed so that a layer's features become stronger.

use oneiro::objective::{Objective, Term, TermKind};
use serde::{Deserialize, Serialize};

use super::{Captions, Rendering, each_once, originals, readable};
use crate::error::Result;
use crate::job::render::work::UnitRequest;
use crate::job::render::{RenderReport, Setting as RenderSetting};
use crate::job::sheet::layout::Measure;
use crate::job::sheet::{self, Row, SheetJob, SheetPlan};
use crate::job::{Job, Run, Sink};
use crate::source::references::Files;

/// Makes a caricature of each photo at each layer, side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaricatureJob {
    /// Paths of the photos.
    pub images: Vec<String>,
    /// The layers whose activations are exaggerated.
    pub layers: Vec<String>,
    /// Exponent of the cosine between a position's activations and the photo's.
    pub power: f64,
    /// The start picture of all caricatures. Without one, each starts from its photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Whether caricatures start from noise instead of the photo.
    #[serde(default)]
    pub from_noise: bool,
    /// How the pictures are rendered.
    pub rendering: Rendering,
    /// What the captions below the pictures contain.
    #[serde(default)]
    pub captions: Captions,
}

impl CaricatureJob {
    fn sheet(&self, run: &Run<'_>) -> Result<SheetJob> {
        let settings = &self.rendering.work.settings;
        let files = Files::new(run.model()?, settings.first().and_then(|s| s.preset.size))?;
        let mut rows = vec![originals(&self.images)];
        for layer in &self.layers {
            let mut row = Row { title: layer.clone(), ..Row::default() };
            for image in &self.images {
                let own = (!self.from_noise).then(|| image.clone());
                let kind = TermKind::Caricature(files.reference(image)?, self.power);
                let objective = Objective::from(Term::new(layer, kind));
                readable(&objective)?;
                let text = objective.to_string();
                for (setting, s) in settings.iter().enumerate() {
                    let shown = (self.images.len() > 1).then_some(image.as_str());
                    let unit = UnitRequest {
                        objective: Some(text.clone()),
                        start: self.start.clone().or_else(|| own.clone()),
                        setting,
                        ..UnitRequest::new(text.clone())
                    };
                    row.cells.push((self.captions.of(shown, s), unit));
                }
            }
            rows.push(row);
        }
        let columns = self.images.len() * settings.len();
        let plan =
            SheetPlan { title: None, columns, measure: Measure::Value, rows, settings: settings.clone() };
        Ok(plan.flattened().titled(self.rendering.title.as_deref()).job(self.rendering.work.clone()))
    }
}

impl Job for CaricatureJob {
    const KIND: &'static str = "caricature";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let SheetJob { work, layout } = self.sheet(run)?;
        let made = sheet::make(run, &work, &layout)?;
        let job = Self { rendering: self.rendering.done(&made), ..self.clone() };
        made.write(run, &job, sink)?;
        Ok(made.report())
    }

    fn sources(&self) -> Vec<String> {
        each_once(self.images.iter().chain(&self.start).chain(&self.rendering.work.sources()))
    }

    fn check(&self) -> Result<()> {
        self.rendering.work.check()
    }

    fn settings_mut(&mut self) -> Vec<&mut RenderSetting> {
        self.rendering.work.settings.iter_mut().collect()
    }
}
