//! Tests of pooling against its definition, and of its adjoints. Results must have the same bits on any
//! number of threads.

use super::*;
use crate::kernels::testing::{assert_close, dot, in_pool, numbers};

fn cases() -> Vec<PoolGeometry> {
    let one = [1, 1, 1];
    // Builds a case with padding before and after, and the output extents, to which `ceil_mode` may add
    // windows.
    let case = |src: [usize; 3],
                kernel: [usize; 3],
                stride: [usize; 3],
                dilation: [usize; 3],
                pad: [[usize; 2]; 3],
                ceil: bool| {
        let dst = std::array::from_fn(|d| {
            let span = src[d] + pad[d][0] + pad[d][1] - (kernel[d] - 1) * dilation[d] - 1;
            let count = if ceil { span.div_ceil(stride[d]) } else { span / stride[d] } + 1;
            // `ceil_mode` adds no window that would begin after the source and the padding before it.
            count - usize::from(ceil && (count - 1) * stride[d] >= src[d] + pad[d][0])
        });
        let (pad_before, pad_after) = (pad.map(|p| p[0]), pad.map(|p| p[1]));
        PoolGeometry { planes: 5, src, dst, kernel, stride, dilation, pad_before, pad_after }
    };
    let none = [[0, 0]; 3];
    let ones = [[0, 0], [1, 1], [1, 1]];
    vec![
        case(one, one, one, one, none, false),
        case([1, 8, 34], [1, 2, 2], [1, 2, 2], one, none, false),
        case([1, 7, 35], [1, 3, 3], [1, 2, 2], one, ones, false),
        case([1, 7, 8], [1, 3, 3], [1, 2, 2], one, none, true),
        case([1, 8, 9], [1, 3, 3], [1, 2, 2], one, ones, true),
        case([1, 9, 19], [1, 3, 3], one, one, ones, false),
        case([1, 13, 14], [1, 5, 5], [1, 3, 3], one, none, true),
        case([1, 7, 7], [1, 7, 7], one, one, none, false),
        case([1, 9, 8], [1, 2, 3], [1, 4, 5], one, none, false),
        case([1, 11, 12], [1, 3, 2], [1, 2, 1], [1, 2, 3], [[0, 0], [1, 2], [0, 1]], false),
        case([1, 1, 41], [1, 1, 4], [1, 1, 3], one, [[0, 0], [0, 0], [2, 1]], false),
        case([4, 6, 7], [2, 2, 2], [2, 2, 2], one, [[0, 0], [0, 0], [0, 1]], true),
        case([5, 6, 7], [3, 3, 3], one, one, [[1, 1]; 3], false),
        case([7, 8, 9], [7, 7, 7], [2, 1, 2], one, [[3, 3]; 3], false),
        case([1, 20, 20], [1, 17, 16], [1, 2, 2], one, ones, false),
    ]
}

/// Calls `visit(output, tap, source)` for every tap of every window that lies inside the source, by the
/// definition.
fn each_tap(g: &PoolGeometry, mut visit: impl FnMut(usize, usize, usize)) {
    let positions = |e: [usize; 3]| {
        (0..e[0]).flat_map(move |z| (0..e[1]).flat_map(move |y| (0..e[2]).map(move |x| [z, y, x])))
    };
    let index = |e: [usize; 3], p: [usize; 3]| (p[0] * e[1] + p[1]) * e[2] + p[2];
    for plane in 0..g.planes {
        for o in positions(g.dst) {
            for (tap, k) in positions(g.kernel).enumerate() {
                let at: [isize; 3] = std::array::from_fn(|d| {
                    (o[d] * g.stride[d] + k[d] * g.dilation[d]) as isize - g.pad_before[d] as isize
                });
                if (0..3).all(|d| (0..g.src[d] as isize).contains(&at[d])) {
                    let from = plane * volume(g.src) + index(g.src, at.map(|a| a as usize));
                    visit(plane * volume(g.dst) + index(g.dst, o), tap, from);
                }
            }
        }
    }
}

/// Divisors, found by counting the taps of every window.
fn reference_counts(g: &PoolGeometry, include_pad: bool) -> Vec<f64> {
    let mut counts = vec![0.0; g.planes * volume(g.dst)];
    if include_pad {
        let padded = PoolGeometry {
            src: std::array::from_fn(|d| g.pad_before[d] + g.src[d] + g.pad_after[d]),
            pad_before: [0; 3],
            ..g.clone()
        };
        each_tap(&padded, |output, _, _| counts[output] += 1.0);
    } else {
        each_tap(g, |output, _, _| counts[output] += 1.0);
    }
    counts
}

