//! Writes the results of a scan into an SQLite file.

use std::path::Path;

use oneiro::layer_summaries::SummarizedLayer;
use oneiro::unit_statistics::{LayerStatistics, NormalSample, Ranking};
use rayon::prelude::*;
use rusqlite::{Connection, Transaction, params};

use super::error::StoreError;
use super::{List, SCHEMA_VERSION};
use crate::job::scan::block::Block;
use crate::job::scan::layers::{LayerKind, ScannedLayer};
use crate::source::dataset::Dataset;

/// How many correlated units of the same layer are stored for each unit.
const CORRELATED: usize = 8;
/// Correlations below this many standard errors, for independent samples, are not stored.
const ERRORS: f32 = 3.0;
/// Smallest number of samples for which correlations are computed.
const LEAST_SAMPLES: usize = 64;
/// Layers with more units than this get no correlations, because computing all pairs would take too long.
pub(crate) const MOST_UNITS: usize = 4096;

/// Everything that a scan's file stores.
pub(crate) struct Content<'a> {
    /// Entries of the table `meta`, which describes the scan as a whole.
    pub meta: Vec<(String, String)>,
    pub dataset: &'a Dataset,
    /// The network's class for each class of the data set, if it is known.
    pub labels_of: &'a [Option<usize>],
    /// Names of the network's classes.
    pub labels: Vec<String>,
    pub layers: &'a [ScannedLayer],
    pub summarized: &'a [SummarizedLayer],
    pub found: &'a Block,
    /// Thumbnails of example images, as the network saw them, by the image's index.
    pub thumbnails: Vec<(u32, Vec<u8>)>,
}

/// Writes a new SQLite file at `path`, in a temporary folder inside `folder`. Errors name `folder`.
pub(crate) fn write(folder: &Path, path: &Path, content: &Content<'_>) -> Result<(), StoreError> {
    let refused = |why| StoreError::Write { folder: folder.to_owned(), why };
    let mut database = Connection::open(path).map_err(refused)?;
    let all = |database: &mut Connection| -> rusqlite::Result<()> {
        // The file has no readers yet, and is deleted if anything fails. It therefore needs no protection
        // against interruptions.
        database
            .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA page_size = 8192;")?;
        database.execute_batch(include_str!("schema.sql"))?;
        database.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        let transaction = database.transaction()?;
        data_set(&transaction, content)?;
        let mut unit = 0;
        for (number, layer) in content.layers.iter().enumerate() {
            layer_row(&transaction, number, layer, &content.summarized[number])?;
            let statistics = &content.found.layers[number];
            units(&transaction, number, &mut unit, statistics, content)?;
        }
        transaction.commit()
    };
    all(&mut database).map_err(refused)?;
    database.close().map_err(|(_, error)| refused(error))
}

fn data_set(to: &Transaction<'_>, content: &Content<'_>) -> rusqlite::Result<()> {
    let Content { dataset, labels_of, found, .. } = content;
    for (key, value) in &content.meta {
        to.execute("INSERT INTO meta VALUES (?, ?)", [key, value])?;
    }
    for (label, name) in content.labels.iter().enumerate() {
        to.prepare_cached("INSERT INTO labels VALUES (?, ?)")?.execute(params![label as i64, name])?;
    }
    let mut seen = vec![None; dataset.images.len()];
    for image in &found.images {
        seen[image.image as usize] = Some(image);
    }
    let mut named: Vec<Vec<u32>> = vec![Vec::new(); dataset.classes.len()];
    let mut counts = vec![0i64; dataset.classes.len()];
    for (number, (image, seen)) in dataset.images.iter().zip(&seen).enumerate() {
        if let (Some(class), Some(seen)) = (image.class, seen) {
            counts[class as usize] += 1;
            named[class as usize].extend(seen.named.map(|(label, _)| label));
        }
        let label = seen.and_then(|seen| seen.named);
        to.prepare_cached("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
            number as i64,
            image.file,
            image.bytes as i64,
            image.class,
            seen.map(|seen| seen.size[0]),
            seen.map(|seen| seen.size[1]),
            label.map(|(label, _)| label),
            label.map(|(_, probability)| f64::from(probability)),
            image.duplicate_of,
        ])?;
    }
    for (class, name) in dataset.classes.iter().enumerate() {
        let label = labels_of[class];
        let of_class = &mut named[class];
        of_class.sort_unstable();
        let right = of_class.iter().filter(|named| Some(**named as usize) == label).count();
        to.execute(
            "INSERT INTO classes VALUES (?, ?, ?, ?, ?)",
            params![class as i64, name, label.map(|label| label as i64), counts[class], right as i64],
        )?;
        for same in of_class.chunk_by(|a, b| a == b) {
            to.execute(
                "INSERT INTO confusions VALUES (?, ?, ?)",
                params![class as i64, same[0], same.len() as i64],
            )?;
        }
    }
    let mut problems: Vec<_> = dataset.problems.iter().chain(&found.problems).collect();
    problems.sort();
    for problem in problems {
        to.execute(
            "INSERT INTO problems VALUES (?, ?, ?)",
            [problem.file.as_str(), problem.kind.name(), problem.why.as_str()],
        )?;
    }
    for (image, picture) in &content.thumbnails {
        to.execute("INSERT INTO thumbnails VALUES (?, ?)", params![image, picture])?;
    }
    Ok(())
}

