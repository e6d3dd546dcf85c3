//! Remarks on maps that are unreliable or empty.

use oneiro::attribution::{Attribution, Method, Settings, agreement};
use oneiro::objective::Objective;

use super::MapReport;
use super::asked::Asked;
use crate::context::Context;
use crate::error::Result;
use crate::model::LoadedModel;
use crate::remark::{ClassRemark, ResultRemark, ZeroMap};

/// The completeness gap above which a remark warns the user.
const GAP_WARNING: f64 = 0.05;
/// Entropy, relative to a uniform map's, above which a map counts as uninformative. The limit lies below the
/// entropy of a map of which one half is twice as bright as the other.
const EVEN: f64 = 0.995;
/// A map whose largest value is not above this one contains only rounding errors, for instance for a unit
/// that is off.
const NOTHING: f64 = 1e-24;

/// Correlation of two maps' regions below which they count as opposite: twice the deviation that unrelated
/// maps of 49 regions have by chance.
const OPPOSITE: f64 = -0.3;

/// A map with what a remark on it needs.
pub(super) struct Drawn<'a> {
    /// The image, or the clip and its input.
    pub of: &'a str,
    pub map: &'a MapReport,
    /// The objective's value.
    pub value: f64,
    /// Whether all display values are equal.
    pub is_flat: bool,
}

impl Drawn<'_> {
    /// Warns if the map is unreliable or empty.
    pub(super) fn warn(&self, context: &Context, settings: &Settings) {
        let &Self { map, is_flat, .. } = self;
        let image = || self.of.to_owned();
        if let (Method::IntegratedGradients, Some(gap)) = (map.method, map.completeness_gap)
            && gap > GAP_WARNING
        {
            context.remark(ResultRemark::Gap {
                image: image(),
                sum: map.sum.unwrap_or_default(),
                rise: self.value - map.baseline_value.unwrap_or_default(),
                baseline: settings.baseline.to_string(),
                gap,
                steps: settings.steps,
            });
        }
        let is_noisy = matches!(map.method, Method::SmoothGrad | Method::SmoothGradSquared | Method::VarGrad);
        if is_noisy && is_flat {
            context.remark(ResultRemark::NoNoise { image: image(), method: map.method.name() });
        }
        if map.scale <= NOTHING {
            let why = match map.method {
                Method::GradCam if settings.cam_layer.is_some() => ZeroMap::NamedLayer,
                Method::GradCam => ZeroMap::ChosenLayer,
                Method::Occlusion => ZeroMap::Covered,
                Method::GradientXInput | Method::IntegratedGradients => ZeroMap::Baseline,
                Method::VarGrad if is_flat => return,
                Method::VarGrad => ZeroMap::Even,
                _ => ZeroMap::Gradient,
            };
            context.remark(ResultRemark::ZeroMap { image: image(), method: map.method.name(), why });
        } else if map.method == Method::GradCam && map.entropy > EVEN {
            context.remark(ResultRemark::EvenMap { image: image(), method: map.method.name() });
        }
    }
}

/// Warns if two methods show opposite regions of an image. Gradients alone are not compared: they say what
/// would change the value, not what it consists of.
pub(super) fn warn_of_disagreement(context: &Context, image: &str, unit: &str, maps: &[Attribution]) {
    let shares: Vec<&Attribution> =
        maps.iter().filter(|map| map.method.is_signed() || map.method == Method::GradCam).collect();
    let pairs = shares.iter().enumerate().flat_map(|(i, a)| shares[..i].iter().map(move |b| (*b, *a)));
    let least = pairs
        .filter_map(|(a, b)| Some((agreement(a, b)?, [a.method.name(), b.method.name()])))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((agreement, methods)) = least.filter(|(agreement, _)| *agreement < OPPOSITE) {
        context.remark(ResultRemark::MethodsDisagree {
            image: image.to_owned(),
            unit: unit.to_owned(),
            methods,
            agreement,
        });
    }
}

/// Remarks on the answer of a network with one output, if it is what is explained.
pub(super) fn say_yes_or_no(
    context: &Context,
    model: &LoadedModel,
    mut asked: impl Iterator<Item = impl std::borrow::Borrow<Asked>>,
) -> Result<()> {
    if asked.any(|asked| matches!(asked.borrow(), Asked::TopClass)) && model.model.class_count() == Some(1) {
        context.remark(ClassRemark::YesOrNo { activation: model.model.head()?.activation });
    }
    Ok(())
}

/// Remarks on rules for ReLUs, if a network has none before one of the objectives.
pub(super) fn say_no_relus<'a>(
    context: &Context,
    model: &LoadedModel,
    methods: &[Method],
    mut objectives: impl Iterator<Item = &'a Objective>,
) {
    let by_rule = methods.iter().filter(|m| matches!(m, Method::Guided | Method::Deconv));
    let by_rule: Vec<&str> = by_rule.map(|m| m.name()).collect();
    if !by_rule.is_empty() && !objectives.all(|objective| model.has_relus_behind(objective)) {
        context.remark(ResultRemark::NoRelus { rules: by_rule.join(" and ") });
    }
}
