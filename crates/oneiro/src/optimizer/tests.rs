//! Tests of all optimizers on small problems, in one table.

use super::*;

pub fn assert_near_by(ours: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len());
    for (a, b) in ours.iter().zip(expected) {
        assert!((f64::from(*a) - b).abs() < tolerance, "{ours:?} {expected:?}");
    }
}

pub fn assert_near(ours: &[f32], expected: &[f64]) {
    assert_near_by(ours, expected, 1e-6);
}

/// A function to maximise. It returns value and gradient.
type Problem = fn(&[f32]) -> (f64, Vec<f32>);

/// −½Σ aᵢ(xᵢ−cᵢ)² + .1·x₀x₁ with a = (1, 4, .25), c = (1, −.5, 2): concave.
fn hill(x: &[f32]) -> (f64, Vec<f32>) {
    const A: [f64; 3] = [1.0, 4.0, 0.25];
    const C: [f64; 3] = [1.0, -0.5, 2.0];
    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let mut gradient: Vec<f64> = (0..3).map(|i| -A[i] * (x[i] - C[i])).collect();
    gradient[0] += 0.1 * x[1];
    gradient[1] += 0.1 * x[0];
    let value = (0..3).map(|i| -0.5 * A[i] * (x[i] - C[i]).powi(2)).sum::<f64>() + 0.1 * x[0] * x[1];
    (value, gradient.iter().map(|g| *g as f32).collect())
}

/// The point at which runs on [`hill`] start.
const START: [f32; 3] = [0.0, 0.5, -1.0];

