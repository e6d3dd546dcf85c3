//! Two units of one network side by side.

use oneiro::objective::{Objective, Unit, UnitTarget};

use super::board::{Board, BoardRow, Tile};
use super::examples::{Lists, Measured, Shown, measure, values as values_of};
use super::gradients;
use super::images::{Images, Scanned};
use super::in_scan::InScan;
use super::pictures::{self, share};
use super::reader::{Reader, Readers};
use super::report::{ActivationAgreement, Agreement, CompareReport, ComparedPicture, UnitsReport};
use super::request::{Compared, ComparedUnit, class_of};
use super::{CompareJob, Outcome};
use crate::error::Result;
use crate::job::Run;
use crate::job::error::JobError;
use crate::job::render::Finished;
use crate::job::units::plain_class;
use crate::model::LoadedModel;
use crate::numbers::short;

pub(super) fn compare(job: &CompareJob, run: &Run<'_>, units: [&ComparedUnit; 2]) -> Result<Outcome> {
    let model = run.model()?;
    let objectives = [units[0].objective(model, 0)?, units[1].objective(model, 0)?];
    let readers = [
        Reader::new(model, &units[0].unit, &objectives[0])?,
        Reader::new(model, &units[1].unit, &objectives[1])?,
    ];
    let classes = [class_of(&objectives[0]), class_of(&objectives[1])];
    let names = [scan_name(&units[0].unit, classes[0])?, scan_name(&units[1].unit, classes[1])?];
    let scanned = job.data.as_ref().map(|data| {
        // Contributions to classes come from all layers before them.
        let layers = match classes {
            [Some(_), Some(_)] => Vec::new(),
            _ => names.iter().map(|(layer, _)| layer.clone()).collect(),
        };
        Scanned::new(run, data, job.images.as_deref(), layers)
    });
    let scanned = scanned.transpose()?;
    let scan = scanned.as_ref().map(|scanned| &scanned.scan);
    let found = scan.map(|scan| InScan::new(scan, [&names[0].1, &names[1].1])).transpose()?;

    let named: Vec<(String, Objective)> =
        units.iter().map(|unit| unit.unit.clone()).zip(objectives.iter().cloned()).collect();
    let (mut finished, setting) = pictures::render(run, job, &named)?;
    let mut of = vec![("a", "A".to_owned()), ("b", "B".to_owned())];
    let mixtures =
        pictures::mixtures(run, job, [&objectives[0], &objectives[1]], [&finished[0], &finished[1]])?;
    for (mixture, picture) in mixtures {
        of.push((mixture.kind(), mixture.name()));
        finished.push(picture);
    }
    let all: Vec<&Finished> = finished.iter().collect();
    let value_of = |i: usize| pictures::values(run, model, &setting, &objectives[i], &all);
    let of_units = [value_of(0)?, value_of(1)?];
    let shown = compared_pictures(&of, &finished, &of_units);
    let mut rows = vec![optimised(&shown, &finished)?];

    let images = match &found {
        Some(found) => found.images()?,
        None => Images::Probes,
    };
    let even = found.as_ref().map_or(images.len(), |found| found.even);
    let (measured, activations) =
        activations(run, model, [&readers[0], &readers[1]], (&images, even), found.as_ref(), job)?;
    let pair = [(model, &objectives[0]), (model, &objectives[1])];
    let gradients = gradients::agreement(run, pair, &images, [&finished[0], &finished[1]])?;
    let mut report = UnitsReport {
        a: units[0].unit.clone(),
        b: units[1].unit.clone(),
        pictures: shown,
        weight_cosine: readers[0].weight_cosine(&readers[1], model)?,
        gradients,
        activations,
        data: job.data.clone(),
        best_a: Vec::new(),
        best_b: Vec::new(),
        a_not_b: Vec::new(),
        b_not_a: Vec::new(),
        both: Vec::new(),
        confusions: Vec::new(),
        shared: Vec::new(),
    };
    let mut known = [units[0].clone(), units[1].clone()];
    for (i, known) in known.iter_mut().enumerate() {
        *known = known.with_objectives(&[&objectives[i]]);
    }
    if let (Some(found), Images::Scan { crops, seen }) = (&found, &images) {
        let drawn = Shown { scan: found.scan, crops, seen, layers: found.layers() };
        let (of_lists, [best_a, best_b, a_not_b, b_not_a, both]) =
            drawn.rows(&measured, &Lists::new(&measured))?;
        rows.extend(of_lists);
        report = UnitsReport { best_a, best_b, a_not_b, b_not_a, both, ..report };
        if let [Some(a), Some(b)] = classes {
            for (known, class) in known.iter_mut().zip([a, b]) {
                if known.folders.is_empty() {
                    known.folders = found.folders(class)?;
                }
            }
            let (of_confusions, confusions) = found.confusions(&drawn, &known, [a, b])?;
            rows.extend(of_confusions);
            report.confusions = confusions;
            let (row, shared) = found.shared(run, crops)?;
            rows.extend(row);
            report.shared = shared;
        }
    }
    let board = Board {
        title: format!("A: {}\nB: {}", report.a, report.b).replace('\n', "   "),
        subtitle: format!("{}, preset {}, seed {}", model.title, setting.preset.title(), setting.seed),
        words: report.words(),
        rows,
    };
    let [a, b] = known;
    Ok(Outcome {
        report: CompareReport::Units(Box::new(report)),
        board,
        job: job.done(Compared::Units { a, b }, &setting),
    })
}

