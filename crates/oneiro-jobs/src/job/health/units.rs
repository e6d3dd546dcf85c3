//! Judges all units of a network.

use std::collections::BTreeMap;

use oneiro::filters::kernel_shapes::KernelShape;
use oneiro::filters::{Behind, FilterLayer};
use oneiro_media::Image;
use serde_json::{Value, json};

use super::Chosen;
use super::duplicates::{Compared, compare};
use super::facts::{IMAGES, UnitFacts, deviation, measure};
use super::pictures::some_images;
use super::report::{ClassConfusion, HealthReport, LayerHealth, LayerSummary, UnitHealth};
use super::verdict::{
    Seen, Spread, Typical, Verdict, certainty, certainty_of_copy, is_always_on, is_dead, median, noise_score,
};
use super::words::reason;
use crate::error::Result;
use crate::job::Run;
use crate::job::scan::Accuracy;
use crate::numbers::rounded;
use crate::store::ScanFile;
use crate::store::read::{Breadth, LayerRecord, UnitClasses};

/// Selectivity from which a unit counts as a detector of a class: the class's mean is at least seven times
/// the mean of the others.
const DETECTOR: f64 = 0.75;
/// Share of active positions from which a unit counts as nearly always on.
const NEARLY_ALWAYS: f64 = 0.99;
/// Share of active positions up to which a unit counts as nearly dead.
const NEARLY_NEVER: f64 = 1e-4;
/// Score from which a unit that counts as healthy is tagged.
const PERHAPS: f64 = 0.3;
/// The tag of such a unit.
pub(super) const PERHAPS_NOISE: &str = "perhaps_noise";
/// Score from which a unit counts as chasing noise.
const NOISE: f64 = 0.5;

/// A scanned layer, and the first of its channels that belongs to the filters.
pub(super) type Scanned<'a> = (&'a LayerRecord, usize);

pub(super) fn judge(run: &Run<'_>, layers: &[Chosen], scan: Option<&ScanFile>) -> Result<HealthReport> {
    let model = run.model()?;
    let names = model.model.names();
    let mut not_judged = Vec::new();
    let mut judged: Vec<(&FilterLayer, Vec<String>, Option<Scanned<'_>>)> = Vec::new();
    for Chosen { layer, name } in layers {
        // The name behind the activation function, then the names of the values in front of it.
        let of_values = || {
            std::iter::once(&layer.value)
                .chain(layer.forms.iter().rev().filter(|form| **form != layer.value))
                .flat_map(|value| names.of(*value))
                .collect()
        };
        let all: Vec<String> = name.as_ref().map_or_else(of_values, |name| vec![name.clone()]);
        match scan {
            None => judged.push((layer, all, None)),
            Some(scan) => match scanned(scan, &all) {
                Some(found) => judged.push((layer, all, Some(found))),
                None => not_judged.push(format!("{}: the scan does not have this layer", all[0])),
            },
        }
    }
    let pictures: Vec<Image> = match scan {
        Some(scan) if !model.takes_clips() => some_images(run.context, scan, IMAGES)?,
        _ => Vec::new(),
    };
    let filters: Vec<FilterLayer> = judged.iter().map(|(layer, ..)| (*layer).clone()).collect();
    let measured = measure(run.context, model, &filters, &pictures)?;
    let mut found = Vec::new();
    for ((layer, mut names, scanned), facts) in judged.into_iter().zip(measured) {
        run.context.check()?;
        let seen = match (scan, scanned) {
            (Some(scan), Some(scanned)) => seen_in_scan(scan, scanned, layer.channels)?,
            _ => facts.iter().map(seen_in_probes).collect(),
        };
        let classes = match (scan, scanned) {
            (Some(scan), Some((record, first))) => {
                let all = scan.unit_classes(record)?;
                all.into_iter().skip(first).take(layer.channels).collect()
            }
            _ => vec![UnitClasses::default(); layer.channels],
        };
        let name = names.remove(0);
        let mut unique: Vec<String> = Vec::new();
        names.into_iter().filter(|alias| *alias != name).for_each(|alias| {
            if !unique.contains(&alias) {
                unique.push(alias);
            }
        });
        found.push(of_layer((name, unique), layer, &facts, &seen, &classes, run)?);
    }
    Ok(HealthReport {
        layers: found,
        classes: Vec::new(),
        data: scan.map_or_else(
            || "synthetic pictures".to_owned(),
            |scan| scan.meta("data").unwrap_or_default().to_owned(),
        ),
        images: scan.map_or(Ok(0), ScanFile::image_count)?,
        accuracy: scan.map(accuracy).transpose()?.flatten(),
        without_color: None,
        confusions: scan.map(confusions).transpose()?.unwrap_or_default(),
        classes_of_network: model.model.class_count().unwrap_or(0),
        not_judged,
    })
}

/// How many images of a scan are named rightly, if the class of any is known.
fn accuracy(scan: &ScanFile) -> Result<Option<Accuracy>> {
    let (known, right) = scan.accuracy()?;
    Ok((known > 0).then_some(Accuracy { known, right }))
}

/// What the images of each class that the network knows are named.
fn confusions(scan: &ScanFile) -> Result<Vec<ClassConfusion>> {
    let mut found = Vec::new();
    for (number, class) in scan.classes()?.iter().enumerate() {
        let Some(own) = class.label else { continue };
        let mut named = Vec::new();
        for (label, images) in scan.confusions(number)? {
            if label != own {
                named.push((scan.label(label)?, images));
            }
        }
        let (class, images, right) = (class.name.clone(), class.images, class.right);
        found.push(ClassConfusion { class, images, right, named });
    }
    Ok(found)
}

/// The scanned layer with one of these names, and the first of its channels that belongs to the name.
pub(in crate::job::health) fn scanned<'a>(scan: &'a ScanFile, names: &[String]) -> Option<Scanned<'a>> {
    let own = |layer: &&LayerRecord| names.contains(&layer.name);
    if let Some(layer) = scan.layers().iter().find(own) {
        return Some((layer, 0));
    }
    let form = |layer: &'a LayerRecord| {
        layer.forms.iter().find(|form| names.contains(&form.name)).map(|form| (layer, form.first))
    };
    scan.layers().iter().find_map(form)
}

