//! Sorted lists of the images that excite a unit most or least.

use std::cmp::Ordering;

/// Which images a list keeps, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The images with the largest values, largest first.
    Largest,
    /// The images with the smallest values, smallest first.
    Smallest,
}

/// An image and a unit's response to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Example {
    /// The image's index in the data set.
    pub image: u32,
    /// The value by which the image is ranked.
    pub value: f32,
    /// The value before the unit's ReLU, or `value` if there is no ReLU. It orders images of equal `value`,
    /// such as zeros.
    pub before: f32,
    /// The position of the largest activation, counted row by row.
    pub place: u32,
}

/// A list of the first images in an order.
///
/// Images of equal value are ordered by the value before the ReLU, then by index. The list is therefore the
/// same in whatever order the images are inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    order: Order,
    capacity: usize,
    /// The images of the list, in its order.
    examples: Vec<Example>,
}

impl Ranking {
    /// Creates an empty list of at most `capacity` images.
    pub fn new(order: Order, capacity: usize) -> Self {
        Self { order, capacity, examples: Vec::new() }
    }

    /// Creates a list from the images that [`Ranking::examples`] returned.
    pub fn restored(order: Order, capacity: usize, examples: Vec<Example>) -> Self {
        Self { order, capacity, examples }
    }

    /// Returns the largest number of images that the list can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the images of the list in their order.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Inserts an image at its rank. No image may be inserted twice.
    #[inline]
    pub fn insert(&mut self, example: Example) {
        // Most images of a large data set are behind a full list by their value alone.
        if self.examples.len() < self.capacity
            || self.examples.last().is_some_and(|last| self.by_value(example.value, last.value).is_le())
        {
            self.insert_at_rank(example);
        }
    }

    #[inline(never)]
    fn insert_at_rank(&mut self, example: Example) {
        let is_full = self.examples.len() >= self.capacity;
        if is_full && self.examples.last().is_none_or(|last| self.compare(&example, last).is_ge()) {
            return;
        }
        let place = self.examples.partition_point(|e| self.compare(e, &example).is_lt());
        self.examples.truncate(self.capacity - 1);
        self.examples.insert(place, example);
    }

    /// Inserts the images of another list. No image may be in both lists.
    pub fn merge(&mut self, other: &Self) {
        for example in &other.examples {
            self.insert(*example);
        }
    }

    /// Compares the ranks of two images.
    fn compare(&self, a: &Example, b: &Example) -> Ordering {
        let before = || self.by_value(a.before, b.before);
        self.by_value(a.value, b.value).then_with(before).then(a.image.cmp(&b.image))
    }

    fn by_value(&self, a: f32, b: f32) -> Ordering {
        match self.order {
            Order::Largest => b.total_cmp(&a),
            Order::Smallest => a.total_cmp(&b),
        }
    }
}