/// The layer of a unit as a scan is asked for it, and the unit: a class by its index, as class names may not
/// be known any more.
fn scan_name(unit: &str, class: Option<usize>) -> Result<(String, String)> {
    if let Some(class) = class {
        return Ok((crate::job::scan::layers::CLASSES.to_owned(), format!("class:{class}")));
    }
    Ok(match unit.parse::<Unit>()?.target {
        UnitTarget::Channel(layer, channel) | UnitTarget::Neuron(layer, channel, _) => {
            (layer.clone(), format!("\"{layer}\":{channel}"))
        }
        _ => return Err(JobError::NotCompared { unit: unit.to_owned() }.into()),
    })
}

/// What both units make of the optimised pictures.
fn compared_pictures(
    of: &[(&'static str, String)],
    finished: &[Finished],
    [of_a, of_b]: &[Vec<Option<f64>>; 2],
) -> Vec<ComparedPicture> {
    let picture = |i: usize| ComparedPicture {
        kind: of[i].0,
        of: of[i].1.clone(),
        objective: finished[i].report.objective.clone(),
        a: of_a[i],
        b: of_b[i],
        share_a: of_a[i].and_then(|value| share(value, &finished[0])),
        share_b: of_b[i].and_then(|value| share(value, &finished[1])),
    };
    (0..of.len()).map(picture).collect()
}

fn optimised(pictures: &[ComparedPicture], finished: &[Finished]) -> Result<BoardRow> {
    let mut tiles = Vec::new();
    for (picture, finished) in pictures.iter().zip(finished) {
        let line = |unit: &str, value: Option<f64>, share: Option<f64>| {
            let share = share.map_or_else(String::new, |share| format!(" ({:.0} %)", 100.0 * share));
            value.map(|value| format!("{unit} {}{share}", short(value)))
        };
        let mut lines = vec![picture.of.clone()];
        lines.extend(line("A", picture.a, picture.share_a));
        lines.extend(line("B", picture.b, picture.share_b));
        tiles.push(Tile::optimised(finished, lines)?);
    }
    let note = "Each picture maximises what stands below it. A − B and B − A show how the units differ, A + B what they share. \
                In these, each unit's value is divided by what its own picture gained over noise, and what outweighs the other \
                counts less. Percentages are shares of that gain.";
    Ok(BoardRow::new("optimised", note, tiles))
}

/// Runs both units on the pictures. Correlations are of those that are spread evenly, the first `even`.
fn activations(
    run: &Run<'_>,
    model: &LoadedModel,
    units: [&Reader; 2],
    (images, even): (&Images<'_>, usize),
    found: Option<&InScan<'_>>,
    job: &CompareJob,
) -> Result<(Vec<Measured>, ActivationAgreement)> {
    let input = images.check(model)?;
    let mut readers = [run.context.compute(|| Readers::new(model, &units))?];
    let peaks = measure(run, &mut readers, &[input], images, job.data.as_ref())?;
    let measured: Vec<Measured> =
        peaks.into_iter().map(|(at, peaks)| Measured { at, peaks: [peaks[0], peaks[1]] }).collect();
    let evenly = &measured[..measured.iter().take_while(|measured| measured.at < even).count()];
    let agreement = |of: fn(&oneiro::layer_maps::Peak) -> f32| {
        Agreement::of(&values_of(evenly, 0, of), &values_of(evenly, 1, of))
    };
    let activations = ActivationAgreement {
        synthetic: matches!(images, Images::Probes),
        largest: agreement(|peak| peak.largest),
        mean: agreement(|peak| peak.mean),
        positions: found.map(InScan::positions).transpose()?.flatten(),
    };
    Ok((measured, activations))
}

impl UnitsReport {
    /// What the numbers say, a sentence each.
    pub fn words(&self) -> Vec<String> {
        let number = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.3}"));
        let mut words = Vec::new();
        words.push(match self.weight_cosine {
            Some(cosine) => format!(
                "cosine of weights {cosine:.3}: 1 if both weigh their inputs alike, 0 if independently, -1 if oppositely"
            ),
            None => "cosine of weights: none, as the units weigh different inputs, or their weights are not known".into(),
        });
        let gradients = &self.gradients;
        let pictures = if self.activations.synthetic { "synthetic pictures" } else { "images" };
        words.push(format!(
            "cosine of input gradients {} (mean of {} {pictures}, deviation {}), {} on A's picture, {} on B's: 1 if the same \
             change of the picture raises both most",
            number(gradients.mean),
            gradients.pictures - gradients.undefined,
            number(gradients.deviation),
            number(gradients.on_a),
            number(gradients.on_b),
        ));
        let of = |agreement: &Agreement| {
            format!("{} (of ranks {})", number(agreement.pearson), number(agreement.spearman))
        };
        words.push(format!(
            "correlation over {} {pictures}: of largest activations {}, of means {}: 1 if the same pictures excite both",
            self.activations.largest.count,
            of(&self.activations.largest),
            of(&self.activations.mean),
        ));
        if let Some(positions) = &self.activations.positions {
            words.push(format!(
                "correlation over {} positions of images: {}: 1 if the same places excite both",
                positions.count,
                of(positions)
            ));
        }
        for confusion in &self.confusions {
            words.push(format!(
                "{} of {} images of {} are named {}",
                confusion.count,
                confusion.images,
                plain_class(&confusion.class),
                confusion.named
            ));
        }
        words
    }
}
