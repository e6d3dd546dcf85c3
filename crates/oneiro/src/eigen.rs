//! Eigenvalues of small symmetric matrices by Jacobi's rotations (Golub & Van Loan, Matrix Computations,
//! §8.5).

/// Most sweeps over all pairs. Convergence is quadratic, and ten sweeps suffice for hundreds of rows.
const SWEEPS: usize = 50;

/// Returns the eigenvalues of a symmetric `n`×`n` matrix (row-major, finite entries), the largest first, and
/// the unit vector of each.
pub(crate) fn symmetric(n: usize, matrix: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut a = matrix.to_vec();
    // At the end, row k is the k-th eigenvector.
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|k| vectors[k * n + k] = 1.0);
    let whole: f64 = a.iter().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n * n).filter(|k| k / n != k % n).map(|k| a[k] * a[k]).sum();
        if off <= whole * f64::EPSILON * f64::EPSILON {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(n, &mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    let vector = |&k: &usize| vectors[k * n..(k + 1) * n].to_vec();
    (order.iter().map(|&k| a[k * n + k]).collect(), order.iter().map(vector).collect())
}

/// Applies the rotation in the plane (p, q) that makes the entry (p, q) 0.
fn rotate(n: usize, a: &mut [f64], vectors: &mut [f64], p: usize, q: usize) {
    let between = a[p * n + q];
    if between == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * between);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / tangent.hypot(1.0);
    let sin = tangent * cos;
    let turn = |x: &mut f64, y: &mut f64| (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
    for k in 0..n {
        let (mut x, mut y) = (a[k * n + p], a[k * n + q]);
        turn(&mut x, &mut y);
        (a[k * n + p], a[k * n + q]) = (x, y);
    }
    for k in 0..n {
        let (mut x, mut y) = (a[p * n + k], a[q * n + k]);
        turn(&mut x, &mut y);
        (a[p * n + k], a[q * n + k]) = (x, y);
        let (mut x, mut y) = (vectors[p * n + k], vectors[q * n + k]);
        turn(&mut x, &mut y);
        (vectors[p * n + k], vectors[q * n + k]) = (x, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn values_and_vectors_satisfy_their_equation() {
        let mut rng = Stream::new(8, 0);
        for n in [1, 2, 3, 4, 30] {
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..=i {
                    let v = rng.normal();
                    (a[i * n + j], a[j * n + i]) = (v, v);
                }
            }
            let (values, vectors) = symmetric(n, &a);
            assert!(values.windows(2).all(|w| w[0] >= w[1]), "{values:?}");
            for (value, vector) in values.iter().zip(&vectors) {
                for i in 0..n {
                    let product: f64 = (0..n).map(|j| a[i * n + j] * vector[j]).sum();
                    assert!((product - value * vector[i]).abs() < 1e-10, "{n}: {product} {value}");
                }
                let norm: f64 = vector.iter().map(|v| v * v).sum();
                assert!((norm - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_diagonal_is_its_own_answer() {
        let (values, vectors) = symmetric(2, &[1.0, 0.0, 0.0, 3.0]);
        assert_eq!(values, [3.0, 1.0]);
        assert_eq!(vectors, [vec![0.0, 1.0], vec![1.0, 0.0]]);
    }
}
