//! Power spectra by layer: how the power of pictures falls with frequency. The pictures are the image crops
//! that excite a layer's units, and pictures rendered for the units.

use oneiro::preprocess::luma;
use oneiro::statistics::radial_power;
use oneiro_media::{Image, Plot, Series};
use serde::{Deserialize, Serialize};

use super::crops::Crops;
use super::render::{RenderJob, Setting};
use super::units::text_of_scan;
use super::{Job, Kept, Place, Role, Run, Sink};
use crate::error::Result;
use crate::job::error::JobError;
use crate::provenance::seal;
use crate::remark::ScanRemark;
use crate::store::ScanFile;
use crate::store::read::LayerRecord;

/// Number of frequency intervals from 0 to half a cycle per pixel.
const STEPS: usize = 16;
/// Minimum side of an image crop. Smaller receptive fields are measured together with what surrounds them.
const LEAST_SIDE: usize = 32;
/// Number of layers whose spectra are drawn in the plot.
const DRAWN: usize = 8;
/// Width and height of the plot in pixels.
const PLOT: [usize; 2] = [900, 560];

/// A job that computes the spectra of the images that excite a scan's layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpectraJob {
    /// Path of the scan's folder or file.
    pub scan: String,
    /// Number of units of each layer, evenly spaced.
    pub units: usize,
    /// Number of images that are used for each unit.
    pub examples: usize,
    /// The preset and seed with which pictures of the units are rendered. Without a setting, only images are
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<Setting>,
    /// The folder that the scan's images lie in, if they have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<String>,
}

/// The spectra of a layer: shares of power in equal intervals of frequency, from 0 to half a cycle per pixel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSpectra {
    /// Name of the layer.
    pub layer: String,
    /// The spectrum of the image crops that excite the layer's units most.
    pub crops: Vec<f64>,
    /// The mean frequency of the crops, in cycles per pixel.
    pub crops_mean: f64,
    /// The spectrum of the pictures rendered for the layer's units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<f64>,
    /// The mean frequency of these pictures, in cycles per pixel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures_mean: Option<f64>,
}

impl Job for SpectraJob {
    const KIND: &'static str = "spectra";
    type Report = Vec<LayerSpectra>;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<Self::Report> {
        self.check()?;
        let scan = ScanFile::open(run.places().of(&self.scan))?.with_images(self.images.as_deref())?;
        let crops = Crops::new(&scan)?;
        let mut report = Vec::new();
        for layer in scan.layers().iter().filter(|layer| layer.map.len() == 2 && !layer.is_classes) {
            run.context.check()?;
            let channels: Vec<usize> = (0..self.units.min(layer.channels))
                .map(|i| i * layer.channels / self.units.min(layer.channels))
                .collect();
            let mut of_crops = Mean::default();
            for &channel in &channels {
                let unit = scan.unit(layer, channel)?;
                for example in unit.best.iter().take(self.examples).filter(|_| unit.maximum > Some(0.0)) {
                    let picture = crops.picture(example.image, &example.file)?;
                    of_crops.add(&around(&picture, layer, &example.position)?);
                }
            }
            let mut of_pictures = Mean::default();
            for picture in self.pictures(run, layer, &channels)? {
                of_pictures.add(&picture);
            }
            let (pictures, pictures_mean) = match self.setting {
                Some(_) => (of_pictures.shares(), Some(mean_frequency(&of_pictures.shares()))),
                None => (Vec::new(), None),
            };
            let of_crops = of_crops.shares();
            report.push(LayerSpectra {
                layer: layer.name.clone(),
                crops_mean: mean_frequency(&of_crops),
                crops: of_crops,
                pictures,
                pictures_mean,
            });
        }
        let place = Place::first(Role::Plot);
        if sink.wants(place) {
            let mut text = text_of_scan(run, &scan)?;
            seal(run, &mut text, self, place)?;
            let plot = self.plot(&scan, &report).render()?;
            sink.take_bytes(place, "spectra.png", &oneiro_media::encode_png(&plot, &text)?)?;
        }
        if let Some((file, count)) = crops.gone() {
            run.context.remark(ScanRemark::SourcesGone { count, file });
        }
        Ok(report)
    }

    fn check(&self) -> Result<()> {
        if self.units == 0 || self.examples == 0 { Err(JobError::NoUnits.into()) } else { Ok(()) }
    }

