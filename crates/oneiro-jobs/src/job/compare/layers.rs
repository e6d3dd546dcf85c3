//! Two layers of one network: how alike they are as wholes, and which units answer alike.

use oneiro::objective::Objective;
use oneiro::similarity::{best_matches, best_others, linear_cka};

use super::board::{Board, BoardRow, Tile};
use super::images::{Images, scan_of};
use super::pictures;
use super::report::{CompareReport, LayersReport, Match};
use super::samples::{Samples, sample};
use super::{CompareJob, Outcome};
use crate::error::Result;
use crate::job::Run;
use crate::numbers::short;

pub(super) fn compare(job: &CompareJob, run: &Run<'_>, names: [&String; 2]) -> Result<Outcome> {
    let model = run.model()?;
    let values = [model.model.resolve(names[0])?, model.model.resolve(names[1])?];
    let scan = scan_of(run, job)?;
    let images = Images::of_job(run, job, scan.as_ref())?;
    let group = values.map(|value| (model, value)).to_vec();
    let Samples { groups, pictures, unread } = sample(run, job, &[group], &images)?;
    images.say(run, &unread);
    let (count, [a, b]) = (groups[0].count, [&groups[0].layers[0], &groups[0].layers[1]]);
    let is_one = values[0] == values[1];
    let best = || if is_one { best_others(a) } else { best_matches(a, b) };
    let (cka, best) = run.context.compute(|| (linear_cka(a, b), best()));
    // Of a layer with itself, two units may be each other's best match.
    let is_first = |a: usize, b: usize| !is_one || a < b || best[b].is_none_or(|(of_b, _)| of_b != a);
    let mut matches: Vec<Match> = best
        .iter()
        .enumerate()
        .filter_map(|(a, best)| best.map(|(b, correlation)| Match { a, b, correlation }))
        .filter(|of| is_first(of.a, of.b))
        .collect();
    matches.sort_by(|x, y| y.correlation.total_cmp(&x.correlation).then(x.a.cmp(&y.a)));
    let drawn = &matches[..matches.len().min(job.drawn)];
    let unit =
        |layer: &str, channel: usize| (format!("{layer}:{channel}"), Objective::channel(layer, channel));
    let mut units: Vec<(String, Objective)> = Vec::new();
    for of in drawn {
        for unit in [unit(names[0], of.a), unit(names[1], of.b)] {
            if !units.iter().any(|(name, _)| *name == unit.0) {
                units.push(unit);
            }
        }
    }
    let (mut rows, mut setting) = (Vec::new(), job.setting.clone());
    if !units.is_empty() {
        let (finished, done) = pictures::render(run, job, &units)?;
        setting = done;
        let tile = |layer: &str, channel: usize, of: &Match| -> Result<Option<Tile>> {
            let name = format!("{layer}:{channel}");
            let lines = vec![format!("channel {channel}"), format!("correlation {:.2}", of.correlation)];
            let found = units.iter().position(|(unit, _)| *unit == name);
            found.map(|i| Tile::optimised(&finished[i], lines)).transpose()
        };
        let of_layer = |layer: &str, channel: &dyn Fn(&Match) -> usize| -> Result<BoardRow> {
            let tiles = drawn.iter().map(|of| tile(layer, channel(of), of));
            let tiles = tiles.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            let note = "Units one below the other answer the same places of the same pictures.";
            Ok(BoardRow::new(layer, note, tiles))
        };
        rows.push(of_layer(names[0], &|of| of.a)?);
        rows.push(of_layer(names[1], &|of| of.b)?);
    }
    let report = LayersReport {
        a: names[0].clone(),
        // Another name of one layer is that layer.
        b: names[usize::from(!is_one)].clone(),
        channels: [a.len(), b.len()],
        cka,
        pictures,
        samples: count,
        synthetic: images.are_synthetic(),
        matches,
    };
    let board = Board {
        title: format!("{} and {}", report.a, report.b),
        subtitle: format!(
            "{}: CKA {} over {}, preset {}, seed {}",
            model.title,
            report.cka.map_or_else(|| "undefined".to_owned(), short),
            images.words(pictures),
            setting.preset.title(),
            setting.seed
        ),
        words: report.words(),
        rows,
    };
    Ok(Outcome { report: CompareReport::Layers(report), board, job: job.done(job.what.clone(), &setting) })
}

impl LayersReport {
    /// What the numbers say, a sentence each.
    pub fn words(&self) -> Vec<String> {
        let cka = self.cka.map_or_else(|| "undefined".to_owned(), |cka| format!("{cka:.3}"));
        let pictures = if self.synthetic { "synthetic pictures" } else { "images" };
        if self.a == self.b {
            return vec![format!(
                "units of {} that answer most alike: each with the other unit of the layer of largest correlation",
                self.a
            )];
        }
        let mut words = vec![format!(
            "linear CKA {cka} over {} {pictures} with {} samples: 1 if the layers hold the same features up to rotation and scale, \
             0 if none in common",
            self.pictures, self.samples
        )];
        if self.samples < self.channels[0].max(self.channels[1]) {
            words.push(
                "There are fewer samples than channels, so this number is too large: give more images."
                    .into(),
            );
        }
        words
    }
}
