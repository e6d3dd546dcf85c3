use super::*;

/// Maps of a few images with ties, zeros and a value that is no number.
fn data() -> Vec<Vec<f32>> {
    let mut stream = crate::rng::Stream::new(5, 0);
    let mut maps: Vec<Vec<f32>> = (0..40)
        .map(|_| (0..12).map(|_| (stream.uniform() as f32 * 8.0 - 4.0).round() / 2.0).collect())
        .collect();
    maps[7] = vec![0.0; 12];
    maps[9][3] = f32::NAN;
    maps
}

fn relu(map: &[f32]) -> Vec<f32> {
    map.iter().map(|v| if v.is_nan() { *v } else { v.max(0.0) }).collect()
}

fn gathered(images: impl Iterator<Item = usize>) -> UnitStatistics {
    let maps = data();
    let mut statistics = UnitStatistics::new(6, 50);
    for i in images {
        let (map, before) = (relu(&maps[i]), &maps[i]);
        statistics.add(&Response { image: i as u64, map: &map, width: 4, before: Some(before) });
    }
    statistics
}

#[test]
fn lists_are_those_of_a_plain_sort() {
    let statistics = gathered(0..40);
    let maps = data();
    let key = |i: &usize| {
        let map = &maps[*i];
        let at = (0..12).filter(|&k| map[k].is_finite()).fold(None, |best: Option<usize>, k| match best {
            Some(b) if map[b] >= map[k] => Some(b),
            _ => Some(k),
        });
        let at = at.unwrap();
        (map[at].max(0.0), map[at], at)
    };
    let mut order: Vec<usize> = (0..40).collect();
    order.sort_by(|a, b| {
        let (x, y) = (key(a), key(b));
        y.0.total_cmp(&x.0).then(y.1.total_cmp(&x.1)).then(a.cmp(b))
    });
    let best: Vec<usize> = statistics.best.examples().iter().map(|e| e.image as usize).collect();
    assert_eq!(best, order[..6]);
    let first = statistics.best.examples()[0];
    assert_eq!(first.position, [key(&best[0]).2 / 4, key(&best[0]).2 % 4]);
    let mean = |i: &usize| {
        let finite: Vec<f32> = relu(&maps[*i]).into_iter().filter(|v| v.is_finite()).collect();
        finite.iter().map(|v| f64::from(*v)).sum::<f64>() / finite.len() as f64
    };
    let by_mean = statistics.best_by_mean.examples();
    assert!(by_mean.windows(2).all(|p| mean(&(p[0].image as usize)) >= mean(&(p[1].image as usize))));
    assert_eq!(by_mean[0].value, (0..40).map(|i| mean(&i) as f32).fold(0.0, f32::max));
}

#[test]
fn zeros_are_ordered_by_the_value_in_front_of_the_relu() {
    let mut statistics = UnitStatistics::new(3, 4);
    for (image, before) in [(0, -3.0), (1, -1.0), (2, -2.0), (3, 0.5)] {
        let before = [before, -9.0];
        statistics.add(&Response { image, map: &relu(&before), width: 2, before: Some(&before) });
    }
    let images = |ranking: &Ranking| ranking.examples().iter().map(|e| e.image).collect::<Vec<_>>();
    assert_eq!(images(&statistics.best), [3, 1, 2]);
    assert_eq!(images(&statistics.worst), [0, 2, 1]);
}

#[test]
fn parts_merge_to_the_whole_in_any_order() {
    let whole = gathered(0..40);
    let parts: Vec<UnitStatistics> = [0..11, 11..12, 12..40].map(gathered).into();
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut merged = UnitStatistics::new(6, 50);
        order.iter().for_each(|&part| merged.merge(&parts[part]));
        assert_eq!((&merged.best, &merged.worst), (&whole.best, &whole.worst));
        assert_eq!((&merged.best_by_mean, &merged.sample), (&whole.best_by_mean, &whole.sample));
        let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 1e-12;
        assert!(close(merged.moments.mean(), whole.moments.mean()));
        assert!(close(merged.moments.variance(), whole.moments.variance()));
    }
    assert_eq!(gathered((0..40).rev()).best, whole.best);
}

#[test]
fn moments_are_those_of_all_positions() {
    let whole = gathered(0..40).moments;
    let values: Vec<f64> =
        data().iter().flat_map(|map| relu(map)).filter(|v| v.is_finite()).map(f64::from).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((whole.mean().unwrap() - mean).abs() < 1e-12);
    assert!((whole.variance().unwrap() - variance).abs() < 1e-12);
    let active = values.iter().filter(|v| **v > 0.0).count() as f64 / values.len() as f64;
    assert_eq!(whole.fraction_active(), Some(active));
    assert_eq!((whole.count, whole.not_finite), (values.len() as u64, 1));
    assert_eq!((whole.minimum, whole.maximum), (0.0, 2.0));
    let none = Moments::default();
    assert_eq!((none.mean(), none.variance(), none.fraction_active()), (None, None, None));
}

#[test]
fn the_sample_is_uniform_over_positions() {
    let mut sample = Sample::new(2000);
    for image in 0..100 {
        let map: Vec<f32> = (0..100).map(|place| (image * 100 + place) as f32).collect();
        sample.add(image, &map);
    }
    assert_eq!(sample.values().len(), 2000);
    let quantiles = sample.quantiles(&[0.0, 0.25, 0.5, 1.0]).unwrap();
    // Three standard errors of a quarter and a half of 10000 values in a sample of 2000.
    assert!((quantiles[1] - 2500.0).abs() < 300.0 && (quantiles[2] - 5000.0).abs() < 350.0, "{quantiles:?}");
    assert!(quantiles[0] < 50.0 && quantiles[3] > 9950.0, "{quantiles:?}");
    let counts = sample.histogram([0.0, 10_000.0], 10);
    assert_eq!(counts.iter().sum::<u64>(), 2000);
    assert!(counts.iter().all(|n| (150..250).contains(n)), "{counts:?}");
    assert_eq!(Sample::new(4).quantiles(&[0.5]), None);
}

#[test]
fn a_sample_of_everything_has_exact_quantiles() {
    let mut sample = Sample::new(10);
    sample.add(0, &[3.0, 1.0, f32::NAN, 2.0]);
    assert_eq!(sample.quantiles(&[0.0, 0.25, 0.5, 1.0]).unwrap(), [1.0, 1.5, 2.0, 3.0]);
    assert_eq!(sample.histogram([1.0, 3.0], 2), [1, 2]);
    assert_eq!(sample.histogram([2.0, 2.0], 1), [3]);
}

#[test]
fn lists_without_places_stay_empty() {
    let mut statistics = UnitStatistics::new(0, 0);
    statistics.add(&Response { image: 1, map: &[1.0], width: 1, before: None });
    assert!(statistics.best.examples().is_empty() && statistics.sample.values().len() == 0);
    statistics.add(&Response { image: 2, map: &[], width: 0, before: None });
    assert_eq!(statistics.moments.count, 1);
}