#[test]
fn steps_are_those_of_pytorch() {
    // Results of torch 2.8, float64, maximize=True, after 1, 2 and 10 steps on `hill` from `START`.
    let of = |kind, rate| OptimizerSpec::new(kind, rate);
    let with = |spec| OptimizerSpec { beta1: Some(0.8), beta2: Some(0.95), epsilon: Some(1e-2), ..spec };
    let adam = of(OptimizerKind::Adam, 0.05);
    let adamw = of(OptimizerKind::AdamW, 0.05);
    let nadam = of(OptimizerKind::NAdam, 0.05);
    let sgd = of(OptimizerKind::Sgd, 0.05);
    let cases: [(&str, OptimizerSpec, [[f64; 3]; 3]); 8] = [
        (
            "Adam(lr=.05)",
            adam,
            [
                [0.05, 0.45, -0.950_000_001],
                [0.099_911_846, 0.400_085_810, -0.900_023_670],
                [0.486_849_546, 0.012_739_022, -0.503_080_015],
            ],
        ),
        (
            "Adam(lr=.1, betas=(.8, .95), eps=.01)",
            with(of(OptimizerKind::Adam, 0.1)),
            [
                [0.099_056_604, 0.400_249_377, -0.901_315_789],
                [0.197_450_345, 0.301_115_982, -0.802_808_519],
                [0.879_082_509, -0.389_853_495, -0.034_592_603],
            ],
        ),
        (
            "AdamW(lr=.05)",
            adamw.clone(),
            [
                [0.05, 0.449_75, -0.949_500_001],
                [0.099_886_797, 0.399_611_451, -0.899_049_177],
                [0.485_758_678, 0.011_419_280, -0.499_241_438],
            ],
        ),
        (
            "AdamW(lr=.05, weight_decay=.3)",
            OptimizerSpec { weight_decay: Some(0.3), ..adamw },
            [
                [0.05, 0.4425, -0.935_000_001],
                [0.099_160_356, 0.385_964_233, -0.871_006_545],
                [0.455_360_078, -0.023_493_353, -0.396_008_436],
            ],
        ),
        (
            "NAdam(lr=.05)",
            nadam,
            [
                [0.052_822_589, 0.447_177_411, -0.947_177_411],
                [0.091_003_733, 0.408_973_680, -0.908_302_985],
                [0.372_797_880, 0.126_447_642, -0.605_194_810],
            ],
        ),
        (
            "NAdam(lr=.1, betas=(.8, .95), eps=.01, momentum_decay=.1)",
            OptimizerSpec { momentum_decay: Some(0.1), ..with(of(OptimizerKind::NAdam, 0.1)) },
            [
                [0.108_589_495, 0.390_649_695, -0.891_818_737],
                [0.190_146_932, 0.308_411_414, -0.807_472_357],
                [0.732_928_976, -0.242_580_909, -0.140_174_338],
            ],
        ),
        (
            "SGD(lr=.05)",
            sgd.clone(),
            [
                [0.0525, 0.3, -0.9625],
                [0.101_375, 0.140_262_5, -0.925_468_75],
                [0.397_669_515, -0.386_662_782, -0.645_405_778],
            ],
        ),
        (
            "SGD(lr=.05, momentum=.9)",
            OptimizerSpec { momentum: Some(0.9), ..sgd },
            [
                [0.0525, 0.3, -0.9625],
                [0.148_625, -0.039_737_5, -0.891_718_75],
                [1.235_783_817, -0.461_046_806, 0.389_675_014],
            ],
        ),
    ];
    let mut failures = Vec::new();
    for (name, spec, expected) in cases {
        spec.validate().unwrap();
        let (mut x, mut optimizer) = (START, spec.build(3, true));
        let mut seen = Vec::new();
        for step in 1..=10 {
            let (value, gradient) = hill(&x);
            optimizer.step(&mut x, value, &gradient);
            if [1, 2, 10].contains(&step) {
                seen.push(x);
            }
        }
        let errors =
            seen.iter().flatten().zip(expected.iter().flatten()).map(|(a, b)| (f64::from(*a) - b).abs());
        let worst = errors.fold(0.0, f64::max);
        if worst.partial_cmp(&2e-6) != Some(std::cmp::Ordering::Less) {
            failures.push(format!("{name}: {seen:?}, not {expected:?}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn decay_shrinks_what_a_step_has_made() {
    // (1 + .1·2)·(1 − .25) = .9; then b = .9·2 + 1 = 2.8 and (.9 + .28)·.75 = .885.
    let spec = OptimizerSpec { momentum: Some(0.9), decay: Some(0.25), ..OptimizerSpec::sgd(0.1) };
    let (mut x, mut sgd) = ([1.0], spec.build(1, true));
    sgd.step(&mut x, 0.0, &[2.0]);
    assert_near(&x, &[0.9]);
    sgd.step(&mut x, 0.0, &[1.0]);
    assert_near(&x, &[0.885]);
    let (mut x, mut plain) = ([1.0], OptimizerSpec { momentum: None, ..spec }.build(1, true));
    plain.step(&mut x, 0.0, &[2.0]);
    plain.step(&mut x, 0.0, &[1.0]);
    assert_near(&x, &[0.75]);
}

/// Returns a learning rate that suits [`hill`].
fn rate(kind: OptimizerKind) -> f32 {
    if kind == OptimizerKind::AccumulatedSquares { 0.1 } else { kind.default_rate() }
}

#[test]
fn every_optimizer_raises_a_concave_function() {
    let norms = [Norm::MeanAbs, Norm::Std, Norm::Rms, Norm::L2];
    let normalized = norms.map(|norm| OptimizerSpec {
        norm: Some(norm),
        ..OptimizerSpec::new(OptimizerKind::Normalized, 0.02)
    });
    let all = OptimizerKind::ALL.map(|kind| OptimizerSpec::new(kind, rate(kind)));
    let top = -0.1 * 0.5 + 0.02; // about: the cross term moves it a little
    for spec in all.into_iter().chain(normalized) {
        for fixed in [false, true] {
            let (mut x, mut optimizer) = (START, spec.build(3, fixed));
            let (before, _) = hill(&x);
            for step in 0..300 {
                let (value, gradient) = hill(&x);
                optimizer.set_learning_rate(spec.rate_at(step, 300));
                optimizer.step(&mut x, value, &gradient);
            }
            optimizer.settle(&mut x);
            let (after, _) = hill(&x);
            assert!(after > before + 0.5 * (top - before), "{spec:?}: {before} to {after}");
        }
    }
}

#[test]
fn steps_do_not_depend_on_the_number_of_threads() {
    let n = 3 * CHUNK + 17;
    let problem = |x: &[f32]| {
        let gradient: Vec<f32> =
            x.iter().enumerate().map(|(i, x)| (i as f32).sin() - (1 + i % 7) as f32 * x).collect();
        let value = x.iter().zip(&gradient).map(|(x, g)| f64::from(x * g)).sum::<f64>();
        (value, gradient)
    };
    for kind in OptimizerKind::ALL {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (mut x, mut optimizer) =
                    (vec![0.5; n], OptimizerSpec::new(kind, rate(kind)).build(n, true));
                for _ in 0..8 {
                    let (value, gradient) = problem(&x);
                    optimizer.step(&mut x, value, &gradient);
                }
                x.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3), "{kind}");
    }
}

/// Number of evaluations until the value is within `tolerance` of 0, the maximum of the problem.
fn evaluations(
    optimizer: &mut dyn Optimizer,
    problem: Problem,
    start: &[f32],
    tolerance: f64,
    most: usize,
) -> usize {
    let mut x = start.to_vec();
    for n in 1..=most {
        let (value, gradient) = problem(&x);
        if value > -tolerance {
            return n;
        }
        optimizer.step(&mut x, value, &gradient);
    }
    most + 1
}

/// Rosenbrock's valley, negated: −(100(y − x²)² + (1 − x)²).
fn rosenbrock(p: &[f32]) -> (f64, Vec<f32>) {
    let (x, y) = (f64::from(p[0]), f64::from(p[1]));
    let (u, v) = (y - x * x, 1.0 - x);
    (-(100.0 * u * u + v * v), vec![(400.0 * x * u + 2.0 * v) as f32, (-200.0 * u) as f32])
}

/// −½Σ aᵢxᵢ² with aᵢ from 1 to 10⁴ over 50 parameters.
fn ill_conditioned(x: &[f32]) -> (f64, Vec<f32>) {
    let a = |i: usize| 10f64.powf(4.0 * i as f64 / 49.0);
    let value = x.iter().enumerate().map(|(i, x)| -0.5 * a(i) * f64::from(*x).powi(2)).sum();
    (value, x.iter().enumerate().map(|(i, x)| (-a(i) * f64::from(*x)) as f32).collect())
}

#[test]
fn lbfgs_needs_far_fewer_evaluations_than_gradient_ascent() {
    // The rates of gradient ascent are about the largest that do not diverge.
    let cases: [(&str, Problem, Vec<f32>, f64, f32); 2] = [
        ("Rosenbrock", rosenbrock, vec![-1.2, 1.0], 1e-8, 1e-3),
        ("ill-conditioned", ill_conditioned, vec![1.0; 50], 1e-6, 1.9e-4),
    ];
    for (name, problem, start, tolerance, rate) in cases {
        let mut sgd = Sgd::new(start.len(), rate, 0.0, 0.0);
        let ascent = evaluations(&mut sgd, problem, &start, tolerance, 200_000);
        for fixed in [true, false] {
            let mut lbfgs = Lbfgs::new(start.len(), 1.0, LBFGS_HISTORY, fixed);
            let ours = evaluations(&mut lbfgs, problem, &start, tolerance, 1000);
            assert!(
                ours <= 1000 && 20 * ours < ascent,
                "{name}, fixed {fixed}: {ours}, gradient ascent {ascent}"
            );
        }
    }
}
