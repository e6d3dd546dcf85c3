//! Compares optical flow with OpenCV's, and reads flow files that NumPy wrote.

use std::path::Path;

use oneiro_media::flow::{Flow, FlowScaling, TvL1Options, flow_colors, luminance, read_flow, tvl1};
use oneiro_media::read_image;

#[path = "../../oneiro-net/tests/outside/mod.rs"]
mod outside;

/// Returns the distances between corresponding vectors of two flows, in ascending order.
fn differences(a: &Flow, b: &Flow) -> Vec<f32> {
    assert_eq!((a.frames, a.height, a.width), (b.frames, b.height, b.width));
    let planes = (0..a.frames).flat_map(|t| {
        let (u, v) = (a.u(t).iter().zip(b.u(t)), a.v(t).iter().zip(b.v(t)));
        u.zip(v).map(|((au, bu), (av, bv))| (au - bu).hypot(av - bv))
    });
    let mut differences: Vec<f32> = planes.collect();
    differences.sort_by(f32::total_cmp);
    differences
}

/// `scripts/compare_flow.py --fixture` made the frames and, with OpenCV 5.0.0, the expected flow. Where the
/// scene leaves the frame, the result depends on rounding. There OpenCV's own flow changes by 0.07 px (95 %)
/// if 10⁻⁵ is added to the frames.
#[test]
fn tvl1_gives_the_flow_of_opencv() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tvl1");
    let frame = |name: &str| luminance(&read_image(folder.join(name)).unwrap()).unwrap().remove(0);
    let flow = tvl1(&frame("a.png"), &frame("b.png"), &TvL1Options::default()).unwrap();
    let expected = read_flow(folder.join("opencv.npz")).unwrap();
    let differences = differences(&flow, &expected);
    let at = |share: f64| differences[(share * (differences.len() - 1) as f64) as usize];
    assert!(at(0.5) < 0.02 && at(0.9) < 0.1, "median {} px, 90 % within {} px", at(0.5), at(0.9));
    assert!(expected.largest() > 1.5);
}

/// The folder holds flow as 16-bit floats, `[15, 2, 64, 64]`, and a picture of it. A shape moves by some
/// pixels per frame, in the direction that the folder's name says, over a background that hardly moves.
#[test]
fn the_flow_of_planted_clips_goes_where_their_names_say() {
    let Some(flows) = outside::shared("models/planted/data/flows") else { return };
    let mut count = 0;
    for folder in std::fs::read_dir(flows).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for file in std::fs::read_dir(&folder).unwrap() {
            let flow = read_flow(file.unwrap().path()).unwrap();
            assert_eq!((flow.frames, flow.height, flow.width), (15, 64, 64), "{name}");
            // The background's motion is the median, so the sum of the vectors' differences from it is the
            // shape's motion.
            let sum = |plane: &dyn Fn(usize) -> Vec<f32>| -> f32 {
                (0..flow.frames)
                    .map(|t| {
                        let mut values = plane(t);
                        values.sort_by(f32::total_cmp);
                        let ground = values[values.len() / 2];
                        values.iter().map(|value| value - ground).sum::<f32>()
                    })
                    .sum()
            };
            let (u, v) = (sum(&|t| flow.u(t).to_vec()), sum(&|t| flow.v(t).to_vec()));
            let direction = match (u.abs() > v.abs(), u > 0.0, v > 0.0) {
                (true, true, _) => "right",
                (true, false, _) => "left",
                (false, _, true) => "down",
                (false, _, false) => "up",
            };
            assert!(name.ends_with(direction), "{name}: {u} to the right, {v} down");
            assert_eq!(flow_colors(&flow, FlowScaling::Channels).unwrap().shape(), [3, 15, 64, 64]);
            count += 1;
        }
    }
    assert!(count > 0, "the folder of planted flows is empty");
}
