use super::*;

/// A test picture: `((7x + 13y) mod 32) / 31`, times 1, −1 and 2 in the three channels. Expected numbers are
/// PIL's.
fn pattern(height: usize, width: usize) -> Image {
    let value = |i: usize| ((7 * (i % width) + 13 * (i / width)) % 32) as f32 / 31.0;
    let plane: Vec<f32> = (0..height * width).map(value).collect();
    let rgb = [1.0, -1.0, 2.0].iter().flat_map(|k| plane.iter().map(move |v| k * v)).collect();
    Image::rgb(width, height, rgb).unwrap()
}

/// Returns four values of the first channel: the first, the last of the first row, the middle one, and the
/// last.
fn probes(image: &Image) -> [f32; 4] {
    let (h, w) = (image.height, image.width);
    [0, w - 1, h / 2 * w + w / 2, h * w - 1].map(|i| image.plane(0)[i])
}

fn check(image: &Image, expected: [f32; 4], sum: f32, what: &str) {
    let got = probes(image);
    let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-6);
    assert!(near, "{what}: {got:?} is not {expected:?}");
    let total: f32 = image.plane(0).iter().sum();
    assert!((total - sum).abs() < 1e-3 * sum.max(1.0), "{what}: sum {total} is not {sum}");
    for (a, (b, c)) in image.plane(0).iter().zip(image.plane(1).iter().zip(image.plane(2))) {
        assert!((a + b).abs() < 1e-6 && (2.0 * a - c).abs() < 1e-6, "{what}: channels differ");
    }
}

#[test]
fn resized_values_are_those_of_pil() {
    // Cases from PIL 12, mode F: height, width, new height, new width, filter, four values, sum.
    let cases = [
        (9, 7, 4, 3, Filter::Area, [0.322581, 0.419355, 0.575269, 0.516129], 5.7186),
        (9, 7, 4, 3, Filter::Triangle, [0.408295, 0.484924, 0.505947, 0.530481], 5.8830),
        (9, 7, 4, 3, Filter::Bicubic, [0.390434, 0.469496, 0.503901, 0.520385], 5.8874),
        (5, 6, 8, 11, Filter::Area, [0.000000, 0.096774, 0.483871, 0.741935], 42.8387),
        (5, 6, 8, 11, Filter::Triangle, [0.000000, 0.096774, 0.502016, 0.741935], 41.6393),
        (5, 6, 8, 11, Filter::Bicubic, [-0.048846, -0.006224, 0.520445, 0.790781], 41.7092),
        (16, 16, 5, 16, Filter::Area, [0.419355, 0.365591, 0.306452, 0.655914], 39.9140),
        (16, 16, 5, 16, Filter::Triangle, [0.408366, 0.437788, 0.377293, 0.625310], 40.0524),
        (16, 16, 5, 16, Filter::Bicubic, [0.412340, 0.414764, 0.344424, 0.612346], 40.0426),
        (3, 3, 7, 2, Filter::Area, [0.112903, 0.451613, 0.870968, 0.258065], 6.7258),
        (3, 3, 7, 2, Filter::Triangle, [0.084677, 0.366935, 0.786290, 0.173387], 5.7880),
        (3, 3, 7, 2, Filter::Bicubic, [0.029630, 0.341337, 0.801015, 0.083773], 5.6350),
    ];
    for (h, w, new_h, new_w, filter, expected, sum) in cases {
        let resized = resize(&pattern(h, w), new_h, new_w, filter).unwrap();
        assert_eq!((resized.height, resized.width), (new_h, new_w));
        check(&resized, expected, sum, &format!("{h}×{w} to {new_h}×{new_w}, {filter:?}"));
    }
}

#[test]
fn the_classification_protocol_is_torchvisions() {
    // Cases from PIL: `Resize(ceil(size / 0.875))` and `CenterCrop(size)` with BILINEAR on mode F.
    let cases = [
        (50, 37, 14, [0.534821, 0.494554, 0.533848, 0.504435], 98.0011),
        (33, 61, 15, [0.550631, 0.409380, 0.475465, 0.495147], 112.4153),
        (24, 24, 21, [0.258065, 0.645161, 0.516129, 0.774194], 220.3871),
    ];
    for (h, w, size, expected, sum) in cases {
        let cropped = classify_crop(&pattern(h, w), size, size, CLASSIFY_CROP_FRACTION).unwrap();
        check(&cropped, expected, sum, &format!("{h}×{w} to {size}"));
    }
}

#[test]
fn a_crop_is_the_center_of_the_whole_resized_picture() {
    let image = pattern(40, 23);
    for (height, width) in [(10, 10), (30, 7), (7, 30), (64, 64), (40, 23)] {
        let (h, w) = covering((image.height, image.width), height, width);
        let whole = resize(&image, h, w, Filter::Triangle).unwrap();
        let start = |whole: usize, part: usize| ((whole - part) as f64 / 2.0).round_ties_even() as usize;
        let expected = whole.crop(start(w, width), start(h, height), width, height).unwrap();
        let cropped = fit_center_crop(&image, height, width).unwrap();
        assert_eq!(cropped.shape(), expected.shape(), "{height}×{width}");
        // Sampling points of a window are computed from its own edge, so they are rounded differently.
        let near = cropped.data.iter().zip(&expected.data).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{height}×{width}");
        assert_eq!(classify_crop(&image, height, width, 1.0).unwrap(), cropped, "{height}×{width}");
    }
}

