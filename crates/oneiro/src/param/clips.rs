//! Tests of clips: the frames of a channel follow each other, and each is computed independently.

use super::*;
use crate::preset::ParamSpec;

const CLIP: Extent = Extent { channels: 3, frames: 4, height: 6, width: 5 };

fn kinds() -> Vec<(&'static str, ParamSpec)> {
    vec![
        ("pixel", ParamSpec::Pixel(PixelOptions::default())),
        ("fourier", ParamSpec::Fourier(FourierOptions::default())),
        ("laplacian", ParamSpec::Laplacian(LaplacianOptions::default())),
        ("shared", ParamSpec::Shared(SharedOptions::default())),
        ("dense", ParamSpec::Dense(DenseOptions::default())),
    ]
}

#[test]
fn clips_have_gradients_and_a_way_back() {
    for (name, spec) in kinds() {
        for param in [
            spec.build(CLIP, &ParamSources::default()).unwrap(),
            spec.build_with_alpha(CLIP, &ParamSources::default()).unwrap(),
        ] {
            assert_eq!(param.extent().frames, 4, "{name}");
            checks::assert_gradient(&*param, 0.3, 1e-2, 2e-3);
            checks::assert_way_back(&*param, 1e-4);
        }
    }
}

/// Returns one frame of a clip, channel by channel.
fn frame_of(clip: &[f32], extent: Extent, frame: usize) -> Vec<f32> {
    clip.chunks_exact(extent.plane()).skip(frame).step_by(extent.frames).flatten().copied().collect()
}

#[test]
fn a_frame_is_the_still_of_its_own_parameters() {
    let still = Extent { frames: 1, ..CLIP };
    let mut rng = Stream::new(3, 0);
    let image: Vec<f32> = (0..CLIP.values()).map(|_| rng.uniform_in(0.1, 0.9) as f32).collect();
    for (name, spec) in kinds() {
        let of_clip = spec.build(CLIP, &ParamSources::default()).unwrap();
        let of_still = spec.build(still, &ParamSources::default()).unwrap();
        let clip = checks::image_of(&*of_clip, &of_clip.from_image(&image).unwrap());
        for t in 0..CLIP.frames {
            let frame = frame_of(&image, CLIP, t);
            let expected = checks::image_of(&*of_still, &of_still.from_image(&frame).unwrap());
            assert_eq!(frame_of(&clip, CLIP, t), expected, "{name}, frame {t}");
        }
    }
}

#[test]
fn all_frames_share_a_mask() {
    let inner = Box::new(Pixel::new(CLIP, PixelOptions::default(), &ParamSources::default()).unwrap());
    let mask: Vec<f32> = (0..CLIP.plane()).map(|i| (i % 2) as f32).collect();
    let base: Vec<f32> = (0..CLIP.values()).map(|i| i as f32 / 1000.0).collect();
    let param = Masked::new(inner, mask.clone(), &base).unwrap();
    let image = checks::image_of(&param, &checks::start_of(&param, 0));
    for (i, (value, base)) in image.iter().zip(&base).enumerate() {
        assert_eq!(value == base, mask[i % CLIP.plane()] == 0.0, "value {i}");
    }
    checks::assert_gradient(&param, 0.3, 1e-2, 2e-3);
}

#[test]
fn what_makes_stills_alone_refuses_clips() {
    let sources = ParamSources::default();
    for spec in [ParamSpec::Cppn(CppnOptions::default()), ParamSpec::Maco(MacoOptions::default())] {
        let error = spec.build(CLIP, &sources).unwrap_err().to_string();
        assert!(error.contains("4 frames") && error.contains("fourier"), "{error}");
    }
}
