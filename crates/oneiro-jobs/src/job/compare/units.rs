//! Two units of one network side by side.

use oneiro::objective::{Objective, Unit, UnitTarget};
use oneiro::similarity::pearson;

use super::baseline::Pair;
use super::board::{Board, BoardRow, Tile};
use super::drive::drive;
use super::error::CompareError;
use super::examples::{Lists, Measured, Shown, measure, values as values_of};
use super::gradients;
use super::images::{Images, Scanned};
use super::in_scan::InScan;
use super::pictures::{self, Mixture, share};
use super::probabilities::mean_probabilities;
use super::reader::{Reader, Readers};
use super::report::{ActivationAgreement, Agreement, CompareReport, ComparedPicture, UnitsReport, percent};
use super::request::{Compared, ComparedUnit, class_of};
use super::{CompareJob, Outcome};
use crate::error::Result;
use crate::job::Run;
use crate::job::render::Finished;
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
    let mut of = vec![None, None];
    let mixtures =
        pictures::mixtures(run, job, [&objectives[0], &objectives[1]], [&finished[0], &finished[1]])?;
    for (mixture, picture) in mixtures {
        of.push(Some(mixture));
        finished.push(picture);
    }
    let all: Vec<&Finished> = finished.iter().collect();
    let value_of = |i: usize| pictures::values(run, model, &setting, &objectives[i], &all);
    let of_units = [value_of(0)?, value_of(1)?];
    let shown = compared_pictures(&of, &finished, &of_units);
    let mut rows = vec![optimised(&shown, &finished)?];

    let mut known = [units[0].clone(), units[1].clone()];
    for (i, known) in known.iter_mut().enumerate() {
        *known = known.with_objectives(&[&objectives[i]]);
    }
    let mut confused = Vec::new();
    if let (Some(found), [Some(a), Some(b)]) = (&found, classes) {
        for (known, class) in known.iter_mut().zip([a, b]) {
            if known.folders.is_empty() {
                known.folders = found.folders(class)?;
            }
        }
        confused = found.confused(&known, [a, b])?;
    }
    let images = match &found {
        Some(found) => found.images(&confused)?,
        None => Images::Probes,
    };
    let even = found.as_ref().map_or(images.len(), |found| found.even);
    let both = Pair { units: [&readers[0], &readers[1]], is_class: classes[1].is_some() };
    let (measured, spread, activations) =
        activations(run, model, &both, (&images, even), found.as_ref(), job)?;
    let pair = [(model, &objectives[0]), (model, &objectives[1])];
    let gradients = gradients::agreement(run, pair, &images, [&finished[0], &finished[1]])?;
    let (weight_cosine, weight_cosines) = readers[0].weight_cosines(&readers[1], model)?;
    let mut report = UnitsReport {
        a: units[0].unit.clone(),
        b: units[1].unit.clone(),
        pictures: shown,
        weight_cosine,
        weight_baseline: both.baseline(&weight_cosines),
        gradients,
        activations,
        data: job.data.clone(),
        best_a: Vec::new(),
        best_b: Vec::new(),
        a_not_b: Vec::new(),
        b_not_a: Vec::new(),
        both: Vec::new(),
        confusions: Vec::new(),
        drive_a: Vec::new(),
        drive_b: Vec::new(),
        shared: Vec::new(),
    };
    if let (Some(found), Images::Scan { crops, seen }) = (&found, &images) {
        let drawn = Shown { scan: found.scan, crops, seen, layers: found.layers() };
        let lists = Lists::new(&measured, spread);
        let (of_lists, [best_a, best_b, a_not_b, b_not_a, both]) = drawn.rows(&measured, &lists)?;
        rows.extend(of_lists);
        report = UnitsReport { best_a, best_b, a_not_b, b_not_a, both, ..report };
        if let [Some(a), Some(b)] = classes {
            let folders = [&known[0].folders[..], &known[1].folders[..]];
            let probabilities = mean_probabilities(run, found.scan, [a, b], folders)?;
            let (row, confusions) =
                InScan::confusions(confused, &drawn, (&measured, &lists), &known, probabilities)?;
            rows.extend(row);
            report.confusions = confusions;
            let (drivers, [drive_a, drive_b, shared]) = drive(run, found, crops)?;
            rows.extend(drivers);
            report = UnitsReport { drive_a, drive_b, shared, ..report };
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
        _ => return Err(CompareError::NotCompared { unit: unit.to_owned() }.into()),
    })
}

