//! Statistics of all units of a layer over a data set.

use std::collections::BTreeMap;

use super::{ClassResponse, Response, UnitStatistics};
use crate::layer_relevance::Relevance;
use crate::layer_summaries::Summaries;

/// An image of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The image's index in the data set.
    pub image: u32,
    /// The image's class in the data set, if it has one.
    pub class: Option<u32>,
    /// The number of positions sampled from this image.
    pub samples: usize,
    /// Whether the image may enter lists. Copies of another image may not.
    pub listed: bool,
}

/// The responses of a layer's units to one image.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// The image to which the layer responded.
    pub source: Source,
    /// The summaries of all channels, in consecutive pieces.
    pub pieces: Vec<Summaries<'a>>,
    /// The value for each channel by which the image is ranked in the channel's lists, if that is not the
    /// activation.
    pub relevance: Option<Vec<Relevance>>,
}

/// Statistics of a layer's units over a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerStatistics {
    /// Statistics of each unit, by channel.
    pub units: Vec<UnitStatistics>,
    /// Each unit's responses to the images of each class.
    pub classes: BTreeMap<u32, Vec<ClassResponse>>,
    /// Activations at random positions, `[sample, unit]`: the k-th sample of every unit comes from the same
    /// image and position.
    pub samples: Vec<f32>,
}

impl LayerStatistics {
    /// Creates empty statistics. Each list holds up to `examples` images.
    pub fn new(channels: usize, examples: usize) -> Self {
        Self {
            units: vec![UnitStatistics::new(examples); channels],
            classes: BTreeMap::new(),
            samples: Vec::new(),
        }
    }

    /// Adds images in their order. `positions` is the number of positions of a map.
    ///
    /// # Panics
    /// If the summaries of an image are not of all channels.
    pub fn add(&mut self, images: &[Seen<'_>], positions: usize) {
        let Some(Seen { pieces, .. }) = images.first() else { return };
        let channels = self.units.len();
        assert!(
            images.iter().all(|seen| seen.pieces.iter().map(|p| p.channels).sum::<usize>() == channels),
            "summaries of {channels} channels"
        );
        for class in images.iter().filter_map(|seen| seen.source.class) {
            self.classes.entry(class).or_insert_with(|| vec![ClassResponse::default(); channels]);
        }
        let mut first = 0;
        for (at, &Summaries { channels, clip, .. }) in pieces.iter().enumerate() {
            // The loop goes unit by unit, so that a unit's lists stay in the cache for all images.
            for channel in 0..channels {
                let unit = &mut self.units[first + channel];
                for Seen { source, pieces, relevance } in images {
                    let numbers = pieces[at].of(channel);
                    let relevance = relevance.as_ref().and_then(|of| of.get(first + channel)).copied();
                    unit.add(
                        &Response::new(source.image, numbers, positions, clip),
                        source.listed,
                        relevance,
                    );
                }
            }
            for Seen { source, pieces, .. } in images {
                let Some(of_class) = source.class.and_then(|class| self.classes.get_mut(&class)) else {
                    continue;
                };
                for channel in 0..channels {
                    let response = Response::new(source.image, pieces[at].of(channel), positions, clip);
                    of_class[first + channel].add(&response);
                }
            }
            first += channels;
        }
        for Seen { source, pieces, .. } in images {
            for sample in 0..source.samples.min(positions) {
                for piece in pieces {
                    let [low, high] = piece.clip;
                    let of = |channel| piece.of(channel).samples().get(sample).copied().unwrap_or(f32::NAN);
                    // A NaN stays a NaN, which `max` and `min` would replace.
                    let clipped = |value: f32| if value.is_nan() { value } else { value.max(low).min(high) };
                    self.samples.extend((0..piece.channels).map(|channel| clipped(of(channel))));
                }
            }
        }
    }

    /// Adds the statistics of the same layer over the images that follow.
    pub fn merge(&mut self, other: &Self) {
        for (unit, other) in self.units.iter_mut().zip(&other.units) {
            unit.merge(other);
        }
        for (class, responses) in &other.classes {
            let own = self.classes.entry(*class);
            let own = own.or_insert_with(|| vec![ClassResponse::default(); responses.len()]);
            own.iter_mut().zip(responses).for_each(|(own, other)| own.merge(other));
        }
        self.samples.extend(&other.samples);
    }

    /// Returns the sampled activations of a unit.
    pub fn samples_of(&self, channel: usize) -> Vec<f32> {
        self.samples.iter().skip(channel).step_by(self.units.len().max(1)).copied().collect()
    }
}
