//! Makes test pictures for the feature networks.

/// An RGB picture, one plane for each channel, 0–1. Values are exact in f32, so that networks and loops see
/// the same picture.
#[derive(Clone)]
pub struct Image {
    pub height: usize,
    pub width: usize,
    pub data: Vec<f64>,
}

/// A random number generator (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a random number in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a random whole number below n.
    pub fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f64) as usize
    }

    /// Returns an approximately normal random number with mean 0 and variance 1: the sum of twelve uniform
    /// numbers, minus 6.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn image(height: usize, width: usize, mut value: impl FnMut(usize, f64, f64) -> f64) -> Image {
    let mut data = Vec::with_capacity(3 * height * width);
    for c in 0..3 {
        for y in 0..height {
            data.extend((0..width).map(|x| f64::from(value(c, y as f64, x as f64) as f32)));
        }
    }
    Image { height, width, data }
}

pub fn noise(height: usize, width: usize, seed: u64) -> Image {
    let mut random = Random::new(seed);
    image(height, width, |_, _, _| random.uniform())
}

/// Returns a picture of a grey step through the middle, whose edge has its normal at this angle.
fn edge(degrees: f64) -> Image {
    let (sin, cos) = degrees.to_radians().sin_cos();
    image(48, 56, |_, y, x| f64::from(u8::from((x - 28.0) * cos + (y - 24.0) * sin > 0.0)))
}

/// Returns an 8-bit picture of waves, whose amplitude falls with their frequency, with an edge and a bar.
fn crop() -> Image {
    let mut random = Random::new(7);
    let waves: Vec<[f64; 6]> = (0..20)
        .map(|i| {
            let frequency = std::f64::consts::PI / 70.0 * f64::from(1 << (i / 4 + 1));
            let (sin, cos) = (random.uniform() * std::f64::consts::TAU).sin_cos();
            let mut amplitude = || 0.1 * random.normal() / f64::from(i / 4 + 1);
            [frequency * cos, frequency * sin, f64::from(i), amplitude(), amplitude(), amplitude()]
        })
        .collect();
    image(67, 85, |c, y, x| {
        let waves: f64 = waves.iter().map(|w| w[3 + c] * (w[0] * x + w[1] * y + w[2]).cos()).sum();
        let edge = if x + 0.4 * y > 50.0 { 0.25 } else { 0.0 };
        let bar = if (y - 44.0).abs() < 3.0 { -0.3 } else { 0.0 };
        ((0.5 + waves + edge + bar).clamp(0.0, 1.0) * 255.0).round() / 255.0
    })
}

pub fn all() -> Vec<(String, Image)> {
    let mut all = vec![("noise".to_owned(), noise(50, 61, 1)), ("crop".to_owned(), crop())];
    // Edges whose direction is in the middle of an orientation bin, between two bins, and elsewhere.
    all.extend(
        [0.0, 20.0, 30.0, 45.0, 90.0, 137.0, 180.0, 200.0, 270.0].map(|d| (format!("edge at {d}°"), edge(d))),
    );
    all
}
