//! The power spectrum of a picture, averaged over directions: how the power falls with frequency.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;

/// Returns the shares of a grey picture's power in equal intervals of frequency, from 0 to half a cycle per
/// pixel. The shares add up to 1; without contrast all are zero.
///
/// The mean is subtracted. A Hann window along both axes (Harris 1978, "On the use of windows for harmonic
/// analysis with the discrete Fourier transform") keeps the picture's borders from acting as edges.
/// Frequencies beyond half a cycle, in the corners of the spectrum, belong to the last interval.
///
/// # Panics
/// If the plane does not have `height` times `width` elements.
pub fn radial_power(plane: &[f32], [height, width]: [usize; 2], steps: usize) -> Vec<f64> {
    assert_eq!(plane.len(), height * width, "a plane of {height}x{width}");
    let mean = plane.iter().map(|x| f64::from(*x)).sum::<f64>() / plane.len().max(1) as f64;
    let hann = |at: usize, len: usize| {
        let phase = std::f64::consts::TAU * (at as f64 + 0.5) / len as f64;
        0.5 - 0.5 * phase.cos()
    };
    let windowed = |i: usize| {
        let (y, x) = (i / width, i % width);
        Complex64::new((f64::from(plane[i]) - mean) * hann(y, height) * hann(x, width), 0.0)
    };
    let mut spectrum: Vec<Complex64> = (0..plane.len()).map(windowed).collect();
    let mut planner = FftPlanner::new();
    let along_rows = planner.plan_fft_forward(width.max(1));
    spectrum.chunks_exact_mut(width.max(1)).for_each(|row| along_rows.process(row));
    let along_columns = planner.plan_fft_forward(height.max(1));
    let mut power = vec![0.0; steps.max(1)];
    let frequency = |at: usize, len: usize| at.min(len - at) as f64 / len as f64;
    for x in 0..width {
        let mut column: Vec<Complex64> = (0..height).map(|y| spectrum[y * width + x]).collect();
        along_columns.process(&mut column);
        for (y, value) in column.iter().enumerate() {
            let step = 2.0 * frequency(y, height).hypot(frequency(x, width)) * power.len() as f64;
            // The constant's entry is skipped: the window lets a remainder of the mean through, which is no
            // contrast.
            if (x, y) != (0, 0) {
                let last = power.len() - 1;
                power[(step as usize).min(last)] += value.norm_sqr();
            }
        }
    }
    let all: f64 = power.iter().sum();
    if all > 0.0 { power.iter().map(|p| p / all).collect() } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_has_its_power_at_its_frequency() {
        let (height, width) = (48, 40);
        for (frequency, step) in [(0.1, 3), (0.25, 8), (0.4, 12)] {
            let wave = |i: usize| ((i % width) as f32 * frequency * std::f32::consts::TAU).sin() + 0.5;
            let plane: Vec<f32> = (0..height * width).map(wave).collect();
            let power = radial_power(&plane, [height, width], 16);
            assert!((power.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let near: f64 = power[step - 1..=step + 1].iter().sum();
            assert!(near > 0.95, "{frequency}: {power:?}");
        }
        assert_eq!(radial_power(&[0.3; 12], [3, 4], 4).iter().sum::<f64>(), 0.0);
    }
}
