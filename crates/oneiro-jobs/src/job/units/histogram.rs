//! The histogram of a unit's sampled activations.

use oneiro::unit_statistics::{histogram, quantiles};
use oneiro_media::{Image, Plot, Series};

use crate::error::Result;

/// Bars.
const BINS: usize = 32;

/// A plot of this height and width; `None` if the sample has fewer than two different numbers.
pub(super) fn of(sample: &[f32], [height, width]: [usize; 2]) -> Result<Option<Image>> {
    let Some(ends) = quantiles(sample, &[0.0, 1.0]).filter(|ends| ends[1] > ends[0]) else { return Ok(None) };
    let (low, high) = (ends[0] as f32, ends[1] as f32);
    let counts = histogram(sample, [low, high], BINS);
    let all = counts.iter().sum::<u64>().max(1) as f64;
    let edge = |i: usize| ends[0] + (ends[1] - ends[0]) * i as f64 / BINS as f64;
    let edges: Vec<f64> = (0..=BINS).map(edge).collect();
    // What is nowhere has no bar on a logarithmic axis.
    let shares: Vec<f64> =
        counts.iter().map(|count| if *count > 0 { *count as f64 / all } else { f64::NAN }).collect();
    let plot = Plot::new(width, height)
        .title("Activations")
        .subtitle("share of sampled positions")
        .log_y()
        .series(Series::histogram("", &edges, &shares));
    Ok(Some(plot.render()?))
}
