//! Compares the filters of a layer by their sampled values: which are equal up to a positive factor, and how
//! many different ones there are.

use oneiro::unit_statistics::NormalSample;
use rayon::prelude::*;

use super::facts::{UnitFacts, deviation};

/// Least correlation of the values in front of the activation function.
const CORRELATION: f32 = 0.9995;
/// Largest difference of the means, behind the factor, in standard deviations.
const OFFSET: f64 = 0.05;
/// Least number of samples.
const ENOUGH: usize = 64;
/// Units of a layer up to which all pairs are compared.
const MOST_UNITS: usize = 8192;

/// A unit that is equal to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Copy {
    /// The channel of the other one.
    pub of: usize,
    /// The factor from the other one's values to its own.
    pub factor: f64,
    /// The correlation of their values.
    pub correlation: f64,
}

/// What comparing all pairs of a layer's units gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compared {
    /// For each unit the first unit that it equals, if there is an earlier one.
    pub copies: Vec<Option<Copy>>,
    /// The effective number of different units: the participation ratio of the eigenvalues of their
    /// correlation matrix, (Σλ)²/Σλ². `None` if fewer than two units vary.
    pub effective_rank: Option<f64>,
}

/// Compares all pairs of a layer's units, in front of the activation function. `judged` are the units that
/// may be a copy or have one; others have another verdict. `None` for layers with too many units.
pub(super) fn compare(units: &[UnitFacts], judged: &[bool]) -> Option<Compared> {
    if units.len() > MOST_UNITS {
        return None;
    }
    let normal: Vec<Option<NormalSample>> = units
        .par_iter()
        .map(|unit| NormalSample::new(&unit.samples).filter(|_| unit.samples.len() >= ENOUGH))
        .collect();
    // For each unit the sum of its squared correlations with earlier units, and those that it may equal.
    let rows: Vec<(f64, Vec<(usize, f32)>)> = (0..units.len())
        .into_par_iter()
        .map(|later| {
            let (mut squares, mut equal) = (0.0, Vec::new());
            let Some(own) = &normal[later] else { return (0.0, equal) };
            for (earlier, other) in normal[..later].iter().enumerate() {
                let Some(other) = other else { continue };
                let correlation = own.correlation(other);
                squares += f64::from(correlation).powi(2);
                if correlation >= CORRELATION && judged[earlier] && judged[later] {
                    equal.push((earlier, correlation));
                }
            }
            (squares, equal)
        })
        .collect();
    let varying = normal.iter().flatten().count() as f64;
    let squares: f64 = rows.iter().map(|(squares, _)| squares).sum();
    let effective_rank = (varying > 1.0).then(|| varying.powi(2) / (varying + 2.0 * squares));
    let mut copies: Vec<Option<Copy>> = vec![None; units.len()];
    for (later, (_, equal)) in rows.iter().enumerate() {
        // A copy of a copy is a copy of the first.
        let found = equal.iter().filter(|(earlier, _)| copies[*earlier].is_none()).find_map(|pair| {
            let (earlier, correlation) = *pair;
            let [a, b] = [&units[earlier].pictures, &units[later].pictures];
            let factor = deviation(b) / deviation(a);
            let offset = (b.mean - factor * a.mean).abs() / deviation(b);
            (offset <= OFFSET).then_some(Copy { of: earlier, factor, correlation: f64::from(correlation) })
        });
        copies[later] = found;
    }
    Some(Compared { copies, effective_rank })
}

#[cfg(test)]
mod tests {
    use oneiro::rng::Stream;
    use oneiro::unit_statistics::Moments;

    use super::*;

    fn unit(samples: Vec<f32>) -> UnitFacts {
        let mean = samples.iter().map(|x| f64::from(*x)).sum::<f64>() / samples.len() as f64;
        let spread = samples.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum();
        let pictures = Moments { count: samples.len() as u64, mean, spread, ..Moments::default() };
        let noise = pictures;
        UnitFacts { pictures, noise, positive: [1.0; 2], shuffled: 1.0, kernel: None, samples }
    }

    #[test]
    fn a_positive_factor_makes_no_difference_and_another_bias_does() {
        let mut stream = Stream::new(5, 0);
        let base: Vec<f32> = (0..200).map(|_| stream.normal() as f32 - 0.3).collect();
        let other: Vec<f32> = (0..200).map(|_| stream.normal() as f32).collect();
        let scaled = |factor: f32, bias: f32| unit(base.iter().map(|x| factor * x + bias).collect());
        let units = [
            unit(base.clone()),
            unit(other),
            scaled(1.1, 0.0),
            scaled(0.8, 0.5),
            scaled(-1.0, 0.0),
            scaled(2.0, 0.0),
        ];
        let compared = compare(&units, &[true; 6]).unwrap();
        let found = compared.copies;
        let of: Vec<Option<usize>> = found.iter().map(|copy| copy.map(|copy| copy.of)).collect();
        assert_eq!(of, [None, None, Some(0), None, None, Some(0)]);
        assert!((found[2].unwrap().factor - 1.1).abs() < 1e-3);
        // Two directions, five times and once: (5 + 1)²/(5² + 1²).
        assert!((compared.effective_rank.unwrap() - 36.0 / 26.0).abs() < 0.05);
        // Without the first, the next one is the original.
        let found = compare(&units, &[false, true, true, true, true, true]).unwrap().copies;
        assert_eq!(found[5].unwrap().of, 2);
    }
}
