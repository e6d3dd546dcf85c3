//! The filters of a layer in several networks: which of them moved.

use oneiro::objective::Objective;
use oneiro::similarity::{cosine, linear_cka, pearson};

use super::board::{Board, BoardRow, Tile};
use super::images::{Images, scan_of};
use super::models::{names_of, render_in_all};
use super::report::{CompareReport, FilterChange, FiltersReport};
use super::samples::{Samples, sample};
use super::{CompareJob, Outcome};
use crate::error::{During as _, Result, Step};
use crate::job::Run;
use crate::job::error::JobError;
use crate::model::LoadedModel;

/// Change from which a filter counts as moved, in words.
const MOVED: f64 = 0.1;

pub(super) fn compare(
    job: &CompareJob,
    run: &Run<'_>,
    models: &[&LoadedModel],
    layer: &str,
) -> Result<Outcome> {
    let names = names_of(models);
    let mut layers = Vec::new();
    for model in models {
        let value = model.model.resolve(layer).during(|| Step::Use { model: model.source.clone() })?;
        layers.push((*model, value));
    }
    let scan = scan_of(run, job)?;
    let images = Images::of_job(run, job, scan.as_ref())?;
    let mut channels = Vec::new();
    for (model, value) in &layers {
        let map = model.model.map_of(*value, &model.model.input_shapes(1, None)?);
        channels.push(map.during(|| Step::Use { model: model.source.clone() })?.shape()[1]);
    }
    if let Some(i) = channels.iter().position(|count| *count != channels[0]) {
        let (layer, models) = (layer.to_owned(), [names[0].clone(), names[i].clone()]);
        return Err(JobError::LayersDiffer { layer, models, channels: [channels[0], channels[i]] }.into());
    }
    let Samples { layers: samples, pictures, count } = sample(run, job, &layers, &images)?;
    let mut weights = Vec::new();
    for (model, value) in &layers {
        weights.push(model.model.unit_weights(*value)?);
    }
    let of_channel = |channel: usize| {
        let row = |i: usize| weights[i].as_ref().map(|rows| rows[channel].weights.as_slice());
        let weight_cosines: Vec<Option<f64>> = (0..models.len()).map(|i| cosine(row(0)?, row(i)?)).collect();
        let of = |i: usize| &samples[i][channel][..];
        let correlations: Vec<Option<f64>> = (0..models.len()).map(|i| pearson(of(0), of(i))).collect();
        let last = models.len() - 1;
        let change = weight_cosines[last].or(correlations[last]).map(|alike| 1.0 - alike);
        FilterChange { channel, change, weight_cosines, correlations }
    };
    let mut filters: Vec<FilterChange> = run.context.compute(|| (0..channels[0]).map(of_channel).collect());
    // Filters of which nothing is known come last.
    let key = |filter: &FilterChange| filter.change.unwrap_or(f64::NEG_INFINITY);
    filters.sort_by(|a, b| key(b).total_cmp(&key(a)).then(a.channel.cmp(&b.channel)));
    let cka = run.context.compute(|| samples.iter().map(|of| linear_cka(&samples[0], of)).collect());
    let report = FiltersReport {
        layer: layer.to_owned(),
        models: names.clone(),
        synthetic: images.are_synthetic(),
        pictures,
        samples: count,
        cka,
        filters,
    };

    let known = report.filters.iter().filter(|filter| filter.change.is_some()).count();
    let drawn = job.drawn.min(known.div_ceil(2));
    let most = &report.filters[..drawn];
    let least = &report.filters[(known - drawn).max(drawn)..known];
    let chosen: Vec<&FilterChange> = most.iter().chain(least.iter().rev()).collect();
    let units = |_: usize| -> Vec<(String, Objective)> {
        let unit = |filter: &&FilterChange| {
            (format!("{layer}:{}", filter.channel), Objective::channel(layer, filter.channel))
        };
        chosen.iter().map(unit).collect()
    };
    let (mut rows, mut done) = (Vec::new(), job.clone());
    if !chosen.is_empty() {
        let (finished, job) = render_in_all(job, run, models, &units)?;
        done = job;
        for (heading, range) in [("most", 0..drawn), ("least", drawn..chosen.len())] {
            for (i, name) in names.iter().enumerate() {
                let mut tiles = Vec::new();
                for k in range.clone() {
                    let filter = chosen[k];
                    let mut lines = vec![format!("channel {}", filter.channel)];
                    if i > 0 {
                        let number =
                            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
                        lines.push(format!("weights {}", number(filter.weight_cosines[i])));
                        lines.push(format!("answers {}", number(filter.correlations[i])));
                    }
                    tiles.push(Tile::optimised(&finished[i][k], lines)?);
                }
                let note = "The same channels in each network. Below the later ones stand the cosine of their weights and the \
                            correlation of their activations with those in the first network.";
                rows.push(BoardRow::new(format!("moved {heading}: {name}"), note, tiles));
            }
        }
    }
    let setting = done.setting.clone();
    let board = Board {
        title: format!("{layer} in {}", names.join(", ")),
        subtitle: format!("preset {}, seed {}", setting.preset.title(), setting.seed),
        words: report.words(),
        rows: rows.into_iter().filter(|row| !row.tiles.is_empty()).collect(),
    };
    let job = done.done(job.what.clone(), &setting);
    Ok(Outcome { report: CompareReport::Filters(report), board, job })
}

impl FiltersReport {
    /// What the numbers say, a sentence each.
    pub fn words(&self) -> Vec<String> {
        let pictures = if self.synthetic { "synthetic pictures" } else { "images" };
        let changes: Vec<f64> = self.filters.iter().filter_map(|filter| filter.change).collect();
        let moved = changes.iter().filter(|change| **change > MOVED).count();
        let mean = changes.iter().sum::<f64>() / changes.len().max(1) as f64;
        let mut words = vec![format!(
            "{moved} of {} filters moved by more than {MOVED} between {} and {}, {mean:.3} in the mean: one less the cosine of a \
             filter's weights",
            self.filters.len(),
            self.models.first().map_or("", String::as_str),
            self.models.last().map_or("", String::as_str),
        )];
        let alike = self.cka.last().copied().flatten();
        words.push(format!(
            "linear CKA {} over {} {pictures} with {} samples: 1 if the layer as a whole holds the same features, even where filters \
             changed places",
            alike.map_or_else(|| "undefined".to_owned(), |cka| format!("{cka:.3}")),
            self.pictures,
            self.samples
        ));
        words
    }
}
