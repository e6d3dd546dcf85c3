//! Tests of kernels over blocks of channels: against the definition in f64 and against the plain kernels, on
//! every instruction set of the machine. Results must have the same bits however the work is divided.

use super::*;
use crate::kernels::Epilogue;
use crate::kernels::correlate::tests::{Case, case, cases, reference_correlate, sizes, weights_of};
use crate::kernels::correlate::{ConvGeometry, Correlation, Phase, volume};
use crate::kernels::isa::Isa;
use crate::kernels::pool::{MaxPoolRule, PoolGeometry};
use crate::kernels::testing::{in_pool, numbers};
use crate::kernels::{self, team};

mod elementwise;
mod epilogues;
mod pooling;

/// The cases of the plain kernels, and some with several blocks of channels.
fn all_cases() -> Vec<Case> {
    let one = [1; 3];
    let none = [[0, 0]; 3];
    let same = |z: usize, y: usize, x: usize| [[z, z], [y, y], [x, x]];
    let mut all = cases();
    all.extend([
        case("blocks 1x1", [2, 1, 40, 72], [1, 9, 7], one, one, one, none),
        case("blocks 1x1, many passes", [1, 1, 330, 20], [1, 5, 6], one, one, one, none),
        case("blocks 1x1 stride 2", [1, 1, 33, 50], [1, 9, 8], one, [1, 2, 2], one, none),
        case("blocks 3x3", [2, 1, 35, 37], [1, 13, 11], [1, 3, 3], one, one, same(0, 1, 1)),
        case("blocks 3x3, one tile", [1, 1, 16, 16], [1, 2, 3], [1, 3, 3], one, one, same(0, 1, 1)),
        case("blocks 3x3 valid", [1, 1, 16, 80], [1, 11, 30], [1, 3, 3], one, one, none),
        case("blocks 3x3, wide padding", [1, 1, 18, 17], [1, 6, 5], [1, 3, 3], one, one, same(0, 2, 3)),
        case("blocks 3x3 stride 2", [1, 1, 20, 34], [1, 15, 14], [1, 3, 3], [1, 2, 2], one, same(0, 1, 1)),
        case("blocks 1x7", [1, 1, 24, 40], [1, 7, 17], [1, 1, 7], one, one, same(0, 0, 3)),
        case("blocks 7x1", [1, 1, 24, 40], [1, 17, 7], [1, 7, 1], one, one, same(0, 3, 0)),
        case("blocks 4x4", [2, 1, 24, 18], [1, 9, 14], [1, 4, 4], one, one, same(0, 1, 2)),
        case("blocks 5x5", [1, 1, 17, 33], [1, 9, 10], [1, 5, 5], one, one, same(0, 2, 2)),
        case("blocks in groups", [2, 3, 16, 32], [1, 6, 9], [1, 3, 3], one, one, same(0, 1, 1)),
        case("three blocks in groups", [1, 2, 48, 80], [1, 5, 11], [1, 3, 3], one, one, same(0, 1, 1)),
        case("blocks 3x3x3", [2, 1, 17, 20], [5, 6, 7], [3, 3, 3], one, one, same(1, 1, 1)),
        case("blocks 3x3x3 stride 2", [1, 1, 18, 19], [5, 7, 6], [3, 3, 3], [2, 2, 2], one, same(1, 1, 1)),
        case("blocks 3x1x1", [1, 1, 20, 18], [6, 5, 4], [3, 1, 1], one, one, same(1, 0, 0)),
        case("blocks 1x3", [2, 1, 17, 33], [1, 5, 9], [1, 1, 3], one, one, same(0, 0, 1)),
        case("blocks 1x3x3 over frames", [1, 1, 16, 33], [4, 9, 6], [1, 3, 3], one, one, same(0, 1, 1)),
        case("depthwise 3x3", [2, 20, 1, 1], [1, 11, 23], [1, 3, 3], one, one, same(0, 1, 1)),
        case("depthwise 5x5 stride 2", [1, 35, 1, 1], [1, 13, 20], [1, 5, 5], [1, 2, 2], one, same(0, 2, 2)),
        case("depthwise 3x3x3", [1, 17, 1, 1], [4, 5, 6], [3, 3, 3], one, one, same(1, 1, 1)),
        case("first 3x3", [2, 1, 3, 20], [1, 9, 13], [1, 3, 3], one, one, same(0, 1, 1)),
        case("first 7x7 stride 2", [1, 1, 3, 40], [1, 20, 23], [1, 7, 7], [1, 2, 2], one, same(0, 3, 3)),
        case("first 3x3 stride 2 valid", [1, 1, 3, 16], [1, 12, 15], [1, 3, 3], [1, 2, 2], one, none),
        case("first 11x11 stride 4", [1, 1, 3, 16], [1, 31, 27], [1, 11, 11], [1, 4, 4], one, same(0, 2, 2)),
        case("first 3x7x7 stride 2", [1, 1, 3, 17], [4, 15, 11], [3, 7, 7], [1, 2, 2], one, same(1, 3, 3)),
        case("first, one channel", [1, 1, 1, 16], [1, 10, 9], [1, 5, 5], one, one, same(0, 2, 2)),
    ]);
    all
}

