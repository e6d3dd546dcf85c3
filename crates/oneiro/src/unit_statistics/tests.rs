use oneiro_net::summary;

use super::*;
use crate::layer_relevance::Relevance;
use crate::layer_summaries::Summaries;

const RELU: [f32; 2] = [0.0, f32::INFINITY];

/// Maps of twelve values before a ReLU, with ties and zeros.
fn data() -> Vec<Vec<f32>> {
    let mut stream = crate::rng::Stream::new(5, 0);
    let mut maps: Vec<Vec<f32>> = (0..40)
        .map(|_| (0..12).map(|_| (stream.uniform() as f32 * 8.0 - 4.0).round() / 2.0).collect())
        .collect();
    maps[7] = vec![0.0; 12];
    maps
}

/// The summary of a map by its definition, with one sample: the first position.
fn summarized(map: &[f32]) -> Vec<f32> {
    let n = map.len() as f32;
    let moments = |values: &[f32]| {
        let mean = values.iter().sum::<f32>() / n;
        [mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n]
    };
    let largest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let clipped: Vec<f32> = map.iter().map(|v| v.max(0.0)).collect();
    let mut numbers = vec![largest, map.iter().position(|v| *v == largest).unwrap() as f32];
    numbers.extend(moments(map));
    numbers.extend(moments(&clipped));
    numbers.extend([map.iter().filter(|v| **v > 0.0).count() as f32, 0.0, map[0]]);
    assert_eq!(numbers.len(), summary::len(1));
    numbers
}

/// An image with the summaries of a layer's channels as one piece.
fn seen(source: Source, numbers: &[f32], channels: usize) -> Seen<'_> {
    Seen { source, pieces: vec![Summaries { numbers, channels, clip: RELU }], relevance: None }
}

/// Statistics of a layer with two channels. The second channel is the first with opposite sign.
fn gathered(images: impl Iterator<Item = usize>) -> LayerStatistics {
    let maps = data();
    let mut layer = LayerStatistics::new(2, 6);
    for i in images {
        let turned: Vec<f32> = maps[i].iter().map(|v| -v).collect();
        let summaries = [summarized(&maps[i]), summarized(&turned)].concat();
        let source =
            Source { image: i as u32, class: (i % 3 < 2).then_some(i as u32 % 3), samples: 1, listed: true };
        layer.add(&[seen(source, &summaries, 2)], 12);
    }
    layer
}

#[test]
fn lists_are_those_of_a_plain_sort() {
    let (layer, maps) = (gathered(0..40), data());
    let largest = |i: &usize| maps[*i].iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut order: Vec<usize> = (0..40).collect();
    order.sort_by(|a, b| {
        let (x, y) = (largest(a), largest(b));
        y.max(0.0).total_cmp(&x.max(0.0)).then(y.total_cmp(&x)).then(a.cmp(b))
    });
    let images = |ranking: &Ranking| ranking.examples().iter().map(|e| e.image as usize).collect::<Vec<_>>();
    assert_eq!(images(&layer.units[0].best), order[..6]);
    let first = layer.units[0].best.examples()[0];
    assert_eq!(maps[order[0]][first.place as usize], first.value);
    let mean = |i: usize| maps[i].iter().map(|v| v.max(0.0)).sum::<f32>() / 12.0;
    let by_mean = layer.units[0].best_by_mean.examples();
    assert!(by_mean.windows(2).all(|p| mean(p[0].image as usize) >= mean(p[1].image as usize)));
    assert_eq!(by_mean[0].value, (0..40).map(mean).fold(0.0, f32::max));
}

#[test]
fn zeros_are_ordered_by_the_value_in_front_of_the_relu() {
    let mut layer = LayerStatistics::new(1, 3);
    for (image, before) in [(0, -3.0), (1, -1.0), (2, -2.0), (3, 0.5)] {
        let source = Source { image, class: None, samples: 0, listed: true };
        layer.add(&[seen(source, &summarized(&[before, -9.0]), 1)], 2);
    }
    let images = |ranking: &Ranking| ranking.examples().iter().map(|e| e.image).collect::<Vec<_>>();
    assert_eq!(images(&layer.units[0].best), [3, 1, 2]);
    assert_eq!(images(&layer.units[0].worst), [0, 2, 1]);
    assert_eq!(layer.units[0].worst.examples()[0].value, 0.0);
}

#[test]
fn relevance_ranks_in_place_of_activation() {
    let mut layer = LayerStatistics::new(1, 3);
    for (image, (activation, relevance)) in [(9.0, -1.0), (1.0, 3.0), (5.0, 2.0)].into_iter().enumerate() {
        let source = Source { image: image as u32, class: None, samples: 0, listed: true };
        let relevance = Relevance { largest: relevance, place: 1, mean: -relevance };
        let numbers = summarized(&[activation, 0.5]);
        layer.add(&[Seen { relevance: Some(vec![relevance]), ..seen(source, &numbers, 1) }], 2);
    }
    let unit = &layer.units[0];
    let images = |ranking: &Ranking| ranking.examples().iter().map(|e| e.image).collect::<Vec<_>>();
    assert_eq!((images(&unit.best), images(&unit.worst)), (vec![1, 2, 0], vec![0, 2, 1]));
    assert_eq!((images(&unit.best_by_mean), unit.best.examples()[0].place), (vec![0, 2, 1], 1));
    assert_eq!(unit.moments.maximum, 9.0);
}

