use super::*;
use crate::objective::{Direction, Penalty, Position, Reference, Region, Toward};
use crate::rng::Stream;
use oneiro_image::Image;

fn reference() -> Reference {
    Reference::new("p", Image::new([1, 1, 1], [0.0].to_vec()).unwrap())
}

fn direction(power: f64, at: Option<Position>) -> TermKind {
    TermKind::Direction(Direction { toward: Toward::Numbers(vec![0.5, -1.0, 2.0]), minus: None, power, at })
}

fn value(kind: TermKind, shape: &[usize], a: &[f32]) -> f64 {
    of_layer(&Term::new("l", kind), shape, &[]).unwrap().value(a)
}

#[test]
fn values_are_those_of_the_specification() {
    // Two channels, one position, and every activation 1.3. The source sums absolute values and takes norms;
    // here they are means.
    let (a, shape) = ([1.3f32, 1.3], [2, 1, 1]);
    let near = |x: f64, y: f64| assert!((x - y).abs() < 1e-6, "{x} {y}");
    near(value(TermKind::Layer, &shape, &a), 1.69);
    near((0..2).map(|c| value(TermKind::Channel(c), &shape, &a)).sum(), 2.6);
    near(2.0 * value(TermKind::Penalty(Penalty::L1), &shape, &a), 2.6);
    near(2f64.sqrt() * value(TermKind::Penalty(Penalty::L2), &shape, &a), 1.838478);
    near(value(TermKind::Penalty(Penalty::TotalVariation(2.0)), &shape, &a), 0.0);
    near(value(TermKind::Probability(0), &[2], &a), 0.5);
    let batch = [1.3f32; 4];
    near(of_batch(&Term::new("l", TermKind::Diversity), &shape).unwrap().value(&batch, 2), 1.0);
    near(of_batch(&Term::new("l", TermKind::Alignment), &shape).unwrap().value(&batch, 2), 0.0);
    near(value(TermKind::Penalty(Penalty::L1), &[1, 1, 2], &[-4.0, 4.0]), 4.0);
    let image = [0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0];
    // Absolute differences sum to 10, squared ones (4 + 4 + 1 along each axis) to 18. Here the penalty is the
    // mean over positions.
    near(9.0 * value(TermKind::Penalty(Penalty::TotalVariation(2.0)), &[1, 3, 3], &image), 18.0);
}

#[test]
fn the_default_neuron_lies_at_half_the_extent() {
    let shape = [2, 4, 5];
    let a: Vec<f32> = (0..40).map(|i| i as f32).collect();
    assert_eq!(value(TermKind::Neuron(1, Position::Center), &shape, &a), (20 + 2 * 5 + 2) as f64);
    assert_eq!(value(TermKind::Neuron(0, Position::At(vec![3, 1])), &shape, &a), 16.0);
}

#[test]
fn a_picture_has_an_inversion_of_zero_and_a_caricature_of_one() {
    let mut rng = Stream::new(0, 0);
    let a: Vec<f32> = (0..27).map(|_| rng.uniform() as f32).collect();
    let features = [Arc::from(a.clone())];
    let of = |kind| of_layer(&Term::new("l", kind), &[3, 3, 3], &features).unwrap().value(&a);
    assert_eq!(of(TermKind::Inversion(reference())), 0.0);
    assert!((of(TermKind::Caricature(reference(), 0.0)) - 1.0).abs() < 1e-6);
    assert!((of(TermKind::Caricature(reference(), 3.0)) - 1.0).abs() < 1e-6, "the cosine is one everywhere");
    assert_eq!(of(TermKind::Style(reference())), 0.0);
    assert_eq!(of(TermKind::Difference(reference())), 0.0);
}

#[test]
fn a_caricature_of_the_picture_itself_is_one_also_behind_a_mask() {
    let mut rng = Stream::new(1, 0);
    let a: Vec<f32> = (0..27).map(|_| rng.uniform() as f32).collect();
    let features = [Arc::from(a.clone())];
    let grey = (0..27).map(|i| 0.1 + 0.03 * i as f32).collect();
    let mask = Reference::new("m", Image::new([3, 3, 3], grey).unwrap());
    let region = Region { channels: Some((1, 2)), mask: Some(mask), ..Region::default() };
    for power in [0.0, 3.0] {
        let kind = TermKind::Caricature(reference(), power);
        let term = Term { layer: "l".into(), kind, region: region.clone() };
        let value = of_layer(&term, &[3, 3, 3], &features).unwrap().value(&a);
        assert!((value - 1.0).abs() < 1e-6, "{value} at power {power}");
    }
}

