//! `Resize` and `Upsample`: turns their attributes into the taps of every axis, see [`super::resample`].
//!
//! Where ONNX leaves a choice, results equal those of ONNX Runtime, with which PyTorch agrees. `nearest`
//! rounds positions that are computed in 32 bits (8 / 1.6 is 5 in 32 bits, and 4.9999999 in 64 bits). An
//! extent that a scale gives is rounded down before corners are aligned to it.

use crate::error::OpError;
use crate::ops::array::constant::{MAX_EXTENT, check_volume};
use crate::ops::cnn::taps::{Resampling, Taps};
use crate::ops::{Attributes, Facts, axis};

/// Tolerance, in roundings of a position, within which two neighbours count as equally near (found by
/// comparison with ONNX Runtime 1.32).
const TIE: f64 = 4.0;

/// How `Resize` computes values between samples.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Nearest(Rounding),
    Linear,
    /// Cubic interpolation with its coefficient a (Keys 1981).
    Cubic(f64),
}

/// The neighbour that interpolation of mode `nearest` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
    /// Rounded down if the axis grows, rounded up if it shrinks (operator sets before 11).
    Simple,
}

/// How an output index is mapped to a position in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    /// (k + ½) / scale, for nearest neighbours (operator sets 11 and 12).
    HalfPixelForNearest,
    AlignCorners,
    Asymmetric,
    Crop,
}

/// The scale that applies if the requested sizes do not keep the proportions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proportions {
    Stretch,
    NotLarger,
    NotSmaller,
}

/// Maps index `k` of `n` to a position on an axis of extent `len`, computed in a given float type.
macro_rules! position {
    ($float:ty, $coordinates:expr, $len:expr, $scale:expr, $n:expr, $k:expr, $crop:expr) => {{
        let (len, wanted, k, scale) = ($len as $float, $n as $float, $k as $float, $scale as $float);
        let (start, end) = ($crop.0 as $float, $crop.1 as $float);
        let half = (k + 0.5) / scale - 0.5;
        match $coordinates {
            Coordinates::HalfPixel => half,
            Coordinates::HalfPixelSymmetric => {
                len / 2.0 * (1.0 - wanted / (scale * len)) + (k + 0.5) / scale - 0.5
            }
            Coordinates::PytorchHalfPixel | Coordinates::AlignCorners if $n == 1 => 0.0,
            Coordinates::PytorchHalfPixel => half,
            Coordinates::HalfPixelForNearest => (k + 0.5) / scale,
            Coordinates::AlignCorners => k * (len - 1.0) / (wanted - 1.0),
            Coordinates::Asymmetric => k / scale,
            Coordinates::Crop if $n == 1 => 0.5 * (start + end) * (len - 1.0),
            Coordinates::Crop => start * (len - 1.0) + k * (end - start) * (len - 1.0) / (wanted - 1.0),
        }
    }};
}

/// `Resize` and `Upsample`.
#[derive(Debug, Clone)]
pub struct Resize {
    name: String,
    mode: Mode,
    coordinates: Coordinates,
    proportions: Proportions,
    exclude_outside: bool,
    extrapolation: f32,
    antialias: bool,
    axes: Option<Vec<i64>>,
    /// Scales as an attribute (`Upsample` of operator set 7).
    scales: Option<Vec<f32>>,
    /// Index of the scales among the node's inputs.
    scales_at: usize,
}

