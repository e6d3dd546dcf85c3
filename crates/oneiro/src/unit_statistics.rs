//! Statistics of a layer's units over a data set, gathered image by image in bounded memory.
//!
//! Interface: a [`LayerStatistics`] takes the layer's responses to one image after another
//! ([`LayerStatistics::add`]). It can be merged with the statistics of further images
//! ([`LayerStatistics::merge`]). Lists of images do not depend on the order of the images. Sums do, in their
//! last bits. To get the same bytes from several machines, add images in groups of a fixed size, and merge
//! the groups in order.
//!
//! | gathered | by |
//! |---|---|
//! | strongest and weakest images, by the largest activation and by the mean | [`Ranking`] |
//! | mean, variance, largest activation, share of positions above zero | [`Moments`] |
//! | mean and largest activation for the images of each class | [`ClassResponse`] |
//! | activations at positions drawn at random, for [`quantiles`] and a [`histogram`] | [`LayerStatistics`] |

mod classes;
mod layer;
mod moments;
mod ranking;
mod sample;

pub use classes::ClassResponse;
pub use layer::{LayerStatistics, Seen, Source};
pub use moments::Moments;
pub use ranking::{Example, Order, Ranking};
pub(crate) use sample::dot;
pub use sample::{NormalSample, histogram, quantiles};

use oneiro_net::summary::ChannelSummary;

use crate::layer_relevance::Relevance;

/// A unit's response to one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Response {
    /// The image's index in the data set.
    pub image: u32,
    /// The largest activation anywhere in the map; NaN if no position is finite.
    pub largest: f32,
    /// The largest value before the layer's ReLU; without a ReLU, the same as `largest`. Images whose
    /// activations are all zero are ordered by this value.
    pub before: f32,
    /// The position of the largest activation, counted row by row.
    pub place: u32,
    /// Mean, spread and maximum of the map's activations.
    pub moments: Moments,
    /// Mean of the map's values before the layer's ReLU.
    pub mean_before: f32,
}

impl Response {
    /// Converts the summary of a map with `positions` positions. The layer's activation function clamps to
    /// the bounds `low` and `high`.
    pub fn new(image: u32, summary: ChannelSummary<'_>, positions: usize, [low, high]: [f32; 2]) -> Self {
        let largest = summary.largest().max(low).min(high);
        let not_finite = u64::from(summary.not_finite());
        let count = (positions as u64).saturating_sub(not_finite);
        let mean = f64::from(summary.clipped_mean());
        let moments = if count == 0 {
            Moments { not_finite, ..Moments::default() }
        } else {
            let spread = f64::from(summary.clipped_variance()) * count as f64;
            let (active, maximum) = (u64::from(summary.active()), largest);
            Moments { count, not_finite, active, maximum, mean, spread }
        };
        Self {
            image,
            largest: if count == 0 { f32::NAN } else { largest },
            before: summary.largest(),
            place: summary.place() as u32,
            moments,
            mean_before: summary.mean(),
        }
    }
}

/// Statistics of one unit over a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitStatistics {
    /// Images with the largest activations anywhere in the map.
    pub best: Ranking,
    /// Images whose largest activation is the smallest.
    pub worst: Ranking,
    /// Images with the largest mean over the map.
    pub best_by_mean: Ranking,
    /// Mean, spread and maximum of activations over all positions of all images.
    pub moments: Moments,
}

impl UnitStatistics {
    /// Creates empty statistics. Each list holds up to `examples` images.
    pub fn new(examples: usize) -> Self {
        Self {
            best: Ranking::new(Order::Largest, examples),
            worst: Ranking::new(Order::Smallest, examples),
            best_by_mean: Ranking::new(Order::Largest, examples),
            moments: Moments::default(),
        }
    }

    /// Adds an image. It enters the lists only if it is `listed`, ranked by `relevance` if that is given.
    /// Positions that are not finite are counted and otherwise ignored.
    pub fn add(&mut self, response: &Response, listed: bool, relevance: Option<Relevance>) {
        self.moments.merge(&response.moments);
        if response.moments.count == 0 || !listed {
            return;
        }
        let Response { image, largest, before, place, moments, mean_before } = *response;
        if let Some(Relevance { largest, place, mean }) = relevance {
            if !largest.is_finite() {
                return;
            }
            let example = Example { image, value: largest, before: largest, place };
            self.best.insert(example);
            self.worst.insert(example);
            self.best_by_mean.insert(Example { value: mean, before: mean, ..example });
            return;
        }
        let example = Example { image, value: largest, before, place };
        self.best.insert(example);
        self.worst.insert(example);
        self.best_by_mean.insert(Example { value: moments.mean as f32, before: mean_before, ..example });
    }

    /// Adds the statistics of the same unit over other images.
    pub fn merge(&mut self, other: &Self) {
        self.best.merge(&other.best);
        self.worst.merge(&other.worst);
        self.best_by_mean.merge(&other.best_by_mean);
        self.moments.merge(&other.moments);
    }
}

#[cfg(test)]
mod tests;
