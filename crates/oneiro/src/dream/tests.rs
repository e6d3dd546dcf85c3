//! Tests of dreams with the embedded network, and of tiles against the whole picture.

use oneiro_zoo::embedded;

use super::*;
use crate::card::Card;
use crate::dream::tiles::tiles;
use crate::objective::Objective;

fn model() -> Model {
    let graph = oneiro_net::format::onnx::read(embedded::model().into()).unwrap();
    Model::new(graph, Card::parse(embedded::card()).unwrap()).unwrap()
}

/// Creates a test image of smooth colours with some noise.
fn photo(height: usize, width: usize) -> Image {
    let mut stream = Stream::new(4, 4);
    let mut value = |i: usize| {
        let (c, y, x) = (i / (height * width), i / width % height, i % width);
        let wave = ((y + 3 * c) as f64 / 9.0).sin() * (x as f64 / 7.0).cos();
        (0.5 + 0.3 * wave + 0.05 * stream.normal()) as f32
    };
    let rgb = (0..3 * height * width).map(|i| value(i).clamp(0.0, 1.0)).collect();
    Image::rgb(width, height, rgb).unwrap()
}

fn layer(name: &str) -> DreamGoal {
    DreamGoal::Objective(Objective::layer(name))
}

fn quick(preset: DreamPreset) -> DreamPreset {
    DreamPreset { octaves: 2, steps: 2, tile: 48, overlap: 16, ..preset }
}

fn finish(dream: &mut Dream<'_>) {
    while !dream.finished() {
        dream.step().unwrap();
    }
}

#[test]
fn every_preset_raises_the_objective_from_a_photo_and_from_noise() {
    let model = model();
    for preset in DreamPreset::all() {
        for start in [Start::Image(photo(60, 70)), Start::Noise] {
            let preset = DreamPreset { size: Some([60, 70]), ..quick(preset.clone()) };
            let mut dream = Dream::new(&model, &preset, &layer("fire4"), start, None, 1).unwrap();
            assert_eq!(dream.octave(), (0, 2));
            finish(&mut dream);
            assert_eq!((dream.size(), dream.steps_done()), ([60, 70], 4));
            let (before, after) = (dream.value_at_start(), dream.value());
            // A start that is enlarged from octave to octave loses the photo's details.
            let least = if preset.octave_start == OctaveStart::Detail { 1.2 } else { 1.0 };
            assert!(after > least * before, "{}: {before} -> {after}", preset.name);
            let shown = dream.picture();
            assert!(shown.data.len() == 3 * 60 * 70 && shown.data.iter().all(|x| x.is_finite()));
            if preset.clip {
                assert!(shown.data.iter().all(|x| (0.0..=1.0).contains(x)));
            }
        }
    }
}

#[test]
fn a_dream_is_the_same_with_any_number_of_threads() {
    let model = model();
    let run = |preset: &DreamPreset, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let goal = layer("fire3");
            let mut dream = Dream::new(&model, preset, &goal, Start::Image(photo(100, 70)), None, 7).unwrap();
            finish(&mut dream);
            (dream.raw(), dream.value().to_bits())
        })
    };
    for preset in DreamPreset::all() {
        let preset = quick(preset);
        let one = run(&preset, 1);
        assert!(run(&preset, 2) == one && run(&preset, 8) == one, "{}", preset.name);
    }
}

#[test]
fn tiles_give_the_gradient_of_the_whole_where_the_network_sees_no_border() {
    let model = model();
    // pool1 has a receptive field of 7 pixels, less than the quarter of the overlap that is discarded at each
    // end of a tile.
    let goal = layer("pool1");
    let gradient = |tile: usize| {
        let preset = DreamPreset { octaves: 1, tile, overlap: 32, ..DreamPreset::deepdream() };
        let mut dream = Dream::new(&model, &preset, &goal, Start::Image(photo(192, 192)), None, 0).unwrap();
        let mut g = vec![0.0; dream.x.len()];
        for tile in tiles(&dream.axes, [0, 0]) {
            tile.read(&dream.x, 1.0 / WHITE, &mut dream.network.seen);
            dream.network.look(true);
            tile.add(&dream.network.gradient, 1.0, &mut g);
        }
        // At the picture's border, the whole picture is padded with zeros, whereas tiles see the other side
        // of the torus.
        let inner =
            (0..g.len()).filter(|i| (8..184).contains(&(i / 192 % 192)) && (8..184).contains(&(i % 192)));
        (inner.map(|i| g[i]).collect::<Vec<f32>>(), dream.tiles())
    };
    let ((whole, one), (tiled, many)) = (gradient(192), gradient(96));
    // Tiles begin at 0, 64 and 128, multiples of the network's stride of 4, so that positions coincide with
    // the whole's.
    assert_eq!((one, many), (([192, 192], 1), ([96, 96], 9)));
    let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    // The objective is a mean over positions, whose number differs between tile and whole.
    let ratio = norm(&tiled) / norm(&whole);
    let difference: Vec<f32> = whole.iter().zip(&tiled).map(|(a, b)| b - a * ratio as f32).collect();
    assert!(norm(&difference) < 1e-4 * norm(&tiled), "{} of {}", norm(&difference), norm(&tiled));
}

