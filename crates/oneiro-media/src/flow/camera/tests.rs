use super::*;
use crate::flow::tests::texture;

const WIDTH: usize = 160;
const HEIGHT: usize = 120;

/// The test scene's moving object: left, top, width and height of a square in pixels, and its motion per
/// frame.
const OBJECT: [usize; 4] = [70, 50, 30, 30];
const OBJECT_MOTION: [f64; 2] = [2.5, -1.5];

/// Returns two frames whose background moves by a homography. The background's texture is fixed in the first
/// frame; the object's texture moves with the object.
fn scene(camera: &Homography) -> [Luminance; 2] {
    let [left, top, width, height] = OBJECT.map(|side| side as f64);
    let is_object = |x: f64, y: f64| (left..left + width).contains(&x) && (top..top + height).contains(&y);
    let object = |x: f64, y: f64| texture(1.3 * x as f32 + 500.0, 1.3 * y as f32 + 77.0);
    let background = |x: f64, y: f64| texture(x as f32, y as f32);
    let a = Luminance::from_fn(WIDTH, HEIGHT, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        if is_object(x, y) { object(x, y) } else { background(x, y) }
    });
    let back = inverse(camera);
    let b = Luminance::from_fn(WIDTH, HEIGHT, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        let (before_x, before_y) = (x - OBJECT_MOTION[0], y - OBJECT_MOTION[1]);
        if is_object(before_x, before_y) {
            object(before_x, before_y)
        } else {
            let [x, y] = back.apply([x, y]);
            background(x, y)
        }
    });
    [a.unwrap(), b.unwrap()]
}

/// Returns the inverse of a homography, fitted to five point matches.
fn inverse(map: &Homography) -> Homography {
    let points = [[0.0, 0.0], [150.0, 0.0], [0.0, 110.0], [150.0, 110.0], [70.0, 50.0]];
    Homography::fit(&points.map(|to| Match::new(map.apply(to), to)), |_| 1.0).unwrap()
}

#[test]
fn the_background_rests_and_the_object_keeps_its_own_motion() {
    // Cameras: a turn of one degree with zoom and shift, and the same turn with perspective.
    let affine = Homography([1.0148, -0.0175, 2.0, 0.0175, 1.0148, -3.0, 0.0, 0.0, 1.0]);
    let perspective = Homography([1.0148, -0.0175, 2.0, 0.0175, 1.0148, -3.0, 6e-5, -4e-5, 1.0]);
    for camera in [Homography::IDENTITY, affine, perspective] {
        let frames = scene(&camera);
        let options = (TvL1Options::default(), CameraOptions::default());
        let CompensatedFlow { flow, cameras } = compensated_flow(&frames, &options.0, &options.1).unwrap();
        for corner in [[10.0, 10.0], [150.0, 10.0], [10.0, 110.0], [150.0, 110.0]] {
            let (found, expected) = (cameras[0].apply(corner), camera.apply(corner));
            let error = (found[0] - expected[0]).hypot(found[1] - expected[1]);
            assert!(error < 0.3, "{camera:?} takes {corner:?} to {expected:?}, not to {found:?}");
        }
        let back = inverse(&camera);
        let [left, top, width, height] = OBJECT;
        let (mut outside, mut inside) = (Mean::default(), Mean::default());
        for (x, y) in (10..HEIGHT - 10).flat_map(|y| (10..WIDTH - 10).map(move |x| (x, y))) {
            let [u, v] = flow.at(0, x, y).map(f64::from);
            let near = |at: usize, start: usize, side: usize, margin: usize| {
                at + margin >= start && at < start + side + margin
            };
            if !(near(x, left, width, 12) && near(y, top, height, 12)) {
                outside.add(u.hypot(v));
            } else if x >= left + 5 && x < left + width - 5 && y >= top + 5 && y < top + height - 5 {
                let moved = back.apply([x as f64 + OBJECT_MOTION[0], y as f64 + OBJECT_MOTION[1]]);
                inside.add((u - (moved[0] - x as f64)).hypot(v - (moved[1] - y as f64)));
            }
        }
        assert!(outside.mean() < 0.1, "{camera:?}: {} px of motion in the background", outside.mean());
        assert!(inside.mean() < 0.25, "{camera:?}: {} px of error in the object", inside.mean());
    }
}

#[derive(Default)]
struct Mean(f64, f64);

impl Mean {
    fn add(&mut self, value: f64) {
        *self = Mean(self.0 + value, self.1 + 1.0);
    }

    fn mean(&self) -> f64 {
        self.0 / self.1
    }
}

#[test]
fn equal_seeds_give_equal_bits_on_any_number_of_threads() {
    let frames = scene(&Homography([1.0, -0.01, 1.0, 0.01, 1.0, 0.0, 0.0, 0.0, 1.0]));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            compensated_flow(&frames, &TvL1Options::default(), &CameraOptions::default()).unwrap()
        })
    };
    let one = run(1);
    for threads in [2, 3] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

#[test]
fn flat_frames_have_a_camera_at_rest() {
    let flat = Luminance::from_fn(40, 30, |_, _| 100.0).unwrap();
    let flow = Flow::new(1, 30, 40, vec![0.0; 2400]).unwrap();
    let camera = estimate_camera(&flat, &flat, &flow, &CameraOptions::default()).unwrap();
    for (found, expected) in camera.0.iter().zip(Homography::IDENTITY.0) {
        assert!((found - expected).abs() < 1e-9, "{camera:?}");
    }
    let nothing = CameraOptions { samples: 0, ..CameraOptions::default() };
    assert_eq!(estimate_camera(&flat, &flat, &flow, &nothing).unwrap(), Homography::IDENTITY);
    let small = Luminance::from_fn(4, 4, |_, _| 100.0).unwrap();
    let message = estimate_camera(&flat, &small, &flow, &CameraOptions::default()).unwrap_err().to_string();
    assert!(message.contains("4×4"), "{message}");
    let options = CameraOptions { tolerance: 0.0, ..CameraOptions::default() };
    assert!(estimate_camera(&flat, &flat, &flow, &options).is_err());
}

/// Like a hand before a wall whose texture is too faint for corners: every corner moves, yet the camera
/// rests.
#[test]
fn a_background_without_corners_counts_too() {
    let object = |x: f32, y: f32| (60.0..100.0).contains(&x) && (40.0..90.0).contains(&y);
    let scene = |shift: f32| {
        Luminance::from_fn(WIDTH, HEIGHT, |x, y| {
            if object(x - shift, y) { texture(x - shift, y) } else { 90.0 + 0.02 * texture(x + 300.0, y) }
        })
    };
    let (a, b) = (scene(0.0).unwrap(), scene(3.0).unwrap());
    let flow = crate::flow::tvl1(&a, &b, &TvL1Options::default()).unwrap();
    let at = |options: &CameraOptions| estimate_camera(&a, &b, &flow, options).unwrap().apply([0.0, 0.0]);
    let [x, y] = at(&CameraOptions::default());
    assert!(x.hypot(y) < 0.1, "{x},{y}");
    let [x, _] = at(&CameraOptions { samples: 0, ..CameraOptions::default() });
    assert!(x > 2.0, "corners alone follow the object, {x}");
}
