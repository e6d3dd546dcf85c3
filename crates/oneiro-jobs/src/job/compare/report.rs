//! The reports on comparisons.

use serde::Serialize;

use super::request::ChangeBy;

/// What a comparison found.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "compares", rename_all = "kebab-case")]
pub enum CompareReport {
    /// Two units of one network.
    Units(Box<UnitsReport>),
    /// Two layers of one network.
    Layers(LayersReport),
    /// One unit in several networks.
    Unit(ModelsReport),
    /// The filters of a layer in several networks.
    Filters(FiltersReport),
}

/// Two units of one network.
#[derive(Debug, Clone, Serialize)]
pub struct UnitsReport {
    /// The first unit.
    pub a: String,
    /// The second unit.
    pub b: String,
    /// The optimised pictures: A, B and, if both can be excited, A − B, B − A and A + B.
    pub pictures: Vec<ComparedPicture>,
    /// Cosine of what the units weigh their common inputs with; `None` if they weigh different inputs, or
    /// their weights are not known.
    pub weight_cosine: Option<f64>,
    /// Where this cosine stands among those of A with the other units of B's layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_baseline: Option<Baseline>,
    /// How their gradients with respect to the picture agree.
    pub gradients: GradientAgreement,
    /// How their activations agree.
    pub activations: ActivationAgreement,
    /// The data: a folder, a list or a scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Images that excite A most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub best_a: Vec<ShownImage>,
    /// Images that excite B most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub best_b: Vec<ShownImage>,
    /// Images with A more than one standard deviation above its mean, and B below its mean.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub a_not_b: Vec<ShownImage>,
    /// Images with B more than one standard deviation above its mean, and A below its mean.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub b_not_a: Vec<ShownImage>,
    /// Images with both units above their means.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub both: Vec<ShownImage>,
    /// For two classes, images of each that the network names as the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusions: Vec<Confusion>,
    /// For two classes, the units before them that add most to A's score less B's, over A's best images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drive_a: Vec<Driver>,
    /// For two classes, the units before them that add most to B's score less A's, over B's best images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drive_b: Vec<Driver>,
    /// For two classes, the units before them that raise both, each at least a tenth as much as the unit of
    /// its layer that raises the class most: `a` over A's best images, `b` over B's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<Driver>,
}

/// An optimised picture, with the values of both units for it.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedPicture {
    /// What was maximised: "a", "b", "a-b", "b-a" or "a+b".
    pub kind: &'static str,
    /// The mixture with its factors, in units of the gains: "A − 0.5 B".
    pub of: String,
    /// The same as an expression.
    pub objective: String,
    /// The value of A.
    pub a: Option<f64>,
    /// The value of B.
    pub b: Option<f64>,
    /// The value of A less that for noise, as a share of the same difference for A's own picture: 1 for that
    /// picture, 0 for noise. It may exceed 1, where A's own optimisation did not find A's maximum.
    pub share_a: Option<f64>,
    /// The value of B less that for noise, as a share of the same difference for B's own picture.
    pub share_b: Option<f64>,
    /// For a difference or a sum, what the picture was to show and does not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<&'static str>,
}

/// A share of what a unit's own picture gains over noise, in percent. What lies below noise is not told in
/// numbers: a logit has no lower bound.
pub fn percent(share: f64) -> String {
    match (100.0 * share).round() {
        percent if percent < 0.0 => "below 0 %".to_owned(),
        percent => format!("{} %", percent.abs()),
    }
}

/// A standard score with its sign and unit. Zero is positive.
pub fn deviations(score: f64) -> String {
    format!("{:+.1} sd", (10.0 * score).round() / 10.0 + 0.0)
}

/// How the gradients of two units agree.
#[derive(Debug, Clone, Serialize)]
pub struct GradientAgreement {
    /// Number of pictures.
    pub pictures: usize,
    /// Number of pictures at which one gradient is zero.
    pub undefined: usize,
    /// The mean of the cosines at the other pictures.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub deviation: Option<f64>,
    /// The cosine of the mean gradients.
    pub of_means: Option<f64>,
    /// The cosine at the optimised picture of the first unit.
    pub on_a: Option<f64>,
    /// The cosine at the optimised picture of the second unit.
    pub on_b: Option<f64>,
}

/// Correlations of two samples.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Agreement {
    /// Number of pairs of values.
    pub count: usize,
    /// Pearson's correlation.
    pub pearson: Option<f64>,
    /// Spearman's correlation, of ranks.
    pub spearman: Option<f64>,
}

impl Agreement {
    /// Of two samples.
    pub(super) fn of(a: &[f32], b: &[f32]) -> Self {
        let (pearson, spearman) = (oneiro::similarity::pearson(a, b), oneiro::similarity::spearman(a, b));
        Self { count: a.len().min(b.len()), pearson, spearman }
    }
}

/// Where a number of A and B stands among the same numbers of A and the other units of B's layer.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Baseline {
    /// What these units are: "classes" or "channels".
    pub of: &'static str,
    /// Number of the other units for which the number is defined.
    pub others: usize,
    /// Number of those whose number is smaller than that of B.
    pub smaller: usize,
    /// The median of their numbers.
    pub median: f64,
}

/// How the activations of two units agree.
#[derive(Debug, Clone, Serialize)]
pub struct ActivationAgreement {
    /// Whether the pictures are synthetic.
    pub synthetic: bool,
    /// Of the largest activations of each picture.
    pub largest: Agreement,
    /// Where Pearson's correlation of the largest activations stands among those of A with the other units of
    /// B's layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Of the mean activations of each picture.
    pub mean: Agreement,
    /// Of the activations at equal positions, sampled by a scan; for units of one layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<Agreement>,
}