fn layer_row(
    to: &Transaction<'_>,
    number: usize,
    layer: &ScannedLayer,
    summarized: &SummarizedLayer,
) -> rusqlite::Result<()> {
    let json = |value: serde_json::Value| value.to_string();
    let field = layer.field.as_ref().filter(|field| field.is_regular).map(|field| {
        json(serde_json::json!({ "extent": field.extent, "stride": field.stride, "first": field.first }))
    });
    let kind = match layer.kind {
        LayerKind::Features => "features",
        LayerKind::Classes => "classes",
        LayerKind::Directions => "directions",
    };
    to.execute(
        "INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            number as i64,
            layer.name,
            json(layer.aliases.clone().into()),
            json(serde_json::json!(layer.forms)),
            kind,
            summarized.channels as i64,
            json(summarized.map.clone().into()),
            field,
        ],
    )?;
    Ok(())
}

fn units(
    to: &Transaction<'_>,
    layer: usize,
    unit: &mut i64,
    statistics: &LayerStatistics,
    content: &Content<'_>,
) -> rusqlite::Result<()> {
    let first = *unit;
    let classes = content.dataset.classes.len();
    let samples: Vec<Vec<f32>> =
        (0..statistics.units.len()).map(|channel| statistics.samples_of(channel)).collect();
    let correlated = correlated(&samples);
    let responses: Vec<_> = (0..classes).map(|class| statistics.classes.get(&(class as u32))).collect();
    for (channel, of_unit) in statistics.units.iter().enumerate() {
        let moments = &of_unit.moments;
        let known = moments.count > 0;
        to.prepare_cached("INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
            *unit,
            layer as i64,
            channel as i64,
            known.then_some(f64::from(moments.maximum)),
            moments.mean(),
            moments.variance(),
            moments.fraction_active(),
            moments.count as i64,
            moments.not_finite as i64,
        ])?;
        let lists = [&of_unit.best, &of_unit.worst, &of_unit.best_by_mean];
        for (list, ranking) in List::ALL.into_iter().zip(lists) {
            examples(to, *unit, list, ranking)?;
        }
        if classes > 0 {
            let mut blobs = [(); 3].map(|()| Vec::with_capacity(classes * 4));
            for of_class in &responses {
                let found = of_class.map(|of| of[channel]).filter(|response| response.count > 0);
                let mean = found.and_then(|r| r.mean()).map_or(f32::NAN, |mean| mean as f32);
                blobs[0].extend(mean.to_le_bytes());
                blobs[1].extend(found.map_or(f32::NAN, |r| r.maximum).to_le_bytes());
                blobs[2].extend(found.map_or(u32::MAX, |r| r.best).to_le_bytes());
            }
            let [mean, maximum, best] = blobs;
            to.prepare_cached("INSERT INTO responses VALUES (?, ?, ?, ?)")?
                .execute(params![*unit, mean, maximum, best])?;
        }
        let activations: Vec<u8> = samples[channel].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        to.prepare_cached("INSERT INTO samples VALUES (?, ?)")?.execute(params![*unit, activations])?;
        for (rank, &(other, correlation)) in correlated[channel].iter().enumerate() {
            to.prepare_cached("INSERT INTO correlations VALUES (?, ?, ?, ?)")?.execute(params![
                *unit,
                rank as i64,
                first + other as i64,
                f64::from(correlation)
            ])?;
        }
        *unit += 1;
    }
    Ok(())
}

fn examples(to: &Transaction<'_>, unit: i64, list: List, ranking: &Ranking) -> rusqlite::Result<()> {
    let mut insert = to.prepare_cached("INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?)")?;
    for (rank, example) in ranking.examples().iter().enumerate() {
        insert.execute(params![
            unit,
            list.number(),
            rank as i64,
            example.image,
            f64::from(example.value),
            f64::from(example.before),
            example.place,
        ])?;
    }
    Ok(())
}

/// Returns for each unit the units of its layer whose sampled activations are most correlated with it.
fn correlated(samples: &[Vec<f32>]) -> Vec<Vec<(usize, f32)>> {
    let count = samples.first().map_or(0, Vec::len);
    if count < LEAST_SAMPLES || samples.len() > MOST_UNITS {
        return vec![Vec::new(); samples.len()];
    }
    let least = ERRORS / (count as f32).sqrt();
    let normal: Vec<Option<NormalSample>> = samples.par_iter().map(|of| NormalSample::new(of)).collect();
    // Each pair of units is computed once: a unit with those after it.
    let behind = |unit: usize| -> Vec<f32> {
        let with = |other: &Option<NormalSample>| match (&normal[unit], other) {
            (Some(own), Some(other)) => own.correlation(other),
            _ => 0.0,
        };
        normal[unit + 1..].iter().map(with).collect()
    };
    let pairs: Vec<Vec<f32>> = (0..samples.len()).into_par_iter().map(behind).collect();
    let strongest = |unit: usize| {
        let before = (0..unit).map(|other| (other, pairs[other][unit - other - 1]));
        let after = pairs[unit].iter().enumerate().map(|(i, &correlation)| (unit + 1 + i, correlation));
        let all = before.chain(after).filter(|(_, correlation)| correlation.abs() >= least);
        let mut all: Vec<(usize, f32)> = all.collect();
        all.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        all.truncate(CORRELATED);
        all
    };
    (0..samples.len()).into_par_iter().map(strongest).collect()
}
