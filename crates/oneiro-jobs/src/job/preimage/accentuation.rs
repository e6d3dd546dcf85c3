//! Accentuations: photos are changed so that a unit responds more strongly.

use oneiro::objective::{Objective, Term, TermKind};
use serde::{Deserialize, Serialize};

use super::{Rendering, each_once, photo, readable};
use crate::error::Result;
use crate::job::named_objective::NamedObjective;
use crate::job::render::work::{UnitRequest, Work};
use crate::job::render::{RenderReport, Setting as RenderSetting};
use crate::job::sheet::layout::Measure;
use crate::job::sheet::{self, Row, SheetJob, SheetPlan};
use crate::job::{Job, Run, Sink};
use crate::source::references::Files;
use crate::source::stem;

/// Accentuates each objective in each photo. Each combination is a row of the sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccentuationJob {
    /// Paths of the photos.
    pub images: Vec<String>,
    /// The objectives that are increased in each photo.
    #[serde(rename = "wishes")]
    pub objectives: Vec<NamedObjective>,
    /// The layer whose features keep results similar to their photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<String>,
    /// Weights of the distance to the photo's features; each is a column. Without `near`, the weight is 0.
    pub strengths: Vec<f64>,
    /// The start picture of all results. Without one, each starts from its photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How the pictures are rendered.
    pub rendering: Rendering,
}

impl AccentuationJob {
    fn sheet(&self, run: &Run<'_>) -> Result<SheetJob> {
        let model = run.model()?;
        let settings = &self.rendering.work.settings;
        let size = settings.first().and_then(|s| s.preset.size);
        let wanted = self
            .objectives
            .iter()
            .map(|objective| Ok((objective.unit.clone(), objective.objective(model, size)?)));
        let wanted = wanted.collect::<Result<Vec<_>>>()?;
        let files = Files::new(model, size)?;
        let mut rows = Vec::new();
        for image in &self.images {
            for (name, objective) in &wanted {
                let mut row = Row { title: name.clone(), photos: vec![photo(image)], cells: Vec::new() };
                for &strength in &self.strengths {
                    let mut whole = objective.clone();
                    let mut caption = name.clone();
                    if let (Some(layer), true) = (&self.near, strength > 0.0) {
                        let near = Term::new(layer, TermKind::Inversion(files.reference(image)?));
                        whole = whole + strength * Objective::from(near);
                        caption = format!("near {layer}: {strength}");
                    }
                    readable(&whole)?;
                    let mut unit = format!("{name} in {}", stem(image));
                    if self.strengths.len() > 1 {
                        unit += &format!(", {caption}");
                    }
                    let request = UnitRequest {
                        objective: Some(whole.to_string()),
                        start: Some(self.start.clone().unwrap_or_else(|| image.clone())),
                        ..UnitRequest::new(unit)
                    };
                    row.cells.push((caption, request));
                }
                rows.push(row);
            }
        }
        let columns = 1 + self.strengths.len();
        let plan =
            SheetPlan { title: None, columns, measure: Measure::Value, rows, settings: settings.clone() };
        Ok(plan.titled(self.rendering.title.as_deref()).job(self.rendering.work.clone()))
    }
}

impl Job for AccentuationJob {
    const KIND: &'static str = "accentuation";
    type Report = RenderReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<RenderReport> {
        let SheetJob { work, layout } = self.sheet(run)?;
        let made = sheet::make(run, &work, &layout)?;
        let objectives =
            self.objectives.iter().map(|objective| objective.completed(run)).collect::<Result<_>>()?;
        let job = Self { objectives, rendering: self.rendering.done(&made), ..self.clone() };
        made.write(run, &job, sink)?;
        Ok(made.report())
    }

    fn sources(&self) -> Vec<String> {
        let request = |objective: &NamedObjective| UnitRequest {
            objective: objective.objective.clone(),
            ..UnitRequest::new(objective.unit.clone())
        };
        let work = Work { units: self.objectives.iter().map(request).collect(), ..Work::default() };
        let of_objectives = work.sources();
        let all = self.images.iter().chain(&of_objectives).chain(&self.start);
        each_once(all.chain(&self.rendering.work.sources()))
    }

    fn check(&self) -> Result<()> {
        self.rendering.work.check()
    }

    fn settings_mut(&mut self) -> Vec<&mut RenderSetting> {
        self.rendering.work.settings.iter_mut().collect()
    }
}