fn to_blocks(batch: usize, channels: usize, plane: usize, plain: &[f32]) -> Vec<f32> {
    let mut blocked = vec![f32::NAN; batch * blocks_of(channels) * plane * BLOCK];
    block(Isa::Portable, batch, channels, plane, plain, &mut blocked, false);
    blocked
}

fn from_blocks(batch: usize, channels: usize, plane: usize, blocked: &[f32]) -> Vec<f32> {
    let mut plain = vec![f32::NAN; batch * channels * plane];
    unblock(Isa::Portable, batch, channels, plane, blocked, &mut plain, false);
    plain
}

/// Source and destination channels. The padding to whole blocks is per group, so engines take one group or
/// groups of whole blocks only.
fn channels(c: &Correlation) -> (usize, usize) {
    (c.groups * c.c_in, c.groups * c.c_out)
}

/// An algorithm for a correlation, with the relative error that it may have.
enum Engine {
    Dense(Dense),
    Winograd(Winograd, f64),
    Line(Box<LineWinograd>, f64),
    Depthwise(Depthwise),
}

impl Engine {
    fn run(&self, src: &[f32], dst: &mut [f32], accumulate: bool, epilogue: &mut Epilogue<'_>) {
        match self {
            Engine::Dense(e) => e.run(src, dst, accumulate, epilogue),
            Engine::Winograd(e, _) => e.run(src, dst, accumulate, epilogue),
            Engine::Line(e, _) => e.run(src, dst, accumulate, epilogue),
            Engine::Depthwise(e) => e.run(src, dst, accumulate, epilogue),
        }
    }

    fn tolerance(&self) -> f64 {
        if let Engine::Winograd(_, tolerance) | Engine::Line(_, tolerance) = self { *tolerance } else { 4e-6 }
    }

    fn name(&self) -> &'static str {
        match self {
            Engine::Dense(_) => "dense",
            Engine::Winograd(..) => "winograd",
            Engine::Line(line, _) => line.outputs().name(),
            Engine::Depthwise(_) => "depthwise",
        }
    }
}

/// Every algorithm that can compute this correlation.
fn engines(
    isa: Isa,
    c: &Correlation,
    weight: &(dyn Fn(usize, usize, usize, usize) -> f32 + Sync),
    bias: Option<&[f32]>,
) -> Vec<Engine> {
    let mut all = Vec::new();
    if c.groups > 1 && c.c_in == 1 && c.c_out == 1 {
        let weights: Vec<f32> = (0..c.groups)
            .flat_map(|g| (0..c.taps.len()).map(move |t| (g, t)))
            .map(|(g, t)| weight(g, 0, 0, t))
            .collect();
        all.push(Engine::Depthwise(Depthwise::new(c.clone(), isa, &weights, bias)));
    }
    if Dense::takes(c) {
        all.push(Engine::Dense(Dense::new(c.clone(), isa, weight, bias)));
    }
    if Winograd::takes(c) {
        for (outputs, tolerance) in [(Outputs::Two, 4e-6), (Outputs::Four, 2e-5)] {
            let engine = Winograd::new(c.clone(), isa, outputs, |o, i, t| weight(0, o, i, t), bias);
            all.push(Engine::Winograd(engine, tolerance));
        }
    }
    for outputs in LineOutputs::ALL.into_iter().filter(|&o| LineWinograd::takes(c, o)) {
        let tolerance = if outputs.is_exact() { 4e-6 } else { 3e-5 };
        let engine = LineWinograd::new(c.clone(), isa, outputs, |o, i, t| weight(0, o, i, t), bias);
        all.push(Engine::Line(Box::new(engine), tolerance));
    }
    all
}

