//! Tests properties that hold for every chain of transforms.

use super::*;
use crate::rng::Stream;

fn noise(rng: &mut Stream, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.normal() as f32).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn run(sampled: &mut Sampled, image: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; sampled.out_extent().values()];
    sampled.apply(image, &mut out);
    out
}

#[test]
fn every_chain_passes_the_adjoint_test() {
    let chains = [
        "none",
        "crop(0.3..1)",
        "crop(0.05)",
        "noise(0.3)",
        "uniform(0.3)",
        "blur(1.3)",
        "blur(20)",
        "flip(1)",
        "mask(circle,0.7)",
        "mask(box,0.55)",
        "pad(3)",
        "pad(2,reflect)",
        "pad(9,reflect)",
        "jitter(3)",
        "jitter(50)",
        "roll(4)",
        "scale(0.5..1.7)",
        "scale(1.3)",
        "rotate(-40..40)",
        "rotate(90)",
        "rotate(180,270)",
        "canvas(4,9)",
        "canvas(40,1)",
        "pad(12)|jitter(8)|scale(0.9..1.1)|rotate(-10..10)|jitter(4)",
        "fill(0.1)|pad(1)|roll(3)|scale(0.7)|pad(2,reflect)|rotate(5)|jitter(2)",
        "crop(0.4..0.9)|noise(0.1)|flip(1)|blur(0.8)|mask(box,0.9)|uniform(0.1)",
        "tjitter(2)",
        "tcrop(0.4..0.9)",
        "speed(0.5..2)",
        "speed(1.7)|noise(0.1)|tjitter(1)|pad(2)|tcrop(0.5)|rotate(9)",
    ];
    let images = [[3, 8, 9], [1, 1, 1], [2, 7, 5], [4, 1, 6], [1, 6, 1], [3, 16, 16]].map(Extent::from);
    let clips = [[2, 5, 6, 7], [1, 2, 1, 1], [3, 4, 5, 5]].map(Extent::from);
    // These planes are processed in more than one band of rows.
    let large = [Extent::from([1, 150, 140]), Extent::from([1, 3, 130, 160])];
    for text in chains {
        for (shape, seeds) in images.into_iter().chain(clips).map(|s| (s, 4)).chain(large.map(|s| (s, 1))) {
            for seed in 0..seeds {
                let chain = Chain::parse(text).unwrap();
                let mut rng = Stream::new(seed, 0);
                let mut sampled = chain.sample(&mut rng, shape);
                let len = shape.channels * shape.frames * shape.height * shape.width;
                let (x, y) = (noise(&mut rng, len), noise(&mut rng, len));
                let mut aty = vec![f32::NAN; len];
                sampled.adjoint(&y, &mut aty);
                // The map is affine: A·x is the difference between the results for x and for zero.
                let (at_x, at_zero) = (run(&mut sampled, &x), run(&mut sampled, &vec![0.0; len]));
                let ax: Vec<f32> = at_x.iter().zip(&at_zero).map(|(a, b)| a - b).collect();
                let (left, right) = (dot(&ax, &y), dot(&x, &aty));
                // Rounding errors are proportional to the vectors' norms, whatever their product is.
                let size = (dot(&ax, &ax) * dot(&y, &y)).sqrt();
                assert!(
                    (left - right).abs() < 1e-5 * size + 1e-9,
                    "{text} {shape:?}: {left} {right} of {size}"
                );
            }
        }
    }
}

