//! Attribution: heat maps that show which pixels of an image make a unit respond.
//!
//! Every method has the form
//! `fn(&mut AttributionTarget, display, &Settings, &mut Watch) -> Result<Vec<Attribution>>`. An
//! [`AttributionTarget`] is a compiled network with one objective. The display values are those of all its
//! inputs, one input behind the other: of most networks one image, RGB 0–1, `[3, H, W]`; of others a clip,
//! `[3, T, H, W]`, and flow, `[2, T, H, W]`, too. Each input gets an [`Attribution`]: one number for each
//! value or pixel, its share in the objective f.
//!
//! | method | values | map |
//! |---|---|---|
//! | [`gradient`] | ∂f/∂x | largest magnitude over colours; of flow, sum of both components' magnitudes |
//! | [`guided`](gradient::guided), [`deconv`](gradient::deconv) | ∂f/∂x under another rule for ReLUs | as the gradient's |
//! | [`gradient_x_input`] | (x − b) ∂f/∂x | sum over colours |
//! | [`integrated_gradients`] | (x − b) × mean gradient between b and x | sum over colours |
//! | [`smoothgrad`] | mean gradient under noise; mean square; variance | as the gradient's; sum; sum |
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
use std::ops::Range;
use std::str::FromStr;

use oneiro_image::Extent;
use serde::{Deserialize, Serialize};

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::input::PictureInput;

mod agreement;
mod baseline;
mod cam_layer;
pub mod grad_cam;
pub mod gradient;
pub mod gradient_x_input;
pub mod integrated_gradients;
pub mod occlusion;
mod settings;
pub mod smoothgrad;
mod summary;
mod target;
#[cfg(test)]
mod testing;

pub use agreement::agreement;
pub use baseline::Baseline;
pub(crate) use grad_cam::layer_gradient;
pub use settings::Settings;
pub use summary::{Summary, scale};
pub use target::{AttributionTarget, Watch, top_class, top_class_of_clips};

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

/// The attribution of an input's values and pixels for an objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// The method that computed the attribution.
    pub method: Method,
    /// Index of the input in [`AttributionTarget::inputs`].
    pub input: usize,
    /// Frames or flow fields, T; 1 for a still.
    pub frames: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Signed attributions, `[C, T, H, W]`. C is 3 (red, green, blue), 2 for flow (all fields' u, then all
    /// v), or 1 for methods that do not distinguish channels. Gradients are per display unit.
    pub values: Vec<f32>,
    /// One number for each pixel, `[T, H, W]`; negative only if [`Method::is_signed`].
    pub map: Vec<f32>,
    /// Value of the objective on the display values.
    pub value: f64,
    /// Completeness, for methods whose attributions should sum to the objective's rise over a baseline. It is
    /// that of all inputs together.
    pub completeness: Option<Completeness>,
    /// The layer that Grad-CAM used; `None` for other methods.
    pub layer: Option<String>,
}

/// How the numbers of a pixel's channels become one.
#[derive(Clone, Copy)]
enum Combine {
    /// Their sum.
    Sum,
    /// The largest magnitude of colours, the sum of the magnitudes of a flow vector's components.
    Magnitude,
}

impl Attribution {
    /// Creates an attribution of an input without completeness and layer.
    fn new(
        method: Method,
        input: usize,
        extent: Extent,
        values: Vec<f32>,
        map: Vec<f32>,
        value: f64,
    ) -> Result<Self> {
        if map.iter().chain(&values).any(|v| !v.is_finite()) {
            return Err(Error::NotFiniteHere { what: format!("{method}: the attribution is not finite") });
        }
        let (frames, size) = (extent.frames, extent.size());
        Ok(Self { method, input, frames, size, values, map, value, completeness: None, layer: None })
    }

    /// Creates the attributions of all inputs from one number for each display value.
    fn of_values(
        target: &AttributionTarget<'_>,
        method: Method,
        values: &[f32],
        combine: Combine,
        value: f64,
    ) -> Result<Vec<Self>> {
        let of_input = |(i, (input, part)): (usize, (&PictureInput, Range<usize>))| {
            let (own, channels) = (&values[part], input.extent.channels);
            let map = match combine {
                Combine::Sum => over_channels(own, channels, |sum, v| sum + v),
                Combine::Magnitude if input.kind == InputKind::Flow => {
                    over_channels(own, channels, |sum, v| sum + v.abs())
                }
                Combine::Magnitude => over_channels(own, channels, |most, v| most.max(v.abs())),
            };
            Self::new(method, i, input.extent, own.to_vec(), map, value)
        };
        target.parts().enumerate().map(of_input).collect()
    }

    /// Number of channels of [`Attribution::values`].
    pub fn channels(&self) -> usize {
        self.values.len() / self.map.len().max(1)
    }
}

/// Attributes an image by any method, on the model's threads ([`Model::on`](crate::Model::on)).
///
/// `watch` is called with the numbers of passes through the network that are done and that are needed. If it
/// returns `false`, the work ends with [`Error::Stopped`].
///
/// # Errors
/// Those of [`attribute_inputs`], and an error if the target has several inputs.
pub fn attribute(
    target: &mut AttributionTarget<'_>,
    image: &[f32],
    method: Method,
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Attribution> {
    let inputs = target.inputs().len();
    let mut found = attribute_inputs(target, image, method, settings, watch)?;
    match found.pop().filter(|_| inputs == 1) {
        Some(attribution) => Ok(attribution),
        None => Err(Error::Settings(format!("the objective reads {inputs} inputs; attribute each of them"))),
    }
}

/// Attributes all inputs of a target by any method, like [`attribute`]. `display` holds the display values of
/// the inputs, one input behind the other. Grad-CAM leaves out inputs that its layer does not depend on.
///
/// # Errors
/// If there are more or fewer values, a setting is out of range, or a number is not finite.
pub fn attribute_inputs(
    target: &mut AttributionTarget<'_>,
    display: &[f32],
    method: Method,
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
    settings.check()?;
    target.check(display)?;
    let model = target.model;
    model.threads().run(|| by_method(target, display, method, settings, watch))
}

fn by_method(
    target: &mut AttributionTarget<'_>,
    image: &[f32],
    method: Method,
    settings: &Settings,
    watch: &mut Watch<'_>,
) -> Result<Vec<Attribution>> {
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

/// Combines the channels of each pixel into one number. `values` is `[C, positions]`.
fn over_channels(values: &[f32], channels: usize, combine: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let plane = values.len() / channels.max(1);
    let mut out = vec![0.0f32; plane];
    for channel in values.chunks_exact(plane.max(1)) {
        out.iter_mut().zip(channel).for_each(|(out, v)| *out = combine(*out, *v));
    }
    out
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
}
