//! Attribution: heat maps that show which pixels of an image make a unit respond.
//!
//! Every method has the form
//! `fn(&mut AttributionTarget, image, &Settings, &mut Watch) -> Result<Attribution>`. An
//! [`AttributionTarget`] is a compiled network with one objective. The image is one display image, RGB 0–1,
//! `[3, H, W]`. The [`Attribution`] has one number for each value or pixel of the image: its share in the
//! objective f.
//!
//! | method | values | map |
//! |---|---|---|
//! | [`gradient`] | ∂f/∂x | largest magnitude over colours |
//! | [`guided`](gradient::guided), [`deconv`](gradient::deconv) | ∂f/∂x under another rule for ReLUs | largest magnitude over colours |
//! | [`gradient_x_input`] | (x − b) ∂f/∂x | sum over colours |
//! | [`integrated_gradients`] | (x − b) × mean gradient between b and x | sum over colours |
//! | [`smoothgrad`] | mean gradient under noise; mean square; variance | largest magnitude; sum; sum |
//! | [`grad_cam`] | Σ over channels of mean gradient × activation | positive part of the values |
//! | [`occlusion`] | mean decrease of f over the covered windows that contain the pixel | the values |
//!
//! ```no_run
//! use oneiro::{attribution::{attribute, Method, Settings, AttributionTarget}, objective::Objective};
//! # fn example(model: oneiro::Model, image: Vec<f32>) -> oneiro::Result<()> {
//! let mut target = AttributionTarget::new(&model, &Objective::logit(1), None)?;
//! let map = attribute(&mut target, &image, Method::IntegratedGradients, &Settings::default(), &mut |_, _| true)?;
//! println!("{:?} of {:?}", map.map, map.completeness);
//! # Ok(())
//! # }
//! ```
//!
//! Noise comes from [`crate::rng::Stream`], one stream for each sample, and sums run in the order of the
//! samples. So the batch size and the threads change no bit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod baseline;
mod cam_layer;
pub mod grad_cam;
pub mod gradient;
pub mod gradient_x_input;
pub mod integrated_gradients;
pub mod occlusion;
pub mod smoothgrad;
mod summary;
mod target;
#[cfg(test)]
mod testing;

pub use baseline::Baseline;
pub(crate) use grad_cam::layer_gradient;
pub use summary::{Summary, scale};
pub use target::{AttributionTarget, Watch, top_class};

/// A method that attributes an objective's value to pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Method {
    /// Magnitude of the gradient (Simonyan, Vedaldi & Zisserman 2013).
    Gradient,
    /// Gradient times the input's distance from the baseline (Shrikumar et al. 2016).
    GradientXInput,
    /// Integrated gradients (Sundararajan, Taly & Yan 2017).
    IntegratedGradients,
    /// Mean gradient under noise (Smilkov et al. 2017).
    SmoothGrad,
    /// Mean square of gradients under noise (Hooker et al. 2019).
    SmoothGradSquared,
    /// Variance of gradients under noise (Adebayo et al. 2018).
    VarGrad,
    /// Weighted activations of a layer (Selvaraju et al. 2017).
    GradCam,
    /// Fall of the objective when a window is covered (Zeiler & Fergus 2014).
    Occlusion,
    /// Guided backpropagation (Springenberg et al. 2015).
    Guided,
    /// Deconvnet's rule (Zeiler & Fergus 2014).
    Deconv,
}

impl Method {
    /// All methods, in the order in which they are listed.
    pub const ALL: [Method; 10] = [
        Self::Gradient,
        Self::GradientXInput,
        Self::IntegratedGradients,
        Self::SmoothGrad,
        Self::SmoothGradSquared,
        Self::VarGrad,
        Self::GradCam,
        Self::Occlusion,
        Self::Guided,
        Self::Deconv,
    ];

    /// Methods with different meanings, for a comparison.
    pub const USUAL: [Method; 6] = [
        Self::Gradient,
        Self::SmoothGrad,
        Self::IntegratedGradients,
        Self::GradCam,
        Self::Occlusion,
        Self::Guided,
    ];

    /// The method's name, as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gradient => "gradient",
            Self::GradientXInput => "gradient-x-input",
            Self::IntegratedGradients => "integrated-gradients",
            Self::SmoothGrad => "smoothgrad",
            Self::SmoothGradSquared => "smoothgrad-squared",
            Self::VarGrad => "vargrad",
            Self::GradCam => "grad-cam",
            Self::Occlusion => "occlusion",
            Self::Guided => "guided",
            Self::Deconv => "deconv",
        }
    }

    /// Whether the map has a sign: positive values raise the objective, negative values lower it.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::GradientXInput | Self::IntegratedGradients | Self::Occlusion)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|m| m.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).to_vec();
            Error::UnknownName { what: "method", name: text.into(), known }
        })
    }
}