fn sizes(g: &PoolGeometry) -> (usize, usize) {
    (g.planes * volume(g.src), g.planes * volume(g.dst))
}

#[test]
fn the_maximum_and_where_it_was_equal_the_definition_even_among_ties_and_nans() {
    let mut failures = Vec::new();
    for g in cases() {
        let (x_len, y_len) = sizes(&g);
        let plain = numbers(x_len, 1);
        let ties: Vec<f32> = plain.iter().map(|v| (v * 2.0).round()).collect();
        let mut odd = ties.clone();
        odd.iter_mut().step_by(7).for_each(|v| *v = f32::NAN);
        let lowest = vec![f32::NEG_INFINITY; x_len];
        for (kind, x) in [("plain", plain), ("ties", ties), ("NaN", odd), ("-inf", lowest)] {
            let mut expected = vec![(f32::NEG_INFINITY, usize::MAX, 0); y_len];
            each_tap(&g, |output, tap, from| {
                let (best, best_tap, _) = expected[output];
                if best_tap == usize::MAX || !best.is_nan() && (x[from] > best || x[from].is_nan()) {
                    expected[output] = (x[from], tap, from);
                }
            });
            let dy = numbers(y_len, 2);
            let held = numbers(x_len, 3);
            let mut dx_expected: Vec<f64> = held.iter().map(|&v| v.into()).collect();
            (0..y_len).for_each(|o| dx_expected[expected[o].2] += f64::from(dy[o]));
            for isa in Isa::available() {
                let name = format!("{kind}, {isa:?}, {g:?}");
                let (mut y, mut argmax) = (vec![0.0; y_len], vec![0; g.argmax_words()]);
                max_pool(isa, &g, &x, &mut y, Some(&mut argmax));
                let tap = |o: usize| match g.taps() {
                    0..=256 => bytemuck::cast_slice::<u32, u8>(&argmax)[o].into(),
                    _ => argmax[o] as usize,
                };
                let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
                if let Some(o) = (0..y_len).find(|&o| !same(y[o], expected[o].0) || tap(o) != expected[o].1) {
                    failures.push(format!("{name}: {o} is {} ({}), not {:?}", y[o], tap(o), expected[o]));
                }
                let mut without = vec![0.0; y_len];
                max_pool(isa, &g, &x, &mut without, None);
                if !without.iter().zip(&y).all(|(&a, &b)| same(a, b)) {
                    failures.push(format!("{name}: differs when nothing is recorded"));
                }
                let mut dx = held.clone();
                max_pool_backward(&g, &argmax, &dy, &mut dx, true);
                assert_close(&mut failures, &format!("{name}, backward"), &dx, &dx_expected);
                let fresh: Vec<f64> = dx_expected.iter().zip(&held).map(|(a, &b)| a - f64::from(b)).collect();
                max_pool_backward(&g, &argmax, &dy, &mut dx, false);
                assert_close(&mut failures, &format!("{name}, backward afresh"), &dx, &fresh);
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_average_and_its_adjoint_equal_the_definition() {
    let mut failures = Vec::new();
    for g in cases() {
        let (x_len, y_len) = sizes(&g);
        let (x, dy, held) = (numbers(x_len, 1), numbers(y_len, 2), numbers(x_len, 3));
        for include_pad in [false, true] {
            let counts = reference_counts(&g, include_pad);
            let mut y_expected = vec![0.0; y_len];
            let mut dx_expected = vec![0.0; x_len];
            each_tap(&g, |output, _, from| {
                y_expected[output] += f64::from(x[from]) / counts[output];
                dx_expected[from] += f64::from(dy[output]) / counts[output];
            });
            let added: Vec<f64> = dx_expected.iter().zip(&held).map(|(a, &b)| a + f64::from(b)).collect();
            for isa in Isa::available() {
                let name = format!("padding counted {include_pad}, {isa:?}, {g:?}");
                let (mut y, mut dx) = (vec![0.0; y_len], held.clone());
                average_pool(isa, &g, include_pad, &x, &mut y);
                assert_close(&mut failures, &name, &y, &y_expected);
                average_pool_backward(isa, &g, include_pad, &dy, &mut dx, true);
                assert_close(&mut failures, &format!("{name}, added"), &dx, &added);
                average_pool_backward(isa, &g, include_pad, &dy, &mut dx, false);
                assert_close(&mut failures, &format!("{name}, backward"), &dx, &dx_expected);
                let size = (dot(&y, &y) * dot(&dy, &dy)).sqrt();
                if (dot(&y, &dy) - dot(&x, &dx)).abs() > 1e-5 * size + 1e-9 {
                    failures.push(format!("{name}: not adjoint"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The Euclidean norm of every window, computed by its definition in f64.
fn reference_norms(g: &PoolGeometry, x: &[f64]) -> Vec<f64> {
    let mut squares = vec![0.0; g.planes * volume(g.dst)];
    each_tap(g, |output, _, from| squares[output] += x[from] * x[from]);
    squares.iter().map(|s| (s + f64::from(super::smoothed::TINY)).sqrt()).collect()
}

#[test]
fn the_smoothed_gradient_equals_its_definition_and_the_differences_of_an_l2_pool() {
    let mut failures = Vec::new();
    for g in cases() {
        let (x_len, y_len) = sizes(&g);
        let (mut x, dy, held) = (numbers(x_len, 1), numbers(y_len, 2), numbers(x_len, 3));
        // The input resembles the output of a ReLU: it has many zeros, and windows with only zeros.
        x.iter_mut().for_each(|v| *v = v.max(0.0));
        x[..x_len / 2].fill(0.0);
        let wide: Vec<f64> = x.iter().map(|&v| v.into()).collect();
        let norms = reference_norms(&g, &wide);
        let mut expected = vec![0.0; x_len];
        each_tap(&g, |output, _, from| expected[from] += f64::from(dy[output]) * wide[from] / norms[output]);
        let added: Vec<f64> = expected.iter().zip(&held).map(|(a, &b)| a + f64::from(b)).collect();
        for isa in Isa::available() {
            let name = format!("{isa:?}, {g:?}");
            let mut dx = held.clone();
            smoothed_max_pool_backward(isa, &g, &x, &dy, &mut dx, true);
            assert_close(&mut failures, &format!("{name}, added"), &dx, &added);
            smoothed_max_pool_backward(isa, &g, &x, &dy, &mut dx, false);
            assert_close(&mut failures, &name, &dx, &expected);
        }
        let pooled = |x: &[f64]| -> f64 {
            reference_norms(&g, x).iter().zip(&dy).map(|(norm, &dy)| norm * f64::from(dy)).sum()
        };
        // At zero the norm has a kink, where the gradient is defined as 0 and finite differences do not
        // apply.
        for i in (0..x_len).filter(|&i| x[i] > 0.1).step_by(x_len / 8 + 1) {
            const STEP: f64 = 1e-5;
            let mut moved = wide.clone();
            moved[i] += STEP;
            let up = pooled(&moved);
            moved[i] -= 2.0 * STEP;
            let difference = (up - pooled(&moved)) / (2.0 * STEP);
            if (difference - expected[i]).abs() > 1e-6 * (1.0 + difference.abs()) {
                failures.push(format!("{g:?}: {i} is {} and not {difference}", expected[i]));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn threads_do_not_change_a_bit() {
    for g in cases() {
        let (x_len, y_len) = sizes(&g);
        let (x, dy) = (numbers(x_len, 1), numbers(y_len, 2));
        let run = |threads| {
            in_pool(threads, || {
                let isa = Isa::detect();
                let [max, average] = &mut [vec![0.0; y_len], vec![0.0; y_len]];
                let [dx_max, dx_average, dx_smoothed] = &mut [(); 3].map(|()| vec![0.0; x_len]);
                let mut argmax = vec![0; g.argmax_words()];
                max_pool(isa, &g, &x, max, Some(&mut argmax));
                average_pool(isa, &g, true, &x, average);
                max_pool_backward(&g, &argmax, &dy, dx_max, false);
                average_pool_backward(isa, &g, true, &dy, dx_average, false);
                smoothed_max_pool_backward(isa, &g, &x, &dy, dx_smoothed, false);
                let results = [max, average, dx_max, dx_average, dx_smoothed].map(std::mem::take);
                (results, argmax)
            })
        };
        assert_eq!(run(1), run(2), "{g:?}");
        assert_eq!(run(1), run(3), "{g:?}");
    }
}

#[test]
#[should_panic(expected = "a window sees nothing of the source")]
fn a_window_in_the_padding_panics() {
    let g = PoolGeometry {
        planes: 1,
        src: [1, 1, 4],
        dst: [1, 1, 6],
        kernel: [1, 1, 1],
        stride: [1; 3],
        dilation: [1; 3],
        pad_before: [0, 0, 1],
        pad_after: [0, 0, 1],
    };
    max_pool(Isa::Portable, &g, &[0.0; 4], &mut [0.0; 6], None);
}