impl Resize {
    /// Reads the attributes. Before operator set 11, an index was divided by the scale.
    pub fn read(op_type: &str, a: &Attributes<'_>) -> Result<Self, OpError> {
        let old = op_type == "Upsample" || a.opset < 11;
        let not =
            |name: &str, value: &str| OpError::Refused(format!("{name} \"{value}\" is not one of ONNX's"));
        let rounding = match a.text_or("nearest_mode", if old { "simple" } else { "round_prefer_floor" })? {
            "simple" if old => Rounding::Simple,
            "round_prefer_floor" => Rounding::PreferFloor,
            "round_prefer_ceil" => Rounding::PreferCeil,
            "floor" => Rounding::Floor,
            "ceil" => Rounding::Ceil,
            other => return Err(not("nearest_mode", other)),
        };
        let default = if old { "asymmetric" } else { "half_pixel" };
        Ok(Self {
            name: op_type.to_owned(),
            mode: match a.text_or("mode", "nearest")? {
                "nearest" => Mode::Nearest(rounding),
                "linear" | "bilinear" => Mode::Linear,
                "cubic" => Mode::Cubic(f64::from(a.float_or("cubic_coeff_a", -0.75)?)),
                other => return Err(not("mode", other)),
            },
            coordinates: match a.text_or("coordinate_transformation_mode", default)? {
                "half_pixel" => Coordinates::HalfPixel,
                "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
                "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
                "align_corners" => Coordinates::AlignCorners,
                "tf_half_pixel_for_nn" => Coordinates::HalfPixelForNearest,
                "asymmetric" => Coordinates::Asymmetric,
                "tf_crop_and_resize" => Coordinates::Crop,
                other => return Err(not("coordinate_transformation_mode", other)),
            },
            proportions: match a.text_or("keep_aspect_ratio_policy", "stretch")? {
                "stretch" => Proportions::Stretch,
                "not_larger" => Proportions::NotLarger,
                "not_smaller" => Proportions::NotSmaller,
                other => return Err(not("keep_aspect_ratio_policy", other)),
            },
            exclude_outside: a.int_or("exclude_outside", 0)? != 0,
            extrapolation: a.float_or("extrapolation_value", 0.0)?,
            antialias: a.int_or("antialias", 0)? != 0,
            axes: a.ints("axes")?.map(<[i64]>::to_vec),
            scales: a.floats("scales")?.map(<[f32]>::to_vec),
            scales_at: if old { 1 } else { 2 },
        })
    }

    /// ONNX's name of the operator: `Resize` or `Upsample`.
    pub fn op_type(&self) -> &str {
        &self.name
    }

    /// Returns scale and extent of the result along every axis; an unchanged axis has scale 1.
    fn extents(&self, inputs: Facts<'_>) -> Result<Vec<(f64, usize)>, OpError> {
        let x = inputs.shape(0)?;
        let axes = self.axes(x.len())?;
        let mut out: Vec<(f64, usize)> = x.iter().map(|&n| (1.0, n)).collect();
        if x.contains(&0) {
            return Err(OpError::Refused(format!("input {x:?} is empty")));
        }
        let misfit = |n: usize| OpError::Refused(format!("{n} scales or sizes for {} axes", axes.len()));
        let scales = match &self.scales {
            Some(scales) => Some(scales.clone()),
            None => {
                inputs.constant(self.scales_at)?.map(|t| t.as_floats().map(|v| v.into_owned())).transpose()?
            }
        };
        if let Some(scales) = scales.filter(|s| !s.is_empty()) {
            if scales.len() != axes.len() {
                return Err(misfit(scales.len()));
            }
            for (&i, &scale) in axes.iter().zip(&scales) {
                let n = (x[i] as f32 * scale).floor();
                if !(scale > 0.0 && (1.0..=MAX_EXTENT as f32).contains(&n)) {
                    return Err(OpError::Refused(format!("scales {scales:?} do not fit {x:?}")));
                }
                out[i] = (f64::from(scale), n as usize);
            }
        } else {
            let sizes = inputs.ints(3)?.ok_or("both scales and sizes are missing")?;
            if sizes.len() != axes.len() {
                return Err(misfit(sizes.len()));
            }
            if sizes.iter().any(|n| !(1..=MAX_EXTENT as i64).contains(n)) {
                return Err(OpError::Refused(format!("sizes {sizes:?}")));
            }
            let scale = |k: usize| sizes[k] as f64 / x[axes[k]] as f64;
            let all = (0..axes.len()).map(scale);
            let common = match self.proportions {
                Proportions::Stretch => None,
                Proportions::NotLarger => all.reduce(f64::min),
                Proportions::NotSmaller => all.reduce(f64::max),
            };
            for (k, &i) in axes.iter().enumerate() {
                out[i] = match common {
                    None => (scale(k), sizes[k] as usize),
                    Some(scale) => (scale, (scale * x[i] as f64 + 0.5) as usize),
                };
            }
        }
        check_volume(&out.iter().map(|e| e.1).collect::<Vec<_>>())?;
        Ok(out)
    }

