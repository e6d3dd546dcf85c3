//! Measures what each filter does: on pictures, on noise, and with its input shuffled.

use oneiro::filters::kernel_shapes::{KernelShape, kernel_shapes};
use oneiro::filters::probes::{Probe, probe_of};
use oneiro::filters::shuffled::ShuffledSession;
use oneiro::filters::{Behind, FilterLayer};
use oneiro::layer_summaries::SummarySession;
use oneiro::model::unit_layers::{UnitLayer, UnitPart};
use oneiro::unit_statistics::Moments;
use oneiro_media::Image;

use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::task::Task;

/// Pictures of noise, and pictures of dead leaves where no data is given.
const PROBES: usize = 48;
/// Images of the data that are run again: enough for variances, whatever the data's size.
pub(super) const IMAGES: usize = 64;
/// Positions that are sampled in each picture, to compare units.
const SAMPLES: usize = 24;

/// What was measured of a unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UnitFacts {
    /// In front of the activation function, over the pictures.
    pub pictures: Moments,
    /// In front of the activation function, over white noise.
    pub noise: Moments,
    /// Mean of the part above zero, over the pictures and over white noise.
    pub positive: [f64; 2],
    /// Variance over shuffled positions of the layer's input, as a multiple of that over the real ones. NaN
    /// where the order of positions does not matter.
    pub shuffled: f64,
    /// The shape of its kernel, if it has several taps.
    pub kernel: Option<KernelShape>,
    /// Sampled values in front of the activation function, at the same positions for all units of the layer.
    pub samples: Vec<f32>,
}

impl UnitFacts {
    /// Standard deviation on noise as a multiple of that on pictures, in front of the activation function.
    /// NaN if it is constant on both.
    pub(super) fn noise_gain(&self) -> f64 {
        deviation(&self.noise) / deviation(&self.pictures)
    }

    /// Mean of the part above zero on noise as a multiple of that on pictures. NaN if it is never above zero.
    pub(super) fn answer_to_noise(&self) -> f64 {
        self.positive[1] / self.positive[0]
    }
}

/// The standard deviation of moments.
pub(super) fn deviation(moments: &Moments) -> f64 {
    (moments.spread / moments.count.max(1) as f64).sqrt()
}

/// Measures all units of the layers. Without pictures, dead leaves take their place.
///
/// # Errors
/// If the network cannot be run, or the work is cancelled.
pub(super) fn measure(
    context: &Context,
    model: &LoadedModel,
    layers: &[FilterLayer],
    pictures: &[Image],
) -> Result<Vec<Vec<UnitFacts>>> {
    // What is above zero is summed apart.
    let positive = [0.0, f32::INFINITY];
    let units: Vec<UnitLayer> = layers
        .iter()
        .map(|layer| {
            let part = UnitPart { read: layer.before, clip: positive, projection: layer.projection.clone() };
            UnitLayer { value: layer.before, parts: vec![part], forms: Vec::new() }
        })
        .collect();
    let values: Vec<_> = layers.iter().map(|layer| layer.before).collect();
    let batch = if model.model.keeps_pictures_apart(&values, None) { context.threads() } else { 1 };
    let shapes = model.model.input_shapes(batch, None)?;
    let compile = if model.takes_clips() { SummarySession::of_clips } else { SummarySession::new };
    let mut plain = context.compute(|| compile(&model.model, &units, false, &shapes, SAMPLES))?;
    let mut shuffled = context.compute(|| ShuffledSession::new(&model.model, layers, &shapes))?;
    let count = if pictures.is_empty() { PROBES } else { pictures.len() };
    let mut task = Task::new(context, "measuring filters", (2 * count + PROBES) as u64);
    let inputs = plain.inputs().to_vec();
    // The display image of picture `i` for each input.
    let shown = |kind: Probe, i: usize| -> Vec<Vec<f32>> {
        match (kind, pictures.get(i)) {
            (Probe::DeadLeaves, Some(picture)) => vec![picture.colors().to_vec()],
            _ => inputs.iter().map(|input| probe_of(kind, input, i as u64)).collect(),
        }
    };
    let mut gathered: Vec<[Vec<Moments>; 2]> =
        layers.iter().map(|l| [0, 1].map(|_| vec![Moments::default(); l.channels])).collect();
    let mut positives: Vec<Vec<[f64; 2]>> = layers.iter().map(|l| vec![[0.0; 2]; l.channels]).collect();
    let mut samples: Vec<Vec<Vec<f32>>> = layers.iter().map(|l| vec![Vec::new(); l.channels]).collect();
    for (which, (kind, count)) in
        [(Probe::DeadLeaves, count), (Probe::WhiteNoise, PROBES)].into_iter().enumerate()
    {
        let numbers: Vec<usize> = (0..count).collect();
        for some in numbers.chunks(batch) {
            context.check()?;
            let run: Vec<Vec<Vec<f32>>> =
                (0..batch).map(|entry| shown(kind, some[entry.min(some.len() - 1)])).collect();
            let seed = |entry: usize| some[entry.min(some.len() - 1)] as u32;
            context.compute(|| plain.run(seed, |entry, input| &run[entry][input]));
            for (i, layer) in layers.iter().enumerate() {
                let positions = plain.layers()[i].positions();
                for entry in 0..some.len() {
                    for piece in plain.summaries(i, entry) {
                        for channel in 0..layer.channels {
                            let summary = piece.of(channel);
                            gathered[i][which][channel].merge(&raw_moments(summary, positions));
                            positives[i][channel][which] += f64::from(summary.clipped_mean()) / count as f64;
                            let sampled = summary.samples().iter().take(positions);
                            samples[i][channel].extend(sampled);
                        }
                    }
                }
            }
            if which == 0 {
                context.compute(|| shuffled.add(some.len(), |entry, input| &run[entry][input]));
                task.advance(some.len() as u64);
            }
            task.advance(some.len() as u64);
        }
    }
    let ratios = shuffled.ratios();
    let mut found = Vec::new();
    for ((((layer, [pictures, noise]), samples), ratios), positives) in
        layers.iter().zip(gathered).zip(samples).zip(ratios).zip(positives)
    {
        let kernels = kernel_shapes(&model.model, layer).unwrap_or_default();
        let units = pictures.into_iter().zip(noise).zip(samples).enumerate();
        let facts = |(channel, ((pictures, noise), samples))| UnitFacts {
            pictures,
            noise,
            positive: positives[channel],
            shuffled: ratios.as_ref().map_or(f64::NAN, |ratios| ratios[channel]),
            kernel: kernels.get(channel).copied().flatten(),
            samples,
        };
        found.push(units.map(facts).collect());
    }
    Ok(found)
}

/// The moments of a map that is not clamped.
fn raw_moments(summary: oneiro_net::summary::ChannelSummary<'_>, positions: usize) -> Moments {
    let not_finite = u64::from(summary.not_finite());
    let count = (positions as u64).saturating_sub(not_finite);
    if count == 0 {
        return Moments { not_finite, ..Moments::default() };
    }
    Moments {
        count,
        not_finite,
        active: u64::from(summary.active()),
        maximum: summary.largest(),
        mean: f64::from(summary.mean()),
        spread: f64::from(summary.variance()) * count as f64,
    }
}

/// Whether "active" means something behind this function.
pub(super) fn has_threshold(behind: Behind) -> bool {
    matches!(behind, Behind::Clamp(_) | Behind::Other)
}