#[test]
fn no_seam_is_seen_where_tiles_meet() {
    let model = model();
    // Without rolling, borders stay in place, which is the worst case. The receptive field of fire6 exceeds
    // the overlap of tiles.
    let preset =
        DreamPreset { octaves: 1, steps: 3, tile: 96, overlap: 48, jitter: 0, ..DreamPreset::deepdream() };
    let photo = photo(192, 192);
    let mut dream =
        Dream::new(&model, &preset, &layer("fire6"), Start::Image(photo.clone()), None, 0).unwrap();
    assert!(dream.tiles().1 >= 9);
    for _ in 0..3 {
        let g = &mut dream.gradient;
        g.clear();
        g.resize(3 * 192 * 192, 0.0);
        for tile in tiles(&dream.axes, [0, 0]) {
            tile.read(&dream.x, 1.0 / WHITE, &mut dream.network.seen);
            dream.network.look(true);
            tile.add(&dream.network.gradient, 1.0 / WHITE, g);
        }
        let factor = dream.normalize();
        dream.x.iter_mut().zip(&dream.gradient).for_each(|(x, g)| *x += factor * g);
    }
    let change: Vec<f64> = dream.x.iter().zip(&photo.data).map(|(x, p)| f64::from(x - WHITE * p)).collect();
    // The squared jump of the change from each column to the next, summed over rows and colours.
    let jump = |x: usize| -> f64 {
        (0..3 * 192).map(|row| (change[row * 192 + (x + 1) % 192] - change[row * 192 + x]).powi(2)).sum()
    };
    let jumps: Vec<f64> = (0..192).map(jump).collect();
    let mut sorted = jumps.clone();
    sorted.sort_by(f64::total_cmp);
    let (median, worst) = (sorted[96], sorted[191]);
    assert!(worst < 8.0 * median, "a column jumps by {worst}, the median is {median}");
}

#[test]
fn a_mask_keeps_what_is_black_and_strength_mixes() {
    let model = model();
    let data = (0..60 * 70).map(|i| if i % 70 < 30 { 1.0 } else { 0.0 }).collect();
    let mask = Image::new([1, 60, 70], data).unwrap();
    for preset in DreamPreset::all() {
        let preset = DreamPreset { display: DreamDisplay::Clip, ..quick(preset) };
        let start = || Start::Image(photo(60, 70));
        let mut dream = Dream::new(&model, &preset, &layer("fire3"), start(), Some(mask.clone()), 0).unwrap();
        finish(&mut dream);
        let (picture, start_image) = (dream.picture(), photo(60, 70));
        let change = |column: std::ops::Range<usize>| {
            (0..picture.data.len())
                .filter(|i| column.contains(&(i % 70)))
                .map(|i| (picture.data[i] - start_image.data[i]).abs())
                .fold(0.0, f32::max)
        };
        assert!(change(0..29) > 0.02, "{}", preset.name);
        // At the small octave, the mask is blurred by a pixel or two.
        assert!(change(36..70) < 0.02, "{}: {}", preset.name, change(36..70));
        let half = DreamPreset { strength: 0.5, ..preset.clone() };
        let run = |preset: &DreamPreset| {
            let mut dream = Dream::new(&model, preset, &layer("fire3"), start(), None, 0).unwrap();
            finish(&mut dream);
            dream.raw().data
        };
        let (all, half) = (run(&preset), run(&half));
        let mixed = |i: usize| (0.5 * (all[i] + start_image.data[i]) - half[i]).abs();
        assert!((0..all.len()).all(|i| mixed(i) < 1e-5), "{}", preset.name);
    }
}

