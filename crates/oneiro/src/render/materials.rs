//! Pictures and statistics that a rendering needs besides its preset.

use std::fmt;
use std::sync::Arc;

use oneiro_image::{Extent, Image};

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::input::PictureInput;
use crate::objective::Reference;
use crate::param::{Flow, Masked, Param, ParamSources};
use crate::preprocess::luma;
use crate::preset::Preset;
use crate::render::MIDDLE_GREY;
use crate::statistics::Statistics;

/// Creates a custom parametrization for pictures of an extent, instead of the preset's.
#[derive(Clone)]
pub struct CustomParam(pub Arc<MakeParam>);

/// A function from an extent to a parametrization.
pub type MakeParam = dyn Fn(Extent) -> Result<Box<dyn Param>> + Send + Sync;

/// A parametrization, and the image from which it starts, unless it starts from noise.
type Started = (Box<dyn Param>, Option<Vec<f32>>);

impl fmt::Debug for CustomParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomParam")
    }
}

/// Pictures and statistics that a rendering needs.
#[derive(Debug, Clone, Default)]
pub struct Materials {
    /// For each objective the picture from which it starts, of the result's size; `None` for noise.
    pub starts: Vec<Option<Reference>>,
    /// For each objective its number among equal objectives, so that each starts from different noise. If
    /// empty, the index in the batch is used.
    pub copies: Vec<usize>,
    /// The mask of pixels that may change: the luma of this picture, RGB or one plane, of the result's size.
    /// Elsewhere the start stays.
    pub mask: Option<Reference>,
    /// Statistics of a data set's colours and spectra.
    pub statistics: Option<Arc<Statistics>>,
    /// Statistics of optical flow, in pixels per frame, in the place of those of colours.
    pub flow_statistics: Option<Arc<Statistics>>,
    /// A parametrization that the caller defines.
    pub param: Option<CustomParam>,
}

impl Materials {
    /// Returns the parametrization of an objective's picture, and the image from which it starts. `extent`
    /// includes margin and transparency.
    pub(super) fn param(
        &self,
        entry: usize,
        preset: &Preset,
        extent: Extent,
        margin: usize,
        input: &PictureInput,
    ) -> Result<Started> {
        let is_flow = input.kind == InputKind::Flow;
        let statistics = if is_flow {
            // The parametrization makes pictures in which middle grey is no motion.
            let factor = 1.0 / f64::from(input.preprocess.span());
            let scaled = |statistics: &Arc<Statistics>| {
                statistics.rescaled(factor, f64::from(MIDDLE_GREY)).map(Arc::new)
            };
            self.flow_statistics.as_ref().map(scaled).transpose()?
        } else {
            self.statistics.clone()
        };
        let mean = if is_flow { vec![MIDDLE_GREY] } else { input.preprocess.natural_mean() };
        let sources = ParamSources { statistics: statistics.clone(), mean };
        let start = self.starts.get(entry).and_then(Option::as_ref);
        let colors = extent.with_channels(extent.channels - usize::from(preset.alpha));
        // Statistics of other channels are refused, even if the parametrization would not read them.
        statistics.as_ref().map_or(Ok(()), |s| s.require_channels(colors.channels))?;
        let start = start.map(|s| with_margin(s, colors, margin)).transpose()?;
        let mut param = if let Some(CustomParam(make)) = &self.param {
            make(extent)?
        } else if preset.alpha {
            preset.param.build_with_alpha(colors, &sources)?
        } else {
            preset.param.build(colors, &sources)?
        };
        if is_flow {
            param = Box::new(Flow::new(param, input.preprocess.span()));
        }
        if let Some(mask) = &self.mask {
            let base = start.as_ref().ok_or_else(|| {
                Error::Settings("a mask needs a picture to start from, which stays where it is black".into())
            })?;
            if preset.alpha {
                return Err(Error::Settings(
                    "a picture with a mask is opaque: leave alpha or the mask out".into(),
                ));
            }
            let is_gray = mask.image.channels == 1;
            let plane = Extent { channels: if is_gray { 1 } else { 3 }, frames: 1, ..extent };
            let mask = with_margin(mask, plane, margin)?;
            let plane = extent.plane();
            let open = |i: usize| match is_gray {
                true => mask[i].clamp(0.0, 1.0),
                false => luma([0, 1, 2].map(|c| mask[c * plane + i])).clamp(0.0, 1.0),
            };
            param = Box::new(Masked::new(param, (0..plane).map(open).collect(), base)?);
        }
        let start = start.map(|mut image| {
            if preset.alpha {
                image.resize(extent.values(), 1.0);
            }
            image
        });
        Ok((param, start))
    }
}

/// Returns a picture with a margin on all sides, in which its edge is repeated.
fn with_margin(picture: &Reference, extent: Extent, margin: usize) -> Result<Vec<f32>> {
    let Extent { height, width, .. } = extent;
    let needed = extent.with_size(extent.size().map(|n| n - margin));
    let Image { height: h, width: w, ref data, .. } = *picture.image;
    if picture.image.extent() != needed || picture.image.has_alpha {
        return Err(Error::Settings(format!(
            "the picture {} is {}; {needed} is needed, opaque",
            picture.name,
            picture.image.extent()
        )));
    }
    let (top, left) = ((height - h) / 2, (width - w) / 2);
    let mut out = Vec::with_capacity(extent.values());
    for plane in data.chunks_exact(h * w) {
        for y in 0..height {
            let row = y.saturating_sub(top).min(h - 1) * w;
            out.extend((0..width).map(|x| plane[row + x.saturating_sub(left).min(w - 1)]));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_repeats_the_edge() {
        let picture = Reference::new("p", Image::new([1, 1, 2], [1.0, 2.0].to_vec()).unwrap());
        assert_eq!(with_margin(&picture, [1, 4, 5].into(), 3).unwrap(), [1.0, 1.0, 2.0, 2.0, 2.0].repeat(4));
        // Pictures of another size than the result are refused, with or without a margin.
        for (extent, margin, needed) in
            [([1, 2, 1], 0, "1x2x1"), ([1, 4, 5], 0, "1x4x5"), ([1, 4, 5], 2, "1x2x3")]
        {
            let error = with_margin(&picture, extent.into(), margin).unwrap_err().to_string();
            assert!(error.contains("1x1x2") && error.contains(needed), "{error}");
        }
    }
}
