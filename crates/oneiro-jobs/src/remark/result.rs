//! Remarks on results that show nothing, or are unreliable.

use std::fmt;

use crate::numbers::short;

/// A remark on results that show nothing, or are unreliable.
///
/// `units` lists the names of the units; if there are many, only the first ones.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ResultRemark {
    /// A preset needs the units' largest activations, which are not known.
    UnknownActivation,
    /// Several inputs were optimised, but only one is drawn.
    SeveralInputs {
        /// Name of the input that is drawn.
        drawn: String,
        /// Names of the inputs that are not drawn.
        others: Vec<String>,
    },
    /// The optimisation did not change the objective's value.
    Stuck {
        /// Names of the units.
        units: String,
        /// How gradients passed the network's ReLUs.
        relus: Relus,
    },
    /// The objective is the mean of a channel in front of its activation function.
    InFrontOfActivation {
        /// Name of the layer.
        layer: String,
        /// Name of the activation function after the layer.
        behind: String,
    },
    /// The means of channels before a ReLU stayed below zero.
    BelowZero {
        /// Names of the units.
        units: String,
        /// Name of the ReLU after the layer.
        behind: String,
    },
    /// The objective is the mean of a channel that is linear in the picture.
    LinearMean {
        /// Name of the layer.
        layer: String,
        /// The ReLU after the layer, if there is one.
        behind: Option<String>,
    },
    /// The optimisation made the objective's value smaller.
    Fallen {
        /// Names of the units.
        units: String,
    },
    /// Kernels are drawn that a batch normalization scales.
    ScaledKernels {
        /// Name of the layer.
        layer: String,
        /// Name of the batch normalization behind it.
        behind: String,
    },
    /// The network names pictures of classes as other classes.
    OtherClass {
        /// The classes, each with the name that the network gives its picture.
        named: String,
    },
    /// Most values of the picture are at the ends of the displayable range.
    Clipped {
        /// Names of the units.
        units: String,
    },
    /// The drawn bands hardly vary, while others do.
    EvenBands {
        /// Name of the unit.
        unit: String,
        /// Indices, from 0, of the three bands that vary most, to be drawn as red, green and blue.
        vary: Vec<usize>,
    },
    /// The pixels of a rendered picture hardly vary.
    Faint {
        /// Names of the units.
        units: String,
        /// Whether all units are displayed with 0 as black and 1 as white.
        clipped: bool,
    },
    /// An attribution method failed, while others did not.
    MethodLeftOut {
        /// Path of the photo.
        image: String,
        /// Name of the attribution method.
        method: &'static str,
        /// Why the method failed.
        why: String,
    },
    /// Two attribution methods show opposite regions of an image.
    MethodsDisagree {
        /// Path of the photo.
        image: String,
        /// The unit's name in the caption.
        unit: String,
        /// Names of the two methods that agree least.
        methods: [&'static str; 2],
        /// Correlation of their maps over regions, below 0.
        agreement: f64,
    },
    /// A rule for ReLUs gives one map for two objectives.
    OneMap {
        /// Path of the photo.
        image: String,
        /// Name of the attribution method.
        method: &'static str,
        /// The objectives' names in the captions.
        units: [String; 2],
    },
    /// Integrated gradients do not add up to the objective's rise.
    Gap {
        /// Path of the photo.
        image: String,
        /// The sum of the attribution map.
        sum: f64,
        /// The objective's value for the photo minus that for the baseline.
        rise: f64,
        /// Name of the baseline.
        baseline: String,
        /// The gap as a share of the rise.
        gap: f64,
        /// Number of steps from the baseline to the photo.
        steps: usize,
    },
    /// All values of an attribution map are zero.
    ZeroMap {
        /// Path of the photo.
        image: String,
        /// Name of the attribution method.
        method: &'static str,
        /// A possible reason for the zeros.
        why: ZeroMap,
    },
    /// A method adds noise that is relative to the image's range of values, but the image is uniform.
    NoNoise {
        /// Path of the photo.
        image: String,
        /// Name of the attribution method.
        method: &'static str,
    },
    /// Rules for ReLU gradients are given, but there is no ReLU on which they have an effect.
    NoRelus {
        /// The rules that have no effect.
        rules: String,
    },
    /// The values of an attribution map hardly vary.
    EvenMap {
        /// Path of the photo.
        image: String,
        /// Name of the attribution method.
        method: &'static str,
    },
}

/// How gradients passed the ReLUs of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Relus {
    /// The network has no ReLUs.
    None,
    /// Exactly, or by another rule under which dead units pass no gradient.
    Plain,
    /// By redirection, so that gradients pass ReLUs that are not active.
    Redirected,
}

/// A possible reason why a map is zero everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZeroMap {
    /// The layer that the user chose for Grad-CAM is not informative.
    NamedLayer,
    /// The layer that was chosen automatically for Grad-CAM is not informative.
    ChosenLayer,
    /// The gradient of the objective is zero.
    Gradient,
    /// The gradient does not vary with the noise.
    Even,
    /// Covering a window of the photo changes the objective nowhere.
    Covered,
    /// The image equals its baseline, or the gradient is zero between the two.
    Baseline,
}

