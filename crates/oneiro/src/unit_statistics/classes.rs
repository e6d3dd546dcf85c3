//! What the images of one class do to a unit.

use super::Response;

/// What the images of one class do to a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassResponse {
    /// Images with a position that is a number.
    pub count: u32,
    /// Sum over these of the means over their positions.
    pub sum: f64,
    /// Largest activation in any of the images; minus infinity if there is none.
    pub maximum: f32,
    /// The image that it is in.
    pub best: u32,
}

impl Default for ClassResponse {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, maximum: f32::NEG_INFINITY, best: u32::MAX }
    }
}

impl ClassResponse {
    /// Mean over the images; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    /// Takes an image of the class.
    pub fn add(&mut self, response: &Response) {
        let Response { image, largest, moments, .. } = response;
        if moments.count > 0 {
            self.merge(&Self { count: 1, sum: moments.mean, maximum: *largest, best: *image });
        }
    }

    /// Takes what other images of the class do. Of equal activations the first image's is kept.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        if (other.maximum, std::cmp::Reverse(other.best)) > (self.maximum, std::cmp::Reverse(self.best)) {
            (self.maximum, self.best) = (other.maximum, other.best);
        }
    }
}