fn seen_in_scan(scan: &ScanFile, (layer, first): Scanned<'_>, channels: usize) -> Result<Vec<Seen>> {
    let images = scan.image_count()?;
    let before = scan.largest_before(layer)?;
    let units = scan.units(layer)?;
    let seen = units.iter().skip(first).take(channels).map(|unit| Seen {
        maximum: unit.maximum.unwrap_or(f64::NAN),
        active: unit.fraction_active.unwrap_or(f64::NAN),
        positions: unit.positions,
        images,
        before: before.get(&unit.channel).copied(),
    });
    Ok(seen.collect())
}

/// What the synthetic pictures and the noise did to a unit.
fn seen_in_probes(facts: &UnitFacts) -> Seen {
    let mut all = facts.pictures;
    all.merge(&facts.noise);
    Seen {
        maximum: f64::from(all.maximum),
        active: all.active as f64 / all.count.max(1) as f64,
        positions: all.count,
        images: 0,
        before: Some(f64::from(all.maximum)),
    }
}

fn of_layer(
    (name, aliases): (String, Vec<String>),
    layer: &FilterLayer,
    facts: &[UnitFacts],
    seen: &[Seen],
    classes: &[UnitClasses],
    run: &Run<'_>,
) -> Result<LayerHealth> {
    let typical = typical(facts, seen);
    let verdicts: Vec<(Verdict, f64)> = facts
        .iter()
        .zip(seen)
        .map(|(facts, seen)| {
            if is_dead(seen, facts, layer.behind, &typical) {
                return (Verdict::Dead, certainty(seen, facts));
            }
            if is_always_on(seen, layer.behind) {
                return (Verdict::AlwaysOn, certainty(seen, facts));
            }
            let score = noise_score(facts, &typical);
            if score >= NOISE { (Verdict::Noise, score) } else { (Verdict::Healthy, 1.0 - score) }
        })
        .collect();
    let judged: Vec<bool> = verdicts.iter().map(|(verdict, _)| *verdict == Verdict::Healthy).collect();
    let compared = run.context.compute(|| compare(facts, &judged));
    let Compared { copies, effective_rank } =
        compared.unwrap_or_else(|| Compared { copies: vec![None; facts.len()], effective_rank: None });
    let mut units = Vec::new();
    for (channel, ((facts, seen), classes)) in facts.iter().zip(seen).zip(classes).enumerate() {
        let (mut verdict, mut confidence) = verdicts[channel];
        let mut evidence = evidence(facts, seen, layer.behind, &typical);
        if let Some(copy) = &copies[channel] {
            (verdict, confidence) = (Verdict::Duplicate, certainty_of_copy(copy));
            evidence.insert("factor", number(copy.factor));
            evidence.insert("correlation", number(copy.correlation));
        }
        let score = noise_score(facts, &typical);
        let mut tags = tags(verdict, seen, layer.behind, classes);
        if verdict == Verdict::Healthy && score >= PERHAPS {
            tags.push(PERHAPS_NOISE.to_owned());
        }
        let mut unit = UnitHealth {
            channel,
            verdict,
            confidence,
            of: copies[channel].map(|copy| copy.of),
            why: String::new(),
            tags,
            evidence,
        };
        unit.why = reason(&unit);
        units.push(unit);
    }
    let mut counts = BTreeMap::new();
    units.iter().for_each(|unit| *counts.entry(unit.verdict).or_insert(0) += 1);
    Ok(LayerHealth { name, aliases, summary: LayerSummary { effective_rank, verdicts: counts }, units })
}

