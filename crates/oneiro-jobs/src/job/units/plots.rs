//! Plots of a unit: the classes that it responds to, and the histogram of its activations.

use oneiro::unit_statistics::{histogram, quantiles};
use oneiro_media::{Image, Plot, Series};

use super::plain_class;
use crate::error::Result;
use crate::store::ScanFile;
use crate::store::read::{ClassRecord, UnitRecord};

/// Height and width of a plot in pixels.
const SIZE: [usize; 2] = [260, 420];
/// Largest height of a plot with long names below it.
const MOST_HEIGHT: usize = 640;
/// Width of a letter in pixels, about.
const LETTER: usize = 7;
/// Number of classes in a plot.
const CLASSES: usize = 10;
/// Number of bars in a histogram.
const BINS: usize = 32;

/// Returns all plots of a unit.
pub(super) fn of_unit(scan: &ScanFile, unit: &UnitRecord) -> Result<Vec<Image>> {
    let mut plots: Vec<Image> = of_classes(unit)?.into_iter().collect();
    plots.extend(of_sample(&scan.samples(unit.number)?)?);
    Ok(plots)
}

/// Returns the classes with the unit's largest activations, largest first.
pub(super) fn classes(unit: &UnitRecord) -> Vec<(String, f64)> {
    let known = |class: &ClassRecord| Some(f64::from(class.maximum?));
    let mut classes: Vec<(String, f64)> =
        unit.classes.iter().filter_map(|class| Some((plain_class(&class.name), known(class)?))).collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    classes.truncate(CLASSES);
    classes
}

/// A plot of the classes with the largest activations; `None` with fewer than two classes.
pub(crate) fn of_classes(unit: &UnitRecord) -> Result<Option<Image>> {
    let classes = classes(unit);
    if classes.len() < 2 {
        return Ok(None);
    }
    let names: Vec<&str> = classes.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<(f64, f64)> = classes.iter().enumerate().map(|(i, (_, v))| (i as f64, *v)).collect();
    // Names that read upwards have a third of the height.
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let height = (3 * LETTER * longest).clamp(SIZE[0], MOST_HEIGHT);
    let plot = Plot::new(SIZE[1], height)
        .title("Classes")
        .subtitle("largest activation")
        .x_names(&names)
        .series(Series::bars("", &values));
    Ok(Some(plot.render()?))
}

/// Plots the histogram of sampled activations; `None` if the sample has fewer than two different numbers.
fn of_sample(sample: &[f32]) -> Result<Option<Image>> {
    let Some(ends) = quantiles(sample, &[0.0, 1.0]).filter(|ends| ends[1] > ends[0]) else { return Ok(None) };
    let (low, high) = (ends[0] as f32, ends[1] as f32);
    let counts = histogram(sample, [low, high], BINS);
    let all = counts.iter().sum::<u64>().max(1) as f64;
    let edge = |i: usize| ends[0] + (ends[1] - ends[0]) * i as f64 / BINS as f64;
    let edges: Vec<f64> = (0..=BINS).map(edge).collect();
    // An empty bin is a gap, because a logarithmic axis cannot show zero.
    let shares: Vec<f64> =
        counts.iter().map(|count| if *count > 0 { *count as f64 / all } else { f64::NAN }).collect();
    let plot = Plot::new(SIZE[1], SIZE[0])
        .title("Activations")
        .subtitle("share of sampled positions")
        .log_y()
        .series(Series::histogram("", &edges, &shares));
    Ok(Some(plot.render()?))
}

/// Draws the histogram of a sample as a strip of bars without text, `width` pixels wide. A bar's height is
/// the logarithm of the bin's share.
pub(super) fn strip(sample: &[f32], width: usize) -> Image {
    /// Height of the strip in pixels.
    const HEIGHT: usize = 36;
    /// Bins with this share of the sample or less have no bar.
    const LEAST: f64 = 1e-4;
    let mut strip = Image::filled(width, HEIGHT, [1.0; 3]);
    let Some(ends) = quantiles(sample, &[0.0, 1.0]).filter(|ends| ends[1] > ends[0]) else { return strip };
    let counts = histogram(sample, [ends[0] as f32, ends[1] as f32], BINS);
    let all = counts.iter().sum::<u64>().max(1) as f64;
    let height =
        |count: u64| ((count as f64 / all / LEAST).max(1.0).ln() / (1.0 / LEAST).ln()) * HEIGHT as f64;
    let plane = width * HEIGHT;
    for x in 0..width {
        let bar = height(counts[x * BINS / width.max(1)]);
        for y in 0..HEIGHT {
            if ((HEIGHT - y) as f64) <= bar {
                for (channel, value) in [0.35, 0.55, 0.75].into_iter().enumerate() {
                    strip.data[channel * plane + y * width + x] = value;
                }
            }
        }
    }
    strip
}
