//! Compares epilogues of convolution kernels with the same operations in separate steps.

use super::*;
use crate::kernels::{Bounds, EpilogueFunction};

/// A convolution kernel with its source, and its result without an epilogue.
struct Run<'a> {
    name: &'a str,
    isa: Isa,
    engine: Engine,
    /// Number of planes of the result, and of positions in each plane.
    rows: usize,
    plane: usize,
    src: &'a [f32],
    plain: Vec<f32>,
}

impl Run<'_> {
    fn with(&self, epilogue: &mut Epilogue<'_>) -> Vec<f32> {
        let mut found = vec![0.0; self.plain.len()];
        self.engine.run(self.src, &mut found, false, epilogue);
        found
    }
}

/// Runs every convolution kernel on every case whose grid is the whole destination. `check` returns a message
/// if a result is wrong.
fn assert_for_each(mut check: impl FnMut(&Run<'_>) -> Option<String>) {
    let mut failures = Vec::new();
    for Case { name, geometry: g } in all_cases() {
        let w = weights_of(&g);
        for (c, taps, forward) in correlations(&g).into_iter().filter(|(c, ..)| c.is_whole()) {
            let weight = |group: usize, out: usize, input: usize, tap: usize| {
                let (out, input) = if forward { (out, input) } else { (input, out) };
                w[g.weight_index(group, out, input, taps[tap])]
            };
            let (c_in, c_out) = channels(&c);
            let src = to_blocks(c.batch, c_in, volume(c.src), &numbers(c.batch * c_in * volume(c.src), 3));
            let (rows, plane) = (c.batch * blocks_of(c_out), volume(c.dst));
            for isa in Isa::available() {
                for engine in engines(isa, &c, &weight, None) {
                    let mut plain = vec![0.0; rows * plane * BLOCK];
                    engine.run(&src, &mut plain, false, &mut Epilogue::default());
                    let run = Run { name, isa, engine, rows, plane, src: &src, plain };
                    if let Some(wrong) = check(&run) {
                        failures.push(format!("{}, {}, {:?}: {wrong}", run.name, run.engine.name(), run.isa));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn epilogues_add_mask_and_clip_as_separate_steps_do() {
    let (low, high) = (-0.5, 0.75);
    assert_for_each(|run| {
        let (len, row) = (run.plain.len(), run.plane * BLOCK);
        let add = numbers(len, 9);
        let words = mask_words(row);
        let mask: Vec<u32> =
            numbers(run.rows * words, 10).iter().map(|x| x.to_bits().wrapping_mul(0x9E37_79B9)).collect();
        let bit = |mask: &[u32], i: usize| mask[i / row * words + i % row / 32] >> (i % row % 32) & 1 == 1;
        let expected: Vec<f32> = (0..len)
            .map(|i| if bit(&mask, i) { 0.0 } else { run.plain[i] + add[i] })
            .map(|x| kernels::clip::clip(x, low, high))
            .collect();
        let (mut below, mut above) = (vec![0; run.rows * words], vec![0; run.rows * words]);
        let found = run.with(&mut Epilogue {
            add: Some(&add),
            activation_masks: [None, Some(&mask)],
            function: Some(EpilogueFunction::Clip {
                bounds: Bounds { low, high, saturates: false },
                below: Some(&mut below),
                above: Some(&mut above),
            }),
            ..Epilogue::default()
        });
        let wrong = (0..len).find(|&i| {
            found[i] != expected[i]
                || bit(&below, i) != (expected[i] <= low)
                || bit(&above, i) != (expected[i] >= high)
        });
        wrong.map(|i| format!("element {i}"))
    });
}

#[test]
fn epilogues_multiply_by_slopes_and_apply_swish_as_separate_steps_do() {
    const ALPHA: f32 = 1.5;
    assert_for_each(|run| {
        let len = run.plain.len();
        let factors = numbers(len, 9);
        let mut expected: Vec<f32> = run.plain.iter().zip(&factors).map(|(x, f)| x * f).collect();
        let (mut expected_slopes, mut slopes) = (vec![0.0; len], vec![0.0; len]);
        kernels::apply_swish(run.isa, ALPHA, &mut expected, Some(&mut expected_slopes));
        let found = run.with(&mut Epilogue {
            slopes: Some(&factors),
            function: Some(EpilogueFunction::Swish { alpha: ALPHA, slopes: Some(&mut slopes) }),
            ..Epilogue::default()
        });
        let off = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(a, b)| (a - b).abs() / (b.abs() + 0.1)).fold(0.0, f32::max)
        };
        let worst = off(&found, &expected).max(off(&slopes, &expected_slopes));
        (worst > 5e-6).then(|| format!("{worst}"))
    });
}
