//! Convolution kernels of a network's first layer, side by side.

use oneiro::kernels::{KernelError, Kernels, kernels, normalization_behind};
use oneiro_media::{Cell, Figure, Image, Page, PngText, Section, Sheet};
use serde::{Deserialize, Serialize};

use super::error::JobError;
use super::figures;
use super::sheet::MIN_CELL_WIDTH;
use super::tiles::{crossed_out, enlarged};
use super::{Job, Place, Role, Run, Sink};
use crate::error::Result;
use crate::model::LoadedModel;
use crate::numbers::{norm, short};
use crate::prose::capitalized;
use crate::provenance::{seal, text_of_model};
use crate::remark::ResultRemark;

/// Middle grey, the colour of a zero weight.
const ZERO: f32 = 0.5;

/// Share of the largest norm below which a kernel counts as dead. Its picture would show rounding errors.
const DEAD: f64 = 1e-5;

/// Magnitude of the cosine of two kernels from which they are named as alike.
const ALIKE: f64 = 0.9;
/// Share of the largest norm below which a kernel is named as weak.
const WEAK: f64 = 0.1;
/// Pairs that a page names at most.
const NAMED: usize = 12;

/// A job that draws the kernels of a convolution as a sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelsJob {
    /// Name of the layer.
    pub layer: String,
    /// The channels whose kernels are drawn.
    pub channels: Vec<usize>,
    /// Number of kernels side by side in the sheet.
    pub columns: usize,
    /// Minimum side of a tile in pixels. Kernels are enlarged by an integer factor.
    pub tile: usize,
}

/// The report on the kernels of a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelsReport {
    /// The kernels, in the order of the job's channels.
    pub kernels: Vec<KernelReport>,
    /// Pairs of these kernels that are copies or opposites, the most alike first.
    pub alike: Vec<AlikeKernels>,
}

/// Two kernels of which one is nearly a multiple of the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AlikeKernels {
    /// Indices of both channels.
    pub channels: [usize; 2],
    /// Cosine of the angle between both, from −1 (opposites) to 1 (copies).
    pub cosine: f64,
}

/// The report on the kernel of one channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelReport {
    /// Index of the channel in the layer.
    pub channel: usize,
    /// Height and width of the kernel.
    pub size: [usize; 2],
    /// The kernel's Euclidean norm with respect to pictures in 0–1, that is, including the image
    /// preprocessing.
    pub norm: f64,
    /// The norm as a share of the largest norm of the layer's kernels, from 0 to 1.
    pub share: f64,
    /// Whether the norm is negligible compared with other kernels'.
    pub dead: bool,
}

impl KernelReport {
    /// Returns the caption below the kernel.
    fn words(&self) -> String {
        if self.dead {
            "hardly any weights".into()
        } else {
            format!("norm {} ({:.0} %)", short(self.norm), 100.0 * self.share)
        }
    }
}

impl KernelsReport {
    fn new(kernels: Vec<KernelReport>, weights: &[Vec<f32>]) -> Self {
        let mut alike = Vec::new();
        for (i, a) in kernels.iter().enumerate().filter(|(_, kernel)| !kernel.dead) {
            for (j, b) in kernels.iter().enumerate().take(i).filter(|(_, kernel)| !kernel.dead) {
                let dot: f64 =
                    weights[i].iter().zip(&weights[j]).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                let cosine = dot / (a.norm * b.norm);
                if cosine.abs() >= ALIKE && a.channel != b.channel {
                    alike.push(AlikeKernels { channels: [b.channel, a.channel], cosine });
                }
            }
        }
        alike.sort_by(|a, b| b.cosine.abs().total_cmp(&a.cosine.abs()).then(a.channels.cmp(&b.channels)));
        Self { kernels, alike }
    }

