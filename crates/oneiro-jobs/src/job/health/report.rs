//! The report on a network's health.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::bias::{CHANCE, ClassHealth, WithoutColor};
use super::verdict::Verdict;
use crate::job::scan::Accuracy;

/// The health of a network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthReport {
    /// The layers with filters, in the network's order.
    pub layers: Vec<LayerHealth>,
    /// The classes, in the network's order.
    pub classes: Vec<ClassHealth>,
    /// What the verdicts rest on: the data, or "synthetic pictures".
    pub data: String,
    /// Number of images.
    pub images: usize,
    /// How many images whose class is known are named rightly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// What the images of each class are named, if their classes are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusions: Vec<ClassConfusion>,
    /// What some of these images are named without their colours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_color: Option<WithoutColor>,
    /// Number of classes that the network tells apart; 0 if it names none.
    pub classes_of_network: usize,
    /// What could not be judged, and why.
    pub not_judged: Vec<String>,
}

/// What the images of a class are named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassConfusion {
    /// The class.
    pub class: String,
    /// Number of its images.
    pub images: usize,
    /// How many of them are named rightly.
    pub right: usize,
    /// What the others are named, and how many, the most frequent first.
    pub named: Vec<(String, usize)>,
}

/// The health of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerHealth {
    /// The layer behind its activation function.
    pub name: String,
    /// Its other names, and those of the values of the same channels in front of it.
    pub aliases: Vec<String>,
    /// Numbers of the whole layer.
    pub summary: LayerSummary,
    /// The filters, by channel.
    pub units: Vec<UnitHealth>,
}

/// Numbers of a whole layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSummary {
    /// The effective number of different filters: the participation ratio of the eigenvalues of their
    /// correlation matrix.
    pub effective_rank: Option<f64>,
    /// Number of filters with each verdict.
    pub verdicts: BTreeMap<Verdict, usize>,
}

/// The health of a filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitHealth {
    /// The channel.
    pub channel: usize,
    /// The verdict.
    pub verdict: Verdict,
    /// How sure the verdict is, from 0 to 1.
    pub confidence: f64,
    /// Of a duplicate, the channel that it equals.
    pub of: Option<usize>,
    /// Why it has this verdict, in a sentence; empty for a healthy filter.
    pub why: String,
    /// Further findings.
    pub tags: Vec<String>,
    /// The numbers that the verdict rests on.
    pub evidence: BTreeMap<&'static str, Value>,
}

impl HealthReport {
    /// Whether the network names hardly more images rightly than by chance.
    pub fn is_near_chance(&self) -> bool {
        let chance = CHANCE / self.classes_of_network.max(1) as f64;
        self.accuracy.is_some_and(|of| (of.right as f64) < chance * of.known as f64)
    }

    /// Number of filters.
    pub fn units(&self) -> usize {
        self.layers.iter().map(|layer| layer.units.len()).sum()
    }

    /// Number of filters with a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.layers.iter().map(|layer| layer.count(verdict)).sum()
    }

    /// Number of filters with a verdict that is no guess ([`UnitHealth::is_sure`]).
    pub fn sure(&self, verdict: Verdict) -> usize {
        let units = self.layers.iter().flat_map(|layer| &layer.units);
        units.filter(|unit| unit.verdict == verdict && unit.is_sure()).count()
    }
}

/// Confidence below which a verdict is a guess.
const SURE: f64 = 0.5;
const SURE_OF_NOISE: f64 = 0.7;

impl UnitHealth {
    /// Whether the verdict is no guess: its confidence is at least 0.5, and 0.7 for noise.
    pub fn is_sure(&self) -> bool {
        let least = if self.verdict == Verdict::Noise { SURE_OF_NOISE } else { SURE };
        self.verdict == Verdict::Healthy || self.confidence >= least
    }
}

impl LayerHealth {
    /// Number of the layer's filters with a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.summary.verdicts.get(&verdict).copied().unwrap_or(0)
    }
}