#[test]
fn parts_merge_to_the_whole() {
    let whole = gathered(0..40);
    let parts: Vec<LayerStatistics> = [0..11, 11..12, 12..40].map(gathered).into();
    let mut merged = LayerStatistics::new(2, 6);
    parts.iter().for_each(|part| merged.merge(part));
    for (own, whole) in merged.units.iter().zip(&whole.units) {
        assert_eq!(own.best, whole.best);
        assert_eq!((&own.worst, &own.best_by_mean), (&whole.worst, &whole.best_by_mean));
        assert_eq!(own.moments.count, whole.moments.count);
        assert!((own.moments.mean - whole.moments.mean).abs() < 1e-9);
        assert!((own.moments.variance().unwrap() - whole.moments.variance().unwrap()).abs() < 1e-9);
    }
    assert_eq!(merged.samples, whole.samples);
    for (class, whole) in &whole.classes {
        for (own, whole) in merged.classes[class].iter().zip(whole) {
            assert_eq!((own.maximum, own.best), (whole.maximum, whole.best));
            assert!((own.sum - whole.sum).abs() < 1e-9);
        }
    }
    // Lists do not depend on the order of the images.
    assert_eq!(gathered((0..40).rev()).units[0].best, whole.units[0].best);
}

#[test]
fn moments_and_classes_are_those_of_all_positions() {
    let (layer, maps) = (gathered(0..40), data());
    let values: Vec<f64> = maps.iter().flatten().map(|v| f64::from(v.max(0.0))).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    let moments = layer.units[0].moments;
    assert!((moments.mean().unwrap() - mean).abs() < 1e-6);
    assert!((moments.variance().unwrap() - variance).abs() < 1e-6);
    let active = values.iter().filter(|v| **v > 0.0).count() as f64 / values.len() as f64;
    assert_eq!(moments.fraction_active(), Some(active));
    assert_eq!((moments.count, moments.maximum), (480, 2.0));
    // Images 1, 4, 7, … belong to class 1.
    let of_class = (0..40).filter(|i| i % 3 == 1);
    let sum: f64 =
        of_class.clone().map(|i| f64::from(maps[i].iter().map(|v| v.max(0.0)).sum::<f32>() / 12.0)).sum();
    let response = layer.classes[&1][0];
    assert!((response.sum - sum).abs() < 1e-5);
    let first = of_class.clone().find(|&i| maps[i].contains(&response.maximum)).unwrap();
    assert_eq!(response.best as usize, first);
    assert!(!layer.classes.contains_key(&2));
    let none = Moments::default();
    assert_eq!((none.mean(), none.variance(), none.fraction_active()), (None, None, None));
}

#[test]
fn samples_are_kept_unit_by_unit() {
    let (layer, maps) = (gathered(0..5), data());
    let own: Vec<f32> = maps[..5].iter().map(|map| map[0].max(0.0)).collect();
    assert_eq!(layer.samples_of(0), own);
    let turned: Vec<f32> = maps[..5].iter().map(|map| (-map[0]).max(0.0)).collect();
    assert_eq!(layer.samples_of(1), turned);
}

#[test]
fn quantiles_and_histograms_of_a_sample() {
    let sample = [3.0, 1.0, f32::NAN, 2.0];
    assert_eq!(quantiles(&sample, &[0.0, 0.25, 0.5, 1.0]).unwrap(), [1.0, 1.5, 2.0, 3.0]);
    assert_eq!(histogram(&sample, [1.0, 3.0], 2), [1, 2]);
    assert_eq!(histogram(&sample, [2.0, 2.0], 1), [3]);
    assert_eq!(quantiles(&[], &[0.5]), None);
}

/// Pearson's correlation, computed by its textbook formula.
fn reference_correlation(a: &[f32], b: &[f32]) -> f64 {
    let n = a.len() as f64;
    let mean = |x: &[f32]| x.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a) - mean_a, f64::from(*b) - mean_b));
    let sum = |f: &dyn Fn((f64, f64)) -> f64| pairs().map(f).sum::<f64>();
    sum(&|(a, b)| a * b) / (sum(&|(a, _)| a * a) * sum(&|(_, b)| b * b)).sqrt()
}

#[test]
fn correlations_are_pearsons() {
    let of = |a: &[f32], b: &[f32]| NormalSample::new(a).unwrap().correlation(&NormalSample::new(b).unwrap());
    assert!((of(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]) - 1.0).abs() < 1e-6);
    assert!((of(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-6);
    let sample = |seed: usize| -> Vec<f32> {
        (0..1024).map(|i| 5.0 + ((i * (2 * seed + 3) * 7919) % 1009) as f32 / 100.0).collect()
    };
    for seed in 1..9 {
        let (a, b) = (sample(0), sample(seed));
        let (found, expected) = (f64::from(of(&a, &b)), reference_correlation(&a, &b));
        assert!((found - expected).abs() < 1e-6, "{seed}: {found} {expected}");
        assert!(of(&a, &a) <= 1.0);
    }
    assert_eq!(NormalSample::new(&[1.0; 4]), None);
    assert_eq!(NormalSample::new(&[1.0, f32::NAN]), None);
    assert_eq!(NormalSample::new(&[]), None);
}

#[test]
fn images_without_numbers_are_in_no_list() {
    let mut layer = LayerStatistics::new(1, 4);
    let mut numbers = vec![f32::NAN; summary::len(0)];
    (numbers[6], numbers[7]) = (0.0, 9.0);
    let source = Source { image: 3, class: Some(0), samples: 0, listed: true };
    layer.add(&[seen(source, &numbers, 1)], 9);
    let unit = &layer.units[0];
    assert!(unit.best.examples().is_empty() && unit.worst.examples().is_empty());
    assert_eq!((unit.moments.count, unit.moments.not_finite), (0, 9));
    assert_eq!(layer.classes[&0][0], ClassResponse::default());
    let mut none = UnitStatistics::new(0);
    none.add(&Response::new(1, ChannelSummary::new(&summarized(&[1.0])), 1, RELU), true, None);
    assert!(none.best.examples().is_empty() && none.moments.count == 1);
}
