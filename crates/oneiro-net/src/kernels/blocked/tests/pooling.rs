//! Compares pooling over blocks of channels with the plain kernels.

use super::*;

#[test]
fn pooling_equals_the_plain_kernels_also_with_ties_and_nan() {
    let geometry =
        |channels: usize, src: [usize; 3], kernel, stride, dilation: [usize; 3], pad: [usize; 3], after| {
            let dst = std::array::from_fn(|d| {
                let kernel: [usize; 3] = kernel;
                let (stride, after): ([usize; 3], [usize; 3]) = (stride, after);
                (src[d] + pad[d] + after[d] - (kernel[d] - 1) * dilation[d] - 1) / stride[d] + 1
            });
            PoolGeometry {
                planes: channels,
                src,
                dst,
                kernel,
                stride,
                dilation,
                pad_before: pad,
                pad_after: after,
            }
        };
    let one = [1; 3];
    let cases = [
        geometry(32, [1, 8, 6], [1, 2, 2], [1, 2, 2], one, [0; 3], [0; 3]),
        geometry(20, [1, 13, 11], [1, 3, 3], [1, 2, 2], one, [0, 1, 1], [0, 1, 1]),
        geometry(17, [1, 9, 9], [1, 3, 3], one, one, [0, 1, 1], [0, 1, 1]),
        // Cases that are divided into several pieces, and cases with depth, in which windows reach beyond the
        // source.
        geometry(16, [1, 40, 37], [1, 3, 3], one, one, [0, 1, 1], [0, 1, 1]),
        geometry(16, [1, 90, 85], [1, 3, 3], [1, 2, 2], one, [0; 3], [0, 1, 1]),
        geometry(3, [3, 9, 8], [1, 3, 3], [1, 2, 1], one, [0, 1, 1], [0, 2, 0]),
        geometry(3, [5, 7, 9], [1, 3, 3], [2, 1, 3], one, [0, 0, 1], [0; 3]),
        geometry(3, [1, 9, 8], [1, 3, 3], [1, 4, 4], one, [0; 3], [0; 3]),
        geometry(16, [4, 5, 6], [2, 3, 2], [2, 2, 2], one, [0, 1, 0], [0, 1, 0]),
        // Cases in which four, six and nine rows of windows overlap at a position.
        geometry(16, [6, 9, 11], [3; 3], [2; 3], one, one, one),
        geometry(3, [4, 8, 9], [3; 3], [2, 1, 1], one, [0, 1, 1], one),
        geometry(16, [4, 7, 8], [3; 3], one, one, one, one),
        geometry(16, [4, 6, 8], [3, 3, 2], [1, 1, 2], one, one, one),
        geometry(16, [4, 6, 9], [2; 3], [2; 3], one, [0, 0, 1], [0; 3]),
        geometry(5, [1, 12, 9], [1, 2, 3], [1, 3, 1], [1, 2, 2], [0, 1, 2], [0, 0, 2]),
        geometry(16, [1, 7, 7], [1, 7, 7], one, one, [0; 3], [0; 3]),
    ];
    for g in cases {
        let (src_plane, dst_plane) = (volume(g.src), volume(g.dst));
        let mut x = numbers(g.planes * src_plane, 1);
        // Rounding creates equal maxima within a window, and one value is NaN.
        x.iter_mut().for_each(|x| *x = (*x * 4.0).round());
        x[src_plane / 2] = f32::NAN;
        let dy = numbers(g.planes * dst_plane, 2);
        let held = numbers(g.planes * src_plane, 3);
        let blocked = PoolGeometry { planes: blocks_of(g.planes), ..g.clone() };
        for isa in Isa::available() {
            for pooling in [
                Pooling::Max,
                Pooling::Average { count_padding: false },
                Pooling::Average { count_padding: true },
            ] {
                let mut y = vec![0.0; g.planes * dst_plane];
                let mut argmax = vec![0; g.argmax_words()];
                match pooling {
                    Pooling::Max => kernels::max_pool(isa, &g, &x, &mut y, Some(&mut argmax)),
                    Pooling::Average { count_padding } => {
                        kernels::average_pool(isa, &g, count_padding, &x, &mut y)
                    }
                }
                let mut winners = vec![!0; if pooling == Pooling::Max { winner_words(&blocked) } else { 0 }];
                let xs = to_blocks(1, g.planes, src_plane, &x);
                let mut found = vec![f32::NAN; blocked.planes * dst_plane * BLOCK];
                pool(isa, pooling, &blocked, &xs, &mut found, &mut winners, &mut Epilogue::default());
                let found = from_blocks(1, g.planes, dst_plane, &found);
                let close = |a: f32, b: f32| (a - b).abs() < 1e-5 || a.is_nan() && b.is_nan();
                assert!(found.iter().zip(&y).all(|(&f, &y)| close(f, y)), "{pooling:?} {isa:?} {g:?}");
                for accumulate in [false, true] {
                    let mut dx = held.clone();
                    match pooling {
                        Pooling::Max => kernels::max_pool_backward(&g, &argmax, &dy, &mut dx, accumulate),
                        Pooling::Average { count_padding } => {
                            kernels::average_pool_backward(isa, &g, count_padding, &dy, &mut dx, accumulate)
                        }
                    }
                    let mut found = to_blocks(1, g.planes, src_plane, &held);
                    let dys = to_blocks(1, g.planes, dst_plane, &dy);
                    pool_backward(
                        isa,
                        pooling,
                        &blocked,
                        &winners,
                        &dys,
                        &mut found,
                        accumulate,
                        &mut Epilogue::default(),
                    );
                    let found = from_blocks(1, g.planes, src_plane, &found);
                    assert!(
                        found.iter().zip(&dx).all(|(&f, &d)| close(f, d)),
                        "{pooling:?} back {isa:?} {g:?}"
                    );
                }
            }
        }
    }
    assert_eq!(MaxPoolRule::default(), MaxPoolRule::Exact);
}