fn note_difference(failures: &mut Vec<String>, name: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    let scale = expected.iter().fold(1.0f64, |scale, v| scale.max(v.abs()));
    let wrong = found
        .iter()
        .zip(expected)
        .position(|(&f, &e)| f.is_nan() || (f64::from(f) - e).abs() > tolerance * scale);
    if let Some(i) = wrong {
        failures.push(format!(
            "{name}: element {i} of {} is {} instead of {}",
            found.len(),
            found[i],
            expected[i]
        ));
    }
}

/// Returns the correlations of a case: the convolution itself and each phase of its adjoint. Each comes with
/// its taps in the kernel, and whether it is the forward direction.
fn correlations(g: &ConvGeometry) -> Vec<(Correlation, Vec<usize>, bool)> {
    let forward = (Correlation::forward_of(g), (0..g.taps()).collect(), true);
    let back = |Phase { correlation, kernel_taps }| (correlation, kernel_taps, false);
    std::iter::once(forward).chain(Correlation::backward_of(g).into_iter().map(back)).collect()
}

#[test]
fn every_engine_equals_the_definition() {
    let mut failures = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    for Case { name, geometry: g } in all_cases() {
        let w = weights_of(&g);
        for (c, taps, forward) in correlations(&g) {
            let weight = |group: usize, out: usize, input: usize, tap: usize| {
                let (out, input) = if forward { (out, input) } else { (input, out) };
                w[g.weight_index(group, out, input, taps[tap])]
            };
            let (c_in, c_out) = channels(&c);
            let (src_plane, dst_plane) = (volume(c.src), volume(c.dst));
            let src = numbers(c.batch * c_in * src_plane, 3);
            let held = numbers(c.batch * c_out * dst_plane, 4);
            let bias = numbers(c_out, 2);
            for accumulate in [false, true] {
                // A sum starts from the bias, or with `accumulate` from what the destination holds; never
                // from both.
                let bias = (!accumulate).then_some(&bias[..]);
                let mut expected: Vec<f64> = held.iter().map(|&v| v.into()).collect();
                reference_correlate(&c, weight, bias, &src, &mut expected, accumulate);
                for isa in Isa::available() {
                    for engine in engines(isa, &c, &weight, bias) {
                        *seen.entry((engine.name(), forward)).or_insert(0) += 1;
                        let mut dst = to_blocks(c.batch, c_out, dst_plane, &held);
                        let src = to_blocks(c.batch, c_in, src_plane, &src);
                        engine.run(&src, &mut dst, accumulate, &mut Epilogue::default());
                        let found = from_blocks(c.batch, c_out, dst_plane, &dst);
                        let name =
                            format!("{name}, {}, forward {forward}, {isa:?}, {accumulate}", engine.name());
                        note_difference(&mut failures, &name, &found, &expected, engine.tolerance());
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(seen.len(), 22, "engines that no case reached: {seen:?}");
}

#[test]
fn adjoints_that_read_the_weights_of_their_convolution_have_the_same_bits() {
    let mut seen = 0;
    for Case { name, geometry: g } in all_cases() {
        let w = weights_of(&g);
        let forward = Correlation::forward_of(&g);
        if !Dense::takes(&forward) {
            continue;
        }
        let dy = to_blocks(g.batch, g.groups * g.c_out, volume(g.dst), &numbers(sizes(&g).1, 5));
        for isa in Isa::available() {
            let weight = |group, out, input, tap| w[g.weight_index(group, out, input, tap)];
            let convolution = Dense::new(forward.clone(), isa, weight, None);
            for Phase { correlation: c, kernel_taps } in Correlation::backward_of(&g) {
                let weight =
                    |group, out, input, tap: usize| w[g.weight_index(group, input, out, kernel_taps[tap])];
                let own = Dense::new(c.clone(), isa, weight, None);
                let shared = convolution.adjoint_of(c.clone(), &kernel_taps).unwrap();
                assert!(shared.adjoint_of(forward.clone(), &[]).is_none(), "it has none to lend");
                let len = c.batch * c.groups * blocks_of(c.c_out) * volume(c.dst) * BLOCK;
                let run = |engine: &Dense| {
                    let mut dst = vec![0.0; len];
                    engine.run(&dy, &mut dst, false, &mut Epilogue::default());
                    dst
                };
                let expected = run(&own);
                for threads in [1, 2, 3] {
                    let found = in_pool(threads, || run(&shared));
                    assert_eq!(found, expected, "{name}, {isa:?}, {threads} threads");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen} adjoints");
}

#[test]
fn first_convolutions_equal_the_definition() {
    let (mut failures, mut seen) = (Vec::new(), 0);
    for Case { name, geometry: g } in all_cases().into_iter().filter(|c| FirstConv::takes(&c.geometry)) {
        seen += 1;
        let (w, bias) = (weights_of(&g), numbers(g.c_out, 2));
        let (x_len, y_len) = sizes(&g);
        let (x, dy, held) = (numbers(x_len, 3), numbers(y_len, 5), numbers(x_len, 6));
        let forward = Correlation::forward_of(&g);
        let mut y = vec![0.0; y_len];
        let weight = |group, out, input, tap| w[g.weight_index(group, out, input, tap)];
        reference_correlate(&forward, weight, Some(&bias), &x, &mut y, false);
        for isa in Isa::available() {
            let first_conv = FirstConv::new(&g, isa, &w, Some(&bias), true);
            let plane = volume(g.dst);
            let mut found = vec![f32::NAN; g.batch * blocks_of(g.c_out) * plane * BLOCK];
            first_conv.run(&x, &mut found, &mut Epilogue::default());
            let found = from_blocks(g.batch, g.c_out, plane, &found);
            note_difference(&mut failures, &format!("{name}, {isa:?}"), &found, &y, 4e-6);
            for accumulate in [false, true] {
                let mut dx: Vec<f64> = held.iter().map(|&v| v.into()).collect();
                for Phase { correlation, kernel_taps } in Correlation::backward_of(&g) {
                    let weight = |group, out, input, tap: usize| {
                        w[g.weight_index(group, input, out, kernel_taps[tap])]
                    };
                    reference_correlate(&correlation, weight, None, &dy, &mut dx, accumulate);
                }
                let mut found = held.clone();
                first_conv.run_backward(&to_blocks(g.batch, g.c_out, plane, &dy), &mut found, accumulate);
                note_difference(
                    &mut failures,
                    &format!("{name}, back, {isa:?}, {accumulate}"),
                    &found,
                    &dx,
                    4e-6,
                );
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(seen >= 8, "{seen} first convolutions");
}

#[test]
fn threads_teams_and_the_batch_do_not_change_a_bit() {
    let mut failures = Vec::new();
    for Case { name, geometry: g } in all_cases() {
        let g = ConvGeometry { batch: 3, ..g };
        let w = weights_of(&g);
        for (c, taps, forward) in correlations(&g) {
            let weight = |group: usize, out: usize, input: usize, tap: usize| {
                let (out, input) = if forward { (out, input) } else { (input, out) };
                w[g.weight_index(group, out, input, taps[tap])]
            };
            let (c_in, c_out) = channels(&c);
            let (src_plane, dst_plane) = (volume(c.src), volume(c.dst));
            let src = to_blocks(c.batch, c_in, src_plane, &numbers(c.batch * c_in * src_plane, 3));
            let len = c.batch * blocks_of(c_out) * dst_plane * BLOCK;
            let isa = Isa::detect();
            let alone = engines(isa, &Correlation { batch: 1, ..c.clone() }, &weight, None);
            for (engine, alone) in engines(isa, &c, &weight, None).iter().zip(&alone) {
                let run = |threads| {
                    in_pool(threads, || {
                        let mut dst = vec![0.0; len];
                        engine.run(&src, &mut dst, false, &mut Epilogue::default());
                        dst
                    })
                };
                let expected = run(1);
                let in_team = in_pool(2, || {
                    let mut dst = vec![0.0; len];
                    team::run(|| engine.run(&src, &mut dst, false, &mut Epilogue::default()));
                    dst
                });
                let mut single = vec![0.0; len / 3];
                let one = from_blocks(3, c_in, src_plane, &src);
                let one = to_blocks(1, c_in, src_plane, &one[one.len() / 3..one.len() / 3 * 2]);
                alone.run(&one, &mut single, false, &mut Epilogue::default());
                let plain = from_blocks(3, c_out, dst_plane, &expected);
                let same = [run(2), run(3), run(8), in_team].iter().all(|found| *found == expected)
                    && from_blocks(1, c_out, dst_plane, &single)
                        == plain[plain.len() / 3..plain.len() / 3 * 2];
                if !same {
                    failures.push(format!("{name}, {}, forward {forward}", engine.name()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
