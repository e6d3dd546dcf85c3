//! Tests of elementwise maps, and of the conversions between layouts, against their definitions.

use super::*;

#[test]
fn blocks_and_plain_order_are_inverse_and_adjoint() {
    for (batch, channels, plane) in [(1, 1, 1), (2, 16, 9), (3, 17, 5), (1, 40, 1500)] {
        let x = numbers(batch * channels * plane, 1);
        for isa in Isa::available() {
            let mut blocked = vec![f32::NAN; batch * blocks_of(channels) * plane * BLOCK];
            block(isa, batch, channels, plane, &x, &mut blocked, false);
            assert_eq!(blocked, to_blocks(batch, channels, plane, &x));
            assert_eq!(
                blocked.iter().filter(|&&v| v != 0.0).count(),
                x.iter().filter(|&&v| v != 0.0).count()
            );
            let mut back = x.clone();
            unblock(isa, batch, channels, plane, &blocked, &mut back, true);
            assert!(back.iter().zip(&x).all(|(b, x)| *b == x + x), "{isa:?}: {batch} x {channels} x {plane}");
            let mut twice = blocked.clone();
            block(isa, batch, channels, plane, &x, &mut twice, true);
            assert!(twice.iter().zip(&blocked).all(|(t, b)| *t == b + b), "{isa:?}");
        }
    }
}

#[test]
fn maps_and_sums_equal_their_definitions() {
    let (rows, plane) = (6, 77);
    let len = rows * plane * BLOCK;
    let (a, b, held) = (numbers(len, 1), numbers(len, 2), numbers(len, 3));
    let (channel, shared) = (numbers(rows * BLOCK, 4), numbers(2 * BLOCK, 5)); // of two blocks of three images
    let of_channel = |i: usize| channel[i / (plane * BLOCK) * BLOCK + i % BLOCK];
    let of_shared = |i: usize| shared[i / (plane * BLOCK) / 3 * BLOCK + i % BLOCK];
    for isa in Isa::available() {
        type Definition<'a> = Box<dyn Fn(usize) -> f32 + 'a>;
        let cases: Vec<(Map, [Per<'_>; 3], Definition<'_>)> = vec![
            (Map::Copy, [Per::Element(&a), Per::None, Per::None], Box::new(|i| a[i])),
            (Map::Neg, [Per::Element(&a), Per::None, Per::None], Box::new(|i| -a[i])),
            (Map::Add, [Per::Element(&a), Per::Element(&b), Per::None], Box::new(|i| a[i] + b[i])),
            (
                Map::Sub,
                [Per::Element(&a), Per::Channel(&channel), Per::None],
                Box::new(|i| a[i] - of_channel(i)),
            ),
            (
                Map::Mul,
                [Per::Channel(&shared), Per::Element(&b), Per::None],
                Box::new(|i| of_shared(i) * b[i]),
            ),
            (
                Map::Affine,
                [Per::Element(&a), Per::Channel(&shared), Per::Channel(&shared)],
                Box::new(|i| a[i] * of_shared(i) + of_shared(i)),
            ),
        ];
        for (of, operands, definition) in cases {
            for accumulate in [false, true] {
                let mut found = held.clone();
                map(isa, of, rows, plane, operands, &mut found, accumulate, &mut Epilogue::default());
                let wrong = (0..len).find(|&i| {
                    let expected = definition(i) + if accumulate { held[i] } else { 0.0 };
                    (found[i] - expected).abs() > 1e-6
                });
                assert_eq!(wrong, None, "{of:?}, {isa:?}, accumulate {accumulate}");
            }
        }
        let mut found = vec![1.0; rows * BLOCK];
        sum(isa, rows, plane, &a, Some(&b), 0.5, &mut found, true);
        for (i, found) in found.iter().enumerate() {
            let at = |p: usize| i / BLOCK * plane * BLOCK + p * BLOCK + i % BLOCK;
            let exact: f64 = (0..plane).map(|p| f64::from(a[at(p)]) * f64::from(b[at(p)])).sum();
            assert!((f64::from(*found) - 1.0 - 0.5 * exact).abs() < 1e-5, "{isa:?}: sum {i}");
        }
    }
}
