//! What data does to the units of a layer, image by image in bounded memory.
//!
//! Shape of the concept: a [`LayerStatistics`] takes what one image after another does to a layer
//! ([`LayerStatistics::add`]) and can take what another has gathered of further images
//! ([`LayerStatistics::merge`]). Lists do not depend on the order of images. Sums do, in their last bits:
//! whoever wants the same bytes from several machines adds images in fixed runs, and merges the runs in
//! order.
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
pub use sample::{NormalSample, histogram, quantiles};

use oneiro_net::summary::ChannelSummary;

use crate::layer_relevance::Relevance;

/// What one image does to a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Response {
    /// The image's number in the data set.
    pub image: u32,
    /// The largest activation anywhere in the map; NaN if no position is a number.
    pub largest: f32,
    /// The largest value in front of the layer's ReLU; without a ReLU, `largest`. Images whose activations
    /// are all zero are ordered by it.
    pub before: f32,
    /// The position of the largest activation, counted row by row.
    pub place: u32,
    /// Moments of the map.
    pub moments: Moments,
    /// The mean in front of the layer's ReLU.
    pub mean_before: f32,
}

impl Response {
    /// Reads the summary of a map with `positions` positions, which a layer clips to the bounds.
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

/// Everything that is gathered of a unit alone.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitStatistics {
    /// Images with the largest activations anywhere in the map.
    pub best: Ranking,
    /// Images whose largest activation is the smallest.
    pub worst: Ranking,
    /// Images with the largest mean over the map.
    pub best_by_mean: Ranking,
    /// Of all positions of all images.
    pub moments: Moments,
}

impl UnitStatistics {
    /// Nothing yet. Lists hold `examples` images.
    pub fn new(examples: usize) -> Self {
        Self {
            best: Ranking::new(Order::Largest, examples),
            worst: Ranking::new(Order::Smallest, examples),
            best_by_mean: Ranking::new(Order::Largest, examples),
            moments: Moments::default(),
        }
    }

    /// Takes an image, into the lists only if it is `listed`, where relevance ranks it if that is given.
    /// Positions that are no numbers are counted and left out of everything else.
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

    /// Takes what another has gathered of the same unit from other images.
    pub fn merge(&mut self, other: &Self) {
        self.best.merge(&other.best);
        self.worst.merge(&other.worst);
        self.best_by_mean.merge(&other.best_by_mean);
        self.moments.merge(&other.moments);
    }
}

#[cfg(test)]
mod tests;