#[test]
fn channels_outside_the_region_change_no_cosine() {
    let region = Region { channels: Some((0, 1)), ..Region::default() };
    let features = [Arc::from(vec![0.5f32, 2.0, 7.0])];
    for kind in [direction(2.0, None), TermKind::Caricature(reference(), 2.0)] {
        let term = Term { layer: "l".into(), kind, region: region.clone() };
        let measure = of_layer(&term, &[3, 1, 1], &features).unwrap();
        let of = |outside: f32| measure.value(&[2.0, 0.5, outside]);
        assert_eq!(of(0.0), of(100.0), "{term}");
        assert!(of(0.0) != 0.0);
        let mut seed = [0.0; 3];
        measure.seed(&[2.0, 0.5, 100.0], 1.0, &mut seed);
        assert!(seed[2] == 0.0 && seed[0] != 0.0, "{term}: {seed:?}");
    }
}

/// Compares the gradient with central differences in every coordinate.
fn assert_seed(name: &str, value: &dyn Fn(&[f32]) -> f64, seed: &dyn Fn(&[f32], &mut [f32]), a: &[f32]) {
    let mut ours = vec![0.25f32; a.len()];
    seed(a, &mut ours);
    let mut moved = a.to_vec();
    for i in 0..a.len() {
        let h = 2e-3f32;
        moved[i] = a[i] + h;
        let up = value(&moved);
        moved[i] = a[i] - h;
        let down = value(&moved);
        moved[i] = a[i];
        let expected = 0.25 + 2.0 * (up - down) / (2.0 * f64::from(h));
        let error = (f64::from(ours[i]) - expected).abs();
        assert!(error < 2e-3 * (1.0 + expected.abs()), "{name} at {i}: {} for {expected}", ours[i]);
    }
}

#[test]
fn seeds_are_the_derivatives_of_values() {
    let mut rng = Stream::new(3, 0);
    // Values keep away from zero, where absolute values have a kink.
    let mut draw = || {
        let x = rng.normal() as f32;
        x + 0.05 * x.signum()
    };
    let mut noise = |n: usize| -> Vec<f32> { (0..n).map(|_| draw()).collect() };
    let shape = [3, 4, 5];
    let (a, features) = (noise(60), [Arc::from(noise(60)), Arc::from(noise(60))]);
    let mask =
        Reference::new("m", Image::new([3, 8, 9], noise(216).iter().map(|v| v.abs()).collect()).unwrap());
    let regions = [
        Region::default(),
        Region { center: Some(2), ..Region::default() },
        Region { channels: Some((1, 2)), mask: Some(mask), ..Region::default() },
    ];
    let picture = || reference();
    let of_pictures = TermKind::Direction(Direction {
        toward: Toward::Picture(picture()),
        minus: Some(picture()),
        power: 1.0,
        at: None,
    });
    let kinds = [
        TermKind::Channel(1),
        TermKind::Neuron(2, Position::Center),
        TermKind::Layer,
        TermKind::Logit(4),
        TermKind::Probability(4),
        direction(0.0, None),
        direction(2.0, None),
        direction(1.5, Some(Position::Center)),
        of_pictures,
        TermKind::Difference(picture()),
        TermKind::Inversion(picture()),
        TermKind::Caricature(picture(), 0.0),
        TermKind::Caricature(picture(), 2.0),
        TermKind::Style(picture()),
        TermKind::Guide(picture()),
        TermKind::Penalty(Penalty::L1),
        TermKind::Penalty(Penalty::L2),
        TermKind::Penalty(Penalty::TotalVariation(2.0)),
        TermKind::Penalty(Penalty::TotalVariation(1.0)),
        TermKind::Penalty(Penalty::AlphaNorm(6.0)),
        TermKind::Penalty(Penalty::AlphaNorm(1.0)),
        TermKind::Penalty(Penalty::Blur),
    ];
    for kind in kinds {
        for region in &regions {
            let term = Term { layer: "l".into(), kind: kind.clone(), region: region.clone() };
            let shape: &[usize] = if term.at_output() { &[60] } else { &shape };
            if term.at_output() && !region.is_all() {
                continue;
            }
            let measure = of_layer(&term, shape, &features).unwrap();
            assert_seed(&term.to_string(), &|a| measure.value(a), &|a, s| measure.seed(a, 2.0, s), &a);
        }
    }
    let opaque = of_input(&Term::new("", TermKind::Penalty(Penalty::Opacity)), &[4, 3, 5], false);
    assert_eq!(opaque.err(), Some(TermError::NoTransparency));
    let opacity = of_input(&Term::new("", TermKind::Penalty(Penalty::Opacity)), &[4, 3, 5], true).unwrap();
    assert_seed("opacity", &|a| opacity.value(a), &|a, s| opacity.seed(a, 2.0, s), &a);
    for kind in [TermKind::Diversity, TermKind::Alignment] {
        for entries in [1, 2, 5] {
            let coupling = of_batch(&Term::new("l", kind.clone()), &[3, 2, 2]).unwrap();
            let batch = &a[..12 * entries];
            let name = format!("{kind:?} of {entries}");
            assert_seed(
                &name,
                &|a| coupling.value(a, entries),
                &|a, s| coupling.seed(a, entries, 2.0, s),
                batch,
            );
        }
    }
}

