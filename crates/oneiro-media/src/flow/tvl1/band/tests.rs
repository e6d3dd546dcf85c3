use super::*;

/// Reference implementation: the equations of an iteration on whole planes. `u` is the flow; `p` holds the
/// dual variable's parts, right and down, of each component.
struct Reference {
    height: usize,
    width: usize,
    u: [Vec<f32>; 2],
    p: [[Vec<f32>; 2]; 2],
}

impl Reference {
    /// Runs one iteration and returns the sum of squared changes.
    fn iterate(&mut self, data: &[Data], options: &TvL1Options) -> f64 {
        let (height, width) = (self.height, self.width);
        let limit = options.lambda * options.theta;
        let mut change = 0.0;
        let mut new = self.u.clone();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let at = y * width + x;
            let Data { slope, inverse, rest } = &data[y];
            let [u, v] = [self.u[0][at], self.u[1][at]];
            let difference = rest[x] + (slope[0][x] * u + slope[1][x] * v);
            // The three cases of Zach et al. 2007, proposition 3: the brightness difference over the squared
            // gradient is below, above or within the limit.
            let step = match difference * inverse[x] {
                ratio if ratio < -limit => limit,
                ratio if ratio > limit => -limit,
                ratio => -ratio,
            };
            for i in 0..2 {
                let [right, down] = &self.p[i];
                let left = if x > 0 { right[at - 1] } else { 0.0 };
                let above = if y > 0 { down[at - width] } else { 0.0 };
                let divergence = (right[at] - left) + (down[at] - above);
                new[i][at] = self.u[i][at] + step * slope[i][x] + options.theta * divergence;
                change += f64::from(new[i][at] - self.u[i][at]).powi(2);
            }
        }
        self.u = new;
        let step = options.tau / options.theta;
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let at = y * width + x;
            for i in 0..2 {
                let u = &self.u[i];
                let along = if x + 1 < width { u[at + 1] - u[at] } else { 0.0 };
                let across = if y + 1 < height { u[at + width] - u[at] } else { 0.0 };
                let scale = 1.0 / (1.0 + step * (along * along + across * across).sqrt());
                self.p[i][0][at] = (self.p[i][0][at] + step * along) * scale;
                self.p[i][1][at] = (self.p[i][1][at] + step * across) * scale;
            }
        }
        change
    }
}

/// A smooth plane of numbers that repeats nowhere.
fn plane(height: usize, width: usize, phase: f32) -> Plane {
    let value = |i: usize| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        60.0 * (0.35 * x + phase).sin() + 50.0 * (0.27 * y - 0.1 * x + 2.0 * phase).cos() + 128.0
    };
    Plane { height, width, data: (0..height * width).map(value).collect() }
}

#[test]
fn iterations_in_bands_are_those_of_the_equations() {
    let options = TvL1Options::default();
    for (height, width) in [(3, 3), (7, 16), (24, 37)] {
        let (frame, target) = (plane(height, width, 0.0), Target::new(&plane(height, width, 0.4)));
        let pixels = height * width;
        let start = |size: f32| {
            let data = (0..pixels).map(|i| size * (i as f32 * 0.7).sin()).collect();
            Plane { height, width, data }
        };
        let u = [start(0.5), start(-0.3)];
        let whole = {
            let mut whole = Bands::exactly(height, width, 1);
            whole.linearize(&frame, &target, &u);
            whole.bands.remove(0).data
        };
        let zeros = || vec![0.0; pixels];
        let mut reference = Reference {
            height,
            width,
            u: u.each_ref().map(|plane| plane.data.clone()),
            p: [[zeros(), zeros()], [zeros(), zeros()]],
        };
        let changes: Vec<f64> = (0..12).map(|_| reference.iterate(&whole, &options)).collect();
        for count in [1, 2, 3, height] {
            let mut bands = Bands::exactly(height, width, count);
            bands.linearize(&frame, &target, &u);
            bands.load(&u);
            for (i, expected) in changes.iter().enumerate() {
                let change = f64::from(bands.iterate(&options));
                assert!(
                    (change - expected).abs() <= 1e-5 * expected,
                    "iteration {i}: {change}, not {expected}"
                );
            }
            let mut found = [Plane::zeros(height, width), Plane::zeros(height, width)];
            bands.store(&mut found);
            for i in 0..2 {
                assert_eq!(found[i].data, reference.u[i], "{width}×{height}, {count} bands, component {i}");
            }
        }
    }
}

#[test]
fn medians_in_bands_are_those_of_the_plane() {
    let (height, width) = (11, 9);
    let u = [plane(height, width, 0.2), plane(height, width, 0.9)];
    let stored = |count: usize| {
        let mut bands = Bands::exactly(height, width, count);
        bands.median(&u, 5);
        let mut found = [Plane::zeros(height, width), Plane::zeros(height, width)];
        bands.store(&mut found);
        found
    };
    let one = stored(1);
    assert!(one[0] != u[0]);
    for count in [2, 5, 11] {
        assert_eq!(stored(count), one, "{count} bands");
    }
}
