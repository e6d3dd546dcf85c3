use super::*;
use crate::flow::tests::texture;

/// Returns frames of a texture that moves by a constant vector per frame.
fn moving(width: usize, height: usize, [u, v]: [f32; 2], count: usize) -> Vec<Luminance> {
    let frame = |t: usize| {
        Luminance::from_fn(width, height, |x, y| texture(x - u * t as f32, y - v * t as f32)).unwrap()
    };
    (0..count).map(frame).collect()
}

/// Returns the mean distance, in pixels, of a flow from a constant vector, without the border.
fn mean_error(flow: &Flow, [u, v]: [f32; 2], border: usize) -> f64 {
    let inside =
        (border..flow.height - border).flat_map(|y| (border..flow.width - border).map(move |x| (x, y)));
    let errors: Vec<f64> = inside
        .map(|(x, y)| {
            let [found_u, found_v] = flow.at(0, x, y);
            f64::from((found_u - u).hypot(found_v - v))
        })
        .collect();
    errors.iter().sum::<f64>() / errors.len() as f64
}

#[test]
fn motions_of_up_to_four_pixels_are_found() {
    let cases =
        [[0.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.3, 0.7], [-1.5, 2.25], [3.0, -2.0], [4.0, 0.0], [-2.8, 2.8]];
    for motion in cases {
        let frames = moving(120, 96, motion, 2);
        let flow = tvl1(&frames[0], &frames[1], &TvL1Options::default()).unwrap();
        let error = mean_error(&flow, motion, 8);
        assert!(error < 0.1, "{motion:?}: {error} px");
    }
}

#[test]
fn bits_do_not_depend_on_threads_or_bands() {
    let frames = moving(83, 71, [1.4, -0.6], 4);
    let options = TvL1Options::default();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| flow_of_frames(&frames, &options).unwrap())
    };
    let one = run(1);
    for threads in [2, 3, 4] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
    let single = tvl1(&frames[1], &frames[2], &options).unwrap();
    assert_eq!(single, one.field(1));
}

#[test]
fn small_and_flat_frames_have_flow_too() {
    for (width, height) in [(3, 3), (4, 3), (3, 40), (17, 16), (16, 33)] {
        let flat = Luminance::from_fn(width, height, |_, _| 7.0).unwrap();
        let flow = tvl1(&flat, &flat, &TvL1Options::default()).unwrap();
        assert!(flow.data.iter().all(|&value| value == 0.0), "{width}×{height}");
        let frames = moving(width, height, [0.5, 0.5], 2);
        let flow = tvl1(&frames[0], &frames[1], &TvL1Options::default()).unwrap();
        assert!(flow.data.iter().all(|value| value.is_finite()), "{width}×{height}");
    }
}

#[test]
fn frames_and_options_that_do_not_work_are_refused() {
    let [a, b] =
        [(5, 4), (4, 5)].map(|(width, height)| Luminance::from_fn(width, height, |_, _| 0.0).unwrap());
    let message = tvl1(&a, &b, &TvL1Options::default()).unwrap_err().to_string();
    assert!(message.contains("5×4 and 4×5"), "{message}");
    assert!(
        flow_of_frames(std::slice::from_ref(&a), &TvL1Options::default())
            .unwrap_err()
            .to_string()
            .contains("two frames")
    );
    let narrow = Luminance::from_fn(2, 9, |_, _| 0.0).unwrap();
    assert!(tvl1(&narrow, &narrow, &TvL1Options::default()).unwrap_err().to_string().contains("3×3"));
    let cases = [
        (TvL1Options { tau: 0.3, ..Default::default() }, "tau is 0.3"),
        (TvL1Options { lambda: 0.0, ..Default::default() }, "lambda is 0"),
        (TvL1Options { theta: f32::NAN, ..Default::default() }, "theta NaN"),
        (TvL1Options { scales: 0, ..Default::default() }, "one scale"),
        (TvL1Options { scale_step: 1.0, ..Default::default() }, "step between scales is 1"),
        (TvL1Options { epsilon: -1.0, ..Default::default() }, "epsilon is -1"),
        (TvL1Options { median: 4, ..Default::default() }, "side is 4"),
    ];
    for (options, problem) in cases {
        let message = tvl1(&a, &a, &options).unwrap_err().to_string();
        assert!(message.contains(problem), "{message}");
    }
}