#[test]
fn a_guide_raises_its_own_features_and_has_the_gradient_of_its_value() {
    let model = model();
    let mut image = photo(64, 64);
    image.data.reverse();
    let goal = DreamGoal::Guide(Guide { layers: vec![("fire3".into(), 1.0), ("fire4".into(), 0.5)], image });
    assert_eq!(goal.to_string(), "guide(fire3) + 0.5*guide(fire4)");
    let preset = DreamPreset { octaves: 1, steps: 4, ..DreamPreset::deepdream() };
    let start = Start::Image(photo(40, 48));
    let mut dream = Dream::new(&model, &preset, &goal, start, None, 0).unwrap();
    // The reference is a central difference along a random direction.
    let mut stream = Stream::new(3, 3);
    let direction: Vec<f32> = (0..3 * 40 * 48).map(|_| stream.normal() as f32).collect();
    dream.network.seen.copy_from_slice(&photo(40, 48).data);
    dream.network.look(true);
    let slope: f64 = dream.network.gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
    let mut at = |t: f32| {
        let moved = photo(40, 48).data;
        let moved = moved.iter().zip(&direction).map(|(x, d)| x + t * d);
        dream.network.seen.iter_mut().zip(moved).for_each(|(s, m)| *s = m);
        dream.network.look(false)
    };
    // The step is so small that hardly any position changes its nearest vector of the guide. Such a change
    // can only bend the value upwards.
    let step = 1e-5;
    let measured = (at(step) - at(-step)) / f64::from(2.0 * step);
    assert!((slope - measured).abs() < 0.02 * slope.abs(), "{slope} {measured}");
    finish(&mut dream);
    assert!(dream.value() > 1.05 * dream.value_at_start());
}

#[test]
fn a_zoom_goes_on_from_the_last_frame() {
    let model = model();
    let preset = DreamPreset { size: Some([40, 48]), ..quick(DreamPreset::conveiro_multiscale()) };
    let mut dream = Dream::new(&model, &preset, &layer("fire2"), Start::Noise, None, 0).unwrap();
    finish(&mut dream);
    let first = dream.raw();
    dream.zoom(&Zoom { frames: 2, factor: 1.1, rotate: 3.0 }).unwrap();
    assert!(!dream.finished() && dream.octave() == (0, 2));
    finish(&mut dream);
    assert_eq!((dream.size(), dream.steps_done()), ([40, 48], 8));
    assert_ne!(dream.raw(), first);
}

#[test]
fn no_steps_leave_the_picture_as_it_is() {
    let model = model();
    let preset = DreamPreset { steps: 0, ..DreamPreset::deepdream() };
    let start = Start::Image(photo(40, 50));
    let dream = Dream::new(&model, &preset, &layer("fire2"), start, None, 0).unwrap();
    assert!(dream.finished());
    let worst =
        dream.raw().data.iter().zip(photo(40, 50).data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-6, "{worst}");
}

#[test]
fn an_octave_that_is_too_small_is_repeated_in_the_network_s_own_size() {
    let model = model();
    let preset = DreamPreset { octaves: 3, steps: 1, octave_scale: 2.0, ..DreamPreset::deepdream() };
    let start = Start::Image(photo(20, 24));
    let mut dream = Dream::new(&model, &preset, &layer("fire9"), start, None, 0).unwrap();
    assert_eq!((dream.size(), dream.tiles()), ([5, 6], ([227, 227], 1)));
    finish(&mut dream);
    assert!(dream.value().is_finite());
}