    /// Returns a sentence that names the kernels that are alike, dead or weak.
    pub fn words(&self) -> String {
        let named = |of: &dyn Fn(f64) -> bool| {
            let pairs: Vec<&AlikeKernels> = self.alike.iter().filter(|pair| of(pair.cosine)).collect();
            let mut words: Vec<String> = pairs
                .iter()
                .take(NAMED)
                .map(|AlikeKernels { channels: [a, b], cosine }| format!("{a} and {b} ({cosine:.3})"))
                .collect();
            if pairs.len() > NAMED {
                words.push(format!("{} more", pairs.len() - NAMED));
            }
            words.join(", ")
        };
        let of = |is_it: &dyn Fn(&&KernelReport) -> bool| -> String {
            let channels: Vec<String> =
                self.kernels.iter().filter(is_it).map(|kernel| kernel.channel.to_string()).collect();
            channels.join(", ")
        };
        let dead = of(&|kernel| kernel.dead);
        let weak = of(&|kernel| !kernel.dead && kernel.share < WEAK);
        let of_few = [
            (!dead.is_empty()).then(|| format!("; hardly any weights: {dead}")),
            (!weak.is_empty())
                .then(|| format!("; weak, below {:.0} % of the largest norm: {weak}", 100.0 * WEAK)),
        ];
        let of_few: String = of_few.into_iter().flatten().collect();
        let alike = match [named(&|cosine| cosine > 0.0), named(&|cosine| cosine < 0.0)] {
            [copies, opposites] if copies.is_empty() && opposites.is_empty() => {
                format!("no two of these kernels are copies or opposites (cosine {ALIKE} or more)")
            }
            [copies, opposites] if opposites.is_empty() => {
                format!("nearly copies, by their cosine: {copies}")
            }
            [copies, opposites] if copies.is_empty() => {
                format!("nearly opposites, by their cosine: {opposites}")
            }
            [copies, opposites] => {
                format!("nearly copies, by their cosine: {copies}; nearly opposites: {opposites}")
            }
        };
        alike + &of_few
    }
}

impl Job for KernelsJob {
    const KIND: &'static str = "kernels";
    type Report = KernelsReport;

    fn run(&self, run: &Run<'_>, sink: &mut dyn Sink) -> Result<Self::Report> {
        self.check()?;
        let model = run.model()?;
        let found = kernels(&model.model, &self.layer, &self.channels)?;
        if let Some(behind) = normalization_behind(&model.model, &self.layer) {
            run.context.remark(ResultRemark::ScaledKernels { layer: self.layer.clone(), behind });
        }
        let largest = self.largest_norm(run, model, &found)?;
        let report = |(&channel, kernel): (&usize, &Vec<f32>)| {
            let norm = norm(kernel);
            let share = if largest > 0.0 { norm / largest } else { 0.0 };
            KernelReport { channel, size: found.size, norm, share, dead: share <= DEAD }
        };
        let kernels = self.channels.iter().zip(&found.kernels).map(report).collect();
        let report = KernelsReport::new(kernels, &found.kernels);
        let sealed = |place: Place| -> Result<PngText> {
            let mut text = text_of_model(model)?;
            text.push("layer", &self.layer);
            seal(run, &mut text, self, place)?;
            Ok(text)
        };
        let place = Place::picture(0);
        if sink.wants(place) {
            let text = sealed(place)?;
            let sheet = self.sheet(model, &found, &report.kernels)?;
            sink.take_bytes(place, "kernels.png", &oneiro_media::encode_png(&sheet.render()?, &text)?)?;
        }
        let place = Place::first(Role::Page);
        if sink.wants(place) {
            let text = sealed(place)?;
            let page = self.page(model, &found, &report, text)?;
            sink.take_bytes(place, "kernels.html", page.to_html().as_bytes())?;
        }
        Ok(report)
    }

    fn check(&self) -> Result<()> {
        if self.channels.is_empty() || self.columns == 0 { Err(JobError::NoUnits.into()) } else { Ok(()) }
    }
}

impl KernelsJob {
    /// The largest norm of the layer's kernels; of those that are drawn if others are none.
    fn largest_norm(&self, run: &Run<'_>, model: &LoadedModel, found: &Kernels) -> Result<f64> {
        let largest = |found: &Kernels| found.kernels.iter().map(|kernel| norm(kernel)).fold(0.0, f64::max);
        let all: Vec<usize> = (0..model.channels_of(run.context, &self.layer, None)?).collect();
        if self.channels == all {
            return Ok(largest(found));
        }
        match kernels(&model.model, &self.layer, &all) {
            Ok(all) => Ok(largest(&all)),
            Err(oneiro::Error::Kernel(KernelError::NotLinear { .. })) => Ok(largest(found)),
            Err(error) => Err(error.into()),
        }
    }

    /// Draws the tile of one kernel.
    fn drawn(&self, found: &Kernels, report: &KernelReport, kernel: &[f32]) -> Result<Image> {
        let mut image = enlarged(picture(kernel, found.size, found.shown)?, self.tile)?;
        if report.dead {
            crossed_out(&mut image);
        }
        Ok(image)
    }