impl fmt::Display for ResultRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownActivation => f.write_str(
                "the units' largest activations are not known and taken for 1, which may be too strong",
            ),
            Self::SeveralInputs { drawn, others } => write!(
                f,
                "several inputs are optimised together; the picture of \"{drawn}\" is written, not that of {}",
                others.join(", ")
            ),
            Self::Stuck { units, relus } => {
                let of_rule = match relus {
                    Relus::Redirected => {
                        ". What the picture shows comes from gradients that were redirected past the ReLUs, and says nothing \
                         of the unit"
                    }
                    Relus::None | Relus::Plain => "",
                };
                write!(
                    f,
                    "the value of {units} did not change, as its gradient is zero or nearly so. The unit may be dead or saturated, its \
                     weights never trained, or the mask black. Some means are equal for every picture, such as a softmax's or an \
                     attention map's{of_rule}"
                )
            }
            Self::InFrontOfActivation { layer, behind } => write!(
                f,
                "{layer} is in front of its activation function, so the mean of a channel also counts what it rejects; {behind} \
                 counts only what makes it fire"
            ),
            Self::BelowZero { units, behind } => write!(
                f,
                "{units} stayed below zero, where pictures are often grey; {behind} shows what makes channels fire"
            ),
            Self::LinearMean { layer, behind } => {
                let seen = behind.as_ref().map_or(String::new(), |behind| {
                    format!("; {behind}, behind it, shows what makes its channels fire")
                });
                write!(
                    f,
                    "{layer} is linear in the picture, so the mean of a channel depends on little but the mean colour and the \
                     edges{seen}"
                )
            }
            Self::Fallen { units } => write!(
                f,
                "{units} ended no higher than it began: the steps were too large, or what the recipe asks for beside the \
                 unit was stronger"
            ),
            Self::ScaledKernels { layer, behind } => write!(
                f,
                "the batch normalization {behind} scales each kernel of {layer}: name {behind} for the kernels that the \
                 network uses, and their norms"
            ),
            Self::OtherClass { named } => write!(
                f,
                "another class has the largest score for these pictures: {named}. A class is maximised for itself, and what \
                 raises it may raise others more"
            ),
            Self::Clipped { units } => write!(
                f,
                "most of the picture of {units} is at the end of what a picture can show: the steps were too large"
            ),
            Self::EvenBands { unit, vary } => {
                let vary: Vec<String> = vary.iter().map(usize::to_string).collect();
                let vary = vary.join(",");
                write!(
                    f,
                    "the bands of {unit} that are drawn are nearly even; those that vary most are {vary}"
                )
            }
            Self::Faint { units, .. } => {
                write!(f, "the picture of {units} is nearly even: the steps were small for this network")
            }
            Self::MethodLeftOut { image, method, why } => write!(f, "{image}: {method} is left out: {why}"),
            Self::MethodsDisagree { image, unit, methods: [a, b], agreement } => write!(
                f,
                "{image}: {a} and {b} show opposite regions for {unit} (correlation {agreement:.2}): neither map alone says \
                 where the value comes from"
            ),
            Self::OneMap { image, method, units: [a, b] } => write!(
                f,
                "{image}: {method} gives one map for {a} and {b}: its ReLUs pass no negative gradients, so it ignores \
                 what an objective subtracts"
            ),
            Self::Gap { image, sum, rise, baseline, gap, .. } => write!(
                f,
                "{image}: integrated gradients add up to {}, the objective rises by {} from {baseline} to the image: a gap \
                 of {:.0} %",
                short(*sum),
                short(*rise),
                100.0 * gap
            ),
            Self::ZeroMap { image, method, why } => {
                let why = match why {
                    ZeroMap::NamedLayer => {
                        "nothing of that layer's map speaks for the unit here, or nothing behind it reads its positions"
                    }
                    ZeroMap::ChosenLayer => "nothing of that layer's map speaks for the unit here",
                    ZeroMap::Gradient => {
                        "the unit does not depend on this image, or its gradient is stopped on the way (a unit that is off)"
                    }
                    ZeroMap::Even => {
                        "the gradient is the same under all noise: the unit is linear here, or off"
                    }
                    ZeroMap::Covered => {
                        "covering any window leaves the unit's value as it is (a unit that is off, or an image that looks like \
                         the fill)"
                    }
                    ZeroMap::Baseline => {
                        "the image is its own baseline, or the unit's gradient is zero between the two"
                    }
                };
                write!(f, "{image}: {method} is zero everywhere: {why}")
            }
            Self::NoNoise { image, method } => {
                let map = match *method {
                    "vargrad" => "so that its map is zero",
                    _ => "so that its map is that of the gradient",
                };
                write!(
                    f,
                    "{image}: {method} adds noise in proportion to the image's range, and this image has one value \
                     throughout: there is no noise, {map}"
                )
            }
            Self::NoRelus { rules } => write!(
                f,
                "{rules}: no ReLU or clip lies between the image and the unit, so that the rule changes nothing and what \
                 is shown is the plain gradient"
            ),
            Self::EvenMap { image, method } => {
                write!(f, "{image}: {method} is nearly even: it points at nothing")
            }
        }
    }
}