/// What both units make of the optimised pictures.
fn compared_pictures(
    of: &[Option<Mixture>],
    finished: &[Finished],
    [of_a, of_b]: &[Vec<Option<f64>>; 2],
) -> Vec<ComparedPicture> {
    let picture = |i: usize| {
        let share_a = of_a[i].and_then(|value| share(value, &finished[0]));
        let share_b = of_b[i].and_then(|value| share(value, &finished[1]));
        let shares = [share_a, share_b].map(|share| share.unwrap_or(0.0));
        ComparedPicture {
            kind: of[i].map_or(["a", "b"][i.min(1)], Mixture::kind),
            of: of[i].map_or_else(|| ["A", "B"][i.min(1)].to_owned(), Mixture::name),
            objective: finished[i].report.objective.clone(),
            a: of_a[i],
            b: of_b[i],
            share_a,
            share_b,
            missed: of[i].and_then(|mixture| mixture.missed(shares)),
        }
    };
    (0..of.len()).map(picture).collect()
}

fn optimised(pictures: &[ComparedPicture], finished: &[Finished]) -> Result<BoardRow> {
    let mut tiles = Vec::new();
    for (picture, finished) in pictures.iter().zip(finished) {
        let line = |unit: &str, value: Option<f64>, share: Option<f64>| {
            let share = share.map_or_else(String::new, |share| format!(" ({})", percent(share)));
            value.map(|value| format!("{unit} {}{share}", short(value)))
        };
        let mut lines = vec![picture.of.clone()];
        lines.extend(line("A", picture.a, picture.share_a));
        lines.extend(line("B", picture.b, picture.share_b));
        lines.extend(picture.missed.map(str::to_owned));
        tiles.push(Tile::optimised(finished, lines)?);
    }
    let note = "Each picture maximises what stands below it: A − B is to excite A and not B, A + B both. In these, each unit's \
                value is divided by what its own picture gained over noise, and weights were searched; where none does it, the \
                picture says so. 100 % is a unit's own picture, 0 % is noise. Over 100 % the own picture is not the unit's \
                maximum.";
    Ok(BoardRow::new("optimised", note, tiles))
}

/// Runs both units on the pictures. Correlations are of those that are spread evenly, the first `even`; also
/// returns how many of these could be read.
fn activations(
    run: &Run<'_>,
    model: &LoadedModel,
    pair: &Pair<'_>,
    (images, even): (&Images<'_>, usize),
    found: Option<&InScan<'_>>,
    job: &CompareJob,
) -> Result<(Vec<Measured>, usize, ActivationAgreement)> {
    let input = images.check(model)?;
    let mut readers = [run.context.compute(|| Readers::new(model, &pair.units))?];
    // The largest activations of all channels of B's layer, picture after picture.
    let mut beside: Vec<Vec<f32>> = Vec::new();
    let mut all_channels = |at: usize, readers: &[Readers]| {
        if at < even && pair.units[1].channel().is_some() {
            beside.push(readers[0].largest(1));
        }
    };
    let peaks = measure(run, &mut readers, &[input], images, job.data.as_ref(), &mut all_channels)?;
    let measured: Vec<Measured> =
        peaks.into_iter().map(|(at, peaks)| Measured { at, peaks: [peaks[0], peaks[1]] }).collect();
    let spread = measured.iter().take_while(|measured| measured.at < even).count();
    let evenly = &measured[..spread];
    let agreement = |of: fn(&oneiro::layer_maps::Peak) -> f32| {
        Agreement::of(&values_of(evenly, 0, of), &values_of(evenly, 1, of))
    };
    let of_a = values_of(evenly, 0, |peak| peak.largest);
    let channels = beside.first().map_or(0, Vec::len);
    let with_a = |channel: usize| {
        let of_channel: Vec<f32> = beside.iter().map(|picture| picture[channel]).collect();
        pearson(&of_a, &of_channel)
    };
    let with_all: Vec<Option<f64>> = (0..channels).map(with_a).collect();
    let activations = ActivationAgreement {
        synthetic: matches!(images, Images::Probes),
        largest: agreement(|peak| peak.largest),
        baseline: pair.baseline(&with_all),
        mean: agreement(|peak| peak.mean),
        positions: found.map(InScan::positions).transpose()?.flatten(),
    };
    Ok((measured, spread, activations))
}