    fn page(
        &self,
        model: &LoadedModel,
        found: &Kernels,
        report: &KernelsReport,
        text: PngText,
    ) -> Result<Page> {
        let figure = |(report, kernel): (&KernelReport, &Vec<f32>)| {
            let caption = format!("channel {}\n{}", report.channel, report.words());
            let figure = Figure { caption, ..Figure::default() };
            figures::with_picture(figure, &self.drawn(found, report, kernel)?)
        };
        let figures = report.kernels.iter().zip(&found.kernels).map(figure).collect::<Result<_>>()?;
        let [height, width] = found.size;
        let intro = format!(
            "The weights of {} on the picture, {height} by {width} pixels; nothing is optimised. The preparation of the image is \
             part of them. Each kernel is shown at its own scale, and grey is zero. The norm tells how large the weights are, also in per \
             cent of the largest norm.",
            self.layer
        );
        Ok(Page {
            title: model.title.clone(),
            intro,
            sections: vec![Section {
                heading: self.layer.clone(),
                note: format!("{}.", capitalized(&report.words())),
                figures,
                ..Section::default()
            }],
            footer: figures::footer(model, "none"),
            text,
        })
    }

    fn sheet(&self, model: &LoadedModel, found: &Kernels, reports: &[KernelReport]) -> Result<Sheet> {
        let [height, width] = found.size;
        let mut sheet = Sheet::new(self.columns)
            .title(&model.title)
            .subtitle(format!(
                "kernels of {}, {height}x{width}, each at its own scale; grey is zero; % of the largest norm",
                self.layer
            ))
            .min_cell_width(MIN_CELL_WIDTH)
            .row(&self.layer);
        for (report, kernel) in reports.iter().zip(&found.kernels) {
            let cell =
                Cell::new(self.drawn(found, report, kernel)?).caption(format!("channel {}", report.channel));
            sheet = sheet.cell(cell.caption(report.words()));
        }
        Ok(sheet)
    }
}

/// Returns a kernel as a picture. The weight of largest magnitude is black or white, and zero is grey.
fn picture(kernel: &[f32], [height, width]: [usize; 2], planes: [usize; 3]) -> Result<Image> {
    let plane = height * width;
    let of_plane = |p: usize| kernel.get(p * plane..(p + 1) * plane).unwrap_or_default();
    let largest = planes.iter().flat_map(|&p| of_plane(p)).fold(0.0f32, |most, x| most.max(x.abs()));
    let scale = if largest > 0.0 { ZERO / largest } else { 0.0 };
    let data = planes.iter().flat_map(|&p| of_plane(p).iter().map(|x| ZERO + scale * x)).collect();
    Ok(Image::rgb(width, height, data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_opposites_are_named() {
        let weights = vec![vec![1.0, 0.0], vec![-2.0, 0.1], vec![0.0, 3.0], vec![1.0, 0.1], vec![1e-9, 0.0]];
        let report = |(channel, kernel): (usize, &Vec<f32>)| KernelReport {
            channel,
            size: [1, 2],
            norm: norm(kernel),
            share: 1.0,
            dead: channel == 4,
        };
        let kernels = weights.iter().enumerate().map(report).collect();
        let found = KernelsReport::new(kernels, &weights);
        let words = found.words();
        let expected = "nearly copies, by their cosine: 0 and 3 (0.995); nearly opposites: 0 and 1 (-0.999), 1 and 3 (-0.989); hardly any weights: 4";
        assert_eq!(words, expected);
        let none = KernelsReport { alike: Vec::new(), ..found };
        assert!(none.words().starts_with("no two of these"));
    }

    #[test]
    fn a_kernel_is_drawn_about_grey_in_whole_pixels() {
        let kernel = [[1.0, -2.0], [0.0, 0.5], [0.0, 0.0]].concat();
        let image = picture(&kernel, [1, 2], [0, 1, 2]).unwrap();
        assert_eq!(image.data, [0.75, 0.0, 0.5, 0.625, 0.5, 0.5]);
        let large = enlarged(image, 3).unwrap();
        assert_eq!((large.height, large.width), (2, 4));
        assert_eq!(large.data[..8], [0.75, 0.75, 0.0, 0.0, 0.75, 0.75, 0.0, 0.0]);
        assert_eq!(picture(&[0.0; 3], [1, 1], [0, 1, 2]).unwrap().data, [0.5; 3]);
    }
}