#[test]
fn an_image_of_the_fill_colour_stays_as_it_is() {
    let color = [0.2, 0.5, 0.7];
    let shape = [3, 20, 24];
    let image: Vec<f32> = color.iter().flat_map(|c| [*c; 480]).collect();
    let mut rng = Stream::new(0, 0);
    for chain in [Chain::conveiro(&color), Chain { fill: color.to_vec(), ..Chain::lucid() }] {
        for _ in 0..20 {
            let out = run(&mut chain.sample(&mut rng, shape), &image);
            assert!(out.iter().zip(&image).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}

#[test]
fn planes_of_a_clip_move_together_and_share_the_fill_of_their_channel() {
    let chain = Chain::parse("fill(0.1,0.2,0.3)|pad(4)|jitter(8)|rotate(-30..30)").unwrap();
    let frame = noise(&mut Stream::new(1, 0), 36);
    let clip = frame.repeat(6);
    let out = run(&mut chain.sample(&mut Stream::new(2, 0), [6, 6, 6]), &clip);
    let planes: Vec<_> = out.chunks_exact(36).collect();
    assert_eq!(planes[0], planes[1]);
    assert_eq!(planes[4], planes[5]);
    assert_ne!(planes[0], planes[2]);
}

#[test]
fn the_presets_have_the_published_constants() {
    assert_eq!(
        Chain::lucid().to_string(),
        "pad(12)|jitter(8)|scale(0.9,0.92,0.94,0.96,0.98,1,1.02,1.04,1.06,1.08,1.1)\
         |rotate(-10,-9,-8,-7,-6,-5,-4,-3,-2,-1,0,1,2,3,4,5,6,7,8,9,10,0,0,0,0,0)|jitter(4)"
    );
    assert_eq!(
        Chain::conveiro(&[0.25]).to_string(),
        "fill(0.25)|pad(16)|roll(16)|scale(1,0.975,1.025,0.95,1.05)|rotate(-5,-4,-3,-2,-1,0,1,2,3,4,5)|roll(8)"
    );
    assert_eq!(Chain::maco_xplique().to_string(), "crop(0.5->0.05)|noise(0.08)|uniform(0.04)");
    assert_eq!(Chain::maco_horama().to_string(), "crop(0.2..0.25)|noise(0.05)|uniform(0.025)");
    assert_eq!(Chain::none().to_string(), "none");
}

#[test]
fn the_same_stream_gives_the_same_map_in_used_memory() {
    let (chain, shape) = (Chain::lucid(), [3, 30, 31]);
    let image = noise(&mut Stream::new(1, 1), 2790);
    let fresh = run(&mut chain.sample(&mut Stream::new(5, 0), shape), &image);
    let mut used = chain.sample(&mut Stream::new(6, 0), [1, 50, 60]);
    run(&mut used, &[0.3; 3000]);
    chain.resample(&mut Stream::new(5, 0), shape, [30, 31], 0.0, &mut used);
    assert_eq!(run(&mut used, &image), fresh);
}

#[test]
fn a_bigger_image_can_be_jittered_onto_a_smaller_canvas() {
    let image: Vec<f32> = (0..36).map(|v| v as f32).collect();
    let mut rng = Stream::new(3, 0);
    let mut corners = [0usize; 9];
    for _ in 0..900 {
        let out =
            run(&mut Chain::parse("jitter(2)").unwrap().sample_onto(&mut rng, [1, 6, 6], [4, 4]), &image);
        let (y, x) = (out[0] as usize / 6, out[0] as usize % 6);
        assert_eq!(out[15], out[0] + 21.0);
        corners[y * 3 + x] += 1;
    }
    assert!(corners.iter().all(|c| (60..140).contains(c)), "{corners:?}");
}

/// An image whose pixels hold their position: the row in the first plane, the column in the second.
fn places([height, width]: [usize; 2]) -> Vec<f32> {
    let rows = (0..height * width).map(|at| (at / width) as f32);
    rows.chain((0..height * width).map(|at| (at % width) as f32)).collect()
}

/// Returns the minimum and the maximum of each plane.
fn spans(image: &[f32], planes: usize) -> Vec<[f32; 2]> {
    let span = |plane: &[f32]| {
        [plane.iter().copied().fold(f32::MAX, f32::min), plane.iter().copied().fold(f32::MIN, f32::max)]
    };
    image.chunks_exact(image.len() / planes).map(span).collect()
}

#[test]
fn a_crop_shows_a_box_of_its_side_at_any_place_inside() {
    let chain = Chain::parse("crop(0.25)").unwrap();
    let image = places([40, 60]);
    let mut rng = Stream::new(0, 0);
    let mut reached = [[f32::MAX, f32::MIN]; 2];
    for _ in 0..400 {
        let out = run(&mut chain.sample_onto(&mut rng, [2, 40, 60], [20, 20]), &image);
        for ([low, high], reached) in spans(&out, 2).into_iter().zip(&mut reached) {
            // A side of 10 pixels is sampled 20 times, half a pixel apart.
            assert!((high - low - 9.5).abs() < 0.51, "{low}..{high}");
            *reached = [reached[0].min(low), reached[1].max(high)];
        }
    }
    assert!(reached[0][0] < 1.0 && reached[0][1] > 38.0 && reached[1][0] < 1.0 && reached[1][1] > 58.0);
}

#[test]
fn a_crop_has_the_proportions_of_the_canvas() {
    let chain = Chain::parse("crop(1)").unwrap();
    let image = places([40, 60]);
    let out = run(&mut chain.sample(&mut Stream::new(0, 0), [2, 40, 60]), &image);
    assert_eq!(out, image);
    let out = run(&mut chain.sample_onto(&mut Stream::new(0, 0), [2, 40, 60], [30, 10]), &image);
    let step = |plane: &[f32], by: usize| plane[5 * 10 + 5 + by] - plane[5 * 10 + 5];
    assert!((step(&out, 10) - 4.0 / 3.0).abs() < 1e-4 && (step(&out[300..], 1) - 4.0 / 3.0).abs() < 1e-4);
}

#[test]
fn a_scheduled_crop_shrinks_over_the_run() {
    let (chain, image) = (Chain::maco_xplique(), places([200, 200]));
    let chain = Chain::new(chain.transforms[..1].to_vec());
    let mut sampled = Sampled::default();
    for (progress, side) in [(0.0, 100.0), (0.5, 55.0), (1.0, 10.0), (7.0, 10.0), (f32::NAN, 100.0)] {
        chain.resample(&mut Stream::new(1, 0), [2, 200, 200], [100, 100], progress, &mut sampled);
        let [low, high] = spans(&run(&mut sampled, &image), 2)[0];
        assert!((high - low - side * 0.99).abs() < 0.51, "{progress}: {low}..{high}");
    }
}

#[test]
fn noise_differs_between_planes_and_steps_and_keeps_its_size() {
    for (text, deviation) in [("noise(0.2)", 0.2), ("uniform(0.3)", 0.3 / 3f64.sqrt())] {
        let chain = Chain::parse(text).unwrap();
        let mut rng = Stream::new(0, 0);
        let image = vec![0.5; 2 * 3 * 1600];
        let steps: Vec<_> =
            (0..2).map(|_| run(&mut chain.sample(&mut rng, [2, 3, 40, 40]), &image)).collect();
        assert_ne!(steps[0], steps[1]);
        assert_ne!(steps[0][..1600], steps[0][1600..3200]);
        let variance = steps[0].iter().map(|v| f64::from(v - 0.5).powi(2)).sum::<f64>() / 9600.0;
        assert!((variance.sqrt() - deviation).abs() < 0.01, "{text}: {}", variance.sqrt());
    }
}

#[test]
fn flip_mirrors_as_often_as_asked() {
    let image = places([1, 5]);
    let count = |text: &str| {
        let (chain, mut rng) = (Chain::parse(text).unwrap(), Stream::new(0, 0));
        let flipped =
            |_: &i32| run(&mut chain.sample(&mut rng, [2, 1, 5]), &image)[5..] == [4.0, 3.0, 2.0, 1.0, 0.0];
        (0..1000).filter(flipped).count()
    };
    assert_eq!([count("flip(0)"), count("flip(1)")], [0, 1000]);
    assert!((450..550).contains(&count("flip")) && (70..130).contains(&count("flip(0.1)")));
}

#[test]
fn a_mask_shows_the_fill_around_its_window() {
    for text in ["fill(0.1,0.9)|mask(circle,0.5)", "fill(0.1,0.9)|mask(box,0.5)"] {
        let out =
            run(&mut Chain::parse(text).unwrap().sample(&mut Stream::new(0, 0), [2, 21, 21]), &[0.4; 882]);
        assert_eq!([out[0], out[441], out[220], out[661]], [0.1, 0.9, 0.4, 0.4], "{text}");
    }
}

#[test]
fn transforms_of_time_pass_images_and_move_clips() {
    for text in ["tjitter(3)", "tcrop(0.3..0.6)", "speed(0.5..0.8)", "speed(2)"] {
        let (chain, image) = (Chain::parse(text).unwrap(), places([6, 6]));
        assert_eq!(run(&mut chain.sample(&mut Stream::new(3, 0), [2, 6, 6]), &image), image, "{text}");
        // Every frame's pixels hold its index, with opposite signs in the two channels.
        let clip: Vec<f32> =
            (0..20).flat_map(|p| [if p < 10 { p as f32 } else { 10.0 - p as f32 }; 4]).collect();
        let mut moved = chain.sample(&mut Stream::new(4, 0), [2, 10, 2, 2]);
        let out = run(&mut moved, &clip);
        assert_ne!(out, clip, "{text}");
        let (first, second) = out.split_at(40);
        assert!(first.iter().zip(second).all(|(a, b)| *a == -b), "{text}: {out:?}");
        assert!(first.chunks_exact(4).all(|frame| frame.iter().all(|v| *v == frame[0])), "{text}");
        assert!(first.is_sorted() && first[0] >= 0.0 && first[39] <= 9.0, "{text}");
    }
}

#[test]
fn the_largest_stage_follows_every_member() {
    let largest = |text: &str| Chain::parse(text).unwrap().largest_stage([10, 20]);
    assert_eq!(largest("blur(2)|flip|noise(1)|mask(box,0.5)|tjitter(3)|crop(0.5)"), 200.0);
    assert_eq!(largest("scale(1..2->3..4)"), 3200.0);
    assert_eq!(largest("scale(4)|crop(0.5)|pad(5)"), 3200.0);
    assert_eq!(largest("canvas(100,100)|crop(0.5)|pad(100)"), 210.0 * 220.0);
}
