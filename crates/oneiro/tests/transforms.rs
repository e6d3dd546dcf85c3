//! Property tests of transform chains: random chains from a grammar, random shapes and seeds.

use oneiro::rng::Stream;
use oneiro::transform::{Chain, Extent, Sampled};
use proptest::prelude::*;

/// Generates a range as text, with numbers from `low` to `high` in steps of a hundredth of the interval.
fn range(low: f64, high: f64) -> impl Strategy<Value = String> {
    let at = move |k: i32| ((low + (high - low) * f64::from(k) / 100.0) * 1000.0).round() / 1000.0;
    (0..=100i32, 0..=100i32, 0..=100i32, 0..5).prop_map(move |(a, b, c, kind)| {
        let (low, high, other) = (at(a.min(b)), at(a.max(b)), at(c));
        match kind {
            0 => format!("{low}"),
            1 => format!("{low}..{high}"),
            2 => format!("{low},{high},{other}"),
            3 => format!("{low}->{other}"),
            _ => format!("{low}..{high}->{other}"),
        }
    })
}

fn member() -> impl Strategy<Value = String> {
    let ranged = |name: &'static str, low, high| range(low, high).prop_map(move |r| format!("{name}({r})"));
    prop_oneof![
        (0..5, any::<bool>()).prop_map(|(n, r)| format!("pad({n}{})", if r { ",reflect" } else { "" })),
        (0..9).prop_map(|n| format!("jitter({n})")),
        (0..9).prop_map(|n| format!("roll({n})")),
        ranged("scale", 0.1, 2.0),
        ranged("rotate", -360.0, 360.0),
        ranged("crop", 0.01, 1.0),
        ranged("noise", 0.0, 0.5),
        ranged("uniform", 0.0, 0.5),
        ranged("blur", 0.0, 3.0),
        Just("flip".to_string()),
        (0..=10).prop_map(|p| format!("flip({})", f64::from(p) / 10.0)),
        (1..20, any::<bool>()).prop_map(|(r, box_)| {
            let r = f64::from(r) / 20.0;
            if box_ { format!("mask(box,{r})") } else { format!("mask(circle,{})", 2.0 * r) }
        }),
        (1..12, 1..12).prop_map(|(h, w)| format!("canvas({h},{w})")),
        (0..9).prop_map(|n| format!("tjitter({n})")),
        ranged("tcrop", 0.01, 1.0),
        ranged("speed", 0.1, 10.0),
    ]
}

fn chain() -> impl Strategy<Value = Chain> {
    proptest::collection::vec(member(), 0..6).prop_map(|parts| parts.join("|").parse().expect("a chain"))
}

/// Generates shapes, including clips, images and single pixels, and the size of a canvas.
fn extent() -> impl Strategy<Value = ([usize; 4], [usize; 2])> {
    let side = || prop_oneof![1 => Just(1usize), 4 => 1..14usize];
    let shape = (1..3usize, prop_oneof![Just(1usize), 1..6usize], side(), side());
    (shape, side(), side()).prop_map(|((c, t, h, w), y, x)| ([c, t, h, w], [y, x]))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn numbers(rng: &mut Stream, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.normal() as f32).collect()
}

fn applied(sampled: &mut Sampled, image: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; sampled.out_extent().values()];
    sampled.apply(image, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_comes_out_on_the_canvas_and_goes_back_as_its_adjoint(
        chain in chain(), (shape, canvas) in extent(), seed in any::<u64>(), progress in 0.0f32..=1.0
    ) {
        let mut rng = Stream::new(seed, 0);
        let mut sampled = Sampled::default();
        chain.resample(&mut rng, shape, canvas, progress, &mut sampled);
        prop_assert_eq!(sampled.out_extent(), Extent::from([shape[0], shape[1], canvas[0], canvas[1]]));
        let (len, out_len) = (shape.iter().product(), shape[0] * shape[1] * canvas[0] * canvas[1]);
        let (x, y) = (numbers(&mut rng, len), numbers(&mut rng, out_len));
        // The transform is affine: the linear part A·x is the difference from the result for zero.
        let (at_x, at_zero) = (applied(&mut sampled, &x), applied(&mut sampled, &vec![0.0; len]));
        let ax: Vec<f32> = at_x.iter().zip(&at_zero).map(|(a, b)| a - b).collect();
        let mut aty = vec![f32::NAN; len];
        sampled.adjoint(&y, &mut aty);
        let (left, right) = (dot(&ax, &y), dot(&x, &aty));
        let size = dot(&y, &y).sqrt() * (1.0 + dot(&at_x, &at_x).sqrt() + dot(&at_zero, &at_zero).sqrt());
        prop_assert!((left - right).abs() < 2e-6 * (1.0 + size), "{}: {} {}", chain, left, right);
    }

    #[test]
    fn the_same_numbers_are_drawn_whatever_the_size(
        chain in chain(), (shape, canvas) in extent(), seed in any::<u64>()
    ) {
        let (mut used, mut other) = (Stream::new(seed, 1), Stream::new(seed, 1));
        chain.sample_onto(&mut used, shape, canvas);
        chain.sample(&mut other, [1, 1, 1]);
        prop_assert_eq!(used.bits(), other.bits());
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes(
        chain in chain(), (shape, canvas) in extent(), seed in any::<u64>()
    ) {
        let image = numbers(&mut Stream::new(seed, 2), shape.iter().product());
        let seen = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                let mut sampled = chain.sample_onto(&mut Stream::new(seed, 3), shape, canvas);
                let out = applied(&mut sampled, &image);
                let mut back = vec![f32::NAN; image.len()];
                sampled.adjoint(&out, &mut back);
                let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                (bits(&out), bits(&back))
            })
        };
        prop_assert_eq!(seen(1), seen(3));
    }

    #[test]
    fn what_is_printed_is_read_as_the_same_chain(chain in chain()) {
        prop_assert_eq!(chain.to_string().parse::<Chain>().expect("a chain"), chain);
    }
}
