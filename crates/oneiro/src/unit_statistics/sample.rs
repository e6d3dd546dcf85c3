//! Activations drawn at random from all positions of all images, for quantiles and histograms.

use crate::rng::Stream;

/// The seed of the draw: the same positions are drawn of every unit of a layer.
const SEED: u64 = 0x756e_6974;

/// A uniform sample without replacement, of positions of all images.
///
/// Each position of each image has a random number of its own, from its image's number and its place alone;
/// the positions with the smallest numbers are kept (a bottom-k sketch: Cohen & Kaplan 2007, "Summarizing
/// data using bottom-k sketches"). So the sample does not depend on the order of images, and samples of
/// parts of a data set merge to that of the whole. All units of a layer sample the same positions, which is
/// what correlations between them need.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    capacity: usize,
    /// Numbers with activations, sorted by the number, then by image and place.
    drawn: Vec<Drawn>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Drawn {
    number: u64,
    image: u64,
    place: usize,
    value: f32,
}

impl Drawn {
    fn key(&self) -> (u64, u64, usize) {
        (self.number, self.image, self.place)
    }
}

impl Sample {
    /// An empty sample of at most so many positions.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, drawn: Vec::new() }
    }

    /// Activations of the sample, in the order of the draw: the k-th of every unit of a layer is of the same
    /// image and place, where no activation was left out.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.drawn.iter().map(|drawn| drawn.value)
    }

    /// Takes the map of an image. Activations that are no numbers are left out.
    pub fn add(&mut self, image: u64, map: &[f32]) {
        let mut numbers = Stream::new(SEED, image);
        for (place, &value) in map.iter().enumerate() {
            let number = numbers.bits();
            let bound = self.drawn.last().filter(|_| self.drawn.len() >= self.capacity);
            if value.is_finite() && bound.is_none_or(|last| number <= last.number) {
                self.insert(Drawn { number, image, place, value });
            }
        }
    }

    /// Takes the sample of other images.
    pub fn merge(&mut self, other: &Self) {
        other.drawn.iter().for_each(|drawn| self.insert(*drawn));
    }

    fn insert(&mut self, drawn: Drawn) {
        match self.drawn.binary_search_by_key(&drawn.key(), Drawn::key) {
            Ok(_) => {}
            Err(at) if at >= self.capacity => {}
            Err(at) => {
                self.drawn.truncate(self.capacity - 1);
                self.drawn.insert(at, drawn);
            }
        }
    }

    /// Quantiles of the sample at these fractions from 0 to 1, between neighbours in a straight line
    /// (Hyndman & Fan 1996, definition 7); `None` without positions.
    pub fn quantiles(&self, fractions: &[f64]) -> Option<Vec<f64>> {
        let mut sorted: Vec<f32> = self.values().collect();
        sorted.sort_by(f32::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |fraction: &f64| {
            let place = fraction.clamp(0.0, 1.0) * last as f64;
            let low = place.floor() as usize;
            let (a, b) = (f64::from(sorted[low]), f64::from(sorted[(low + 1).min(last)]));
            a + (place - low as f64) * (b - a)
        };
        Some(fractions.iter().map(at).collect())
    }

    /// How many of the sample lie in each of `bins` equal parts from `low` to `high`; the ends take what lies
    /// beyond them.
    pub fn histogram(&self, [low, high]: [f32; 2], bins: usize) -> Vec<u64> {
        let mut counts = vec![0; bins.max(1)];
        let scale = counts.len() as f64 / f64::from(high - low).max(f64::MIN_POSITIVE);
        for value in self.values() {
            let bin = (f64::from(value - low) * scale).clamp(0.0, counts.len() as f64 - 1.0);
            counts[bin as usize] += 1;
        }
        counts
    }
}