/// The layer's medians.
fn typical(facts: &[UnitFacts], seen: &[Seen]) -> Typical {
    let logarithms =
        |of: &dyn Fn(&UnitFacts) -> f64| median(facts.iter().map(|facts| of(facts).ln()).collect());
    let kernels = |of: &dyn Fn(&KernelShape) -> f64| {
        let numbers: Vec<f64> = facts.iter().filter_map(|facts| facts.kernel.as_ref().map(of)).collect();
        Spread::of(&numbers)
    };
    Typical {
        maximum: median(seen.iter().map(|seen| seen.maximum.abs()).collect()),
        shuffled: logarithms(&|facts| facts.shuffled),
        gain: logarithms(&UnitFacts::noise_gain),
        answer: logarithms(&UnitFacts::answer_to_noise),
        smoothness: kernels(&|kernel| kernel.smoothness),
        mean_share: kernels(&|kernel| kernel.mean_share),
    }
}

fn evidence(
    facts: &UnitFacts,
    seen: &Seen,
    behind: Behind,
    typical: &Typical,
) -> BTreeMap<&'static str, Value> {
    let mut evidence = BTreeMap::from([
        ("maximum", number(seen.maximum)),
        ("fraction_active", number(seen.active)),
        ("images", json!(seen.images)),
        ("mean_before_activation", number(facts.pictures.mean)),
        ("deviation_before_activation", number(deviation(&facts.pictures))),
        ("noise_gain", number(facts.noise_gain())),
        ("noise_gain_of_layer", number(typical.gain.exp())),
        ("answer_to_noise", number(facts.answer_to_noise())),
        ("answer_to_noise_of_layer", number(typical.answer.exp())),
    ]);
    if let (Some(before), Behind::Clamp(_)) = (seen.before, behind) {
        evidence.insert("maximum_before_activation", number(before));
    }
    if facts.shuffled.is_finite() {
        evidence.insert("shuffled_gain", number(facts.shuffled));
        evidence.insert("shuffled_gain_of_layer", number(typical.shuffled.exp()));
    }
    if let Some(kernel) = facts.kernel {
        evidence.insert("kernel_smoothness", number(kernel.smoothness));
        evidence.insert("kernel_mean_share", number(kernel.mean_share));
        evidence.insert("noise_score", number(noise_score(facts, typical)));
    }
    evidence
}

/// A number for JSON, `null` if it is not finite.
fn number(value: f64) -> Value {
    if value.is_finite() { json!(rounded(value)) } else { Value::Null }
}

fn tags(verdict: Verdict, seen: &Seen, behind: Behind, classes: &UnitClasses) -> Vec<String> {
    let mut tags = Vec::new();
    if verdict != Verdict::Dead {
        if let Some((class, selectivity)) = &classes.selectivity
            && *selectivity >= DETECTOR
        {
            tags.push(format!("class_detector:{class}"));
        }
        if classes.breadth == Breadth::Most {
            tags.push("general".to_owned());
        }
    }
    if super::facts::has_threshold(behind) {
        if verdict != Verdict::AlwaysOn && seen.active > NEARLY_ALWAYS {
            tags.push("nearly_always_on".to_owned());
        }
        if verdict != Verdict::Dead && seen.active < NEARLY_NEVER {
            tags.push("nearly_dead".to_owned());
        }
    }
    tags
}