#[test]
fn what_has_no_answer_is_refused() {
    let zero = [Arc::from(vec![0.0f32; 12])];
    let refuse =
        |kind: TermKind| of_layer(&Term::new("l", kind), &[3, 2, 2], &zero).err().unwrap().to_string();
    assert!(refuse(TermKind::Inversion(reference())).contains("nothing to invert"));
    assert!(refuse(TermKind::Caricature(reference(), 0.0)).contains("nothing to exaggerate"));
    assert!(refuse(TermKind::Style(reference())).contains("no style"));
    assert!(refuse(TermKind::Penalty(Penalty::Opacity)).contains("transparency"));
    let still = Direction { toward: Toward::Numbers(vec![0.0; 3]), minus: None, power: 0.0, at: None };
    assert!(refuse(TermKind::Direction(still)).contains("points nowhere"));
    let black = Reference::new("m", Image::new([1, 2, 2], [0.0; 4].to_vec()).unwrap());
    let term = Term {
        layer: "l".into(),
        kind: TermKind::Layer,
        region: Region { mask: Some(black), ..Region::default() },
    };
    assert!(of_layer(&term, &[3, 2, 2], &[]).err().unwrap().to_string().contains("mask is black"));
}

#[test]
fn features_that_are_not_finite_are_told_from_those_that_are_zero() {
    let kinds: [fn() -> TermKind; 5] = [
        || TermKind::Difference(reference()),
        || TermKind::Inversion(reference()),
        || TermKind::Caricature(reference(), 0.0),
        || TermKind::Style(reference()),
        || TermKind::Guide(reference()),
    ];
    let made =
        |kind: TermKind, features: &[f32]| of_layer(&Term::new("l", kind), &[2, 1, 2], &[features.into()]);
    for kind in kinds {
        for broken in [f32::NAN, f32::INFINITY] {
            let error = made(kind(), &[1.0, broken, 0.5, 2.0]).err().unwrap();
            assert!(error.is_not_finite() && error.to_string().contains("not finite"), "{error}");
        }
        let zero = made(kind(), &[0.0; 4]).err();
        assert!(zero.is_none_or(|error| !error.is_not_finite()));
    }
    // A region without the broken channel is accepted.
    let region = Region { channels: Some((1, 1)), ..Region::default() };
    let term = Term { layer: "l".into(), kind: TermKind::Inversion(reference()), region };
    let features = [Arc::from(vec![f32::NAN, 1.0, 0.5, 2.0])];
    assert!(of_layer(&term, &[2, 1, 2], &features).is_ok());
}
