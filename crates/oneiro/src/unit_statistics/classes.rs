//! What the images of one class do to a unit.

use super::Response;

/// What the images of one class do to a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassResponse {
    /// Sum over the images of the means over their positions.
    pub sum: f64,
    /// Largest activation in any of the images; minus infinity if there is none.
    pub maximum: f32,
    /// The image that it is in.
    pub best: u32,
}

impl Default for ClassResponse {
    fn default() -> Self {
        Self { sum: 0.0, maximum: f32::NEG_INFINITY, best: u32::MAX }
    }
}

impl ClassResponse {
    /// Takes an image of the class; it can be the best one only if it is `listed`.
    pub fn add(&mut self, response: &Response, listed: bool) {
        let Response { image, largest, moments, .. } = response;
        if moments.count > 0 && listed {
            self.merge(&Self { sum: moments.mean, maximum: *largest, best: *image });
        } else if moments.count > 0 {
            self.sum += moments.mean;
        }
    }

    /// Takes what other images of the class do. Of equal activations the first image's is kept.
    pub fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        if (other.maximum, std::cmp::Reverse(other.best)) > (self.maximum, std::cmp::Reverse(self.best)) {
            (self.maximum, self.best) = (other.maximum, other.best);
        }
    }
}