impl TryFrom<String> for Method {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.name().into()
    }
}

/// Settings of all methods; each method uses some of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Number of points on the path of integrated gradients.
    pub steps: usize,
    /// The baseline of integrated gradients and gradient × input.
    pub baseline: Baseline,
    /// Number of noisy copies of the image.
    pub samples: usize,
    /// Standard deviation of the noise, as a share of the image's range.
    pub noise: f64,
    /// Height and width of the occluding window in pixels; by default an eighth of the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<[usize; 2]>,
    /// Distance in pixels between windows; by default half a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// The image whose pixels fill an occluding window.
    pub fill: Baseline,
    /// The layer of Grad-CAM; by default the last convolution before the objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cam_layer: Option<String>,
    /// Random seed of all noise that the methods add.
    pub seed: u64,
}

/// Default number of points on the path: 20 to 300 are enough for most networks (Sundararajan et al. 2017,
/// section 5).
const STEPS: usize = 50;
/// Default number of noisy copies: little changes beyond 50 (Smilkov et al. 2017, section 3.2).
const SAMPLES: usize = 50;
/// Default noise: 10 % to 20 % of the range keeps the structure of the image (Smilkov et al. 2017, section
/// 3.2).
const NOISE: f64 = 0.15;

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: STEPS,
            baseline: Baseline::Black,
            samples: SAMPLES,
            noise: NOISE,
            window: None,
            stride: None,
            fill: Baseline::Mean,
            cam_layer: None,
            seed: 0,
        }
    }
}

/// Fewest noisy copies of which a variance can be taken.
const LEAST_FOR_VARIANCE: usize = 2;

impl Settings {
    /// Sizes of the occluding window and its strides, along y and x, for an image of this size.
    pub fn windows(&self, size: [usize; 2]) -> ([usize; 2], [usize; 2]) {
        /// Number of half windows along the image's side. Window sizes are even, so that windows overlap by
        /// exactly half.
        const HALF_WINDOWS: usize = 16;
        let window = self.window.unwrap_or(size.map(|n| 2 * n.div_ceil(HALF_WINDOWS)));
        (window, window.map(|side| self.stride.unwrap_or(side.div_ceil(2))))
    }

    /// Checks every number that its type does not restrict.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a count or extent of 0, and for noise that is not between 0 and 1.
    pub fn check(&self) -> Result<()> {
        let positive = |n: usize, what: &str| match n {
            0 => Err(Error::out_of_range(what, 0, "at least 1")),
            _ => Ok(()),
        };
        positive(self.steps, "steps of integrated gradients")?;
        positive(self.samples, "samples of smoothgrad")?;
        for side in self.window.unwrap_or([1; 2]) {
            positive(side, "the side of the occluding window")?;
        }
        positive(self.stride.unwrap_or(1), "the stride of the occluding window")?;
        if !(self.noise > 0.0 && self.noise.is_finite()) {
            let needed = "a share of the image's range above 0, usually 0.1 to 0.2,";
            return Err(Error::out_of_range("noise", self.noise, needed));
        }
        Ok(())
    }

    /// Checks the settings as [`Settings::check`] does, and whether these methods can use them.
    ///
    /// # Errors
    /// Those of [`Settings::check`], and an error for a variance of fewer than two samples.
    pub fn check_for(&self, methods: &[Method]) -> Result<()> {
        self.check()?;
        match methods.contains(&Method::VarGrad) && self.samples < LEAST_FOR_VARIANCE {
            true => Err(Error::out_of_range(
                "samples of vargrad, a variance,",
                self.samples,
                format!("at least {LEAST_FOR_VARIANCE}"),
            )),
            false => Ok(()),
        }
    }
}

/// How complete an attribution is: its sum compared with the difference of the objective to the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Completeness {
    /// Value of the objective on the baseline image.
    pub baseline_value: f64,
    /// Sum of all attributions.
    pub sum: f64,
    /// The relative gap |sum − (f(x) − f(b))| / |f(x) − f(b)|, for the image x and the baseline b.
    pub gap: f64,
}

