//! Mean, variance and maximum of a unit's activations.

/// Statistics of a unit's activations over positions of images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Number of positions with a finite activation.
    pub count: u64,
    /// Number of positions that are not finite (NaN or infinite). No other field includes them.
    pub not_finite: u64,
    /// Number of positions with an activation above zero.
    pub active: u64,
    /// Largest activation; minus infinity if there is none.
    pub maximum: f32,
    /// Mean activation; 0 without positions.
    pub mean: f64,
    /// Sum of squared differences of activations from the mean.
    pub spread: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, not_finite: 0, active: 0, maximum: f32::NEG_INFINITY, mean: 0.0, spread: 0.0 }
    }
}

impl Moments {
    /// Returns the mean activation; `None` without positions.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Returns the variance over all positions; `None` without positions.
    pub fn variance(&self) -> Option<f64> {
        (self.count > 0).then(|| self.spread / self.count as f64)
    }

    /// Returns the share of positions above zero; `None` without positions.
    pub fn fraction_active(&self) -> Option<f64> {
        (self.count > 0).then(|| self.active as f64 / self.count as f64)
    }

    /// Adds the moments of other positions (Chan, Golub & LeVeque 1983, "Algorithms for Computing the Sample
    /// Variance", formula 1.5).
    pub fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if other.count > 0 {
            let share = other.count as f64 / count as f64;
            let apart = other.mean - self.mean;
            self.spread += other.spread + apart * apart * self.count as f64 * share;
            self.mean += apart * share;
        }
        self.count = count;
        self.not_finite += other.not_finite;
        self.active += other.active;
        self.maximum = self.maximum.max(other.maximum);
    }
}