    fn axes(&self, rank: usize) -> Result<Vec<usize>, OpError> {
        match &self.axes {
            None => Ok((0..rank).collect()),
            Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect(),
        }
    }

    /// Returns the linear map that resizes inputs of these shapes.
    pub fn map(&self, inputs: Facts<'_>) -> Result<Resampling, OpError> {
        let x = inputs.shape(0)?;
        let axes = self.axes(x.len())?;
        let region = match self.coordinates {
            Coordinates::Crop => {
                let roi = inputs.need_constant(1)?.as_floats()?.into_owned();
                if roi.len() != 2 * axes.len() {
                    return Err(OpError::Refused(format!(
                        "a region of {} numbers for {} axes",
                        roi.len(),
                        axes.len()
                    )));
                }
                Some(roi)
            }
            _ => None,
        };
        let mut out = Vec::new();
        for (i, (scale, n)) in self.extents(inputs)?.into_iter().enumerate() {
            let crop = region
                .as_ref()
                .zip(axes.iter().position(|&a| a == i))
                .map(|(roi, k)| (f64::from(roi[k]), f64::from(roi[axes.len() + k])));
            let moves = n != x[i] || scale != 1.0 || crop.is_some_and(|c| c != (0.0, 1.0));
            out.push(
                moves.then(|| (0..n).map(|k| self.taps(x[i], scale, n, k, crop)).collect::<Vec<Taps>>()),
            );
        }
        Ok(Resampling { axes: out, fill: self.extrapolation })
    }

    /// Returns the taps of index `k` of `n` on an axis of extent `len`.
    fn taps(&self, len: usize, scale: f64, n: usize, k: usize, crop: Option<(f64, f64)>) -> Taps {
        let crop = crop.unwrap_or((0.0, 1.0));
        let exact = position!(f64, self.coordinates, len, scale, n, k, crop);
        let rounded = position!(f32, self.coordinates, len, scale, n, k, crop);
        if self.coordinates == Coordinates::Crop && !(0.0..=len as f32 - 1.0).contains(&rounded) {
            return None;
        }
        let at = if matches!(self.mode, Mode::Nearest(_)) { f64::from(rounded) } else { exact };
        let base = at.floor();
        let ratio = at - base;
        let (first, weights) = match self.mode {
            Mode::Nearest(rounding) => {
                let tie = TIE * f64::from(f32::EPSILON) * at.abs().max(1.0);
                let up = match rounding {
                    Rounding::PreferFloor => ratio > 0.5 + tie,
                    Rounding::PreferCeil => ratio >= 0.5 - tie,
                    Rounding::Floor => false,
                    Rounding::Simple => scale < 1.0 && ratio > 0.0,
                    Rounding::Ceil => ratio > 0.0,
                };
                (i64::from(up), vec![1.0])
            }
            Mode::Linear => self.weights(1.0, ratio, scale, |x| (1.0 - x.abs()).max(0.0)),
            Mode::Cubic(a) => self.weights(2.0, ratio, scale, |x| cubic(a, x.abs())),
        };
        let mut taps: Vec<(usize, f64)> = Vec::with_capacity(weights.len());
        for (i, w) in weights.into_iter().enumerate().filter(|(_, w)| *w != 0.0) {
            let index = base as i64 + first + i as i64;
            if self.exclude_outside && !(0..len as i64).contains(&index) {
                continue;
            }
            let index = index.clamp(0, len as i64 - 1) as usize;
            match taps.last_mut() {
                Some((last, sum)) if *last == index => *sum += w,
                _ => taps.push((index, w)),
            }
        }
        let sum: f64 = if self.exclude_outside { taps.iter().map(|t| t.1).sum() } else { 1.0 };
        Some(taps.into_iter().map(|(i, w)| (i, (w / sum) as f32)).collect())
    }

