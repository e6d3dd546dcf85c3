//! Tests of the correlation against the definition in f64, and of its adjoints. Results must have the same
//! bits however the work is divided.

use super::*;
use crate::kernels::clip::{clip, mask_words};
use crate::kernels::testing::{assert_close, dot, in_pool, numbers};

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) geometry: ConvGeometry,
}

/// A case from `(batch, groups, c_in, c_out)`, source, kernel, stride, dilation and padding on both sides.
pub(crate) fn case(
    name: &'static str,
    [batch, groups, c_in, c_out]: [usize; 4],
    src: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    pad: [[usize; 2]; 3],
) -> Case {
    let dst = std::array::from_fn(|d| {
        (src[d] + pad[d][0] + pad[d][1] - (kernel[d] - 1) * dilation[d] - 1) / stride[d] + 1
    });
    let pad_before = pad.map(|p| p[0]);
    Case {
        name,
        geometry: ConvGeometry { batch, groups, c_in, c_out, src, dst, kernel, stride, dilation, pad_before },
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let one = [1, 1, 1];
    let none = [[0, 0]; 3];
    let same = |y: usize, x: usize| [[0, 0], [y, y], [x, x]];
    vec![
        case("a single number", [1, 1, 1, 1], one, one, one, one, none),
        case("1x1", [3, 1, 5, 17], [1, 7, 9], one, one, one, none),
        case("1x1, more columns than a block", [1, 1, 3, 2], [1, 19, 23], one, one, one, none),
        case("1x1, more products than a pass", [1, 1, 301, 15], [1, 3, 3], one, one, one, none),
        case("1x1 stride 2", [1, 1, 4, 3], [1, 9, 8], one, [1, 2, 2], one, none),
        case("3x3 same", [3, 1, 3, 29], [1, 13, 11], [1, 3, 3], one, one, same(1, 1)),
        case("3x3 same, many passes", [1, 1, 67, 14], [1, 5, 6], [1, 3, 3], one, one, same(1, 1)),
        case("3x3 same, wide", [1, 1, 2, 13], [1, 4, 131], [1, 3, 3], one, one, same(1, 1)),
        case("3x3 valid", [1, 1, 4, 5], [1, 10, 7], [1, 3, 3], one, one, none),
        case("3x3 valid, many columns", [2, 1, 2, 4], [1, 22, 21], [1, 3, 3], one, one, none),
        case("7x7 stride 2", [1, 1, 3, 8], [1, 23, 29], [1, 7, 7], [1, 2, 2], one, same(3, 3)),
        case("11x11 stride 4", [1, 1, 3, 4], [1, 31, 27], [1, 11, 11], [1, 4, 4], one, same(2, 2)),
        case("stride above the kernel", [1, 1, 2, 3], [1, 11, 13], [1, 2, 2], [1, 3, 5], one, none),
        case("stride above the plane", [1, 1, 2, 3], [1, 3, 2], [1, 3, 2], [1, 7, 9], one, none),
        case("padding above the kernel", [1, 1, 2, 3], [1, 3, 4], [1, 2, 2], one, one, same(5, 4)),
        case("uneven padding", [1, 1, 2, 3], [1, 6, 5], [1, 3, 4], [1, 2, 1], one, [[0, 0], [0, 2], [3, 0]]),
        case("dilation", [1, 1, 3, 6], [1, 14, 12], [1, 3, 3], one, [1, 2, 4], same(2, 4)),
        case(
            "dilation and stride with a common divisor",
            [1, 1, 2, 2],
            [1, 9, 9],
            [1, 3, 3],
            [1, 2, 2],
            [1, 2, 2],
            same(2, 2),
        ),
        case(
            "dilation 2 and stride 4",
            [1, 1, 2, 2],
            [1, 13, 14],
            [1, 2, 3],
            [1, 4, 4],
            [1, 2, 2],
            same(1, 1),
        ),
        case("1x7", [1, 1, 4, 5], [1, 6, 17], [1, 1, 7], one, one, same(0, 3)),
        case("7x1", [1, 1, 4, 5], [1, 17, 6], [1, 7, 1], one, one, same(3, 0)),
        case("groups", [2, 4, 3, 5], [1, 8, 9], [1, 3, 3], one, one, same(1, 1)),
        case(
            "groups of one channel, stride 2",
            [1, 6, 1, 1],
            [1, 9, 9],
            [1, 3, 3],
            [1, 2, 2],
            one,
            same(1, 1),
        ),
        case("one dimension", [3, 1, 3, 4], [1, 1, 401], [1, 1, 9], [1, 1, 3], one, same(0, 4)),
        case("3x3x3", [2, 1, 3, 5], [5, 6, 7], [3, 3, 3], one, one, [[1, 1]; 3]),
        case("3x3x3 stride 2", [1, 1, 2, 3], [7, 6, 9], [3, 3, 3], [2, 2, 2], one, [[1, 1]; 3]),
        case("3x1x1", [1, 1, 3, 4], [7, 5, 9], [3, 1, 1], one, one, [[1, 1], [0, 0], [0, 0]]),
        case(
            "3x1x1 stride 2 in time",
            [1, 1, 3, 4],
            [9, 4, 9],
            [3, 1, 1],
            [2, 1, 1],
            one,
            [[1, 1], [0, 0], [0, 0]],
        ),
        case("1x3x3 over frames", [1, 1, 2, 3], [4, 7, 13], [1, 3, 3], one, one, same(1, 1)),
        case("7x7x7 stride 2", [1, 1, 2, 3], [8, 11, 9], [7, 7, 7], [2, 2, 2], one, [[3, 3]; 3]),
        case("the last pixel sees no tap", [1, 1, 2, 3], [1, 8, 8], [1, 1, 1], [1, 3, 3], one, none),
        case(
            "more rows than threads' parts",
            [1, 1, 8, 530],
            [1, 4, 5],
            [1, 3, 3],
            [1, 2, 2],
            one,
            same(1, 1),
        ),
    ]
}

pub(crate) fn weights_of(geometry: &ConvGeometry) -> Vec<f32> {
    numbers(geometry.groups * geometry.c_out * geometry.c_in * geometry.taps(), 1)
}

/// The correlation by its definition, in f64.
pub(crate) fn reference_correlate(
    correlation: &Correlation,
    weight: impl Fn(usize, usize, usize, usize) -> f32,
    bias: Option<&[f32]>,
    src: &[f32],
    dst: &mut [f64],
    accumulate: bool,
) {
    let Correlation { batch, groups, c_in, c_out, src: s, dst: d, grid, .. } = *correlation;
    for (n, g, m) in itertools(batch, groups, c_out) {
        for (pz, py, px) in itertools(grid[0], grid[1], grid[2]) {
            let p = [pz, py, px];
            let mut sum = bias.map_or(0.0, |bias| f64::from(bias[g * c_out + m]));
            for c in 0..c_in {
                for (t, tap) in correlation.taps.iter().enumerate() {
                    let at: [isize; 3] =
                        std::array::from_fn(|i| (p[i] * correlation.src_step[i]) as isize + tap[i]);
                    if (0..3).all(|i| (0..s[i] as isize).contains(&at[i])) {
                        let [z, y, x] = at.map(|a| a as usize);
                        let from = ((((n * groups + g) * c_in + c) * s[0] + z) * s[1] + y) * s[2] + x;
                        sum += f64::from(weight(g, m, c, t)) * f64::from(src[from]);
                    }
                }
            }
            let [z, y, x] =
                std::array::from_fn(|i| correlation.dst_start[i] + p[i] * correlation.dst_step[i]);
            let to = ((((n * groups + g) * c_out + m) * d[0] + z) * d[1] + y) * d[2] + x;
            dst[to] = if accumulate { dst[to] + sum } else { sum };
        }
    }
}

fn itertools(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

fn forward(
    isa: Isa,
    g: &ConvGeometry,
    w: &[f32],
    bias: Option<&[f32]>,
    x: &[f32],
    y: &mut [f32],
    accumulate: bool,
) {
    let correlation = Correlation::forward_of(g);
    let packed = correlation.pack_forward(isa, g, w);
    correlation.run(isa, &packed, bias, x, y, accumulate, Epilogue::none());
}

fn backward(isa: Isa, g: &ConvGeometry, w: &[f32], dy: &[f32], dx: &mut [f32], accumulate: bool) {
    for phase in Correlation::backward_of(g) {
        phase.correlation.run(isa, &phase.pack(isa, g, w), None, dy, dx, accumulate, Epilogue::none());
    }
}

pub(crate) fn sizes(g: &ConvGeometry) -> (usize, usize) {
    (g.batch * g.groups * g.c_in * volume(g.src), g.batch * g.groups * g.c_out * volume(g.dst))
}

#[test]
fn forward_equals_the_definition() {
    let mut failures = Vec::new();
    for Case { name, geometry: g } in cases() {
        let (w, bias) = (weights_of(&g), numbers(g.groups * g.c_out, 2));
        let (x_len, y_len) = sizes(&g);
        let (x, held) = (numbers(x_len, 3), numbers(y_len, 4));
        for with_bias in [false, true] {
            for accumulate in [false, true] {
                let bias = with_bias.then_some(&bias[..]);
                let mut expected: Vec<f64> = held.iter().map(|&v| v.into()).collect();
                let weight = |group, m, c, t| w[g.weight_index(group, m, c, t)];
                reference_correlate(
                    &Correlation::forward_of(&g),
                    weight,
                    bias,
                    &x,
                    &mut expected,
                    accumulate,
                );
                for isa in Isa::available() {
                    let mut y = held.clone();
                    forward(isa, &g, &w, bias, &x, &mut y, accumulate);
                    assert_close(
                        &mut failures,
                        &format!("{name}, {isa:?}, bias {with_bias}, accumulate {accumulate}"),
                        &y,
                        &expected,
                    );
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn backward_equals_the_scattered_definition_and_writes_all_of_dx() {
    let mut failures = Vec::new();
    for Case { name, geometry: g } in cases() {
        let w = weights_of(&g);
        let (x_len, y_len) = sizes(&g);
        let (dy, held) = (numbers(y_len, 5), numbers(x_len, 6));
        // The reference adds every dy, times each tap's weight, to the dx that the tap reads.
        let mut sums = vec![0.0f64; x_len];
        for (n, group, m) in itertools(g.batch, g.groups, g.c_out) {
            for (oz, oy, ox) in itertools(g.dst[0], g.dst[1], g.dst[2]) {
                let o = [oz, oy, ox];
                let row = (n * g.groups + group) * g.c_out + m;
                let v = f64::from(dy[((row * g.dst[0] + oz) * g.dst[1] + oy) * g.dst[2] + ox]);
                for (t, (tz, ty, tx)) in itertools(g.kernel[0], g.kernel[1], g.kernel[2]).enumerate() {
                    let k = [tz, ty, tx];
                    let at: [isize; 3] = std::array::from_fn(|d| {
                        (o[d] * g.stride[d] + k[d] * g.dilation[d]) as isize - g.pad_before[d] as isize
                    });
                    if (0..3).all(|d| (0..g.src[d] as isize).contains(&at[d])) {
                        let [z, y, x] = at.map(|a| a as usize);
                        for c in 0..g.c_in {
                            let plane = (n * g.groups + group) * g.c_in + c;
                            sums[((plane * g.src[0] + z) * g.src[1] + y) * g.src[2] + x] +=
                                v * f64::from(w[g.weight_index(group, m, c, t)]);
                        }
                    }
                }
            }
        }
        for accumulate in [false, true] {
            let expected: Vec<f64> = (sums.iter().zip(&held))
                .map(|(sum, &held)| if accumulate { sum + f64::from(held) } else { *sum })
                .collect();
            for isa in Isa::available() {
                let mut dx = if accumulate { held.clone() } else { vec![f32::NAN; x_len] };
                backward(isa, &g, &w, &dy, &mut dx, accumulate);
                assert_close(
                    &mut failures,
                    &format!("{name}, {isa:?}, accumulate {accumulate}"),
                    &dx,
                    &expected,
                );
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn forward_and_backward_are_adjoint() {
    let mut failures = Vec::new();
    for Case { name, geometry: g } in cases() {
        let w = weights_of(&g);
        let (x_len, y_len) = sizes(&g);
        let (x, dy) = (numbers(x_len, 7), numbers(y_len, 8));
        for isa in Isa::available() {
            let (mut y, mut dx) = (vec![0.0; y_len], vec![0.0; x_len]);
            forward(isa, &g, &w, None, &x, &mut y, false);
            backward(isa, &g, &w, &dy, &mut dx, false);
            let (left, right) = (dot(&y, &dy), dot(&x, &dx));
            let size = (dot(&y, &y) * dot(&dy, &dy)).sqrt();
            if (left - right).abs() > 1e-5 * size + 1e-9 {
                failures.push(format!("{name}, {isa:?}: {left} against {right}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn threads_and_batch_do_not_change_a_bit() {
    let mut failures = Vec::new();
    for Case { name, geometry: g } in cases() {
        let g = ConvGeometry { batch: 3, ..g };
        let (w, bias) = (weights_of(&g), numbers(g.groups * g.c_out, 2));
        let (x_len, y_len) = sizes(&g);
        let (x, dy) = (numbers(x_len, 9), numbers(y_len, 10));
        for isa in Isa::available() {
            let run = |g: &ConvGeometry, threads, x: &[f32], dy: &[f32]| {
                in_pool(threads, || {
                    let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
                    forward(isa, g, &w, Some(&bias), x, &mut y, false);
                    backward(isa, g, &w, dy, &mut dx, false);
                    (y, dx)
                })
            };
            let expected = run(&g, 1, &x, &dy);
            for threads in [2, 3] {
                if run(&g, threads, &x, &dy) != expected {
                    failures.push(format!("{name}, {isa:?}: {threads} threads"));
                }
            }
            let single = ConvGeometry { batch: 1, ..g.clone() };
            for image in 0..3 {
                let (xs, ys) =
                    (x_len / 3 * image..x_len / 3 * (image + 1), y_len / 3 * image..y_len / 3 * (image + 1));
                let (y, dx) = run(&single, 2, &x[xs.clone()], &dy[ys.clone()]);
                if y != expected.0[ys] || dx != expected.1[xs] {
                    failures.push(format!("{name}, {isa:?}: image {image} alone"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_clip_epilogue_equals_the_clip_of_the_result() {
    let mut failures = Vec::new();
    for Case { name, geometry: g } in cases() {
        let (w, bias) = (weights_of(&g), numbers(g.groups * g.c_out, 2));
        let (x_len, y_len) = sizes(&g);
        let x = numbers(x_len, 3);
        let plane = volume(g.dst);
        let (low, high) = (-0.25, 0.5);
        for isa in Isa::available() {
            for threads in [1, 3] {
                let mut plain = vec![0.0; y_len];
                forward(isa, &g, &w, Some(&bias), &x, &mut plain, false);
                let mut y = vec![0.0; y_len];
                let words = mask_words(plane);
                let mut below = vec![0x5555_5555; y_len / plane * words];
                let mut above = below.clone();
                let correlation = Correlation::forward_of(&g);
                let packed = correlation.pack_forward(isa, &g, &w);
                let epilogue = Epilogue::of(Some(EpilogueFunction::Clip {
                    bounds: crate::kernels::Bounds { low, high, saturates: false },
                    below: Some(&mut below),
                    above: Some(&mut above),
                }));
                in_pool(threads, || correlation.run(isa, &packed, Some(&bias), &x, &mut y, false, epilogue));
                let wrong = (0..y_len).find(|&i| {
                    let (row, p) = (i / plane, i % plane);
                    let bit = |mask: &[u32]| mask[row * words + p / 32] >> (p % 32) & 1 == 1;
                    y[i] != clip(plain[i], low, high)
                        || bit(&below) != (plain[i] <= low)
                        || bit(&above) != (plain[i] >= high)
                });
                if let Some(i) = wrong {
                    failures.push(format!("{name}, {isa:?}, {threads} threads: element {i}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_zero_in_the_source_hides_no_nan_of_its_neighbours_and_spreads_none_of_them() {
    // A NaN next to the packed columns in memory must not reach the sums.
    let Case { geometry: g, .. } =
        case("", [1, 1, 2, 3], [1, 5, 5], [1, 3, 3], [1; 3], [1; 3], [[0, 0], [1, 1], [1, 1]]);
    let w = weights_of(&g);
    for isa in Isa::available() {
        let mut x = numbers(50, 3);
        x[0] = f32::NAN;
        let mut y = vec![0.0; 75];
        forward(isa, &g, &w, None, &x, &mut y, false);
        let spread: Vec<usize> = (0..25).filter(|&i| y[i].is_nan()).collect();
        assert_eq!(spread, [0, 1, 5, 6], "{isa:?}");
        // The next call on the same thread reuses the scratch memory that held the NaN.
        x[0] = 0.0;
        forward(isa, &g, &w, None, &x, &mut y, false);
        assert!(y.iter().all(|v| v.is_finite()), "{isa:?}");
    }
}
