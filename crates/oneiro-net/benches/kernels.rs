//! Benchmark of the convolution kernels. Speeds are in operations of the direct algorithm, whatever the
//! kernel computes: `cargo bench -p oneiro-net --features internals`.
//!
//! Shapes are those of VGG-16, ResNet-50, Inception-v3, MobileNet-v2 and R(2+1)D. `RAYON_NUM_THREADS` sets
//! the number of threads.

#![allow(missing_docs)] // criterion's entry points

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use oneiro_net::kernels::Epilogue;
use oneiro_net::kernels::blocked::{
    Dense, Depthwise, LineOutputs, LineWinograd, Outputs, Winograd, blocks_of,
};
use oneiro_net::kernels::{ConvGeometry, Correlation, Isa};

/// A convolution: input channels, output channels, source size, kernel size, stride.
type Shape = (usize, usize, [usize; 3], [usize; 3], usize);

const SHAPES: &[(&str, Shape)] = &[
    ("vgg conv1_2", (64, 64, [1, 224, 224], [1, 3, 3], 1)),
    ("vgg conv3_2", (256, 256, [1, 56, 56], [1, 3, 3], 1)),
    ("vgg conv5_1", (512, 512, [1, 14, 14], [1, 3, 3], 1)),
    ("resnet res2 1x1", (64, 256, [1, 56, 56], [1, 1, 1], 1)),
    ("resnet res4 1x1", (1024, 256, [1, 14, 14], [1, 1, 1], 1)),
    ("resnet res5 1x1", (512, 2048, [1, 7, 7], [1, 1, 1], 1)),
    ("resnet res4 step 2", (256, 256, [1, 28, 28], [1, 3, 3], 2)),
    ("inception 1x7", (192, 192, [1, 17, 17], [1, 1, 7], 1)),
    ("r(2+1)d 3x1x1", (144, 64, [16, 56, 56], [3, 1, 1], 1)),
];

fn geometry(&(c_in, c_out, src, kernel, stride): &Shape) -> ConvGeometry {
    let pad_before = kernel.map(|k| k / 2);
    let stride = [1, stride, stride];
    let dst = std::array::from_fn(|d| (src[d] + 2 * pad_before[d] - kernel[d]) / stride[d] + 1);
    ConvGeometry { batch: 1, groups: 1, c_in, c_out, src, dst, kernel, stride, dilation: [1; 3], pad_before }
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1009) as f32 / 504.0 - 1.0).collect()
}

fn volume(extent: [usize; 3]) -> usize {
    extent.iter().product()
}

fn convolutions(criterion: &mut Criterion) {
    let isa = Isa::detect();
    for (name, shape) in SHAPES {
        let g = geometry(shape);
        let w = numbers(g.c_out * g.c_in * g.taps());
        let src = numbers(blocks_of(g.c_in) * volume(g.src) * 16);
        let mut dst = vec![0.0; blocks_of(g.c_out) * volume(g.dst) * 16];
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Elements((2 * g.c_in * g.c_out * g.taps() * volume(g.dst)) as u64));
        let correlation = Correlation::forward_of(&g);
        let dense = Dense::new(correlation.clone(), isa, |g_, o, i, t| w[g.weight_index(g_, o, i, t)], None);
        group.bench_function("direct", |b| {
            b.iter(|| dense.run(&src, &mut dst, false, &mut Epilogue::default()))
        });
        let weight = |o: usize, i: usize, t: usize| w[g.weight_index(0, o, i, t)];
        if Winograd::takes(&correlation) {
            for outputs in [Outputs::Two, Outputs::Four] {
                let engine = Winograd::new(correlation.clone(), isa, outputs, weight, None);
                group.bench_function(BenchmarkId::new("plane", format!("{outputs:?}")), |b| {
                    b.iter(|| engine.run(&src, &mut dst, false, &mut Epilogue::default()));
                });
            }
        }
        for outputs in LineOutputs::ALL.into_iter().filter(|&o| LineWinograd::takes(&correlation, o)) {
            let engine = LineWinograd::new(correlation.clone(), isa, outputs, weight, None);
            group.bench_function(BenchmarkId::new("line", format!("{outputs:?}")), |b| {
                b.iter(|| engine.run(&src, &mut dst, false, &mut Epilogue::default()));
            });
        }
        group.finish();
    }
}

fn depthwise(criterion: &mut Criterion) {
    let (channels, plane) = (144, [1, 56, 56]);
    let g = ConvGeometry { groups: channels, c_in: 1, c_out: 1, ..geometry(&(1, 1, plane, [1, 3, 3], 1)) };
    let engine = Depthwise::new(Correlation::forward_of(&g), Isa::detect(), &numbers(channels * 9), None);
    let src = numbers(blocks_of(channels) * volume(plane) * 16);
    let mut dst = vec![0.0; src.len()];
    let mut group = criterion.benchmark_group("mobilenet depthwise 3x3");
    group.throughput(Throughput::Elements((2 * channels * 9 * volume(plane)) as u64));
    group.bench_function("depthwise", |b| {
        b.iter(|| engine.run(&src, &mut dst, false, &mut Epilogue::default()))
    });
    group.finish();
}

criterion_group!(kernels, convolutions, depthwise);
criterion_main!(kernels);
