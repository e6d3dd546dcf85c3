//! Benchmark of the random transforms on a colour picture: `cargo bench -p oneiro --bench transforms`.
//!
//! One step draws the random numbers, transforms the picture, and transforms a gradient back.
//! `RAYON_NUM_THREADS=1` limits it to one thread.

use criterion::{Criterion, criterion_group, criterion_main};
use oneiro::{rng::Stream, transform::Chain};

const SIDE: usize = 224;

fn steps(criterion: &mut Criterion) {
    let chains = [
        "scale(0.9)",
        "scale(1.1)",
        "rotate(3)",
        "rotate(-10)",
        "rotate(45)",
        "pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)",
    ];
    for text in chains {
        let chain: Chain = text.parse().expect("a chain");
        let mut rng = Stream::new(0, 0);
        let image: Vec<f32> = (0..3 * SIDE * SIDE).map(|_| rng.uniform() as f32).collect();
        let (mut seen, mut gradient) = (vec![0.0; image.len()], vec![0.0; image.len()]);
        let mut sampled = chain.sample(&mut rng, [3, SIDE, SIDE]);
        criterion.bench_function(&format!("{text} forward"), |b| b.iter(|| sampled.apply(&image, &mut seen)));
        criterion
            .bench_function(&format!("{text} back"), |b| b.iter(|| sampled.adjoint(&seen, &mut gradient)));
        criterion.bench_function(&format!("{text} step"), |b| {
            b.iter(|| {
                chain.resample(&mut rng, [3, SIDE, SIDE], [SIDE; 2], 0.5, &mut sampled);
                sampled.apply(&image, &mut seen);
                sampled.adjoint(&seen, &mut gradient);
            });
        });
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
