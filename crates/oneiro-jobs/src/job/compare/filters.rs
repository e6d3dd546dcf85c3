//! The filters of layers in several networks: which of them moved.

use std::ops::Range;

use oneiro::objective::Objective;
use oneiro::similarity::{cosine, linear_cka, pearson};
use oneiro_net::ValueId;

use super::board::{Board, BoardRow, Tile};
use super::common::{CommonLayer, common_layers};
use super::images::{Images, scan_of};
use super::models::{names_of, render_in_all};
use super::report::{CompareReport, FilterChange, FiltersReport, LayerChange};
use super::request::{ChangeBy, Compared};
use super::samples::{GRID, Group, sample};
use super::{CompareJob, Outcome};
use crate::error::Result;
use crate::job::Run;
use crate::model::LoadedModel;

/// Change from which a filter counts as moved, in words.
const MOVED: f64 = 0.1;
/// Samples that are held in memory at a time, at most (half a gigabyte). Layers beyond are run later.
const MOST_SAMPLES: usize = 1 << 27;

pub(super) fn compare(
    job: &CompareJob,
    run: &Run<'_>,
    models: &[&LoadedModel],
    (layers, by): (&[String], Option<ChangeBy>),
) -> Result<Outcome> {
    let names = names_of(models);
    let (common, left_out) = common_layers(models, layers, &names)?;
    let scan = scan_of(run, job)?;
    let images = Images::of_job(run, job, scan.as_ref())?;
    // Weights may turn and leave the answers as they are, and the other way round: answers tell the function.
    let by = by.unwrap_or(if images.are_synthetic() { ChangeBy::Weights } else { ChangeBy::Answers });
    let mut report = FiltersReport {
        layers: Vec::new(),
        models: names.clone(),
        by,
        synthetic: images.are_synthetic(),
        pictures: 0,
        left_out,
        filters: Vec::new(),
    };
    let samples_of = |layer: &CommonLayer<'_>| layer.channels * models.len() * images.len() * GRID * GRID;
    let samples: Vec<usize> = common.iter().map(samples_of).collect();
    for batch in batches(&samples, MOST_SAMPLES) {
        let batch = &common[batch];
        let groups: Vec<Vec<(&LoadedModel, ValueId)>> =
            batch.iter().map(|layer| layer.values.clone()).collect();
        let found = sample(run, job, &groups, &images)?;
        if report.layers.is_empty() {
            images.say(run, &found.unread);
        }
        report.pictures = found.pictures;
        for (layer, group) in batch.iter().zip(&found.groups) {
            let (layer, filters) = changes(run, layer, group, by)?;
            report.layers.push(layer);
            report.filters.extend(filters);
        }
    }
    // Filters of which nothing is known come last. Equal ones stay in the order of their layers.
    let key = |filter: &FilterChange| filter.change.unwrap_or(f64::NEG_INFINITY);
    report.filters.sort_by(|a, b| key(b).total_cmp(&key(a)));

    let (rows, done) = rows(job, run, models, &report)?;
    let setting = done.setting.clone();
    let what = match &report.layers[..] {
        [one] => one.layer.clone(),
        several => format!("{} layers", several.len()),
    };
    let board = Board {
        title: format!("{what} in {}", names.join(", ")),
        subtitle: format!("preset {}, seed {}", setting.preset.title(), setting.seed),
        words: report.words(),
        rows,
    };
    let job = done.done(Compared::Filters { layers: layers.to_vec(), by: Some(by) }, &setting);
    Ok(Outcome { report: CompareReport::Filters(report), board, job })
}

/// Ranges of layers whose samples fit into memory together, given the number of samples of each. A larger
/// layer is alone.
fn batches(samples: &[usize], most: usize) -> Vec<Range<usize>> {
    let (mut batches, mut first, mut held) = (Vec::new(), 0, 0);
    for (i, own) in samples.iter().enumerate() {
        if i > first && held + own > most {
            batches.push(first..i);
            (first, held) = (i, 0);
        }
        held += own;
    }
    batches.push(first..samples.len());
    batches
}

/// How far each filter of a layer moved, and the layer as a whole.
fn changes(
    run: &Run<'_>,
    layer: &CommonLayer<'_>,
    group: &Group,
    by: ChangeBy,
) -> Result<(LayerChange, Vec<FilterChange>)> {
    let samples = &group.layers;
    let mut weights = Vec::new();
    for (model, value) in &layer.values {
        weights.push(model.model.unit_weights(*value)?);
    }
    let last = samples.len() - 1;
    let of_channel = |channel: usize| {
        let row = |i: usize| weights[i].as_ref().map(|rows| rows[channel].weights.as_slice());
        let weight_cosines: Vec<Option<f64>> = (0..=last).map(|i| cosine(row(0)?, row(i)?)).collect();
        let of = |i: usize| &samples[i][channel][..];
        let correlations: Vec<Option<f64>> = (0..=last).map(|i| pearson(of(0), of(i))).collect();
        let answers = || correlations[last].or_else(|| died(of(0), of(last)).then_some(0.0));
        let alike = match by {
            ChangeBy::Answers => answers(),
            ChangeBy::Weights => weight_cosines[last].or_else(answers),
        };
        let change = alike.map(|alike| 1.0 - alike);
        FilterChange { layer: layer.name.clone(), channel, change, weight_cosines, correlations }
    };
    let (filters, cka) = run.context.compute(|| {
        let filters: Vec<FilterChange> = (0..layer.channels).map(of_channel).collect();
        (filters, samples.iter().map(|of| linear_cka(&samples[0], of)).collect())
    });
    let (moved, mean_change) = moved(&filters);
    let (channels, samples) = (layer.channels, group.count);
    Ok((LayerChange { layer: layer.name.clone(), channels, moved, mean_change, samples, cka }, filters))
}

