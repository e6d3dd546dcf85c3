//! A unit's responses to the images of one class.

use super::Response;

/// A unit's responses to the images of one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassResponse {
    /// Number of images with at least one finite position.
    pub count: u32,
    /// Sum of these images' mean activations.
    pub sum: f64,
    /// The largest activation in any of the images; minus infinity if there is none.
    pub maximum: f32,
    /// Index of the image with the largest activation.
    pub best: u32,
}

impl Default for ClassResponse {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, maximum: f32::NEG_INFINITY, best: u32::MAX }
    }
}

impl ClassResponse {
    /// Returns the mean over the images; `None` without images.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    /// Adds the unit's response to an image of the class.
    pub fn add(&mut self, response: &Response) {
        let Response { image, largest, moments, .. } = response;
        if moments.count > 0 {
            self.merge(&Self { count: 1, sum: moments.mean, maximum: *largest, best: *image });
        }
    }

    /// Adds the responses to other images of the class. Among equal largest activations, the image with the
    /// lowest index is kept.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        if (other.maximum, std::cmp::Reverse(other.best)) > (self.maximum, std::cmp::Reverse(self.best)) {
            (self.maximum, self.best) = (other.maximum, other.best);
        }
    }
}