    /// Returns the weights of a kernel with this support, and the first index relative to the position's
    /// floor. With `antialias` the kernel is widened if the picture shrinks, and the weights are normalized.
    fn weights(&self, support: f64, ratio: f64, scale: f64, kernel: impl Fn(f64) -> f64) -> (i64, Vec<f64>) {
        let scale = if self.antialias { scale.min(1.0) } else { 1.0 };
        let reach = ((support / scale).ceil() as i64).min(MAX_EXTENT as i64);
        let mut weights: Vec<f64> = (-reach..=reach).map(|i| kernel(scale * (i as f64 - ratio))).collect();
        if self.antialias {
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
        }
        (-reach, weights)
    }
}

/// Keys' cubic convolution kernel at distance x.
fn cubic(a: f64, x: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((x - 5.0) * x + 8.0) * x * a - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attribute;
    use crate::ops::Fact;
    use crate::tensor::Tensor;

    /// Returns the result for a row of the table: the ramp 0, 1, … resized along its last axis.
    fn resized(row: &[&str]) -> Vec<f32> {
        let [opset, mode, coordinates, rounding, len, scale, size] = row else { panic!("{row:?}") };
        let text = |name, value: &str| (value != "-").then(|| (name, Attribute::Text(value.to_owned())));
        let attributes = [
            text("mode", mode),
            text("coordinate_transformation_mode", coordinates),
            text("nearest_mode", rounding),
        ];
        let opset = opset.parse().unwrap();
        let resize =
            Resize::read("Resize", &Attributes::new(opset, attributes.into_iter().flatten().collect()))
                .unwrap();
        let len: usize = len.parse().unwrap();
        let constant = |t: Tensor| Some(Fact::constant(t));
        let scales = (*size == "-")
            .then(|| Fact::constant(Tensor::floats(&[4], vec![1.0, 1.0, 1.0, scale.parse().unwrap()])));
        let sizes =
            (*size != "-").then(|| Fact::constant(Tensor::ints(&[4], vec![1, 1, 1, size.parse().unwrap()])));
        let region = constant(Tensor::floats(&[8], vec![0.0, 0.0, 0.0, 0.15, 1.0, 1.0, 1.0, 0.85]));
        let x = Some(Fact::float([1, 1, 1, len]));
        let facts = if opset < 11 { vec![x, scales] } else { vec![x, region, scales, sizes] };
        let facts: Vec<Option<&Fact>> = facts.iter().map(Option::as_ref).collect();
        let map = resize.map(Facts(&facts)).unwrap();
        let value = |taps: &Taps| {
            taps.as_ref().map_or(map.fill, |taps| taps.iter().map(|&(i, w)| i as f32 * w).sum())
        };
        match &map.axes[3] {
            Some(taps) => taps.iter().map(value).collect(),
            None => (0..len).map(|i| i as f32).collect(),
        }
    }

    #[test]
    fn every_mode_agrees_with_onnx_runtime_at_odd_sizes_and_scales() {
        let table = include_str!("../../../tests/data/resize.txt");
        let mut wrong = Vec::new();
        for line in table.lines().filter(|l| !l.starts_with('#')) {
            let (question, answer) = line.split_once(':').unwrap();
            let expected: Vec<f32> = answer.split_whitespace().map(|v| v.parse().unwrap()).collect();
            let got = resized(&question.split_whitespace().collect::<Vec<_>>());
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 2e-4 * (1.0 + b.abs());
            if got.len() != expected.len() || !got.iter().zip(&expected).all(near) {
                wrong.push(format!("{question}: {got:?} for {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.lines().count(), wrong.join("\n"));
    }
}