/// Whether a filter answers differently to different pictures in one network, and is constant in the other.
fn died(first: &[f32], last: &[f32]) -> bool {
    let varies = |sample: &[f32]| pearson(sample, sample).is_some();
    let is_finite = |sample: &[f32]| sample.iter().all(|x| x.is_finite());
    is_finite(first) && is_finite(last) && varies(first) != varies(last)
}

/// Number of filters that moved, and the mean change of those that are known.
fn moved(filters: &[FilterChange]) -> (usize, Option<f64>) {
    let changes: Vec<f64> = filters.iter().filter_map(|filter| filter.change).collect();
    let moved = changes.iter().filter(|change| **change > MOVED).count();
    (moved, (!changes.is_empty()).then(|| changes.iter().sum::<f64>() / changes.len() as f64))
}

/// The filters that moved most and least, with a row for each network. Also returns the job with its setting.
fn rows(
    job: &CompareJob,
    run: &Run<'_>,
    models: &[&LoadedModel],
    report: &FiltersReport,
) -> Result<(Vec<BoardRow>, CompareJob)> {
    let known = report.filters.iter().filter(|filter| filter.change.is_some()).count();
    let drawn = job.drawn.min(known.div_ceil(2));
    let most = &report.filters[..drawn];
    let least = &report.filters[(known - drawn).max(drawn)..known];
    let chosen: Vec<&FilterChange> = most.iter().chain(least.iter().rev()).collect();
    if chosen.is_empty() {
        return Ok((Vec::new(), job.clone()));
    }
    let name = |filter: &FilterChange| format!("{}:{}", filter.layer, filter.channel);
    let units = |_: usize| -> Vec<(String, Objective)> {
        let unit = |filter: &&FilterChange| (name(filter), Objective::channel(&filter.layer, filter.channel));
        chosen.iter().map(unit).collect()
    };
    let (finished, done) = render_in_all(job, run, models, &units)?;
    let mut rows = Vec::new();
    for (heading, range) in [("most", 0..drawn), ("least", drawn..chosen.len())] {
        for (i, model) in report.models.iter().enumerate() {
            let mut tiles = Vec::new();
            for k in range.clone() {
                let filter = chosen[k];
                let mut lines = vec![match report.layers.len() {
                    1 => format!("channel {}", filter.channel),
                    _ => name(filter),
                }];
                if i > 0 {
                    let number =
                        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
                    lines.push(format!("weights {}", number(filter.weight_cosines[i])));
                    lines.push(format!("answers {}", number(filter.correlations[i])));
                }
                tiles.push(Tile::optimised(&finished[i][k], lines)?);
            }
            if tiles.is_empty() {
                continue;
            }
            let note = format!(
                "The same channels in each network, ordered by their {}. Below the later ones stand the cosine of their weights and \
                 the correlation of their activations with those in the first network.",
                report.by.words()
            );
            rows.push(BoardRow::new(format!("moved {heading}: {model}"), note, tiles));
        }
    }
    Ok((rows, done))
}

impl ChangeBy {
    /// What filters are ordered by.
    fn words(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Weights => "weights",
        }
    }
}

impl FiltersReport {
    /// What the numbers say, a sentence each.
    pub fn words(&self) -> Vec<String> {
        let pictures = if self.synthetic { "synthetic pictures" } else { "images" };
        let (moved, mean) = moved(&self.filters);
        let number = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.3}"));
        let measure = match self.by {
            ChangeBy::Answers => format!(
                "one less the correlation of a filter's activations over {} {pictures}; 1 if it varies in one network alone",
                self.pictures
            ),
            ChangeBy::Weights => "one less the cosine of a filter's weights".to_owned(),
        };
        let layers = match self.layers.len() {
            1 => String::new(),
            layers => format!(" of {layers} layers"),
        };
        let mut words = vec![format!(
            "{moved} of {} filters{layers} moved by more than {MOVED} between {} and {}, {} in the mean: {measure}",
            self.filters.len(),
            self.models.first().map_or("", String::as_str),
            self.models.last().map_or("", String::as_str),
            number(mean),
        )];
        let of_layer = |of: &LayerChange| {
            let alike = of.cka.last().copied().flatten();
            format!(
                "{}: {} of {} filters moved, {} in the mean; CKA {} with {} samples",
                of.layer,
                of.moved,
                of.channels,
                number(of.mean_change),
                number(alike),
                of.samples
            )
        };
        words.push(self.layers.iter().map(of_layer).collect::<Vec<_>>().join("\n"));
        words.push(
            "linear CKA is 1 if a layer as a whole holds the same features, even where filters changed places"
                .to_owned(),
        );
        if !self.left_out.is_empty() {
            let list = self.left_out.join(", ");
            words
                .push(format!("left out, as not all networks have them with one number of channels: {list}"));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_run_together_as_far_as_they_fit() {
        assert_eq!(batches(&[3, 4, 5, 20, 1, 1], 8), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(batches(&[9, 3, 4], 8), [0..1, 1..3]);
    }

    #[test]
    fn a_filter_that_is_constant_in_one_network_died() {
        let (varies, constant) = ([0.0, 1.0, 0.5], [0.2; 3]);
        assert!(died(&varies, &constant) && died(&constant, &varies));
        assert!(!died(&varies, &varies) && !died(&constant, &constant));
        assert!(!died(&varies, &[f32::NAN; 3]));
    }
}