impl Completeness {
    fn new(values: &[f32], value: f64, baseline_value: f64) -> Self {
        let sum = values.iter().map(|&v| f64::from(v)).sum::<f64>();
        let difference = value - baseline_value;
        // If the objective does not differ and the attributions sum to zero, the attribution is complete.
        let gap = if sum == difference { 0.0 } else { (sum - difference).abs() / difference.abs() };
        Self { baseline_value, sum, gap }
    }
}

/// The attribution of an image's values and pixels for an objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// The method that computed the attribution.
    pub method: Method,
    /// Height and width of the image.
    pub size: [usize; 2],
    /// Signed attributions, `[C, H, W]`. C is 3 (red, green, blue), or 1 for methods that do not distinguish
    /// colours. Gradients are per display unit.
    pub values: Vec<f32>,
    /// One number for each pixel, `[H, W]`; negative only if [`Method::is_signed`].
    pub map: Vec<f32>,
    /// Value of the objective on the original image.
    pub value: f64,
    /// Completeness, for methods whose attributions should sum to the objective's rise over a baseline.
    pub completeness: Option<Completeness>,
    /// The layer that Grad-CAM used; `None` for other methods.
    pub layer: Option<String>,
}

impl Attribution {
    /// Creates an attribution without completeness and layer.
    fn new(method: Method, size: [usize; 2], values: Vec<f32>, map: Vec<f32>, value: f64) -> Result<Self> {
        if map.iter().chain(&values).any(|v| !v.is_finite()) {
            return Err(Error::NotFiniteHere { what: format!("{method}: the attribution is not finite") });
        }
        Ok(Self { method, size, values, map, value, completeness: None, layer: None })
    }

    /// Number of planes of [`Attribution::values`], 3 or 1.
    pub fn channels(&self) -> usize {
        self.values.len() / self.map.len().max(1)
    }
}

/// Attributes an image by any method, on the model's threads ([`Model::on`](crate::Model::on)).
///
/// `watch` is called with the numbers of passes through the network that are done and that are needed. If it
/// returns `false`, the work ends with [`Error::Stopped`].
pub fn attribute(
    target: &mut AttributionTarget<'_>,
    image: &[f32],
    method: Method,
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Attribution> {
    settings.check()?;
    target.input.check(image)?;
    let model = target.model;
    model.threads().run(|| by_method(target, image, method, settings, watch))
}

fn by_method(
    target: &mut AttributionTarget<'_>,
    image: &[f32],
    method: Method,
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Attribution> {
    match method {
        Method::Gradient => gradient::gradient(target, image, settings, watch),
        Method::Guided => gradient::guided(target, image, settings, watch),
        Method::Deconv => gradient::deconv(target, image, settings, watch),
        Method::GradientXInput => gradient_x_input::gradient_x_input(target, image, settings, watch),
        Method::IntegratedGradients => {
            integrated_gradients::integrated_gradients(target, image, settings, watch)
        }
        Method::SmoothGrad => smoothgrad::smoothgrad(target, image, settings, watch),
        Method::SmoothGradSquared => smoothgrad::smoothgrad_squared(target, image, settings, watch),
        Method::VarGrad => smoothgrad::vargrad(target, image, settings, watch),
        Method::GradCam => grad_cam::grad_cam(target, image, settings, watch),
        Method::Occlusion => occlusion::occlusion(target, image, settings, watch),
    }
}

/// Combines the three colours of each pixel into one number.
fn over_colors(values: &[f32], combine: impl Fn([f32; 3]) -> f32) -> Vec<f32> {
    let plane = values.len() / 3;
    (0..plane).map(|i| combine([values[i], values[plane + i], values[2 * plane + i]])).collect()
}

fn sum(colors: [f32; 3]) -> f32 {
    colors.iter().sum()
}

fn largest_size(colors: [f32; 3]) -> f32 {
    colors.iter().fold(0.0, |m, v| m.max(v.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_read_and_print() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse::<Method>().unwrap(), method);
        }
        let error = "lime".parse::<Method>().unwrap_err().to_string();
        assert!(error.contains("\"lime\"") && error.contains("grad-cam"), "{error}");
    }

    #[test]
    fn settings_of_no_use_are_refused() {
        let usual = Settings::default();
        usual.check().unwrap();
        for (bad, says) in [
            (Settings { steps: 0, ..usual.clone() }, "steps"),
            (Settings { samples: 0, ..usual.clone() }, "samples"),
            (Settings { window: Some([3, 0]), ..usual.clone() }, "window"),
            (Settings { stride: Some(0), ..usual.clone() }, "stride"),
            (Settings { noise: f64::NAN, ..usual.clone() }, "noise is NaN"),
            (Settings { noise: 0.0, ..usual }, "noise is 0"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
