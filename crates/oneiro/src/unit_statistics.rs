//! What data does to the units of a layer, image by image in bounded memory.
//!
//! Shape of the concept: a [`UnitStatistics`] takes the activations of one unit for one image after another
//! ([`UnitStatistics::add`]) and can take what another has gathered ([`UnitStatistics::merge`]). Lists and
//! samples do not depend on the order in which images come. Sums do, in their last bits: whoever wants the
//! same bytes from several machines adds images in fixed runs and merges the runs in their order.
//!
//! | gathered | by |
//! |---|---|
//! | strongest and weakest images, by the largest activation and by the mean | [`Ranking`] |
//! | mean, variance, largest activation, share of positions above zero | [`Moments`] |
//! | quantiles and histogram, from positions drawn at random | [`Sample`] |

mod moments;
mod ranking;
mod sample;

pub use moments::Moments;
pub use ranking::{Example, Order, Ranking};
pub use sample::Sample;

/// The activations of one unit for one image.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The image's number in the data set.
    pub image: u64,
    /// The unit's map, row by row.
    pub map: &'a [f32],
    /// Columns of the map.
    pub width: usize,
    /// The map in front of the unit's ReLU, if there is one. Images whose activations are zero behind the
    /// ReLU are ordered by this map.
    pub before: Option<&'a [f32]>,
}

/// Everything that is gathered of a unit.
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
    /// Positions drawn at random from all images.
    pub sample: Sample,
}

impl UnitStatistics {
    /// Nothing yet. Lists hold `examples` images, the sample `positions` activations.
    pub fn new(examples: usize, positions: usize) -> Self {
        Self {
            best: Ranking::new(Order::Largest, examples),
            worst: Ranking::new(Order::Smallest, examples),
            best_by_mean: Ranking::new(Order::Largest, examples),
            moments: Moments::default(),
            sample: Sample::new(positions),
        }
    }

    /// Takes an image. A map that is empty says nothing; activations that are no numbers are counted and left
    /// out of everything else.
    pub fn add(&mut self, response: &Response<'_>) {
        let Response { image, map, width, before } = *response;
        let finite = map.iter().enumerate().filter(|(_, value)| value.is_finite());
        let ordered = |i: usize| before.and_then(|before| before.get(i)).copied().unwrap_or(map[i]);
        // Of equal values the one that was larger in front of the ReLU, of equal ones the first.
        let key = |i: usize| (map[i], ordered(i));
        let largest = finite.map(|(i, _)| i).reduce(|a, b| if is_above(key(b), key(a)) { b } else { a });
        let own = Moments::of(map);
        self.moments.merge(&own);
        let Some(at) = largest else { return };
        let position = [at / width.max(1), at % width.max(1)];
        let example = Example { image, value: map[at], before: ordered(at), position };
        self.best.insert(example);
        self.worst.insert(example);
        let mean = |moments: Moments| moments.mean().unwrap_or(f64::NAN) as f32;
        let value = mean(own);
        let before = before.map_or(value, |before| mean(Moments::of(before)));
        self.best_by_mean.insert(Example { image, value, before, position });
        self.sample.add(image, map);
    }

    /// Takes what another has gathered of the same unit from other images.
    pub fn merge(&mut self, other: &Self) {
        self.best.merge(&other.best);
        self.worst.merge(&other.worst);
        self.best_by_mean.merge(&other.best_by_mean);
        self.moments.merge(&other.moments);
        self.sample.merge(&other.sample);
    }
}

/// Whether one pair is above another, numbers compared in turn.
fn is_above(a: (f32, f32), b: (f32, f32)) -> bool {
    a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).is_gt()
}

#[cfg(test)]
mod tests;