#[test]
fn a_flat_picture_stays_flat_and_an_unchanged_size_changes_nothing() {
    let flat = Image::filled(13, 9, [0.25, 0.5, 1.0]);
    for filter in [Filter::Area, Filter::Triangle, Filter::Bicubic] {
        for (h, w) in [(1, 1), (4, 17), (31, 2)] {
            for (got, expected) in resize(&flat, h, w, filter)
                .unwrap()
                .data
                .iter()
                .zip(Image::filled(w, h, [0.25, 0.5, 1.0]).data)
            {
                assert!((got - expected).abs() < 1e-6, "{filter:?} {h}×{w}");
            }
        }
        assert_eq!(resize(&pattern(9, 13), 9, 13, filter).unwrap(), pattern(9, 13));
    }
}

#[test]
fn extreme_ratios_are_those_of_pil() {
    // Cases from PIL 13, mode F: height, width, new height, new width, filter, four values, sum.
    let cases = [
        (1, 5000, 5000, 1, Filter::Triangle, [0.499897; 4], 2499.484),
        (5000, 1, 1, 5000, Filter::Bicubic, [0.499931; 4], 2499.655),
        (5000, 1, 3, 1, Filter::Triangle, [0.499809, 0.499809, 0.500000, 0.500014], 1.4998),
        (1, 5000, 1, 3, Filter::Area, [0.499507, 0.499681, 0.500349, 0.499681], 1.4995),
        (300, 400, 1, 1, Filter::Area, [0.499991; 4], 0.5000),
        (1, 1, 500, 700, Filter::Bicubic, [0.0; 4], 0.0),
        (2, 3, 400, 600, Filter::Triangle, [0.000000, 0.451613, 0.437097, 0.870968], 104516.13),
        (2, 3, 400, 600, Filter::Bicubic, [-0.080543, 0.427450, 0.437331, 0.951511], 104516.13),
        (2, 3, 400, 600, Filter::Area, [0.000000, 0.451613, 0.645161, 0.870968], 104516.13),
    ];
    for (h, w, new_h, new_w, filter, expected, sum) in cases {
        let resized = resize(&pattern(h, w), new_h, new_w, filter).unwrap();
        check(&resized, expected, sum, &format!("{h}×{w} to {new_h}×{new_w}, {filter:?}"));
    }
    // Cases from PIL: resizing with BILINEAR, then the centre of the result.
    let cases = [
        (1, 5000, 224, 224, [0.677923, 0.902722, 0.790827, 0.902722], 39655.23),
        (5000, 1, 8, 8, [0.252016, 0.252016, 0.461694, 0.618952], 27.8710),
        (5000, 3, 12, 40, [0.262498, 0.623793, 0.664678, 0.118143], 234.8129),
        (3, 5000, 300, 5, [0.786935, 0.795968, 0.180645, 0.602419], 783.9516),
    ];
    for (h, w, new_h, new_w, expected, sum) in cases {
        let cropped = fit_center_crop(&pattern(h, w), new_h, new_w).unwrap();
        check(&cropped, expected, sum, &format!("{h}×{w} to {new_h}×{new_w}"));
    }
}

#[test]
fn a_picture_one_pixel_wide_and_very_high_is_cropped_without_being_enlarged_whole() {
    let sliver = Image::filled(1, 60_000, [0.5; 3]);
    let cropped = classify_crop(&sliver, 224, 224, CLASSIFY_CROP_FRACTION).unwrap();
    assert_eq!((cropped.height, cropped.width), (224, 224));
}

#[test]
fn any_number_of_planes_is_resized_each_alone() {
    let planes: Vec<Vec<f32>> =
        (1..=9).map(|k| pattern(7, 11).plane(0).iter().map(|v| v * k as f32).collect()).collect();
    for count in 1..=9 {
        let bands = Image::new([count, 7, 11], planes[..count].concat()).unwrap();
        let resized = resize(&bands, 5, 13, Filter::Triangle).unwrap();
        assert_eq!(resized.shape(), [count, 5, 13]);
        for (i, plane) in planes[..count].iter().enumerate() {
            let alone = Image::new([1, 7, 11], plane.clone()).unwrap();
            assert_eq!(resized.plane(i), resize(&alone, 5, 13, Filter::Triangle).unwrap().data);
        }
        assert_eq!(resize(&bands, 7, 11, Filter::Triangle).unwrap(), bands);
        let middle = fit_center_crop(&bands, 7, 5).unwrap();
        assert_eq!(
            (middle.shape(), middle.plane(count - 1)[0]),
            (vec![count, 7, 5], bands.plane(count - 1)[3])
        );
    }
}

/// Hash of a resized noise picture, computed without vector instructions. Sums in another order would change
/// a few of a million values.
const BITS_OF_RESIZED_NOISE: u64 = 0xe52a_8b14_1ff6_c3a8;

#[test]
fn bits_are_the_same_on_every_instruction_set() {
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40 & 255) as f32 / 255.0
    };
    let image = Image::rgb(1500, 1500, (0..3 * 1500 * 1500).map(|_| noise()).collect()).unwrap();
    let resized = resize(&image, 800, 900, Filter::Bicubic).unwrap();
    // The hash is FNV-1a (Fowler, Noll, Vo).
    let sum = resized.data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, value| {
        (sum ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!(sum, BITS_OF_RESIZED_NOISE);
}

#[test]
fn impossible_sizes_are_errors() {
    let image = pattern(4, 4);
    assert!(resize(&image, 0, 4, Filter::Area).is_err());
    assert!(resize(&image, usize::MAX, usize::MAX, Filter::Area).is_err());
    assert!(fit_center_crop(&image, 4, 0).is_err());
    for fraction in [0.0, -1.0, 1.5, f64::NAN] {
        assert!(classify_crop(&image, 4, 4, fraction).is_err(), "{fraction}");
    }
}
