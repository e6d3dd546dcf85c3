//! The images at one end of a unit's order.

use std::cmp::Ordering;

/// Which end of the order is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The largest values, the largest first.
    Largest,
    /// The smallest values, the smallest first.
    Smallest,
}

/// An image with what a unit makes of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Example {
    /// The image's number in the data set.
    pub image: u32,
    /// The unit's value.
    pub value: f32,
    /// The value in front of the unit's ReLU, or the value itself: orders equal values, such as zeros.
    pub before: f32,
    /// Position of the largest activation, counted row by row.
    pub place: u32,
}

/// The first images of an order.
///
/// Equal values stand in the order of the values before the ReLU, then of the images' numbers. So the list
/// is the same whatever order the images come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    order: Order,
    capacity: usize,
    /// Sorted, the first first.
    examples: Vec<Example>,
}

impl Ranking {
    /// An empty list of at most so many images.
    pub fn new(order: Order, capacity: usize) -> Self {
        Self { order, capacity, examples: Vec::new() }
    }

    /// A list as [`Ranking::examples`] gave it.
    pub fn restored(order: Order, capacity: usize, examples: Vec<Example>) -> Self {
        Self { order, capacity, examples }
    }

    /// The number of images that it holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The images, the first first.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Puts an image in its place. Each image comes once.
    pub fn insert(&mut self, example: Example) {
        let is_full = self.examples.len() >= self.capacity;
        if is_full && self.examples.last().is_none_or(|last| self.compare(&example, last).is_ge()) {
            return;
        }
        let place = self.examples.partition_point(|e| self.compare(e, &example).is_lt());
        self.examples.truncate(self.capacity - 1);
        self.examples.insert(place, example);
    }

    /// Takes the images of another list, which are others than these.
    pub fn merge(&mut self, other: &Self) {
        for example in &other.examples {
            self.insert(*example);
        }
    }

    /// Which of two comes first.
    fn compare(&self, a: &Example, b: &Example) -> Ordering {
        let by_value = a.value.total_cmp(&b.value).then(a.before.total_cmp(&b.before));
        let by_value = if self.order == Order::Largest { by_value.reverse() } else { by_value };
        by_value.then(a.image.cmp(&b.image))
    }
}
