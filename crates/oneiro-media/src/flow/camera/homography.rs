//! Homographies (projective maps of the plane), and their least-squares fit to point matches.

use super::Match;

/// A homography: a map of the plane that keeps lines straight. With `[a, b, w] = H [x, y, 1]`, the point (x,
/// y) goes to (a/w, b/w). Points are in pixels, column and row; the centre of the first pixel is (0, 0).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homography(
    /// The matrix H row by row; its last element is 1.
    pub [f64; 9],
);

/// Number of unknowns of a homography whose last element is fixed to 1.
const UNKNOWNS: usize = 8;

impl Homography {
    /// The map that leaves every point where it is.
    pub const IDENTITY: Homography = Homography([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);

    /// Maps a point (column, row). The result is not finite for points on the horizon, where w = 0.
    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let Homography([a, b, c, d, e, f, g, h, i]) = self;
        let w = g * x + h * y + i;
        [(a * x + b * y + c) / w, (d * x + e * y + f) / w]
    }

    /// Fits a homography to four matches, or by weighted least squares to more (R. Hartley, A. Zisserman,
    /// "Multiple View Geometry", 2003, section 4.1). Coordinates are normalized as in section 4.4. Returns
    /// `None` if the points determine no homography.
    pub(super) fn fit(matches: &[Match], weight: impl Fn(&Match) -> f64) -> Option<Homography> {
        let (from, to) = (Scale::of(matches, |m| m.from)?, Scale::of(matches, |m| m.to)?);
        let mut normal = [[0.0; UNKNOWNS + 1]; UNKNOWNS];
        for m in matches {
            let weight = weight(m);
            let ([x, y], [u, v]) = (from.apply(m.from), to.apply(m.to));
            for equation in
                [[x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u], [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v]]
            {
                for i in 0..UNKNOWNS {
                    for j in 0..=UNKNOWNS {
                        normal[i][j] += weight * equation[i] * equation[j];
                    }
                }
            }
        }
        let [a, b, c, d, e, f, g, h] = solve(normal)?;
        // Undo the normalization: the inverse of `to`, times the matrix, times `from`.
        let rows = [[a, b, c], [d, e, f], [g, h, 1.0]].map(|row| from.undo_right(row));
        let [upper, middle, lower] = rows;
        let back = |row: [f64; 3], center: f64| -> [f64; 3] {
            std::array::from_fn(|i| row[i] / to.factor + center * lower[i])
        };
        let (upper, middle) = (back(upper, to.center[0]), back(middle, to.center[1]));
        let elements = [upper, middle, lower].concat();
        let last = elements[8];
        let matrix = std::array::from_fn(|i| elements[i] / last);
        matrix.iter().all(|element: &f64| element.is_finite()).then_some(Homography(matrix))
    }
}

/// Normalization of points: moves their mean to 0 and scales their mean distance from it to √2.
struct Scale {
    center: [f64; 2],
    factor: f64,
}

impl Scale {
    fn of(matches: &[Match], point: impl Fn(&Match) -> [f64; 2]) -> Option<Scale> {
        let count = matches.len() as f64;
        let sum = |value: &dyn Fn(&Match) -> f64| matches.iter().map(value).sum::<f64>();
        let center = [sum(&|m| point(m)[0]) / count, sum(&|m| point(m)[1]) / count];
        let spread = sum(&|m| (point(m)[0] - center[0]).hypot(point(m)[1] - center[1])) / count;
        (spread > 0.0).then(|| Scale { center, factor: std::f64::consts::SQRT_2 / spread })
    }

    fn apply(&self, point: [f64; 2]) -> [f64; 2] {
        std::array::from_fn(|i| (point[i] - self.center[i]) * self.factor)
    }

    /// Returns a row vector times the matrix of this normalization.
    fn undo_right(&self, [a, b, c]: [f64; 3]) -> [f64; 3] {
        let (a, b) = (a * self.factor, b * self.factor);
        [a, b, c - a * self.center[0] - b * self.center[1]]
    }
}

/// Solves a linear system, whose last column is the right side, by Gaussian elimination with pivots.
fn solve(mut rows: [[f64; UNKNOWNS + 1]; UNKNOWNS]) -> Option<[f64; UNKNOWNS]> {
    /// A smaller pivot, with normalized coordinates, means that the points lie on a line.
    const LEAST_PIVOT: f64 = 1e-9;
    for i in 0..UNKNOWNS {
        let pivot = (i..UNKNOWNS).max_by(|&a, &b| rows[a][i].abs().total_cmp(&rows[b][i].abs()))?;
        rows.swap(i, pivot);
        if rows[i][i].abs() <= LEAST_PIVOT {
            return None;
        }
        let from = rows[i];
        for row in &mut rows[i + 1..] {
            let factor = row[i] / from[i];
            for j in i..=UNKNOWNS {
                row[j] -= factor * from[j];
            }
        }
    }
    let mut found = [0.0; UNKNOWNS];
    for i in (0..UNKNOWNS).rev() {
        let known: f64 = (i + 1..UNKNOWNS).map(|j| rows[i][j] * found[j]).sum();
        found[i] = (rows[i][UNKNOWNS] - known) / rows[i][i];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_finds_the_map_that_made_the_matches() {
        let map = Homography([1.02, 0.05, -3.0, -0.03, 0.97, 4.0, 1e-4, -5e-5, 1.0]);
        let points = [[10.0, 20.0], [300.0, 30.0], [280.0, 200.0], [15.0, 210.0], [150.0, 100.0]];
        let matches = points.map(|from| Match::new(from, map.apply(from)));
        for count in [4, 5] {
            let fit = Homography::fit(&matches[..count], |_| 1.0).unwrap();
            for (found, expected) in fit.0.iter().zip(map.0) {
                assert!((found - expected).abs() < 1e-6, "{fit:?}");
            }
        }
    }

    #[test]
    fn points_on_a_line_determine_nothing() {
        let on_line = |i: usize| [10.0 * i as f64, 5.0 * i as f64];
        let matches: Vec<_> = (0..6).map(|i| Match::new(on_line(i), on_line(i))).collect();
        assert_eq!(Homography::fit(&matches, |_| 1.0), None);
        assert_eq!(Homography::fit(&[], |_| 1.0), None);
        assert_eq!(Homography::fit(&matches[..1], |_| 1.0), None);
    }
}