/// An image with what two units make of it.
#[derive(Debug, Clone, Serialize)]
pub struct ShownImage {
    /// The file, relative to the data.
    pub file: String,
    /// The class of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The largest activation of A.
    pub a: f64,
    /// The largest activation of B.
    pub b: f64,
    /// By how many standard deviations over the images `a` exceeds its mean.
    pub score_a: f64,
    /// By how many standard deviations over the images `b` exceeds its mean.
    pub score_b: f64,
}

/// Images of one class that the network names as another.
#[derive(Debug, Clone, Serialize)]
pub struct Confusion {
    /// The class of the images.
    pub class: String,
    /// The class that is named.
    pub named: String,
    /// Number of these images.
    pub count: usize,
    /// Number of all images of the class.
    pub images: usize,
    /// The mean probabilities of both classes on images of the class; `None` if it has none that can be read.
    pub probabilities: Option<MeanProbabilities>,
    /// Some of them, the surest first.
    pub examples: Vec<ShownImage>,
}

/// The mean probabilities of two classes on images of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanProbabilities {
    /// Number of images, spread evenly over all of the class.
    pub images: usize,
    /// The mean probability of the images' own class.
    pub own: f64,
    /// The mean probability of the other class.
    pub other: f64,
}

/// A unit that drives one of two classes, or both.
#[derive(Debug, Clone, Serialize)]
pub struct Driver {
    /// The unit.
    pub unit: String,
    /// What it adds to the score (logit) of A, the mean over images: weight times activation.
    pub a: f64,
    /// What it adds to the score of B.
    pub b: f64,
}

/// Two layers of one network.
#[derive(Debug, Clone, Serialize)]
pub struct LayersReport {
    /// The first layer.
    pub a: String,
    /// The second layer.
    pub b: String,
    /// Number of their channels.
    pub channels: [usize; 2],
    /// Linear centered kernel alignment.
    pub cka: Option<f64>,
    /// Number of pictures.
    pub pictures: usize,
    /// Number of samples: cells of a common grid in each picture.
    pub samples: usize,
    /// Whether the pictures are synthetic.
    pub synthetic: bool,
    /// For each channel of A that varies its best match in B, most similar first.
    pub matches: Vec<Match>,
}

/// A unit with the unit of another layer that correlates most with it.
#[derive(Debug, Clone, Serialize)]
pub struct Match {
    /// The channel in the first layer.
    pub a: usize,
    /// The channel in the second layer.
    pub b: usize,
    /// Their correlation.
    pub correlation: f64,
}

/// One unit in several networks.
#[derive(Debug, Clone, Serialize)]
pub struct ModelsReport {
    /// The unit.
    pub unit: String,
    /// The networks.
    pub models: Vec<UnitInModel>,
    /// Whether the pictures on which the unit was run are synthetic.
    pub synthetic: bool,
    /// Number of these pictures.
    pub pictures: usize,
}

/// A unit in one of several networks. Lists have an entry for each network.
#[derive(Debug, Clone, Serialize)]
pub struct UnitInModel {
    /// The network.
    pub model: String,
    /// The unit's value for its own optimised picture, and for noise.
    pub value: f64,
    /// The unit's value for noise.
    pub value_at_start: f64,
    /// The unit's value in this network for the picture of each network.
    pub values: Vec<Option<f64>>,
    /// Cosine of its weights with those in each network.
    pub weight_cosines: Vec<Option<f64>>,
    /// Correlations of its largest activations with those in each network.
    pub correlations: Vec<Agreement>,
}

/// The filters of layers in several networks.
#[derive(Debug, Clone, Serialize)]
pub struct FiltersReport {
    /// The layers.
    pub layers: Vec<LayerChange>,
    /// The networks.
    pub models: Vec<String>,
    /// What `change` is measured by.
    pub by: ChangeBy,
    /// Whether the pictures are synthetic.
    pub synthetic: bool,
    /// Number of pictures.
    pub pictures: usize,
    /// If no layers were named, those of the first network that the others do not have with as many channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The filters of all layers, that which moved most first.
    pub filters: Vec<FilterChange>,
}

/// How far a layer moved.
#[derive(Debug, Clone, Serialize)]
pub struct LayerChange {
    /// The layer.
    pub layer: String,
    /// Number of its channels.
    pub channels: usize,
    /// Number of channels whose change is above 0.1.
    pub moved: usize,
    /// The mean change of its channels; `None` if none is known.
    pub mean_change: Option<f64>,
    /// Number of samples of a channel: cells of a grid in each picture.
    pub samples: usize,
    /// Linear centered kernel alignment of the layer in the first network with that in each.
    pub cka: Vec<Option<f64>>,
}

/// How far a filter moved. Lists have an entry for each network, which compares it with the first.
#[derive(Debug, Clone, Serialize)]
pub struct FilterChange {
    /// The layer.
    pub layer: String,
    /// The channel.
    pub channel: usize,
    /// One less the correlation of its activations in the first and the last network, or 1 if these vary in
    /// one of both alone; or one less the cosine of its weights. `None` if neither is known.
    pub change: Option<f64>,
    /// Cosines of its weights.
    pub weight_cosines: Vec<Option<f64>>,
    /// Correlations of its activations.
    pub correlations: Vec<Option<f64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_a_sign() {
        assert_eq!([1.26, -0.04, -2.0].map(deviations), ["+1.3 sd", "+0.0 sd", "-2.0 sd"]);
    }

    #[test]
    fn shares_below_noise_are_told_in_words() {
        let said = [-6.64, -0.001, 0.0, 0.484, 1.004, 1.19].map(percent);
        assert_eq!(said, ["below 0 %", "0 %", "0 %", "48 %", "100 %", "119 %"]);
    }
}