    fn settings_mut(&mut self) -> Vec<&mut Setting> {
        self.setting.iter_mut().collect()
    }
}

impl SpectraJob {
    /// Renders pictures of a layer's units and returns those whose optimisation changed the objective's
    /// value.
    fn pictures(&self, run: &Run<'_>, layer: &LayerRecord, channels: &[usize]) -> Result<Vec<Image>> {
        let Some(setting) = &self.setting else { return Ok(Vec::new()) };
        let names: Vec<String> =
            channels.iter().map(|channel| format!("\"{}\":{channel}", layer.name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut kept = Kept::all();
        let report = RenderJob::new(&names, setting.clone()).run(run, &mut kept)?;
        let mut pictures = Vec::new();
        for (i, unit) in report.units.iter().enumerate().filter(|(_, unit)| unit.failure().is_none()) {
            let bytes = kept.take(Place::picture(i)).ok_or(JobError::NotMade { what: "a picture" })?;
            pictures.push(oneiro_media::decode_image(&bytes, &unit.unit)?);
        }
        Ok(pictures)
    }

    /// Plots curves of layers from shallow to deep.
    fn plot(&self, scan: &ScanFile, report: &[LayerSpectra]) -> Plot {
        let frequency = |step: usize| (step as f64 + 0.5) / (2 * STEPS) as f64;
        let curve = |shares: &[f64]| -> Vec<(f64, f64)> {
            shares.iter().enumerate().map(|(step, share)| (frequency(step), *share)).collect()
        };
        let mut plot = Plot::new(PLOT[0], PLOT[1])
            .title(format!("Detail with depth: {}", scan.meta("model-title").unwrap_or_default()))
            .subtitle("share of power by frequency; solid: images that excite units, dotted: pictures made for them")
            .x_label("cycles per pixel")
            .y_label("share of power")
            .log_y();
        let drawn = report.len().min(DRAWN);
        for i in 0..drawn {
            let of = &report[i * (report.len() - 1) / (drawn - 1).max(1)];
            plot = plot.series(Series::line(&of.layer, &curve(&of.crops)));
            if !of.pictures.is_empty() {
                plot = plot.series(Series::points(format!("{}, pictures", of.layer), &curve(&of.pictures)));
            }
        }
        plot
    }
}

/// Cuts out a position's receptive field, enlarged to at least [`LEAST_SIDE`] pixels on each side.
fn around(picture: &Image, layer: &LayerRecord, position: &[usize]) -> Result<Image> {
    let size = [picture.height, picture.width];
    let seen = layer.seen(position, size);
    let widened = |axis: usize| {
        let [from, to] = seen[axis];
        let side = (to - from).max(LEAST_SIDE).min(size[axis]);
        let from = ((from + to) / 2).saturating_sub(side / 2).min(size[axis] - side);
        from..from + side
    };
    let (rows, columns) = (widened(0), widened(1));
    let mut data = Vec::new();
    for channel in 0..3 {
        let plane = picture.plane(channel);
        for y in rows.clone() {
            data.extend_from_slice(&plane[y * picture.width..][columns.clone()]);
        }
    }
    Ok(Image::rgb(columns.len(), rows.len(), data)?)
}

/// Accumulates the mean spectrum of pictures.
#[derive(Default)]
struct Mean {
    sum: Vec<f64>,
    count: usize,
}

impl Mean {
    fn add(&mut self, picture: &Image) {
        let planes = picture.plane(0).iter().zip(picture.plane(1)).zip(picture.plane(2));
        let gray: Vec<f32> = planes.map(|((r, g), b)| luma([*r, *g, *b])).collect();
        let power = radial_power(&gray, [picture.height, picture.width], STEPS);
        if power.iter().sum::<f64>() > 0.0 {
            self.sum.resize(STEPS, 0.0);
            self.sum.iter_mut().zip(power).for_each(|(sum, power)| *sum += power);
            self.count += 1;
        }
    }

    fn shares(&self) -> Vec<f64> {
        self.sum.iter().map(|sum| sum / self.count.max(1) as f64).collect()
    }
}

/// Returns the mean frequency of a spectrum, in cycles per pixel.
fn mean_frequency(shares: &[f64]) -> f64 {
    shares.iter().enumerate().map(|(step, share)| share * (step as f64 + 0.5) / (2 * STEPS) as f64).sum()
}