#[test]
fn what_cannot_be_dreamt_is_one_clear_error() {
    let model = model();
    let dream = |goal: &DreamGoal, start: Start, mask: Option<Image>, preset: DreamPreset| {
        Dream::new(&model, &preset, goal, start, mask, 0).err().map(|e| e.to_string()).unwrap_or_default()
    };
    let (deep, fire) = (DreamPreset::deepdream, layer("fire2"));
    let black = |v: f32| Some(Image::new([1, 2, 2], vec![v; 4]).unwrap());
    let small = Image::filled(1, 1, [0.5; 3]);
    for (error, word) in [
        (dream(&layer("fire22"), Start::Image(photo(40, 40)), None, deep()), "fire22"),
        (dream(&fire, Start::Image(small), None, deep()), "1x1"),
        (dream(&fire, Start::Noise, black(1.0), deep()), "a mask"),
        (dream(&fire, Start::Image(photo(40, 40)), black(0.0), deep()), "black all over"),
        (dream(&fire, Start::Noise, None, DreamPreset { strength: 0.5, ..deep() }), "strength"),
        (dream(&fire, Start::Noise, None, DreamPreset { octaves: 99, ..deep() }), "octaves is 99"),
        (
            dream(
                &fire,
                Start::Image(Image { data: vec![0.0; 7], ..Image::filled(40, 40, [0.0; 3]) }),
                None,
                deep(),
            ),
            "7 values",
        ),
        (dream(&fire, Start::Image(Image::filled(40, 40, [f32::NAN; 3])), None, deep()), "finite"),
    ] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_mask_says_where_a_step_goes_and_not_how_far() {
    let model = model();
    let size = [48, 60];
    let plane = size[0] * size[1];
    let mut stream = Stream::new(8, 8);
    let gradient: Vec<f32> = (0..3 * plane).map(|_| 1e-4 * stream.normal() as f32).collect();
    for preset in DreamPreset::all() {
        let preset = DreamPreset { octaves: 1, ..preset };
        let step = |mask: Option<Vec<f32>>| -> Vec<f32> {
            let mask = mask.map(|mask| Image::new([1, size[0], size[1]], mask).unwrap());
            let start = Start::Image(photo(size[0], size[1]));
            let mut dream = Dream::new(&model, &preset, &layer("fire2"), start, mask, 0).unwrap();
            dream.gradient.clone_from(&gradient);
            let factor = dream.normalize();
            dream.gradient.iter().map(|g| factor * g).collect()
        };
        let whole = step(None);
        let half = step(Some(vec![0.5; plane]));
        let worst = whole.iter().zip(&half).map(|(a, b)| (0.5 * a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{}: {worst}", preset.name);
        // The area inside the mask is a sixteenth of the picture.
        let inside = |i: usize| i % plane / size[1] < 12 && i % size[1] < 15;
        let corner = step(Some((0..plane).map(|i| if inside(i) { 1.0 } else { 0.0 }).collect()));
        let strength = |step: &[f32]| {
            let squares: Vec<f32> = (0..step.len()).filter(|i| inside(*i)).map(|i| step[i].powi(2)).collect();
            (squares.iter().sum::<f32>() / squares.len() as f32).sqrt()
        };
        let ratio = strength(&corner) / strength(&whole);
        assert!((0.8..1.25).contains(&ratio), "{}: {ratio}", preset.name);
    }
}

#[test]
fn a_network_that_sees_no_colours_changes_none() {
    use oneiro_net::graph::{Builder, Dim};
    let mut net = Builder::new();
    let x = net.input("x", &[1, 1, 24, 30].map(Dim::Fixed)).unwrap();
    let square = net.node("Mul", "square", &[x, x], vec![]).unwrap();
    let card = Card::parse("[[input]]\nname = \"x\"\norder = \"gray\"").unwrap();
    let model = Model::new(net.finish(&[square]), card).unwrap();
    let plane = 24 * 30;
    let dreamt = |preset: &DreamPreset, start: Start| {
        let mut dream = Dream::new(&model, preset, &layer("square"), start, None, 0).unwrap();
        finish(&mut dream);
        assert!(dream.value() > dream.value_at_start());
        dream.raw().data
    };
    let hues = |data: &[f32]| -> Vec<f32> { (0..2 * plane).map(|i| data[i + plane] - data[i]).collect() };
    for preset in DreamPreset::all() {
        let preset = DreamPreset { octaves: 1, steps: 2, size: Some([24, 30]), clip: false, ..preset };
        let from_photo = hues(&dreamt(&preset, Start::Image(photo(24, 30))));
        let worst =
            from_photo.iter().zip(hues(&photo(24, 30).data)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{}: {worst}", preset.name);
        let from_noise = hues(&dreamt(&preset, Start::Noise));
        assert!(from_noise.iter().all(|hue| *hue == 0.0), "{}", preset.name);
    }
}
